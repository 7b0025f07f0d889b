//! The line for slots: against a naive model, by its fairness without a clock, and before a real node.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::line::{Line, Turn};
use super::*;
use crate::seats::Lane;

/// A set of nodes, as bits: who waits in it may go to any of them.
type Kind = u8;

/// Nodes with so many free slots each, and the line before them.
struct Floor {
    line: Line<Kind>,
    /// Who waits, as a list beside the line's own books.
    waiting: BTreeMap<u64, (usize, Lane, Kind)>,
    free: Vec<u32>,
    levels: Vec<[u128; 2]>,
    running: Vec<(usize, usize, Turn, Duration)>,
    now: Duration,
}

impl Floor {
    fn new(slots: &[u32]) -> Self {
        Self {
            line: Line::new(),
            waiting: BTreeMap::new(),
            free: slots.to_vec(),
            levels: vec![[0; 2]; slots.len()],
            running: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn free_node(&self, kind: Kind) -> Option<usize> {
        (0..self.free.len()).find(|node| kind & (1 << node) != 0 && self.free[*node] > 0)
    }

    fn join(&mut self, app: usize, lane: Lane, kind: Kind) -> u64 {
        let nodes = (0..self.free.len()).filter(|node| kind & (1 << node) != 0);
        let level = nodes.map(|node| self.levels[node][lane as usize]).max().unwrap_or(0);
        let ticket = self.line.join(&Arc::from(format!("app-{app}")), lane, kind, level);
        self.waiting.insert(ticket, (app, lane, kind));
        ticket
    }

    fn leave(&mut self, ticket: u64) {
        assert_eq!(self.line.leave(ticket, self.now), self.waiting.remove(&ticket).is_some());
    }

    /// Gives out what is free: who got it, in order.
    fn serve(&mut self) -> Vec<(u64, usize, Lane)> {
        let mut served = Vec::new();
        loop {
            let free: Vec<bool> = (0..=Kind::MAX).map(|kind| self.free_node(kind).is_some()).collect();
            let Some(turn) = self.line.next(|kind| free[usize::from(*kind)]) else { return served };
            let (app, lane, kind) = self.waiting.remove(&turn.ticket).expect("who is served has waited");
            assert_eq!(lane, turn.lane);
            let node = self.free_node(kind).expect("who is served can be");
            self.free[node] -= 1;
            self.levels[node][lane as usize] = turn.level();
            served.push((turn.ticket, app, lane));
            self.running.push((node, app, turn, self.now));
        }
    }

    /// One that runs ends, after so long.
    fn end(&mut self, at: usize, held: Duration) -> usize {
        let (node, app, turn, _) = self.running.remove(at);
        self.free[node] += 1;
        self.line.settle(&turn, held, self.now);
        app
    }

    /// Runs the floor for so long, in steps: `cost` says how long an app's solve takes, and each app of `apps` always
    /// waits with a few. Slot-milliseconds by app.
    fn saturate(
        &mut self,
        apps: &[(usize, Lane, Kind)],
        cost: impl Fn(usize) -> u64,
        span_ms: u64,
    ) -> HashMap<usize, u64> {
        const STEP: u64 = 10;
        let mut used = HashMap::new();
        for _ in 0..span_ms / STEP {
            for (app, lane, kind) in apps {
                while self.waiting.values().filter(|waiter| waiter.0 == *app).count() < 3 {
                    self.join(*app, *lane, *kind);
                }
            }
            self.serve();
            self.now += Duration::from_millis(STEP);
            for at in (0..self.running.len()).rev() {
                let (_, app, _, since) = self.running[at];
                *used.entry(app).or_default() += STEP;
                let held = self.now.saturating_sub(since);
                if held >= Duration::from_millis(cost(app)) {
                    self.end(at, held);
                }
            }
        }
        used
    }
}

/// The rule said as plainly as it can be, for solves that all take a second: no estimate is ever off.
struct Model {
    waiting: Vec<(u64, usize, Lane, Kind)>,
    used: HashMap<(usize, usize), u32>,
    /// In thirds of seconds.
    lanes: [u32; 2],
}

impl Model {
    /// Of those who can be served: the one of the app that has used least; among equal ones that of the app whose first
    /// has waited longest.
    fn first(&self, lane: Lane, may: impl Fn(Kind) -> bool) -> Option<u64> {
        let used = |app: usize| self.used.get(&(lane as usize, app)).copied().unwrap_or(0);
        let since = |app: usize| self.waiting.iter().position(|(_, other, of, _)| (*other, *of) == (app, lane));
        let able = self.waiting.iter().filter(|(_, _, of, kind)| *of == lane && may(*kind));
        able.min_by_key(|(ticket, app, ..)| (used(*app), since(*app), *ticket)).map(|(ticket, ..)| *ticket)
    }

    fn next(&mut self, may: impl Fn(Kind) -> bool) -> Option<u64> {
        let ticket = match (self.first(Lane::Preview, &may), self.first(Lane::Batch, &may)) {
            (Some(_), Some(batch)) if self.lanes[1] < self.lanes[0] => {
                self.lanes[1] += 3;
                batch
            }
            (Some(preview), Some(_)) => {
                self.lanes[0] += 1;
                preview
            }
            (only, None) | (None, only) => only?,
        };
        let at = self.waiting.iter().position(|(other, ..)| *other == ticket)?;
        let (_, app, lane, _) = self.waiting.remove(at);
        *self.used.entry((lane as usize, app)).or_default() += 1;
        Some(ticket)
    }
}

fn lanes() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Preview), Just(Lane::Batch)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_line_serves_whom_the_naive_model_serves(
        slots in prop::collection::vec(1..3u32, 1..4),
        waiters in prop::collection::vec((0..4usize, lanes(), 1..8u8), 1..40),
        moves in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..80),
    ) {
        let mut floor = Floor::new(&slots);
        let mut model = Model { waiting: Vec::new(), used: HashMap::new(), lanes: [0; 2] };
        for (app, lane, kind) in waiters {
            model.waiting.push((floor.join(app, lane, kind), app, lane, kind));
        }
        for (ends, index) in moves {
            let mut free = floor.free.clone();
            for (ticket, ..) in floor.serve() {
                let node = |kind: Kind| (0..free.len()).find(|node| kind & (1 << node) != 0 && free[*node] > 0);
                let kinds: HashMap<u64, Kind> = model.waiting.iter().map(|(ticket, _, _, kind)| (*ticket, *kind)).collect();
                prop_assert_eq!(Some(ticket), model.next(|kind| node(kind).is_some()));
                let node = node(kinds[&ticket]).unwrap();
                free[node] -= 1;
            }
            // Nobody waits who could be served.
            prop_assert!(floor.waiting.values().all(|(.., kind)| floor.free_node(*kind).is_none()));
            prop_assert_eq!(floor.line.waiting(), floor.waiting.len());
            if ends && !floor.running.is_empty() {
                let at = index.index(floor.running.len());
                floor.end(at, Duration::from_secs(1));
            } else if !ends && !floor.waiting.is_empty() {
                let ticket = *floor.waiting.keys().nth(index.index(floor.waiting.len())).unwrap();
                // An app that stops waiting and comes back is another matter, which has its own test.
                floor.leave(ticket);
                model.waiting.retain(|(other, ..)| *other != ticket);
            }
        }
    }

    #[test]
    fn apps_that_wait_for_the_same_nodes_get_as_many_turns_to_within_those_under_way(
        slots in prop::collection::vec(1..3u32, 1..4),
        kinds in prop::collection::vec(1..8u8, 2..5),
        moves in prop::collection::vec((0..4u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let mut floor = Floor::new(&slots);
        // Turns of an app since it and another have both been waiting.
        let mut since: BTreeMap<(usize, usize), (u32, u32)> = BTreeMap::new();
        let mut books = (0, 0, 0);
        for (step, index) in moves {
            floor.now += Duration::from_millis(100);
            match step {
                0 | 1 => {
                    let app = index.index(kinds.len());
                    floor.join(app, Lane::Preview, kinds[app]);
                    books.0 += 1;
                }
                2 if !floor.running.is_empty() => drop(floor.end(index.index(floor.running.len()), Duration::from_secs(1))),
                3 if !floor.waiting.is_empty() => {
                    let ticket = *floor.waiting.keys().nth(index.index(floor.waiting.len())).unwrap();
                    floor.leave(ticket);
                    books.1 += 1;
                }
                _ => {}
            }
            let waits = |floor: &Floor, app: usize| floor.waiting.values().any(|(other, ..)| *other == app);
            for (_, app, _) in floor.serve() {
                books.2 += 1;
                for ((a, b), turns) in &mut since {
                    turns.0 += u32::from(*a == app);
                    turns.1 += u32::from(*b == app);
                }
            }
            for a in 0..kinds.len() {
                for b in a + 1..kinds.len() {
                    if kinds[a] == kinds[b] && waits(&floor, a) && waits(&floor, b) {
                        let (a_turns, b_turns) = *since.entry((a, b)).or_default();
                        // What runs is charged at its start, and a newcomer is level with what was measured.
                        prop_assert!(a_turns.abs_diff(b_turns) <= 1 + slots.iter().sum::<u32>(), "{a}: {a_turns}, {b}: {b_turns}");
                    } else {
                        since.remove(&(a, b));
                    }
                }
            }
            prop_assert!(floor.waiting.values().all(|(.., kind)| floor.free_node(*kind).is_none()));
            // Who joined waits, has left, or was served.
            prop_assert_eq!(books.0, floor.waiting.len() + books.1 + books.2);
        }
    }
}

#[test]
fn apps_share_slots_by_how_long_they_hold_them_and_not_by_how_often() {
    let mut floor = Floor::new(&[2]);
    let apps = [(0, Lane::Preview, 1), (1, Lane::Preview, 1), (2, Lane::Preview, 1)];
    let used = floor.saturate(&apps, |app| [100, 300, 900][app], 60_000);
    let shares = [used[&0], used[&1], used[&2]];
    // A third of 120 slot-seconds each, to within a solve or two of the longest.
    assert!(shares.iter().all(|share| share.abs_diff(40_000) <= 1_800), "{shares:?}");
}

#[test]
fn batch_keeps_a_fourth_where_previews_would_take_all() {
    let mut floor = Floor::new(&[1]);
    let used = floor.saturate(&[(0, Lane::Preview, 1), (1, Lane::Batch, 1)], |_| 100, 40_000);
    assert!(used[&1].abs_diff(10_000) <= 200, "{used:?}");
    // Alone it has everything, and saves up nothing by that.
    let used = floor.saturate(&[(1, Lane::Batch, 1)], |_| 100, 10_000);
    assert!(used[&1] >= 9_500, "{used:?}");
    let used = floor.saturate(&[(0, Lane::Preview, 1), (1, Lane::Batch, 1)], |_| 100, 40_000);
    assert!(used[&1].abs_diff(10_000) <= 400, "{used:?}");
}

#[test]
fn an_app_whose_node_is_busy_holds_up_nobody_and_keeps_its_turn() {
    let mut floor = Floor::new(&[1, 1]);
    // The first may go to one node only, which the second takes for long.
    floor.join(1, Lane::Preview, 0b01);
    assert_eq!(floor.serve().len(), 1);
    floor.join(0, Lane::Preview, 0b01);
    for _ in 0..5 {
        floor.join(1, Lane::Preview, 0b11);
        assert_eq!(floor.serve().iter().map(|(_, app, _)| *app).collect::<Vec<_>>(), [1], "the other node is free");
        let at = floor.running.iter().position(|(node, ..)| *node == 1).unwrap();
        floor.end(at, Duration::from_secs(1));
    }
    floor.join(1, Lane::Preview, 0b01);
    floor.end(0, Duration::from_secs(10));
    assert_eq!(floor.serve().iter().map(|(_, app, _)| *app).collect::<Vec<_>>(), [0], "it has used nothing yet");
}

#[test]
fn an_app_that_was_away_has_saved_up_nothing() {
    let mut floor = Floor::new(&[1]);
    floor.saturate(&[(0, Lane::Preview, 1)], |_| 100, 10_000);
    let used = floor.saturate(&[(0, Lane::Preview, 1), (1, Lane::Preview, 1)], |_| 100, 10_000);
    assert!(used[&0].abs_diff(used[&1]) <= 400, "{used:?}");
}

// === before a real node ===

#[tokio::test]
async fn an_app_with_one_solve_does_not_wait_behind_all_of_another_apps() {
    let contract = yieldcheck();
    let bench = Bench::ready(one_child(Profile::V017), &contract).await;
    let first = bench.nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let wait = |app: &'static str, lane: Lane| {
        let (nodes, contract) = (bench.nodes.on_behalf(&app.into(), lane), Arc::clone(&contract));
        let order = Arc::clone(&order);
        tokio::spawn(async move {
            let slot = nodes.acquire(&contract, Instant::now() + LONG).await.unwrap();
            order.lock().unwrap().push(app);
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(slot);
        })
    };
    let mut waits = Vec::new();
    for (app, lane, all) in [("heavy", Lane::Batch, 6), ("light", Lane::Batch, 7), ("preview", Lane::Preview, 8)] {
        while bench.nodes.waiting().iter().sum::<usize>() < all {
            let before = bench.nodes.waiting();
            waits.push(wait(app, lane));
            bench.until("in line", |bench| bench.nodes.waiting() != before).await;
        }
    }
    assert_eq!(bench.nodes.waiting(), [1, 7]);
    drop(first);
    for wait in waits {
        wait.await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    let place = |app| order.iter().position(|other| *other == app).unwrap();
    assert_eq!(place("preview"), 0, "{order:?}");
    assert!(place("light") <= 2, "{order:?}");
    assert_eq!(bench.nodes.waiting(), [0, 0]);
    bench.end().await;
}
