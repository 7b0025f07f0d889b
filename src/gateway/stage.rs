//! What is known about a request at each stage of the path.
//!
//! Invariant: a stage's fields are private to the layer that makes it, so holding one proves that the layer has run.
//! `Request → Seen → Routed → Authorized → Received → Solve → Due → Seated`, and back as [`Answer`], [`Served`], then
//! [`Reply`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use contract::digest::Digest;
use contract::policy::Slo;
use http::HeaderValue;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use trace::{Kind, Place, Span, Step, Tracer};

use super::Error;
use super::error::Origin;

pub use super::authorize::{Authorized, Caller};
pub use super::body::Received;
pub use super::cache::Served;
pub use super::deadline::Due;
pub use super::observe::Seen;
pub use super::route::{Action, Routed};
pub use super::seats::Seated;
pub use super::validate::Solve;
pub use crate::seats::Lane;

/// A request's body, whatever carries it.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
pub type Request = http::Request<Body>;
pub type Response = http::Response<Full<Bytes>>;
pub(super) type BoxFuture<T, E = Error> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A body that is already here.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A response, and the word for its outcome: the code of an error, else `ok`.
#[derive(Debug)]
pub struct Reply {
    pub response: Response,
    pub code: &'static str,
    /// Whose fault an error is; none for what went well.
    pub fault: Option<Origin>,
}

/// What a node made of a solve, mapped to the contract's names and checked against its schema. It knows no HTTP.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The outputs object as JSON text.
    pub outputs: Arc<RawValue>,
    pub warnings: Arc<[String]>,
    /// The name of the node that solved.
    pub node: Arc<str>,
    /// The Rhino version of that node, where it is known.
    pub rhino: Option<Arc<str>>,
    pub timings: Timings,
    /// The node's own data trees of the declared outputs, as a JSON list, where somebody may be answered with them.
    pub trees: Option<Arc<RawValue>>,
    /// The span in which it was solved, or the one above where that was not kept. Not what was solved, but who caused it.
    pub solved_in: Option<Place>,
}

/// Where the time of a solve went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a node's slot.
    pub queue: Duration,
    /// From the first byte to the node to the last byte from it.
    pub node: Duration,
}

/// What the access line tells of a request; each layer adds what it has found out.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Bytes of the body that came.
    pub request_bytes: OnceLock<usize>,
    /// How long it waited for a seat of the app, and for a slot of a node; and how long the node took.
    pub seat_wait: OnceLock<Duration>,
    pub slot_wait: OnceLock<Duration>,
    pub solve: OnceLock<Duration>,
    /// The span in which the answer was, or is, solved for another request.
    pub solved_in: OnceLock<Place>,
    pub app_id: OnceLock<String>,
    pub tenant: OnceLock<String>,
    pub definition: OnceLock<String>,
    pub version: OnceLock<String>,
    pub lane: OnceLock<Lane>,
    /// What the app's policy promises, as this request's snapshot has it.
    pub slo: OnceLock<Slo>,
    pub node: OnceLock<Arc<str>>,
    /// How a solve came by its answer.
    pub cache: OnceLock<&'static str>,
    /// Where the caller's rate limit stands; told in the answer, whatever it is.
    pub standing: OnceLock<super::ratelimit::Standing>,
    /// The code with which a policy that is not in `shadow` would have refused.
    pub would_refuse: OnceLock<&'static str>,
    /// Set where the caller's client knows errors of Rhino.Compute only: the problem then has its members, too.
    pub compat: OnceLock<()>,
    /// The page from whose origin the request came, where it may read the answer; none where it may not.
    pub origin: OnceLock<Option<HeaderValue>>,
    /// What went wrong on our side, in words for the log only.
    pub cause: OnceLock<String>,
}

/// What every stage carries along: the request's name, its start, its place in a trace, its ledger.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub id: Arc<str>,
    pub arrived: Instant,
    pub trace: Arc<Trace>,
    pub ledger: Arc<Ledger>,
}

/// Where the request stands in its trace, and what keeps spans below it.
#[derive(Debug)]
pub struct Trace {
    pub tracer: Tracer,
    pub step: Step,
}

// === impl Ticket ===

impl Ticket {
    /// The span of a part of the work on the request, if it is kept.
    pub fn span(&self, name: &'static str, kind: Kind) -> Span {
        self.trace.tracer.below(name, kind, &self.trace.step)
    }

    /// Where the request stands.
    pub fn place(&self) -> Place {
        self.trace.step.context.place
    }
}

// === impl Answer ===

impl Answer {
    /// SHA-256 over the outputs and each warning, every one of them as `<length in bytes>:<text>,`.
    pub fn fingerprint(&self) -> Digest {
        let mut hasher = Sha256::new();
        for text in std::iter::once(self.outputs.get()).chain(self.warnings.iter().map(String::as_str)) {
            hasher.update(text.len().to_string());
            hasher.update(b":");
            hasher.update(text);
            hasher.update(b",");
        }
        Digest(hasher.finalize().into())
    }
}
