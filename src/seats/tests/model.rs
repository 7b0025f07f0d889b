//! Random schedules of asks, releases, departures, cap changes and time, against a model that keeps plain lists.
//!
//! The model knows who waits and who runs, not whose turn it is among tenants: each grant is checked to be one that the
//! rules allow, and after each step no grant may be missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::super::{Answer, Ask, Caps, Fate, Lane, Schedule, Ticket, Why};

#[derive(Clone, Debug)]
enum Step {
    Ask { tenant: u8, lane: Lane, session: Option<u8>, patience: u64 },
    Leave(usize),
    Release(usize),
    Caps(u32, u32, u32, u32, u64),
    Pass(u64),
}

#[derive(Clone, Debug)]
struct Waiter {
    tenant: u8,
    lane: Lane,
    session: Option<u8>,
    until: Duration,
}

/// The same for all asks of a tenant: 1, 2, 3, 1.
fn weight(tenant: u8) -> u32 {
    1 + u32::from(tenant) % 3
}

fn an_ask(tenant: u8, lane: Lane, session: Option<u8>) -> Ask {
    Ask {
        tenant: tenant.to_string().into(),
        lane,
        session: session.map(|session| session.to_string().into()),
        weight: NonZeroU32::new(weight(tenant)).unwrap(),
    }
}

/// Who waits in a lane, as an ask finds it.
struct Line(Vec<(Ticket, u8)>);

impl Line {
    fn of<'a>(waiters: impl Iterator<Item = &'a (Ticket, Waiter)>) -> Self {
        Self(waiters.map(|(ticket, waiter)| (*ticket, waiter.tenant)).collect())
    }

    fn length(&self, tenant: u8) -> u32 {
        u32::try_from(self.0.iter().filter(|(_, other)| *other == tenant).count()).unwrap()
    }

    /// A tenant's part of the places, by weight among all who want one.
    fn share(&self, tenant: u8, newcomer: u8) -> u32 {
        let wanting: BTreeSet<u8> = self.0.iter().map(|(_, tenant)| *tenant).chain([newcomer]).collect();
        let weights: u32 = wanting.into_iter().map(weight).sum();
        u32::try_from(self.0.len()).unwrap() * weight(tenant) / weights
    }

    /// Whoever makes room for another tenant's newcomer has the most, and keeps its part; within a tenant the order decides.
    fn check_displaced(&self, ticket: Ticket, newcomer: u8, newest_first: bool) {
        let (_, tenant) = *self.0.iter().find(|(other, _)| *other == ticket).expect("displaced of those who wait");
        let mut own = self.0.iter().filter(|(_, other)| *other == tenant);
        let due = if newest_first { own.next() } else { own.next_back() };
        assert_eq!(due, Some(&(ticket, tenant)), "not its tenant's to go");
        if tenant == newcomer {
            assert!(newest_first, "a tenant's own newcomer took a place in turn");
            return self.check_full(newcomer);
        }
        let (length, weighs) = (self.length(tenant), weight(tenant));
        for (_, other) in &self.0 {
            assert!(length * weight(*other) >= self.length(*other) * weighs, "another has more");
        }
        assert!((self.length(newcomer) + 1) * weighs <= length * weight(newcomer), "for one who has as much");
        assert!(length > self.share(tenant, newcomer), "below its part of the places");
    }

    /// Whoever finds no place has its part of them already, and nobody else has more than it would have.
    fn check_full(&self, newcomer: u8) {
        let length = self.length(newcomer);
        assert!(length >= self.share(newcomer, newcomer), "turned away below its part of the places");
        for (_, other) in &self.0 {
            assert!(self.length(*other) * weight(newcomer) <= (length + 1) * weight(*other), "another has more");
        }
    }
}

struct Model {
    schedule: Schedule,
    caps: Caps,
    now: Duration,
    /// In each tenant's line in the order of the list.
    waiting: Vec<(Ticket, Waiter)>,
    running: Vec<(Ticket, Lane)>,
    asked: u64,
    granted: u64,
    refused: u64,
    gone: u64,
    /// Whether the newest previews go first. It changes with time and with service, before anything is granted.
    late: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop_oneof![Just(Lane::Preview), Just(Lane::Batch)];
    let patience = prop_oneof![0..400_u64, 2000..6000_u64];
    let ask = (0..4_u8, lane, prop::option::weighted(0.4, 0..2_u8), patience);
    prop_oneof![
        6 => ask.prop_map(|(tenant, lane, session, patience)| Step::Ask { tenant, lane, session, patience }),
        4 => any::<usize>().prop_map(Step::Release),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => (0..5_u32, 0..4_u32, 0..4_u32, 0..6_u32, 0..300_u64).prop_map(|(a, b, c, d, e)| Step::Caps(a, b, c, d, e)),
        1 => (300..1500_u64).prop_map(Step::Pass),
        3 => (0..120_u64).prop_map(Step::Pass),
        // Long lines, so that some become too slow.
        1 => Just(Step::Caps(2, 1, 1, 8, 4000)),
    ]
}

fn caps(total: u32, preview: u32, batch: u32, depth: u32, wait: u64) -> Caps {
    let mut caps = Caps::new(total, preview, batch);
    for lane in [&mut caps.preview, &mut caps.batch] {
        (lane.depth, lane.wait) = (depth, Duration::from_millis(wait));
    }
    caps
}

impl Model {
    fn new() -> Self {
        let caps = caps(2, 2, 1, 5, 250);
        Self {
            schedule: Schedule::new(caps),
            caps,
            now: Duration::ZERO,
            waiting: Vec::new(),
            running: Vec::new(),
            asked: 0,
            granted: 0,
            refused: 0,
            gone: 0,
            late: false,
        }
    }

    fn in_use(&self, lane: Lane) -> usize {
        self.running.iter().filter(|(_, running)| *running == lane).count()
    }

    fn has_room(&self, lane: Lane) -> bool {
        self.running.len() < self.caps.total as usize && self.in_use(lane) < self.caps.lane(lane).seats as usize
    }

    fn queued(&self, lane: Lane) -> usize {
        self.waiting.iter().filter(|(_, waiter)| waiter.lane == lane).count()
    }

    fn start(&mut self, ticket: Ticket, lane: Lane) {
        assert!(self.has_room(lane), "granted beyond the caps");
        self.running.push((ticket, lane));
        self.granted += 1;
    }

    /// Takes in what became of waiters, and checks that each fate was due.
    fn settle(&mut self) {
        self.late = self.schedule.view(self.now).lanes[0].newest_first;
        for (ticket, fate) in self.schedule.fates() {
            let at = self.waiting.iter().position(|(queued, _)| *queued == ticket).expect("a fate of one who waits");
            let waiter = self.waiting[at].1.clone();
            match fate {
                Fate::Granted => {
                    assert!(waiter.until > self.now, "granted after its time");
                    let line = |other: &Waiter| other.tenant == waiter.tenant && other.lane == waiter.lane;
                    let newest_first = self.late && waiter.lane == Lane::Preview;
                    let passed_over = if newest_first { &self.waiting[at + 1..] } else { &self.waiting[..at] };
                    assert!(!passed_over.iter().any(|(_, other)| line(other)), "granted out of its tenant's order");
                    self.start(ticket, waiter.lane);
                }
                Fate::Expired => assert!(waiter.until <= self.now, "expired before its time"),
                Fate::Closed => assert_eq!(self.caps.lane(waiter.lane).seats, 0),
                Fate::Shed => assert!(self.late && waiter.lane == Lane::Preview, "shed of a line that is in time"),
                Fate::Superseded | Fate::Displaced => panic!("{fate:?} without a newer one"),
            }
            self.waiting.remove(at);
            self.gone += u64::from(fate != Fate::Granted);
        }
    }

    fn ask(&mut self, tenant: u8, lane: Lane, session: Option<u8>, patience: u64) {
        self.schedule.advance(self.now);
        self.settle();
        self.asked += 1;
        let until = self.now + Duration::from_millis(patience);
        let older = self.waiting.iter().position(|(_, waiter)| {
            session.is_some()
                && lane == Lane::Preview
                && (waiter.tenant, waiter.lane, waiter.session) == (tenant, lane, session)
        });
        let older_ticket = older.map(|at| self.waiting[at].0);
        let had_room = self.has_room(lane);
        let places = Line::of(
            self.waiting.iter().filter(|(ticket, waiter)| waiter.lane == lane && Some(*ticket) != older_ticket),
        );
        let is_full = places.0.len() >= self.caps.lane(lane).depth as usize;
        let answer = self.schedule.ask(an_ask(tenant, lane, session), until, self.now);
        let mut fates = self.schedule.fates();
        if let Some(ticket) = older_ticket {
            assert_eq!(fates.remove(0), (ticket, Fate::Superseded));
            self.gone += 1;
        }
        let made_room = !fates.is_empty();
        assert!(fates.len() <= 1 && (!made_room || matches!(answer, Answer::Queued(..))), "{fates:?} {answer:?}");
        for (ticket, fate) in fates {
            assert!(is_full && !had_room, "room was made where there was some");
            let newest_first = self.late && lane == Lane::Preview;
            assert_eq!(fate, if newest_first { Fate::Shed } else { Fate::Displaced });
            places.check_displaced(ticket, tenant, newest_first);
            self.waiting.retain(|(other, _)| *other != ticket);
            self.gone += 1;
        }
        let older = older_ticket.and_then(|ticket| self.waiting.iter().position(|(other, _)| *other == ticket));
        let closed = self.caps.lane(lane).seats == 0;
        match answer {
            Answer::Granted(ticket) => {
                assert!(had_room && patience > 0, "granted without room");
                assert!(older.is_none(), "an older preview waited beside a free seat");
                self.start(ticket, lane);
            }
            Answer::Queued(ticket, ends) => {
                assert!(!had_room && !closed && self.caps.lane(lane).depth > 0 && (!is_full || made_room));
                assert_eq!(ends, until.min(self.now + self.caps.lane(lane).wait));
                let waiter = Waiter { tenant, lane, session, until: ends };
                match older {
                    Some(at) if !self.late => self.waiting[at] = (ticket, waiter),
                    older => {
                        older.map(|at| self.waiting.remove(at));
                        self.waiting.push((ticket, waiter));
                    }
                }
            }
            Answer::Refused(refusal) => {
                self.refused += 1;
                if let Some(at) = older {
                    self.waiting.remove(at);
                }
                match refusal.why {
                    Why::LaneClosed => assert!(closed),
                    Why::LaneFull => assert!(!had_room && self.caps.lane(lane).depth == 0),
                    Why::QueueFull => {
                        assert!(!had_room && is_full);
                        places.check_full(tenant);
                    }
                    Why::WaitTooLong => assert!(patience == 0 || !had_room),
                    Why::NoSuchApp | Why::Superseded | Why::Expired | Why::Shed => panic!("not an answer: {refusal:?}"),
                }
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Ask { tenant, lane, session, patience } => self.ask(tenant, lane, session, patience),
            Step::Release(index) if !self.running.is_empty() => {
                let (ticket, _) = self.running.swap_remove(index % self.running.len());
                assert!(self.schedule.release(ticket, self.now));
                assert!(!self.schedule.release(ticket, self.now), "released twice");
            }
            Step::Leave(index) if !self.waiting.is_empty() => {
                let (ticket, _) = self.waiting.remove(index % self.waiting.len());
                assert!(self.schedule.leave(ticket, self.now));
                assert!(!self.schedule.leave(ticket, self.now), "left twice");
                self.gone += 1;
            }
            Step::Caps(total, preview, batch, depth, wait) => {
                self.caps = caps(total, preview, batch, depth, wait);
                self.schedule.set_caps(self.caps, self.now);
            }
            Step::Pass(time) => {
                self.now += Duration::from_millis(time);
                self.schedule.advance(self.now);
            }
            Step::Release(_) | Step::Leave(_) => {}
        }
        self.settle();
        self.check();
    }

    fn check(&self) {
        let view = self.schedule.view(self.now);
        assert_eq!(view.in_use as usize, self.running.len());
        for (lane, seen) in Lane::ALL.into_iter().zip(view.lanes) {
            assert_eq!((seen.in_use as usize, seen.queued), (self.in_use(lane), self.queued(lane)));
            assert_eq!(seen.oldest_wait.is_some(), seen.queued > 0);
            assert!(!(self.has_room(lane) && seen.queued > 0), "a free seat beside a waiter of {lane:?}");
        }
        let [preview, batch] = view.lanes.map(|lane| lane.tally);
        assert_eq!(preview.asked + batch.asked, self.asked);
        assert_eq!(preview.granted + batch.granted, self.granted);
        assert_eq!(preview.refused + batch.refused, self.refused);
        assert_eq!(self.asked, self.granted + self.refused + self.gone + self.waiting.len() as u64);
    }

    /// Everyone leaves: nothing may be left, not even a tenant.
    fn finish(mut self) {
        let mut guard = 0;
        while !(self.waiting.is_empty() && self.running.is_empty()) {
            self.run(&Step::Leave(0));
            self.run(&Step::Release(0));
            guard += 1;
            assert!(guard < 1000, "it does not end");
        }
        self.now += Duration::from_hours(1);
        self.schedule.advance(self.now);
        let view = self.schedule.view(self.now);
        assert_eq!(view.lanes.map(|lane| lane.tenants), [0, 0], "tenants without work or debt are remembered");
        let tallies: BTreeMap<_, _> = view.lanes.iter().map(|lane| (lane.lane, lane.tally)).collect();
        for tally in tallies.values() {
            let ended = tally.granted
                + tally.refused
                + tally.superseded
                + tally.expired
                + tally.closed
                + tally.shed
                + tally.displaced
                + tally.left;
            assert_eq!(tally.asked, ended, "{tally:?}");
        }
    }
}

fn check(cases: u32, steps_max: usize) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let schedules = prop::collection::vec(step(), 1..steps_max);
    let outcome = runner.run(&schedules, |steps| {
        let mut model = Model::new();
        for step in &steps {
            model.run(step);
        }
        model.finish();
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn every_step_of_a_random_schedule_keeps_the_rules() {
    check(256, 80);
}

/// A hundred thousand schedules in all.
mod slow {
    #[test]
    #[ignore = "slow: sixty thousand schedules"]
    fn every_step_of_many_short_schedules_keeps_the_rules() {
        super::check(60_000, 20);
    }

    #[test]
    #[ignore = "slow: thirty thousand schedules"]
    fn every_step_of_many_schedules_keeps_the_rules() {
        super::check(30_000, 80);
    }

    #[test]
    #[ignore = "slow: ten thousand long schedules"]
    fn every_step_of_many_long_schedules_keeps_the_rules() {
        super::check(10_000, 200);
    }
}
