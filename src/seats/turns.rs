//! The tenants of one lane, in turn by the seat-seconds that they have used (start-time fair queueing: Goyal, Vin,
//! Cheng, 1996, with measured cost in place of packet length). The apps that wait for a node's slot go by the same
//! rule: there a tenant is an app, and a seat is a slot.
//!
//! Every tenant has a virtual clock: its seat-seconds over its weight. The next seat goes to the clock that is furthest
//! behind. A grant is charged with an estimate, so that many seats granted at once are shared too, and the release
//! settles it. A tenant who comes back is set level with whoever is next: time away saves up nothing.
//!
//! Invariant: `order` has exactly one entry per tenant with waiters: its clock and the place of its first waiter; and
//! `lengths` one: its length, its clock, and who it is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

/// Charged for a grant before anything was measured. Only its order of magnitude matters: the release corrects it.
const FIRST_ESTIMATE: Duration = Duration::from_secs(1);

/// A running mean that forgets: each new value counts for one part in eight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean(Option<u128>);

impl Mean {
    /// In nanoseconds.
    pub(crate) fn get(self) -> Option<u128> {
        self.0
    }

    fn add(&mut self, value: u128) {
        self.0 = Some(self.0.map_or(value, |mean| (mean * 7 + value) / 8));
    }
}

#[derive(Debug)]
struct Tenant {
    /// Seat-nanoseconds over weight.
    clock: u128,
    weight: NonZeroU32,
    in_use: u32,
    /// What of the clock is estimates, of the seats in use.
    estimated: u128,
    /// Place to ticket: first come, first served.
    queue: BTreeMap<u64, u64>,
    service: Mean,
    /// When the debt of an idle tenant is forgiven; it stands under this time in `debtors`.
    forgiven_at: Option<Duration>,
}

/// So many waiters over their tenant's weight, in parts of 2^64. Exact as an order: weights have 32 bits, so two lengths
/// that differ do so by 2^-64 at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Length(u128);

impl Length {
    fn of(waiters: usize, weight: NonZeroU32) -> Self {
        Self(((waiters as u128) << 64) / u128::from(weight.get()))
    }
}

/// What a grant has been charged with, to be settled by the release.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    /// The estimate in seat-nanoseconds.
    pub(crate) estimate: u128,
    /// What of it the tenant's clock was moved by.
    weighted: u128,
    /// Where the tenant's clock stood before, by what was measured: a newcomer who is to be level with it starts there.
    pub(crate) level: u128,
}

/// The tenants of one lane who wait, run or are in debt.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    tenants: HashMap<Arc<str>, Tenant>,
    order: BTreeMap<(u128, u64), Arc<str>>,
    /// How much of the line each tenant in `order` has. Of two that have as much, who has used less comes first.
    lengths: BTreeSet<(Length, u128, Arc<str>)>,
    debtors: BTreeSet<(Duration, Arc<str>)>,
    /// Where newcomers started at the latest grant.
    clock: u128,
    waiting: usize,
    service: Mean,
}

impl Turns {
    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The mean service time of the lane.
    pub(crate) fn service(&self) -> Mean {
        self.service
    }

    /// How many tenants are known.
    pub(crate) fn known(&self) -> usize {
        self.tenants.len()
    }

    /// How many are likely served before a newcomer of this tenant: tenants go in turn, so of every tenant at most as
    /// many as the newcomer's own place in its line.
    pub(crate) fn ahead(&self, name: &str) -> usize {
        let own = self.tenants.get(name).map_or(0, |tenant| tenant.queue.len());
        let others = self.order.len() - usize::from(own > 0);
        self.waiting.min(own + others * (own + 1))
    }

    /// Puts a waiter in its tenant's line. Places rise, save for one that is handed on from a waiter who left it.
    pub(crate) fn push(&mut self, name: &Arc<str>, weight: NonZeroU32, place: u64, ticket: u64) {
        self.push_from(self.start(), name, weight, place, ticket);
    }

    /// The same, for a tenant whose clock starts at `start` where it does not wait yet.
    pub(crate) fn push_from(&mut self, start: u128, name: &Arc<str>, weight: NonZeroU32, place: u64, ticket: u64) {
        let tenant = self.tenants.entry(Arc::clone(name)).or_insert_with(|| Tenant {
            clock: start,
            weight,
            in_use: 0,
            estimated: 0,
            queue: BTreeMap::new(),
            service: Mean::default(),
            forgiven_at: None,
        });
        if let Some(at) = tenant.forgiven_at.take() {
            self.debtors.remove(&(at, Arc::clone(name)));
        }
        self.change(name, |tenant| {
            if tenant.queue.is_empty() {
                tenant.clock = tenant.clock.max(start);
            }
            tenant.weight = weight;
            tenant.queue.insert(place, ticket);
        });
        self.waiting += 1;
    }

    /// Takes out a waiter who no longer waits.
    pub(crate) fn remove(&mut self, name: &Arc<str>, place: u64, now: Duration) {
        let removed = self.change(name, |tenant| tenant.queue.remove(&place));
        if removed.flatten().is_some() {
            self.waiting -= 1;
            self.rest(name, now);
        }
    }

    /// The waiter whose turn it is, of those who may be served: its tenant and place. Looks at each waiter once at most.
    pub(crate) fn first(&self, may: impl Fn(u64) -> bool) -> Option<(Arc<str>, u64)> {
        self.order.values().find_map(|name| {
            let (place, _) = self.tenants.get(name)?.queue.iter().find(|(_, ticket)| may(**ticket))?;
            Some((Arc::clone(name), *place))
        })
    }

    /// Where a tenant's clock stands by what was measured.
    pub(crate) fn level(&self, name: &str) -> Option<u128> {
        self.tenants.get(name).map(|tenant| tenant.clock.saturating_sub(tenant.estimated))
    }

    /// Takes out the waiter whose turn it is and charges its tenant.
    pub(crate) fn pop(&mut self) -> Option<(u64, Charge)> {
        let (&(_, place), name) = self.order.first_key_value()?;
        let name = Arc::clone(name);
        self.take(&name, place)
    }

    /// Takes out the newest waiter of the tenant whose turn it is and charges it.
    pub(crate) fn pop_newest(&mut self) -> Option<(u64, Charge)> {
        let name = Arc::clone(self.order.first_key_value()?.1);
        let (&place, _) = self.tenants.get(&name)?.queue.last_key_value()?;
        self.take(&name, place)
    }

    /// The tenant with the most waiters by weight.
    pub(crate) fn most(&self) -> Option<&Arc<str>> {
        self.lengths.last().map(|(_, _, name)| name)
    }

    /// The tenant that a newcomer of this one may take a place from where there is none left: the one with the most, if
    /// that has more than the newcomer's tenant would have with it, or as much and has used more.
    ///
    /// All others have less of the line than that, so it keeps its part of the places by weight, rounded down; and who is
    /// told none has at least its own.
    pub(crate) fn gives_way(&self, name: &str, weight: NonZeroU32) -> Option<&Arc<str>> {
        let (most, used, other) = self.lengths.last()?;
        let own = self.tenants.get(name);
        let length = Length::of(own.map_or(0, |tenant| tenant.queue.len()) + 1, weight);
        let clock = match own {
            Some(tenant) if !tenant.queue.is_empty() => tenant.clock,
            _ => self.start().max(own.map_or(0, |tenant| tenant.clock)),
        };
        (**other != *name && (length, clock) < (*most, *used)).then_some(other)
    }

    /// The waiter of this tenant who has the first place.
    pub(crate) fn oldest(&self, name: &str) -> Option<u64> {
        self.tenants.get(name)?.queue.values().next().copied()
    }

    /// The waiter of this tenant who has the last place.
    pub(crate) fn newest(&self, name: &str) -> Option<u64> {
        self.tenants.get(name)?.queue.values().next_back().copied()
    }

    /// How many are likely served before a newcomer of this tenant where the newest go first: one of each other tenant.
    pub(crate) fn ahead_of_newest(&self, name: &str) -> usize {
        let own = self.tenants.get(name).is_some_and(|tenant| !tenant.queue.is_empty());
        self.order.len() - usize::from(own)
    }

    /// Takes out this waiter and charges its tenant.
    pub(crate) fn take(&mut self, name: &Arc<str>, place: u64) -> Option<(u64, Charge)> {
        let lane = self.service;
        let (ticket, charge) = self.change(name, |tenant| {
            let ticket = tenant.queue.remove(&place)?;
            let known = tenant.service.get().or(lane.get());
            let estimate = known.unwrap_or(FIRST_ESTIMATE.as_nanos());
            let weighted = estimate / u128::from(tenant.weight.get());
            let level = tenant.clock.saturating_sub(tenant.estimated);
            tenant.clock += weighted;
            tenant.estimated += weighted;
            tenant.in_use += 1;
            Some((ticket, Charge { estimate, weighted, level }))
        })??;
        self.clock = charge.level;
        self.waiting -= 1;
        Some((ticket, charge))
    }

    /// Puts the measured cost of a seat (seat-nanoseconds) in the place of its estimate.
    pub(crate) fn settle(&mut self, name: &Arc<str>, charge: Charge, measured: u128, now: Duration) {
        self.service.add(measured);
        self.change(name, |tenant| {
            let cost = measured / u128::from(tenant.weight.get());
            tenant.clock = tenant.clock.saturating_sub(charge.weighted) + cost;
            tenant.estimated -= charge.weighted;
            tenant.in_use -= 1;
            tenant.service.add(measured);
        });
        self.rest(name, now);
    }

    /// Forgets the tenants whose debt is forgiven by `now`.
    pub(crate) fn forgive(&mut self, now: Duration) {
        while self.debtors.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, name)) = self.debtors.pop_first() {
                self.tenants.remove(&name);
            }
        }
    }

    /// Where a newcomer's clock starts: level with what was measured of the waiter who is next. Estimates are left out,
    /// for they may be settled for less, and the newcomer would stay behind by the difference.
    fn start(&self) -> u128 {
        let next = self.order.first_key_value().and_then(|(_, name)| self.level(name));
        next.unwrap_or(self.clock)
    }

    /// An idle tenant without debt is forgotten. A debt is forgiven after as long as it is large: whoever has been away
    /// for as long as it had sat is even. So those remembered are about as many as there are seats.
    fn rest(&mut self, name: &Arc<str>, now: Duration) {
        let Some(tenant) = self.tenants.get_mut(name) else { return };
        if !tenant.queue.is_empty() || tenant.in_use > 0 || tenant.forgiven_at.is_some() {
            return;
        }
        let debt = u64::try_from(tenant.clock.saturating_sub(self.clock)).unwrap_or(u64::MAX);
        if debt == 0 {
            self.tenants.remove(name);
        } else {
            let at = now.saturating_add(Duration::from_nanos(debt));
            tenant.forgiven_at = Some(at);
            self.debtors.insert((at, Arc::clone(name)));
        }
    }

    /// Changes a tenant and moves it in the order accordingly.
    fn change<T>(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        let tenant = self.tenants.get_mut(name)?;
        if let Some((&place, _)) = tenant.queue.first_key_value() {
            self.order.remove(&(tenant.clock, place));
            self.lengths.remove(&tenant.standing(name));
        }
        let changed = change(tenant);
        if let Some((&place, _)) = tenant.queue.first_key_value() {
            self.order.insert((tenant.clock, place), Arc::clone(name));
            self.lengths.insert(tenant.standing(name));
        }
        Some(changed)
    }
}

// === impl Tenant ===

impl Tenant {
    fn standing(&self, name: &Arc<str>) -> (Length, u128, Arc<str>) {
        (Length::of(self.queue.len(), self.weight), self.clock, Arc::clone(name))
    }
}
