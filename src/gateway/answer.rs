//! Answer → Reply: the one shape in which outputs leave, with the receipt that says how they came to be.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::Full;
use semver::Version;
use serde::Serialize;
use serde_json::value::RawValue;

use super::cache::How;
use super::dialect::Dialect;
use super::stage::{Authorized, Reply, Response, Served, Solve, Timings};
use super::validate::CacheUse;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// How the cache came into it (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

#[derive(Debug, Serialize)]
struct Document<'a> {
    app_id: &'a str,
    definition: &'a str,
    version: String,
    outputs: &'a RawValue,
    warnings: &'a [String],
    receipt: Receipt<'a>,
}

/// How the outputs came to be: enough to ask for them again, or to ask about them.
#[derive(Debug, Serialize)]
struct Receipt<'a> {
    /// Of the version's files.
    digest: String,
    plugins_hash: String,
    node: &'a str,
    rhino: Option<&'a str>,
    /// `hit`, `miss`, `joined` or `bypass`.
    cache: &'static str,
    timings: Milliseconds,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "units stand last in the names of the wire")]
struct Milliseconds {
    queue_ms: f64,
    node_ms: f64,
    total_ms: f64,
}

/// What of a request decides how its answer is told.
#[derive(Debug)]
pub struct Conditions {
    /// The address names a version and not an alias, which may move.
    pinned: bool,
    /// The answers that the caller has already, as it sent them.
    if_none_match: Option<HeaderValue>,
}

// === impl Conditions ===

impl Conditions {
    pub fn of(authorized: &Authorized) -> Self {
        Self {
            pinned: Version::parse(&authorized.asked().version).is_ok(),
            if_none_match: authorized.headers().get(header::IF_NONE_MATCH).cloned(),
        }
    }

    fn knows(&self, etag: &str) -> bool {
        let known = self.if_none_match.as_ref().and_then(|value| value.to_str().ok());
        let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
        known.is_some_and(|known| known.split(',').any(|tag| same(tag.trim())))
    }
}

/// The response to a solve.
pub fn reply(solve: &Solve, served: &Served, conditions: &Conditions, dialect: Option<&dyn Dialect>) -> Reply {
    let etag = etag(solve, served, dialect.map_or("", Dialect::tag));
    let headers = |server_timing| {
        [
            (SERVER_TIMING, server_timing),
            (CACHE_STATUS, cache_status(served.how, solve.cache_use())),
            (header::CACHE_CONTROL, cache_control(solve, served.how, conditions)),
            (header::ETAG, etag.clone()),
        ]
    };
    let (timings, server_timing) = timings(solve, served);
    if conditions.knows(&etag) {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        insert(&mut response, &headers(server_timing));
        return Reply { response, code: "not_modified", fault: None };
    }
    let (contract, answer) = (solve.contract(), &served.answer);
    if let Some(dialect) = dialect {
        return text(dialect.answer(contract, answer), "ok", &headers(server_timing));
    }
    let document = Document {
        app_id: &solve.caller().app_id,
        definition: &contract.manifest.definition,
        version: contract.version.to_string(),
        outputs: &answer.outputs,
        warnings: &answer.warnings,
        receipt: Receipt {
            digest: contract.digest.to_string(),
            plugins_hash: contract.requires_plugins_hash.to_string(),
            node: &answer.node,
            rhino: answer.rhino.as_deref(),
            cache: served.how.as_str(),
            timings,
        },
    };
    json(&document, "ok", &headers(server_timing))
}

/// The same for the same outputs and warnings of the same version. The receipt, which is about the request and not about
/// its answer, is not in it.
///
/// Another wording of them is another representation, and so has another tag.
fn etag(solve: &Solve, served: &Served, wording: &str) -> String {
    let version = solve.contract().digest.hex();
    format!("\"{}.{}{wording}\"", &version[..16], served.fingerprint.hex())
}

fn cache_status(how: How, wish: CacheUse) -> String {
    let stored = |kept: Option<Duration>| if kept.is_some() { "; stored" } else { "" };
    match how {
        How::Hit { ttl } => format!("appserver; hit; ttl={}", ttl.as_secs()),
        How::Miss { kept, forced: false } => format!("appserver; fwd=miss{}", stored(kept)),
        How::Miss { kept, forced: true } => format!("appserver; fwd=request{}", stored(kept)),
        How::Joined { kept } => format!("appserver; fwd=miss{}; collapsed", stored(kept)),
        How::Bypass if wish == CacheUse::Neither => "appserver; fwd=request".to_owned(),
        How::Bypass => "appserver; fwd=bypass".to_owned(),
    }
}

/// A version's answer stays right for as long as it is kept; an alias may move, so its answer is to be asked for again.
fn cache_control(solve: &Solve, how: How, conditions: &Conditions) -> String {
    match how.ttl() {
        _ if !solve.contract().manifest.deterministic || how == How::Bypass => "no-store".to_owned(),
        Some(ttl) if conditions.pinned => format!("private, max-age={}", ttl.as_secs()),
        _ => "private, no-cache".to_owned(),
    }
}

/// Where the time of this request went, for the receipt and as the header. A kept answer cost no queue and no node.
fn timings(solve: &Solve, served: &Served) -> (Milliseconds, String) {
    let total = solve.ticket().arrived.elapsed();
    let spent = match served.how {
        How::Hit { .. } => Timings::default(),
        How::Miss { .. } | How::Joined { .. } | How::Bypass => served.answer.timings,
    };
    let (queue_ms, node_ms) = (milliseconds(spent.queue), milliseconds(spent.node));
    let total_ms = milliseconds(total);
    let header = format!("queue;dur={queue_ms}, node;dur={node_ms}, total;dur={total_ms}");
    (Milliseconds { queue_ms, node_ms, total_ms }, header)
}

/// A 200 of JSON.
pub(super) fn json(body: &impl Serialize, code: &'static str, more: &[(HeaderName, String)]) -> Reply {
    text(serde_json::to_vec(body).unwrap_or_default(), code, more)
}

/// A 200 of a JSON text.
pub(super) fn text(body: impl Into<Bytes>, code: &'static str, more: &[(HeaderName, String)]) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    insert(&mut response, more);
    Reply { response, code, fault: None }
}

fn insert(response: &mut Response, more: &[(HeaderName, String)]) {
    for (name, value) in more {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// To the microsecond, which is finer than any of it is steady.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
