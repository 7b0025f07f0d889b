-- Run by `migrate`, in one transaction, with `{schema}` replaced by the schema's name.
SET LOCAL ROLE appserver_owner;
SET LOCAL search_path = {schema}, pg_temp;

-- Says whose the transaction is, and locks the job: the first two statements of each change, in one round trip. By the caller's own rights, so
-- row level security decides what there is. A connection that came with a tenant's name on it reads no row.
CREATE FUNCTION lock_job(who text, app text, which uuid) RETURNS SETOF job LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF current_tenant() IS NOT NULL THEN
        RAISE EXCEPTION 'a connection came with a tenant''s name on it' USING ERRCODE = 'AS001';
    END IF;
    PERFORM set_config('appserver.tenant', who, true);
    RETURN QUERY SELECT * FROM job WHERE app_id = app AND id = which FOR UPDATE;
END
$$;
REVOKE EXECUTE ON FUNCTION lock_job(text, text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_job(text, text, uuid) TO appserver_api, appserver_worker;

RESET ROLE;
