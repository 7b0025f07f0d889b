-- Times are microseconds since 1970. A key begins with the tenant, as in the server's schema.

CREATE TABLE tenant (
    id         TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tenant_app (
    tenant_id TEXT NOT NULL REFERENCES tenant (id),
    app_id    TEXT NOT NULL,
    PRIMARY KEY (tenant_id, app_id)
) STRICT;

CREATE TABLE job (
    tenant_id        TEXT NOT NULL REFERENCES tenant (id),
    app_id           TEXT NOT NULL,
    id               BLOB NOT NULL,
    definition       TEXT NOT NULL,
    version          TEXT NOT NULL,
    digest           TEXT NOT NULL,
    inputs           TEXT,
    inputs_artifact  TEXT,
    state            TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    attempts_max     INTEGER NOT NULL,
    token            INTEGER NOT NULL DEFAULT 0,
    lease_until      INTEGER,
    worker           TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    result           TEXT,
    failure          TEXT,
    traceparent      TEXT,
    idempotency_key  TEXT,
    request_digest   TEXT,
    seq              INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((inputs IS NULL) <> (inputs_artifact IS NULL)),
    CHECK ((state IN ('leased', 'running')) = (lease_until IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX job_idempotency ON job (tenant_id, app_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_list ON job (tenant_id, app_id, id DESC);
-- A tenant's turn, and the longest wait.
CREATE INDEX job_turn ON job (app_id, tenant_id, due_at, id) WHERE state = 'queued';
CREATE INDEX job_due ON job (app_id, due_at, id) WHERE state = 'queued';
CREATE INDEX job_lease ON job (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX job_dead ON job (app_id) WHERE state = 'dead';
CREATE INDEX job_finished ON job (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE job_event (
    tenant_id TEXT NOT NULL,
    app_id    TEXT NOT NULL,
    job_id    BLOB NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    state     TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    code      TEXT,
    PRIMARY KEY (tenant_id, job_id, seq),
    FOREIGN KEY (tenant_id, job_id) REFERENCES job (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    tenant_id  TEXT NOT NULL,
    app_id     TEXT NOT NULL,
    job_id     BLOB NOT NULL,
    path       TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('inputs', 'result')),
    digest     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (tenant_id, path),
    FOREIGN KEY (tenant_id, job_id) REFERENCES job (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX artifact_job ON artifact (tenant_id, job_id);
-- The sweep asks by path alone.
CREATE INDEX artifact_path ON artifact (path);

-- What a tenant may see: its rows, of the apps that it is admitted to now.
CREATE VIEW visible_job AS
    SELECT job.* FROM job JOIN tenant_app USING (tenant_id, app_id);
CREATE VIEW visible_event AS
    SELECT job_event.* FROM job_event JOIN tenant_app USING (tenant_id, app_id);
