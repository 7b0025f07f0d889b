//! `/admin/log-level` on the operators' listener: which log lines are written, and writing others for good or for a while.
//!
//! Invariant: every change, and the end of one that was made for a while, is an event.

use std::time::Duration;

use http::{Method, StatusCode, header};
use logs::{Level, Order, View};

use super::aliases::{Problem, received};
use super::{Admin, respond};
use crate::gateway::{Request, Response};
use crate::registry::events::Events;

const BODY_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn answer(admin: &Admin, request: Request) -> Response {
    let Some(level) = logs::level() else {
        return told(StatusCode::NOT_FOUND, "no_log", "this process writes no log");
    };
    let events = admin.registry.events();
    match *request.method() {
        Method::GET | Method::HEAD => json(&level.view()),
        Method::DELETE => {
            events.log_level(level.reset());
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
    let order: Order = serde_json::from_slice(body).map_err(|error| format!("this is no order: {error}"))?;
    events.log_level(level.obey(&order).map_err(|refused| refused.to_string())?);
    Ok(level.view())
}

/// Ends changes that were made for a while, as long as the process lives.
///
/// Cancel safe.
pub async fn keep(level: &Level, events: &Events) {
    level.keep(|changed| events.log_level(changed.clone())).await;
}

fn told(status: StatusCode, error: &str, message: &str) -> Response {
    let problem = Problem { error: error.to_owned(), message: message.to_owned() };
    respond(status, "application/json", serde_json::to_vec(&problem).unwrap_or_default())
}

fn json(view: &View) -> Response {
    respond(StatusCode::OK, "application/json", serde_json::to_vec(view).unwrap_or_default())
}
