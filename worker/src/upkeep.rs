//! What is done now and then by whichever worker comes to it: jobs of workers that vanished are taken back, old jobs are forgotten,
//! and blobs that no job names are removed.
//!
//! Several workers may do the same at one time: each step is harmless when it is done twice, and pauses differ by chance.
//!
//! Invariant: a stop ends it between two steps, and a failure ends one turn, never the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Parts;
use crate::health::Metrics;
use crate::verdict::jittered;

/// The jobs that one look for lapsed leases takes back.
const REAP_MAX: u32 = 100;
/// The jobs that one statement forgets.
const RETIRE_MAX: u32 = 500;
/// How often a gateway is asked for its promises, and how soon again when it did not answer.
const ASK_EVERY: Duration = Duration::from_mins(1);
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The statements of one turn: what is left then waits for the next.
const RETIRE_TURNS_MAX: u32 = 100;

/// Takes back what workers that vanished have left.
pub(crate) async fn take_back(parts: Arc<Parts>, metrics: Metrics, stop: CancellationToken) {
    let pause = || tokio::time::sleep(jittered(parts.bounds.renew_every));
    while stop.run_until_cancelled(pause()).await.is_some() {
        match parts.queue.reap(REAP_MAX).await {
            Ok(reaped) => {
                metrics.kept_up("requeued", reaped.requeued.into());
                metrics.kept_up("dead", reaped.dead.into());
                metrics.kept_up("cancelled", reaped.cancelled.into());
                if reaped.total() > 0 {
                    tracing::warn!(
                        requeued = reaped.requeued,
                        dead = reaped.dead,
                        cancelled = reaped.cancelled,
                        "took back jobs whose worker was not heard of"
                    );
                }
            }
            Err(error) => {
                metrics.kept_up("failed", 1);
                tracing::warn!(%error, "leases that lapsed cannot be looked for");
            }
        }
    }
}

/// Asks the gateway what is promised of jobs, now and then, as policies change while it serves.
pub(crate) async fn ask_promises(parts: Arc<Parts>, metrics: Metrics, stop: CancellationToken) {
    let mut wait = ASK_AGAIN;
    while let Some(asked) = stop.run_until_cancelled(parts.gateway.promises()).await {
        wait = match asked {
            Ok(promises) => {
                metrics.promise(&parts.apps, promises);
                ASK_EVERY
            }
            Err(refusal) => {
                tracing::debug!(?refusal, "the gateway does not say what is promised of jobs");
                // Longer each time, so that a gateway in trouble is not asked by every worker each second.
                (wait * 2).min(ASK_EVERY)
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(jittered(wait))).await.is_none() {
            return;
        }
    }
}

/// Forgets old jobs, then removes the blobs that nothing names any more.
pub(crate) async fn tidy(parts: Arc<Parts>, metrics: Metrics, stop: CancellationToken) {
    let pause = || tokio::time::sleep(jittered(parts.bounds.upkeep_every));
    while stop.run_until_cancelled(pause()).await.is_some() {
        retire(&parts, &metrics, &stop).await;
        let sweep = parts.artifacts.sweep(&*parts.upkeep, parts.bounds.orphan_grace);
        // A sweep that is dropped keeps what it has removed.
        match stop.run_until_cancelled(sweep).await {
            None => {}
            Some(Ok(swept)) => {
                metrics.kept_up("swept", swept.removed);
                tracing::info!(seen = swept.seen, removed = swept.removed, bytes = swept.bytes, "swept the artifacts");
            }
            Some(Err(error)) => {
                metrics.kept_up("failed", 1);
                tracing::warn!(?error, "the artifacts cannot be swept");
            }
        }
    }
}

async fn retire(parts: &Parts, metrics: &Metrics, stop: &CancellationToken) {
    for _ in 0..RETIRE_TURNS_MAX {
        match parts.upkeep.retire(parts.bounds.retention, RETIRE_MAX).await {
            Ok(retired) => {
                metrics.kept_up("retired", retired.into());
                if retired < RETIRE_MAX || stop.is_cancelled() {
                    return;
                }
            }
            Err(error) => {
                metrics.kept_up("failed", 1);
                tracing::warn!(%error, "old jobs cannot be forgotten");
                return;
            }
        }
    }
    tracing::warn!("more old jobs than one turn forgets: the rest waits for the next");
}
