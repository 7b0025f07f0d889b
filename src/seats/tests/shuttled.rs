//! The shell's own source over a model checker's locks: lost wake-ups and leaks in random interleavings.
//!
//! Time is a counter that every look moves on. A sleeper yields until its time has come; one with an hour to go never
//! wakes, so that a waiter whose wake-up is lost hangs, which the checker reports.

mod rt {
    pub(super) use shuttle::sync::{Arc, Mutex, MutexGuard, RwLock};
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };

    pub(super) type Instant = Duration;

    static CLOCK: AtomicU64 = AtomicU64::new(0);

    pub(super) fn now() -> Instant {
        Duration::from_millis(CLOCK.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn between(start: Instant, end: Instant) -> Duration {
        end.saturating_sub(start)
    }

    pub(super) async fn sleep_until(end: Instant) {
        if between(now(), end) > Duration::from_mins(1) {
            std::future::pending::<()>().await;
        }
        while now() < end {
            shuttle::future::yield_now().await;
        }
    }
}

use super::super::{caps, outcome, schedule};

#[path = "../handle.rs"]
#[expect(clippy::duplicate_mod, reason = "the same source, over other locks")]
#[expect(unreachable_pub, dead_code, reason = "what is public at its own place is not here")]
mod handle;

use std::time::Duration;

use shuttle::{
    future::{block_on, spawn, yield_now},
    rand::{Rng, thread_rng},
};

use super::{
    super::{Ask, Caps, Lane},
    ask,
};
use handle::Seats;

const HOUR: Duration = Duration::from_hours(1);

fn caps(total: u32, preview: u32, batch: u32) -> Caps {
    let mut caps = Caps::new(total, preview, batch);
    (caps.preview.wait, caps.batch.wait) = (HOUR, HOUR);
    caps
}

async fn caller(seats: Seats, number: u32) {
    let lane = if number.is_multiple_of(3) { Lane::Batch } else { Lane::Preview };
    let session = (number.is_multiple_of(2)).then(|| "tab".into());
    let asks = Ask { session, ..ask(if number < 3 { "a" } else { "b" }, lane) };
    let patience = if thread_rng().gen_bool(0.3) { Duration::from_millis(5) } else { HOUR };
    let acquire = seats.acquire("app", asks, rt::now() + patience);
    // Some callers vanish after a few polls, whatever they wait for.
    let vanish = async {
        if thread_rng().gen_bool(0.3) {
            for _ in 0..thread_rng().gen_range(0..4) {
                yield_now().await;
            }
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        seat = acquire => if seat.is_ok() { yield_now().await },
        () = vanish => {}
    }
}

/// Random callers and a reload; every one of them ends, and nothing is left. A lost wake-up is a deadlock here.
fn crowd() {
    let seats = Seats::new();
    seats.set_caps("app", caps(2, 1, 1));
    let mut tasks: Vec<_> = (0..5).map(|number| spawn(caller(seats.clone(), number))).collect();
    let reload = seats.clone();
    tasks.push(spawn(async move {
        yield_now().await;
        reload.set_caps("app", caps(1, 1, 1));
        yield_now().await;
        reload.set_caps("app", caps(3, 2, 1));
    }));
    block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let view = seats.view("app").unwrap();
    assert_eq!((view.in_use, view.lanes[0].queued, view.lanes[1].queued), (0, 0, 0));
    let ended = |tally: outcome::Tally| {
        tally.granted + tally.refused + tally.superseded + tally.expired + tally.closed + tally.displaced + tally.left
    };
    view.lanes.iter().for_each(|lane| assert_eq!(lane.tally.asked, ended(lane.tally)));
}

/// Nobody is impatient and nobody's timer helps: only the wake-up of a release can let the next one in.
fn relay() {
    let seats = Seats::new();
    seats.set_caps("app", caps(1, 1, 0));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let seats = seats.clone();
            shuttle::thread::spawn(move || {
                let _seat = block_on(seats.acquire("app", ask("a", Lane::Preview), rt::now() + HOUR)).unwrap();
                assert_eq!(seats.view("app").unwrap().in_use, 1);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(seats.view("app").unwrap().in_use, 0);
}

#[test]
fn no_interleaving_loses_a_wake_up_or_a_seat() {
    shuttle::check_random(crowd, 10_000);
}

#[test]
fn a_release_always_wakes_the_next() {
    shuttle::check_random(relay, 2_000);
}

mod slow {
    #[test]
    #[ignore = "slow: a hundred thousand interleavings, a tenth of them in a build that is not optimised"]
    fn no_interleaving_of_a_hundred_thousand_loses_a_wake_up_or_a_seat() {
        let schedules = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
        shuttle::check_random(super::crowd, schedules);
    }
}
