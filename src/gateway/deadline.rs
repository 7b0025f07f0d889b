//! Solve → Due: the moment by which the request must be answered, and the answer that it is over when that comes first.
//!
//! Invariant: waiting counts. The clock starts when the request arrives, and no later step grants itself more.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::Error;
use super::stage::{Answer, BoxFuture, Solve};

/// What the layers below may take to say themselves that time is over, which tells more than this layer can.
const MARGIN: Duration = Duration::from_millis(50);

/// A solve with the moment by which it must be answered.
#[derive(Debug, Clone)]
pub struct Due {
    solve: Solve,
    by: Instant,
}

/// `timeout_max` bounds every contract's own timeout.
pub fn layer<S>(timeout_max: Duration) -> impl Layer<S, Service = Deadline<S>> + Clone {
    layer_fn(move |inner| Deadline { inner, timeout_max })
}

#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    timeout_max: Duration,
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
        let inner = self.inner.clone();
        Box::pin(async move {
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
}
