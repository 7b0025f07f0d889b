-- Run by `migrate`, in one transaction, with `{schema}` replaced by the schema's name. Times are microseconds since 1970.
-- Every key begins with the tenant, so that neither a duplicate nor a reference tells one tenant of another's rows.

-- Roles belong to the whole cluster: several schemas and databases share them.
--   appserver_owner   owns the tables; nobody logs in as it
--   appserver_queue   owns the few functions that look across tenants; nobody logs in as it
--   appserver_api, appserver_worker, appserver_reaper   what the programs log in as, or are members of
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['appserver_owner', 'appserver_queue', 'appserver_api', 'appserver_worker', 'appserver_reaper'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Another database's migration made it at the same moment.
                NULL;
            END;
        END IF;
    END LOOP;
    -- Who migrates must be able to give things to them.
    EXECUTE format('GRANT appserver_owner, appserver_queue TO %I', current_user);
END
$$;

ALTER SCHEMA {schema} OWNER TO appserver_owner;
REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO appserver_queue, appserver_api, appserver_worker, appserver_reaper;

SET LOCAL ROLE appserver_owner;
SET LOCAL search_path = {schema}, pg_temp;
ALTER DEFAULT PRIVILEGES FOR ROLE appserver_owner IN SCHEMA {schema} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE tenant (
    id         text PRIMARY KEY,
    created_at bigint NOT NULL
);

CREATE TABLE tenant_app (
    tenant_id text NOT NULL REFERENCES tenant (id),
    app_id    text NOT NULL,
    PRIMARY KEY (tenant_id, app_id)
);

CREATE TABLE job (
    tenant_id        text NOT NULL REFERENCES tenant (id),
    app_id           text NOT NULL,
    id               uuid NOT NULL,
    definition       text NOT NULL,
    version          text NOT NULL,
    digest           text NOT NULL,
    inputs           text,
    inputs_artifact  text,
    state            text NOT NULL,
    attempts         bigint NOT NULL DEFAULT 0,
    attempts_max     bigint NOT NULL,
    token            bigint NOT NULL DEFAULT 0,
    lease_until      bigint,
    worker           text,
    cancel_requested boolean NOT NULL DEFAULT false,
    created_at       bigint NOT NULL,
    due_at           bigint NOT NULL,
    started_at       bigint,
    finished_at      bigint,
    result           text,
    failure          text,
    traceparent      text,
    idempotency_key  text,
    request_digest   text,
    seq              bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (state IN ('queued', 'leased', 'running', 'succeeded', 'failed', 'dead', 'cancelled')),
    CHECK ((inputs IS NULL) <> (inputs_artifact IS NULL)),
    CHECK ((state IN ('leased', 'running')) = (lease_until IS NOT NULL))
    -- Updates that touch no index stay on the row's page.
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX job_idempotency ON job (tenant_id, app_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_list ON job (tenant_id, app_id, id DESC);
-- A tenant's turn, and the longest wait: only of what is queued, so that a million finished jobs cost a claim nothing.
CREATE INDEX job_turn ON job (app_id, tenant_id, due_at, id) WHERE state = 'queued';
CREATE INDEX job_due ON job (app_id, due_at, id) WHERE state = 'queued';
CREATE INDEX job_lease ON job (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX job_dead ON job (app_id) WHERE state = 'dead';
CREATE INDEX job_finished ON job (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE job_event (
    tenant_id text NOT NULL,
    app_id    text NOT NULL,
    job_id    uuid NOT NULL,
    seq       bigint NOT NULL,
    at        bigint NOT NULL,
    kind      text NOT NULL,
    state     text NOT NULL,
    attempt   bigint NOT NULL,
    code      text,
    PRIMARY KEY (tenant_id, job_id, seq),
    FOREIGN KEY (tenant_id, job_id) REFERENCES job (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE artifact (
    tenant_id  text NOT NULL,
    app_id     text NOT NULL,
    job_id     uuid NOT NULL,
    path       text NOT NULL,
    role       text NOT NULL CHECK (role IN ('inputs', 'result')),
    digest     text NOT NULL,
    bytes      bigint NOT NULL,
    media_type text NOT NULL,
    PRIMARY KEY (tenant_id, path),
    FOREIGN KEY (tenant_id, job_id) REFERENCES job (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX artifact_job ON artifact (tenant_id, job_id);
-- The sweep asks by path alone.
CREATE INDEX artifact_path ON artifact (path);

-- Messages that a broker has yet to be given, written with the row that they are about. Empty where this database is the queue.
CREATE TABLE outbox (
    tenant_id  text NOT NULL,
    app_id     text NOT NULL,
    id         bigint GENERATED ALWAYS AS IDENTITY,
    job_id     uuid NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, job_id) REFERENCES job (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX outbox_order ON outbox (id);

-- The tenant of this transaction. After a transaction that set it, the setting is empty rather than absent.
CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = {schema}, pg_temp
    AS $$ SELECT nullif(current_setting('appserver.tenant', true), '') $$;

-- The database's clock, which moves within a transaction.
CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE SET search_path = {schema}, pg_temp
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- Only this one may see who is admitted to what when policies are checked, and only of one tenant at a time.
CREATE FUNCTION allowed_apps(who text) RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
    AS $$ SELECT coalesce(array_agg(app_id), '{}') FROM tenant_app WHERE tenant_id = who $$;

-- Every line of a history is told to whoever waits, when its transaction commits: a job's id, an app's name, nothing of a tenant's,
-- because every role of the database may listen.
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
BEGIN
    PERFORM pg_notify('{schema}_changes', 'job ' || NEW.job_id);
    IF NEW.state = 'queued' THEN
        PERFORM pg_notify('{schema}_changes', 'queue ' || NEW.app_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tell AFTER INSERT ON job_event FOR EACH ROW EXECUTE FUNCTION tell();

ALTER TABLE tenant     ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant_app ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE job        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE job_event  ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE artifact   ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE outbox     ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON tenant FOR ALL USING (id = (SELECT current_tenant())) WITH CHECK (id = (SELECT current_tenant()));
CREATE POLICY own ON tenant_app FOR ALL USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
-- The scalar sub-queries are run once a statement, not once a row.
DO $$
DECLARE
    name text;
    rule text := '(tenant_id = (SELECT current_tenant()) AND app_id = ANY ((SELECT allowed_apps(current_tenant()))::text[]))';
BEGIN
    FOREACH name IN ARRAY ARRAY['job', 'job_event', 'artifact', 'outbox'] LOOP
        EXECUTE format('CREATE POLICY own ON %I FOR ALL USING %s WITH CHECK %s', name, rule, rule);
    END LOOP;
    -- The functions below look across tenants. Their owner has policies of its own; nobody else has that role.
    FOREACH name IN ARRAY ARRAY['tenant', 'tenant_app', 'job', 'job_event', 'artifact', 'outbox'] LOOP
        EXECUTE format('CREATE POLICY queue ON %I FOR ALL TO appserver_queue USING (true) WITH CHECK (true)', name);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, DELETE ON tenant_app TO appserver_queue;
GRANT SELECT, INSERT ON tenant TO appserver_queue;
GRANT SELECT, DELETE ON job TO appserver_queue;
GRANT UPDATE (state, attempts, token, lease_until, worker, due_at, finished_at, failure, seq) ON job TO appserver_queue;
GRANT SELECT, INSERT ON job_event TO appserver_queue;
GRANT SELECT ON artifact TO appserver_queue;
-- To lock a message takes the right to change a column of it; none is changed.
GRANT SELECT, INSERT, DELETE, UPDATE (created_at) ON outbox TO appserver_queue;

GRANT SELECT, INSERT ON job TO appserver_api;
GRANT UPDATE (state, attempts, token, lease_until, worker, cancel_requested, due_at, started_at, finished_at, failure, result, seq)
    ON job TO appserver_api, appserver_worker;
GRANT SELECT ON job TO appserver_worker;
GRANT SELECT, INSERT ON job_event, artifact, outbox TO appserver_api, appserver_worker;
GRANT EXECUTE ON FUNCTION current_tenant(), allowed_apps(text), now_us()
    TO appserver_api, appserver_worker, appserver_reaper, appserver_queue;

-- What follows is owned by the role whose policies see across tenants. Each function does one thing, and tells no more than it must.
RESET ROLE;
GRANT CREATE ON SCHEMA {schema} TO appserver_queue;
SET LOCAL ROLE appserver_queue;
SET LOCAL search_path = {schema}, pg_temp;

-- Who may use what.
CREATE FUNCTION admit(who text, apps text[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    INSERT INTO tenant (id, created_at) VALUES (who, now_us()) ON CONFLICT DO NOTHING;
    DELETE FROM tenant_app WHERE tenant_id = who AND app_id <> ALL (apps);
    INSERT INTO tenant_app (tenant_id, app_id) SELECT who, unnest(apps) ON CONFLICT DO NOTHING;
$$;

-- The next job of an app that is due: of the tenant after `served`, in the order of their names and round again; without one, the one
-- that has waited longest. Each step of the loop is one look into an index, and the lock is taken by whoever comes first.
CREATE FUNCTION claim_job(app text, served text, who text, lease_us bigint) RETURNS SETOF job
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    now_at bigint := now_us();
    found_job job;
    turn text := served;
    wrapped boolean := false;
BEGIN
    IF served IS NULL THEN
        SELECT * INTO found_job FROM job WHERE app_id = app AND state = 'queued' AND due_at <= now_at
            ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED;
    ELSE
        -- One step a tenant; a bound that no studio reaches, so that a claim never runs on.
        FOR step IN 1..10000 LOOP
            SELECT tenant_id INTO turn FROM job WHERE app_id = app AND state = 'queued' AND tenant_id > turn
                ORDER BY tenant_id LIMIT 1;
            IF NOT FOUND THEN
                EXIT WHEN wrapped;
                wrapped := true;
                turn := '';
                CONTINUE;
            END IF;
            EXIT WHEN wrapped AND turn > served;
            SELECT * INTO found_job FROM job
                WHERE app_id = app AND tenant_id = turn AND state = 'queued' AND due_at <= now_at
                ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED;
            EXIT WHEN FOUND;
        END LOOP;
    END IF;
    IF found_job.id IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH claimed AS (
            UPDATE job SET state = 'leased', attempts = attempts + 1, token = token + 1, lease_until = now_at + lease_us,
                worker = who, seq = seq + 1
            WHERE tenant_id = found_job.tenant_id AND id = found_job.id RETURNING *
        ), told AS (
            INSERT INTO job_event (tenant_id, app_id, job_id, seq, at, kind, state, attempt)
            SELECT tenant_id, app_id, id, seq, now_at, 'claimed', state, attempts FROM claimed
        )
        SELECT * FROM claimed;
END
$$;

-- Names of jobs whose lease has ended. They are taken back one by one, each by what its row says then.
CREATE FUNCTION lapsed_jobs(most bigint) RETURNS TABLE (tenant_id text, app_id text, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp
    AS $$ SELECT tenant_id, app_id, id FROM job WHERE lease_until <= now_us() ORDER BY lease_until LIMIT most $$;

-- Takes a job back whose lease has ended: queued again, dead at its last attempt, cancelled where that was asked for.
CREATE FUNCTION lapse_job(who text, which uuid, why text) RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    WITH locked AS (
        SELECT * FROM job WHERE tenant_id = who AND id = which AND lease_until <= now_us() FOR UPDATE SKIP LOCKED
    ), decided AS (
        SELECT tenant_id, id, CASE
            WHEN cancel_requested THEN 'cancelled' WHEN attempts >= attempts_max THEN 'dead' ELSE 'queued' END AS state
        FROM locked
    ), moved AS (
        UPDATE job SET state = decided.state, lease_until = NULL, due_at = now_us(), failure = why, seq = seq + 1,
            finished_at = CASE WHEN decided.state = 'queued' THEN NULL ELSE now_us() END
        FROM decided WHERE job.tenant_id = decided.tenant_id AND job.id = decided.id
        RETURNING job.tenant_id, job.app_id, job.id, job.seq, job.state, job.attempts
    ), told AS (
        INSERT INTO job_event (tenant_id, app_id, job_id, seq, at, kind, state, attempt, code)
        SELECT tenant_id, app_id, id, seq, now_us(), CASE state WHEN 'queued' THEN 'lapsed' ELSE state END, state, attempts,
            'lease_lapsed' FROM moved
    )
    SELECT state FROM moved
$$;

CREATE FUNCTION queue_stats(app text, OUT ready bigint, OUT scheduled bigint, OUT held bigint, OUT dead bigint, OUT oldest bigint,
    OUT now_at bigint) LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    SELECT (SELECT count(*) FROM job WHERE app_id = app AND state = 'queued' AND due_at <= clock.at),
        (SELECT count(*) FROM job WHERE app_id = app AND state = 'queued' AND due_at > clock.at),
        (SELECT count(*) FROM job WHERE app_id = app AND lease_until IS NOT NULL),
        (SELECT count(*) FROM job WHERE app_id = app AND state = 'dead'),
        (SELECT min(due_at) FROM job WHERE app_id = app AND state = 'queued' AND due_at <= clock.at),
        clock.at
    FROM (SELECT now_us() AS at) AS clock
$$;

CREATE FUNCTION retire_jobs(older_us bigint, most bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    WITH old AS (
        SELECT tenant_id, id FROM job WHERE finished_at < now_us() - older_us ORDER BY finished_at LIMIT most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM job USING old WHERE job.tenant_id = old.tenant_id AND job.id = old.id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION referenced_paths(paths text[]) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
    AS $$ SELECT path FROM artifact WHERE path = ANY (paths) $$;

-- The oldest messages that a broker has yet to be given. They stay locked, and stay, until the caller's transaction removes them.
CREATE FUNCTION outbox_take(most bigint) RETURNS SETOF outbox
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp
    AS $$ SELECT * FROM outbox ORDER BY id LIMIT most FOR UPDATE SKIP LOCKED $$;

CREATE FUNCTION outbox_done(who text, which bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp
    AS $$ DELETE FROM outbox WHERE tenant_id = who AND id = which $$;

RESET ROLE;
REVOKE CREATE ON SCHEMA {schema} FROM appserver_queue;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_job(text, text, text, bigint), lapsed_jobs(bigint), lapse_job(text, uuid, text),
    outbox_take(bigint), outbox_done(text, bigint) TO appserver_worker;
GRANT EXECUTE ON FUNCTION lapsed_jobs(bigint), lapse_job(text, uuid, text), retire_jobs(bigint, bigint), referenced_paths(text[])
    TO appserver_reaper;
GRANT EXECUTE ON FUNCTION queue_stats(text) TO appserver_api, appserver_worker, appserver_reaper;
