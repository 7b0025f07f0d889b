//! One app's seats and waiters, without a clock: the time is an argument, counted from an origin of the caller's.
//!
//! Invariant: after every call, seats in use are within the caps (save for those that ran when the caps were lowered),
//! and no waiter stands in line for a seat that it may have. What became of waiters by a call is in [`Schedule::fates`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    caps::{Caps, Lane},
    outcome::{Answer, Ask, Fate, LaneView, Refusal, Tally, Ticket, View, Why},
    sojourn::Sojourn,
    turns::{Charge, Turns},
};

#[derive(Debug)]
struct Waiter {
    tenant: Arc<str>,
    lane: Lane,
    session: Option<Arc<str>>,
    place: u64,
    /// When the place was first taken.
    since: Duration,
    until: Duration,
}

#[derive(Debug)]
struct Running {
    tenant: Arc<str>,
    lane: Lane,
    since: Duration,
    charge: Charge,
    /// What the lane's clock was moved by.
    lane_charge: u128,
}

#[derive(Debug, Default)]
struct Line {
    turns: Turns,
    in_use: u32,
    /// The lane's seat-nanoseconds over its seats: decides whose turn it is where both lanes want one seat.
    clock: u128,
    /// What of the clock is estimates, of the seats in use.
    estimated: u128,
    tally: Tally,
    /// Who waits, longest first.
    ages: BTreeSet<(Duration, u64)>,
    /// Of previews: a batch is worth the same whenever it comes.
    sojourn: Sojourn,
}

/// One app's seats and waiters.
#[derive(Debug)]
pub struct Schedule {
    caps: Caps,
    lines: [Line; 2],
    waiting: HashMap<u64, Waiter>,
    running: HashMap<u64, Running>,
    expiry: BTreeSet<(Duration, u64)>,
    sessions: HashMap<(Arc<str>, Arc<str>), u64>,
    next: u64,
    fates: Vec<(Ticket, Fate)>,
}

impl Schedule {
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            lines: [Line::default(), Line::default()],
            waiting: HashMap::new(),
            running: HashMap::new(),
            expiry: BTreeSet::new(),
            sessions: HashMap::new(),
            next: 0,
            fates: Vec::new(),
        }
    }

    /// Asks for a seat, to wait for it until `until` at the latest. O(log n) in waiters and tenants.
    pub fn ask(&mut self, ask: Ask, until: Duration, now: Duration) -> Answer {
        self.advance(now);
        let lane = ask.lane;
        let caps = self.caps.lane(lane);
        self.line(lane).tally.asked += 1;
        let inherited = self.supersede(&ask, now);
        let objection = self.objection(&ask, inherited.is_some(), until, now);
        if let Some(why) = objection.or_else(|| self.make_room(&ask, now)) {
            let refusal = self.refusal(why, lane, &ask.tenant);
            self.line(lane).tally.refused += 1;
            return Answer::Refused(refusal);
        }
        let until = until.min(now.saturating_add(caps.wait));
        let ticket = self.next;
        self.next += 1;
        let (place, since) = inherited.unwrap_or((ticket, now));
        let other = self.line(lane.other());
        // A lane that was away has saved up nothing. Level on what was measured, preview comes first.
        let level = match lane {
            Lane::Preview => other.clock.saturating_sub(other.estimated),
            Lane::Batch => other.clock,
        };
        let own = self.line(lane);
        if own.turns.waiting() == 0 {
            own.clock = own.clock.max(level);
        }
        own.turns.push(&ask.tenant, ask.weight, place, ticket);
        if let Some(session) = ask.session.as_ref().filter(|_| lane == Lane::Preview) {
            self.sessions.insert((Arc::clone(&ask.tenant), Arc::clone(session)), ticket);
        }
        self.expiry.insert((until, ticket));
        self.line(lane).ages.insert((since, ticket));
        self.waiting.insert(ticket, Waiter { tenant: ask.tenant, lane, session: ask.session, place, since, until });
        self.dispatch(now);
        // A seat is free only where nobody else may have it, so a grant here is this ticket's.
        if self.running.contains_key(&ticket) {
            self.fates.retain(|(granted, _)| granted.0 != ticket);
            return Answer::Granted(Ticket(ticket));
        }
        Answer::Queued(Ticket(ticket), until)
    }

    /// The holder of a ticket is gone: a waiter leaves the line, a seat comes back. False where the ticket is neither.
    pub fn leave(&mut self, ticket: Ticket, now: Duration) -> bool {
        if self.release(ticket, now) {
            return true;
        }
        let Some(waiter) = self.take_waiter(ticket.0, now) else { return false };
        self.line(waiter.lane).tally.left += 1;
        true
    }

    /// Ends a wait whose time is over by the caller's timer. False where the ticket does not wait.
    pub fn expire(&mut self, ticket: Ticket, now: Duration) -> bool {
        let Some(waiter) = self.take_waiter(ticket.0, now) else { return false };
        self.line(waiter.lane).tally.expired += 1;
        true
    }

    /// Gives a seat back, settles what it cost, and grants it to whoever is next. False where the ticket has no seat.
    pub fn release(&mut self, ticket: Ticket, now: Duration) -> bool {
        let Some(run) = self.running.remove(&ticket.0) else { return false };
        let measured = now.saturating_sub(run.since).as_nanos();
        let seats = u128::from(self.caps.lane(run.lane).seats.max(1));
        let line = self.line(run.lane);
        debug_assert!(line.in_use > 0, "a seat that runs is counted");
        line.in_use -= 1;
        line.estimated -= run.lane_charge;
        line.clock = line.clock.saturating_sub(run.lane_charge) + measured / seats;
        line.turns.settle(&run.tenant, run.charge, measured, now);
        line.sojourn.measured(duration(measured));
        self.advance(now);
        true
    }

    /// New caps. Higher ones grant at once; lower ones take back nothing: what runs finishes, and nothing starts until
    /// the seats in use are below them. Waiters of a lane that closes are turned away; a lower depth turns nobody away.
    pub fn set_caps(&mut self, caps: Caps, now: Duration) {
        self.caps = caps;
        for lane in Lane::ALL {
            if caps.lane(lane).seats == 0 && self.line(lane).turns.waiting() > 0 {
                let tickets = self.expiry.iter().map(|(_, ticket)| *ticket);
                let closed: Vec<u64> = tickets.filter(|ticket| self.waits_in(*ticket, lane)).collect();
                for ticket in closed {
                    self.turn_away(ticket, Fate::Closed, now);
                }
            }
        }
        self.advance(now);
    }

    /// Ends the waits that are over and grants what is free.
    pub fn advance(&mut self, now: Duration) {
        while let Some((_, ticket)) = self.expiry.first().copied().filter(|(until, _)| *until <= now) {
            self.turn_away(ticket, Fate::Expired, now);
        }
        for line in &mut self.lines {
            line.turns.forgive(now);
        }
        self.thin_out(now);
        self.dispatch(now);
    }

    /// What became of queued tickets since the last call, in the order in which it happened.
    pub fn fates(&mut self) -> Vec<(Ticket, Fate)> {
        std::mem::take(&mut self.fates)
    }

    /// A refusal with the wait that the tenant's next ask would likely meet.
    pub fn refusal(&self, why: Why, lane: Lane, tenant: &str) -> Refusal {
        let ahead = self.ahead(lane, tenant);
        Refusal { why, retry_after: self.estimate(lane, ahead + 1) }
    }

    /// True where nothing may start in any lane.
    pub fn is_closed(&self) -> bool {
        Lane::ALL.iter().all(|lane| self.caps.lane(*lane).seats == 0)
    }

    /// True where nothing may start and nothing runs.
    pub fn is_over(&self) -> bool {
        self.is_closed() && self.running.is_empty()
    }

    /// The state at `now`.
    pub fn view(&self, now: Duration) -> View {
        let lanes = Lane::ALL.map(|lane| {
            let line = &self.lines[lane as usize];
            LaneView {
                lane,
                limit: self.caps.lane(lane).seats,
                in_use: line.in_use,
                queued: line.turns.waiting(),
                oldest_wait: line.longest_wait(now),
                newest_first: line.sojourn.is_late(),
                mean_service: line.turns.service().get().map(duration),
                tally: line.tally,
                tenants: line.turns.known(),
            }
        });
        View { limit: self.caps.total, in_use: self.in_use(), lanes }
    }

    /// The older queued preview of the asker's session leaves; its place in line is the newer one's.
    fn supersede(&mut self, ask: &Ask, now: Duration) -> Option<(u64, Duration)> {
        let session = ask.session.as_ref().filter(|_| ask.lane == Lane::Preview)?;
        let older = *self.sessions.get(&(Arc::clone(&ask.tenant), Arc::clone(session)))?;
        let waiter = self.turn_away(older, Fate::Superseded, now)?;
        // Where the newest go first, an old place would be the worst.
        let line = self.line(Lane::Preview);
        (!line.sojourn.is_late()).then_some((waiter.place, waiter.since))
    }

    /// A line of previews that has become too slow loses its longest waiters: of the tenant with the most of them, so
    /// that none pays for another's load. The last one is left: it is next.
    fn thin_out(&mut self, now: Duration) {
        let caps = self.caps.lane(Lane::Preview);
        let line = &self.lines[Lane::Preview as usize];
        let (longest, in_turn) = (line.longest_wait(now), self.estimate(Lane::Preview, line.turns.waiting()));
        self.line(Lane::Preview).sojourn.look(longest, in_turn, caps.wait, now);
        while self.line(Lane::Preview).turns.waiting() > 1 && self.line(Lane::Preview).sojourn.sheds(now) {
            self.shed(now);
        }
    }

    fn shed(&mut self, now: Duration) {
        let turns = &self.lines[Lane::Preview as usize].turns;
        if let Some(ticket) = turns.most().and_then(|name| turns.oldest(name)) {
            self.turn_away(ticket, Fate::Shed, now);
        }
    }

    /// The depth is shared like the seats: where a line is full, the tenant with the most waiters makes room for one with
    /// fewer, whoever came first. Else a single tenant could fill the line for all. Its latest waiter goes, who would be
    /// served last; where the newest go first, its oldest, and there a tenant makes room for its own newest, too.
    fn make_room(&mut self, ask: &Ask, now: Duration) -> Option<Why> {
        let line = &self.lines[ask.lane as usize];
        let turns = &line.turns;
        if self.has_room(ask.lane) || turns.waiting() < self.caps.lane(ask.lane).depth as usize {
            return None;
        }
        let other = turns.gives_way(&ask.tenant, ask.weight);
        let (leaves, fate) = if line.sojourn.is_late() {
            (turns.oldest(other.unwrap_or(&ask.tenant)), Fate::Shed)
        } else {
            (other.and_then(|name| turns.newest(name)), Fate::Displaced)
        };
        let Some(ticket) = leaves else { return Some(Why::QueueFull) };
        self.turn_away(ticket, fate, now);
        None
    }

    fn turn_away(&mut self, ticket: u64, fate: Fate, now: Duration) -> Option<Waiter> {
        let waiter = self.take_waiter(ticket, now)?;
        self.line(waiter.lane).tally.count(fate);
        self.fates.push((Ticket(ticket), fate));
        Some(waiter)
    }

    /// How many are likely served before the tenant's next ask.
    fn ahead(&self, lane: Lane, tenant: &str) -> usize {
        let own = &self.lines[lane as usize];
        if own.sojourn.is_late() { own.turns.ahead_of_newest(tenant) } else { own.turns.ahead(tenant) }
    }

    /// Why this ask may not even wait. One that inherits a place stands where that stood, so its wait is not estimated.
    fn objection(&self, ask: &Ask, inherits: bool, until: Duration, now: Duration) -> Option<Why> {
        let caps = self.caps.lane(ask.lane);
        let patience = until;
        let until = until.min(now.saturating_add(caps.wait));
        if caps.seats == 0 {
            return Some(Why::LaneClosed);
        }
        if self.has_room(ask.lane) {
            return (patience <= now).then_some(Why::WaitTooLong);
        }
        if caps.depth == 0 {
            return Some(Why::LaneFull);
        }
        // Only the work ahead counts here, not the rest of what runs: what is refused could hardly have been served.
        let ahead = if inherits { 0 } else { self.ahead(ask.lane, &ask.tenant) };
        let wait = self.estimate(ask.lane, ahead);
        (until <= now || now.saturating_add(wait) > until).then_some(Why::WaitTooLong)
    }

    /// How long so many solves take in the lane: mean service time x solves / seats; zero before any was measured.
    fn estimate(&self, lane: Lane, solves: usize) -> Duration {
        let seats = u128::from(self.caps.lane(lane).seats.max(1));
        let mean = self.lines[lane as usize].turns.service().get().unwrap_or(0);
        duration(mean.saturating_mul(solves as u128) / seats)
    }

    fn dispatch(&mut self, now: Duration) {
        while let Some(lane) = self.next_lane() {
            let seats = u128::from(self.caps.lane(lane).seats.max(1));
            let line = self.line(lane);
            let late = line.sojourn.is_late();
            let popped = if late { line.turns.pop_newest() } else { line.turns.pop() };
            let Some((ticket, charge)) = popped else { return };
            let lane_charge = charge.estimate / seats;
            line.clock += lane_charge;
            line.estimated += lane_charge;
            line.in_use += 1;
            line.tally.granted += 1;
            if let Some(waiter) = self.forget_waiter(ticket) {
                let run = Running { tenant: waiter.tenant, lane, since: now, charge, lane_charge };
                self.running.insert(ticket, run);
                self.fates.push((Ticket(ticket), Fate::Granted));
            }
        }
    }

    /// The lane that the next free seat goes to: preview, unless batch is behind its floor.
    fn next_lane(&self) -> Option<Lane> {
        let wants = |lane: Lane| self.has_room(lane) && self.lines[lane as usize].turns.waiting() > 0;
        let [preview, batch] = &self.lines;
        match (wants(Lane::Preview), wants(Lane::Batch)) {
            (true, true) if batch.clock < preview.clock => Some(Lane::Batch),
            (true, _) => Some(Lane::Preview),
            (false, true) => Some(Lane::Batch),
            (false, false) => None,
        }
    }

    fn has_room(&self, lane: Lane) -> bool {
        self.in_use() < self.caps.total && self.lines[lane as usize].in_use < self.caps.lane(lane).seats
    }

    fn in_use(&self) -> u32 {
        self.lines.iter().map(|line| line.in_use).sum()
    }

    fn line(&mut self, lane: Lane) -> &mut Line {
        &mut self.lines[lane as usize]
    }

    fn waits_in(&self, ticket: u64, lane: Lane) -> bool {
        self.waiting.get(&ticket).is_some_and(|waiter| waiter.lane == lane)
    }

    /// Takes a waiter out of its line and of every index.
    fn take_waiter(&mut self, ticket: u64, now: Duration) -> Option<Waiter> {
        let waiter = self.forget_waiter(ticket)?;
        self.line(waiter.lane).turns.remove(&waiter.tenant, waiter.place, now);
        Some(waiter)
    }

    /// Takes a waiter out of every index but its line.
    fn forget_waiter(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiting.remove(&ticket)?;
        self.expiry.remove(&(waiter.until, ticket));
        self.line(waiter.lane).ages.remove(&(waiter.since, ticket));
        if let Some(session) = waiter.session.as_ref().filter(|_| waiter.lane == Lane::Preview) {
            self.sessions.remove(&(Arc::clone(&waiter.tenant), Arc::clone(session)));
        }
        Some(waiter)
    }
}

// === impl Line ===

impl Line {
    fn longest_wait(&self, now: Duration) -> Option<Duration> {
        self.ages.first().map(|(since, _)| now.saturating_sub(*since))
    }
}

fn duration(nanoseconds: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
