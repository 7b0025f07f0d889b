//! The clock and the locks that the shell stands on.
//!
//! Invariant: the shell reaches time and locks through this file only, so that it can be compiled a second time over a
//! model checker's.

pub(super) use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

pub use tokio::time::Instant;

pub(super) fn now() -> Instant {
    Instant::now()
}

/// From `start` to `end`; zero where `end` is the earlier.
pub(super) fn between(start: Instant, end: Instant) -> Duration {
    end.saturating_duration_since(start)
}

pub(super) async fn sleep_until(end: Instant) {
    tokio::time::sleep_until(end).await;
}
