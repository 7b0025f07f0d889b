//! Which pages may call from a browser, and what a browser is told of it: the policies' `cors_origins`, and nothing beyond them.
//!
//! Invariant: no answer allows credentials. Keys travel in headers that a page sets itself, so a page without one gets nothing.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;

use contract::policy::Policy;

use super::stage::{Ledger, Reply, Request, Response};
use crate::registry::Snapshot;

/// What a page may send beside what every page may.
const TAKES: HeaderValue = HeaderValue::from_static(
    "authorization, rhinocomputekey, content-type, x-app-id, x-request-id, x-timeout-sec, x-preview-session, cache-control, \
     if-none-match, traceparent, tracestate",
);
/// What a page may read beside what every page may.
const SHOWS: HeaderValue = HeaderValue::from_static(
    "x-request-id, x-appserver-error-origin, retry-after, ratelimit, ratelimit-policy, cache-status, server-timing, etag, traceparent",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
/// Browsers keep the answer to a preflight this long, in seconds: a changed policy holds within ten minutes.
const KEPT: HeaderValue = HeaderValue::from_static("600");

/// The page's origin, where a browser sends one.
pub fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ORIGIN).cloned()
}

/// Whether the app's policy lets pages of this origin call.
pub fn admits(policy: &Policy, origin: &HeaderValue) -> bool {
    policy.cors_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
}

/// Whether any app's does. A preflight names no app, and what it learns is no more than that.
pub fn admitted_anywhere(snapshot: &Snapshot, origin: &HeaderValue) -> bool {
    snapshot.apps.values().filter_map(|app| app.policy.as_ref()).any(|policy| admits(policy, origin))
}

/// Remembers for the answer whether the page may read it.
pub fn note(ledger: &Ledger, admitted: Option<HeaderValue>) {
    let _ = ledger.origin.set(admitted);
}

/// The answer to a browser that asks beforehand; none where this is no such question.
pub fn preflight(http: &Request, snapshot: &Snapshot) -> Option<Reply> {
    let asks = http.method() == Method::OPTIONS && http.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let origin = origin(http.headers()).filter(|_| asks)?;
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if admitted_anywhere(snapshot, &origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, TAKES);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, KEPT);
    }
    vary(headers, header::ORIGIN);
    Some(Reply { response, code: "preflight", fault: None })
}

/// Tells the browser what the ledger says. An answer that depends on the origin says so, or a cache would mix pages up.
pub fn write(ledger: &Ledger, headers: &mut HeaderMap) {
    let Some(admitted) = ledger.origin.get() else { return };
    vary(headers, header::ORIGIN);
    if let Some(origin) = admitted {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, SHOWS);
    }
}

fn vary(headers: &mut HeaderMap, by: HeaderName) {
    headers.append(header::VARY, by.into());
}
