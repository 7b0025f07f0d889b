//! The right to work on one job: renewed by a task of its own, and given up by this machine's clock before the queue takes it.
//!
//! Invariant: [`Keeper::is_trusted`] is false from two thirds of the lease on, counted from before the last renewal was asked for,
//! whatever has become of the task that renews.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Lease, Queue};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why the work has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The caller does not want it any more.
    Cancelled,
    /// The lease is lost, or cannot be trusted any more.
    Lost,
}

/// Keeps a lease while it lives.
#[derive(Debug)]
pub struct Keeper {
    state: watch::Receiver<State>,
    lease: Duration,
    end: CancellationToken,
}

#[derive(Debug, Clone)]
struct State {
    lease: Lease,
    stop: Option<Stop>,
}

impl Keeper {
    /// Starts to renew.
    pub fn start(queue: Arc<dyn Queue>, claimed: Lease, lease: Duration, renew_every: Duration) -> Self {
        let (tell, state) = watch::channel(State { lease: claimed, stop: None });
        let end = CancellationToken::new();
        tokio::spawn(end.clone().run_until_cancelled_owned(renew(queue, tell, lease, renew_every)));
        Self { state, lease, end }
    }

    /// The lease as it stands.
    pub fn lease(&self) -> Lease {
        self.state.borrow().lease.clone()
    }

    /// Whether anything may be written yet.
    pub fn is_trusted(&self) -> bool {
        let state = self.state.borrow();
        state.stop != Some(Stop::Lost) && Instant::now() < trusted_until(&state.lease, self.lease)
    }

    /// Waits until the work has to stop. Cancel safe.
    pub async fn stopped(&self) -> Stop {
        let mut state = self.state.clone();
        loop {
            let (stop, until) = {
                let state = state.borrow_and_update();
                (state.stop, trusted_until(&state.lease, self.lease))
            };
            if let Some(stop) = stop {
                return stop;
            }
            tokio::select! {
                // The task that renews has ended with a word, or else with the process.
                changed = state.changed() => if changed.is_err() { return Stop::Lost },
                () = tokio::time::sleep_until(until) => return Stop::Lost,
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Two thirds of the lease: the last third is for clocks that differ, and for a write that is under way.
fn trusted_until(lease: &Lease, length: Duration) -> Instant {
    lease.until.checked_sub(length / 3).unwrap_or(lease.until)
}

async fn renew(queue: Arc<dyn Queue>, tell: watch::Sender<State>, length: Duration, every: Duration) {
    let mut pause = every;
    loop {
        tokio::time::sleep(pause).await;
        let lease = tell.borrow().lease.clone();
        if Instant::now() >= trusted_until(&lease, length) {
            tell.send_modify(|state| state.stop = Some(Stop::Lost));
            return;
        }
        // An answer that does not come is not waited for until the lease is lost: the next try may find a better way to the queue.
        let Ok(answer) = tokio::time::timeout(every, queue.renew(&lease, length)).await else {
            tracing::warn!(job_id = %lease.job, "a lease is not renewed in time; trying again");
            pause = Duration::ZERO;
            continue;
        };
        match answer {
            Ok(renewed) => {
                pause = every;
                let stop = renewed.cancel_requested.then_some(Stop::Cancelled);
                tell.send_modify(|state| *state = State { lease: renewed.lease, stop });
                if stop.is_some() {
                    return;
                }
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, job_id = %lease.job, "a lease cannot be renewed; trying again");
                pause = every / 4;
            }
            Err(error) => {
                tracing::warn!(%error, job_id = %lease.job, "a lease is lost");
                tell.send_modify(|state| state.stop = Some(Stop::Lost));
                return;
            }
        }
    }
}
