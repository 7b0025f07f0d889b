-- Run by `migrate`, in one transaction, with `{schema}` replaced by the schema's name.
SET LOCAL ROLE appserver_owner;
SET LOCAL search_path = {schema}, pg_temp;

-- What other tools keep with the trace of the request that made the job.
ALTER TABLE job ADD COLUMN tracestate text;

RESET ROLE;
