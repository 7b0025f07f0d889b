//! The nodes: who is there, what they have, and a slot on the right one.
//!
//! [`Nodes`] is the handle, cheap to clone; [`Driver`] probes the nodes for as long as the gateway runs. The choice of
//! a node ([`pool`]), a node's health ([`node`]) and its slots ([`slots`]) are pure and tested as tables; the lock
//! that joins them is in `state`, the exchange with a node in `solve`.
//!
//! Invariants: probing wakes no child that is billed; a solve goes to attested nodes only; a slot belongs to the
//! solve and not to its caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Contract;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::attest::{Attestation, Installed};
use self::entry::Entry;
pub use self::health::Driver;
pub use self::pace::Pace;
pub use self::pool::Refusal;
pub use self::roster::{Changes, DEFAULT_POOL};
pub use self::solve::{Failure, Meter, Running, Slot, Solved};
use self::state::Shared;
use self::table::Want;
pub use self::warm::{Unsettled, Warmth};
use crate::rhino::client::{self, Key};
use crate::seats::Lane;

pub mod attest;
pub mod budget;
mod entry;
mod health;
mod line;
pub mod node;
mod pace;
pub mod pool;
mod roster;
pub mod slots;
mod solve;
mod spread;
mod state;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod warm;
mod window;

/// The nodes, and the bounds of dealing with them.
#[derive(Clone, Debug)]
pub struct Options {
    /// In the order in which they are shown.
    pub nodes: Vec<NodeOptions>,
    /// How often a node is probed, ±20 %.
    pub probe_interval: Duration,
    /// For one probe.
    pub probe_timeout: Duration,
    /// For asking what a node has, which may have to start a child that loads many plug-ins.
    pub ask_timeout: Duration,
    /// How often a node that is warm is asked again what it has.
    pub ask_interval: Duration,
    /// How long after a solve a node's children are taken to be awake.
    pub warm_for: Duration,
    /// After how long without a call children leave, where a node does not say how many are there.
    pub children_idle: Duration,
    /// For a TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// The longest silence inside an answer that has begun.
    pub idle_timeout: Duration,
    /// After how long the nodes' own proxy gives up (`RHINO_COMPUTE_TIMEOUT`).
    pub proxy_timeout: Duration,
    /// How long after its deadline an answer is listened for.
    pub abandon_after: Duration,
    /// For one of the small solves that show that a stuck node works again.
    pub canary_timeout: Duration,
    /// How many may wait for a slot at once.
    pub waiting_max: usize,
    /// When a node is in and out of service.
    pub rules: node::Rules,
    /// How many solves may be sent a second time.
    pub retries: budget::Rules,
    /// Whether a version is ready only when its examples have been solved; then somebody must call [`Nodes::warm`].
    pub warming: bool,
    /// Whether answers keep the node's own data trees beside the outputs.
    pub keep_trees: bool,
}

/// One Rhino.Compute server.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its name in logs and on pages.
    pub name: String,
    /// Where it answers, with or without a trailing `/`.
    pub url: String,
    /// Its API key.
    pub key: Option<Key>,
    /// How many solves it runs at once: the number of its children. Asked of the node where absent.
    pub slots: Option<u32>,
    /// Its labels. An app goes to nodes that have the label of its policy, or [`DEFAULT_POOL`] where it names none; a
    /// node without labels has that one alone.
    pub pools: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            probe_interval: Duration::from_secs(10),
            probe_timeout: Duration::from_secs(5),
            ask_timeout: Duration::from_mins(3),
            ask_interval: Duration::from_mins(10),
            warm_for: Duration::from_mins(2),
            children_idle: Duration::from_hours(1),
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(30),
            proxy_timeout: Duration::from_secs(100),
            abandon_after: Duration::from_mins(15),
            canary_timeout: Duration::from_secs(10),
            waiting_max: 1024,
            rules: node::Rules::default(),
            retries: budget::Rules::default(),
            warming: false,
            keep_trees: false,
        }
    }
}

/// Why the nodes cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}`: {why}")]
pub struct SetupError {
    /// The node's name.
    pub node: String,
    /// What is wrong with it.
    pub why: client::BuildError,
}

/// What a node turned out to offer beyond the least that all offer. Found by asking, never by its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// `/validate`
    pub validate: bool,
    /// `/childrenready`
    pub children_ready: bool,
    /// `/activechildren?initialize=false`, which counts children without starting any.
    pub children_count: bool,
}

/// One node, as pages and the matrix show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub pools: Vec<String>,
    /// Its health.
    pub state: node::State,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Rhino's version.
    pub rhino: Option<String>,
    /// Rhino.Compute's version.
    pub compute: Option<String>,
    /// How many solves it runs at once.
    pub slots: u32,
    /// How many of them may be taken now: on trial and shortly after it came back, fewer than are idle.
    pub free: u32,
    /// How many are held by solves past their deadline.
    pub wedged: u32,
    /// What it has installed, as it last said, by name.
    #[serde(skip)]
    pub plugins: Option<std::collections::BTreeMap<String, String>>,
    /// How many are held by solves that callers wait for.
    #[serde(default)]
    pub running: u32,
    /// How often it was taken out of service for failed solves.
    #[serde(default)]
    pub ejections: u64,
    /// How often requests were sent to it once more.
    #[serde(skip)]
    pub sent_again: SentAgain,
    /// Hash of everything that it has installed, in the normal form of a contract's requirements.
    pub plugins_hash: Option<String>,
    /// What it offers beyond the least.
    pub features: Features,
}

/// How often requests were sent a second time, by what made it necessary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentAgain {
    /// On a new connection, because the node had closed the idle one before anything was written.
    pub connection: u64,
    /// To another node, because nothing can have reached this one.
    pub node: u64,
    /// With the definition, because the node did not hold it.
    pub definition: u64,
    /// Small solves of the gateway's own, to see whether the node solves.
    pub canary: u64,
}

/// The handle, for the apps of one label, on the account of one of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nodes {
    shared: Arc<Shared>,
    pool: Arc<str>,
    app: Arc<str>,
    lane: Lane,
}

impl Nodes {
    /// Sets up clients and opens no connection. Nothing is known of any node until the driver runs.
    pub fn new(options: Options) -> Result<(Self, Driver), SetupError> {
        let entries = roster::first(&options)?;
        let shared = Arc::new(Shared::new(options, entries));
        let driver = Driver::new(Arc::clone(&shared));
        Ok((Self { shared, pool: DEFAULT_POOL.into(), app: "".into(), lane: Lane::Preview }, driver))
    }

    /// The same nodes for an app whose policy names this label.
    #[must_use]
    pub fn within(&self, pool: Option<&str>) -> Self {
        Self { pool: pool.unwrap_or(DEFAULT_POOL).into(), ..self.clone() }
    }

    /// The same nodes on the account of this app: where slots are short, apps are given them in turn by the slot-seconds
    /// that they have used, previews before batch solves, which keep a floor.
    #[must_use]
    pub fn on_behalf(&self, app: &Arc<str>, lane: Lane) -> Self {
        Self { app: Arc::clone(app), lane, ..self.clone() }
    }

    /// How many nodes are listed, whatever their labels.
    pub fn len(&self) -> usize {
        self.shared.read(|table| table.listed().count())
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A slot on a node that fits the contract: at once, or in turn until the given time. What waiting cannot mend is
    /// refused at once, also while waiting.
    ///
    /// Cancel safety: dropping it leaves the queue, and gives back a slot that has just been granted.
    pub async fn acquire(&self, contract: &Arc<Contract>, until: Instant) -> Result<Slot, Refusal> {
        let want = self.want(contract);
        let grant = self.shared.slot(&want, until).await?;
        Ok(Slot { grant, want, trace: None, meter: None })
    }

    fn want(&self, contract: &Arc<Contract>) -> Want {
        let pointer = self.shared.prepared(contract).pointer().to_owned();
        let (pool, app) = (Arc::clone(&self.pool), Arc::clone(&self.app));
        Want { contract: Arc::clone(contract), pointer, pool, not: None, app, lane: self.lane }
    }

    /// How long solves take at least.
    pub fn pace(&self) -> Pace {
        self.shared.pace.clone()
    }

    /// How many wait for a slot, by lane in the order of [`Lane::ALL`].
    pub fn waiting(&self) -> [usize; 2] {
        self.shared.read(|table| Lane::ALL.map(|lane| table.waiting_in(lane)))
    }

    /// How far the nodes of this label meet the contract's requirements, as last told by them, and what its examples
    /// have shown on any node.
    pub fn attestation(&self, contract: &Contract) -> Attestation {
        let warmth = self.shared.warmth(contract);
        Attestation { warmth, ..self.shared.read(|table| table.attestation(contract, &self.pool)) }
    }

    /// All nodes, in the order of the configuration; those that are leaving last.
    pub fn view(&self) -> Vec<NodeView> {
        self.shared.read(|table| {
            let mut entries: Vec<&Entry> = table.nodes.values().collect();
            entries.sort_by_key(|entry| (entry.retired, entry.listed.place));
            entries.into_iter().map(Entry::view).collect()
        })
    }

    /// Counts up when what [`Self::attestation`] says may have changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Takes a new list of nodes: nodes are the same where name and address are. Who is no longer listed finishes what
    /// it has; who is new is probed at once. One caller at a time.
    ///
    /// # Errors
    /// When a node of it cannot be set up: then nothing has changed.
    pub fn relist(&self, nodes: &[NodeOptions]) -> Result<Changes, SetupError> {
        roster::relist(&self.shared, nodes)
    }

    /// The node finishes what it has and gets nothing new, until [`Self::resume`]. `None` where none has this name.
    pub fn drain(&self, name: &str) -> Option<NodeView> {
        self.order(name, |entry| entry.health.drain())
    }

    /// Takes a drained node back, to be probed and asked like a new one. `None` where none has this name.
    pub fn resume(&self, name: &str) -> Option<NodeView> {
        self.order(name, |entry| entry.health.resume())
    }

    /// An operator's word on a listed node.
    fn order(&self, name: &str, word: impl FnOnce(&mut Entry)) -> Option<NodeView> {
        let peer = self.shared.read(|table| {
            table.listed().find(|entry| *entry.peer.name == *name).map(|entry| Arc::clone(&entry.peer))
        })?;
        let ordered = |table: &mut table::Table| {
            // It may have left the list since.
            let entry = table.nodes.get_mut(&peer.id).filter(|entry| !entry.retired)?;
            word(entry);
            Some(entry.view())
        };
        let view = self.shared.relist(ordered)?;
        tracing::info!(node = name, state = ?view.state, "an operator's word on a node");
        peer.nudge.notify_one();
        Some(view)
    }
}
