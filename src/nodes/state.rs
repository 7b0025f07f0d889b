//! What is known of all nodes, behind one lock, and the queue of those who wait for a slot.
//!
//! Invariants: the lock is held for no `.await` and no I/O; whoever changes anything under it serves the queue before
//! letting go, so a free slot that a waiter could use never lies about, and nobody overtakes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;
use serde_json::{Map, Value};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::task::TaskTracker;

use super::attest::{Attestation, Installed};
use super::node::{Node, State};
use super::pool::{self, Candidate, Choice, Refusal};
use super::slots::Slots;
use super::{Features, NodeView, Options};
use crate::rhino::client::Client;
use crate::rhino::protocol::Prepared;

/// The node keeps this many definitions; believing in more would only cost a miss.
const HELD_MAX: usize = 20;
/// Answers to "what does this contract lack here" kept per node; a registry of more versions computes some anew.
const MEMO_MAX: usize = 1024;

/// All that the handle, the driver and running solves share.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: Options,
    pub clients: Vec<Client>,
    /// One for each node: wakes its probing early.
    pub nudges: Vec<Notify>,
    /// Counts up when what [`super::Nodes::attestation`] says may have changed.
    pub changed: watch::Sender<u64>,
    /// Solves that run, whoever waits for them.
    pub solves: TaskTracker,
    table: Mutex<Table>,
    prepared: Mutex<HashMap<Digest, Kept>>,
}

/// The fixed parts of a contract's requests, and whether anybody still has the contract.
type Kept = (Weak<Contract>, Arc<Prepared>);

/// The nodes and the queue.
#[derive(Debug)]
pub(super) struct Table {
    pub nodes: Vec<Entry>,
    waiting: VecDeque<Waiter>,
    turn: usize,
}

/// One node.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: Arc<str>,
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

#[derive(Debug)]
struct Waiter {
    contract: Arc<Contract>,
    pointer: String,
    grant: oneshot::Sender<Result<Grant, Refusal>>,
}

/// A node's slot, taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Grant {
    pub shared: Arc<Shared>,
    pub node: usize,
    wedged: bool,
    ended: bool,
}

impl Shared {
    pub(super) fn new(options: Options, clients: Vec<Client>) -> Self {
        let nodes: Vec<_> = options.nodes.iter().map(|node| Entry::new(&node.name, node.slots, &options)).collect();
        Self {
            clients,
            nudges: nodes.iter().map(|_| Notify::new()).collect(),
            changed: watch::Sender::new(0),
            solves: TaskTracker::new(),
            table: Mutex::new(Table { nodes, waiting: VecDeque::new(), turn: 0 }),
            prepared: Mutex::new(HashMap::new()),
            options,
        }
    }

    /// The fixed parts of a contract's requests, made at its first use and kept as long as the contract.
    pub(super) fn prepared(&self, contract: &Arc<Contract>) -> Arc<Prepared> {
        let key = contract.digest;
        if let Some((_, prepared)) = lock(&self.prepared).get(&key) {
            return Arc::clone(prepared);
        }
        // Encoding megabytes happens outside the lock; two at once do it twice and agree.
        let prepared = Arc::new(Prepared::of(contract));
        let mut all = lock(&self.prepared);
        all.retain(|_, (contract, _)| contract.strong_count() > 0);
        all.insert(key, (Arc::downgrade(contract), Arc::clone(&prepared)));
        prepared
    }

    /// Reads, and changes nothing that a waiter waits for.
    pub(super) fn read<R>(&self, read: impl FnOnce(&mut Table) -> R) -> R {
        read(&mut lock(&self.table))
    }

    /// Changes one node, serves the queue, and announces what others have cached.
    pub(super) fn update<R>(self: &Arc<Self>, node: usize, change: impl FnOnce(&mut Entry) -> R) -> R {
        let mut table = lock(&self.table);
        let before = table.nodes[node].standing();
        let result = change(&mut table.nodes[node]);
        let (after, why) = (table.nodes[node].standing(), table.nodes[node].health.why().map(str::to_owned));
        let name = Arc::clone(&table.nodes[node].name);
        let undelivered = table.serve(self);
        drop(table);
        // Their guards take the lock when they fall.
        drop(undelivered);
        if before != after {
            self.changed.send_modify(|count| *count += 1);
        }
        if before.0 != after.0 {
            tracing::info!(node = &*name, from = ?before.0, to = ?after.0, why, "a node changed its state");
        }
        result
    }

    /// Takes a slot, or a place in the queue.
    pub(super) fn ask(self: &Arc<Self>, contract: &Arc<Contract>, pointer: &str) -> Asked {
        let mut table = lock(&self.table);
        match table.choose(contract, pointer) {
            Choice::Take(node) => Asked::Granted(table.grant(self, node)),
            Choice::Refuse(refusal) => Asked::Refused(refusal),
            Choice::Wait => {
                table.waiting.retain(|waiter| !waiter.grant.is_closed());
                if table.waiting.len() >= self.options.waiting_max {
                    return Asked::Refused(table.busy(contract));
                }
                let (grant, granted) = oneshot::channel();
                let waiter = Waiter { contract: Arc::clone(contract), pointer: pointer.to_owned(), grant };
                table.waiting.push_back(waiter);
                Asked::Queued(granted)
            }
        }
    }
}

/// What came of asking for a slot.
pub(super) enum Asked {
    Granted(Grant),
    Refused(Refusal),
    Queued(oneshot::Receiver<Result<Grant, Refusal>>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves a half-made change behind where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Table ===

impl Table {
    fn choose(&mut self, contract: &Contract, pointer: &str) -> Choice {
        let candidates: Vec<_> = self.nodes.iter_mut().map(|entry| entry.candidate(contract, pointer)).collect();
        pool::choose(&candidates, self.turn)
    }

    fn grant(&mut self, shared: &Arc<Shared>, node: usize) -> Grant {
        let taken = self.nodes[node].slots.take();
        debug_assert!(taken, "only a node with a free slot is chosen");
        self.turn = node + 1;
        Grant { shared: Arc::clone(shared), node, wedged: false, ended: false }
    }

    /// Gives what is free to those who wait, in their order. One that cannot be served does not hold up those behind
    /// it who need another node. Returns what came too late for its waiter, to be dropped outside the lock.
    fn serve(&mut self, shared: &Arc<Shared>) -> Vec<Result<Grant, Refusal>> {
        let mut undelivered = Vec::new();
        for waiter in std::mem::take(&mut self.waiting) {
            if waiter.grant.is_closed() {
                continue;
            }
            let answer = match self.choose(&waiter.contract, &waiter.pointer) {
                Choice::Take(node) => Ok(self.grant(shared, node)),
                Choice::Refuse(refusal) => Err(refusal),
                Choice::Wait => {
                    self.waiting.push_back(waiter);
                    continue;
                }
            };
            undelivered.extend(waiter.grant.send(answer).err());
        }
        undelivered
    }

    /// What those are told who may not wait, or have waited long enough.
    pub(super) fn busy(&mut self, contract: &Contract) -> Refusal {
        let fits = self.nodes.iter_mut().filter_map(|entry| {
            let fits = entry.missing(contract).is_some_and(|missing| missing.is_empty());
            fits.then_some(entry.slots)
        });
        let (slots, wedged) =
            fits.fold((0, 0), |(total, wedged), slots| (total + slots.total(), wedged + slots.wedged()));
        let waiting = self.waiting.iter().filter(|waiter| !waiter.grant.is_closed()).count();
        Refusal::AllBusy { slots, wedged, waiting }
    }

    pub(super) fn attestation(&mut self, contract: &Contract) -> Attestation {
        let mut attestation = Attestation { total: self.nodes.len(), ..Attestation::default() };
        let mut closest: Option<Arc<Vec<String>>> = None;
        for entry in &mut self.nodes {
            let Some(missing) = entry.missing(contract) else { continue };
            attestation.known += 1;
            let serves = matches!(entry.health.state(), State::Up | State::Asleep | State::Suspect);
            attestation.ready += usize::from(missing.is_empty() && serves);
            if closest.as_ref().is_none_or(|closest| missing.len() < closest.len()) {
                closest = Some(missing);
            }
        }
        attestation.missing = closest.map(|missing| missing.to_vec()).unwrap_or_default();
        attestation
    }

    /// Whether too few nodes would be left if one more were put out of service for failed solves: at least half of
    /// them stay, and a lone one always.
    pub(super) fn may_eject(&self) -> bool {
        let out = self.nodes.iter().filter(|entry| entry.health.state() == State::Down).count();
        (out + 1) * 2 <= self.nodes.len()
    }

    /// Solves under way whose callers still wait.
    pub(super) fn running(&self) -> u32 {
        self.nodes.iter().map(|entry| entry.slots.outstanding() - entry.slots.wedged()).sum()
    }
}

// === impl Entry ===

impl Entry {
    fn new(name: &str, slots: Option<u32>, options: &Options) -> Self {
        Self {
            name: name.into(),
            health: Node::new(options.rules),
            slots: Slots::new(slots.unwrap_or(1)),
            features: Features::default(),
            installed: None,
            asked_at: None,
            solved_at: None,
            abandoned_at: None,
            canary: None,
            held: VecDeque::new(),
            memo: HashMap::new(),
        }
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
    fn missing(&mut self, contract: &Contract) -> Option<Arc<Vec<String>>> {
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

    fn candidate(&mut self, contract: &Contract, pointer: &str) -> Candidate {
        Candidate {
            state: self.health.state(),
            missing: self.missing(contract).map(|missing| missing.to_vec()),
            warm: self.holds(pointer),
            free: self.slots.free(),
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
        self.solved_at = Some(Instant::now());
        self.health.answered();
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
            name: self.name.to_string(),
            state: self.health.state(),
            why: self.health.why().map(str::to_owned),
            rhino: installed.map(|installed| installed.set.rhino.clone()),
            compute: installed.and_then(|installed| installed.compute.clone()),
            slots: self.slots.total(),
            free: self.slots.free(),
            wedged: self.slots.wedged(),
            plugins_hash: installed.map(|installed| installed.hash().to_string()),
            features: self.features,
        }
    }

    /// What others may have cached: the health, and when it last said what it has.
    fn standing(&self) -> (State, Option<u64>, usize) {
        let installed = self.installed.as_ref();
        // The address of the list tells one reading from the next.
        let reading = installed.map_or(0, |(_, installed)| Arc::as_ptr(installed).addr());
        (self.health.state(), installed.map(|(generation, _)| *generation), reading)
    }
}

// === impl Grant ===

impl Grant {
    /// The caller's deadline has passed and the solve goes on.
    pub(super) fn wedge(&mut self) {
        if !self.wedged {
            self.wedged = true;
            self.shared.update(self.node, |entry| entry.slots.wedge());
        }
    }

    /// Nobody listens for the end of the solve any more.
    pub(super) fn abandon(mut self) {
        self.ended = true;
        let wedged = self.wedged;
        self.shared.update(self.node, |entry| {
            entry.slots.abandon(wedged);
            entry.abandoned_at = Some(Instant::now());
        });
        self.shared.nudges[self.node].notify_one();
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.ended {
            let wedged = self.wedged;
            self.shared.update(self.node, |entry| entry.slots.release(wedged));
        }
    }
}
