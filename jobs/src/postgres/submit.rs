//! Making a job in Postgres.

use super::{Postgres, TenantTx};
use crate::row::{self, columns};
use crate::{Error, Inputs, NewJob, Scope, Submitted};

pub(super) async fn submit(db: &Postgres, scope: &Scope, new: NewJob) -> Result<Submitted, Error> {
    const SQL: &str = concat!(
        "WITH made AS (INSERT INTO job (tenant_id, app_id, id, definition, version, digest, inputs, inputs_artifact, state, \
         attempts_max, created_at, due_at, traceparent, idempotency_key, request_digest, seq, tracestate) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, now_us(), now_us(), $10, $11, $12, 1, $18) \
         ON CONFLICT (tenant_id, app_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING *), \
         told AS (INSERT INTO job_event (tenant_id, app_id, job_id, seq, at, kind, state, attempt) \
         SELECT tenant_id, app_id, id, 1, created_at, 'submitted', state, 0 FROM made), \
         kept AS (INSERT INTO artifact (tenant_id, app_id, job_id, path, role, digest, bytes, media_type) \
         SELECT tenant_id, app_id, id, $13, 'inputs', $14, $15, $16 FROM made WHERE $13 IS NOT NULL), \
         sent AS (INSERT INTO outbox (tenant_id, app_id, job_id, created_at) \
         SELECT tenant_id, app_id, id, created_at FROM made WHERE $17) SELECT ",
        columns!(),
        " FROM made"
    );
    let (inputs, inputs_artifact) = row::inputs(&new)?;
    let artifact = match &new.inputs {
        Inputs::Artifact(artifact) => Some(artifact),
        Inputs::Inline(_) => None,
    };
    let mut tx = TenantTx::begin(&db.pool, &scope.tenant).await?;
    let made = sqlx::query(SQL)
        .bind(scope.tenant.as_str())
        .bind(scope.app.as_str())
        .bind(new.id.0)
        .bind(&new.definition)
        .bind(&new.version)
        .bind(&new.digest)
        .bind(inputs)
        .bind(inputs_artifact)
        .bind(i64::from(new.attempts_max.max(1)))
        .bind(&new.traceparent)
        .bind(new.idempotency.as_ref().map(|idempotency| &idempotency.key))
        .bind(new.idempotency.as_ref().map(|idempotency| &idempotency.request_digest))
        .bind(artifact.map(|artifact| &artifact.path))
        .bind(artifact.map(|artifact| &artifact.digest))
        .bind(artifact.map(|artifact| row::length(artifact.bytes)))
        .bind(artifact.map(|artifact| &artifact.media_type))
        .bind(db.outbox)
        .bind(&new.tracestate)
        .fetch_optional(tx.connection())
        .await?;
    let Some(made) = made else { return earlier(tx, scope, &new).await };
    let job = row::job(&made)?;
    tx.commit().await?;
    Ok(Submitted::Created(job))
}

/// What the same key was used for. Its row was committed before the insert gave way to it, so a statement that starts now sees it.
async fn earlier(mut tx: TenantTx, scope: &Scope, new: &NewJob) -> Result<Submitted, Error> {
    let idempotency =
        new.idempotency.as_ref().ok_or_else(|| Error::Corrupt("a job without a key was not made".to_owned()))?;
    let sql = concat!("SELECT ", columns!(), " FROM job WHERE tenant_id = $1 AND app_id = $2 AND idempotency_key = $3");
    let query = sqlx::query(sql).bind(scope.tenant.as_str()).bind(scope.app.as_str()).bind(&idempotency.key);
    let found = query.fetch_optional(tx.connection()).await?;
    tx.commit().await?;
    match found {
        Some(found) => row::same_request(&found, idempotency),
        None => Err(Error::Corrupt("a key is taken and its job is not there".to_owned())),
    }
}
