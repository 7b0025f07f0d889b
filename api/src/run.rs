//! `POST /{app_id}/jobs/run`: a job is checked whole before it is queued, so that what waits can be solved.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use contract::{Described, Digest, Violation, fault, json};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jobs::{Idempotency, Inputs, Job, JobId, NewJob, Scope, Submitted};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use crate::extract::{At, text};
use crate::view::{View, status_url};
use crate::{Api, Error, auth, observe, read};

const MEMBERS: [&str; 4] = ["app_id", "definition", "version", "inputs"];
const KEY_BYTES_MAX: usize = 255;

/// What the body asks for.
#[derive(Debug)]
struct Asked {
    definition: String,
    version: String,
    inputs: Value,
    /// Over all of it, spelt in one way.
    digest: Digest,
}

pub(crate) async fn run(
    State(api): State<Arc<Api>>,
    At(app_id): At<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let scope = &caller.scope;
    let wait = wait(&api, &headers)?;
    let key = idempotency_key(&headers)?;
    let asked = asked(&receive(&api, body).await?, &app_id)?;
    let described = api.parts.contracts.describe(scope, &asked.definition, &asked.version).await?;
    api.limit.take(scope, described.limits.batch_jobs_per_min)?;
    let idempotency = key.map(|key| Idempotency { key, request_digest: asked.digest.to_string() });
    observe::note(|ledger| {
        let _ = ledger.definition.set(described.definition.clone());
        let _ = ledger.version.set(described.version.clone());
    });
    let new = new_job(&api, scope, &described, &asked.inputs, idempotency).await?;
    let submitted = match api.parts.store.submit(scope, new).await {
        Err(jobs::Error::Forbidden) => return Err(Error::AppForbidden { app_id }),
        other => other?,
    };
    let (job, replayed) = match submitted {
        Submitted::Created(job) => (job, false),
        Submitted::Existing(job) => (job, true),
        Submitted::Conflict => return Err(Error::IdempotencyConflict),
    };
    observe::note(|ledger| drop(ledger.job_id.set(job.id.to_string())));
    let mut response = match wait {
        Some(wait) => waited(&api, scope, job, wait).await?,
        None => accepted(&api, &job),
    };
    let headers = response.headers_mut();
    if let Some(wait) = wait {
        let applied = HeaderValue::from_str(&format!("wait={}", wait.as_secs()));
        headers.extend(applied.ok().map(|applied| (http::HeaderName::from_static("preference-applied"), applied)));
    }
    if replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// 202, and where to look.
pub(crate) fn accepted(api: &Api, job: &Job) -> Response {
    let mut response = (StatusCode::ACCEPTED, read::json(&View::of(job, &api.parts))).into_response();
    let headers = response.headers_mut();
    headers.extend(
        HeaderValue::from_str(&status_url(&api.parts, &job.scope, &job.id)).ok().map(|url| (header::LOCATION, url)),
    );
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The result, if it comes in time.
async fn waited(api: &Api, scope: &Scope, job: Job, wait: Duration) -> Result<Response, Error> {
    // Who cannot wait here is told where to look, as if its time were over.
    let Ok(_place) = api.waiting.try_acquire() else { return Ok(accepted(api, &job)) };
    let end = Instant::now() + wait;
    let mut watch = api.parts.store.watch(job.id);
    loop {
        let now = api.parts.store.get(scope, job.id).await?.ok_or(Error::UnknownJob)?;
        let left = end.saturating_duration_since(Instant::now());
        if now.state.is_final() || left.is_zero() {
            return read::outcome(api, &now).await;
        }
        watch.changed(left).await;
    }
}

async fn receive(api: &Api, body: Body) -> Result<Bytes, Error> {
    let bounds = &api.parts.bounds;
    let read = async {
        // A place and the body, in the same time.
        let _place = api.bodies.acquire().await.map_err(|_closed| Error::Overloaded)?;
        Ok::<_, Error>(axum::body::to_bytes(body, bounds.body_bytes_max).await)
    };
    let received = timeout(bounds.body_timeout, read).await.map_err(|_late| Error::BodyTimeout)??;
    received.map_err(|error| {
        let too_large = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
        if too_large { Error::BodyTooLarge { limit: bounds.body_bytes_max as u64 } } else { Error::BodyBroken }
    })
}

fn asked(bytes: &[u8], app_id: &str) -> Result<Asked, Error> {
    let parsed = json::parse(bytes, &json::Limits::default()).map_err(|error| Error::BadJson(error.to_string()))?;
    let digest = Digest::of_json(&parsed).ok_or_else(|| Error::BadJson("a number is out of range".to_owned()))?;
    let Value::Object(mut body) = parsed else { return Err(Error::BadJson("a job is an object".to_owned())) };
    let unknown: Vec<Violation> =
        body.keys().filter(|key| !MEMBERS.contains(&key.as_str())).take(100).map(|key| unknown_member(key)).collect();
    if !unknown.is_empty() {
        return Err(Error::UnknownMember { violations: unknown });
    }
    if let Some(named) = body.get("app_id").filter(|named| named.as_str() != Some(app_id)) {
        let body = named.as_str().map_or_else(|| named.to_string(), str::to_owned).chars().take(64).collect();
        return Err(Error::AppMismatch { body, request: app_id.to_owned() });
    }
    let word = |name: &str, usual: Option<&str>| match body.get(name) {
        Some(Value::String(word)) => Ok(word.clone()),
        None if usual.is_some() => Ok(usual.unwrap_or_default().to_owned()),
        _ => Err(Error::BadJson(format!("`{name}` is a text"))),
    };
    let (definition, version) = (word("definition", None)?, word("version", Some("stable"))?);
    let inputs = body.remove("inputs").unwrap_or_else(|| Value::Object(Map::new()));
    Ok(Asked { definition, version, inputs, digest })
}

fn unknown_member(key: &str) -> Violation {
    let shown: String = key.chars().take(64).collect();
    let help = fault::did_you_mean(key, MEMBERS).unwrap_or_else(|| "inputs go into `inputs`".to_owned());
    let pointer = format!("/{}", json::spans::escape(key));
    Violation {
        help: Some(help),
        ..Violation::new(pointer, "unknown_member", format!("a job has no member `{shown}`"))
    }
}

async fn new_job(
    api: &Api,
    scope: &Scope,
    described: &Described,
    inputs: &Value,
    idempotency: Option<Idempotency>,
) -> Result<NewJob, Error> {
    let checked = described.check_inputs(inputs).map_err(|violations| Error::InvalidInputs {
        definition: described.definition.clone(),
        version: described.version.clone(),
        violations,
    })?;
    if let Some(limit) = described.limits.request_bytes.filter(|limit| checked.bytes.len() as u64 > *limit) {
        return Err(Error::BodyTooLarge { limit });
    }
    let id = JobId::new();
    let inputs = if checked.bytes.len() > jobs::job::INLINE_BYTES_MAX {
        let content = Bytes::from(checked.bytes);
        let stored = api.parts.artifacts.put(&scope.app, id, "inputs.json", "application/json", content).await;
        Inputs::Artifact(stored.map_err(|error| read::artifact_failed(&error))?)
    } else {
        let text = String::from_utf8(checked.bytes).map_err(|_no_text| Error::Internal)?;
        Inputs::inline(text).map_err(|_no_json| Error::Internal)?
    };
    let trace = observe::context();
    Ok(NewJob {
        id,
        definition: described.definition.clone(),
        version: described.version.clone(),
        digest: described.digest.clone(),
        inputs,
        idempotency,
        attempts_max: api.parts.bounds.attempts_max,
        traceparent: trace.as_ref().map(|trace| trace.place.to_string()),
        tracestate: trace.as_ref().and_then(|trace| trace.state()).map(str::to_owned),
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let bad = Error::BadRequest("Idempotency-Key is 1 to 255 printable ASCII characters");
    let Some(key) = text(headers, "idempotency-key")? else { return Ok(None) };
    let fits =
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if fits { Ok(Some(key.to_owned())) } else { Err(bad) }
}

/// `Prefer: wait=10`. Preferences that are not known are ignored, as RFC 7240 wants.
fn wait(api: &Api, headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(prefer) = text(headers, "prefer")? else { return Ok(None) };
    let wait = prefer.split([',', ';']).find_map(|preference| preference.trim().strip_prefix("wait="));
    let Some(seconds) = wait.and_then(|seconds| seconds.trim().parse().ok()) else { return Ok(None) };
    Ok(Some(Duration::from_secs(seconds).min(api.parts.bounds.wait_max)))
}
