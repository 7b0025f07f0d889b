//! Who waits for a slot of a node, without a clock and without nodes: apps in turn by the slot-seconds that they have
//! used, and preview before batch, but not beyond a floor.
//!
//! Waiters of one *kind* may go to the same nodes. One whose kind cannot be served now is passed over and keeps its turn,
//! so nobody who could be served waits behind one who cannot.
//!
//! Invariant: a waiter is in one lane's turns and in one kind's set, or in neither; of those that may be served, the next
//! is of the app that has used least.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::seats::Lane;
use crate::seats::turns::{Charge, Turns};

/// Of the slot-seconds that both lanes wanted, one part in so many is batch's: its floor. The rest is preview's, which
/// goes first.
const BATCH_ONE_IN: u128 = 4;

/// Those who wait, by ticket.
#[derive(Debug)]
pub(super) struct Line<K> {
    turns: [Turns; 2],
    /// Slot-nanoseconds of the turns that both lanes could have had, over the lane's part of them.
    clocks: [u128; 2],
    waiting: HashMap<u64, Waiter<K>>,
    kinds: HashMap<K, BTreeSet<u64>>,
    next: u64,
}

#[derive(Debug)]
struct Waiter<K> {
    app: Arc<str>,
    lane: Lane,
    kind: K,
}

/// A ticket whose turn has come, and what it has been charged until it is settled.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub ticket: u64,
    pub lane: Lane,
    app: Arc<str>,
    charge: Charge,
    /// Whether the other lane could have had it.
    contended: bool,
}

impl<K: Clone + Eq + Hash> Line<K> {
    pub(super) fn new() -> Self {
        Self {
            turns: [Turns::default(), Turns::default()],
            clocks: [0; 2],
            waiting: HashMap::new(),
            kinds: HashMap::new(),
            next: 0,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait in a lane.
    pub(super) fn waiting_in(&self, lane: Lane) -> usize {
        self.turns[lane as usize].waiting()
    }

    /// The kinds that somebody waits in, each with its first ticket.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&K, u64)> {
        self.kinds.iter().filter_map(|(kind, tickets)| Some((kind, *tickets.first()?)))
    }

    /// Everybody who waits in a kind.
    pub(super) fn of_kind(&self, kind: &K) -> Vec<u64> {
        self.kinds.get(kind).into_iter().flatten().copied().collect()
    }

    /// One more waiter. An app that did not wait starts level with who is next of its kind, or where nobody of it waits
    /// at `level`: level with who was last served where it may be. So time away saves up nothing.
    pub(super) fn join(&mut self, app: &Arc<str>, lane: Lane, kind: K, level: u128) -> u64 {
        let ticket = self.next;
        self.next += 1;
        let turns = &mut self.turns[lane as usize];
        let alike = |ticket| self.waiting.get(&ticket).is_some_and(|waiter| waiter.kind == kind);
        let next = if self.kinds.contains_key(&kind) { turns.first(alike) } else { None };
        let level = next.and_then(|(name, _)| turns.level(&name)).unwrap_or(level);
        turns.push_from(level, app, NonZeroU32::MIN, ticket, ticket);
        self.kinds.entry(kind.clone()).or_default().insert(ticket);
        self.waiting.insert(ticket, Waiter { app: Arc::clone(app), lane, kind });
        ticket
    }

    /// A waiter who waits no more. False where the ticket does not wait.
    pub(super) fn leave(&mut self, ticket: u64, now: Duration) -> bool {
        let Some(waiter) = self.forget(ticket) else { return false };
        self.turns[waiter.lane as usize].remove(&waiter.app, ticket, now);
        true
    }

    /// This one's turn, out of turn: nobody else could be served where it is.
    pub(super) fn take(&mut self, ticket: u64) -> Option<Turn> {
        let waiter = self.forget(ticket)?;
        let (_, charge) = self.turns[waiter.lane as usize].take(&waiter.app, ticket)?;
        Some(Turn { ticket, lane: waiter.lane, app: waiter.app, charge, contended: false })
    }

    /// Whose turn it is, of those whose kind may be served.
    pub(super) fn next(&mut self, may: impl Fn(&K) -> bool) -> Option<Turn> {
        let first = |lane: Lane| {
            let may = |ticket| self.waiting.get(&ticket).is_some_and(|waiter| may(&waiter.kind));
            self.turns[lane as usize].first(may)
        };
        let (lane, (app, place), contended) = match (first(Lane::Preview), first(Lane::Batch)) {
            (Some(preview), Some(batch)) => {
                let [preview_clock, batch_clock] = self.clocks;
                let batch_is_behind = batch_clock < preview_clock;
                if batch_is_behind { (Lane::Batch, batch, true) } else { (Lane::Preview, preview, true) }
            }
            (Some(preview), None) => (Lane::Preview, preview, false),
            (None, Some(batch)) => (Lane::Batch, batch, false),
            (None, None) => return None,
        };
        let (ticket, charge) = self.turns[lane as usize].take(&app, place)?;
        self.forget(ticket);
        if contended {
            self.clocks[lane as usize] += part(lane, charge.estimate);
        }
        Some(Turn { ticket, lane, app, charge, contended })
    }

    /// The slot is free again: puts what it has cost in the place of the estimate.
    pub(super) fn settle(&mut self, turn: &Turn, held: Duration, now: Duration) {
        let measured = held.as_nanos();
        if turn.contended {
            let clock = &mut self.clocks[turn.lane as usize];
            *clock = clock.saturating_sub(part(turn.lane, turn.charge.estimate)) + part(turn.lane, measured);
        }
        let turns = &mut self.turns[turn.lane as usize];
        turns.settle(&turn.app, turn.charge, measured, now);
        turns.forgive(now);
    }

    /// Takes a waiter out of every index but its turns.
    fn forget(&mut self, ticket: u64) -> Option<Waiter<K>> {
        let waiter = self.waiting.remove(&ticket)?;
        if let Some(tickets) = self.kinds.get_mut(&waiter.kind) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.kinds.remove(&waiter.kind);
            }
        }
        Some(waiter)
    }
}

// === impl Turn ===

impl Turn {
    /// Where a newcomer starts who is to be level with this one.
    pub(super) fn level(&self) -> u128 {
        self.charge.level
    }
}

/// What a cost moves a lane's clock by.
fn part(lane: Lane, cost: u128) -> u128 {
    match lane {
        Lane::Preview => cost / (BATCH_ONE_IN - 1),
        Lane::Batch => cost,
    }
}
