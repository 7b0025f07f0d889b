//! What is known of all nodes, behind one lock, and the guards of what is taken from it: a slot, a place in the line.
//!
//! Invariants: the lock is held for no `.await` and no I/O; whoever changes anything under it serves the line before
//! letting go; a node's entry stays for as long as a solve or its watch refers to it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use contract::Contract;
use contract::digest::Digest;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use super::Options;
use super::budget::Budget;
use super::entry::Entry;
use super::line::Turn;
use super::pace::Pace;
use super::pool::Refusal;
use super::roster::Peer;
use super::table::{Asked, Table, Want};
use super::warm::Warmth;
use crate::rhino::protocol::Prepared;

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
    /// How long each version takes at least.
    pub pace: Pace,
    budget: Mutex<Budget>,
    /// What the examples of versions have shown, where any were solved.
    warmth: Mutex<HashMap<Digest, Warmth>>,
    prepared: Mutex<HashMap<Digest, Kept>>,
}

/// The fixed parts of a contract's requests, and whether anybody still has the contract.
type Kept = (Weak<Contract>, Arc<Prepared>);

/// A node's slot, taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Grant {
    pub shared: Arc<Shared>,
    pub peer: Arc<Peer>,
    wedged: bool,
    ended: bool,
    since: Instant,
    /// Whose turn it was; nobody's where the gateway itself has it, for a canary or to warm a version.
    turn: Option<Turn>,
}

/// A place in the line. Dropping it gives it up.
struct Place<'a> {
    shared: &'a Shared,
    ticket: u64,
}

impl Shared {
    /// Nodes that nobody has probed.
    pub(super) fn new(options: Options, nodes: BTreeMap<usize, Entry>) -> Self {
        Self {
            relisted: Notify::new(),
            changed: watch::Sender::new(0),
            solves: TaskTracker::new(),
            table: Mutex::new(Table::new(nodes)),
            pace: Pace::default(),
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
        let asked = lock(&self.table).ask(self, want, self.options.waiting_max);
        let (place, mut granted) = match asked {
            Asked::Granted(grant) => return Ok(grant),
            Asked::Refused(refusal) => return Err(refusal),
            Asked::Queued(ticket, granted) => (Place { shared: self, ticket }, granted),
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
        // Given up first: it does not count as waiting any more.
        drop(place);
        Err(self.read(|table| table.busy(want)))
    }

    /// A slot that nobody waits for.
    pub(super) fn spare(self: &Arc<Self>, want: &Want) -> Option<Grant> {
        lock(&self.table).spare(self, want)
    }

    /// A slot of this node, for its canary; none where none is free.
    pub(super) fn slot_of(self: &Arc<Self>, node: usize) -> Option<Grant> {
        lock(&self.table).grant_on(self, node)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves a half-made change behind where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Place ===

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.read(|table| table.leave(self.ticket));
    }
}

// === impl Grant ===

impl Grant {
    pub(super) fn new(shared: &Arc<Shared>, peer: &Arc<Peer>, turn: Option<Turn>) -> Self {
        let (shared, peer) = (Arc::clone(shared), Arc::clone(peer));
        Self { shared, peer, wedged: false, ended: false, since: Instant::now(), turn }
    }

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
        self.settle();
        self.shared.update(self.peer.id, |entry| {
            entry.slots.abandon(wedged);
            entry.abandoned_at = Some(Instant::now());
        });
        self.peer.nudge.notify_one();
    }

    /// Puts down what the slot has cost, before anybody else can be given it.
    fn settle(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.shared.read(|table| table.settle(&turn, self.since.elapsed()));
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.ended {
            let wedged = self.wedged;
            self.settle();
            self.shared.update(self.peer.id, |entry| entry.slots.release(wedged));
        }
    }
}
