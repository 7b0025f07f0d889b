//! Following the registry while the gateway runs: look, plan, take, swap.
//!
//! Invariants: requests see whole snapshots only, one swap a generation. Whatever goes wrong while looking leaves what serves as it is.
//! Digests of content decide; what the file system tells is a hint on when to look.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contract::Contract;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::assemble::{Around, Assembled, HeldAlias, assemble};
use super::events::{Draft, Kind};
use super::held::Held;
use super::hints::{Hint, Hints};
use super::look::{Disk, Eyes, Files, Known, Look, start_threads};
use super::pace::{GATHER, Pace, Pause};
use super::plan::{Listing, Place, Plan, Settling, Step, plan};
use super::scan::Resolved;
use super::snapshot::Snapshot;
use super::store::Store;
use super::watcher::Watcher;
use super::{Error, Registry};

/// How the registry is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds `contracts/` and `tenants.json`.
    pub root: PathBuf,
    /// How often everything is read and hashed, ±20 %.
    pub poll: Duration,
    /// How long a change must have looked the same before it is taken.
    pub settle: Duration,
    /// Let the file system tell of changes; without, the poll alone finds them.
    pub watch: bool,
    /// Whether a version that serves may change in place.
    pub mutable_versions: bool,
    /// Where the last good registry is kept; nowhere if none.
    pub state_dir: Option<PathBuf>,
}

/// Whether a contract can be solved at this moment.
pub type Ready = dyn Fn(&Arc<Contract>) -> bool + Send + Sync;

/// What the registry asks of those who know nodes and callers, and tells them.
#[derive(Clone)]
pub struct Hooks {
    pub ready: Arc<Ready>,
    /// Counts up when what `ready` says may be different.
    pub ready_changed: watch::Receiver<u64>,
    /// Called with a snapshot just before requests see it, so that what goes by its policies is there when they do.
    pub swapping: Arc<dyn Fn(&Snapshot) + Send + Sync>,
}

/// Follows the registry, once it runs.
#[derive(Debug)]
pub struct Reloader {
    registry: Registry,
    pub(super) options: Options,
    held: Held,
    settling: Settling,
    /// The last look, for its marks and strays.
    last: Option<Look>,
    held_aliases: Vec<HeldAlias>,
    store: Option<Store>,
    /// Where it looks.
    pub(super) disk: Arc<dyn Disk>,
    /// Looks in a row that failed.
    failures: u32,
    /// Whether the last look ended in a panic: it is not over before a whole one has gone well.
    panicked: bool,
    /// Set, the poll under way ends early; the next look begins anew.
    pub(super) break_off: Arc<AtomicBool>,
}

/// What a look led to, and so when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All that is there is taken, or refused.
    Quiet,
    /// Something waits for a second, equal sight.
    Settling,
    /// Nothing could be seen; probably a swap under way.
    Failed,
    /// Nothing could be seen for some time.
    Stale,
    /// The poll made way for a hint.
    BrokenOff,
}

/// How thorough a look is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Depth {
    /// What the hint concerns is looked at, and read where inodes, sizes or times are others; and what waits for a second sight, and
    /// names that are new. The rest is as it was.
    Hinted(Hint),
    /// Everything is read.
    Poll,
}

/// Looks that may fail in a row before it counts: a swap by `rm` and `mv` takes a moment.
const FAILURES: u32 = 3;
// === impl Options ===

impl Options {
    /// The registry below `root`, as `config/appserver.toml` has it otherwise.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let (poll, settle) = (Duration::from_secs(10), Duration::from_secs(1));
        Self { root: root.into(), poll, settle, watch: true, mutable_versions: false, state_dir: None }
    }
}

// === impl Reloader ===

impl Reloader {
    /// Restores what was kept, then follows what is there. Blocks.
    ///
    /// # Errors
    /// When there is nothing to serve: the registry cannot be read, or who may call is not clear, and nothing was kept.
    pub(super) fn start(options: Options) -> Result<(Registry, Self), Error> {
        Self::load(options, true)
    }

    /// As [`start`](Self::start); whether it must be clear who may call is for the caller to say.
    pub(super) fn load(options: Options, strict: bool) -> Result<(Registry, Self), Error> {
        let registry = Registry::holding(Snapshot::empty(Timestamp::now()), &options.root);
        let store = options
            .state_dir
            .as_deref()
            .map(|folder| Store::open(folder).map_err(|source| Error::State { path: folder.to_owned(), source }));
        let store = store.transpose()?;
        let (held, damaged) = store.as_ref().map(Store::restore).unwrap_or_default();
        let restored = !held.entries.is_empty();
        for fault in damaged {
            registry.events.add(Draft::of(Kind::StateFault).because(fault));
        }
        let mut reloader = Self {
            registry,
            options,
            held,
            settling: Settling::default(),
            last: None,
            held_aliases: Vec::new(),
            store,
            disk: Arc::new(Files),
            failures: 0,
            panicked: false,
            break_off: Arc::default(),
        };
        let (mut drafts, mut changed) = (Vec::new(), false);
        match reloader.look(Duration::ZERO, Duration::ZERO, &Depth::Poll) {
            Ok(look) => match reloader.follow(look, Duration::ZERO, Duration::ZERO) {
                Ok(followed) => (drafts, changed) = followed,
                Err(empty) => reloader.fail(&empty),
            },
            Err(error) if restored => reloader.fail(&error),
            Err(error) => return Err(Error::Scan(error)),
        }
        if strict {
            reloader.check_tenants()?;
        }
        reloader.publish(None);
        let loaded = format!("{} versions", reloader.registry.current().releases().count());
        reloader.registry.events.add(Draft::of(Kind::Loaded).because(loaded));
        // Against what was kept all differences tell something; against nothing only what is wrong does.
        for draft in drafts.into_iter().filter(|draft| restored || draft.kind.is_alarm()) {
            reloader.registry.events.add(draft);
        }
        if changed {
            reloader.commit();
        }
        Ok((reloader.registry.clone(), reloader))
    }

    /// Who may call must never be a guess.
    fn check_tenants(&self) -> Result<(), Error> {
        let entry = self.held.entries.get(&Place::Tenants);
        entry.and_then(|entry| entry.faults()).map_or(Ok(()), |faults| Err(Error::Tenants(faults.to_vec())))
    }

    /// Looks, and takes what may be taken. `now` is on any clock that only goes forward. Blocks.
    /// A panic on the way is a look that failed: what serves is swapped whole or not at all, and the next look reads
    /// everything anew.
    pub(super) fn turn(&mut self, now: Duration, depth: &Depth, hooks: &Hooks) -> Outcome {
        let step = AssertUnwindSafe(|| self.look_and_swap(now, depth, hooks));
        let failed = match catch_unwind(step) {
            Ok(Ok(outcome)) => {
                if std::mem::take(&mut self.panicked) {
                    for draft in self.recover() {
                        self.registry.events.add(draft);
                    }
                }
                return outcome;
            }
            Ok(Err(error)) => error,
            Err(_panic) => {
                self.last = None;
                self.panicked = true;
                // Told at once: the next look may well get as far.
                self.failures = FAILURES;
                "a defect of the gateway met what is there: the log has its place".to_owned()
            }
        };
        self.failures += 1;
        if self.failures < FAILURES {
            return Outcome::Failed;
        }
        self.fail(&failed);
        Outcome::Stale
    }

    fn look_and_swap(&mut self, now: Duration, depth: &Depth, hooks: &Hooks) -> Result<Outcome, String> {
        let settle = self.options.settle;
        let look = match self.look(now, settle, depth) {
            Ok(look) => look,
            Err(super::scan::Error::BrokenOff) => return Ok(Outcome::BrokenOff),
            Err(error) => return Err(error.to_string()),
        };
        let (drafts, changed) = self.follow(look, now, settle)?;
        let before = self.registry.current();
        let of_aliases = self.publish(Some((&before, hooks)));
        // Told after the swap: who hears of a change finds it.
        for draft in drafts.into_iter().chain(of_aliases) {
            self.registry.events.add(draft);
        }
        if changed {
            self.commit();
        }
        Ok(if self.settling.is_empty() { Outcome::Quiet } else { Outcome::Settling })
    }

    fn look(&self, now: Duration, settle: Duration, depth: &Depth) -> Result<Look, super::scan::Error> {
        let taken = |place: &Place, digest| {
            let entry = self.held.entries.get(place);
            entry.is_some_and(|entry| !entry.twin && entry.kept().dealt_with == Some(digest))
        };
        let known = |place: &Place, path: &Path| {
            let Depth::Hinted(hint) = depth else { return Known::Not };
            let Some(last) = &self.last else { return Known::Not };
            let Some(sight) = last.sights.get(place).filter(|sight| taken(place, sight.digest)) else {
                return Known::Not;
            };
            if hint.concerns(&last.resolved.root.join(path)) {
                Known::Marked(sight.digest, sight.marks)
            } else {
                Known::As(sight.digest, sight.marks)
            }
        };
        let wanted = |place: &Place, digest| {
            !taken(place, digest) && self.settling.would_settle(place, Some(digest), now, settle)
        };
        let threads = match self.last {
            Some(_) => 1,
            None => start_threads(),
        };
        let (root, store) = (self.options.root.as_path(), self.store.as_ref());
        let eyes = Eyes {
            disk: &*self.disk,
            root,
            known: &known,
            wanted: &wanted,
            store,
            threads,
            broken_off: &self.break_off,
        };
        let look = eyes.look()?;
        match (&self.last, depth) {
            // It is another registry that was looked at: nothing of it is known.
            (Some(last), Depth::Hinted(hint)) if last.resolved != look.resolved && *hint != Hint::Anywhere => {
                self.look(now, settle, &Depth::Hinted(Hint::Anywhere))
            }
            _ => Ok(look),
        }
    }

    /// Brings what is held after what was seen; what to tell of it, and whether anything came or went.
    ///
    /// # Errors
    /// If what was seen is no registry any more; then nothing has changed.
    fn follow(&mut self, mut look: Look, now: Duration, settle: Duration) -> Result<(Vec<Draft>, bool), String> {
        let listing: Listing = look.sights.iter().map(|(place, sight)| (place.clone(), sight.digest)).collect();
        let mut waiting = BTreeSet::new();
        let settling = &mut self.settling;
        let settled = |place: &Place, seen| {
            let settled = settling.note(place, seen, now, settle);
            if !settled {
                waiting.insert(place.clone());
            }
            settled
        };
        let steps = match plan(&self.held.holding(), &listing, self.options.mutable_versions, settled) {
            Plan::Steps(steps) => steps,
            Plan::Emptied => return Err("no version is left in it".to_owned()),
        };
        self.settling.keep(|place| waiting.contains(place));
        let (mut drafts, mut changed) = (self.recover(), false);
        let time = Timestamp::now();
        for step in steps {
            changed |= matches!(step, Step::Take { .. } | Step::Remove { .. });
            drafts.extend(self.step(step, &mut look, time));
        }
        self.last = Some(look);
        Ok((drafts, changed))
    }

    fn step(&mut self, step: Step, look: &mut Look, time: Timestamp) -> Vec<Draft> {
        match step {
            Step::Take { place, digest } => {
                let meaning = look.sights.get_mut(&place).and_then(|sight| sight.meaning.take());
                // Without one the content became takeable between look and plan: the next look understands it.
                let Some(meaning) = meaning else { return Vec::new() };
                let unkept = meaning.unkept.clone().map(|why| Draft::of(Kind::StateFault).because(why));
                let taken = self.held.take(&place, digest, meaning, time);
                unkept.into_iter().chain([taken]).collect()
            }
            Step::Remove { place } => self.held.remove(&place).into_iter().collect(),
            Step::Decline { place, seen } => vec![self.held.decline(&place, seen)],
            Step::Clear { place } => self.held.clear(&place).into_iter().collect(),
            Step::Twin { place, digest, other } => vec![self.held.twin(&place, digest, &other, time)],
        }
    }

    /// Swaps, if anything is different, and says what is not as it should be. Returns what to tell of aliases.
    fn publish(&mut self, before: Option<(&Snapshot, &Hooks)>) -> Vec<Draft> {
        let (before, hooks) = (before.map(|(before, _)| before), before.map(|(_, hooks)| hooks));
        let ready = |contract: &Arc<Contract>| hooks.is_some_and(|hooks| (hooks.ready)(contract));
        let strays = self.last.as_ref().map_or(&[][..], |look| &look.strays);
        let Assembled { snapshot, held_aliases } =
            assemble(&self.held, &Around { strays, before, ready: &ready, now: Timestamp::now() });
        let mut drafts = before.map(|before| moved(before, &snapshot)).unwrap_or_default();
        for held in held_aliases.iter().filter(|held| !self.held_aliases.contains(held)) {
            drafts.push(held.draft());
        }
        self.held_aliases = held_aliases;
        let alarms = self.held.alarms().chain(self.held_aliases.iter().map(|held| &held.fault)).cloned().collect();
        self.registry.status(|status| status.alarms = alarms);
        if before.is_none_or(|before| before.digest != snapshot.digest || before.faults != snapshot.faults) {
            if let Some(hooks) = hooks {
                (hooks.swapping)(&snapshot);
            }
            self.registry.current.store(Arc::new(snapshot));
        }
        drafts
    }

    /// What serves stays as it is, and it is said once that it may be old.
    fn fail(&mut self, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        tracing::debug!(%error, "the registry was not read");
        let first = self.registry.status(|status| {
            status.error = Some(error.clone());
            let first = status.stale_since.is_none();
            status.stale_since.get_or_insert_with(Timestamp::now);
            first
        });
        if first {
            self.registry
                .events
                .add(Draft::of(Kind::Stale).because(format!("{error}; the last good registry keeps serving")));
        }
    }

    fn recover(&mut self) -> Vec<Draft> {
        if self.panicked {
            return Vec::new();
        }
        self.failures = 0;
        let was_stale = self.registry.status(|status| {
            status.error = None;
            status.stale_since.take().is_some()
        });
        let draft = was_stale.then(|| Draft::of(Kind::Fresh).because("the registry can be read again"));
        draft.into_iter().collect()
    }

    fn commit(&self) {
        let Some(store) = &self.store else { return };
        if let Err(error) = store.commit(&self.held) {
            self.registry.events.add(Draft::of(Kind::StateFault).because(error.to_string()));
        }
    }

    /// Follows the registry until `stop`.
    ///
    /// Cancel safety: none, a look that is under way ends on its own thread and its result is lost; use `stop`.
    pub async fn run(self, hooks: Hooks, stop: CancellationToken) {
        let hints = Hints::default();
        let watcher = self.options.watch.then(|| Watcher::new(hints.clone()));
        let mut signals = Signals { hints, ready_changed: hooks.ready_changed.clone(), stop };
        let (begin, registry, break_off) = (Instant::now(), self.registry.clone(), Arc::clone(&self.break_off));
        let mut pace = Pace::new(self.options.poll, self.options.settle, begin);
        let (mut turning, mut depth) = ((self, watcher), Depth::Hinted(Hint::Anywhere));
        loop {
            let hooks = hooks.clone();
            let makes_way = pace.makes_way(&depth);
            break_off.store(false, Ordering::Relaxed);
            let mut turned = tokio::task::spawn_blocking(move || {
                let (mut reloader, mut watcher) = turning;
                // Before the first look, which so sees what changed since the start; what changes from here on is hinted at.
                if watcher.as_ref().is_some_and(Watcher::is_new) {
                    reloader.arm(&mut watcher);
                }
                // Setting watches takes long, and is no part of the look: no rest is due for it.
                let started = Instant::now();
                let outcome = reloader.turn(begin.elapsed(), &depth, &hooks);
                let ended = Instant::now();
                let armed = reloader.arm(&mut watcher);
                (reloader, watcher, depth, outcome, (started, ended), armed)
            });
            let turned = tokio::select! {
                biased;
                turned = &mut turned => turned,
                () = signals.hints.told(), if makes_way => {
                    break_off.store(true, Ordering::Relaxed);
                    turned.await
                }
            };
            let Ok((reloader, watcher, looked, outcome, (started, ended), armed)) = turned else {
                tracing::error!("the registry is not followed any more: looking at it failed in an unforeseen way");
                registry.status(|status| status.error = Some("it is not followed any more".to_owned()));
                return;
            };
            // What happened between the look and the watch is in neither.
            if armed {
                signals.hints.tell(Hint::Anywhere);
            }
            let pause = pace.after(looked, outcome, started, ended);
            let asks = !reloader.held_aliases.is_empty();
            turning = (reloader, watcher);
            match signals.next(pause, asks).await {
                Some(Due::Look) => depth = pace.hinted(signals.hints.take()),
                Some(Due::Poll) => depth = Depth::Poll,
                None => return,
            }
        }
    }

    fn arm(&self, watcher: &mut Option<Watcher>) -> bool {
        let Some(watcher) = watcher else { return false };
        let resolved: Option<&Resolved> = self.last.as_ref().map(|look| &look.resolved);
        let armed = watcher.arm(&self.options.root, resolved, |why| {
            self.registry.events.add(Draft::of(Kind::PollOnly).because(why));
        });
        self.registry.status(|status| status.watched = watcher.is_armed());
        armed
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Which look is due.
enum Due {
    Look,
    Poll,
}

/// What ends the wait for the next turn.
struct Signals {
    hints: Hints,
    ready_changed: watch::Receiver<u64>,
    stop: CancellationToken,
}

// === impl Signals ===

impl Signals {
    /// What is due next, when it is; none at the end.
    async fn next(&mut self, pause: Pause, asks: bool) -> Option<Due> {
        let rested = Instant::now() + pause.rest_of_all;
        let hint = async {
            tokio::time::sleep(pause.rest).await;
            self.hints.told().await;
            tokio::time::sleep(GATHER).await;
            if self.hints.are_of_all() {
                tokio::time::sleep_until(rested.into()).await;
            }
        };
        let readiness = async {
            tokio::time::sleep(pause.rest_of_all).await;
            // No nodes, no news of them.
            if !asks || self.ready_changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = hint => Some(Due::Look),
            () = readiness => Some(Due::Look),
            () = tokio::time::sleep_until(pause.until.into()) => {
                Some(if Instant::now() >= pause.until_poll { Due::Poll } else { Due::Look })
            }
        }
    }
}

/// The aliases that lead elsewhere than before.
fn moved(before: &Snapshot, after: &Snapshot) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (app_id, app) in &after.apps {
        let old = before.apps.get(app_id).map(|app| &app.aliases);
        for (alias, to) in &app.aliases {
            let from = old.and_then(|old| old.get(alias));
            if from != Some(to) {
                let (app_id, version) = (Some(app_id.clone()), Some(alias.clone()));
                let (from, to) = (from.map(ToString::to_string), Some(to.to_string()));
                drafts.push(Draft { app_id, version, from, to, ..Draft::of(Kind::AliasMoved) });
            }
        }
    }
    drafts
}
