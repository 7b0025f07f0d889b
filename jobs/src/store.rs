//! What callers do with jobs.
//!
//! Invariant: nothing here is called without a [`Scope`], and a job of another scope is the same as no job at all.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::decide::Decision;
use crate::{AppId, Entry, Error, Job, JobId, NewJob, Scope, State, Tenant, Watch};

/// Jobs of tenants. Cancel safety: a call that is dropped has either happened whole or not at all.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes a job and tells the queue of it, both or neither.
    async fn submit(&self, scope: &Scope, new: NewJob) -> Result<Submitted, Error>;

    async fn get(&self, scope: &Scope, id: JobId) -> Result<Option<Job>, Error>;

    /// Newest first.
    async fn list(&self, scope: &Scope, filter: &Filter) -> Result<Listed, Error>;

    /// Cancels a job that waits, or asks for it where a worker has it. `None` where there is no such job.
    async fn cancel(&self, scope: &Scope, id: JobId) -> Result<Option<Cancel>, Error>;

    /// Queues a failed or dead job again, with its attempts counted from zero.
    async fn replay(&self, scope: &Scope, id: JobId) -> Result<Option<Replay>, Error>;

    /// Entries after a sequence number, oldest first, at most [`ENTRIES_MAX`] of them. Empty also where there is no such job.
    async fn events(&self, scope: &Scope, id: JobId, after: u64) -> Result<Vec<Entry>, Error>;

    /// Starts to watch a job, to be waited on after the first look.
    fn watch(&self, id: JobId) -> Watch;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), Error>;
}

/// Who may use what. Operators do this, by a role that callers' requests do not have.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// From now on the tenant may use these apps and no others.
    async fn admit(&self, tenant: &Tenant, apps: &[AppId]) -> Result<(), Error>;
}

/// What has to be done now and then, for all tenants.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Forgets jobs that ended longer ago than this, at most so many, and gives how many. Their blobs are left to the sweep.
    ///
    /// An idempotency key counts as long as its job is remembered, so `age` is a day at least.
    async fn retire(&self, age: Duration, limit: u32) -> Result<u32, Error>;

    /// Which of these paths some row refers to.
    async fn referenced(&self, paths: &[String]) -> Result<HashSet<String>, Error>;
}

/// The shortest that a job is remembered after its end.
pub const REMEMBERED_MIN: Duration = Duration::from_hours(24);

/// The most entries of one answer of [`Store::events`].
pub const ENTRIES_MAX: u32 = 500;

/// The most jobs on one page.
pub const PAGE_MAX: u32 = 200;

/// What became of a submission.
#[derive(Debug, Clone)]
pub enum Submitted {
    Created(Job),
    /// The key was used for the same request: this is its job.
    Existing(Job),
    /// The key was used for another request.
    Conflict,
}

/// What became of a cancel.
#[derive(Debug, Clone)]
pub enum Cancel {
    /// Nobody had it; it is cancelled.
    Cancelled(Job),
    /// A worker has it and will be told; it will end as cancelled.
    Requested(Job),
    /// It was over before.
    Over(Job),
}

/// What became of a replay.
#[derive(Debug, Clone)]
pub enum Replay {
    Queued(Job),
    /// It is neither failed nor dead.
    Refused(Job),
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<State>,
    /// Where the last page ended.
    pub after: Option<Cursor>,
    /// Bounded by [`PAGE_MAX`]; 0 is taken as 50.
    pub limit: u32,
}

/// One page.
#[derive(Debug, Clone)]
pub struct Listed {
    pub jobs: Vec<Job>,
    /// Where the next page starts, if there is one.
    pub next: Option<Cursor>,
}

/// A place in a list, opaque to callers. It says where, never whose: the list that it is used on is always the caller's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(crate) JobId);

/// A text that is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor")]
pub struct BadCursor;

// === impl Filter ===

impl Filter {
    pub(crate) fn page(&self) -> u32 {
        if self.limit == 0 { 50 } else { self.limit.min(PAGE_MAX) }
    }
}

impl Listed {
    /// A page out of one row more than it has.
    pub(crate) fn page(mut jobs: Vec<Job>, page: u32) -> Self {
        let page = page as usize;
        let more = jobs.len() > page;
        jobs.truncate(page);
        let next = jobs.last().filter(|_| more).map(|last| Cursor(last.id));
        Self { jobs, next }
    }
}

impl Cancel {
    /// By how the job stands after it.
    pub(crate) fn told(job: Job, decision: &Decision) -> Self {
        match decision {
            Decision::Move(..) if job.state == State::Cancelled => Self::Cancelled(job),
            Decision::Move(..) | Decision::Hold(_) => Self::Requested(job),
            // Asked for before, and not over yet.
            Decision::Stay | Decision::Fenced if job.state.is_held() => Self::Requested(job),
            Decision::Stay | Decision::Fenced => Self::Over(job),
        }
    }
}

// === impl Cursor ===

/// The format of cursors, so that a later one can be told from it.
const CURSOR_V1: u8 = 1;

impl Cursor {
    pub fn encode(self) -> String {
        let mut bytes = [CURSOR_V1; 17];
        bytes[1..].copy_from_slice(self.0.0.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn decode(text: &str) -> Result<Self, BadCursor> {
        if text.len() > 32 {
            return Err(BadCursor);
        }
        match URL_SAFE_NO_PAD.decode(text).as_deref() {
            Ok([CURSOR_V1, id @ ..]) => Uuid::from_slice(id).map(|id| Self(JobId(id))).ok().ok_or(BadCursor),
            Ok(_) | Err(_) => Err(BadCursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let cursor = Cursor(JobId::new());
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        let long = "A".repeat(1_000_000);
        for bad in ["", "AQ", "****", "AgAAAAAAAAAAAAAAAAAAAAA", "' OR 1=1 --", long.as_str()] {
            assert_eq!(Cursor::decode(bad), Err(BadCursor), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
