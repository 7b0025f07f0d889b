//! One node's health: a state machine with named moves, told of probes and solves, and of the time they happened.
//!
//! Two kinds of evidence are kept apart. A **probe** says whether the process answers; a **solve** says whether it
//! works. Where the check fails and solves do not, the node is *unwell*: out of service, unless most are. A node whose health check is fine while its solver hangs is a common case, so a passing probe never wipes
//! out what solves have shown, and only an answered solve or a quiet time does.
//!
//! Invariant: no clock and no socket in here, and no move but those named below.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::spread::spread;
use super::window::Window;

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not yet probed.
    Unknown,
    /// Answers, and works as far as is known.
    Up,
    /// Answers, and has no child awake: the first solve waits for one and starts the meter.
    Asleep,
    /// Failed lately; used where there is no better.
    Suspect,
    /// Not used.
    Down,
    /// Finishes what it has and takes nothing new.
    Draining,
}

impl State {
    /// The word that stands for it in JSON, logs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Asleep => "asleep",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Draining => "draining",
        }
    }
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It answered, and children are awake, or nobody can tell.
    Awake,
    /// It answered, and no child is awake.
    Asleep,
    /// It lives, and does not pass the check: it says so, or takes too long to say anything.
    Unwell(String),
    /// It cannot be reached, or is none of ours.
    Failed(String),
}

/// The figures of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Failed solves in a row that take a node out of service.
    pub strikes_max: u32,
    /// Failed probes in a row that do.
    pub misses_max: u32,
    /// Passed probes in a row that bring it back.
    pub passes_min: u32,
    /// The first time out of service for failed solves; grows by itself with each further time.
    pub ejection: Duration,
    /// The longest.
    pub ejection_max: Duration,
    /// Whether that time is spread by a fifth either way, so that nodes do not come back in step.
    pub ejection_spread: bool,
    /// Solves within ten seconds from which on the rate of failures counts, too: more than half take a node out.
    pub rate_solves_min: u32,
    /// How long a node that comes back is given one solve at a time.
    pub slow_start_first: Duration,
    /// After how long it is given all that it takes; in between the number grows evenly.
    pub slow_start: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            strikes_max: 5,
            misses_max: 2,
            passes_min: 2,
            ejection: Duration::from_secs(15),
            ejection_max: Duration::from_mins(5),
            ejection_spread: true,
            rate_solves_min: 20,
            slow_start_first: Duration::from_secs(2),
            slow_start: Duration::from_secs(30),
        }
    }
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Node {
    state: State,
    rules: Rules,
    /// Failed solves in a row.
    strikes: u32,
    /// When the last of them was.
    struck_at: Option<Instant>,
    misses: u32,
    /// Whether the last of them was the check's word only.
    unwell: bool,
    passes: u32,
    /// Times out of service for failed solves since a solve was last answered.
    ejections: u32,
    /// All of them.
    ejected: u64,
    /// Out of service until then at least.
    ejected_until: Option<Instant>,
    /// Times that probes have put it out of service, each soon after the one before.
    falls: u32,
    /// When the last of them was.
    fell_at: Option<Instant>,
    /// Back from being out for failed solves, and not yet shown to work: one solve at a time, the canary.
    on_trial: bool,
    /// When it came back into service; nothing for a node that was never out.
    returned_at: Option<Instant>,
    /// Solves answered and failed of late.
    recent: Window,
    /// Parts this node's times from those of others.
    seed: u64,
    /// Counts the times that the processes behind the address may have been replaced.
    generation: u64,
    why: Option<String>,
}

impl Node {
    /// A node that has not been probed. The seed parts its times from those of others.
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self {
            state: State::Unknown,
            rules,
            strikes: 0,
            struck_at: None,
            misses: 0,
            unwell: false,
            passes: 0,
            ejections: 0,
            ejected: 0,
            ejected_until: None,
            falls: 0,
            fell_at: None,
            on_trial: false,
            returned_at: None,
            recent: Window::default(),
            seed,
            generation: 0,
            why: None,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is not up, in a few words; for people.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Rises whenever what is installed behind the address may have changed: after it was down, and when sleeping
    /// children were started anew. What was read from an earlier generation must be read again.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How often failed solves have put it out of service, ever.
    pub fn ejected(&self) -> u64 {
        self.ejected
    }

    /// Whether it is out of service for failed solves, and not because it is away.
    pub fn is_ejected(&self) -> bool {
        self.state == State::Down && self.ejected_until.is_some()
    }

    /// Whether it is out of service by the check's word alone: it can be reached, and no solve speaks against it.
    pub fn is_unwell(&self) -> bool {
        self.state == State::Down && self.unwell && self.ejected_until.is_none() && self.strikes == 0
    }

    /// Whether it is back from that and waits for the one solve that shows that it works.
    pub fn is_on_trial(&self) -> bool {
        self.on_trial && self.state == State::Suspect
    }

    /// How many of its slots may be in use: one on trial; after it came back one at first, and then more, evenly, up
    /// to all. A node that was never out has all from the start.
    pub fn open_slots(&self, total: u32, now: Instant) -> u32 {
        if self.is_on_trial() {
            return total.min(1);
        }
        let Some(since) = self.returned_at.map(|at| now.saturating_duration_since(at)) else { return total };
        let Rules { slow_start_first: first, slow_start: whole, .. } = self.rules;
        if since >= whole {
            return total;
        }
        let (grown, span) = (since.saturating_sub(first).as_millis(), whole.saturating_sub(first).as_millis().max(1));
        let more = u128::from(total.saturating_sub(1)) * grown / span;
        total.min(1).saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(total)
    }

    /// Whether [`Self::open_slots`] is still growing.
    pub fn is_starting(&self, now: Instant) -> bool {
        self.returned_at.is_some_and(|at| now.saturating_duration_since(at) < self.rules.slow_start)
    }

    /// Takes a probe's result. `may_hold` is false where no other node serves: one that comes and goes is then better
    /// than none.
    pub fn probed(&mut self, probe: Probe, may_hold: bool, now: Instant) {
        match probe {
            Probe::Unwell(why) => {
                self.unwell = true;
                self.missed(why, now);
            }
            Probe::Failed(why) => {
                self.unwell = false;
                self.missed(why, now);
            }
            Probe::Awake => self.passed(State::Up, may_hold, now),
            Probe::Asleep => self.passed(State::Asleep, may_hold, now),
        }
    }

    /// A solve was answered, be it with a definition's errors: the solver works.
    pub fn answered(&mut self, now: Instant) {
        self.recent.add(now, 1, 0);
        self.strikes = 0;
        match self.state {
            // Out for failed solves: a late answer of an earlier solve does not shorten the pause.
            State::Down => return,
            State::Unknown | State::Up | State::Asleep | State::Suspect | State::Draining => {}
        }
        self.ejections = 0;
        if std::mem::take(&mut self.on_trial) {
            self.returned_at = Some(now);
        }
        match self.state {
            // Asleep -> Up: the solve has started children, with what is installed now.
            State::Asleep => self.woken(),
            // Suspect -> Up, unless probes fail at the same time: those decide for themselves.
            State::Suspect if self.misses == 0 => self.enter(State::Up, None),
            // A late answer of a node that is down, unknown or draining changes nothing: probes bring it back.
            State::Suspect | State::Up | State::Unknown | State::Down | State::Draining => {}
        }
    }

    /// Asleep -> Up: it was asked what only a child can answer, and did.
    pub fn woken(&mut self) {
        if self.state == State::Asleep {
            self.generation += 1;
            self.enter(State::Up, None);
        }
    }

    /// A solve failed by the node's fault. `may_eject` is false where too few nodes would be left: a suspect that
    /// answers now and then is better than none.
    pub fn struck(&mut self, why: String, may_eject: bool, now: Instant) {
        self.strikes = self.strikes.saturating_add(1);
        self.struck_at = Some(now);
        self.recent.add(now, 0, 1);
        let (answered, failed) = self.recent.sums(now);
        let many = answered.saturating_add(failed) >= self.rules.rate_solves_min && failed > answered;
        match self.state {
            // Suspect, Up or Asleep -> Down: too many in a row, or most of the latest. For longer each time.
            State::Up | State::Asleep | State::Suspect
                if may_eject && (self.strikes >= self.rules.strikes_max || many) =>
            {
                self.ejections = self.ejections.saturating_add(1);
                self.ejected += 1;
                self.ejected_until = Some(now + self.pause(self.ejections));
                self.passes = 0;
                self.on_trial = false;
                self.recent = Window::default();
                self.enter(State::Down, Some(why));
            }
            // Up or Asleep -> Suspect: once may be chance.
            State::Up | State::Asleep | State::Suspect => self.enter(State::Suspect, Some(why)),
            State::Unknown | State::Down | State::Draining => {}
        }
    }

    /// Any -> Draining: an operator's word.
    pub fn drain(&mut self) {
        self.enter(State::Draining, None);
    }

    /// Draining -> Unknown: back, to be probed like a new one.
    pub fn resume(&mut self) {
        if self.state == State::Draining {
            let (generation, ejected) = (self.generation + 1, self.ejected);
            *self = Self { ejected, generation, ..Self::new(self.rules, self.seed) };
        }
    }

    /// How long it is out the n-th time in a row: longer with each time, up to the longest, and spread.
    fn pause(&self, times: u32) -> Duration {
        let pause = self.rules.ejection.saturating_mul(times).min(self.rules.ejection_max);
        let seed = self.seed.wrapping_shl(16) ^ u64::from(times);
        if self.rules.ejection_spread { spread(pause, seed) } else { pause }
    }

    fn passed(&mut self, seen: State, may_hold: bool, now: Instant) {
        self.misses = 0;
        self.passes = self.passes.saturating_add(1);
        match self.state {
            // Unknown -> Up or Asleep: the first probe passed.
            State::Unknown => self.enter(seen, None),
            // Up -> Asleep: the children have left.
            State::Up if seen == State::Asleep => self.enter(State::Asleep, None),
            // Asleep -> Up: children have been started.
            State::Asleep if seen == State::Up => self.woken(),
            // Suspect -> Up or Asleep: no failed solve, or none for as long as it would have been put out of service.
            // Not on trial: that ends with a solve only.
            State::Suspect if !self.on_trial && self.is_quiet(now) => {
                self.strikes = 0;
                self.enter(seen, None);
            }
            State::Down if self.passes >= self.rules.passes_min => {
                self.returned(seen, may_hold, now);
            }
            State::Suspect | State::Up | State::Asleep | State::Down | State::Draining => {}
        }
    }

    /// The way back from [`State::Down`], by the road that led there.
    fn returned(&mut self, seen: State, may_hold: bool, now: Instant) {
        match self.ejected_until {
            Some(until) if now < until => {}
            // Down -> Suspect: the pause is over and probes pass, but only a solve can show that it works; the next
            // failed one takes it out again.
            Some(_) => {
                self.ejected_until = None;
                self.on_trial = true;
                self.strikes = self.rules.strikes_max.saturating_sub(1);
                self.struck_at = Some(now);
                self.generation += 1;
                let why = self.why.take();
                self.enter(State::Suspect, why);
            }
            // It comes and goes: the second time soon after the first it is left out for a while, then for longer.
            None if may_hold && self.is_held(now) => {}
            // Down -> Up or Asleep: enough probes in a row.
            None => {
                self.generation += 1;
                self.returned_at = Some(now);
                self.enter(seen, None);
            }
        }
    }

    fn is_held(&self, now: Instant) -> bool {
        let pause = self.pause(self.falls.saturating_sub(1));
        self.fell_at.is_some_and(|at| now.saturating_duration_since(at) < pause)
    }

    fn missed(&mut self, why: String, now: Instant) {
        self.passes = 0;
        self.misses = self.misses.saturating_add(1);
        match self.state {
            // Unknown -> Down: it was never there.
            State::Unknown => self.enter(State::Down, Some(why)),
            // Up, Asleep or Suspect -> Down: too many in a row.
            State::Up | State::Asleep | State::Suspect if self.misses >= self.rules.misses_max => {
                self.on_trial = false;
                let last = self.fell_at.replace(now).map(|at| now.saturating_duration_since(at));
                let soon = last.is_some_and(|last| last < self.rules.ejection_max);
                self.falls = if soon { self.falls.saturating_add(1) } else { 1 };
                self.enter(State::Down, Some(why));
            }
            // Up or Asleep -> Suspect: once may be chance.
            State::Up | State::Asleep | State::Suspect => self.enter(State::Suspect, Some(why)),
            State::Down => self.why = Some(why),
            State::Draining => {}
        }
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let since = self.struck_at.map(|at| now.saturating_duration_since(at));
        self.strikes == 0 || since.is_none_or(|since| since >= self.rules.ejection)
    }

    fn enter(&mut self, state: State, why: Option<String>) {
        self.state = state;
        self.why = why;
    }
}

#[cfg(test)]
mod tests;
