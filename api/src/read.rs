//! What became of jobs: status, result, list, cancel, and the artifacts that signed links lead to.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use jobs::artifacts::{self, LinkQuery, Verb};
use jobs::{Artifact, Cancel, Cursor, Failure, Filter, Job, JobId, State as JobState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::extract::{Asked, At};
use crate::view::View;
use crate::{Api, Error, auth, observe, run};

/// The name of the artifact that holds what a solve gave.
pub(crate) const OUTPUTS: &str = "outputs.json";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    status: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listing<'j> {
    jobs: Vec<View<'j>>,
    next: Option<String>,
}

/// What `outputs.json` holds.
#[derive(Debug, Deserialize)]
struct Solved<'s> {
    #[serde(borrow)]
    outputs: &'s RawValue,
    #[serde(borrow)]
    warnings: &'s RawValue,
}

#[derive(Debug, Serialize)]
struct ResultView<'j> {
    job_id: String,
    app_id: &'j str,
    definition: &'j str,
    version: &'j str,
    status: JobState,
    /// None where they are too large to be answered in one piece: the artifact has them.
    outputs: Option<&'j RawValue>,
    warnings: Option<&'j RawValue>,
    receipt: Option<&'j RawValue>,
    artifacts: Vec<ArtifactView<'j>>,
}

#[derive(Debug, Serialize)]
struct ArtifactView<'j> {
    name: &'j str,
    digest: &'j str,
    bytes: u64,
    media_type: &'j str,
    /// For whoever has it, until `expires_at`.
    url: String,
    expires_at: Timestamp,
}

pub(crate) async fn status(
    State(api): State<Arc<Api>>,
    At((app_id, job_id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let job = find(&api, &caller, &job_id).await?;
    Ok(json(&View::of(&job, &api.parts)))
}

pub(crate) async fn result(
    State(api): State<Arc<Api>>,
    At((app_id, job_id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let job = find(&api, &caller, &job_id).await?;
    outcome(&api, &job).await
}

pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    At(app_id): At<String>,
    Asked(page): Asked<Page>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let state = page.status.as_deref().map(|name| JobState::named(name).ok_or("`status` is no status of a job"));
    let after = page.cursor.as_deref().map(|text| Cursor::decode(text).map_err(|_bad| "`cursor` is none of ours"));
    let bad = |message: &str| Error::BadQuery(message.to_owned());
    let limit = page.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(bad("`limit` is 1 to 200"));
    }
    let filter = Filter { state: state.transpose().map_err(bad)?, after: after.transpose().map_err(bad)?, limit };
    let listed = api.parts.store.list(&caller.scope, &filter).await?;
    let jobs = listed.jobs.iter().map(|job| View::of(job, &api.parts)).collect();
    Ok(json(&Listing { jobs, next: listed.next.map(Cursor::encode) }))
}

pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    At((app_id, job_id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let id: JobId = job_id.parse().map_err(|_unnamed| Error::UnknownJob)?;
    observe::note(|ledger| drop(ledger.job_id.set(id.to_string())));
    match api.parts.store.cancel(&caller.scope, id).await?.ok_or(Error::UnknownJob)? {
        Cancel::Cancelled(job) => Ok(json(&View::of(&job, &api.parts))),
        Cancel::Requested(job) => Ok(run::accepted(&api, &job)),
        // Asking twice is no mistake.
        Cancel::Over(job) if job.state == JobState::Cancelled => Ok(json(&View::of(&job, &api.parts))),
        Cancel::Over(_) => Err(Error::JobOver),
    }
}

/// An artifact for whoever holds a link to it; the link is the credential.
pub(crate) async fn artifact(
    State(api): State<Arc<Api>>,
    At(path): At<String>,
    Asked(link): Asked<LinkQuery>,
) -> Result<Response, Error> {
    let path = format!("artifacts/{path}");
    let checked = api.parts.artifacts.check_link(Verb::Get, &path, &link, Timestamp::now());
    checked.map_err(|_refused| Error::LinkInvalid)?;
    let content = api.parts.artifacts.get_linked(&path, api.parts.bounds.result_bytes_max).await;
    let mut response = Response::new(Body::from(content.map_err(|error| artifact_failed(&error))?));
    let headers = response.headers_mut();
    let name = path.rsplit('/').next().unwrap_or_default();
    let attached = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).ok();
    headers.extend(attached.map(|value| (header::CONTENT_DISPOSITION, value)));
    headers.extend(HeaderValue::from_str(&link.media_type).ok().map(|value| (header::CONTENT_TYPE, value)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// What the result's address answers: the result, that it is not there yet, or why there is none.
pub(crate) async fn outcome(api: &Api, job: &Job) -> Result<Response, Error> {
    let failure = || {
        job.failure.clone().unwrap_or_else(|| Failure {
            code: "internal".to_owned(),
            message: "no reason was recorded".to_owned(),
            retryable: false,
        })
    };
    match job.state {
        JobState::Queued | JobState::Leased | JobState::Running => Ok(run::accepted(api, job)),
        JobState::Failed => Err(Error::JobFailed { code: failure().code, message: failure().message }),
        JobState::Dead => Err(Error::JobDead { code: failure().code, message: failure().message }),
        JobState::Cancelled => Err(Error::JobCancelled),
        JobState::Succeeded => succeeded(api, job).await,
    }
}

async fn succeeded(api: &Api, job: &Job) -> Result<Response, Error> {
    let result = job.result.as_ref().ok_or(Error::Internal)?;
    let mut artifacts = Vec::with_capacity(result.artifacts.len());
    let mut content = None;
    for artifact in &result.artifacts {
        let view = view(api, artifact).await?;
        if view.name == OUTPUTS && artifact.bytes <= api.parts.bounds.result_bytes_max {
            let read = api.parts.artifacts.get(artifact, api.parts.bounds.result_bytes_max).await;
            content = Some(read.map_err(|error| artifact_failed(&error))?);
        }
        artifacts.push(view);
    }
    let unreadable = |error: serde_json::Error| {
        tracing::error!(%error, job_id = %job.id, "the artifact of the outputs cannot be read");
        Error::Internal
    };
    let solved: Option<Solved<'_>> = content.as_deref().map(serde_json::from_slice).transpose().map_err(unreadable)?;
    let view = ResultView {
        job_id: job.id.to_string(),
        app_id: job.scope.app.as_str(),
        definition: &job.definition,
        version: &job.version,
        status: job.state,
        outputs: solved.as_ref().map(|solved| solved.outputs),
        warnings: solved.as_ref().map(|solved| solved.warnings),
        receipt: result.receipt.as_deref(),
        artifacts,
    };
    Ok(json(&view))
}

async fn view<'j>(api: &Api, artifact: &'j Artifact) -> Result<ArtifactView<'j>, Error> {
    let link = api.parts.artifacts.link(artifact, Verb::Get, api.parts.bounds.link_lasts).await;
    let link = link.map_err(|error| artifact_failed(&error))?;
    Ok(ArtifactView {
        name: artifact.path.rsplit('/').next().unwrap_or_default(),
        digest: &artifact.digest,
        bytes: artifact.bytes,
        media_type: &artifact.media_type,
        url: link.url,
        expires_at: link.until,
    })
}

/// The job that the caller's scope has under this id. One of another scope, and what is no id, are the same as none.
pub(crate) async fn find(api: &Api, caller: &auth::Caller, job_id: &str) -> Result<Job, Error> {
    let id: JobId = job_id.parse().map_err(|_unnamed| Error::UnknownJob)?;
    observe::note(|ledger| drop(ledger.job_id.set(id.to_string())));
    api.parts.store.get(&caller.scope, id).await?.ok_or(Error::UnknownJob)
}

pub(crate) fn artifact_failed(error: &artifacts::Error) -> Error {
    if let artifacts::Error::Missing = error {
        return Error::ResultGone;
    }
    tracing::error!(?error, "an artifact cannot be had");
    Error::StoreUnreachable
}

pub(crate) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-store")];
            (StatusCode::OK, headers, bytes).into_response()
        }
        Err(_unwritable) => Error::Internal.into_response(),
    }
}
