//! What workers do with Postgres.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use tokio::time::Instant;

use super::{Attached, Postgres};
use crate::bell::Ring;
use crate::decide::{Act, lapsed};
use crate::known::Known;
use crate::row::{self, columns, json, micros};
use crate::{
    Abandon, AppId, Claimed, Error, Failure, JobId, Lease, Message, Outcome, Queue, Reaped, Renewed, State, Stats,
    Watch,
};

#[async_trait]
impl Queue for Postgres {
    async fn enqueue(&self, message: &Message) -> Result<(), Error> {
        // The row is the message; there is only somebody to wake.
        self.bell.ring(Ring::Queue(message.scope.app.clone()));
        Ok(())
    }

    async fn claim(&self, app: &AppId, worker: &str, lease: Duration) -> Result<Option<Claimed>, Error> {
        let before = Instant::now();
        let sql = concat!("SELECT ", columns!(), " FROM claim_job($1, $2, $3, $4)");
        let query = sqlx::query(sql).bind(app.as_str()).bind(self.turn(app)).bind(worker).bind(micros(lease));
        let Some(claimed) = self.all(query).await?.pop() else { return Ok(None) };
        let job = row::job(&claimed)?;
        self.served(&job.scope);
        self.bell.ring(Ring::Job(job.id));
        let row = row::decisive(&claimed)?;
        let lease = Lease {
            scope: job.scope.clone(),
            job: job.id,
            token: row.token,
            until: before + lease,
            known: Known::new(&row),
        };
        Ok(Some(Claimed { job, lease }))
    }

    async fn start(&self, lease: &Lease) -> Result<(), Error> {
        self.held(lease, |_| Act::Start, Attached::default()).await.map(|_| ())
    }

    async fn renew(&self, lease: &Lease, extend: Duration) -> Result<Renewed, Error> {
        let before = Instant::now();
        let act = |now| Act::Renew { until: now + micros(extend) };
        let row = self.held(lease, act, Attached::default()).await?;
        let lease = Lease { until: before + extend, ..lease.clone() };
        Ok(Renewed { lease, cancel_requested: row.cancel_requested })
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
        Ok(self.held(lease, |_| act.clone(), with).await?.state)
    }

    async fn abandon(&self, lease: &Lease, how: Abandon) -> Result<State, Error> {
        let row = match how {
            Abandon::Return => self.held(lease, |_| Act::Return, Attached::default()).await?,
            Abandon::Retry { failure, after } => {
                let act = |now| Act::Retry { due_at: now + micros(after) };
                self.held(lease, act, Attached { failure: Some(failure), ..Attached::default() }).await?
            }
        };
        Ok(row.state)
    }

    async fn dead_letter(&self, lease: &Lease, why: Failure) -> Result<State, Error> {
        let with = Attached { failure: Some(why), ..Attached::default() };
        Ok(self.held(lease, |_| Act::Bury, with).await?.state)
    }

    fn watch_queue(&self, app: &AppId) -> Watch {
        self.bell.watch(Ring::Queue(app.clone()))
    }

    async fn reap(&self, limit: u32) -> Result<Reaped, Error> {
        let sql = "SELECT tenant_id, app_id, id FROM lapsed_jobs($1)";
        let rows = self.all(sqlx::query(sql).bind(i64::from(limit))).await?;
        let why = json(&lapsed())?;
        let mut reaped = Reaped::default();
        for row in rows {
            let id = JobId(row.try_get("id")?);
            let tenant: String = row.try_get("tenant_id")?;
            // Each by itself: what cannot be taken back must not keep the others.
            let query = sqlx::query("SELECT lapse_job($1, $2, $3, $4) AS state");
            let query = query.bind(tenant).bind(id.0).bind(&why).bind(self.outbox);
            let state: Option<String> = self.one(query).await?.try_get("state")?;
            let Some(state) = state.as_deref().and_then(State::named) else { continue };
            reaped.count(state);
            self.bell.ring(Ring::Job(id));
            if let (State::Queued, Ok(app)) = (state, AppId::new(&row.try_get::<String, _>("app_id")?)) {
                self.bell.ring(Ring::Queue(app));
            }
        }
        Ok(reaped)
    }

    async fn stats(&self, app: &AppId) -> Result<Stats, Error> {
        let query =
            sqlx::query("SELECT ready, scheduled, held, dead, oldest, now_at FROM queue_stats($1)").bind(app.as_str());
        let row = self.one(query).await?;
        row::stats(&row, row::now(&row)?)
    }
}
