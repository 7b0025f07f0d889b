//! What operators ask on a listener of their own: figures, and which log lines are written, answered as all programs do.
//!
//! Invariant: that listener is of this computer only; nothing here is on the callers'.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{any, get};
use program::operators::{LOG_LEVEL, Operators, tell};
use tokio::net::TcpListener;

use crate::{Api, observe};

/// Its routes.
pub(crate) fn router(api: Arc<Api>, operators: Operators) -> Router {
    let level = async move |request: Request| -> Response {
        let (response, changed) = operators.log_level(request, None).await;
        changed.iter().for_each(tell);
        response.map(Body::from)
    };
    Router::new().route("/metrics", get(observe::metrics)).route(LOG_LEVEL, any(level)).with_state(api)
}

/// The listener.
///
/// # Errors
/// When others than this computer could reach the address, or it cannot be listened on.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    ensure!(address.ip().is_loopback(), "API_ADMIN_LISTEN must be a loopback address, and {address} is none");
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
