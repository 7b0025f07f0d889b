//! The worker: takes jobs of an app from the queue, has the gateway solve them in the batch lane, and records what came of each once.
//!
//! - [`attempt`]: one job, from its claim to what is written of it; [`lease`]: the right to work on it, renewed in a task of its own.
//! - [`gateway`]: the one way to a solve; [`verdict`]: what an answer means for the job, a pure table.
//! - `upkeep`: what is done now and then by whichever worker comes to it.
//!
//! Invariant: nothing is written of a job after its lease is no longer trusted, and every write carries the lease's token, so that the
//! queue refuses what a worker writes that does not know it yet.

pub mod attempt;
pub mod config;
pub mod gateway;
pub mod health;
pub mod lease;
mod level;
mod upkeep;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use jobs::{AppId, Artifacts, Claimed, Queue, ServiceBus, Upkeep};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use attempt::Attempt;
use gateway::Gateway;
use health::Metrics;

/// What a worker is made of.
#[derive(Clone)]
pub struct Parts {
    pub queue: Arc<dyn Queue>,
    /// The same database, as its keeper sees it.
    pub upkeep: Arc<dyn Upkeep>,
    /// The broker that tells of jobs, where there is one: it is told of them from here as well as from the API.
    pub broker: Option<Arc<ServiceBus>>,
    pub artifacts: Artifacts,
    pub gateway: Gateway,
    /// The apps whose queues it serves.
    pub apps: Vec<AppId>,
    /// Who it is, for the rows.
    pub name: String,
    pub tracer: trace::Tracer,
    pub bounds: Bounds,
}

/// How long things may take, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a job is leased for. No work is done on one in the last third of it.
    pub lease: Duration,
    pub renew_every: Duration,
    /// The longest that one attempt may take.
    pub job_timeout: Duration,
    /// Jobs that run at one time, over all apps.
    pub at_once: usize,
    /// How long running jobs may take after a stop; what is left then is given back.
    pub drain: Duration,
    /// The largest answer that is taken.
    pub answer_bytes_max: usize,
    /// How often old jobs are forgotten and orphaned blobs removed.
    pub upkeep_every: Duration,
    /// How long a job is remembered after its end.
    pub retention: Duration,
    /// How old a blob must be that no job names before it is removed.
    pub orphan_grace: Duration,
}

/// After a failure of the queue itself.
const PAUSE: Duration = Duration::from_secs(1);

impl Default for Bounds {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew_every: Duration::from_secs(8),
            job_timeout: Duration::from_mins(10),
            at_once: 4,
            drain: Duration::from_secs(20),
            answer_bytes_max: 64 << 20,
            upkeep_every: Duration::from_hours(1),
            retention: Duration::from_hours(30 * 24),
            orphan_grace: Duration::from_hours(24),
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("apps", &self.apps).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Works until `stop`, then lets what runs finish within the drain, and gives back the rest.
pub async fn run(parts: Parts, metrics: Metrics, stop: CancellationToken) {
    let parts = Arc::new(parts);
    let places = Arc::new(Semaphore::new(parts.bounds.at_once));
    let tracker = TaskTracker::new();
    // Cancelled when the time to drain is over.
    let give_up = CancellationToken::new();
    let mut loops = tokio::task::JoinSet::new();
    for app in parts.apps.clone() {
        let (parts, metrics, places) = (Arc::clone(&parts), metrics.clone(), Arc::clone(&places));
        let (tracker, stop, give_up) = (tracker.clone(), stop.clone(), give_up.clone());
        loops.spawn(async move {
            while let Some((claimed, place)) = next(&parts, &places, &app, &stop).await {
                let attempt = Attempt { parts: Arc::clone(&parts), metrics: metrics.clone(), give_up: give_up.clone() };
                tracker.spawn(async move {
                    attempt.make(claimed).await;
                    drop(place);
                });
            }
        });
    }
    // To the end of the drain: what is given back is told of.
    let relay =
        parts.broker.clone().map(|broker| AbortOnDropHandle::new(tokio::spawn(async move { broker.relay().await })));
    loops.spawn(upkeep::take_back(Arc::clone(&parts), metrics.clone(), stop.clone()));
    loops.spawn(upkeep::ask_promises(Arc::clone(&parts), metrics.clone(), stop.clone()));
    loops.spawn(upkeep::tidy(Arc::clone(&parts), metrics, stop.clone()));
    while loops.join_next().await.is_some() {}
    tracker.close();
    if tokio::time::timeout(parts.bounds.drain, tracker.wait()).await.is_err() {
        tracing::warn!(jobs = tracker.len(), "the time to drain is over; what runs is given back");
        give_up.cancel();
        // Giving back is one write each; a store that hangs is left alone, and the leases lapse.
        let _ = tokio::time::timeout(parts.bounds.renew_every, tracker.wait()).await;
    }
    drop(relay);
}

/// The next job of an app, with a place to run it in. None when it is time to stop.
///
/// A claim is not cancelled by the stop: one that was made is one that must be given back.
async fn next(
    parts: &Parts,
    places: &Arc<Semaphore>,
    app: &AppId,
    stop: &CancellationToken,
) -> Option<(Claimed, tokio::sync::OwnedSemaphorePermit)> {
    loop {
        // A place first: a job that is claimed runs at once.
        let place = stop.run_until_cancelled(Arc::clone(places).acquire_owned()).await?.ok()?;
        let mut watch = parts.queue.watch_queue(app);
        match parts.queue.claim(app, &parts.name, parts.bounds.lease).await {
            Ok(Some(claimed)) => return Some((claimed, place)),
            Ok(None) => {
                drop(place);
                stop.run_until_cancelled(watch.changed(PAUSE)).await?;
            }
            Err(error) => {
                drop(place);
                tracing::warn!(%error, app_id = %app, "the queue cannot be asked");
                stop.run_until_cancelled(tokio::time::sleep(verdict::jittered(PAUSE))).await?;
            }
        }
    }
}
