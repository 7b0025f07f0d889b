//! Every way a request to the job API can fail: one closed enum, told in the gateway's own words.
//!
//! Invariant: [`Error::meaning`] has no wildcard arm, and a code that the gateway has, too, means the same there.

use std::time::Duration;

use axum::response::IntoResponse;
use bytes::Bytes;
use contract::Violation;
use http::Response;
use problem::{Meaning, Origin, Problem};

/// Why a request was not answered as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("there is nothing at this address")]
    UnknownRoute,
    #[error("the method does not fit; `Allow` names those that do")]
    MethodNotAllowed,
    #[error("{0}")]
    BadQuery(String),
    #[error("a user's token is needed: send it as `Authorization: Bearer <token>`")]
    Unauthenticated,
    #[error("the issuer of user tokens cannot be asked for its keys")]
    IssuerUnreachable,
    #[error("this token may not act for the app `{app_id}`")]
    AppForbidden { app_id: String },
    #[error("there is no such job")]
    UnknownJob,
    #[error("{detail}")]
    UnknownDefinition { detail: String },
    #[error("{detail}")]
    UnknownVersion { detail: String },
    #[error("{detail}")]
    DefinitionForbidden { detail: String },
    #[error("{detail}")]
    VersionRefused { detail: String },
    #[error("the body names the app `{body}`, but the request acts for `{request}`")]
    AppMismatch { body: String, request: String },
    #[error("this tenant sends more to the batch lane than its rate limit allows")]
    RateLimited { retry_after: Duration },
    #[error("the body is larger than the limit of {limit} bytes")]
    BodyTooLarge { limit: u64 },
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the connection broke off before the body's end")]
    BodyBroken,
    #[error("the body is not usable JSON: {0}")]
    BadJson(String),
    #[error("the body has members that a job does not take")]
    UnknownMember { violations: Vec<Violation> },
    #[error("the inputs do not fit the contract of {definition}:{version}")]
    InvalidInputs { definition: String, version: String, violations: Vec<Violation> },
    #[error("the `Idempotency-Key` was used for another request")]
    IdempotencyConflict,
    #[error("the job is over, so it cannot be cancelled")]
    JobOver,
    #[error("{code}: {message}")]
    JobFailed { code: String, message: String },
    #[error("its attempts are used up, the last one by {code}: {message}")]
    JobDead { code: String, message: String },
    #[error("the job was cancelled")]
    JobCancelled,
    #[error("the result is no longer kept")]
    ResultGone,
    #[error("the link is not valid")]
    LinkInvalid,
    #[error("too many requests are under way")]
    Overloaded,
    #[error("the gateway cannot be asked what the version takes")]
    GatewayUnreachable,
    #[error("the job store does not answer")]
    StoreUnreachable,
    #[error("the API failed; the request id finds the cause in its log")]
    Internal,
}

// === impl Error ===

impl Error {
    /// What it means to a caller.
    pub fn meaning(&self) -> Meaning {
        let [client, gateway] = [Origin::Client, Origin::Gateway];
        match self {
            Self::BadRequest(_) => say(400, "bad_request", client, false, "The request is not well formed"),
            Self::UnknownRoute => say(404, "unknown_route", client, false, "There is nothing here"),
            Self::MethodNotAllowed => say(405, "method_not_allowed", client, false, "The method does not fit"),
            Self::BadQuery(_) => say(400, "bad_query", client, false, "The query does not fit"),
            Self::Unauthenticated => say(401, "unauthenticated", client, false, "A key is needed"),
            Self::IssuerUnreachable => say(503, "issuer_unreachable", gateway, true, "Tokens cannot be checked"),
            Self::AppForbidden { .. } => say(403, "app_forbidden", client, false, "The key does not reach this app"),
            Self::UnknownJob => say(404, "unknown_job", client, false, "No such job"),
            Self::UnknownDefinition { .. } => say(404, "unknown_definition", client, false, "No such definition"),
            Self::UnknownVersion { .. } => say(404, "unknown_version", client, false, "No such version"),
            Self::DefinitionForbidden { .. } => {
                say(403, "definition_forbidden", client, false, "The app may not use this definition")
            }
            Self::VersionRefused { .. } => say(503, "version_refused", gateway, false, "The contract has faults"),
            Self::AppMismatch { .. } => say(400, "app_mismatch", client, false, "The app is named twice, differently"),
            Self::RateLimited { .. } => say(429, "rate_limited", client, true, "The rate limit is reached"),
            Self::BodyTooLarge { .. } => say(413, "body_too_large", client, false, "The body is too large"),
            Self::BodyTimeout => say(408, "body_timeout", client, true, "The body came too slowly"),
            Self::BodyBroken => say(400, "body_broken", client, true, "The body broke off"),
            Self::BadJson(_) => say(400, "bad_json", client, false, "The body is not usable JSON"),
            Self::UnknownMember { .. } => say(400, "unknown_member", client, false, "The body has unknown members"),
            Self::InvalidInputs { .. } => {
                say(422, "invalid_inputs", client, false, "The inputs do not fit the contract")
            }
            Self::IdempotencyConflict => {
                say(422, "idempotency_conflict", client, false, "The key stands for another request")
            }
            Self::JobOver => say(409, "job_over", client, false, "The job is over"),
            Self::JobFailed { .. } => say(422, "job_failed", client, false, "The job failed"),
            Self::JobDead { .. } => say(502, "job_dead", gateway, false, "The job's attempts are used up"),
            Self::JobCancelled => say(410, "job_cancelled", client, false, "The job was cancelled"),
            Self::ResultGone => say(410, "result_gone", client, false, "The result is gone"),
            Self::LinkInvalid => say(403, "link_invalid", client, false, "The link is not valid"),
            Self::Overloaded => say(503, "overloaded", gateway, true, "The gateway is at its limit"),
            Self::GatewayUnreachable => say(503, "gateway_unreachable", gateway, true, "The gateway is unreachable"),
            Self::StoreUnreachable => say(503, "store_unreachable", gateway, true, "The store is unreachable"),
            Self::Internal => say(500, "internal", gateway, true, "The gateway failed"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::RateLimited { retry_after } = self {
            return Some(*retry_after);
        }
        if let Self::IssuerUnreachable = self {
            return Some(Duration::from_secs(30));
        }
        let meaning = self.meaning();
        (meaning.status == 503 && meaning.retryable).then_some(Duration::from_secs(5))
    }

    fn violations(&self) -> &[Violation] {
        if let Self::UnknownMember { violations } | Self::InvalidInputs { violations, .. } = self {
            violations
        } else {
            &[]
        }
    }

    /// The whole answer.
    pub(crate) fn response(&self, request_id: &str, trace_id: &str) -> Response<Bytes> {
        let problem: Problem<'_, ()> = Problem {
            meaning: self.meaning(),
            detail: self.to_string(),
            request_id,
            trace_id,
            violations: self.violations(),
            errors: &[],
            retry_after: self.retry_after(),
        };
        problem.response()
    }
}

/// The answer is written by `observe`, which knows the request's id; here the error rides on an empty response.
impl IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.meaning().status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A store's own words go to the log only.
impl From<jobs::Error> for Error {
    fn from(error: jobs::Error) -> Self {
        if error.is_transient() {
            tracing::warn!(error = ?error, "the job store failed");
            return Self::StoreUnreachable;
        }
        tracing::error!(error = ?error, "the job store refuses");
        Self::Internal
    }
}

fn say(status: u16, code: &'static str, origin: Origin, retryable: bool, title: &'static str) -> Meaning {
    Meaning::new(status, code, origin, retryable, title)
}
