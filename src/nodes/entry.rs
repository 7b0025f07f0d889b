//! One node as it is known: its health, its slots, what it has installed, which definitions it holds.
//!
//! Invariant: pure state behind the table's lock; nothing in here waits or asks anybody.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;
use serde_json::{Map, Value};

use super::attest::Installed;
use super::node::{Node, State};
use super::pool::Candidate;
use super::roster::{Listed, Peer};
use super::slots::Slots;
use super::table::Want;
use super::{Features, NodeView, Options};
use crate::rhino::protocol::Prepared;

/// The node keeps this many definitions; believing in more would only cost a miss.
const HELD_MAX: usize = 20;
/// Answers to "what does this contract lack here" kept per node; a registry of more versions computes some anew.
const MEMO_MAX: usize = 1024;

/// One node.
#[derive(Debug)]
pub(super) struct Entry {
    pub peer: Arc<Peer>,
    pub listed: Listed,
    /// Taken off the list: it finishes what it has, and then its entry goes.
    pub retired: bool,
    /// A task of the driver probes it.
    pub watched: bool,
    pub health: Node,
    pub slots: Slots,
    pub features: Features,
    /// What it has, and in which generation it said so.
    pub installed: Option<(u64, Arc<Installed>)>,
    /// When it last said what it has.
    pub asked_at: Option<Instant>,
    /// When a solve was last answered: the node is warm for a while after.
    pub solved_at: Option<Instant>,
    /// When a slot was last given up.
    pub abandoned_at: Option<Instant>,
    /// A small solve that went well.
    pub canary: Option<Canary>,
    /// How far who was last served here had come in its lane's line.
    pub levels: [u128; 2],
    /// Keys of definitions that it is believed to hold, latest last.
    held: VecDeque<String>,
    memo: HashMap<Digest, Arc<Vec<String>>>,
}

/// A solve that is known to go well, and how long it took.
#[derive(Clone, Debug)]
pub(super) struct Canary {
    pub elapsed: Duration,
    pub prepared: Arc<Prepared>,
    pub inputs: Map<String, Value>,
}

impl Entry {
    /// One that nobody has probed.
    pub(super) fn new(peer: Arc<Peer>, listed: Listed, options: &Options) -> Self {
        Self {
            health: Node::new(options.rules, peer.id as u64),
            slots: Slots::new(listed.slots.unwrap_or(1)),
            peer,
            listed,
            retired: false,
            watched: false,
            features: Features::default(),
            installed: None,
            asked_at: None,
            solved_at: None,
            abandoned_at: None,
            canary: None,
            levels: [0; 2],
            held: VecDeque::new(),
            memo: HashMap::new(),
        }
    }

    /// Whether nothing refers to it any more.
    pub(super) fn is_gone(&self) -> bool {
        self.retired && !self.watched && self.slots.are_unheld()
    }

    /// Whether it is on the list and has the label.
    pub(super) fn serves_pool(&self, pool: &str) -> bool {
        !self.retired && self.listed.pools.iter().any(|label| label == pool)
    }

    /// Slots that may be taken now: fewer than are idle while the node is on trial or has just come back.
    pub(super) fn free(&self, now: Instant) -> u32 {
        let open = self.health.open_slots(self.slots.total(), now);
        // Those of solves past their deadline do not count: on trial it is the one of the trial that does.
        self.slots.free().min(open.saturating_sub(self.slots.running()))
    }

    /// Takes down what the node says it has.
    pub(super) fn install(&mut self, generation: u64, installed: Installed) {
        let same = self.installed.as_ref().is_some_and(|(_, known)| **known == installed);
        if !same {
            self.memo.clear();
        }
        self.installed = Some((generation, Arc::new(installed)));
    }

    /// What the contract lacks here; `None` while the node has not said what it has, or has been away since.
    pub(super) fn missing(&mut self, contract: &Contract) -> Option<Arc<Vec<String>>> {
        let (_, installed) = self.installed.as_ref()?;
        let hash = contract.requires_plugins_hash;
        if let Some(missing) = self.memo.get(&hash) {
            return Some(Arc::clone(missing));
        }
        if self.memo.len() >= MEMO_MAX {
            self.memo.clear();
        }
        let missing = Arc::new(installed.lacks(&contract.plugins));
        self.memo.insert(hash, Arc::clone(&missing));
        Some(missing)
    }

    pub(super) fn candidate(&mut self, want: &Want, now: Instant) -> Candidate {
        Candidate {
            state: self.health.state(),
            unwell: self.health.is_unwell(),
            missing: self.missing(&want.contract).map(|missing| missing.to_vec()),
            warm: self.holds(&want.pointer),
            free: self.free(now),
            outstanding: self.slots.outstanding(),
        }
    }

    pub(super) fn holds(&self, pointer: &str) -> bool {
        self.held.iter().any(|held| held == pointer)
    }

    /// The node has the definition loaded now.
    pub(super) fn hold(&mut self, pointer: &str) {
        self.forget(pointer);
        if self.held.len() == HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back(pointer.to_owned());
    }

    /// The node does not know the definition, or nobody can tell.
    pub(super) fn forget(&mut self, pointer: &str) {
        self.held.retain(|held| held != pointer);
    }

    /// A solve was answered: the node is warm, and works.
    pub(super) fn answered(&mut self) {
        let now = Instant::now();
        self.solved_at = Some(now);
        self.health.answered(now);
    }

    /// Keeps the quickest small solve that went well, to try the node with when its slots have got stuck.
    pub(super) fn remember(&mut self, elapsed: Duration, prepared: &Arc<Prepared>, inputs: &Map<String, Value>) {
        if self.canary.as_ref().is_none_or(|known| elapsed < known.elapsed) {
            self.canary = Some(Canary { elapsed, prepared: Arc::clone(prepared), inputs: inputs.clone() });
        }
    }

    pub(super) fn view(&self) -> NodeView {
        let installed = self.installed.as_ref().map(|(_, installed)| installed);
        NodeView {
            name: self.peer.name.to_string(),
            pools: self.listed.pools.clone(),
            state: self.health.state(),
            why: self.health.why().map(str::to_owned),
            rhino: installed.map(|installed| installed.set.rhino.clone()),
            compute: installed.and_then(|installed| installed.compute.clone()),
            slots: self.slots.total(),
            free: self.free(Instant::now()),
            wedged: self.slots.wedged(),
            plugins: installed.map(|installed| installed.set.plugins.clone()),
            running: self.slots.running(),
            ejections: self.health.ejected(),
            sent_again: self.peer.again.view(&self.peer.client),
            plugins_hash: installed.map(|installed| installed.hash().to_string()),
            features: self.features,
        }
    }

    /// What others may have cached: the health, and when it last said what it has.
    pub(super) fn standing(&self) -> (State, Option<u64>, usize) {
        let installed = self.installed.as_ref();
        // The address of the list tells one reading from the next.
        let reading = installed.map_or(0, |(_, installed)| Arc::as_ptr(installed).addr());
        (self.health.state(), installed.map(|(generation, _)| *generation), reading)
    }
}
