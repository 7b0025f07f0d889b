-- A broker in front of the rows. Run as the first step was; the roles are there.

DO $$
BEGIN
    -- Who gives a broker what the outbox has. The worker may already; the API may where it is a member of this.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'appserver_relay') THEN
        BEGIN
            CREATE ROLE appserver_relay NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA {schema} TO appserver_relay;

SET LOCAL ROLE appserver_owner;
SET LOCAL search_path = {schema}, pg_temp;

-- When a broker was last told again that the job waits. Without it, it was told when the job became due.
ALTER TABLE job ADD COLUMN told_at bigint;
GRANT UPDATE (told_at) ON job TO appserver_queue;

-- Transactions that notify are committed one after the other in the whole server. That a job is taken or started is told to nobody by
-- it, so that claims do not wait for each other; who watches finds it with the next poll. Ends, and what is queued, are told at once.
DROP TRIGGER tell ON job_event;
CREATE TRIGGER tell AFTER INSERT ON job_event FOR EACH ROW WHEN (NEW.state NOT IN ('leased', 'running')) EXECUTE FUNCTION tell();

RESET ROLE;
GRANT CREATE ON SCHEMA {schema} TO appserver_queue;
SET LOCAL ROLE appserver_queue;
SET LOCAL search_path = {schema}, pg_temp;

-- Taken back jobs are told to a broker where there is one.
DROP FUNCTION lapse_job(text, uuid, text);
CREATE FUNCTION lapse_job(who text, which uuid, why text, broker boolean DEFAULT false) RETURNS text
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
    ), sent AS (
        INSERT INTO outbox (tenant_id, app_id, job_id, created_at)
        SELECT tenant_id, app_id, id, now_us() FROM moved WHERE broker AND state = 'queued'
    )
    SELECT state FROM moved
$$;

-- The oldest messages that a broker has yet to be given, and how long each is to wait there. They stay locked, and stay, until the
-- caller's transaction removes them.
DROP FUNCTION outbox_take(bigint);
DROP FUNCTION outbox_done(text, bigint);
CREATE FUNCTION outbox_next(most bigint) RETURNS TABLE (tenant_id text, app_id text, id bigint, job_id uuid, wait_us bigint)
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    SELECT line.tenant_id, line.app_id, line.id, line.job_id, greatest(0, job.due_at - now_us())
    FROM outbox AS line JOIN job ON job.tenant_id = line.tenant_id AND job.id = line.job_id
    ORDER BY line.id LIMIT most FOR UPDATE OF line SKIP LOCKED
$$;

CREATE FUNCTION outbox_sent(which bigint[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp
    AS $$ DELETE FROM outbox WHERE id = ANY (which) $$;

-- Tells the broker again of jobs that have waited for longer than this since it was last told. Gives how many.
CREATE FUNCTION outbox_again(app text, older_us bigint, most bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    WITH silent AS (
        SELECT tenant_id, id FROM job
        WHERE app_id = app AND state = 'queued' AND due_at < now_us() - older_us AND coalesce(told_at, 0) < now_us() - older_us
            AND NOT EXISTS (SELECT FROM outbox AS line WHERE line.tenant_id = job.tenant_id AND line.job_id = job.id)
        ORDER BY due_at LIMIT most FOR UPDATE SKIP LOCKED
    ), told AS (
        UPDATE job SET told_at = now_us() FROM silent WHERE job.tenant_id = silent.tenant_id AND job.id = silent.id
        RETURNING job.tenant_id, job.app_id, job.id
    ), sent AS (
        INSERT INTO outbox (tenant_id, app_id, job_id, created_at) SELECT tenant_id, app_id, id, now_us() FROM told RETURNING 1
    )
    SELECT count(*) FROM sent
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA {schema} FROM appserver_queue;
SET LOCAL ROLE appserver_owner;
-- A line is looked for by its job, and a job that goes takes its lines along.
CREATE INDEX outbox_job ON {schema}.outbox (tenant_id, job_id);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION {schema}.lapse_job(text, uuid, text, boolean), {schema}.outbox_next(bigint), {schema}.outbox_sent(bigint[]),
    {schema}.outbox_again(text, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.lapse_job(text, uuid, text, boolean) TO appserver_worker, appserver_reaper;
GRANT EXECUTE ON FUNCTION {schema}.outbox_next(bigint), {schema}.outbox_sent(bigint[]) TO appserver_worker, appserver_relay;
GRANT EXECUTE ON FUNCTION {schema}.outbox_again(text, bigint, bigint) TO appserver_worker;
