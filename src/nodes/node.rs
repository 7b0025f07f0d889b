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
            *self = Self { generation, ejected, ..Self::new(self.rules, self.seed) };
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
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        strikes_max: 3,
        misses_max: 2,
        passes_min: 2,
        ejection: Duration::from_secs(10),
        ejection_max: Duration::from_secs(25),
        ejection_spread: false,
        rate_solves_min: 8,
        slow_start_first: Duration::from_secs(2),
        slow_start: Duration::from_secs(30),
    };

    /// A script of moves, one letter each: `a`wake, `z` asleep, `m`issed, `s`truck, `k` struck where no node may be
    /// taken out, `o` an answered solve, `w`oken by a question, `d`rain, `r`esume; a digit is that many times five seconds of waiting.
    fn after(script: &str) -> Node {
        let mut node = Node::new(RULES, 1);
        let mut now = Instant::now();
        for letter in script.chars() {
            match letter {
                'a' => node.probed(Probe::Awake, true, now),
                'z' => node.probed(Probe::Asleep, true, now),
                'm' => node.probed(Probe::Failed("gone".into()), true, now),
                's' => node.struck("reset".into(), true, now),
                'k' => node.struck("reset".into(), false, now),
                'o' => node.answered(now),
                'w' => node.woken(),
                'd' => node.drain(),
                'r' => node.resume(),
                digit => now += Duration::from_secs(5) * digit.to_digit(10).unwrap(),
            }
        }
        node
    }

    #[test]
    fn every_move_leads_where_its_comment_says() {
        use State::{Asleep, Down, Draining, Suspect, Unknown, Up};
        let table = [
            ("", Unknown),
            ("a", Up),
            ("z", Asleep),
            ("m", Down),
            ("aa", Up),
            ("az", Asleep),
            ("za", Up),
            ("zo", Up),
            ("zw", Up),
            ("mw", Down),
            ("am", Suspect),
            ("ama", Up),
            ("amz", Asleep),
            ("amm", Down),
            ("amma", Down),
            ("ammaa", Up),
            ("ammama", Down),
            ("ammzz", Asleep),
            ("as", Suspect),
            ("aso", Up),
            // A passing probe alone does not clear a failed solve; a quiet time does.
            ("asa", Suspect),
            ("asaa1a", Suspect),
            ("as2a", Up),
            ("ass", Suspect),
            ("asss", Down),
            ("asosos", Suspect),
            // Where no node may be taken out, it stays the last resort.
            ("akkkkk", Suspect),
            // Out of service: probes pass, but not before the pause is over, and then it is on trial.
            ("asssaa", Down),
            ("asssaa2a", Suspect),
            ("asssaa2ao", Up),
            ("asssaa2as", Down),
            // The second pause is twice as long, the third as long as allowed.
            ("asssaa2as2aa", Down),
            ("asssaa2as4aa", Suspect),
            ("asssaa2as4aas4aa", Down),
            ("asssaa2as4aas5aa", Suspect),
            // Probes and solves fail together: an answered solve does not overrule the probes.
            ("asmo", Suspect),
            ("mo", Down),
            ("ms", Down),
            ("ad", Draining),
            ("adamso", Draining),
            ("adr", Unknown),
            ("adra", Up),
            ("ar", Up),
        ];
        for (script, state) in table {
            assert_eq!(after(script).state(), state, "{script:?}");
        }
    }

    #[test]
    fn the_generation_rises_when_processes_may_have_been_replaced() {
        for (script, generation) in
            [("aaa", 0), ("azza", 1), ("zo", 1), ("zw", 1), ("zwa", 1), ("ammaa", 1), ("asa", 0), ("adra", 1)]
        {
            assert_eq!(after(script).generation(), generation, "{script:?}");
        }
    }

    #[test]
    fn a_node_that_returns_is_loaded_slowly_and_one_that_starts_is_not() {
        let at = |node: &Node, seconds, total| {
            let since = node.returned_at.unwrap_or_else(Instant::now);
            node.open_slots(total, since + Duration::from_secs(seconds))
        };
        let boot = after("a");
        assert_eq!((at(&boot, 0, 8), boot.is_starting(Instant::now())), (8, false));
        let back = after("ammaa");
        assert_eq!(back.state(), State::Up);
        for (seconds, total, open) in [
            (0, 8, 1),
            (1, 8, 1),
            (2, 8, 1),
            (6, 8, 2),
            (16, 8, 4),
            (29, 8, 7),
            (30, 8, 8),
            (99, 8, 8),
            // With one slot there is nothing to grow.
            (0, 1, 1),
            (29, 1, 1),
        ] {
            assert_eq!(at(&back, seconds, total), open, "{total} slots after {seconds} s");
        }
        // On trial there is one at a time, however long; the start begins when the trial is passed.
        let trial = after("asssaa2a9");
        assert!(trial.is_on_trial());
        assert_eq!(at(&trial, 99, 8), 1);
        let passed = after("asssaa2ao");
        assert_eq!((passed.state(), at(&passed, 0, 8), at(&passed, 30, 8)), (State::Up, 1, 8));
    }

    #[test]
    fn a_trial_ends_with_a_solve_and_not_with_time() {
        assert_eq!(after("asssaa2a").state(), State::Suspect);
        assert_eq!(after("asssaa2a9a9a").state(), State::Suspect);
        // A late answer of an earlier solve does not shorten the pause.
        assert_eq!(after("asssoaa").state(), State::Down);
        // One that goes away meanwhile comes back as one that was away.
        assert_eq!(after("asssaa2ammaa").state(), State::Up);
    }

    #[test]
    fn a_node_that_fails_most_of_its_solves_is_taken_out_though_never_thrice_in_a_row() {
        assert_eq!(after("asosososo").state(), State::Up, "half is not most");
        assert_eq!(after("assosso").state(), State::Up, "five are too few");
        assert_eq!(after("assossoss").state(), State::Down);
        assert_eq!(after("assosso3ss").state(), State::Suspect, "what is older than ten seconds is forgotten");
    }

    #[test]
    fn u8_a_node_that_comes_and_goes_is_left_out_for_longer_each_time() {
        for (period, seed) in [(4, 1), (4, 2), (6, 3), (10, 4)] {
            let mut node = Node::new(Rules::default(), seed);
            let (start, mut changes, mut up_while_away) = (Instant::now(), 0, 0);
            // Five minutes of a probe a second; away for the second half of each period.
            for second in 0..300 {
                let (before, now) = (node.state() == State::Down, start + Duration::from_secs(second));
                let away = second % period * 2 >= period;
                let probe = if away { Probe::Failed("gone".into()) } else { Probe::Awake };
                node.probed(probe, true, now);
                changes += u32::from((node.state() == State::Down) != before);
                up_while_away += u32::from(away && node.state() == State::Up);
            }
            assert!(
                (3..=20).contains(&changes),
                "{changes} times in or out of service in five minutes, period {period}"
            );
            assert_eq!(up_while_away, 0, "the first missed probe makes it the last choice");
        }
        // Where no other node serves it is taken back as soon as it answers twice.
        for (may_hold, state) in [(true, State::Down), (false, State::Up)] {
            let mut node = Node::new(RULES, 1);
            let now = Instant::now();
            for failed in [false, true, true, false, false, true, true, false, false] {
                let probe = if failed { Probe::Failed("gone".into()) } else { Probe::Awake };
                node.probed(probe, may_hold, now);
            }
            assert_eq!(node.state(), state);
        }
    }

    #[test]
    fn pauses_are_spread_and_never_leave_their_bounds() {
        let pause = |seed, times| {
            let node = Node::new(Rules::default(), seed);
            node.pause(times)
        };
        for seed in 0..200 {
            for times in 1..40 {
                let plain = Duration::from_secs(15).saturating_mul(times).min(Duration::from_mins(5));
                assert!(pause(seed, times) >= plain * 4 / 5 && pause(seed, times) <= plain * 6 / 5);
            }
        }
        assert_ne!(pause(1, 1), pause(2, 1));
    }

    #[test]
    fn a_node_that_is_out_says_why_and_forgets_it_when_back() {
        assert_eq!(after("amm").why(), Some("gone"));
        assert_eq!(after("asss").why(), Some("reset"));
        assert_eq!(after("asss2aao").why(), None);
    }
}
