//! Answer → Reply: the one shape in which outputs leave, with the receipt that says how they came to be.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::value::RawValue;

use super::stage::{Answer, Reply, Response, Solve};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

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
    timings: Milliseconds,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "units stand last in the names of the wire")]
struct Milliseconds {
    queue_ms: f64,
    node_ms: f64,
    total_ms: f64,
}

/// The response to a solve.
pub fn reply(solve: &Solve, answer: &Answer) -> Reply {
    let contract = solve.contract();
    let total = solve.ticket().arrived.elapsed();
    let timings = Milliseconds {
        queue_ms: milliseconds(answer.timings.queue),
        node_ms: milliseconds(answer.timings.node),
        total_ms: milliseconds(total),
    };
    let Milliseconds { queue_ms, node_ms, total_ms } = timings;
    let server_timing = format!("queue;dur={queue_ms}, node;dur={node_ms}, total;dur={total_ms}");
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
            timings,
        },
    };
    json(&document, "ok", &[(SERVER_TIMING, server_timing)])
}

/// A 200 of JSON.
pub(super) fn json(body: &impl Serialize, code: &'static str, more: &[(HeaderName, String)]) -> Reply {
    let bytes = Bytes::from(serde_json::to_vec(body).unwrap_or_default());
    let mut response = Response::new(Full::new(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in more {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    Reply { response, code }
}

/// To the microsecond, which is finer than any of it is steady.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
