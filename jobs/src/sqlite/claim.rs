//! What workers do with the embedded store.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite as Db, Transaction};
use tokio::time::Instant;

use super::{Attached, Sqlite, append, now, write};
use crate::bell::Ring;
use crate::decide::{Act, Ask, Decision, Micros, decide, lapsed};
use crate::known::Known;
use crate::row::{self, columns, micros};
use crate::{
    Abandon, AppId, Claimed, Error, Failure, Job, JobId, Lease, Message, Outcome, Queue, Reaped, Renewed, Scope, State,
    Stats, Tenant, Watch,
};

#[async_trait]
impl Queue for Sqlite {
    async fn enqueue(&self, message: &Message) -> Result<(), Error> {
        // The row is the message; there is only somebody to wake.
        self.bell.ring(Ring::Queue(message.scope.app.clone()));
        Ok(())
    }

    async fn claim(&self, app: &AppId, worker: &str, lease: Duration) -> Result<Option<Claimed>, Error> {
        let before = Instant::now();
        let mut tx = self.begin().await?;
        let at = now();
        let Some(found) = next(&mut tx, app, self.turn(app).as_deref(), at).await? else { return Ok(None) };
        let job = row::job(&found)?;
        let ask = Ask::Claim { until: at + micros(lease) };
        let Decision::Move(next, kind) = decide(&row::decisive(&found)?, &ask, at) else {
            return Err(Error::Corrupt(format!("job {} is due and cannot be claimed", job.id)));
        };
        let with = Attached { worker: Some(worker.to_owned()), ..Attached::default() };
        write(&mut tx, &job.scope, job.id, &next, &with).await?;
        append(&mut tx, &job.scope, job.id, &next, kind, None).await?;
        tx.commit().await?;
        self.served(&job.scope);
        let job = Job { state: next.state, attempts: next.attempts, ..job };
        self.tell(&job);
        let lease = Lease {
            scope: job.scope.clone(),
            job: job.id,
            token: next.token,
            until: before + lease,
            known: Known::default(),
        };
        Ok(Some(Claimed { job, lease }))
    }

    async fn start(&self, lease: &Lease) -> Result<(), Error> {
        self.held(lease, Act::Start, Attached::default()).await.map(|_| ())
    }

    async fn renew(&self, lease: &Lease, extend: Duration) -> Result<Renewed, Error> {
        let before = Instant::now();
        let job = self.held(lease, Act::Renew { until: now() + micros(extend) }, Attached::default()).await?;
        let lease = Lease { until: before + extend, ..lease.clone() };
        Ok(Renewed { lease, cancel_requested: job.cancel_requested })
    }

    async fn complete(&self, lease: &Lease, outcome: Outcome) -> Result<State, Error> {
        let (act, with) = match outcome {
            Outcome::Succeeded(result) => {
                let text = row::result(&result)?;
                (Act::Succeed, Attached { result: Some(text), artifacts: result.artifacts, ..Attached::default() })
            }
            Outcome::Failed(failure) => (Act::Fail, Attached { failure: Some(failure), ..Attached::default() }),
            Outcome::Cancelled => (Act::Stop, Attached::default()),
        };
        Ok(self.held(lease, act, with).await?.state)
    }

    async fn abandon(&self, lease: &Lease, how: Abandon) -> Result<State, Error> {
        let (act, with) = match how {
            Abandon::Return => (Act::Return, Attached::default()),
            Abandon::Retry { failure, after } => {
                let due_at = now() + micros(after);
                (Act::Retry { due_at }, Attached { failure: Some(failure), ..Attached::default() })
            }
        };
        Ok(self.held(lease, act, with).await?.state)
    }

    async fn dead_letter(&self, lease: &Lease, why: Failure) -> Result<State, Error> {
        Ok(self.held(lease, Act::Bury, Attached { failure: Some(why), ..Attached::default() }).await?.state)
    }

    fn watch_queue(&self, app: &AppId) -> Watch {
        self.bell.watch(Ring::Queue(app.clone()))
    }

    async fn reap(&self, limit: u32) -> Result<Reaped, Error> {
        let sql = "SELECT tenant_id, app_id, id FROM job WHERE lease_until <= $1 ORDER BY lease_until LIMIT $2";
        let rows = sqlx::query(sql).bind(now()).bind(i64::from(limit)).fetch_all(&self.readers).await?;
        let mut reaped = Reaped::default();
        for row in rows {
            // Each in a transaction of its own: one row that cannot be read must not keep the others.
            match self.lapse(&row).await {
                Ok(Some(state)) => reaped.count(state),
                Ok(None) => {}
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => tracing::error!(%error, "a job whose lease has ended cannot be taken back"),
            }
        }
        Ok(reaped)
    }

    async fn stats(&self, app: &AppId) -> Result<Stats, Error> {
        let at = now();
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM job WHERE app_id = $1 AND state = 'queued' AND due_at <= $2) AS ready, \
             (SELECT count(*) FROM job WHERE app_id = $1 AND state = 'queued' AND due_at > $2) AS scheduled, \
             (SELECT count(*) FROM job WHERE app_id = $1 AND lease_until IS NOT NULL) AS held, \
             (SELECT count(*) FROM job WHERE app_id = $1 AND state = 'dead') AS dead, \
             (SELECT min(due_at) FROM job WHERE app_id = $1 AND state = 'queued' AND due_at <= $2) AS oldest",
        )
        .bind(app.as_str())
        .bind(at)
        .fetch_one(&self.readers)
        .await?;
        row::stats(&row, at)
    }
}

impl Sqlite {
    /// A call of a lease's holder.
    async fn held(&self, lease: &Lease, act: Act, with: Attached) -> Result<Job, Error> {
        match self.change(&lease.scope, lease.job, &Ask::Held(lease.token, act), with).await? {
            Some((job, Decision::Move(..) | Decision::Hold(_) | Decision::Stay)) => Ok(job),
            Some((_, Decision::Fenced)) | None => Err(Error::Fenced),
        }
    }

    async fn lapse(&self, row: &SqliteRow) -> Result<Option<State>, Error> {
        let scope = Scope {
            tenant: Tenant::new(&row.try_get::<String, _>("tenant_id")?)
                .map_err(|bad| Error::Corrupt(bad.to_string()))?,
            app: AppId::new(&row.try_get::<String, _>("app_id")?).map_err(|bad| Error::Corrupt(bad.to_string()))?,
        };
        let id = JobId(row.try_get("id")?);
        let mut tx = self.begin().await?;
        // Not by what its tenant may see: a tenant that was shut out has its workers' leases taken back all the same.
        let sql = concat!("SELECT ", columns!(), " FROM job WHERE tenant_id = $1 AND id = $2");
        let Some(found) = sqlx::query(sql).bind(scope.tenant.as_str()).bind(id.0).fetch_optional(&mut *tx).await?
        else {
            return Ok(None);
        };
        let Decision::Move(next, kind) = decide(&row::decisive(&found)?, &Ask::Lapse, now()) else { return Ok(None) };
        let with = Attached { failure: Some(lapsed()), ..Attached::default() };
        write(&mut tx, &scope, id, &next, &with).await?;
        append(&mut tx, &scope, id, &next, kind, with.failure.as_ref()).await?;
        tx.commit().await?;
        self.bell.ring(Ring::Job(id));
        if next.state == State::Queued {
            self.bell.ring(Ring::Queue(scope.app));
        }
        Ok(Some(next.state))
    }
}

/// The job to be claimed next: of the tenant after the one that was served last, in the order of their names and round again; where
/// nobody was served yet, the one that has waited longest.
async fn next(
    tx: &mut Transaction<'static, Db>,
    app: &AppId,
    served: Option<&str>,
    at: Micros,
) -> Result<Option<SqliteRow>, Error> {
    const OLDEST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM job WHERE app_id = $1 AND state = 'queued' AND due_at <= $2 AND $3 = '' ORDER BY due_at, id LIMIT 1"
    );
    const AFTER: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM job WHERE app_id = $1 AND state = 'queued' AND due_at <= $2 AND tenant_id > $3 \
         ORDER BY tenant_id, due_at, id LIMIT 1"
    );
    let places: &[(&'static str, &str)] = match served {
        Some(served) => &[(AFTER, served), (AFTER, "")],
        None => &[(OLDEST, "")],
    };
    for (sql, after) in places {
        let query = sqlx::query(*sql).bind(app.as_str()).bind(at).bind(*after);
        if let Some(found) = query.fetch_optional(&mut **tx).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
