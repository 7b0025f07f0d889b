//! Probing: whether a node answers, whether its children are awake, what it has installed, whether stuck slots are
//! free again.
//!
//! Invariant: the regular probe uses only routes that the node's own process answers without starting a child or
//! resetting the idle timer. What does wake one is asked for at first contact, after the node was away, and while a
//! solve has just kept it awake anyway.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Features;
use super::attest;
use super::entry::Canary;
use super::node::{Probe, State};
use super::roster::Peer;
use super::spread::spread;
use super::state::Shared;
use crate::rhino::classify::{self, Outcome, Sent};
use crate::rhino::client::{Client, Reply};
use crate::rhino::protocol::Source;
use crate::vitals::Vitals;

/// Enough for a number or a word, and for the page of a proxy in between.
const SMALL: usize = 64 * 1024;
/// A path that no build of the node has: what it answers there is what it answers where there is nothing.
const NOWHERE: &str = "appserver-asks-for-nothing";
/// Waits after failures grow to this.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// What probes the nodes. Run it once, for as long as the gateway runs.
#[derive(Clone, Debug)]
pub struct Driver {
    shared: Arc<Shared>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Probes until `drain`, then waits for the solves whose callers still wait. Solves past their deadline are not
    /// waited for: nobody would hear of them.
    pub async fn run(&self, drain: CancellationToken, vitals: &Vitals) {
        // After a fall nobody watches any more.
        self.shared.read(|table| table.nodes.values_mut().for_each(|entry| entry.watched = false));
        let mut watches = JoinSet::new();
        let mut stops = HashMap::new();
        loop {
            let peers = self.shared.read(|table| {
                let new = table.nodes.values_mut().filter(|entry| !entry.retired && !entry.watched);
                new.map(|entry| {
                    entry.watched = true;
                    Arc::clone(&entry.peer)
                })
                .collect::<Vec<_>>()
            });
            for peer in peers {
                let (id, stop) = (peer.id, drain.child_token());
                stops.insert(id, stop.clone());
                let shared = Arc::clone(&self.shared);
                let watch = Watch { shared, peer, passed: Notify::new(), spread: AtomicU64::new(0) };
                let vitals = vitals.clone();
                watches.spawn(async move {
                    let name = format!("probing of {}", watch.peer.name);
                    stop.run_until_cancelled(vitals.keep(&name, || watch.run())).await;
                    vitals.forget(&name);
                    id
                });
            }
            for id in self.shared.read(|table| table.retired()) {
                stops.remove(&id).inspect(CancellationToken::cancel);
            }
            tokio::select! {
                () = drain.cancelled() => break,
                () = self.shared.relisted.notified() => {}
                // A task does not fail: its panics are caught, and its probing goes on.
                Some(Ok(id)) = watches.join_next() => self.shared.update(id, |entry| entry.watched = false),
            }
        }
        watches.join_all().await;
        self.shared.solves.close();
        while self.shared.read(|table| table.running()) > 0 {
            // Short against any solve, and at most so often in all.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One node's probing.
struct Watch {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    /// Set after each probe that passed: there may be an errand.
    passed: Notify,
    spread: AtomicU64,
}

impl Watch {
    async fn run(&self) {
        tokio::join!(self.probing(), self.errands(), self.starting());
    }

    /// While the node is given more slots step by step, those who wait are served as it gets them.
    async fn starting(&self) {
        /// Short against the time between two steps.
        const STEP: Duration = Duration::from_millis(250);
        let mut changed = self.shared.changed.subscribe();
        loop {
            while self.shared.read(|table| table.entry(self.peer.id).health.is_starting(Instant::now())) {
                tokio::time::sleep(STEP).await;
                self.shared.update(self.peer.id, |_| {});
            }
            // A node starts when it changes its state, which is announced.
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Probes at intervals, sooner after a failure and when a solve has failed.
    async fn probing(&self) {
        let mut failures = 0;
        loop {
            let passed = self.probe().await;
            failures = if passed { 0 } else { failures + 1 };
            let pause = if passed {
                self.passed.notify_one();
                self.spread(self.shared.options.probe_interval)
            } else {
                // Sooner at first: a restart should not cost a whole interval.
                self.backoff(failures)
            };
            // Not sooner than this, however many solves fail.
            tokio::time::sleep(pause.min(Duration::from_millis(100))).await;
            let _ = timeout(pause, self.peer.nudge.notified()).await;
        }
    }

    /// What takes longer than a probe may, and must not hold one up.
    async fn errands(&self) {
        let mut failures = 0;
        loop {
            self.passed.notified().await;
            let asked = !self.is_due() || self.ask().await;
            let proven = self.prove().await;
            let freed = self.free_stuck().await;
            failures = if asked && proven && freed { 0 } else { failures + 1 };
            tokio::time::sleep(self.backoff(failures)).await;
        }
    }

    fn client(&self) -> &Client {
        &self.peer.client
    }

    /// The regular probe. Wakes nobody.
    async fn probe(&self) -> bool {
        let limit = self.shared.options.probe_timeout;
        let probe = match timeout(limit, self.look()).await {
            Ok(probe) => probe,
            Err(_elapsed) => Probe::Unwell(format!("no answer to a probe within {limit:?}")),
        };
        let passed = matches!(probe, Probe::Awake | Probe::Asleep);
        let may_hold = self.shared.read(|table| table.others_serve(self.peer.id));
        self.shared.update(self.peer.id, |entry| {
            let before = (entry.health.state(), entry.health.generation());
            // It lived all the while: what runs on it, runs.
            let stayed = entry.health.is_ejected() || entry.health.is_unwell();
            entry.health.probed(probe, may_hold, Instant::now());
            let after = (entry.health.state(), entry.health.generation());
            if after.0 == State::Down && !passed && !entry.health.is_unwell() {
                // Nobody knows what comes back.
                entry.installed = None;
                entry.canary = None;
            }
            if before.0 == State::Down && after.1 > before.1 && !stayed {
                // It was away: the processes that held its slots are gone.
                entry.slots.recover();
            }
        });
        passed
    }

    async fn look(&self) -> Probe {
        match self.client().get("healthcheck", SMALL).await {
            Err(failure) => return Probe::Failed(failure.to_string()),
            Ok(reply) if matches!(reply.status, 401 | 403) => {
                return Probe::Failed("does not take our key".to_owned());
            }
            // Older proxies answer whatever fails with 200, so the word decides.
            Ok(reply) if reply.status != 200 || !word(&reply).eq_ignore_ascii_case("healthy") => {
                return Probe::Unwell(format!("is not healthy: status {}", reply.status));
            }
            Ok(_) => {}
        }
        let features = self.shared.read(|table| table.entry(self.peer.id).features);
        let asleep = if features.children_count {
            let children = self.number("activechildren?initialize=false").await;
            if let Some(children @ 1..) = children {
                self.resize(children);
            }
            children == Some(0)
        } else {
            // Below zero: nobody has called since the node was started.
            let idle = self.number("idlespan").await;
            let seconds = idle.map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
            seconds.is_some_and(|seconds| Duration::from_secs(seconds) >= self.shared.options.children_idle)
        };
        if asleep { Probe::Asleep } else { Probe::Awake }
    }

    /// Whether the node should be asked what it has: it has not said so yet, its processes may have been replaced, or
    /// it is awake anyway and was not asked for a while.
    fn is_due(&self) -> bool {
        let options = &self.shared.options;
        self.shared.read(|table| {
            let entry = table.entry(self.peer.id);
            let serves = matches!(entry.health.state(), State::Up | State::Asleep | State::Suspect);
            let warm = entry.solved_at.is_some_and(|at| at.elapsed() < options.warm_for);
            match &entry.installed {
                None => serves,
                Some((generation, _)) if *generation != entry.health.generation() => {
                    serves && entry.health.state() != State::Asleep
                }
                Some(_) => warm && entry.asked_at.is_none_or(|at| at.elapsed() >= options.ask_interval),
            }
        })
    }

    /// Asks what the node has and what it offers. Wakes a child.
    async fn ask(&self) -> bool {
        let generation = self.shared.read(|table| table.entry(self.peer.id).health.generation());
        let name = &self.peer.name;
        let asking = async {
            let installed = attest::ask(self.client()).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((installed, self.features().await))
        };
        let answer = timeout(self.shared.options.ask_timeout, asking).await;
        match answer.unwrap_or_else(|_elapsed| Err("no answer in time".to_owned())) {
            Ok((installed, features)) => {
                tracing::info!(
                    node = &**name,
                    rhino = installed.set.rhino,
                    plugins = installed.set.plugins.len(),
                    "a node said what it has"
                );
                self.shared.update(self.peer.id, |entry| {
                    entry.features = features;
                    entry.asked_at = Some(Instant::now());
                    // The answer came from children that the question itself may have started.
                    let unchanged = entry.health.generation() == generation;
                    entry.health.woken();
                    entry.install(if unchanged { entry.health.generation() } else { generation }, installed);
                });
                if let Some(children @ 1..) = self.children(features).await {
                    self.resize(children);
                }
                true
            }
            Err(why) => {
                tracing::warn!(node = &**name, why, "a node does not say what it has");
                false
            }
        }
    }

    /// What the node offers. A route that it lacks is passed on to a child, so this is asked only while one is awake.
    async fn features(&self) -> Features {
        let nowhere = self.client().get(NOWHERE, SMALL).await.ok();
        let offers = async |path, statuses: &[u16]| {
            let Ok(reply) = self.client().get(path, SMALL).await else { return false };
            let differs = nowhere.as_ref().is_some_and(|nowhere| differs(&reply, nowhere));
            differs && statuses.contains(&reply.status)
        };
        let children_ready = offers("childrenready", &[200, 503]).await;
        Features {
            validate: offers("validate", &[200]).await,
            children_ready,
            // The parameter is new, the route is not: an older build ignores it and starts children. The two came
            // together, so the one that can be told apart stands for both.
            children_count: children_ready,
        }
    }

    /// How many children there are, where one is awake for sure.
    async fn children(&self, features: Features) -> Option<i64> {
        let path = if features.children_count { "activechildren?initialize=false" } else { "activechildren" };
        timeout(self.shared.options.probe_timeout, self.number(path)).await.ok().flatten()
    }

    fn resize(&self, children: i64) {
        /// More than any machine runs; a bound on what a confused node can make us send.
        const CHILDREN_MAX: i64 = 256;
        let children = u32::try_from(children.min(CHILDREN_MAX)).unwrap_or(1);
        let given = self.shared.read(|table| {
            let entry = table.entry(self.peer.id);
            (entry.listed.slots, entry.slots.total())
        });
        if given.0.is_none() && given.1 != children {
            self.shared.update(self.peer.id, |entry| entry.slots.resize(children));
        }
    }

    /// Ends the trial of a node that was out for failed solves by one small solve that is known to go well, so that no
    /// caller's has to be the first. Where none is known, or the slot of the trial is taken, callers decide it.
    async fn prove(&self) -> bool {
        let canary = self.shared.read(|table| {
            let entry = table.entry(self.peer.id);
            entry.canary.clone().filter(|_| entry.health.is_on_trial())
        });
        let Some(canary) = canary else { return true };
        let Some(grant) = self.shared.slot_of(self.peer.id) else { return true };
        let first = self.note(&canary, Source::Pointer).await;
        let outcome = match first {
            Some(Outcome::StalePointer) => self.note(&canary, Source::Algo).await,
            other => other,
        };
        match outcome {
            Some(Outcome::Solved(_)) => {
                tracing::info!(node = &*self.peer.name, "a node has passed its trial");
                self.shared.update(self.peer.id, super::entry::Entry::answered);
                return true;
            }
            // It was answered, and the slot is free again with the guard.
            Some(_) => drop(grant),
            // Nobody will hear of its end.
            None => grant.abandon(),
        }
        self.shared.strike(&self.peer, "failed its trial".to_owned());
        false
    }

    /// Tries to give back slots that nobody listens to any more. False where the node failed the trial.
    ///
    /// The evidence is as many small known-good solves in a row as the node has children, which it hands out in turn.
    /// Where no solve is known that went well, there is only a healthy process and the longest wait.
    async fn free_stuck(&self) -> bool {
        let stuck = self.shared.read(|table| {
            let entry = table.entry(self.peer.id);
            let stuck = || (entry.abandoned_at, entry.canary.clone(), entry.slots.total());
            (entry.slots.abandoned() > 0).then(stuck)
        });
        let Some((since, canary, children)) = stuck else { return true };
        let waited = since.is_none_or(|since| since.elapsed() >= self.shared.options.abandon_after);
        let proven = match canary {
            Some(canary) => self.sing(canary, children).await,
            None => waited,
        };
        if proven {
            let freed = self.shared.update(self.peer.id, |entry| entry.slots.recover());
            tracing::info!(node = &*self.peer.name, freed, "stuck slots are free again");
        }
        proven
    }

    /// Whether a known-good solve goes well so many times in a row.
    async fn sing(&self, canary: Canary, times: u32) -> bool {
        for _ in 0..times {
            let by_key = self.note(&canary, Source::Pointer).await;
            // A node that has been replaced has forgotten its definitions, and says so without solving.
            let outcome = match by_key {
                Some(Outcome::StalePointer) => self.note(&canary, Source::Algo).await,
                other => other,
            };
            if !matches!(outcome, Some(Outcome::Solved(_))) {
                return false;
            }
        }
        true
    }

    /// One try; `None` where no answer came in time.
    async fn note(&self, canary: &Canary, source: Source) -> Option<Outcome> {
        /// It was small enough once; a bound all the same.
        const BYTES: usize = 64 << 20;
        let request = canary.prepared.request(&canary.inputs, source).ok()?;
        self.peer.again.canary.fetch_add(1, Ordering::Relaxed);
        let solve = self.client().solve(request, BYTES, None);
        let reply = timeout(self.shared.options.canary_timeout, solve).await.ok()?.ok()?;
        let read =
            classify::Reply { status: reply.status, content_type: reply.content_type.as_deref(), body: &reply.body };
        let sent = Sent { source, elapsed: reply.elapsed, proxy_timeout: self.shared.options.proxy_timeout };
        Some(classify::classify(read, sent))
    }

    async fn number(&self, path: &str) -> Option<i64> {
        let reply = self.client().get(path, SMALL).await.ok()?;
        let text = word(&reply);
        // Seconds may come with a fraction, which is of no matter here.
        if reply.status == 200 { text.split('.').next()?.parse().ok() } else { None }
    }

    /// A second, or the interval if that is shorter, doubled with every further failure up to a minute, and spread;
    /// nothing without a failure.
    fn backoff(&self, failures: u32) -> Duration {
        let first = self.shared.options.probe_interval.min(Duration::from_secs(1));
        match failures {
            0 => Duration::ZERO,
            _ => self.spread(first.saturating_mul(1 << (failures - 1).min(6)).min(BACKOFF_MAX)),
        }
    }

    /// A time ±20 %, another one each time.
    fn spread(&self, time: Duration) -> Duration {
        let step = self.spread.fetch_add(1, Ordering::Relaxed);
        spread(time, ((self.peer.id as u64 + 1) << 32) ^ step)
    }
}

fn word(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).trim().trim_matches('"').to_owned()
}

/// Whether there is something at an address, judged by what there is at one that does not exist.
fn differs(reply: &Reply, nowhere: &Reply) -> bool {
    reply.status != nowhere.status || (!reply.body.is_empty() && reply.body != nowhere.body)
}
