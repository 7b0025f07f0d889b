//! What workers do with jobs. One queue per app: `jobs-<app_id>`.
//!
//! A claim gives a [`Lease`]. Its token is larger than that of every lease before it, and each write names it: a worker that was stopped,
//! cut off or slow finds [`Error::Fenced`], and has changed nothing.
//!
//! Invariant: a lease is trusted for less time than the queue grants it, because the worker's time starts before it asks.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::known::Known;
use crate::{AppId, Error, Failure, Job, JobId, ResultRef, Scope, State, Watch};

/// A queue of jobs. Cancel safety: a call that is dropped has either happened whole or not at all; a claim that is dropped may leave
/// a lease that nobody has, which lapses.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Tells the queue of a job whose row is queued. Telling it twice is harmless.
    async fn enqueue(&self, message: &Message) -> Result<(), Error>;

    /// Takes a job that is due, of the tenant whose turn it is. `None` where nothing is due.
    async fn claim(&self, app: &AppId, worker: &str, lease: Duration) -> Result<Option<Claimed>, Error>;

    /// The solve starts.
    async fn start(&self, lease: &Lease) -> Result<(), Error>;

    /// Holds the job for so much longer, from now, and learns whether it was cancelled.
    async fn renew(&self, lease: &Lease, extend: Duration) -> Result<Renewed, Error>;

    /// Ends the job. Gives the state that it ended in: `cancelled` where a cancel was asked for, whatever the outcome.
    async fn complete(&self, lease: &Lease, outcome: Outcome) -> Result<State, Error>;

    /// Ends the attempt only. Gives the state that the job is left in: `dead` where no attempt is left.
    async fn abandon(&self, lease: &Lease, how: Abandon) -> Result<State, Error>;

    /// Ends the job as one that no further attempt would help.
    async fn dead_letter(&self, lease: &Lease, why: Failure) -> Result<State, Error>;

    /// Starts to watch an app's queue: to be had before a claim that finds nothing, and waited on after it.
    fn watch_queue(&self, app: &AppId) -> Watch;

    /// Takes jobs back whose lease has ended, at most so many. To be called now and then by whoever runs workers.
    async fn reap(&self, limit: u32) -> Result<Reaped, Error>;

    async fn stats(&self, app: &AppId) -> Result<Stats, Error>;
}

/// What a broker carries: names only, so that neither a message nor a broker's log tells anything of a tenant's data.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    #[serde(flatten)]
    pub scope: Scope,
    pub job: JobId,
    /// Which telling of the job this is: the same one twice is the same message.
    #[serde(skip)]
    pub turn: i64,
    /// Nobody is to be given it before so long.
    #[serde(skip)]
    pub wait: Duration,
}

/// A job, and the right to work on it for a while.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub job: Job,
    pub lease: Lease,
}

/// The right to work on a job.
#[derive(Debug, Clone)]
pub struct Lease {
    pub scope: Scope,
    pub job: JobId,
    /// The fencing token.
    pub token: i64,
    /// By this machine's own clock, counted from before the queue was asked: no work after it.
    pub until: Instant,
    /// The row, where the store keeps that with a lease.
    pub(crate) known: Known,
}

/// A lease that was renewed.
#[derive(Debug, Clone)]
pub struct Renewed {
    pub lease: Lease,
    /// The caller does not want it any more: stop, and complete as [`Outcome::Cancelled`].
    pub cancel_requested: bool,
}

/// How a job ends.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The artifacts are stored already.
    Succeeded(ResultRef),
    /// It would fail the same way again.
    Failed(Failure),
    /// The worker stopped because a cancel was asked for.
    Cancelled,
}

/// How an attempt ends without an end of the job.
#[derive(Debug, Clone)]
pub enum Abandon {
    /// Undone: the worker is going. The attempt does not count.
    Return,
    /// It failed in a way that may pass; not to be claimed again for so long.
    Retry { failure: Failure, after: Duration },
}

/// What [`Queue::reap`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    pub requeued: u32,
    pub dead: u32,
    pub cancelled: u32,
}

/// A queue in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Due, and nobody has them.
    pub ready: u64,
    /// Queued for later.
    pub scheduled: u64,
    /// A worker has them.
    pub held: u64,
    pub dead: u64,
    /// Since when the longest wait has lasted.
    pub oldest_age: Option<Duration>,
}

impl AppId {
    /// The name of the app's queue.
    pub fn queue_name(&self) -> String {
        format!("jobs-{self}")
    }
}

impl Reaped {
    pub(crate) fn count(&mut self, state: State) {
        match state {
            State::Dead => self.dead += 1,
            State::Cancelled => self.cancelled += 1,
            State::Queued | State::Leased | State::Running | State::Succeeded | State::Failed => self.requeued += 1,
        }
    }

    pub fn total(self) -> u32 {
        self.requeued + self.dead + self.cancelled
    }
}
