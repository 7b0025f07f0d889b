//! The request path, whole: what happens to a solve from its first byte to its answer, in order.
//!
//! Invariant: the request's type says what has been checked, so a wrong order of the stages does not compile.

use std::convert::Infallible;
use std::time::Duration;

use tower::util::{BoxCloneSyncService, option_layer};
use tower::{Service, ServiceBuilder};
use trace::Tracer;

use crate::nodes::Nodes;
use crate::registry::Registry;
use crate::seats::Seats;
use crate::telemetry::metrics::Metrics;

pub mod answer;
pub mod authorize;
pub mod body;
pub mod cache;
pub mod cors;
pub mod deadline;
pub mod describe;
pub mod dialect;
pub mod error;
pub mod flood;
pub mod forward;
pub mod observe;
pub mod outcomes;
pub mod ratelimit;
pub mod record;
pub mod rescue;
pub mod route;
pub mod seats;
pub mod shared;
pub mod slo;
pub mod stage;
pub mod validate;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use stage::{Answer, Body, Lane, Reply, Request, Response, Seated};

/// What the path is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    pub metrics: Metrics,
    pub tracer: Tracer,
    pub registry: Registry,
    pub nodes: Nodes,
    pub seats: Seats,
    pub access: authorize::Access,
    pub flood: flood::Guard,
    pub buckets: ratelimit::Buckets,
    pub outcomes: outcomes::Outcomes,
    pub slos: slo::Slos,
    pub body: body::Bounds,
    /// The longest address, path and query together.
    pub uri_bytes_max: usize,
    /// Reads what other clients send; none where only our own addresses are served.
    pub interpreter: Option<dialect::Interpreter>,
    /// None where every request is solved for itself.
    pub cache: Option<cache::Cache>,
    /// None where nobody asked for a sample of inputs.
    pub recorder: Option<record::Recorder>,
    /// The longest that any solve may take, whatever its contract says.
    pub timeout_max: Duration,
}

/// The whole way of a request; `forward` is its far end, a node. It always answers: every failure has become a response
/// when it leaves.
pub fn path<F>(parts: Parts, forward: F) -> BoxCloneSyncService<Request, Response, Infallible>
where
    F: Service<Seated, Response = Answer, Error = Error, Future: Send> + Clone + Send + Sync + 'static,
{
    let pace = parts.nodes.pace();
    // What a solve costs: the contract's time budget, a seat of the app, a slot on a node.
    let solve = ServiceBuilder::new()
        .layer(deadline::layer(parts.timeout_max, pace.clone())) // Solve -> Due: the moment by which it must be answered
        .layer(seats::layer(parts.seats, parts.metrics.clone())) // Due -> Seated: the app's seat, tenants in turn
        .service(forward); //                               Seated -> Answer: from an attested node, mapped and checked

    // What decides whether a request may cost that.
    let admit = ServiceBuilder::new()
        .layer(observe::layer(parts.outcomes, parts.metrics, parts.slos, parts.tracer)) // Request -> Seen: id, spans, access line
        .layer(rescue::layer()) //                          Error -> Reply; nothing above sees an Err
        .layer(flood::layer(parts.flood)) //                Seen -> Seen: no address takes more than its share
        .layer(dialect::layer(parts.interpreter)) //        Seen -> Seen: what other clients send becomes a request of ours
        .layer(route::layer(parts.registry, parts.uri_bytes_max)) // Seen -> Routed: strict address; pins one snapshot
        .layer(authorize::layer(parts.access, parts.nodes.clone())) // Routed -> Authorized: who asks, may they
        .layer(describe::layer(parts.nodes)) //             GET ends here: what the version promises
        .layer(ratelimit::layer(parts.buckets)) //          Authorized -> Authorized: within the tenant's rate
        .layer(body::layer(parts.body)) //                  Authorized -> Received: size, pace, bytes in flight
        .layer(validate::layer(parts.cache.as_ref().and_then(cache::Cache::bodies))) // Received -> Solve: parsed, checked, canonical, keyed
        .layer(option_layer(parts.recorder.map(record::layer))) // Solve -> Solve: a sample of inputs, where it is asked for
        .layer(cache::layer(parts.cache, pace)) //          Solve -> Served: kept, joined, or one detached solve for all
        .service(solve);

    BoxCloneSyncService::new(admit)
}
