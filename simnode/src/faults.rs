//! Misbehaviour as data: which faults a node shows, and when.
//!
//! A set of faults is a seed and a list of rules. Whether a rule strikes depends only on the seed, the rule's place in
//! the list and how many requests have met its conditions, so one set over one sequence of requests always does the
//! same. Rules are looked at in order and the first of each stage strikes.

pub(crate) mod wire;

use crate::config::Plugins;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::Duration;

/// A fault. Durations are in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The child takes this much longer; for a solve, with its lock held.
    Delay { ms: u64 },
    /// The child never answers. A solve keeps its child's lock until the node restarts.
    Hang,
    /// Nothing listens while this rule is set: connections are refused, open ones are reset.
    Refuse,
    /// The connection is accepted and reset at once.
    ResetOnAccept,
    /// The connection is reset after this many bytes of the answer, head included; 0 is before the first.
    Reset { byte: u64 },
    /// Nothing more is sent after this many bytes of the answer, and the connection stays open.
    Stall { byte: u64 },
    /// The answer trickles.
    Drip { bytes_per_second: u32 },
    /// A chunked answer that never ends.
    EndlessChunked,
    /// The answer's JSON stops after this many bytes, under a head that fits it.
    TruncatedJson { keep: usize },
    /// The head promises this many bytes more than follow; if negative, more bytes follow than promised.
    WrongContentLength { off_by: i64 },
    /// Status 500 and nothing else.
    EmptyError,
    /// The page that IIS shows when the process behind it is gone.
    BadGatewayPage,
    /// Status 200 over the usual answer with this added to its `errors`.
    OkWithErrors { errors: Vec<String> },
    /// Status 200 over a plain text that tells of an error.
    OkWithText { text: String },
    /// Bytes that are no HTTP.
    Garbage,
    /// A well-formed answer of at least this many bytes.
    Huge { bytes: u64 },
    /// The lists of installed plug-ins say this instead; solves still use what is installed.
    WrongPlugins {
        #[serde(default)]
        grasshopper: Option<Plugins>,
        #[serde(default)]
        rhino: Option<Plugins>,
    },
    /// Every cached definition is forgotten before the request is looked at.
    StalePointer,
    /// The node goes down instead of answering, connections reset, and is back at once with nothing in memory.
    Restart,
}

/// When a rule strikes. All conditions must hold; an empty one strikes at every request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The path of the request, such as `/grasshopper`. Faults of accepting connections know no path.
    pub endpoint: Option<String>,
    /// Only the n-th request that the endpoint has seen since the rules were set, counted from 1.
    pub nth: Option<u64>,
    /// The chance to strike, 0 to 1.
    pub probability: Option<f64>,
    /// How often to strike at most.
    pub times: Option<u64>,
}

/// One fault and its conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub fault: Fault,
    #[serde(default)]
    pub when: When,
}

/// Every rule of a node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    pub seed: u64,
    pub rules: Vec<Rule>,
}

/// Where on the way of a request a fault acts. One fault of each stage can strike a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Accept,
    Arrive,
    Solve,
    Answer,
    Wire,
}

/// What has been chosen for one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Struck {
    pub(crate) arrive: Option<Fault>,
    pub(crate) solve: Option<Fault>,
    pub(crate) answer: Option<Fault>,
    pub(crate) wire: Option<Fault>,
}

/// The rules in force, with what each has counted.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    inner: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    faults: Faults,
    /// Per rule: requests that met its endpoint, and strikes.
    counts: Vec<(u64, u64)>,
}

// === impl Fault ===

impl Fault {
    fn stage(&self) -> Stage {
        match self {
            Self::Refuse | Self::ResetOnAccept => Stage::Accept,
            Self::WrongPlugins { .. } | Self::StalePointer | Self::Restart => Stage::Arrive,
            Self::Delay { .. } | Self::Hang => Stage::Solve,
            Self::TruncatedJson { .. }
            | Self::EmptyError
            | Self::BadGatewayPage
            | Self::OkWithErrors { .. }
            | Self::OkWithText { .. }
            | Self::EndlessChunked
            | Self::Huge { .. } => Stage::Answer,
            Self::Reset { .. }
            | Self::Stall { .. }
            | Self::Drip { .. }
            | Self::WrongContentLength { .. }
            | Self::Garbage => Stage::Wire,
        }
    }

    /// The word that stands for this fault in JSON and in the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Hang => "hang",
            Self::Refuse => "refuse",
            Self::ResetOnAccept => "reset_on_accept",
            Self::Reset { .. } => "reset",
            Self::Stall { .. } => "stall",
            Self::Drip { .. } => "drip",
            Self::EndlessChunked => "endless_chunked",
            Self::TruncatedJson { .. } => "truncated_json",
            Self::WrongContentLength { .. } => "wrong_content_length",
            Self::EmptyError => "empty_error",
            Self::BadGatewayPage => "bad_gateway_page",
            Self::OkWithErrors { .. } => "ok_with_errors",
            Self::OkWithText { .. } => "ok_with_text",
            Self::Garbage => "garbage",
            Self::Huge { .. } => "huge",
            Self::WrongPlugins { .. } => "wrong_plugins",
            Self::StalePointer => "stale_pointer",
            Self::Restart => "restart",
        }
    }

    /// This fault at every request.
    pub fn always(self) -> Rule {
        Rule { fault: self, when: When::default() }
    }

    /// This fault at every request to one endpoint.
    pub fn at(self, endpoint: &str) -> Rule {
        Rule { fault: self, when: When { endpoint: Some(endpoint.to_owned()), ..When::default() } }
    }
}

// === impl Rule ===

impl Rule {
    /// At most so many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.when.times = Some(times);
        self
    }

    /// Only at the n-th request, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.when.nth = Some(nth);
        self
    }
}

impl From<Rule> for Faults {
    fn from(rule: Rule) -> Self {
        Self { seed: 0, rules: vec![rule] }
    }
}

impl From<Vec<Rule>> for Faults {
    fn from(rules: Vec<Rule>) -> Self {
        Self { seed: 0, rules }
    }
}

// === impl Struck ===

impl Struck {
    /// The words of the faults that struck, in the order in which they act.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        [&self.arrive, &self.solve, &self.answer, &self.wire].into_iter().flatten().map(Fault::kind).collect()
    }
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(faults: Faults) -> Self {
        let plan = Self::default();
        plan.set(faults);
        plan
    }

    /// Replaces the rules; their counts begin again.
    pub(crate) fn set(&self, faults: Faults) {
        let counts = vec![(0, 0); faults.rules.len()];
        *self.counted() = Counted { faults, counts };
    }

    pub(crate) fn get(&self) -> Faults {
        self.counted().faults.clone()
    }

    /// Whether nothing may listen at all.
    pub(crate) fn refuses(&self) -> bool {
        self.counted().faults.rules.iter().any(|rule| rule.fault == Fault::Refuse)
    }

    /// Whether the connection that has just been accepted is to be reset.
    pub(crate) fn resets_accepted(&self) -> bool {
        self.counted().strike(Stage::Accept, None).is_some()
    }

    /// Chooses the faults of one request.
    pub(crate) fn request(&self, endpoint: &str) -> Struck {
        let mut counted = self.counted();
        Struck {
            arrive: counted.strike(Stage::Arrive, Some(endpoint)),
            solve: counted.strike(Stage::Solve, Some(endpoint)),
            answer: counted.strike(Stage::Answer, Some(endpoint)),
            wire: counted.strike(Stage::Wire, Some(endpoint)),
        }
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.inner.lock().expect("nothing panics while it holds this lock")
    }
}

// === impl Counted ===

impl Counted {
    /// The fault of the first rule of this stage that strikes. Every rule that is asked counts the request.
    fn strike(&mut self, stage: Stage, endpoint: Option<&str>) -> Option<Fault> {
        let mut struck = None;
        for (index, rule) in self.faults.rules.iter().enumerate() {
            let elsewhere = rule.when.endpoint.as_deref().is_some_and(|wanted| endpoint.is_some_and(|at| at != wanted));
            if rule.fault.stage() != stage || elsewhere {
                continue;
            }
            let (seen, strikes) = &mut self.counts[index];
            *seen += 1;
            let due = rule.when.nth.is_none_or(|nth| nth == *seen)
                && rule.when.times.is_none_or(|times| *strikes < times)
                && rule.when.probability.is_none_or(|chance| draw(self.faults.seed, index as u64, *seen) < chance);
            if due && struck.is_none() {
                *strikes += 1;
                struck = Some(rule.fault.clone());
            }
        }
        struck
    }
}

/// A number in [0, 1) that depends on nothing but its arguments: splitmix64 over their mix.
fn draw(seed: u64, rule: u64, request: u64) -> f64 {
    let mut state = seed ^ rule.rotate_left(32) ^ request.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for shift in [30, 27, 31] {
        state = (state ^ (state >> shift)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    let top = u32::try_from(state >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// Milliseconds of a fault as a duration.
pub(crate) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(plan: &Plan, endpoint: &str, requests: usize) -> Vec<bool> {
        (0..requests).map(|_| plan.request(endpoint).answer.is_some()).collect()
    }

    #[test]
    fn a_rule_counts_only_the_requests_of_its_endpoint() {
        let plan = Plan::new(Fault::EmptyError.at("/grasshopper").nth(2).into());
        assert_eq!(strikes(&plan, "/healthcheck", 3), [false; 3]);
        assert_eq!(strikes(&plan, "/grasshopper", 3), [false, true, false]);
    }

    #[test]
    fn a_rule_strikes_no_more_often_than_it_may() {
        let plan = Plan::new(Fault::EmptyError.always().times(2).into());
        assert_eq!(strikes(&plan, "/io", 4), [true, true, false, false]);
    }

    #[test]
    fn one_seed_always_gives_the_same_strikes_at_about_the_rate_asked_for() {
        let when = When { probability: Some(0.25), ..When::default() };
        let faults = |seed| Faults { seed, rules: vec![Rule { fault: Fault::EmptyError, when: when.clone() }] };
        let first = strikes(&Plan::new(faults(7)), "/io", 4_000);
        assert_eq!(first, strikes(&Plan::new(faults(7)), "/io", 4_000));
        assert_ne!(first, strikes(&Plan::new(faults(8)), "/io", 4_000));
        let rate = first.iter().filter(|&&struck| struck).count();
        assert!((900..1_100).contains(&rate), "{rate} of 4000");
    }

    #[test]
    fn faults_of_different_stages_strike_one_request_together() {
        let plan =
            Plan::new(vec![Fault::Delay { ms: 5 }.always(), Fault::Drip { bytes_per_second: 10 }.always()].into());
        assert_eq!(plan.request("/io").kinds(), ["delay", "drip"]);
    }

    #[test]
    fn rules_read_and_write_as_json_and_unknown_words_are_refused() {
        let text = r#"{"seed":1,"rules":[{"fault":{"kind":"reset","byte":10},"when":{"endpoint":"/io","nth":2}}]}"#;
        let faults: Faults = serde_json::from_str(text).unwrap();
        assert_eq!(faults, Faults { seed: 1, rules: vec![Fault::Reset { byte: 10 }.at("/io").nth(2)] });
        let again: Faults = serde_json::from_str(&serde_json::to_string(&faults).unwrap()).unwrap();
        assert_eq!(again, faults);
        for wrong in [
            r#"{"rules":[{"fault":{"kind":"rest"}}]}"#,
            r#"{"rule":[]}"#,
            r#"{"rules":[{"fault":{"kind":"reset","byt":1}}]}"#,
        ] {
            assert!(serde_json::from_str::<Faults>(wrong).is_err(), "{wrong}");
        }
    }
}
