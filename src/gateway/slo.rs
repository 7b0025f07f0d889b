//! How much of what each app's users are promised was kept, counted once where a solve's outcome is known.
//!
//! What is counted: a solve that was answered with outputs is good; one that failed by the gateway's or a node's fault is bad. One that
//! failed by its caller's own fault is neither, so that nobody spends an app's budget, or dilutes it, by sending nonsense or too much.
//! Of the answered ones, those within the lane's time are good for its latency; a caller that left after that time had waited in vain.
//!
//! Invariant: there are entries for apps of the registry and their promises only, each of at most 60 + 72 bins, so 2 KiB.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::policy::{Objective, Promise, Slo};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::stage::Lane;
use crate::registry::Snapshot;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// What the gateway itself remembers: as far back as the slowest alert looks. A budget of weeks is Prometheus' to tell.
const HOURS_KEPT: u64 = 72;
const MINUTES_KEPT: u64 = 60;

/// The counts of one gateway since its start. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Slos {
    began: Instant,
    apps: Arc<Mutex<BTreeMap<String, BTreeMap<Promise, Kept>>>>,
}

/// How a solve ended, as far as promises go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// By the gateway's or a node's fault.
    Failed,
    CallersFault,
    /// The caller left before its answer.
    CallerGone,
}

/// One promise and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub slo: Promise,
    /// The share that is promised.
    pub objective: f64,
    /// How long a good event may take, where the promise is about time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// None for jobs: their ends are counted by the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// What was counted over a window. Shares and burn rates are absent where nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// How far back this gateway's own memory goes: to its start, and 72 hours at most.
    pub window_sec: u64,
    pub events: u64,
    pub good: u64,
    pub share: Option<f64>,
    /// The part of the window's error budget that is left: 1 where nothing was bad, below 0 where the promise was broken.
    pub budget_left: Option<f64>,
    /// How many times as fast as the promise allows the budget was spent in the last five minutes, and the last hour.
    pub burn_5m: Option<f64>,
    pub burn_1h: Option<f64>,
}

/// What is counted of one promise.
#[derive(Debug)]
struct Kept {
    objective: Objective,
    /// Since the start, for Prometheus.
    all: Tally,
    minutes: Bins,
    hours: Bins,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub good: u64,
}

/// The latest bins that hold anything, oldest first.
#[derive(Debug)]
struct Bins {
    width: Duration,
    kept: u64,
    latest: VecDeque<(u64, Tally)>,
}

// === impl Slos ===

impl Default for Slos {
    fn default() -> Self {
        Self { began: Instant::now(), apps: Arc::default() }
    }
}

impl Slos {
    /// Counts for what this snapshot promises from now on, and for nothing else. Counts of what stays stay.
    pub fn apply(&self, snapshot: &Snapshot) {
        let slo_of = |app: &Arc<crate::registry::App>| app.policy.as_ref().map(|policy| policy.slo);
        self.promise(snapshot.apps.iter().filter_map(|(app_id, app)| Some((app_id.clone(), slo_of(app)?))));
    }

    fn promise(&self, promised: impl Iterator<Item = (String, Slo)>) {
        let mut apps = self.lock();
        let mut before = std::mem::take(&mut *apps);
        for (app_id, slo) in promised {
            let mut old = before.remove(&app_id).unwrap_or_default();
            let kept = slo.objectives().map(|objective| {
                let kept = old.remove(&objective.promise).map(|kept| Kept { objective, ..kept });
                (objective.promise, kept.unwrap_or_else(|| Kept::new(objective)))
            });
            apps.insert(app_id, kept.collect());
        }
    }

    /// A solve of the app has ended, under the promises of the snapshot that it was served from.
    pub fn ended(&self, app_id: &str, slo: &Slo, lane: Lane, fate: Fate, took: Duration) {
        let latency = match lane {
            Lane::Preview => Promise::PreviewLatency,
            Lane::Batch => Promise::BatchLatency,
        };
        let now = self.began.elapsed();
        let mut apps = self.lock();
        let Some(app) = apps.get_mut(app_id) else { return };
        for Objective { promise, within, .. } in slo.objectives() {
            let slow = within.is_some_and(|within| took > within);
            let good = match (fate, promise) {
                (Fate::Answered, Promise::Availability) => true,
                (Fate::Failed, Promise::Availability) => false,
                (Fate::Answered, promise) if promise == latency => !slow,
                (Fate::CallerGone, promise) if promise == latency && slow => false,
                _ => continue,
            };
            if let Some(kept) = app.get_mut(&promise) {
                kept.add(now, good);
            }
        }
    }

    /// Each app's promises, and what came of them.
    pub fn views(&self) -> BTreeMap<String, Vec<View>> {
        let now = self.began.elapsed();
        let view = |app: &BTreeMap<Promise, Kept>| app.values().map(|kept| kept.view(now)).collect();
        self.lock().iter().map(|(app_id, app)| (app_id.clone(), view(app))).collect()
    }

    /// What each app promises, with the counts since the start; none of those for jobs.
    pub fn tallies(&self) -> Vec<(String, Objective, Option<Tally>)> {
        let apps = self.lock();
        let of = |kept: &Kept| (!kept.objective.promise.is_of_jobs()).then_some(kept.all);
        let rows = apps
            .iter()
            .flat_map(|(app_id, app)| app.values().map(move |kept| (app_id.clone(), kept.objective, of(kept))));
        rows.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<Promise, Kept>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn new(objective: Objective) -> Self {
        let bins = |width, kept| Bins { width, kept, latest: VecDeque::new() };
        Self { objective, all: Tally::default(), minutes: bins(MINUTE, MINUTES_KEPT), hours: bins(HOUR, HOURS_KEPT) }
    }

    fn add(&mut self, now: Duration, good: bool) {
        self.all.add(good);
        self.minutes.add(now, good);
        self.hours.add(now, good);
    }

    fn view(&self, now: Duration) -> View {
        let Objective { promise, share: objective, within } = self.objective;
        let budget = 1.0 - objective;
        let burn = |tally: Tally| tally.share().map(|share| (1.0 - share) / budget);
        let counted = || {
            let window = self.hours.since(now, HOURS_KEPT);
            Counted {
                window_sec: now.min(HOUR * u32::try_from(HOURS_KEPT).unwrap_or(u32::MAX)).as_secs(),
                events: window.events,
                good: window.good,
                share: window.share(),
                budget_left: burn(window).map(|spent| 1.0 - spent),
                burn_5m: burn(self.minutes.since(now, 5)),
                burn_1h: burn(self.minutes.since(now, MINUTES_KEPT)),
            }
        };
        View {
            slo: promise,
            objective,
            within_ms: within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX)),
            counted: (!promise.is_of_jobs()).then(counted),
        }
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, good: bool) {
        self.events += 1;
        self.good += u64::from(good);
    }

    #[expect(clippy::cast_precision_loss, reason = "a share is exact enough up to 2^53 events")]
    fn share(self) -> Option<f64> {
        (self.events > 0).then(|| self.good as f64 / self.events as f64)
    }
}

// === impl Bins ===

impl Bins {
    fn number(&self, now: Duration) -> u64 {
        now.as_secs() / self.width.as_secs().max(1)
    }

    fn add(&mut self, now: Duration, good: bool) {
        let number = self.number(now);
        while self.latest.front().is_some_and(|(oldest, _)| oldest + self.kept <= number) {
            self.latest.pop_front();
        }
        if let Some((_, tally)) = self.latest.back_mut().filter(|(at, _)| *at == number) {
            tally.add(good);
            return;
        }
        let mut tally = Tally::default();
        tally.add(good);
        self.latest.push_back((number, tally));
    }

    /// The sum over so many bins, the one under way included.
    fn since(&self, now: Duration, bins: u64) -> Tally {
        let number = self.number(now);
        let within = self.latest.iter().rev().take_while(|(at, _)| at + bins > number);
        within.fold(Tally::default(), |sum, (_, bin)| Tally {
            events: sum.events + bin.events,
            good: sum.good + bin.good,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLO: Slo = Slo {
        availability: Some(0.9),
        preview_p95_ms: Some(100),
        batch_p95_ms: None,
        jobs_success: Some(0.99),
        jobs_p95_ms: None,
    };

    fn slos() -> Slos {
        let slos = Slos::default();
        slos.promise([("roof".to_owned(), SLO)].into_iter());
        slos
    }

    fn counted(slos: &Slos, promise: Promise) -> Counted {
        let views = slos.views();
        views["roof"].iter().find(|view| view.slo == promise).unwrap().counted.unwrap()
    }

    fn near(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-9)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_nobodys_fault_but_the_callers_spends_no_budget() {
        let slos = slos();
        let end = |fate, ms| slos.ended("roof", &SLO, Lane::Preview, fate, Duration::from_millis(ms));
        end(Fate::CallersFault, 1);
        end(Fate::CallerGone, 50);
        assert_eq!(counted(&slos, Promise::Availability).events, 0);
        assert_eq!(counted(&slos, Promise::Availability).budget_left, None, "nothing is known where nothing happened");
        for _ in 0..19 {
            end(Fate::Answered, 100);
        }
        end(Fate::Failed, 5);
        let kept = counted(&slos, Promise::Availability);
        assert_eq!((kept.events, kept.good), (20, 19));
        assert!(near(kept.budget_left, 0.5) && near(kept.burn_5m, 0.5), "{kept:?}");
        // A failure is no slow answer; a caller that waited too long and left is one.
        assert_eq!(counted(&slos, Promise::PreviewLatency).events, 19);
        end(Fate::CallerGone, 101);
        let kept = counted(&slos, Promise::PreviewLatency);
        assert_eq!((kept.events, kept.good), (20, 19));
        assert!(near(kept.budget_left, 0.0), "one in twenty is what a p95 allows: {kept:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bins_forget_and_never_grow() {
        let slos = slos();
        let fail = |slos: &Slos| slos.ended("roof", &SLO, Lane::Batch, Fate::Failed, MINUTE);
        fail(&slos);
        tokio::time::advance(Duration::from_mins(6)).await;
        let kept = counted(&slos, Promise::Availability);
        assert_eq!((kept.burn_5m, kept.burn_1h.map(f64::round)), (None, Some(10.0)), "{kept:?}");
        for _ in 0..200 {
            tokio::time::advance(HOUR).await;
            fail(&slos);
        }
        let kept = counted(&slos, Promise::Availability);
        assert_eq!((kept.events, kept.window_sec), (HOURS_KEPT, 72 * 3600), "{kept:?}");
        assert_eq!(slos.lock()["roof"][&Promise::Availability].minutes.latest.len(), 1);
        assert_eq!(slos.tallies()[0].2, Some(Tally { events: 201, good: 0 }), "Prometheus' counters only grow");
    }

    #[test]
    fn promises_come_and_go_with_the_policy_and_strangers_make_none() {
        let slos = slos();
        let end = |app: &str| slos.ended(app, &SLO, Lane::Batch, Fate::Answered, MINUTE);
        end("roof");
        end("stranger");
        assert_eq!(slos.views().len(), 1);
        let words: Vec<_> =
            slos.tallies().iter().map(|(_, objective, tally)| (objective.promise, tally.is_some())).collect();
        let expected = [(Promise::Availability, true), (Promise::PreviewLatency, true), (Promise::JobsSuccess, false)];
        assert_eq!(words, expected);
        let changed = Slo { availability: Some(0.5), preview_p95_ms: None, jobs_success: None, ..SLO };
        slos.promise([("roof".to_owned(), changed)].into_iter());
        let views = slos.views();
        assert_eq!(views["roof"].len(), 1);
        assert_eq!((views["roof"][0].objective, views["roof"][0].counted.unwrap().events), (0.5, 1));
        slos.promise(std::iter::empty());
        assert!(slos.views().is_empty());
    }
}
