-- Run by `migrate`, in one transaction, with `{schema}` replaced by the schema's name.
SET LOCAL ROLE appserver_owner;
SET LOCAL search_path = {schema}, pg_temp;

-- The policies ask these several times a statement. A function in SQL with a search path of its own is parsed and planned at each call; in
-- PL/pgSQL that is kept by the connection. What they answer, and who may ask them, is as before.
CREATE OR REPLACE FUNCTION current_tenant() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = {schema}, pg_temp
    AS $$ BEGIN RETURN nullif(current_setting('appserver.tenant', true), ''); END $$;

CREATE OR REPLACE FUNCTION now_us() RETURNS bigint LANGUAGE plpgsql VOLATILE SET search_path = {schema}, pg_temp
    AS $$ BEGIN RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint; END $$;

CREATE OR REPLACE FUNCTION allowed_apps(who text) RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = {schema}, pg_temp
    AS $$ BEGIN RETURN ARRAY(SELECT app_id FROM tenant_app WHERE tenant_id = who); END $$;

-- What a lease's holder decided from the row as it knows it: written if the row still is that one and its lease runs, in one call that is a
-- transaction of its own. Otherwise nothing is written, and the answer is false. The row is known by its token and the number of its newest
-- entry, because whatever changes a row adds an entry, but for a renewal, which changes the lease's end alone.
--
-- By the caller's own rights, so row level security decides what there is. A connection that came with a tenant's name on it reads no row.
-- Times are microseconds from now, by this clock; the largest number leaves a time as it is.
-- Whoever calls it tells of what is written: many at one time, and not by this transaction, because those that notify are committed one after
-- the other in the whole server.
CREATE FUNCTION move_held_job(who text, app text, which uuid, known_token bigint, known_seq bigint,
    new_state text, new_attempts bigint, new_lease bigint, new_due bigint, new_started bigint, new_finished bigint, new_seq bigint,
    new_kind text, new_code text, new_failure text, new_result text,
    paths text[], digests text[], sizes bigint[], media_types text[], broker boolean)
    RETURNS boolean LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    kept CONSTANT bigint := 9223372036854775807;
    ends bigint;
    now_at bigint;
BEGIN
    IF current_tenant() IS NOT NULL THEN
        RAISE EXCEPTION 'a connection came with a tenant''s name on it' USING ERRCODE = 'AS001';
    END IF;
    PERFORM set_config('appserver.tenant', who, true), set_config('appserver.told', 'later', true);
    -- Locked first: a wait for the row must not let the lease end between the look at the clock and the write. The row is looked for by its
    -- key alone, and its lease's end is no condition of the statement: an index over ends would be read from one to the other.
    SELECT lease_until INTO ends FROM job
        WHERE tenant_id = who AND app_id = app AND id = which AND token = known_token AND seq = known_seq FOR UPDATE;
    now_at := now_us();
    IF ends IS NULL OR ends <= now_at THEN
        RETURN false;
    END IF;
    UPDATE job SET state = new_state, attempts = new_attempts, seq = new_seq,
        lease_until = CASE WHEN new_lease = kept THEN lease_until ELSE now_at + new_lease END,
        due_at = CASE WHEN new_due = kept THEN due_at ELSE now_at + new_due END,
        started_at = CASE WHEN new_started = kept THEN started_at ELSE now_at + new_started END,
        finished_at = CASE WHEN new_finished = kept THEN finished_at ELSE now_at + new_finished END,
        failure = coalesce(new_failure, failure), result = coalesce(new_result, result)
        WHERE tenant_id = who AND app_id = app AND id = which;
    IF new_kind IS NOT NULL THEN
        INSERT INTO job_event (tenant_id, app_id, job_id, seq, at, kind, state, attempt, code)
            VALUES (who, app, which, new_seq, now_at, new_kind, new_state, new_attempts, new_code);
        IF new_state = 'succeeded' AND cardinality(paths) > 0 THEN
            INSERT INTO artifact (tenant_id, app_id, job_id, path, role, digest, bytes, media_type)
                SELECT who, app, which, blob.path, 'result', blob.digest, blob.bytes, blob.media_type
                FROM unnest(paths, digests, sizes, media_types) AS blob (path, digest, bytes, media_type) ON CONFLICT DO NOTHING;
        END IF;
        IF broker AND new_state = 'queued' THEN
            INSERT INTO outbox (tenant_id, app_id, job_id, created_at) VALUES (who, app, which, now_at);
        END IF;
    END IF;
    RETURN true;
END
$$;

DROP TRIGGER tell ON job_event;
CREATE TRIGGER tell AFTER INSERT ON job_event FOR EACH ROW
    WHEN (NEW.state NOT IN ('leased', 'running') AND current_setting('appserver.told', true) IS DISTINCT FROM 'later')
    EXECUTE FUNCTION tell();
REVOKE EXECUTE ON FUNCTION move_held_job FROM PUBLIC;
GRANT EXECUTE ON FUNCTION move_held_job TO appserver_worker;

RESET ROLE;
