//! Brings every version of the registry to a verdict: which are warm, which contradict their own examples.
//!
//! Invariant: it asks for spare slots only, for few at once, and for the latest version of each app first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;
use tokio::task::{JoinError, JoinSet};

use crate::nodes::{Nodes, Unsettled, Warmth};
use crate::registry::{Registry, Snapshot};

/// A new snapshot is seen within this time; a node that becomes ready is seen at once.
const PAUSE: Duration = Duration::from_secs(1);
/// Waits after failures grow to this.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// A version, and what came of trying to warm it.
type Shown = (Arc<Contract>, Result<Warmth, Unsettled>);

/// Warms what is cold, for as long as the gateway takes requests.
#[derive(Clone, Debug)]
pub(super) struct Warm {
    registry: Registry,
    nodes: Nodes,
    at_once: usize,
    /// Versions whose last try failed by a node: how often, and when to try again.
    failed: HashMap<Digest, (u32, Instant)>,
}

impl Warm {
    pub(super) fn new(registry: Registry, nodes: Nodes, at_once: usize) -> Self {
        Self { registry, nodes, at_once, failed: HashMap::new() }
    }

    /// Ends by being dropped: a solve under way goes on for nobody.
    pub(super) async fn run(mut self) {
        let mut changed = self.nodes.changed();
        let mut known = None;
        loop {
            let snapshot = self.registry.current();
            if known.replace(snapshot.digest) != Some(snapshot.digest) {
                let versions: HashSet<_> = versions(&snapshot).map(|(_, contract)| contract.digest).collect();
                self.nodes.keep_warm(&versions);
                self.failed.retain(|version, _| versions.contains(version));
            }
            changed.mark_unchanged();
            self.pass(&snapshot).await;
            // The sender is in the handle that this holds.
            let _ = tokio::time::timeout(PAUSE, changed.changed()).await;
        }
    }

    /// Every cold version that some node attests, once.
    async fn pass(&mut self, snapshot: &Snapshot) {
        let mut running = JoinSet::new();
        for (pool, contract) in versions(snapshot) {
            let nodes = self.nodes.within(pool);
            let attestation = nodes.attestation(contract);
            let waits = self.failed.get(&contract.digest).is_some_and(|(_, until)| Instant::now() < *until);
            if attestation.warmth != Warmth::Cold || attestation.ready == 0 || waits {
                continue;
            }
            while running.len() >= self.at_once {
                self.note(running.join_next().await);
            }
            let contract = Arc::clone(contract);
            running.spawn(async move {
                let outcome = nodes.warm(&contract).await;
                (contract, outcome)
            });
        }
        while let Some(ended) = running.join_next().await {
            self.note(Some(ended));
        }
    }

    /// A task that is gone by a defect has shown nothing.
    fn note(&mut self, ended: Option<Result<Shown, JoinError>>) {
        let Some(Ok((contract, outcome))) = ended else { return };
        let (definition, version) = (&contract.manifest.definition, contract.version.to_string());
        match outcome {
            Ok(Warmth::Warm) => tracing::info!(definition, version, "a version is warm"),
            Ok(warmth) => tracing::error!(definition, version, ?warmth, "a version contradicts its own examples"),
            // Tried again with the next pass.
            Err(Unsettled::NoSlot) => return,
            Err(Unsettled::Node(failure)) => {
                tracing::warn!(definition, version, %failure, "a version could not be warmed yet");
                let times = self.failed.get(&contract.digest).map_or(0, |(times, _)| *times);
                let pause = PAUSE.saturating_mul(1 << times.min(6)).min(BACKOFF_MAX);
                self.failed.insert(contract.digest, (times + 1, Instant::now() + pause));
                return;
            }
        }
        self.failed.remove(&contract.digest);
    }
}

/// All loaded versions, each with its app's label: first the highest of each app, then the second highest of each.
fn versions(snapshot: &Snapshot) -> impl Iterator<Item = (Option<&str>, &Arc<Contract>)> {
    let apps = snapshot.apps.values().flat_map(|app| {
        let pool = app.policy.as_ref().and_then(|policy| policy.node_pool.as_deref());
        let loaded = app.releases.values().rev().filter_map(|release| release.contract());
        loaded.enumerate().map(move |(rank, contract)| (rank, pool, contract))
    });
    let mut all: Vec<_> = apps.collect();
    all.sort_by_key(|(rank, ..)| *rank);
    all.into_iter().map(|(_, pool, contract)| (pool, contract))
}
