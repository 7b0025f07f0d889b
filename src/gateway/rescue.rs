//! Error → Reply: the only place that writes an error body (RFC 9457), and where a panic becomes a 500 for one request.
//!
//! Invariant: a body holds what its error's variant says for outsiders; causes go to the ledger and so to the log.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use http::{HeaderValue, header};
use http_body_util::Full;
use problem::Problem;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::Error;
use super::stage::{BoxFuture, Reply, Seen};

pub fn layer<S>() -> impl Layer<S, Service = Rescue<S>> + Clone {
    layer_fn(|inner| Rescue { inner })
}

#[derive(Debug, Clone)]
pub struct Rescue<S> {
    inner: S,
}

impl<S> Service<Seen> for Rescue<S>
where
    S: Service<Seen, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = BoxFuture<Reply, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, seen: Seen) -> Self::Future {
        let ticket = seen.ticket().clone();
        let inner = self.inner.clone();
        Box::pin(async move {
            // What the path holds across a panic is dropped with it: slots and budgets are guards.
            let outcome = AssertUnwindSafe(inner.oneshot(seen)).catch_unwind().await;
            let result = outcome.unwrap_or_else(|_panic| {
                let _ = ticket.ledger.cause.set("a panic on the request path".to_owned());
                Err(Error::Internal)
            });
            let mut reply = result.unwrap_or_else(|error| reply(&error, &ticket.id));
            if let Some(standing) = ticket.ledger.standing.get() {
                standing.write(reply.response.headers_mut());
            }
            Ok(reply)
        })
    }
}

/// The response for an error.
pub fn reply(error: &Error, request_id: &str) -> Reply {
    let meaning = error.meaning();
    let problem = Problem {
        meaning,
        detail: error.to_string(),
        request_id,
        violations: error.violations(),
        errors: error.component_errors(),
        retry_after: error.retry_after(),
    };
    let mut response = problem.response().map(Full::new);
    if let Error::MethodNotAllowed { allowed } = error {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    Reply { response, code: meaning.code }
}
