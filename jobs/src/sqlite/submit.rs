//! Making a job in the embedded store.

use sqlx::{Sqlite as Db, Transaction};

use super::{Sqlite, append, find, keep, now};
use crate::decide::Row;
use crate::row::{self, columns};
use crate::{Error, Inputs, Kind, NewJob, Scope, State, Submitted};

pub(super) async fn submit(db: &Sqlite, scope: &Scope, new: NewJob) -> Result<Submitted, Error> {
    let (inputs, inputs_artifact) = row::inputs(&new)?;
    let mut tx = db.begin().await?;
    let may = sqlx::query("SELECT 1 FROM tenant_app WHERE tenant_id = $1 AND app_id = $2")
        .bind(scope.tenant.as_str())
        .bind(scope.app.as_str())
        .fetch_optional(&mut *tx)
        .await?;
    if may.is_none() {
        return Err(Error::Forbidden);
    }
    if let Some(earlier) = earlier(&mut tx, scope, &new).await? {
        return Ok(earlier);
    }
    let at = now();
    sqlx::query(
        "INSERT INTO job (tenant_id, app_id, id, definition, version, digest, inputs, inputs_artifact, state, attempts_max, \
         created_at, due_at, traceparent, idempotency_key, request_digest, seq, tracestate) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, $10, $11, $12, $13, 1, $14)",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.app.as_str())
    .bind(new.id.0)
    .bind(&new.definition)
    .bind(&new.version)
    .bind(&new.digest)
    .bind(inputs)
    .bind(inputs_artifact)
    .bind(i64::from(new.attempts_max.max(1)))
    .bind(at)
    .bind(&new.traceparent)
    .bind(new.idempotency.as_ref().map(|idempotency| &idempotency.key))
    .bind(new.idempotency.as_ref().map(|idempotency| &idempotency.request_digest))
    .bind(&new.tracestate)
    .execute(&mut *tx)
    .await?;
    if let Inputs::Artifact(artifact) = &new.inputs {
        keep(&mut tx, scope, new.id, "inputs", artifact).await?;
    }
    let first = Row {
        state: State::Queued,
        attempts: 0,
        attempts_max: new.attempts_max.max(1),
        token: 0,
        lease_until: None,
        cancel_requested: false,
        due_at: at,
        started_at: None,
        finished_at: None,
        seq: 1,
    };
    append(&mut tx, scope, new.id, &first, Kind::Submitted, None).await?;
    let Some(made) = find(&mut tx, scope, new.id).await? else {
        return Err(Error::Corrupt("a job that was just made is not there".to_owned()));
    };
    let job = row::job(&made)?;
    tx.commit().await?;
    Ok(Submitted::Created(job))
}

/// What the same key was used for before.
async fn earlier(tx: &mut Transaction<'static, Db>, scope: &Scope, new: &NewJob) -> Result<Option<Submitted>, Error> {
    let Some(idempotency) = &new.idempotency else { return Ok(None) };
    let sql = concat!("SELECT ", columns!(), " FROM job WHERE tenant_id = $1 AND app_id = $2 AND idempotency_key = $3");
    let query = sqlx::query(sql).bind(scope.tenant.as_str()).bind(scope.app.as_str()).bind(&idempotency.key);
    let Some(found) = query.fetch_optional(&mut **tx).await? else { return Ok(None) };
    row::same_request(&found, idempotency).map(Some)
}
