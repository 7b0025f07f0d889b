//! Rhino.Compute's read-only endpoints, answered from what the gateway knows of its nodes; and what of a node is not reachable here.
//!
//! Invariant: no answer asks a node anything, so none wakes a child that is billed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::{Call, reply};
use crate::gateway::Error;
use crate::gateway::stage::Reply;
use crate::nodes::NodeView;
use crate::nodes::node::State;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// When a solve was last sent on for a client of a face.
#[derive(Debug)]
pub(super) struct Idle {
    start: Instant,
    last_ms: AtomicU64,
}

// === impl Idle ===

impl Idle {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, last_ms: AtomicU64::new(0) }
    }

    pub(super) fn touch(&self, now: Instant) {
        let elapsed = u64::try_from(now.duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.last_ms.fetch_max(elapsed, Ordering::Relaxed);
    }

    fn seconds(&self, now: Instant) -> u64 {
        let last = self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(last).as_secs()
    }
}

/// What a node would run or read for whoever asks.
pub(super) fn denied() -> Error {
    Error::PolicyDenied {
        what: "calling a node's own geometry and script endpoints",
        policy: "passthrough: deny",
        help: "; what is computed here are published definitions",
    }
}

// === impl Call ===

impl Call {
    /// One of the read-only endpoints. Whether it is up and what time it is may know whoever asks; what nodes have, key holders.
    pub(super) async fn known(self, path: &str) -> Result<Reply, Error> {
        if !matches!(*self.method(), Method::GET | Method::HEAD) {
            return Err(Error::MethodNotAllowed { allowed: "GET, HEAD" });
        }
        match path {
            "/healthcheck" => return Ok(self.health()),
            "/servertime" => return Ok(reply(JSON, json!(Timestamp::now().to_string()).to_string())),
            _ => {}
        }
        self.identify().await?;
        let nodes = self.faces.parts.nodes.view();
        let mut up = nodes.iter().filter(|node| matches!(node.state, State::Up | State::Asleep | State::Suspect));
        Ok(match path {
            "/activechildren" => reply(TEXT, up.map(|node| node.slots).sum::<u32>().to_string()),
            "/idlespan" => reply(TEXT, self.faces.idle.seconds(Instant::now()).to_string()),
            "/version" => {
                let first = up.next();
                let (rhino, compute) = first.map_or((None, None), |node| (node.rhino.as_ref(), node.compute.as_ref()));
                let ours = env!("CARGO_PKG_VERSION");
                let version = json!({ "rhino": rhino, "compute": compute, "git_sha": null, "appserver": ours });
                reply(JSON, version.to_string())
            }
            _ => reply(JSON, json!(common(up)).to_string()),
        })
    }

    fn health(&self) -> Reply {
        let nodes = &self.faces.parts.nodes;
        let ready = |contract: &_| nodes.attestation(contract).is_ready();
        if self.snapshot.releases().filter_map(|release| release.contract()).any(|contract| ready(contract)) {
            return reply(TEXT, "Healthy");
        }
        let mut unhealthy = reply(TEXT, "Unhealthy");
        *unhealthy.response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        unhealthy
    }
}

/// The plug-ins that every node has, in the same version: what a solve can count on wherever it goes.
fn common<'n>(mut nodes: impl Iterator<Item = &'n NodeView>) -> BTreeMap<String, String> {
    let mut common = nodes.next().and_then(|node| node.plugins.clone()).unwrap_or_default();
    for node in nodes {
        let has =
            |name: &String, version: &String| node.plugins.as_ref().is_some_and(|has| has.get(name) == Some(version));
        common.retain(|name, version| has(name, version));
    }
    common
}
