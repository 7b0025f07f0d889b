-- What other tools keep with the trace of the request that made the job.
ALTER TABLE job ADD COLUMN tracestate TEXT;
