//! Sending: an open loop that keeps to its schedule whatever the answers do, and a closed one of callers in turn.
//!
//! Invariant: in the open loop a request's time runs from when it was due. Where all connections are busy the next ones
//! wait here, unsent, and that wait is part of their latency: a slow gateway cannot slow its own measurement down.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outcome::{Kind, Outcome};
use super::random::{Inputs, REPEATED, Random};
use super::schedule::Schedule;
use super::tally::{Moments, Tally};
use super::tenants::Tenant;
use super::variation::Variation;
use super::wire::{Call, Wire};

/// Arrivals on their way from the clock to a connection; those beyond stay in the schedule.
const ARRIVALS_MAX: usize = 1024;
/// How soon the clock sees that nobody listens any more.
const CLOCK_STEP: Duration = Duration::from_millis(50);
/// A caller whose connection failed tries again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) wire: Wire,
    /// Path and query of the solve.
    pub(super) path: String,
    pub(super) tenants: Vec<Tenant>,
    pub(super) inputs: Inputs,
    pub(super) bodies: Bodies,
    pub(super) hang_up_after: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) begin: Instant,
    pub(super) stop: CancellationToken,
    /// One a tenant.
    pub(super) tallies: Vec<Mutex<Tally>>,
}

/// The bodies of requests, by the number of their input. Those that repeat are written once.
#[derive(Debug)]
pub(super) struct Bodies {
    variation: Variation,
    repeated: Vec<Bytes>,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    /// Since the start of the run.
    due: Duration,
    tenant: usize,
    input: u64,
}

// === impl Run ===

impl Run {
    /// Sends as the schedule says, over at most so many connections, until the duration is over and all have been
    /// answered, or the run is stopped.
    pub(super) async fn open(self: &Arc<Self>, schedule: Schedule, random: Random, connections: usize) {
        let (arrivals, mut due) = mpsc::channel(ARRIVALS_MAX);
        // A thread of its own: the runtime's timer knows whole milliseconds only.
        let clock = {
            let run = Arc::clone(self);
            std::thread::spawn(move || run.clock(schedule, random, &arrivals))
        };
        let permits = Arc::new(Semaphore::new(connections));
        let tracker = TaskTracker::new();
        loop {
            let arrival = tokio::select! {
                arrival = due.recv() => arrival,
                () = self.stop.cancelled() => None,
            };
            let Some(arrival) = arrival else { break };
            let permit = self.permit(&permits).await;
            if self.stop.is_cancelled() {
                break;
            }
            let Some(permit) = permit else {
                self.tally(arrival.tenant).count_unsent();
                continue;
            };
            let run = Arc::clone(self);
            tracker.spawn(async move {
                run.request(arrival).await;
                drop(permit);
            });
        }
        drop(due);
        tracker.close();
        tracker.wait().await;
        // It has nobody left to tell, so it ends within a step.
        let _ = tokio::task::spawn_blocking(move || clock.join()).await;
    }

    /// So many callers for each tenant, each sending its next request when its last has been answered.
    pub(super) async fn closed(self: &Arc<Self>, callers: &[usize], random: &mut Random) {
        let tracker = TaskTracker::new();
        for (tenant, callers) in callers.iter().enumerate() {
            for _ in 0..*callers {
                let (run, mut random) = (Arc::clone(self), Random::new(random.next()));
                tracker.spawn(async move {
                    while run.begin.elapsed() < run.duration && !run.stop.is_cancelled() {
                        let arrival = Arrival { due: run.begin.elapsed(), tenant, input: run.inputs.pick(&mut random) };
                        if run.request(arrival).await == Kind::Lost {
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                });
            }
        }
        tracker.close();
        tracker.wait().await;
    }

    /// Hands each arrival on when it is due. Returns when the duration is over or nobody listens.
    fn clock(&self, schedule: Schedule, mut random: Random, arrivals: &mpsc::Sender<Arrival>) {
        let weights: Vec<f64> = self.tenants.iter().map(|tenant| tenant.weight).collect();
        for due in schedule.take_while(|due| *due < self.duration) {
            while let Some(left) = due.checked_sub(self.begin.elapsed()).filter(|left| !left.is_zero()) {
                if arrivals.is_closed() {
                    return;
                }
                std::thread::sleep(left.min(CLOCK_STEP));
            }
            let (tenant, input) = (random.weighted(&weights), self.inputs.pick(&mut random));
            if arrivals.blocking_send(Arrival { due, tenant, input }).is_err() {
                return;
            }
        }
    }

    /// A free connection, if there is one before the duration is over.
    async fn permit(&self, permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let end = tokio::time::Instant::from_std(self.begin + self.duration);
        tokio::select! {
            permit = tokio::time::timeout_at(end, Arc::clone(permits).acquire_owned()) => permit.ok()?.ok(),
            () = self.stop.cancelled() => None,
        }
    }

    async fn request(&self, arrival: Arrival) -> Kind {
        let sent = self.begin.elapsed();
        let call = Call {
            method: Method::POST,
            target: &self.path,
            authorization: self.tenants[arrival.tenant].authorization.as_ref(),
            body: self.bodies.of(arrival.input),
        };
        let exchange = async {
            let exchange = self.wire.exchange(&call, false);
            match self.hang_up_after {
                None => Outcome::of(exchange.await),
                Some(patience) => {
                    tokio::time::timeout(patience, exchange).await.map_or_else(|_left| Outcome::hung_up(), Outcome::of)
                }
            }
        };
        let outcome = tokio::select! {
            outcome = exchange => outcome,
            () = self.stop.cancelled() => Outcome::interrupted(),
        };
        let moments = Moments { due: arrival.due, sent, answered: self.begin.elapsed() };
        self.tally(arrival.tenant).count(&outcome, moments, self.duration);
        outcome.kind
    }

    fn tally(&self, tenant: usize) -> std::sync::MutexGuard<'_, Tally> {
        self.tallies[tenant].lock().expect("nothing panics while it holds this lock")
    }
}

// === impl Bodies ===

impl Bodies {
    pub(super) fn new(variation: Variation) -> Self {
        let mut bodies = Self { variation, repeated: Vec::new() };
        bodies.repeated = (0..REPEATED).map(|input| bodies.written(input)).collect();
        bodies
    }

    fn of(&self, input: u64) -> Bytes {
        let repeated = usize::try_from(input).ok().and_then(|input| self.repeated.get(input));
        repeated.cloned().unwrap_or_else(|| self.written(input))
    }

    fn written(&self, input: u64) -> Bytes {
        Bytes::from(json!({ "inputs": self.variation.inputs(input) }).to_string())
    }
}
