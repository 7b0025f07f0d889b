//! Single flight: one detached solve for all who ask the same at one time. The shell of `flight`, which has the rules.
//!
//! Invariants: a solve belongs to no caller, so one that leaves neither restarts nor orphans it; a flight leaves the table
//! with the guard of its task, so a panic is one failure for those who wait and never for those who come later.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::digest::Digest;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};
use trace::Place;
use tracing::Instrument as _;

use super::apps::Terms;
use super::flight::{Id, Joined, Left, Table};
use crate::gateway::Error;
use crate::gateway::stage::{Answer, Lane, Solve};

/// A caller who is refused because too many wait for the same solve may come when that is over.
const WAITERS_RETRY: Duration = Duration::from_secs(2);

/// All flights of the gateway.
#[derive(Debug)]
pub(super) struct Flights {
    table: Mutex<Table<FlightKey, Arc<Flight>>>,
    /// Solves that must be made anew are nobody's to join: each has a number of its own.
    forced: AtomicU64,
    tasks: TaskTracker,
    draining: CancellationToken,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    key: Digest,
    /// A preview does not wait in the queue of a batch solve.
    lane: Lane,
    forced: Option<u64>,
}

/// What the callers of one flight share with its task.
#[derive(Debug)]
struct Flight {
    key: FlightKey,
    id: Id,
    /// Nobody waits any more, and nothing has been sent.
    given_up: CancellationToken,
    sent: AtomicBool,
    /// The latest moment by which a caller that came wants the answer.
    wanted_until: Mutex<tokio::time::Instant>,
    /// Where the caller that led it stands; the solve is made below it.
    led_from: Place,
    outcome: watch::Sender<Option<Outcome>>,
}

/// What a flight came to.
#[derive(Debug, Clone)]
pub(super) struct Landed {
    pub answer: Answer,
    pub fingerprint: Digest,
    /// For how long it is kept; none where it is not.
    pub kept: Option<Duration>,
    /// It had been kept while this flight was about to start.
    pub found: bool,
}

type Outcome = Result<Landed, Error>;
/// An answer that comes after its deadline, if it comes.
type Late = BoxFuture<'static, Option<Answer>>;

/// A caller that waits for a flight. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Waiter {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    outcome: watch::Receiver<Option<Outcome>>,
    pub leads: bool,
}

/// How a solve under way and those who wait for it hear of each other. The default is a solve that nobody shares.
#[derive(Clone, Default)]
pub struct Course(Option<Arc<Watched>>);

struct Watched {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    late: Mutex<Option<Late>>,
}

/// The flight's own task, as a guard.
struct Pilot {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    terms: Terms,
}

// === impl Flights ===

impl Flights {
    pub(super) fn new(followers_max: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table::new(followers_max)),
            forced: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
        })
    }

    /// Joins the flight of an equal solve, or starts one. Must be called on a runtime.
    /// The caller wants the answer by `by`.
    pub(super) fn join<S>(
        self: &Arc<Self>,
        terms: &Terms,
        solve: &Solve,
        by: tokio::time::Instant,
        inner: S,
    ) -> Result<Waiter, Error>
    where
        S: Service<Solve, Response = Answer, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        let forced = (!terms.reads).then(|| self.forced.fetch_add(1, Ordering::Relaxed));
        let key = FlightKey { key: terms.key, lane: terms.lane, forced };
        let begin = |id| Arc::new(Flight::new(key.clone(), id, by, solve.ticket().place()));
        let (flight, leads) = match self.table().join(&key, begin) {
            Joined::Lead(_, flight) => (flight, true),
            Joined::Follow(_, flight) => (flight, false),
            Joined::Full => return Err(Error::TooManyWaiters { retry_after: WAITERS_RETRY }),
        };
        {
            let mut until = flight.wanted_until.lock().unwrap_or_else(PoisonError::into_inner);
            *until = by.max(*until);
        }
        let outcome = flight.outcome.subscribe();
        let waiter = Waiter { flights: Arc::clone(self), flight: Arc::clone(&flight), outcome, leads };
        if leads {
            // Made before the task, so that a task which never runs ends its flight, too.
            let pilot = Pilot { flights: Arc::clone(self), flight, terms: terms.clone() };
            self.tasks.spawn(pilot.fly(inner, solve.clone()).in_current_span());
        }
        Ok(waiter)
    }

    /// Whether there is a flight that a caller with these terms would join.
    pub(super) fn has(&self, terms: &Terms) -> bool {
        terms.reads && self.table().has(&FlightKey { key: terms.key, lane: terms.lane, forced: None })
    }

    /// How many flights there are, and how many callers wait for them.
    pub(super) fn count(&self) -> (usize, usize) {
        self.table().count()
    }

    /// Takes no late answers from now on, and waits until every flight is over.
    ///
    /// Cancel safe.
    pub(super) async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn table(&self) -> MutexGuard<'_, Table<FlightKey, Arc<Flight>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Flight ===

impl Flight {
    fn new(key: FlightKey, id: Id, by: tokio::time::Instant, led_from: Place) -> Self {
        let (outcome, _) = watch::channel(None);
        let (given_up, sent) = (CancellationToken::new(), AtomicBool::new(false));
        Self { key, id, given_up, sent, wanted_until: Mutex::new(by), led_from, outcome }
    }
}

// === impl Waiter ===

impl Waiter {
    /// What the flight comes to.
    ///
    /// Cancel safe.
    pub(super) async fn outcome(&mut self) -> Outcome {
        let outcome = self.outcome.wait_for(Option::is_some).await;
        // The flight is held, and with it the sender.
        outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or(Err(Error::Internal))
    }

    /// Where the caller that led the flight stands in its trace.
    pub(super) fn led_from(&self) -> Place {
        self.flight.led_from
    }

    /// Whether a node works on it, or has.
    pub(super) fn sent(&self) -> bool {
        self.flight.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let left = self.flights.table().leave(&self.flight.key, self.flight.id);
        if left == Left::GivenUp {
            self.flight.given_up.cancel();
        }
    }
}

// === impl Course ===

impl Course {
    /// The solve is about to be sent to a node. False where it must not be: all who waited for it have left.
    pub fn send(&self) -> bool {
        let Some(Watched { flights, flight, .. }) = self.0.as_deref() else { return true };
        let wanted = flights.table().send(&flight.key, flight.id);
        flight.sent.fetch_or(wanted, Ordering::Relaxed);
        wanted
    }

    /// The latest moment by which a caller wants the answer; none for a solve that nobody shares.
    pub fn wanted_until(&self) -> Option<tokio::time::Instant> {
        let flight = &self.0.as_deref()?.flight;
        Some(*flight.wanted_until.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The deadline has passed while the node solves on: `answer` is what it will have said.
    pub fn late(&self, answer: impl Future<Output = Option<Answer>> + Send + 'static) {
        if let Some(watched) = &self.0 {
            *watched.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(answer));
        }
    }

    fn take_late(&self) -> Option<Late> {
        self.0.as_ref()?.late.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Course {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Course").field(&self.0.as_ref().map(|watched| &watched.flight)).finish()
    }
}

// === impl Pilot ===

impl Pilot {
    /// The whole flight: the solve, a second try where the rules give one, the shelf, and those who wait.
    async fn fly<S>(self, inner: S, solve: Solve)
    where
        S: Service<Solve, Response = Answer, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        // An equal flight may have landed between this caller's look at the shelf and its joining.
        let found = self.terms.reads.then(|| self.terms.find(Instant::now())).flatten();
        if let Some(found) = found {
            let landed = |found: super::store::Found<Answer>| Landed {
                answer: found.value,
                fingerprint: found.fingerprint,
                kept: Some(found.ttl),
                found: true,
            };
            return self.land(found.map(landed));
        }
        let watched =
            Watched { flights: Arc::clone(&self.flights), flight: Arc::clone(&self.flight), late: Mutex::default() };
        let course = Course(Some(Arc::new(watched)));
        let solve = solve.on(course.clone());
        let outcome = tokio::select! {
            biased;
            () = self.flight.given_up.cancelled() => return,
            outcome = self.solve(inner, solve) => outcome,
        };
        let outcome = outcome.map(|answer| self.keep(answer));
        if let Err(error) = &outcome {
            self.terms.keep_error(error, Instant::now());
        }
        self.land(outcome);
        if let Some(late) = course.take_late() {
            tokio::select! {
                biased;
                () = self.flights.draining.cancelled() => {}
                answer = late => drop(answer.map(|answer| self.keep(answer))),
            }
        }
    }

    async fn solve<S>(&self, inner: S, mut solve: Solve) -> Result<Answer, Error>
    where
        S: Service<Solve, Response = Answer, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        loop {
            // What the solve holds across a panic is dropped with it: slots and seats are guards.
            let run = AssertUnwindSafe(inner.clone().oneshot(solve.clone())).catch_unwind();
            let outcome = run.await.unwrap_or_else(|_panic| {
                let _ = solve.ticket().ledger.cause.set("a panic in a solve".to_owned());
                Err(Error::Internal)
            });
            match outcome {
                Err(error) if may_try_again(&error) && self.try_again() => {
                    tracing::info!(
                        code = error.meaning().code,
                        "a shared solve failed for one caller and is tried once more for all"
                    );
                    // It is no one session's newest preview any more, and must not take the place of one that is.
                    solve = solve.of_no_session();
                }
                outcome => return outcome,
            }
        }
    }

    fn try_again(&self) -> bool {
        self.flights.table().try_again(&self.flight.key, self.flight.id)
    }

    fn keep(&self, answer: Answer) -> Landed {
        let fingerprint = answer.fingerprint();
        let kept = self.terms.keep(&answer, fingerprint, Instant::now());
        Landed { answer, fingerprint, kept, found: false }
    }

    /// Ends the flight. What was to be kept is kept by now, so whoever comes next finds it or leads.
    fn land(&self, outcome: Outcome) {
        self.flights.table().end(&self.flight.key, self.flight.id);
        self.flight.outcome.send_if_modified(|seen| {
            let first = seen.is_none();
            if first {
                *seen = Some(outcome);
            }
            first
        });
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        // Does nothing after a landing; after a panic it is the landing.
        self.land(Err(Error::Internal));
    }
}

/// Whether another try may fare better: the node alone is to blame, or the caller that leads asked for something newer. Where
/// time is over, or the gateway says when to come back, it would not.
fn may_try_again(error: &Error) -> bool {
    matches!(error, Error::NodeUnreachable | Error::NodeInvalidAnswer | Error::Superseded)
}
