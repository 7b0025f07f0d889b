//! The tasks that live as long as the process: restarted where they panic, and shown where they stay down. And how often
//! anything has panicked.
//!
//! Invariant: a long-lived task ends because it was told to, or is in here as fallen; none is gone without a word.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Serialize;
use tokio::time::Instant;

/// Before the first restart; doubled with each fall.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Falls in a row from which on a task counts as down: 100 ms and four doublings, so after some three seconds.
const FALLS_MAX: u32 = 5;
/// A task that has run for so long has no falls in a row behind it.
const WELL_AFTER: Duration = Duration::from_mins(1);

/// What is known of the long-lived tasks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Mutex<BTreeMap<String, Pulse>>>);

#[derive(Debug, Default)]
struct Pulse {
    falls: u64,
    in_a_row: u32,
    since: Option<Instant>,
    /// It will not be started again.
    ended: bool,
}

/// One task, as pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskView {
    pub name: String,
    pub state: TaskState,
    /// How often it has panicked.
    pub falls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    Running,
    /// It has panicked and waits for its next start.
    Restarting,
    /// It panics whenever it is started, or cannot be.
    Down,
}

// === impl Vitals ===

impl Vitals {
    /// Runs a task until it ends by itself, and starts it anew whenever it panics: soon at first, then after longer waits.
    ///
    /// Cancel safe where the task is.
    pub async fn keep<F: Future<Output = ()>>(&self, name: &str, mut start: impl FnMut() -> F) {
        loop {
            self.note(name, |pulse| pulse.since = Some(Instant::now()));
            let run = AssertUnwindSafe(async { start().await });
            if run.catch_unwind().await.is_ok() {
                self.forget(name);
                return;
            }
            let in_a_row = self.note(name, |pulse| {
                let well = pulse.since.take().is_some_and(|since| since.elapsed() >= WELL_AFTER);
                pulse.falls += 1;
                pulse.in_a_row = if well { 1 } else { pulse.in_a_row.saturating_add(1) };
                pulse.in_a_row
            });
            let wait = BACKOFF.saturating_mul(1 << (in_a_row - 1).min(16)).min(BACKOFF_MAX);
            tracing::error!(task = name, ?wait, in_a_row, "a task has panicked and is started again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Runs a task that cannot be started a second time. Where it panics it stays down, and that is seen.
    ///
    /// Cancel safe where the task is.
    pub async fn watch<T>(&self, name: &str, task: impl Future<Output = T>) -> Option<T> {
        self.note(name, |pulse| pulse.since = Some(Instant::now()));
        let ended = AssertUnwindSafe(task).catch_unwind().await;
        if ended.is_ok() {
            self.forget(name);
        } else {
            tracing::error!(task = name, "a task has panicked and cannot be started again: restart the gateway");
            self.note(name, |pulse| (pulse.since, pulse.ended, pulse.falls) = (None, true, pulse.falls + 1));
        }
        ended.ok()
    }

    /// A task that was told to end.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// All tasks, by name.
    pub fn view(&self) -> Vec<TaskView> {
        let tasks = self.lock();
        tasks
            .iter()
            .map(|(name, pulse)| TaskView { name: name.clone(), state: pulse.state(), falls: pulse.falls })
            .collect()
    }

    /// The first task that stays down.
    pub fn down(&self) -> Option<String> {
        let tasks = self.lock();
        tasks.iter().find(|(_, pulse)| pulse.state() == TaskState::Down).map(|(name, _)| name.clone())
    }

    fn note<T>(&self, name: &str, note: impl FnOnce(&mut Pulse) -> T) -> T {
        let mut tasks = self.lock();
        if !tasks.contains_key(name) {
            tasks.insert(name.to_owned(), Pulse::default());
        }
        note(tasks.get_mut(name).expect("it has just been put there"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pulse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pulse ===

impl Pulse {
    fn state(&self) -> TaskState {
        let well = self.since.is_some_and(|since| since.elapsed() >= WELL_AFTER);
        match self.since {
            _ if self.ended => TaskState::Down,
            // Started once more is no proof: what panics at once would flicker.
            _ if self.in_a_row >= FALLS_MAX && !well => TaskState::Down,
            Some(_) => TaskState::Running,
            None => TaskState::Restarting,
        }
    }
}

// === panics ===

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts every panic of this process from now on, and puts it into the log with its place.
pub fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            let place = panic.location().map(tracing::field::display);
            tracing::error!(place, "a panic: a defect of the gateway");
            before(panic);
        }));
    });
}

/// How many there were.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_and_ends_when_it_has_ended() {
        let (vitals, starts) = (Vitals::default(), AtomicU32::new(0));
        let begin = Instant::now();
        let task = || async {
            let start = starts.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            assert!(start >= 3, "a defect");
        };
        vitals.keep("sweeper", task).await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
        assert_eq!(begin.elapsed(), Duration::from_millis(100 + 200 + 400));
        assert_eq!(vitals.view(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_stays_down_is_told_and_forgiven_when_it_has_run_for_a_while() {
        let (vitals, starts) = (Vitals::default(), Arc::new(AtomicU32::new(0)));
        let (kept, counted) = (vitals.clone(), Arc::clone(&starts));
        let task = tokio::spawn(async move {
            let run = || async {
                assert!(counted.fetch_add(1, Ordering::Relaxed) >= 6, "a defect");
                std::future::pending::<()>().await;
            };
            kept.keep("sweeper", run).await;
        });
        tokio::time::sleep(Duration::from_millis(250)).await;
        let view = |falls, state| vec![TaskView { name: "sweeper".into(), state, falls }];
        assert_eq!(vitals.view(), view(2, TaskState::Restarting));
        assert_eq!(vitals.down(), None);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(vitals.view(), view(6, TaskState::Down), "it runs, and has not shown that it will");
        assert_eq!(vitals.down().as_deref(), Some("sweeper"));
        tokio::time::sleep(WELL_AFTER).await;
        assert_eq!((vitals.view(), vitals.down()), (view(6, TaskState::Running), None));
        task.abort();
    }

    #[tokio::test]
    async fn a_task_that_cannot_be_started_again_stays_down() {
        let vitals = Vitals::default();
        assert_eq!(vitals.watch("registry", async { 3 }).await, Some(3));
        assert_eq!(vitals.down(), None);
        assert_eq!(vitals.watch("registry", async { panic!("a defect") }).await, None::<()>);
        assert_eq!(vitals.down().as_deref(), Some("registry"));
    }
}
