//! `/admin/log-level` on the worker's own listener, answered as all programs do. Others may reach that listener: it says who asks.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::any;
use program::operators::{LOG_LEVEL, Operators, tell};

/// Its route, for [`crate::health::router`] to stand beside. To be served with what peers are called.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(operators: Operators) -> Router<S> {
    let answer = async move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| -> Response {
        let (response, changed) = operators.log_level(request, Some(peer)).await;
        changed.iter().for_each(tell);
        response.map(Body::from)
    };
    Router::new().route(LOG_LEVEL, any(answer))
}
