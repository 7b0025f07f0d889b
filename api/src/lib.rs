//! The job API: HTTP over [`jobs`] and the gateway's contracts, for one app or for all.
//!
//! It owns no policy and knows no node: what may be called, with which inputs and how often, is what the gateway describes.
//!
//! Invariant: a handler that touches jobs begins with `auth::scope`, and reads and writes as that scope only.

pub mod auth;
pub mod config;
pub mod contracts;
pub mod error;
mod events;
mod extract;
mod limit;
mod observe;
mod openapi;
pub mod operate;
mod read;
mod run;
mod serve;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{delete, get, post};
use identity::Verifier;
use jobs::artifacts::Artifacts;
use jobs::{AppId, Queue, ServiceBus, Store};
use program::operators::Operators;
use tokio::sync::Semaphore;

pub use contracts::Contracts;
pub use error::Error;
pub use openapi::ROUTES;
pub use serve::serve;

/// What the API is made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    /// Asked for its figures only.
    pub queue: Arc<dyn Queue>,
    /// The broker that tells workers of jobs, where there is one. Asked for its figures only.
    pub broker: Option<Arc<ServiceBus>>,
    pub artifacts: Artifacts,
    pub contracts: Contracts,
    pub verifier: Verifier,
    pub bounds: Bounds,
    /// The one app that is served; all where there is none.
    pub only: Option<AppId>,
    /// What addresses in answers begin with; where it is empty they begin with the path.
    pub public_url: String,
    pub tracer: trace::Tracer,
}

/// What one process takes at a time.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub body_bytes_max: usize,
    /// Bodies that are read at one time: with the size, what they take of memory.
    pub bodies_max: usize,
    pub body_timeout: Duration,
    /// Callers that follow events, or wait for an answer.
    pub waiting_max: usize,
    /// The longest that `Prefer: wait` may ask for.
    pub wait_max: Duration,
    /// How often a job is tried that may fare better the next time.
    pub attempts_max: u32,
    /// How large a result is answered in one piece; a larger one is a link.
    pub result_bytes_max: u64,
    /// How long a link to an artifact is good for.
    pub link_lasts: Duration,
}

/// What handlers share.
struct Api {
    parts: Parts,
    limit: limit::Limit,
    bodies: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    metrics: observe::Metrics,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // 32 × 8 MiB = 256 MiB.
            body_bytes_max: 8 << 20,
            bodies_max: 32,
            body_timeout: Duration::from_secs(30),
            waiting_max: 1024,
            wait_max: Duration::from_mins(1),
            attempts_max: 5,
            result_bytes_max: 64 << 20,
            link_lasts: Duration::from_mins(15),
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("only", &self.only).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Every route of callers. [`ROUTES`] lists the same ones for the OpenAPI documents; a test compares the two.
pub fn router(parts: Parts) -> Router {
    routers(parts, Operators::default()).0
}

/// The routes of callers, and those of operators, each for a listener of its own.
pub fn routers(parts: Parts, operators: Operators) -> (Router, Router) {
    let api = Arc::new(Api {
        limit: limit::Limit::default(),
        bodies: Arc::new(Semaphore::new(parts.bounds.bodies_max)),
        waiting: Arc::new(Semaphore::new(parts.bounds.waiting_max)),
        metrics: observe::Metrics::new(),
        parts,
    });
    let operated = operate::router(Arc::clone(&api), operators);
    let called = Router::new()
        .route("/{app_id}/jobs/run", post(run::run))
        .route("/{app_id}/jobs", get(read::list))
        .route("/{app_id}/jobs/status/{job_id}", get(read::status))
        .route("/{app_id}/jobs/result/{job_id}", get(read::result))
        .route("/{app_id}/jobs/{job_id}", delete(read::cancel))
        .route("/{app_id}/jobs/{job_id}/events", get(events::events))
        .route("/{app_id}/openapi.json", get(openapi::of_app))
        .route("/artifacts/{*path}", get(read::artifact))
        .route("/openapi.json", get(openapi::of_api))
        .route("/livez", get(observe::livez))
        .route("/readyz", get(observe::readyz))
        .route("/metrics", get(observe::metrics))
        .fallback(async || Error::UnknownRoute)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), observe::observe))
        .with_state(api);
    (called, operated)
}
