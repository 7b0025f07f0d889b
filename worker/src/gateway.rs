//! The one way to a solve: the gateway, in the batch lane, as the job's tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use jobs::Job;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trace::Context;

/// The most bytes of a problem document that are read.
const PROBLEM_BYTES_MAX: usize = 1 << 20;
/// 500 bytes a version: more than ten thousand of them.
const HEALTH_BYTES_MAX: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of the gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    client: reqwest::Client,
    base: String,
    key: Arc<str>,
}

/// What a solve gave.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub outputs: Box<RawValue>,
    pub warnings: Box<RawValue>,
    pub receipt: Option<Box<RawValue>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refusal {
    /// The gateway's own words.
    Problem {
        code: String,
        detail: String,
        retryable: bool,
        retry_after: Option<Duration>,
        /// Whether the gateway holds the caller to blame.
        callers_fault: bool,
    },
    /// It was not reached, broke off, or is no gateway.
    Unreachable(String),
    TooLarge,
}

#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    detail: String,
    retryable: bool,
    #[serde(default)]
    origin: String,
}

/// What an app's users are promised of its jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promises {
    pub success: bool,
    /// How long a good job takes from the queue to its end.
    pub within: Option<Duration>,
}

/// The part of `/health/registry` that is about promises.
#[derive(Debug, Deserialize)]
struct Health {
    apps: Vec<App>,
}

#[derive(Debug, Deserialize)]
struct App {
    app_id: String,
    #[serde(default)]
    slo: Vec<Promised>,
}

#[derive(Debug, Deserialize)]
struct Promised {
    slo: String,
    within_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Body<'b> {
    app_id: &'b str,
    definition: &'b str,
    version: &'b str,
    inputs: &'b RawValue,
}

// === impl Gateway ===

impl Gateway {
    /// The gateway at `base`, which takes `key` as a worker's.
    ///
    /// # Errors
    /// When the system has no certificates to check servers by.
    pub fn new(base: &str, key: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), key: key.into() })
    }

    /// Solves a job's inputs, caused by what `trace` says. To be dropped when the time is over: the gateway then finishes for itself.
    ///
    /// # Errors
    /// What the gateway refuses, or that it cannot be asked.
    pub async fn solve(
        &self,
        job: &Job,
        inputs: &RawValue,
        timeout: Duration,
        bytes_max: usize,
        trace: &Context,
    ) -> Result<Answer, Refusal> {
        let Job { definition, version, scope, .. } = job;
        let body = Body { app_id: scope.app.as_str(), definition, version, inputs };
        let body = serde_json::to_vec(&body).map_err(unreachable)?;
        let url = format!("{}/gh/{definition}:{version}/solve?lane=batch", self.base);
        let mut request = self.client.post(url).body(body).header("content-type", "application/json");
        request = request.header("x-tenant-id", scope.tenant.as_str()).header("x-app-id", scope.app.as_str());
        request = request.header("x-request-id", request_id(job));
        request = request.header("x-timeout-sec", timeout.as_secs().max(1));
        let mut headers = HeaderMap::with_capacity(2);
        trace.write(&mut headers);
        request = request.headers(headers);
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        if status == StatusCode::OK {
            return serde_json::from_slice(&read(answer, bytes_max).await?).map_err(unreachable);
        }
        let bytes = read(answer, PROBLEM_BYTES_MAX).await?;
        let no_problem = |_error| Refusal::Unreachable(format!("{status} without a problem document"));
        let Problem { code, detail, retryable, origin } = serde_json::from_slice(&bytes).map_err(no_problem)?;
        let (retry_after, callers_fault) = (seconds.map(Duration::from_secs), origin == "client");
        Err(Refusal::Problem { code, detail, retryable, retry_after, callers_fault })
    }

    /// What each app's policy promises of its jobs, as the gateway has loaded it.
    ///
    /// # Errors
    /// When the gateway cannot be asked.
    pub async fn promises(&self) -> Result<BTreeMap<String, Promises>, Refusal> {
        let url = format!("{}/health/registry?format=json", self.base);
        let answer = self.client.get(url).timeout(CONNECT_TIMEOUT).send().await.map_err(unreachable)?;
        let health: Health = serde_json::from_slice(&read(answer, HEALTH_BYTES_MAX).await?).map_err(unreachable)?;
        let of = |app: App| {
            let find = |word: &str| app.slo.iter().find(|promised| promised.slo == word);
            let within = find("jobs_latency").and_then(|promised| promised.within_ms).map(Duration::from_millis);
            let promises = Promises { success: find("jobs_success").is_some(), within };
            (app.app_id, promises)
        };
        Ok(health.apps.into_iter().map(of).collect())
    }

    /// Whether the gateway answers.
    pub async fn ping(&self) -> bool {
        let asked = self.client.get(format!("{}/livez", self.base)).timeout(CONNECT_TIMEOUT).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }
}

/// What the gateway calls the request of an attempt in its log.
pub fn request_id(job: &Job) -> String {
    format!("{}.{}", job.id, job.attempts)
}

async fn read(mut answer: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(Refusal::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreachable(error: impl std::fmt::Display) -> Refusal {
    Refusal::Unreachable(error.to_string())
}
