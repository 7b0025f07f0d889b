//! The shell on a paused clock: waits, ends of waits, departures, changes under load.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    super::{Ask, Caps, Lane, Seats, Why},
    ask,
};

fn seats(total: u32, preview: u32, batch: u32) -> Seats {
    let seats = Seats::new();
    seats.set_caps("app", Caps::new(total, preview, batch));
    seats
}

fn preview() -> Ask {
    ask("tenant", Lane::Preview)
}

fn after(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_released_seat_goes_to_the_one_who_waits() {
    let seats = seats(1, 1, 0);
    let held = seats.acquire("app", preview(), after(100)).await.unwrap();
    let waiter = tokio::spawn({
        let seats = seats.clone();
        async move { seats.acquire("app", preview(), after(1000)).await.map(|_| Instant::now()) }
    });
    pause(50).await;
    drop(held);
    let freed = Instant::now();
    assert_eq!(waiter.await.unwrap().unwrap(), freed);
    assert_eq!(seats.view("app").unwrap().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_time_and_says_when_to_come_back() {
    let seats = seats(1, 1, 0);
    drop(seats.acquire("app", preview(), after(100)).await.unwrap());
    let _held = seats.acquire("app", preview(), after(100)).await.unwrap();
    let start = Instant::now();
    let refusal = seats.acquire("app", preview(), after(80)).await.unwrap_err();
    assert_eq!(refusal.why, Why::Expired);
    assert!((80..=82).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let view = seats.view("app").unwrap();
    assert_eq!((view.lanes[0].queued, view.lanes[0].tally.expired), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn callers_that_vanish_leave_nothing_behind() {
    for seed in 0..20_u64 {
        let seats = seats(3, 2, 1);
        let mut callers = JoinSet::new();
        for caller in 0..1000_u64 {
            let seats = seats.clone();
            let dice = (caller + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed) >> 20;
            callers.spawn(async move {
                let lane = if dice % 3 == 0 { Lane::Batch } else { Lane::Preview };
                let tenant = Arc::from(format!("tenant {}", dice % 7));
                pause(dice % 97).await;
                let work = async {
                    if let Ok(_seat) = seats.acquire("app", Ask { tenant, ..ask("", lane) }, after(500)).await {
                        pause(dice % 23).await;
                    }
                };
                let _ = tokio::time::timeout(Duration::from_millis(dice % 61), work).await;
            });
            if caller % 4 == 0 {
                tokio::task::yield_now().await;
            }
        }
        while callers.join_next().await.is_some() {}
        let view = seats.view("app").unwrap();
        assert_eq!((view.in_use, view.lanes[0].queued, view.lanes[1].queued), (0, 0, 0), "seed {seed}");
        let asked: u64 = view.lanes.iter().map(|lane| lane.tally.asked).sum();
        assert_eq!(asked, 1000, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_preview_ends_the_wait_of_the_older() {
    let seats = seats(1, 1, 0);
    let _held = seats.acquire("app", preview(), after(100)).await.unwrap();
    let mine = || Ask { session: Some("tab".into()), ..preview() };
    let (older, newer) = tokio::join!(seats.acquire("app", mine(), after(50)), seats.acquire("app", mine(), after(50)));
    assert_eq!(older.unwrap_err().why, Why::Superseded);
    assert_eq!(newer.unwrap_err().why, Why::Expired);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_removed_lets_its_seats_finish_and_comes_back_with_them_counted() {
    let seats = seats(1, 1, 0);
    let held = seats.acquire("app", preview(), after(100)).await.unwrap();
    let (waits, ()) = tokio::join!(seats.acquire("app", preview(), after(1000)), async { seats.remove("app") });
    assert_eq!(waits.unwrap_err().why, Why::NoSuchApp);
    assert_eq!(seats.acquire("app", preview(), after(10)).await.unwrap_err().why, Why::NoSuchApp);
    assert_eq!(seats.view("app").unwrap().in_use, 1);
    seats.set_caps("app", Caps::new(1, 1, 0));
    assert_eq!(seats.acquire("app", preview(), after(10)).await.unwrap_err().why, Why::Expired);
    drop(held);
    drop(seats.acquire("app", preview(), after(10)).await.unwrap());
    seats.remove("app");
    assert_eq!((seats.view("app"), seats.views().len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn two_seats_and_sixteen_callers_are_never_idle() {
    let seats = seats(2, 2, 0);
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let seats = seats.clone();
        callers.spawn(async move {
            let mut solves = 0_u32;
            while let Ok(_seat) = seats.acquire("app", preview(), after(5000)).await {
                assert!(seats.view("app").unwrap().in_use <= 2);
                pause(20).await;
                solves += 1;
                if solves == 100 {
                    break;
                }
            }
            solves
        });
    }
    let start = Instant::now();
    let mut solves = 0;
    while let Some(done) = callers.join_next().await {
        solves += done.unwrap();
    }
    let rate = f64::from(solves) / start.elapsed().as_secs_f64();
    assert!(solves == 1600 && rate >= 99.0, "{solves} solves at {rate}/s");
}
