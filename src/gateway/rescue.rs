//! Error → Reply: the only place that writes an error body (RFC 9457), and where a panic becomes a 500 for one request.
//!
//! Invariant: a body holds what its error's variant says for outsiders; causes go to the ledger and so to the log.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use bytes::Bytes;
use contract::Violation;
use futures_util::FutureExt as _;
use http::{HeaderValue, header};
use http_body_util::Full;
use problem::{Document, Problem};
use serde::Serialize;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::shared::Shared;
use super::stage::{BoxFuture, Reply, Seen, Ticket};
use super::{Error, cors};
use crate::rhino::classify::ComponentError;

pub fn layer<S>() -> impl Layer<S, Service = Rescue<Shared<S>>> + Clone {
    layer_fn(|inner| Rescue { inner: Shared::new(inner) })
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
            let mut reply = result.unwrap_or_else(|error| reply(&error, &ticket));
            cors::write(&ticket.ledger, reply.response.headers_mut());
            if let Some(standing) = ticket.ledger.standing.get() {
                standing.write(reply.response.headers_mut());
            }
            Ok(reply)
        })
    }
}

/// The problem for clients of Rhino.Compute, the Node AppServer and Hops. `errors` are texts for them: Hops fails on objects, so
/// what components said stands in `components`. The empty lists are what those clients look for in a description or a result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compat<'a> {
    #[serde(flatten)]
    problem: Document<'a, ComponentError>,
    message: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    components: &'a [ComponentError],
    errors: Vec<String>,
    warnings: [(); 0],
    values: [(); 0],
    inputs: [(); 0],
    outputs: [(); 0],
    input_names: [(); 0],
    output_names: [(); 0],
}

/// The response for an error, in the form that the caller's client knows.
fn reply(error: &Error, ticket: &Ticket) -> Reply {
    let meaning = error.meaning();
    let trace_id = ticket.place().trace_id.hex();
    let compat = ticket.ledger.compat.get().is_some();
    let problem = Problem {
        meaning,
        detail: error.to_string(),
        request_id: &ticket.id,
        trace_id: &trace_id,
        violations: error.violations(),
        errors: error.component_errors(),
        retry_after: error.retry_after(),
    };
    let response = if matches!(error, Error::StalePointer) {
        // Hops sends the definition itself when a key is answered by a 500 that it cannot read, as a node answers it.
        problem.respond(Bytes::new())
    } else if compat {
        let plain = Problem { errors: &[], detail: problem.detail.clone(), ..problem };
        let body = serde_json::to_vec(&compat_of(error, plain.document())).unwrap_or_default();
        plain.respond(body.into())
    } else {
        problem.response()
    };
    let mut response = response.map(Full::new);
    if let Error::MethodNotAllowed { allowed } = error {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    Reply { response, code: meaning.code, fault: Some(meaning.origin) }
}

fn compat_of<'a>(error: &'a Error, problem: Document<'a, ComponentError>) -> Compat<'a> {
    let components = error.component_errors();
    let mut errors: Vec<String> = components.iter().map(ComponentError::text).collect();
    let named = |violation: &Violation| {
        let name = violation.pointer.trim_start_matches('/');
        let separator = if name.is_empty() { "" } else { ": " };
        format!("{name}{separator}{}", violation.message)
    };
    let bad_inputs = matches!(error, Error::BadInputs { .. });
    // The very first word decides whether Hops rebuilds its inputs.
    errors.extend(bad_inputs.then(|| error.to_string()));
    errors.extend(error.violations().iter().map(named));
    if errors.is_empty() {
        errors.push(error.to_string());
    }
    let message = errors.first().cloned().unwrap_or_default();
    let [warnings, values, inputs, outputs, input_names, output_names] = [[(); 0]; 6];
    Compat { problem, message, components, errors, warnings, values, inputs, outputs, input_names, output_names }
}
