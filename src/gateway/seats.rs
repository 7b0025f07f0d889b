//! Due → Seated: the app's right to run this solve, after a fair and bounded wait.
//!
//! Invariant: the seat is held by the exchange with the node, never by a caller's connection: nothing that a caller does
//! frees a seat while its solve still costs the app something.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::policy::{Lanes, Policy, Queue};
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};
use trace::Kind;

use super::Error;
use super::shared::Shared;
use super::stage::{Answer, BoxFuture, Due};
use crate::registry::Snapshot;
use crate::seats::{Ask, Caps, LaneCaps, Refusal, Seat, Seats, Why};
use crate::telemetry::metrics::{self, Metrics};

/// A solve that may run.
#[derive(Debug)]
pub struct Seated {
    due: Due,
    _seat: Seat,
}

pub fn layer<S>(seats: Seats, metrics: Metrics) -> impl Layer<S, Service = TakeSeat<Shared<S>>> + Clone {
    layer_fn(move |inner| TakeSeat { inner: Shared::new(inner), seats: seats.clone(), metrics: metrics.clone() })
}

#[derive(Debug, Clone)]
pub struct TakeSeat<S> {
    inner: S,
    seats: Seats,
    metrics: Metrics,
}

impl<S> Service<Due> for TakeSeat<S>
where
    S: Service<Seated, Response = Answer, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = Error;
    type Future = BoxFuture<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, due: Due) -> Self::Future {
        let Self { inner, seats, metrics } = self.clone();
        Box::pin(async move {
            let solve = due.solve();
            let caller = solve.caller();
            let ask = Ask {
                tenant: Arc::clone(&caller.tenant),
                lane: solve.lane(),
                session: solve.session().cloned(),
                weight: solve.policy().weight(&caller.tenant),
            };
            let began = Instant::now();
            let mut span = solve.ticket().span("wait for seat", Kind::Internal);
            let seat = seats.acquire(&caller.app_id, ask, due.by()).await.map_err(refused);
            let waited = began.elapsed();
            let _ = solve.ticket().ledger.seat_wait.set(waited);
            let seat = seat.inspect_err(|error| span.fail(error.meaning().code))?;
            drop(span);
            metrics.took(&metrics::SEAT_WAIT_SECONDS, &[&caller.app_id, solve.lane().name()], waited);
            inner.oneshot(Seated { due, _seat: seat }).await
        })
    }
}

// === impl Seated ===

impl Seated {
    pub fn due(&self) -> &Due {
        &self.due
    }
}

/// Why there is no seat, in the caller's terms.
fn refused(refusal: Refusal) -> Error {
    let retry_after = refusal.retry_after;
    match refusal.why {
        Why::NoSuchApp | Why::LaneClosed => Error::LaneClosed,
        Why::LaneFull | Why::QueueFull | Why::WaitTooLong | Why::Expired | Why::Shed => Error::AppBusy { retry_after },
        Why::Superseded => Error::Superseded,
    }
}

/// Gives every app of a snapshot the seats of its policy, and closes those that it does not hold. Seats in use are kept: a
/// lowered cap is reached as they end.
pub fn apply(seats: &Seats, snapshot: &Snapshot) {
    for (app_id, app) in &snapshot.apps {
        match &app.policy {
            Some(policy) => seats.set_caps(app_id, caps(policy)),
            None => seats.remove(app_id),
        }
    }
    for (app_id, _) in seats.views().iter().filter(|(app_id, _)| !snapshot.apps.contains_key(app_id)) {
        seats.remove(app_id);
    }
}

fn caps(policy: &Policy) -> Caps {
    let caps = Caps::new(policy.max_concurrency, policy.preview_seats, policy.batch_seats);
    let lane = |lane: LaneCaps, queue: Queue| LaneCaps {
        depth: queue.depth_max.unwrap_or(lane.depth),
        wait: queue.wait_ms_max.map_or(lane.wait, Duration::from_millis),
        ..lane
    };
    let Lanes { preview, batch } = policy.queue;
    Caps { preview: lane(caps.preview, preview), batch: lane(caps.batch, batch), ..caps }
}
