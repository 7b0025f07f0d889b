//! The list of nodes: who is on it, and what changes when it does.
//!
//! Invariant: a change is taken whole or not at all, and takes no slot from a solve that runs: who leaves the list gets
//! nothing new and goes when its last solve has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;
use tokio::sync::Notify;

use super::entry::Entry;
use super::state::Shared;
use super::table::Table;
use super::{NodeOptions, Options, SentAgain, SetupError};
use crate::rhino::client::{self, Client};

/// The label of nodes that name none, and of apps that ask for none.
pub const DEFAULT_POOL: &str = "default";

/// What of a node stays as it is for as long as it is listed.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its number in the table, never used again.
    pub id: usize,
    pub name: Arc<str>,
    /// Its address as it was given.
    pub url: String,
    pub client: Client,
    /// Wakes its probing early.
    pub nudge: Notify,
    pub again: Again,
}

/// How often a solve was sent once more, beside what the client does by itself. They only grow.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// To another node, because this one cannot have seen it.
    pub node: AtomicU64,
    /// With the definition, because the node did not hold it.
    pub definition: AtomicU64,
    /// By the gateway itself, to see whether the node solves.
    pub canary: AtomicU64,
}

/// What of a node may be listed anew while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its place among the nodes, for those who look.
    pub place: usize,
    /// How many solves it runs at once, where that is not asked of it.
    pub slots: Option<u32>,
    /// Its labels; at least one.
    pub pools: Vec<String>,
}

/// What a new list changed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Nodes that were not there, or were at another address.
    pub added: Vec<String>,
    /// Nodes that are gone, or are at another address now.
    pub removed: Vec<String>,
    /// Nodes with another number of slots or other labels.
    pub changed: Vec<String>,
}

// === impl Peer ===

impl Peer {
    fn new(id: usize, node: &NodeOptions, client: Client) -> Arc<Self> {
        Arc::new(Self {
            id,
            name: node.name.as_str().into(),
            url: node.url.clone(),
            client,
            nudge: Notify::new(),
            again: Again::default(),
        })
    }
}

// === impl Again ===

impl Again {
    pub(super) fn view(&self, client: &Client) -> SentAgain {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SentAgain {
            connection: client.opened_again(),
            node: count(&self.node),
            definition: count(&self.definition),
            canary: count(&self.canary),
        }
    }
}

// === impl Listed ===

impl Listed {
    fn of(place: usize, node: &NodeOptions) -> Self {
        let pools = if node.pools.is_empty() { vec![DEFAULT_POOL.to_owned()] } else { node.pools.clone() };
        Self { place, slots: node.slots, pools }
    }
}

// === impl Changes ===

impl Changes {
    /// Whether the new list is the old one.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Entries for the nodes that a gateway starts with.
pub(super) fn first(options: &Options) -> Result<BTreeMap<usize, Entry>, SetupError> {
    let entries = options.nodes.iter().enumerate().map(|(id, node)| {
        let peer = Peer::new(id, node, connect(node, options)?);
        Ok((id, Entry::new(peer, Listed::of(id, node), options)))
    });
    entries.collect()
}

/// Takes a new list: nodes are the same where name and address are. One caller at a time.
pub(super) fn relist(shared: &Arc<Shared>, nodes: &[NodeOptions]) -> Result<Changes, SetupError> {
    // Clients take time to set up, so they are made before the lock is taken; those that are not needed are dropped.
    let mut made = Vec::new();
    let known: BTreeSet<(String, String)> = shared
        .read(|table| table.listed().map(|entry| (entry.peer.name.to_string(), entry.peer.url.clone())).collect());
    for node in nodes.iter().filter(|node| !known.contains(&(node.name.clone(), node.url.clone()))) {
        made.push((node.name.as_str(), connect(node, &shared.options)?));
    }
    Ok(shared.relist(|table| merge(table, nodes, made.into_iter().collect(), &shared.options)))
}

fn merge(table: &mut Table, nodes: &[NodeOptions], mut made: BTreeMap<&str, Client>, options: &Options) -> Changes {
    let mut changes = Changes::default();
    for entry in table.nodes.values_mut().filter(|entry| !entry.retired) {
        let stays = |node: &NodeOptions| *node.name == *entry.peer.name && node.url == entry.peer.url;
        if !nodes.iter().any(stays) {
            entry.retired = true;
            entry.health.drain();
            changes.removed.push(entry.peer.name.to_string());
        }
    }
    for (place, node) in nodes.iter().enumerate() {
        let listed = Listed::of(place, node);
        let same = table.nodes.values_mut().find(|entry| !entry.retired && *entry.peer.name == *node.name);
        if let Some(entry) = same {
            if (&entry.listed.slots, &entry.listed.pools) != (&listed.slots, &listed.pools) {
                changes.changed.push(node.name.clone());
            }
            // Where the number is asked of the node from now on, the old one stays until it has answered.
            if let Some(slots) = listed.slots {
                entry.slots.resize(slots);
            }
            entry.listed = listed;
        } else if let Some(client) = made.remove(node.name.as_str()) {
            table.insert(|id| Entry::new(Peer::new(id, node, client), listed, options));
            changes.added.push(node.name.clone());
        }
    }
    changes
}

/// Sets a client up. Opens no connection.
fn connect(node: &NodeOptions, options: &Options) -> Result<Client, SetupError> {
    let refused = |why| SetupError { node: node.name.clone(), why };
    // The parser's reason adds nothing to the address itself.
    let Ok(url) = Url::parse(&node.url) else { return Err(refused(client::BuildError::Address(node.url.clone()))) };
    let slots = node.slots.unwrap_or(4) as usize;
    let client = client::Options {
        url,
        key: node.key.clone(),
        connect_timeout: options.connect_timeout,
        idle_timeout: options.idle_timeout,
        // One for each solve that can run, and one for probing.
        idle_connections: slots + 1,
    };
    Client::new(client).map_err(refused)
}
