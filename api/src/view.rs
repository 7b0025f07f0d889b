//! A job as its tenant sees it.

use jiff::Timestamp;
use jobs::{Failure, Job, Scope, State};
use serde::Serialize;

use crate::Parts;

/// One job, in lists, as status, and as what a submission gives.
#[derive(Debug, Serialize)]
pub(crate) struct View<'j> {
    job_id: String,
    app_id: &'j str,
    definition: &'j str,
    /// Exact, also where an alias was asked for.
    version: &'j str,
    status: State,
    attempts: u32,
    attempts_max: u32,
    cancel_requested: bool,
    created_at: Timestamp,
    due_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    failure: Option<&'j Failure>,
    status_url: String,
    result_url: String,
    events_url: String,
}

impl<'j> View<'j> {
    pub(crate) fn of(job: &'j Job, parts: &Parts) -> Self {
        Self {
            job_id: job.id.to_string(),
            app_id: job.scope.app.as_str(),
            definition: &job.definition,
            version: &job.version,
            status: job.state,
            attempts: job.attempts,
            attempts_max: job.attempts_max,
            cancel_requested: job.cancel_requested,
            created_at: job.created_at,
            due_at: job.due_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            failure: job.failure.as_ref(),
            status_url: status_url(parts, &job.scope, &job.id),
            result_url: result_url(parts, &job.scope, &job.id),
            events_url: url(parts, &job.scope, &format!("{}/events", job.id)),
        }
    }
}

pub(crate) fn status_url(parts: &Parts, scope: &Scope, id: &jobs::JobId) -> String {
    url(parts, scope, &format!("status/{id}"))
}

pub(crate) fn result_url(parts: &Parts, scope: &Scope, id: &jobs::JobId) -> String {
    url(parts, scope, &format!("result/{id}"))
}

fn url(parts: &Parts, scope: &Scope, rest: &str) -> String {
    format!("{}/{}/jobs/{rest}", parts.public_url, scope.app)
}
