//! Who gets how much: simulated tenants that keep a line full, in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use super::{
    super::{Answer, Ask, Caps, Fate, Lane, Schedule, Ticket, Why},
    FOREVER, ask, granted, queued,
};

/// A tenant that always has `callers` asks open, each held for `service` once granted.
struct Demand {
    name: &'static str,
    lane: Lane,
    weight: u32,
    callers: usize,
    service: Duration,
    /// Between an answer and the caller's next ask.
    pause: Duration,
}

#[derive(Clone, Debug, Default)]
struct Got {
    seconds: f64,
    waits: Vec<Duration>,
}

impl Demand {
    fn new(name: &'static str, callers: usize, service_ms: u64) -> Self {
        let service = Duration::from_millis(service_ms);
        Self { name, lane: Lane::Preview, weight: 1, callers, service, pause: Duration::ZERO }
    }

    fn ask(&self) -> Ask {
        Ask { weight: NonZeroU32::new(self.weight).unwrap(), ..ask(self.name, self.lane) }
    }
}

/// Closed-loop callers against a schedule for `span` of virtual time.
fn simulate(caps: Caps, demands: &[Demand], span: Duration) -> Vec<Got> {
    let mut schedule = Schedule::new(caps);
    let mut got = vec![Got::default(); demands.len()];
    let mut waiting: BTreeMap<Ticket, (usize, Duration)> = BTreeMap::new();
    // What comes next: an ask of a tenant, or the end of a solve.
    let mut events: BTreeSet<(Duration, usize, Option<Ticket>, usize)> = BTreeSet::new();
    for (tenant, demand) in demands.iter().enumerate() {
        events.extend((0..demand.callers).map(|caller| (Duration::ZERO, tenant, None, caller)));
    }
    while let Some((now, tenant, ends, caller)) = events.pop_first().filter(|(now, ..)| *now < span) {
        match ends {
            Some(ticket) => {
                assert!(schedule.release(ticket, now));
                got[tenant].seconds += demands[tenant].service.as_secs_f64();
                events.insert((now + demands[tenant].pause, tenant, None, caller));
            }
            None => match schedule.ask(demands[tenant].ask(), FOREVER, now) {
                Answer::Granted(ticket) => {
                    got[tenant].waits.push(Duration::ZERO);
                    events.insert((now + demands[tenant].service, tenant, Some(ticket), caller));
                }
                Answer::Queued(ticket, _) => {
                    waiting.insert(ticket, (tenant, now));
                }
                Answer::Refused(refusal) => panic!("{refusal:?}"),
            },
        }
        for (ticket, fate) in schedule.fates() {
            assert_eq!(fate, Fate::Granted);
            let (tenant, since) = waiting.remove(&ticket).unwrap();
            got[tenant].waits.push(now.saturating_sub(since));
            // The order of callers within a tenant is of no matter, so each keeps its ticket's number as its own.
            events.insert((now + demands[tenant].service, tenant, Some(ticket), waiting.len()));
        }
    }
    got
}

fn wide(total: u32, preview: u32, batch: u32) -> Caps {
    let mut caps = Caps::new(total, preview, batch);
    for lane in [&mut caps.preview, &mut caps.batch] {
        (lane.depth, lane.wait) = (1_000_000, FOREVER);
    }
    caps
}

const SPAN: Duration = Duration::from_secs(2000);

#[test]
fn two_saturating_tenants_get_equal_seat_seconds_though_one_asks_twenty_times_as_much() {
    for (seats, service) in [(1, 100), (2, 100), (4, 100), (2, 2000), (2, 5)] {
        let got =
            simulate(wide(seats, seats, 0), &[Demand::new("heavy", 160, service), Demand::new("light", 8, 100)], SPAN);
        let ratio = got[0].seconds / got[1].seconds;
        assert!((0.95..=1.05).contains(&ratio), "{seats} seats, {service} ms: {ratio}");
    }
}

#[test]
fn three_equal_tenants_share_equally() {
    let got = simulate(wide(2, 2, 0), &["a", "b", "c"].map(|name| Demand::new(name, 10, 70)), SPAN);
    let sum: f64 = got.iter().map(|got| got.seconds).sum();
    let squares: f64 = got.iter().map(|got| got.seconds * got.seconds).sum();
    let jain = sum * sum / (3.0 * squares);
    assert!(jain >= 0.98, "Jain {jain}");
    assert!(sum >= 0.99 * 2.0 * SPAN.as_secs_f64(), "seats were idle: {sum}");
}

#[test]
fn o8_shares_follow_weights() {
    let heavier = Demand { weight: 3, ..Demand::new("heavier", 12, 90) };
    let got = simulate(wide(2, 2, 0), &[heavier, Demand::new("other", 12, 90)], SPAN);
    let ratio = got[0].seconds / got[1].seconds;
    assert!((2.7..=3.3).contains(&ratio), "{ratio}");
}

#[test]
fn a_light_tenant_beside_a_heavy_one_waits_for_about_one_solve() {
    let light = Demand { pause: Duration::from_millis(37), ..Demand::new("light", 1, 20) };
    let got = simulate(wide(2, 2, 0), &[Demand::new("heavy", 15, 20), light], Duration::from_secs(200));
    let longest = got[1].waits.iter().max().unwrap();
    assert!(*longest <= Duration::from_millis(22), "waited {longest:?}");
    assert!(got[1].waits.len() > 2000, "{}", got[1].waits.len());
}

#[test]
fn time_away_saves_up_nothing() {
    let mut schedule = Schedule::new(wide(1, 1, 0));
    let mut now = Duration::ZERO;
    let mut held = granted(schedule.ask(ask("busy", Lane::Preview), FOREVER, now));
    for _ in 0..100 {
        queued(schedule.ask(ask("busy", Lane::Preview), FOREVER, now));
    }
    let mut order = Vec::new();
    let mut late = BTreeSet::new();
    for turn in 0..30 {
        if turn == 10 {
            late.extend((0..20).map(|_| queued(schedule.ask(ask("late", Lane::Preview), FOREVER, now))));
        }
        now += Duration::from_secs(1);
        schedule.release(held, now);
        held = schedule.fates()[0].0;
        order.push(late.contains(&held));
    }
    let of_late = order[10..].iter().filter(|late| **late).count();
    assert!((9..=11).contains(&of_late), "the late one got {of_late} of 20 turns: {order:?}");
}

#[test]
fn batch_keeps_its_floor_beside_previews_without_end() {
    for (total, preview, batch, part) in [(1, 1, 1, 0.5), (2, 2, 1, 1.0 / 3.0), (3, 2, 1, 1.0 / 3.0), (4, 4, 1, 0.2)] {
        let worker = Demand { lane: Lane::Batch, ..Demand::new("worker", 6, 900) };
        let got = simulate(wide(total, preview, batch), &[Demand::new("viewer", 40, 60), worker], SPAN);
        let share = got[1].seconds / (got[0].seconds + got[1].seconds);
        assert!((part - 0.03..=part + 0.03).contains(&share), "{total}/{preview}/{batch}: {share}");
    }
}

#[test]
fn a_preview_goes_before_the_batches_that_wait() {
    let mut schedule = Schedule::new(wide(1, 1, 1));
    let held = granted(schedule.ask(ask("worker", Lane::Batch), FOREVER, Duration::ZERO));
    for _ in 0..5 {
        queued(schedule.ask(ask("worker", Lane::Batch), FOREVER, Duration::ZERO));
    }
    let preview = queued(schedule.ask(ask("viewer", Lane::Preview), FOREVER, Duration::from_secs(1)));
    schedule.release(held, Duration::from_secs(2));
    assert_eq!(schedule.fates(), [(preview, Fate::Granted)]);
}

#[test]
fn a_newer_preview_of_a_session_takes_the_older_ones_place() {
    let mut schedule = Schedule::new(wide(1, 1, 0));
    let mine = || Ask { session: Some("tab".into()), ..ask("viewer", Lane::Preview) };
    let held = granted(schedule.ask(ask("viewer", Lane::Preview), FOREVER, Duration::ZERO));
    let older = queued(schedule.ask(mine(), FOREVER, Duration::ZERO));
    let behind = queued(schedule.ask(ask("viewer", Lane::Preview), FOREVER, Duration::ZERO));
    let newer = queued(schedule.ask(mine(), FOREVER, Duration::from_secs(1)));
    assert_eq!(schedule.fates(), [(older, Fate::Superseded)]);
    assert_eq!(schedule.view(Duration::from_secs(2)).lanes[0].oldest_wait, Some(Duration::from_secs(2)));
    schedule.release(held, Duration::from_secs(3));
    assert_eq!(schedule.fates(), [(newer, Fate::Granted)]);
    let latest = queued(schedule.ask(mine(), FOREVER, Duration::from_secs(3)));
    assert_eq!(schedule.fates(), [], "one that runs is not superseded");
    schedule.release(newer, Duration::from_secs(4));
    schedule.release(behind, Duration::from_secs(5));
    assert_eq!(schedule.fates(), [(behind, Fate::Granted), (latest, Fate::Granted)]);
}

#[test]
fn lower_caps_converge_by_attrition_and_higher_ones_grant_at_once() {
    let mut schedule = Schedule::new(wide(4, 4, 0));
    let now = Duration::ZERO;
    let held: Vec<_> = (0..4).map(|_| granted(schedule.ask(ask("a", Lane::Preview), FOREVER, now))).collect();
    let waits: Vec<_> = (0..6).map(|_| queued(schedule.ask(ask("a", Lane::Preview), FOREVER, now))).collect();
    schedule.set_caps(wide(2, 2, 0), now);
    assert_eq!((schedule.view(now).in_use, schedule.view(now).limit), (4, 2));
    schedule.release(held[0], now);
    schedule.release(held[1], now);
    assert_eq!(schedule.fates(), [], "nothing starts above the cap");
    schedule.release(held[2], now);
    assert_eq!(schedule.fates(), [(waits[0], Fate::Granted)]);
    schedule.set_caps(wide(5, 5, 0), now);
    assert_eq!(schedule.fates(), [1, 2, 3].map(|at| (waits[at], Fate::Granted)));
    schedule.set_caps(Caps::CLOSED, now);
    assert_eq!(schedule.fates(), [4, 5].map(|at| (waits[at], Fate::Closed)));
    assert_eq!((schedule.view(now).in_use, schedule.is_over()), (5, false));
}

#[test]
fn a_refusal_tells_the_wait_from_the_queue_as_it_is() {
    let mut caps = wide(2, 2, 0);
    caps.preview.depth = 4;
    let mut schedule = Schedule::new(caps);
    let mut now = Duration::ZERO;
    let first = granted(schedule.ask(ask("a", Lane::Preview), FOREVER, now));
    now += Duration::from_secs(3);
    schedule.release(first, now);
    for _ in 0..2 {
        granted(schedule.ask(ask("a", Lane::Preview), FOREVER, now));
    }
    for _ in 0..4 {
        queued(schedule.ask(ask("a", Lane::Preview), FOREVER, now));
    }
    let Answer::Refused(refusal) = schedule.ask(ask("a", Lane::Preview), FOREVER, now) else { panic!("not refused") };
    // Four before it and its own turn, 3 s each, two at a time.
    assert_eq!(refusal.retry_after, Duration::from_millis(7500));
    let soon = now + Duration::from_secs(2);
    caps.preview.depth = 100;
    schedule.set_caps(caps, now);
    let Answer::Refused(refusal) = schedule.ask(ask("a", Lane::Preview), soon, now) else { panic!("not refused") };
    assert_eq!(refusal.why, Why::WaitTooLong);
}

#[test]
fn a_newer_preview_is_not_refused_for_the_wait_behind_its_own_session() {
    let mut schedule = Schedule::new(wide(1, 1, 0));
    let mine = || Ask { session: Some("tab".into()), ..ask("viewer", Lane::Preview) };
    let first = granted(schedule.ask(ask("viewer", Lane::Preview), FOREVER, Duration::ZERO));
    let now = Duration::from_secs(1);
    schedule.release(first, now);
    granted(schedule.ask(ask("viewer", Lane::Preview), FOREVER, now));
    queued(schedule.ask(mine(), now + Duration::from_millis(1500), now));
    queued(schedule.ask(ask("viewer", Lane::Preview), FOREVER, now));
    queued(schedule.ask(ask("viewer", Lane::Preview), FOREVER, now));
    queued(schedule.ask(mine(), now + Duration::from_millis(1500), now));
}

/// One seat that is taken, and a line of so many places.
fn line(lane: Lane, depth: u32) -> Schedule {
    let mut caps = wide(1, 1, 1);
    (caps.preview.depth, caps.batch.depth) = (depth, depth);
    let mut schedule = Schedule::new(caps);
    granted(schedule.ask(ask("first", lane), FOREVER, Duration::ZERO));
    schedule
}

#[test]
fn o7_a_tenant_that_fills_the_line_makes_room_for_others_down_to_its_part_of_it() {
    for lane in Lane::ALL {
        let mut schedule = line(lane, 6);
        let mut many: Vec<_> =
            (0..6).map(|_| queued(schedule.ask(ask("many", lane), FOREVER, Duration::ZERO))).collect();
        let refused = schedule.ask(ask("many", lane), FOREVER, Duration::ZERO);
        assert!(matches!(refused, Answer::Refused(refusal) if refusal.why == Why::QueueFull), "{refused:?}");
        for _ in 0..3 {
            queued(schedule.ask(ask("few", lane), FOREVER, Duration::ZERO));
            assert_eq!(schedule.fates(), [(many.pop().unwrap(), Fate::Displaced)], "its latest goes");
        }
        for tenant in ["few", "many"] {
            let refused = schedule.ask(ask(tenant, lane), FOREVER, Duration::ZERO);
            assert!(
                matches!(refused, Answer::Refused(refusal) if refusal.why == Why::QueueFull),
                "{tenant}: {refused:?}"
            );
        }
        // A third gets its two of six, and nobody is pushed below two.
        for _ in 0..2 {
            queued(schedule.ask(ask("third", lane), FOREVER, Duration::ZERO));
        }
        assert!(matches!(schedule.ask(ask("third", lane), FOREVER, Duration::ZERO), Answer::Refused(_)));
        let view = schedule.view(Duration::ZERO).lanes[lane as usize];
        assert_eq!((view.queued, view.tally.displaced), (6, 5));
    }
}

#[test]
fn o7_places_in_line_are_shared_by_weight() {
    let heavier = || Ask { weight: NonZeroU32::new(3).unwrap(), ..ask("heavier", Lane::Batch) };
    let mut schedule = line(Lane::Batch, 8);
    for _ in 0..8 {
        queued(schedule.ask(ask("other", Lane::Batch), FOREVER, Duration::ZERO));
    }
    let places = (0..8).filter(|_| matches!(schedule.ask(heavier(), FOREVER, Duration::ZERO), Answer::Queued(..)));
    assert_eq!(places.count(), 6);
}

#[test]
fn o7_whoever_could_not_be_served_in_time_takes_no_place_from_another() {
    let mut schedule = line(Lane::Batch, 2);
    for _ in 0..2 {
        queued(schedule.ask(ask("many", Lane::Batch), FOREVER, Duration::ZERO));
    }
    let refused = schedule.ask(ask("few", Lane::Batch), Duration::ZERO, Duration::ZERO);
    assert!(matches!(refused, Answer::Refused(refusal) if refusal.why == Why::WaitTooLong), "{refused:?}");
    assert_eq!(schedule.fates(), []);
}
