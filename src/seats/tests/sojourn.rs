//! Overload without a clock: callers come three times as fast as they can be served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{Answer, Caps, Fate, Lane, Schedule, Ticket};
use super::ask;

const SERVICE: Duration = Duration::from_millis(500);
const SPAN: Duration = Duration::from_mins(10);

/// What became of a tenant's asks.
#[derive(Debug, Default)]
struct Got {
    asked: usize,
    waits: Vec<Duration>,
}

impl Got {
    fn median(&mut self) -> Duration {
        self.waits.sort();
        self.waits[self.waits.len() / 2]
    }
}

/// A number from 0 up to 1 that follows from two others.
fn chance(seed: u64, number: u64) -> f64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
}

/// Moments of a Poisson process.
fn arrivals(seed: u64, per_second: f64) -> Vec<Duration> {
    let mut at = 0.0;
    let gaps = (0..).map(|number| -(1.0 - chance(seed, number) * 0.999_999).ln() / per_second);
    let times = gaps.map(|gap| {
        at += gap;
        Duration::from_secs_f64(at)
    });
    times.take_while(|at| *at < SPAN).collect()
}

/// Callers of a lane with one seat, each as patient as the lane allows. By tenant.
fn overload(lane: Lane, tenants: &[(&'static str, f64)]) -> Vec<Got> {
    let mut caps = Caps::new(1, 1, 1);
    // The same line for both lanes, so that only the order differs.
    caps.batch = caps.preview;
    let mut schedule = Schedule::new(caps);
    let mut got: Vec<Got> = tenants.iter().map(|_| Got::default()).collect();
    let mut events: BTreeSet<(Duration, usize, Option<Ticket>)> = BTreeSet::new();
    for (tenant, (_, rate)) in tenants.iter().enumerate() {
        events.extend(arrivals(tenant as u64 + 7, *rate).into_iter().map(|at| (at, tenant, None)));
    }
    let mut waiting: BTreeMap<Ticket, (usize, Duration, Duration)> = BTreeMap::new();
    while let Some((now, tenant, ends)) = events.pop_first() {
        let mut started = Vec::new();
        if let Some(ticket) = ends {
            assert!(schedule.release(ticket, now));
        } else {
            got[tenant].asked += 1;
            match schedule.ask(ask(tenants[tenant].0, lane), now + caps.preview.wait, now) {
                Answer::Granted(ticket) => started.push((ticket, tenant, now, now + caps.preview.wait)),
                Answer::Queued(ticket, until) => drop(waiting.insert(ticket, (tenant, now, until))),
                Answer::Refused(_) => {}
            }
        }
        for (ticket, fate) in schedule.fates() {
            let (tenant, since, until) = waiting.remove(&ticket).unwrap();
            if fate == Fate::Granted {
                started.push((ticket, tenant, since, until));
            }
        }
        for (ticket, tenant, since, until) in started {
            assert!(now < until, "started after its time");
            got[tenant].waits.push(now.saturating_sub(since));
            events.insert((now + SERVICE, tenant, Some(ticket)));
        }
    }
    let view = schedule.view(SPAN * 2);
    assert_eq!((view.in_use, view.lanes.map(|lane| lane.queued)), (0, [0, 0]));
    assert_eq!(view.lanes[1].tally.shed, 0, "batches are served in turn, however late");
    got
}

#[test]
fn o12_at_three_times_the_load_previews_wait_for_a_fourth_of_their_turn_at_most() {
    let mut previews = overload(Lane::Preview, &[("a", 6.0)]).remove(0);
    let mut in_turn = overload(Lane::Batch, &[("a", 6.0)]).remove(0);
    let (newest_first, first_first) = (previews.median(), in_turn.median());
    println!("median wait: {newest_first:?} newest first, {first_first:?} in turn");
    assert!(newest_first * 4 <= first_first, "{newest_first:?} newest first, {first_first:?} in turn");
    // Nothing is paid for it: the seat is as busy. At the end a full line is served that newest first has not kept.
    assert!(previews.waits.len() + 12 >= in_turn.waits.len(), "{} and {}", previews.waits.len(), in_turn.waits.len());
}

#[test]
fn o12_a_tenant_within_its_share_pays_nothing_for_anothers_overload() {
    let mut got = overload(Lane::Preview, &[("heavy", 6.0), ("light", 0.6)]);
    let light = &mut got[1];
    assert!(light.waits.len() * 100 >= light.asked * 95, "{} of {}", light.waits.len(), light.asked);
    assert!(light.median() <= SERVICE, "{:?}", light.median());
}

#[test]
fn o7_beside_a_neighbour_of_twenty_times_its_load_a_tenant_keeps_what_it_has_alone() {
    for lane in Lane::ALL {
        let served = |got: &Got| got.waits.len();
        let alone = served(&overload(lane, &[("light", 0.5)])[0]);
        // The seeds follow from the place, so the light tenant comes first here, too: the same moments.
        let got = overload(lane, &[("light", 0.5), ("heavy", 10.0)]);
        let [light, heavy] = [0, 1].map(|tenant| served(&got[tenant]));
        println!("{lane:?}: {light} of {alone} beside {heavy} of {}", got[1].asked);
        assert!(light * 100 >= alone * 95, "{lane:?}: {light} of {alone}");
        // The seat is never idle for it: two solves a second.
        assert!(light + heavy >= 1_180, "{lane:?}: {light} and {heavy}");
    }
}

#[test]
fn o12_a_line_that_moves_in_good_time_is_served_in_turn() {
    // Fifteen callers who come back at once, 20 ms each: 300 ms for a turn, of five seconds that the lane allows.
    let caps = Caps::new(1, 1, 1);
    let mut schedule = Schedule::new(caps);
    let mut line = std::collections::VecDeque::new();
    let mut now = Duration::ZERO;
    let ask_one = |schedule: &mut Schedule, now| schedule.ask(ask("a", Lane::Preview), now + caps.preview.wait, now);
    let Answer::Granted(mut running) = ask_one(&mut schedule, now) else { panic!("the first") };
    for _ in 0..14 {
        let Answer::Queued(ticket, _) = ask_one(&mut schedule, now) else { panic!("in line") };
        line.push_back(ticket);
    }
    for _ in 0..1000 {
        now += Duration::from_millis(20);
        schedule.release(running, now);
        running = line.pop_front().unwrap();
        assert_eq!(schedule.fates(), [(running, Fate::Granted)]);
        let Answer::Queued(ticket, _) = ask_one(&mut schedule, now) else { panic!("in line") };
        line.push_back(ticket);
    }
    assert_eq!(schedule.view(now).lanes[0].tally.shed, 0);
}
