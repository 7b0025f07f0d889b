//! What is known of all nodes, behind one lock, and the queue of those who wait for a slot.
//!
//! Invariants: the lock is held for no `.await` and no I/O; whoever changes anything under it serves the queue before
//! letting go, so a free slot that a waiter could use never lies about, and nobody overtakes; a node's entry stays for
//! as long as a solve or its watch refers to it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;
use serde_json::{Map, Value};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::task::TaskTracker;

use super::attest::{Attestation, Installed};
use super::budget::Budget;
use super::node::{Node, State};
use super::pool::{self, Candidate, Choice, Refusal};
use super::roster::{Listed, Peer};
use super::slots::Slots;
use super::warm::Warmth;
use super::{Features, NodeView, Options};
use crate::rhino::protocol::Prepared;

/// The node keeps this many definitions; believing in more would only cost a miss.
const HELD_MAX: usize = 20;
/// Answers to "what does this contract lack here" kept per node; a registry of more versions computes some anew.
const MEMO_MAX: usize = 1024;

/// All that the handle, the driver and running solves share.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: Options,
    /// Wakes the driver when nodes were listed or taken off the list.
    pub relisted: Notify,
    /// Counts up when what [`super::Nodes::attestation`] says may have changed.
    pub changed: watch::Sender<u64>,
    /// Solves that run, whoever waits for them.
    pub solves: TaskTracker,
    table: Mutex<Table>,
    budget: Mutex<Budget>,
    /// What the examples of versions have shown, where any were solved.
    warmth: Mutex<HashMap<Digest, Warmth>>,
    prepared: Mutex<HashMap<Digest, Kept>>,
}

/// The fixed parts of a contract's requests, and whether anybody still has the contract.
type Kept = (Weak<Contract>, Arc<Prepared>);

/// The nodes and the queue.
#[derive(Debug)]
pub(super) struct Table {
    /// By a number that is never used again.
    pub nodes: BTreeMap<usize, Entry>,
    /// The number of the next node.
    next: usize,
    waiting: VecDeque<Waiter>,
    turn: usize,
}

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

/// What a solve asks for.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub contract: Arc<Contract>,
    /// The definition's key on the nodes.
    pub pointer: String,
    /// The label that a node must have.
    pub pool: Arc<str>,
    /// A node that has been tried.
    pub not: Option<usize>,
}

#[derive(Debug)]
struct Waiter {
    want: Want,
    grant: oneshot::Sender<Result<Grant, Refusal>>,
}

/// A node's slot, taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Grant {
    pub shared: Arc<Shared>,
    pub peer: Arc<Peer>,
    wedged: bool,
    ended: bool,
}

impl Shared {
    /// Nodes that nobody has probed.
    pub(super) fn new(options: Options, nodes: BTreeMap<usize, Entry>) -> Self {
        Self {
            relisted: Notify::new(),
            changed: watch::Sender::new(0),
            solves: TaskTracker::new(),
            table: Mutex::new(Table { next: nodes.len(), nodes, waiting: VecDeque::new(), turn: 0 }),
            budget: Mutex::new(Budget::new(options.retries)),
            warmth: Mutex::new(HashMap::new()),
            prepared: Mutex::new(HashMap::new()),
            options,
        }
    }

    /// What the version's examples have shown.
    pub(super) fn warmth(&self, contract: &Contract) -> Warmth {
        if !self.options.warming || contract.examples.valid.is_empty() {
            return Warmth::Warm;
        }
        lock(&self.warmth).get(&contract.digest).cloned().unwrap_or(Warmth::Cold)
    }

    /// Keeps what they have shown, and tells those who keep readiness.
    pub(super) fn keep_warmth(&self, version: Digest, warmth: Warmth) {
        lock(&self.warmth).insert(version, warmth);
        self.announce();
    }

    /// Forgets all but these versions.
    pub(super) fn retain_warmth(&self, versions: &HashSet<Digest>) {
        lock(&self.warmth).retain(|version, _| versions.contains(version));
    }

    /// The budget of second tries.
    pub(super) fn budget<R>(&self, ask: impl FnOnce(&mut Budget, Instant) -> R) -> R {
        ask(&mut lock(&self.budget), Instant::now())
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
        let entry = table.entry(node);
        let before = entry.standing();
        let result = change(entry);
        let (after, why) = (entry.standing(), entry.health.why().map(str::to_owned));
        let name = Arc::clone(&entry.peer.name);
        if entry.is_gone() {
            table.nodes.remove(&node);
        }
        let undelivered = table.serve(self);
        drop(table);
        // Their guards take the lock when they fall.
        drop(undelivered);
        if before != after {
            self.announce();
        }
        if before.0 != after.0 {
            tracing::info!(node = &*name, from = ?before.0, to = ?after.0, why, "a node changed its state");
        }
        result
    }

    /// Changes the list of nodes, serves the queue, and tells the driver and those who keep readiness.
    pub(super) fn relist<R>(self: &Arc<Self>, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut table = lock(&self.table);
        let result = change(&mut table);
        table.nodes.retain(|_, entry| !entry.is_gone());
        let undelivered = table.serve(self);
        drop(table);
        drop(undelivered);
        self.relisted.notify_one();
        self.announce();
        result
    }

    /// Tells those who keep readiness that it may have changed.
    pub(super) fn announce(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// A slot at once, or in turn until the given time.
    ///
    /// Cancel safety: dropping it leaves the queue, and gives back a slot that has just been granted.
    pub(super) async fn slot(self: &Arc<Self>, want: &Want, until: Instant) -> Result<Grant, Refusal> {
        let mut granted = match self.ask(want) {
            Asked::Granted(grant) => return Ok(grant),
            Asked::Refused(refusal) => return Err(refusal),
            Asked::Queued(granted) => granted,
        };
        let answer = tokio::time::timeout_at(until.into(), &mut granted).await;
        // A grant that was on its way when the time was up is as good as one in time.
        let answer = match answer {
            Ok(answer) => answer.ok(),
            Err(_elapsed) => granted.try_recv().ok(),
        };
        if let Some(answer) = answer {
            return answer;
        }
        // Closed first: a place in the queue that is given up is not counted as waiting.
        granted.close();
        Err(self.read(|table| table.busy(want)))
    }

    /// Takes a slot, or a place in the queue.
    fn ask(self: &Arc<Self>, want: &Want) -> Asked {
        let mut table = lock(&self.table);
        match table.choose(want) {
            Found::Take(node) => Asked::Granted(table.grant(self, node)),
            Found::Refuse(refusal) => Asked::Refused(refusal),
            Found::Wait => {
                table.waiting.retain(|waiter| !waiter.grant.is_closed());
                if table.waiting.len() >= self.options.waiting_max {
                    return Asked::Refused(table.busy(want));
                }
                let (grant, granted) = oneshot::channel();
                table.waiting.push_back(Waiter { want: want.clone(), grant });
                Asked::Queued(granted)
            }
        }
    }

    /// A slot that nobody waits for.
    pub(super) fn spare(self: &Arc<Self>, want: &Want) -> Option<Grant> {
        let mut table = lock(&self.table);
        if table.waiting.iter().any(|waiter| !waiter.grant.is_closed()) {
            return None;
        }
        match table.choose(want) {
            Found::Take(node) => Some(table.grant(self, node)),
            Found::Wait | Found::Refuse(_) => None,
        }
    }

    /// A slot of this node, for its canary; none where none is free.
    pub(super) fn slot_of(self: &Arc<Self>, node: usize) -> Option<Grant> {
        let mut table = lock(&self.table);
        (table.entry(node).free(Instant::now()) > 0).then(|| table.grant(self, node))
    }
}

/// The node that was found, by its number, or why there is none.
enum Found {
    Take(usize),
    Wait,
    Refuse(Refusal),
}

/// What came of asking for a slot.
enum Asked {
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
    pub(super) fn entry(&mut self, node: usize) -> &mut Entry {
        self.nodes.get_mut(&node).expect("an entry stays for as long as a solve or a watch refers to it")
    }

    /// One more node, under a new number.
    pub(super) fn insert(&mut self, entry: impl FnOnce(usize) -> Entry) {
        self.nodes.insert(self.next, entry(self.next));
        self.next += 1;
    }

    /// Those that a solve may go to, as far as labels and an earlier try say.
    fn eligible<'a>(&'a mut self, want: &'a Want) -> impl Iterator<Item = (&'a usize, &'a mut Entry)> {
        let may = |id: &usize, entry: &Entry| want.not != Some(*id) && entry.serves_pool(&want.pool);
        self.nodes.iter_mut().filter(move |(id, entry)| may(id, entry))
    }

    fn choose(&mut self, want: &Want) -> Found {
        let (turn, now) = (self.turn, Instant::now());
        let (ids, candidates): (Vec<_>, Vec<_>) =
            self.eligible(want).map(|(id, entry)| (*id, entry.candidate(want, now))).unzip();
        // The turn is the number of the node that is next; among those that may be chosen it is the first from there.
        let turn = ids.iter().position(|id| *id >= turn).unwrap_or(0);
        match pool::choose(&candidates, turn) {
            Choice::Take(at) => Found::Take(ids[at]),
            Choice::Wait => Found::Wait,
            Choice::Refuse(refusal) => Found::Refuse(refusal),
        }
    }

    fn grant(&mut self, shared: &Arc<Shared>, node: usize) -> Grant {
        let taken = self.entry(node).slots.take();
        debug_assert!(taken, "only a node with a free slot is chosen");
        self.turn = node + 1;
        let peer = Arc::clone(&self.entry(node).peer);
        Grant { shared: Arc::clone(shared), peer, wedged: false, ended: false }
    }

    /// Gives what is free to those who wait, in their order. One that cannot be served does not hold up those behind
    /// it who need another node. Returns what came too late for its waiter, to be dropped outside the lock.
    fn serve(&mut self, shared: &Arc<Shared>) -> Vec<Result<Grant, Refusal>> {
        let mut undelivered = Vec::new();
        for waiter in std::mem::take(&mut self.waiting) {
            if waiter.grant.is_closed() {
                continue;
            }
            let answer = match self.choose(&waiter.want) {
                Found::Take(node) => Ok(self.grant(shared, node)),
                Found::Refuse(refusal) => Err(refusal),
                Found::Wait => {
                    self.waiting.push_back(waiter);
                    continue;
                }
            };
            undelivered.extend(waiter.grant.send(answer).err());
        }
        undelivered
    }

    /// What those are told who may not wait, or have waited long enough.
    fn busy(&mut self, want: &Want) -> Refusal {
        let fits = self.eligible(want).filter_map(|(_, entry)| {
            let fits = entry.missing(&want.contract).is_some_and(|missing| missing.is_empty());
            fits.then_some(entry.slots)
        });
        let (slots, wedged) =
            fits.fold((0, 0), |(total, wedged), slots| (total + slots.total(), wedged + slots.wedged()));
        let waiting = self.waiting.iter().filter(|waiter| !waiter.grant.is_closed()).count();
        Refusal::AllBusy { slots, wedged, waiting }
    }

    pub(super) fn attestation(&mut self, contract: &Contract, pool: &str) -> Attestation {
        let mut attestation = Attestation::default();
        let mut closest: Option<Arc<Vec<String>>> = None;
        for entry in self.nodes.values_mut().filter(|entry| entry.serves_pool(pool)) {
            attestation.total += 1;
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

    /// The numbers of nodes that have left the list and still have something to finish.
    pub(super) fn retired(&self) -> Vec<usize> {
        self.nodes.values().filter(|entry| entry.retired).map(|entry| entry.peer.id).collect()
    }

    /// Nodes on the list.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Entry> {
        self.nodes.values().filter(|entry| !entry.retired)
    }

    /// Whether too few nodes would be left if one more were put out of service for failed solves: at least half of
    /// them stay, and a lone one always.
    pub(super) fn may_eject(&self) -> bool {
        let out = self.listed().filter(|entry| entry.health.state() == State::Down).count();
        (out + 1) * 2 <= self.listed().count()
    }

    /// Whether any other node is in service.
    pub(super) fn others_serve(&self, node: usize) -> bool {
        let mut others = self.listed().filter(|entry| entry.peer.id != node);
        others.any(|entry| matches!(entry.health.state(), State::Up | State::Asleep | State::Suspect))
    }

    /// Solves under way whose callers still wait.
    pub(super) fn running(&self) -> u32 {
        self.nodes.values().map(|entry| entry.slots.running()).sum()
    }
}

// === impl Entry ===

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
            held: VecDeque::new(),
            memo: HashMap::new(),
        }
    }

    /// Whether nothing refers to it any more.
    fn is_gone(&self) -> bool {
        self.retired && !self.watched && self.slots.are_unheld()
    }

    /// Whether it is on the list and has the label.
    fn serves_pool(&self, pool: &str) -> bool {
        !self.retired && self.listed.pools.iter().any(|label| label == pool)
    }

    /// Slots that may be taken now: fewer than are idle while the node is on trial or has just come back.
    fn free(&self, now: Instant) -> u32 {
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

    fn candidate(&mut self, want: &Want, now: Instant) -> Candidate {
        Candidate {
            state: self.health.state(),
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
            self.shared.update(self.peer.id, |entry| entry.slots.wedge());
        }
    }

    /// Nobody listens for the end of the solve any more.
    pub(super) fn abandon(mut self) {
        self.ended = true;
        let wedged = self.wedged;
        self.shared.update(self.peer.id, |entry| {
            entry.slots.abandon(wedged);
            entry.abandoned_at = Some(Instant::now());
        });
        self.peer.nudge.notify_one();
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.ended {
            let wedged = self.wedged;
            self.shared.update(self.peer.id, |entry| entry.slots.release(wedged));
        }
    }
}
