//! Solve → Due: the moment by which the request must be answered, and the answer that it is over when that comes first.
//!
//! Where the version is known to take longer than that, it is refused before it costs anything.
//!
//! Invariant: waiting counts. The clock starts when the request arrives, and no later step grants itself more.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::Error;
use super::shared::Shared;
use super::stage::{Answer, BoxFuture, Solve};
use crate::nodes::Pace;

/// What the layers below may take to say themselves that time is over, which tells more than this layer can.
const MARGIN: Duration = Duration::from_millis(50);

/// A solve with the moment by which it must be answered.
#[derive(Debug, Clone)]
pub struct Due {
    solve: Solve,
    by: Instant,
}

/// `timeout_max` bounds every contract's own timeout; `pace` knows how long versions take at least.
pub fn layer<S>(timeout_max: Duration, pace: Pace) -> impl Layer<S, Service = Deadline<Shared<S>>> + Clone {
    layer_fn(move |inner| Deadline { inner: Shared::new(inner), timeout_max, pace: pace.clone() })
}

#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    timeout_max: Duration,
    pace: Pace,
}

impl<S> Service<Solve> for Deadline<S>
where
    S: Service<Due, Response = Answer, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = Error;
    type Future = BoxFuture<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, solve: Solve) -> Self::Future {
        let by = solve.ticket().arrived + solve.allowed(self.timeout_max);
        let unreachable = self.pace.unreachable(solve.contract(), by.into_std());
        let inner = self.inner.clone();
        Box::pin(async move {
            if let Some(needs) = unreachable {
                return Err(Error::DeadlineUnreachable { needs });
            }
            let answer = inner.oneshot(Due { solve, by });
            tokio::time::timeout_at(by + MARGIN, answer).await.unwrap_or(Err(Error::DeadlineExceeded))
        })
    }
}

// === impl Due ===

impl Due {
    pub fn solve(&self) -> &Solve {
        &self.solve
    }

    pub fn by(&self) -> Instant {
        self.by
    }

    /// What a node may take: what is left, less a margin in which its answer is checked, written and sent.
    pub fn node_by(&self) -> Instant {
        /// More than an answer of megabytes takes to be checked and written.
        const SEND_MAX: Duration = Duration::from_millis(200);
        let left = self.by.saturating_duration_since(Instant::now());
        self.by - (left / 20).min(SEND_MAX)
    }

    /// The moment by which somebody still waits for it, for a solve that callers share.
    pub fn wanted_until(&self) -> Instant {
        self.solve.course().wanted_until().map_or(self.by, |until| until.min(self.by))
    }
}
