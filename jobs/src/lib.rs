//! Queued solves: the job model, its stores and queues, and the artifacts that jobs leave. No HTTP: the job API and the worker stand on this.
//!
//! - [`job`], [`state`]: what a job is, and the only moves it makes.
//! - [`Store`]: what callers do with jobs, always as one tenant in one app ([`Scope`]).
//! - [`Queue`]: what workers do with jobs. Each claim has a fencing token, and a write without the newest one is refused.
//! - [`Sqlite`]: both of these in one file of the process's own.
//! - [`Postgres`]: the same for many processes, with tenants held apart by row level security.
//! - [`ServiceBus`]: the same rows behind a broker, Azure Service Bus.
//! - [`open`], [`program`]: a store and a queue by what a program is told of them, and what programs share at their start.
//! - [`Artifacts`]: what solves leave, in a folder or in Azure, and links to it.
//!
//! Invariant: a job is published once. Whatever a worker writes is checked against its lease in the statement that writes.

pub mod artifacts;
mod bell;
mod decide;
mod error;
mod event;
pub mod job;
mod known;
mod migrate;
mod open;
pub mod postgres;
pub mod program;
mod queue;
mod row;
mod scope;
pub mod servicebus;
mod sqlite;
pub mod state;
mod store;

pub use artifacts::Artifacts;
pub use bell::Watch;
pub use error::Error;
pub use event::{Entry, Kind};
pub use job::{Artifact, Failure, Idempotency, Inputs, Job, JobId, NewJob, ResultRef};
pub use open::{Opened, Where, open};
pub use postgres::Postgres;
pub use queue::{Abandon, Claimed, Lease, Message, Outcome, Queue, Reaped, Renewed, Stats};
pub use scope::{AppId, BadName, NAME_BYTES_MAX, Scope, Tenant};
pub use servicebus::ServiceBus;
pub use sqlite::Sqlite;
pub use state::State;
pub use store::{
    BadCursor, Cancel, Cursor, ENTRIES_MAX, Filter, Listed, PAGE_MAX, REMEMBERED_MIN, Replay, Store, Submitted,
    Tenants, Upkeep,
};
