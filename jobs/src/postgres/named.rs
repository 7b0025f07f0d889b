//! Claiming a job that a message names.

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::Instant;

use super::{Attached, Changed, Postgres};
use crate::decide::{Ask, Decision, lapsed};
use crate::known::Known;
use crate::row::{json, micros};
use crate::{AppId, Claimed, Error, JobId, Lease, Scope, State};

/// What there is to do about a job that a message names.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, taken apart where it comes")]
pub(crate) enum Named {
    Claimed(Claimed),
    /// It is not due, or somebody holds it: to be looked at again after so long.
    Later(Duration),
    /// It has ended, or is not there.
    Over,
}

/// A job that somebody holds is looked at again so long after its lease's end.
const AFTER_LEASE: Duration = Duration::from_secs(1);

impl Postgres {
    /// Claims the job if it is due and nobody has it. One whose lease has ended is taken back first.
    pub(crate) async fn claim_named(
        &self,
        scope: &Scope,
        id: JobId,
        worker: &str,
        lease: Duration,
    ) -> Result<Named, Error> {
        // A second look, after one that took the job back.
        for _ in 0..2 {
            let before = Instant::now();
            let ask = |now| Ask::Claim { until: now + micros(lease) };
            let with = Attached { worker: Some(worker.to_owned()), ..Attached::default() };
            let Some(Changed { job, decision, row, now }) = self.change(scope, id, ask, &with).await? else {
                return Ok(Named::Over);
            };
            if let Decision::Move(next, _) = decision {
                let lease = Lease {
                    scope: scope.clone(),
                    job: id,
                    token: next.token,
                    until: before + lease,
                    known: Known::new(&next),
                };
                return Ok(Named::Claimed(Claimed { job, lease }));
            }
            match row.state {
                State::Queued => return Ok(Named::Later(until(row.due_at, now))),
                State::Leased | State::Running => match row.lease_until {
                    Some(end) if end > now => return Ok(Named::Later(until(end, now) + AFTER_LEASE)),
                    Some(_) | None => self.lapse(scope, id).await?,
                },
                State::Succeeded | State::Failed | State::Dead | State::Cancelled => return Ok(Named::Over),
            }
        }
        // Somebody else was quicker.
        Ok(Named::Later(AFTER_LEASE))
    }

    /// Takes one job back whose lease has ended. Nobody is told of it but who has its message.
    async fn lapse(&self, scope: &Scope, id: JobId) -> Result<(), Error> {
        let lapse = sqlx::query("SELECT lapse_job($1, $2, $3, false)");
        self.one(lapse.bind(scope.tenant.as_str()).bind(id.0).bind(json(&lapsed())?)).await.map(|_| ())
    }

    /// Leaves messages in the outbox for jobs that have waited longer than this since the broker was last told, at most so many.
    pub(crate) async fn tell_again(&self, app: &AppId, older: Duration, limit: u32) -> Result<u32, Error> {
        let again = sqlx::query("SELECT outbox_again($1, $2, $3) AS told");
        let row = self.one(again.bind(app.as_str()).bind(micros(older)).bind(i64::from(limit))).await?;
        Ok(u32::try_from(row.try_get::<i64, _>("told")?).unwrap_or(limit))
    }
}

fn until(at: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}
