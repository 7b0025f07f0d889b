//! Solve → Served: a kept answer, the answer of an equal solve that is under way, or one detached solve for all who ask.
//!
//! Invariants: a hit and a caller that joins take no seat and no slot; nothing but answers that fit their contract is kept, and
//! a definition's own errors for a minute; an answer is given to nobody whose key would differ in anything that it depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use contract::digest::Digest;
use serde::Serialize;
use tower::layer::layer_fn;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt as _};
use trace::Place;

use super::Error;
use super::shared::Shared;
use super::stage::{Answer, BoxFuture, Solve};
use crate::nodes::Pace;

mod apps;
mod bodies;
mod flight;
mod key;
mod single;
mod store;
#[cfg(test)]
mod tests;

pub use apps::{AppView, Bounds, LaneBounds};
pub use bodies::Bodies;
pub use single::Course;
pub use store::ShelfView;

/// A flight tells that its time is over by itself; a caller waits that much longer for it to do so.
const MARGIN: Duration = Duration::from_millis(25);

/// The cache of all apps, and the solves under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    apps: Arc<apps::Apps>,
    flights: Arc<single::Flights>,
    bodies: Option<Bodies>,
}

/// What the cache holds and has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// Solves under way that others may join.
    pub flights: usize,
    /// Callers that wait for them.
    pub waiting: usize,
    pub apps: Vec<AppView>,
}

/// An answer, and how this request came by it.
#[derive(Debug, Clone)]
pub struct Served {
    pub answer: Answer,
    /// Of the outputs and warnings.
    pub fingerprint: Digest,
    pub how: How,
}

/// How a request came by its answer, and for how long that is kept, where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Hit { ttl: Duration },
    Miss { kept: Option<Duration>, forced: bool },
    Joined { kept: Option<Duration> },
    Bypass,
}

/// Without a cache there is no layer: what is below answers each request by itself.
///
/// `pace` knows how long versions take at least: a caller who cannot wait for so long starts no solve.
pub fn layer<S>(
    cache: Option<Cache>,
    pace: Pace,
) -> impl Layer<S, Service = BoxCloneSyncService<Solve, Served, Error>> + Clone
where
    S: Service<Solve, Response = Answer, Error = Error, Future: Send> + Clone + Send + Sync + 'static,
{
    layer_fn(move |inner: S| match cache.clone() {
        Some(cache) => BoxCloneSyncService::new(Cached { inner: Shared::new(inner), cache, pace: pace.clone() }),
        None => BoxCloneSyncService::new(inner.map_response(Served::from)),
    })
}

#[derive(Debug, Clone)]
pub struct Cached<S> {
    inner: S,
    cache: Cache,
    pace: Pace,
}

impl<S> Service<Solve> for Cached<S>
where
    S: Service<Solve, Response = Answer, Error = Error, Future: Send> + Clone + Send + 'static,
{
    type Response = Served;
    type Error = Error;
    type Future = BoxFuture<Served>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, solve: Solve) -> Self::Future {
        let Self { inner, cache, pace } = self.clone();
        Box::pin(async move {
            let served = cache.serve(inner, &solve, &pace).await;
            if let Ok(served) = &served {
                let ledger = &solve.ticket().ledger;
                let _ = ledger.cache.set(served.how.as_str());
                let _ = ledger.node.set(Arc::clone(&served.answer.node));
            }
            served
        })
    }
}

// === impl Cache ===

impl Cache {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            flights: single::Flights::new(bounds.followers_max),
            bodies: (bounds.bodies_bytes_max > 0).then(|| Bodies::new(bounds.bodies_bytes_max)),
            apps: Arc::new(apps::Apps::new(bounds)),
        }
    }

    /// Bodies that led to a kept answer; none where they are not remembered.
    pub fn bodies(&self) -> Option<Bodies> {
        self.bodies.clone()
    }

    /// What it holds as of now.
    pub fn view(&self) -> View {
        let (flights, waiting) = self.flights.count();
        View { flights, waiting, apps: self.apps.view() }
    }

    /// Waits until the solves under way are over. Late answers are not waited for.
    pub async fn drain(&self) {
        self.flights.drain().await;
    }

    /// Cancel safe: a caller that leaves a solve which was not sent, and for which nobody else waits, takes it along; any
    /// other solve goes on without it.
    async fn serve<S>(&self, inner: S, solve: &Solve, pace: &Pace) -> Result<Served, Error>
    where
        S: Service<Solve, Response = Answer, Error = Error, Future: Send> + Clone + Send + 'static,
    {
        let Some(terms) = self.apps.terms(solve) else { return inner.oneshot(solve.clone()).await.map(Served::from) };
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let counts = &terms.app.counts;
        if let Some(found) = terms.reads.then(|| terms.find(Instant::now())).flatten() {
            count(&counts.hits);
            let _ = solve.ticket().ledger.cache.set("hit");
            let found = found?;
            note(solve, found.value.solved_in);
            let how = How::Hit { ttl: found.ttl };
            return Ok(Served { answer: found.value, fingerprint: found.fingerprint, how });
        }
        let allowed = solve.allowed(self.apps.bounds().timeout_max);
        let by = solve.ticket().arrived + allowed;
        // One that is under way may be over in time.
        let unreachable = pace.unreachable(solve.contract(), by.into_std());
        if let Some(needs) = unreachable.filter(|_| !self.flights.has(&terms)) {
            return Err(Error::DeadlineUnreachable { needs });
        }
        let mut waiter = self.flights.join(&terms, solve, by, inner)?;
        count(if waiter.leads { &counts.misses } else { &counts.joins });
        if !waiter.leads {
            note(solve, Some(waiter.led_from()));
        }
        let end = by + MARGIN;
        let landed = match tokio::time::timeout_at(end, waiter.outcome()).await {
            Ok(outcome) => outcome?,
            Err(_elapsed) if waiter.sent() => return Err(Error::NodeTimeout { allowed }),
            Err(_elapsed) => return Err(Error::DeadlineExceeded),
        };
        let how = match (landed.kept, waiter.leads) {
            (Some(ttl), true) if landed.found => {
                note(solve, landed.answer.solved_in);
                How::Hit { ttl }
            }
            (kept, true) => How::Miss { kept, forced: !terms.reads },
            (kept, false) => How::Joined { kept },
        };
        Ok(Served { answer: landed.answer, fingerprint: landed.fingerprint, how })
    }
}

/// Remembers for the access line and the request's span where the answer was, or is, solved for somebody else.
fn note(solve: &Solve, place: Option<Place>) {
    if let Some(place) = place {
        let _ = solve.ticket().ledger.solved_in.set(place);
    }
}

// === impl Served ===

impl From<Answer> for Served {
    fn from(answer: Answer) -> Self {
        Self { fingerprint: answer.fingerprint(), answer, how: How::Bypass }
    }
}

// === impl How ===

impl How {
    /// The word for it in receipts and access lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit { .. } => "hit",
            Self::Miss { .. } => "miss",
            Self::Joined { .. } => "joined",
            Self::Bypass => "bypass",
        }
    }

    /// For how long the answer is kept from now on, where it is.
    pub fn ttl(self) -> Option<Duration> {
        match self {
            Self::Hit { ttl } => Some(ttl),
            Self::Miss { kept, .. } | Self::Joined { kept } => kept,
            Self::Bypass => None,
        }
    }
}
