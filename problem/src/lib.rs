//! The problem document (RFC 9457) that every part of AppServer answers a failure with.
//!
//! Invariant: the same failure has the same words wherever it is told: the code, the origin and the title come from the closed
//! enums of those who refuse, and the form from here.

use std::time::Duration;

use bytes::Bytes;
use contract::Violation;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// What problem documents are.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// The header that tells whose fault an error is.
pub const ORIGIN: HeaderName = HeaderName::from_static("x-appserver-error-origin");

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Client,
    Gateway,
    Node,
}

/// What an error means to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub status: StatusCode,
    /// The stable word for it, the same in body, log, metric label and docs.
    pub code: &'static str,
    pub origin: Origin,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// A short sentence that is the same for every failure of this code.
    pub title: &'static str,
}

/// A failure as it is told.
#[derive(Debug)]
pub struct Problem<'p, E> {
    pub meaning: Meaning,
    /// What happened, in words for outsiders.
    pub detail: String,
    pub request_id: &'p str,
    /// The trace that the request is part of, by which its spans and the lines of all programs are found.
    pub trace_id: &'p str,
    pub violations: &'p [Violation],
    /// What Grasshopper's components said.
    pub errors: &'p [E],
    pub retry_after: Option<Duration>,
}

/// The document, member by member, for those who add members of their own.
#[derive(Debug, Serialize)]
pub struct Document<'p, E> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'p str,
    origin: Origin,
    retryable: bool,
    request_id: &'p str,
    trace_id: &'p str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    violations: &'p [Violation],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [E],
}

// === impl Meaning ===

impl Meaning {
    /// One row of the table of an error enum.
    ///
    /// # Panics
    /// When the status is none of HTTP's: tables are written in code.
    pub fn new(status: u16, code: &'static str, origin: Origin, retryable: bool, title: &'static str) -> Self {
        let status = StatusCode::from_u16(status).expect("the tables hold valid status codes only");
        Self { status, code, origin, retryable, title }
    }
}

// === impl Origin ===

impl Origin {
    /// The word for it, as in the body.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Node => "node",
        }
    }
}

// === impl Problem ===

impl<E: Serialize> Problem<'_, E> {
    /// The document as it is told.
    pub fn document(&self) -> Document<'_, E> {
        let Meaning { status, code, origin, retryable, title } = self.meaning;
        Document {
            r#type: format!("urn:appserver:error:{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: &self.detail,
            origin,
            retryable,
            request_id: self.request_id,
            trace_id: self.trace_id,
            violations: self.violations,
            errors: self.errors,
        }
    }

    /// The answer: the document, and the headers that go with every one.
    pub fn response(&self) -> Response<Bytes> {
        self.respond(serde_json::to_vec(&self.document()).unwrap_or_default().into())
    }

    /// The answer with another body, which a client expects that knows no problem documents.
    pub fn respond(&self, body: Bytes) -> Response<Bytes> {
        let Meaning { status, origin, .. } = self.meaning;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ORIGIN, HeaderValue::from_static(origin.word()));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"appserver\""));
        }
        response
    }
}

/// `Retry-After` knows whole seconds only; rounding up keeps a caller from coming back too early, and 0 would say "at once".
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
