//! `/admin/log-level` on the operators' listener: which log lines are written, and writing others for good or for a while.
//!
//! Invariant: every change, and the end of one that was made for a while, is an event.

use std::time::Duration;

use http::{Method, StatusCode, header};
use logs::{Filter, Level, View};
use serde::{Deserialize, Serialize};

use super::aliases::{Problem, received};
use super::{Admin, respond};
use crate::gateway::{Request, Response};
use crate::registry::events::Events;

/// What `PUT /admin/log-level` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A level, or `target=level`, with commas between them.
    pub filter: String,
    /// For how many seconds; until the next change or restart, if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_sec: Option<u64>,
}

/// The longest "while": what is needed for longer belongs in the configuration.
pub const FOR_SEC_MAX: u64 = 86_400;
const BODY_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn answer(admin: &Admin, request: Request) -> Response {
    let Some(level) = logs::level() else {
        return told(StatusCode::NOT_FOUND, "no_log", "this process writes no log");
    };
    let events = admin.registry.events();
    match *request.method() {
        Method::GET | Method::HEAD => json(&level.view()),
        Method::DELETE => {
            let before = level.reset();
            events.log_level(before.as_str(), &level.view().filter, "reset by an operator");
            json(&level.view())
        }
        Method::PUT => {
            let body = tokio::time::timeout(BODY_WAIT, received(request.into_body())).await;
            let Ok(Some(body)) = body else {
                return told(StatusCode::BAD_REQUEST, "body", "an order is one short JSON object, sent at once");
            };
            match order(&level, events, &body) {
                Ok(view) => json(&view),
                Err(message) => told(StatusCode::BAD_REQUEST, "order", &message),
            }
        }
        _ => {
            let mut response = told(StatusCode::METHOD_NOT_ALLOWED, "method", "GET, PUT or DELETE");
            response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD, PUT, DELETE"));
            response
        }
    }
}

fn order(level: &Level, events: &Events, body: &[u8]) -> Result<View, String> {
    let Order { filter, for_sec } = serde_json::from_slice(body).map_err(|error| format!("this is no order: {error}"))?;
    let filter: Filter = filter.parse().map_err(|error: logs::filter::Error| error.to_string())?;
    if for_sec.is_some_and(|sec| !(1..=FOR_SEC_MAX).contains(&sec)) {
        return Err(format!("`for_sec` is from 1 to {FOR_SEC_MAX}"));
    }
    let reason = for_sec.map_or("by an operator".to_owned(), |sec| format!("by an operator, for {sec} s"));
    let to = filter.to_string();
    let before = level.set(filter, for_sec.map(Duration::from_secs));
    events.log_level(before.as_str(), &to, &reason);
    Ok(level.view())
}

/// Ends changes that were made for a while, as long as the process lives.
///
/// Cancel safe.
pub async fn keep(level: &Level, events: &Events) {
    level.keep(|before| events.log_level(before.as_str(), &level.view().usual, "the time of a change is over")).await;
}

fn told(status: StatusCode, error: &str, message: &str) -> Response {
    let problem = Problem { error: error.to_owned(), message: message.to_owned() };
    respond(status, "application/json", serde_json::to_vec(&problem).unwrap_or_default())
}

fn json(view: &View) -> Response {
    respond(StatusCode::OK, "application/json", serde_json::to_vec(view).unwrap_or_default())
}
