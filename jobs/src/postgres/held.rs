//! A call of a lease's holder: decided ahead of the row where the holder knows it, and written by one call that compares. Where the row is
//! another, it is locked, decided on and written as any change is.
//!
//! Invariant: [`crate::decide`] is the only judge. The database only says whether the row still is the one that was judged.

use sqlx::Row as _;

use super::pool::within;
use super::{Attached, Changed, Postgres};
use crate::bell::Ring;
use crate::decide::{Act, Ask, Decision, Micros, Row};
use crate::known::decide_ahead;
use crate::row::{self, json};
use crate::{Artifact, Error, Kind, Lease, State};

impl Postgres {
    /// Gives the row as the call leaves it, without its times.
    pub(super) async fn held(
        &self,
        lease: &Lease,
        act: impl Fn(Micros) -> Act + Send + Sync,
        with: Attached,
    ) -> Result<Row, Error> {
        let ask = |now| Ask::Held(lease.token, act(now));
        within(async {
            if let Some(row) = self.write_ahead(lease, ask, &with).await? {
                return Ok(row);
            }
            let changed = self.change_now(&lease.scope, lease.job, ask, &with).await?;
            let Some(Changed { job, decision, row, .. }) = changed else { return Err(Error::Fenced) };
            let row = match decision {
                Decision::Move(next, _) => {
                    self.tell(&job);
                    next
                }
                Decision::Hold(next) => next,
                Decision::Stay => row,
                Decision::Fenced => return Err(Error::Fenced),
            };
            lease.known.learn(&row);
            Ok(row)
        })
        .await
    }

    /// None where the row is not known, or is not the known one, or its lease has ended: then nothing is written.
    async fn write_ahead(
        &self,
        lease: &Lease,
        ask: impl FnOnce(Micros) -> Ask + Send,
        with: &Attached,
    ) -> Result<Option<Row>, Error> {
        let Some(known) = lease.known.row() else { return Ok(None) };
        let (next, kind) = match decide_ahead(&known, ask) {
            Decision::Move(next, kind) => (next, Some(kind)),
            Decision::Hold(next) => (next, None),
            Decision::Stay | Decision::Fenced => return Ok(None),
        };
        // On the heap: with the way of a row that is another beside it, it is large.
        if !Box::pin(self.move_held(lease, &known, (&next, kind), with)).await? {
            return Ok(None);
        }
        lease.known.learn(&next);
        if kind.is_some() {
            self.bell.ring(Ring::Job(lease.job));
            // As the trigger of the histories tells what others write.
            if !next.state.is_held() {
                self.teller.tell(Ring::Job(lease.job));
            }
            if next.state == State::Queued {
                self.bell.ring(Ring::Queue(lease.scope.app.clone()));
                self.teller.tell(Ring::Queue(lease.scope.app.clone()));
            }
        }
        Ok(Some(next))
    }

    async fn move_held(
        &self,
        lease: &Lease,
        known: &Row,
        (next, kind): (&Row, Option<Kind>),
        with: &Attached,
    ) -> Result<bool, Error> {
        const SQL: &str = "SELECT move_held_job($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
                           $18, $19, $20, $21) AS written";
        let each = |part: fn(&Artifact) -> &str| with.artifacts.iter().map(part).collect::<Vec<_>>();
        let query = sqlx::query(SQL)
            .bind(lease.scope.tenant.as_str())
            .bind(lease.scope.app.as_str())
            .bind(lease.job.0)
            .bind(known.token)
            .bind(known.seq)
            .bind(next.state.as_str())
            .bind(i64::from(next.attempts))
            .bind(next.lease_until)
            .bind(next.due_at)
            .bind(next.started_at)
            .bind(next.finished_at)
            .bind(next.seq)
            .bind(kind.map(Kind::as_str))
            .bind(with.failure.as_ref().map(|failure| failure.code.as_str()))
            .bind(with.failure.as_ref().map(json).transpose()?)
            .bind(with.result.as_deref().filter(|_| next.state == State::Succeeded))
            .bind(each(|artifact| &artifact.path))
            .bind(each(|artifact| &artifact.digest))
            .bind(with.artifacts.iter().map(|artifact| row::length(artifact.bytes)).collect::<Vec<_>>())
            .bind(each(|artifact| &artifact.media_type))
            .bind(self.outbox);
        Ok(self.one(query).await?.try_get("written")?)
    }
}
