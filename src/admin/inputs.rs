//! `/admin/inputs/<app>/<version>` on the operators' listener: the sample of inputs that a version's callers sent.
//!
//! Invariant: inputs are the customers'. They are given only to who holds the operators' key, and to no log.

use contract::Digest;
use http::{Method, StatusCode};
use jiff::Timestamp;
use program::operators::holds;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::aliases::told;
use super::{Admin, respond};
use crate::gateway::record::Sample;
use crate::gateway::{Request, Response};

/// What `GET /admin/inputs/<app>/<version>` answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recorded {
    pub app_id: String,
    pub version: Version,
    /// When recording of this version began; none where none of its solves came yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many distinct inputs came: exact where `whole`, else an estimate.
    pub distinct: u64,
    /// Whether all distinct inputs that came are here.
    pub whole: bool,
    /// Inputs that were larger than what may be kept of the version.
    #[serde(default)]
    pub too_large: u64,
    pub inputs: Vec<Input>,
}

/// One distinct set of inputs: every declared input, defaults included.
#[derive(Debug, Serialize, Deserialize)]
pub struct Input {
    pub digest: Digest,
    #[serde(default = "once")]
    pub calls: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    pub inputs: Box<RawValue>,
}

fn once() -> u64 {
    1
}

/// Answers a request below `/admin/inputs/`; `rest` is what follows, `key` the digest of the operators' key.
pub(super) fn answer(admin: &Admin, request: &Request, rest: &str, key: Option<&Digest>) -> Response {
    if request.method() != Method::GET {
        return told(StatusCode::METHOD_NOT_ALLOWED, "method", "GET");
    }
    if !key.is_some_and(|key| holds(request.headers(), key)) {
        let message =
            "inputs are the customers': send the key whose digest is `admin.key_sha256` as Authorization: Bearer";
        return told(StatusCode::UNAUTHORIZED, "unauthenticated", message);
    }
    let Some((app_id, version)) = rest.split_once('/') else {
        return told(StatusCode::NOT_FOUND, "address", "the address is /admin/inputs/<app>/<version>");
    };
    let Some(recorder) = &admin.sources.recorder else {
        return told(StatusCode::NOT_FOUND, "not_recorded", "`record.inputs_per_version` is 0: no inputs are recorded");
    };
    let snapshot = admin.registry.current();
    let Some(app) = snapshot.apps.get(app_id) else {
        return told(StatusCode::NOT_FOUND, "no_such_app", "there is no such app");
    };
    let version = Version::parse(version).ok().filter(|version| app.releases.contains_key(version));
    let Some(version) = version else {
        return told(StatusCode::NOT_FOUND, "no_such_version", "the app has no such version");
    };
    let sample = recorder.sample(app_id, &version);
    let count = sample.as_ref().map_or(0, |sample| sample.inputs.len());
    tracing::info!(app_id, %version, count, "recorded inputs were read by an operator");
    let body = Recorded::of(app_id, version, sample);
    respond(StatusCode::OK, "application/json", serde_json::to_vec(&body).unwrap_or_default())
}

// === impl Recorded ===

impl Recorded {
    fn of(app_id: &str, version: Version, sample: Option<Sample>) -> Self {
        let since = sample.as_ref().map(|sample| sample.since);
        let (distinct, whole, too_large) =
            sample.as_ref().map_or((0, true, 0), |sample| (sample.distinct, sample.whole, sample.too_large));
        let kept = sample.map(|sample| sample.inputs).unwrap_or_default();
        let inputs = kept.into_iter().filter_map(|kept| {
            // Canonical bytes are JSON of our own making.
            let text = String::from_utf8(kept.bytes.to_vec()).ok()?;
            let inputs = RawValue::from_string(text).ok()?;
            Some(Input { digest: kept.digest, calls: kept.calls, last: Some(kept.last), inputs })
        });
        Self { app_id: app_id.to_owned(), version, since, distinct, whole, too_large, inputs: inputs.collect() }
    }
}
