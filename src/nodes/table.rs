//! The nodes by their numbers, the choice among them, and the line of those who wait for a slot.
//!
//! Invariant: whoever changes a node serves the line before letting go of the lock, so a slot that somebody in it could
//! use never lies about.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;
use tokio::sync::oneshot;

use super::attest::Attestation;
use super::entry::Entry;
use super::line::{Line, Turn};
use super::node::State;
use super::pool::{self, Choice, Refusal};
use super::state::{Grant, Shared};
use crate::seats::Lane;

/// The nodes and the queue.
#[derive(Debug)]
pub(super) struct Table {
    /// By a number that is never used again.
    pub nodes: BTreeMap<usize, Entry>,
    /// The number of the next node.
    next: usize,
    /// The node after the one that was last taken: equal ones go in turn.
    turn: usize,
    line: Line<Kind>,
    /// Those in the line, by ticket.
    waiting: HashMap<u64, Waiter>,
    /// The line counts its time from here.
    origin: Instant,
}

/// What decides which nodes will do: waiters with the same are served by the same nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    pool: Arc<str>,
    requires: Digest,
    not: Option<usize>,
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
    /// Whose slot-seconds it costs.
    pub app: Arc<str>,
    pub lane: Lane,
}

#[derive(Debug)]
struct Waiter {
    want: Want,
    grant: oneshot::Sender<Result<Grant, Refusal>>,
}

/// What came of asking for a slot.
pub(super) enum Asked {
    Granted(Grant),
    Refused(Refusal),
    /// In line, under this ticket.
    Queued(u64, oneshot::Receiver<Result<Grant, Refusal>>),
}

/// The node that was found, by its number, or why there is none.
enum Found {
    Take(usize),
    Wait,
    Refuse(Refusal),
}

// === impl Want ===

impl Want {
    fn kind(&self) -> Kind {
        Kind { pool: Arc::clone(&self.pool), requires: self.contract.requires_plugins_hash, not: self.not }
    }
}

// === impl Table ===

impl Table {
    pub(super) fn new(nodes: BTreeMap<usize, Entry>) -> Self {
        Self { next: nodes.len(), nodes, turn: 0, line: Line::new(), waiting: HashMap::new(), origin: Instant::now() }
    }

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

    /// Takes a slot, or a place in the line, where at most `waiting_max` may be.
    pub(super) fn ask(&mut self, shared: &Arc<Shared>, want: &Want, waiting_max: usize) -> Asked {
        let found = self.choose(want);
        if let Found::Refuse(refusal) = found {
            return Asked::Refused(refusal);
        }
        if matches!(found, Found::Wait) && self.line.waiting() >= waiting_max {
            return Asked::Refused(self.busy(want));
        }
        let level = self.level(want);
        let ticket = self.line.join(&want.app, want.lane, want.kind(), level);
        if let Found::Take(node) = found {
            // Nobody in the line could have it: else it would have been given to them when it became free.
            let turn = self.line.take(ticket);
            return Asked::Granted(self.grant(shared, node, turn));
        }
        let (grant, granted) = oneshot::channel();
        self.waiting.insert(ticket, Waiter { want: want.clone(), grant });
        Asked::Queued(ticket, granted)
    }

    /// A slot that nobody waits for, on nobody's account.
    pub(super) fn spare(&mut self, shared: &Arc<Shared>, want: &Want) -> Option<Grant> {
        if self.line.waiting() > 0 {
            return None;
        }
        match self.choose(want) {
            Found::Take(node) => Some(self.grant(shared, node, None)),
            Found::Wait | Found::Refuse(_) => None,
        }
    }

    /// A slot of this node on nobody's account.
    pub(super) fn grant_on(&mut self, shared: &Arc<Shared>, node: usize) -> Option<Grant> {
        (self.entry(node).free(Instant::now()) > 0).then(|| self.grant(shared, node, None))
    }

    /// A place in the line is given up. Nothing where its turn has come.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.remove(&ticket);
        self.line.leave(ticket, self.origin.elapsed());
    }

    /// What a slot has cost its app.
    pub(super) fn settle(&mut self, turn: &Turn, held: Duration) {
        self.line.settle(turn, held, self.origin.elapsed());
    }

    fn grant(&mut self, shared: &Arc<Shared>, node: usize, turn: Option<Turn>) -> Grant {
        self.turn = node + 1;
        let entry = self.entry(node);
        let taken = entry.slots.take();
        debug_assert!(taken, "only a node with a free slot is chosen");
        if let Some(turn) = &turn {
            entry.levels[turn.lane as usize] = turn.level();
        }
        Grant::new(shared, &entry.peer, turn)
    }

    /// Where an app starts in the line that was away: level with who was last served, on the node that has served most
    /// of those that will do.
    fn level(&mut self, want: &Want) -> u128 {
        let lane = want.lane as usize;
        self.fits(want).map(|entry| entry.levels[lane]).max().unwrap_or(0)
    }

    /// Gives what is free to those who wait, each in its turn, and tells those whom waiting cannot help. Returns what came
    /// too late for its waiter, to be dropped outside the lock. A look at every node for each kind of waiter, and for
    /// each slot given.
    pub(super) fn serve(&mut self, shared: &Arc<Shared>) -> Vec<Result<Grant, Refusal>> {
        let mut undelivered = Vec::new();
        while self.line.waiting() > 0 {
            let free = self.free_kinds(&mut undelivered);
            if free.is_empty() {
                break;
            }
            let Some(turn) = self.line.next(|kind| free.contains(kind)) else { break };
            let Some(waiter) = self.waiting.remove(&turn.ticket) else { continue };
            // Its kind has a free node, so it is taken.
            let Found::Take(node) = self.choose(&waiter.want) else { continue };
            let grant = self.grant(shared, node, Some(turn));
            undelivered.extend(waiter.grant.send(Ok(grant)).err());
        }
        undelivered
    }

    /// The kinds that a free node would do for. Refuses those that no waiting can help.
    fn free_kinds(&mut self, undelivered: &mut Vec<Result<Grant, Refusal>>) -> HashSet<Kind> {
        let kinds: Vec<(Kind, u64)> = self.line.kinds().map(|(kind, ticket)| (kind.clone(), ticket)).collect();
        let mut free = HashSet::new();
        for (kind, ticket) in kinds {
            let Some(want) = self.waiting.get(&ticket).map(|waiter| waiter.want.clone()) else { continue };
            match self.choose(&want) {
                Found::Take(_) => drop(free.insert(kind)),
                Found::Wait => {}
                Found::Refuse(refusal) => {
                    for ticket in self.line.of_kind(&kind) {
                        self.line.leave(ticket, self.origin.elapsed());
                        if let Some(waiter) = self.waiting.remove(&ticket) {
                            undelivered.extend(waiter.grant.send(Err(refusal.clone())).err());
                        }
                    }
                }
            }
        }
        free
    }

    /// How many wait in a lane.
    pub(super) fn waiting_in(&self, lane: Lane) -> usize {
        self.line.waiting_in(lane)
    }

    /// Those of them that have what the contract requires.
    fn fits<'a>(&'a mut self, want: &'a Want) -> impl Iterator<Item = &'a mut Entry> {
        let fits = |entry: &mut Entry| entry.missing(&want.contract).is_some_and(|missing| missing.is_empty());
        self.eligible(want).filter_map(move |(_, entry)| fits(entry).then_some(entry))
    }

    /// What those are told who may not wait, or have waited long enough.
    pub(super) fn busy(&mut self, want: &Want) -> Refusal {
        let (slots, wedged) = self
            .fits(want)
            .map(|entry| entry.slots)
            .fold((0, 0), |(total, wedged), slots| (total + slots.total(), wedged + slots.wedged()));
        let waiting = self.line.waiting();
        Refusal::AllBusy { slots, wedged, waiting }
    }

    pub(super) fn attestation(&mut self, contract: &Contract, pool: &str) -> Attestation {
        let mut attestation = Attestation::default();
        let mut closest: Option<Arc<Vec<String>>> = None;
        let of_pool = self.nodes.values().filter(|entry| entry.serves_pool(pool));
        let doubt = pool::doubts_check(of_pool.map(|entry| entry.health.state()));
        for entry in self.nodes.values_mut().filter(|entry| entry.serves_pool(pool)) {
            attestation.total += 1;
            let Some(missing) = entry.missing(contract) else { continue };
            attestation.known += 1;
            let serves = matches!(entry.health.state(), State::Up | State::Asleep | State::Suspect)
                || (doubt && entry.health.is_unwell());
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
