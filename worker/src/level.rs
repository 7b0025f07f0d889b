//! `/admin/log-level` on the worker's own listener: which log lines are written, and writing others for good or for a while.
//!
//! Invariant: it asks for no key, so it answers programs on the same computer only, and no page in a browser there.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use logs::{Changed, Level, Order};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Problem {
    error: &'static str,
    message: String,
}

/// Its route, for [`crate::health::router`] to stand beside.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let methods = get(async || answer(|level| Ok(drop(level.view())))).put(put).delete(async || {
        answer(|level| {
            tell(&level.reset());
            Ok(())
        })
    });
    Router::new().route("/admin/log-level", methods).route_layer(middleware::from_fn(local))
}

/// Ends changes that were made for a while. To be run as long as the process.
///
/// Cancel safe.
pub async fn keep() {
    if let Some(level) = logs::level() {
        level.keep(tell).await;
    }
}

async fn put(body: Bytes) -> Response {
    answer(|level| {
        let order: Order = serde_json::from_slice(&body).map_err(|error| format!("this is no order: {error}"))?;
        tell(&level.obey(&order).map_err(|refused| refused.to_string())?);
        Ok(())
    })
}

/// The filter after what was asked for, or why that is not done.
fn answer(change: impl FnOnce(&Level) -> Result<(), String>) -> Response {
    let Some(level) = logs::level() else {
        return problem(StatusCode::NOT_FOUND, "no_log", "this process writes no log");
    };
    match change(&level) {
        Ok(()) => json(StatusCode::OK, &level.view()),
        Err(message) => problem(StatusCode::BAD_REQUEST, "order", &message),
    }
}

async fn local(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    if near && !request.headers().contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    problem(StatusCode::FORBIDDEN, "not_local", "only for programs on this computer")
}

fn tell(Changed { from, to, reason }: &Changed) {
    tracing::info!(from, to, reason, "other log lines are written");
}

fn problem(status: StatusCode, error: &'static str, message: &str) -> Response {
    json(status, &Problem { error, message: message.to_owned() })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
