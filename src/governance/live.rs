//! `check --url` and `check --pre`: what is well and what is not with a gateway, one line a check, in groups.
//!
//! Invariant: a pure function of what was asked; each check that does not pass says what to do, and where that is explained.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::admin::Health;
use crate::admin::health::{Overall, Reason, Status};
use crate::nodes::node::State;

/// A group of checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Category {
    pub name: &'static str,
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A stable word with a page of its own.
    pub id: &'static str,
    pub result: Outcome,
    /// What it is about, such as a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where it is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    Warning,
    Error,
}

/// What a gateway answered.
#[derive(Debug)]
pub struct Answers {
    pub took: std::time::Duration,
    pub health: Health,
    /// Its `Date`.
    pub date: Option<Timestamp>,
    /// Status of `/readyz`, and what it says.
    pub ready: (u16, String),
}

/// A clock that is further off spoils expiry times and logs.
const CLOCK_SEC: i64 = 30;

/// Everything that a gateway's answers show.
pub fn judge(answers: &Answers, now: Timestamp) -> Vec<Category> {
    let health = &answers.health;
    vec![
        Category { name: "gateway", checks: gateway(answers, now) },
        Category { name: "registry", checks: registry(health) },
        Category { name: "nodes", checks: nodes(health) },
        Category { name: "contracts", checks: contracts(health) },
    ]
}

fn gateway(answers: &Answers, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![Check::good("gateway_unreachable", format!("reachable in {} ms", answers.took.as_millis()))];
    let (status, words) = &answers.ready;
    checks.push(match status {
        200 => Check::good("gateway_not_ready", "takes traffic"),
        _ => Check::bad("gateway_not_ready", format!("takes no traffic: {}", words.trim()))
            .hint("see the nodes and contracts below; while it drains, this is meant"),
    });
    checks.push(version(answers.health.appserver.as_deref(), env!("CARGO_PKG_VERSION")));
    if let Some(date) = answers.date {
        checks.push(clock("gateway_clock", date, now));
    }
    checks
}

/// Whether the gateway is what this command was made with.
fn version(theirs: Option<&str>, ours: &str) -> Check {
    match theirs {
        Some(theirs) if theirs == ours => {
            Check::good("gateway_version", format!("version {ours}, the same as this command"))
        }
        Some(theirs) => Check::poor("gateway_version", format!("the gateway is {theirs}, this command {ours}"))
            .hint("install the same version of both: what one writes the other may not know"),
        None => {
            Check::poor("gateway_version", format!("the gateway does not tell its version; this command is {ours}"))
                .hint("it is older than this command")
        }
    }
}

/// Whether another computer's clock agrees with this one's.
pub fn clock(id: &'static str, date: Timestamp, now: Timestamp) -> Check {
    match (now.as_second() - date.as_second()).abs() {
        0..=CLOCK_SEC => Check::good(id, format!("clock within {CLOCK_SEC} s of this computer")),
        off => Check::poor(id, format!("its clock is {off} s off this computer's"))
            .hint("let both follow a time server: keys and tokens expire by the clock"),
    }
}

fn registry(health: &Health) -> Vec<Check> {
    let (generation, loaded) = (health.generation, health.loaded_at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    let mut checks = vec![match health.stale_since {
        None => Check::good("registry_stale", format!("follows its folder, generation {generation} of {loaded}")),
        Some(since) => {
            let why = health.reload_error.as_deref().unwrap_or("no reason is known");
            Check::bad("registry_stale", format!("cannot follow its folder since {since}: {why}"))
                .hint("mount or restore the folder; what it held last keeps serving")
        }
    }];
    let stray = |reason: &Reason| {
        let at = reason.file.as_deref().unwrap_or("the registry");
        Check::poor("registry_alarm", format!("{} ({})", reason.message, reason.code))
            .about(at)
            .hint("`appserver check --registry DIR` shows it with its place")
    };
    checks.extend(health.strays.iter().map(stray));
    checks
}

fn nodes(health: &Health) -> Vec<Check> {
    let up = health.nodes.iter().filter(|node| matches!(node.state, State::Up | State::Asleep)).count();
    let (all, free) = (health.nodes.len(), health.nodes.iter().map(|node| node.free).sum::<u32>());
    let slots: u32 = health.nodes.iter().map(|node| node.slots).sum();
    let mut checks = vec![match up {
        0 => Check::bad("no_node", format!("none of {all} nodes is up")).hint("`appserver node list` tells why"),
        up => Check::good("no_node", format!("{up} of {all} nodes up, {free} of {slots} slots free")),
    }];
    for node in &health.nodes {
        let why = node.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let state = format!("{}{why}", node.state.as_str());
        let check = match node.state {
            State::Up | State::Asleep => continue,
            State::Down => {
                Check::bad("node_down", state).hint("does Rhino.Compute run there, and is its address right?")
            }
            State::Suspect => {
                Check::poor("node_down", state).hint("it failed lately, and is used where there is no better")
            }
            State::Unknown => Check::poor("node_down", state).hint("it was not asked yet: --wait gives it time"),
            State::Draining => {
                Check::poor("node_draining", state).hint("take it back with `appserver node resume NAME`")
            }
        };
        checks.push(check.about(&node.name));
    }
    let wedged: u32 = health.nodes.iter().map(|node| node.wedged).sum();
    if wedged > 0 {
        let message = format!("{wedged} slots are held by solves past their deadline");
        checks.push(
            Check::poor("node_timeout", message)
                .hint("they come back when the node has answered; a restart of Rhino.Compute frees them"),
        );
    }
    checks
}

fn contracts(health: &Health) -> Vec<Check> {
    let versions = || health.apps.iter().flat_map(|app| app.versions.iter().map(move |version| (app, version)));
    let ready = versions().filter(|(_, version)| version.status == Status::Ready).count();
    let (all, apps) = (versions().count(), health.apps.len());
    let mut checks = vec![match (health.status, ready) {
        (Overall::Fail, _) | (_, 0) => Check::bad("gateway_not_ready", format!("none of {all} versions is ready")),
        (_, ready) => Check::good("gateway_not_ready", format!("{ready} of {all} versions of {apps} apps ready")),
    }];
    for (app, version) in versions() {
        let reason = version.reason.as_ref();
        let why = reason.map(|reason| format!(": {}", reason.message)).unwrap_or_default();
        let place = reason.and_then(|reason| reason.file.as_ref().map(|file| (file, reason.line.unwrap_or(1))));
        let at = place.map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
        let nodes = format!("{} of {} nodes", version.nodes_ready, version.nodes_total);
        let check = match version.status {
            Status::Ready if version.nodes_ready < version.nodes_total => {
                Check::poor("version_degraded", format!("ready on {nodes} only{why}"))
                    .hint("`appserver matrix` shows what the others lack")
            }
            Status::Ready => continue,
            Status::Loading => {
                Check::poor("version_loading", format!("not known yet{why}")).hint("--wait gives it time")
            }
            Status::Degraded => Check::bad("version_degraded", format!("degraded, {nodes}{why}{at}"))
                .hint("install what is missing on a node, or see which example differs"),
            Status::Refused => Check::bad("version_refused", format!("refused{why}{at}"))
                .hint("`appserver check` of its folder shows all of its faults"),
        };
        checks.push(check.about(&format!("{}:{}", app.app_id, version.version)));
    }
    checks
}

/// For people: a mark and a line a check, its hint below. `short` leaves out what is well.
pub fn table(categories: &[Category], short: bool) -> String {
    let mut text = String::new();
    for category in categories {
        let shown = |check: &&Check| !short || check.result != Outcome::Success;
        let mut checks = category.checks.iter().filter(shown).peekable();
        if checks.peek().is_some() {
            let _ = writeln!(text, "{}", category.name);
        }
        for check in checks {
            let subject = check.subject.as_ref().map(|subject| format!("{subject} ")).unwrap_or_default();
            let _ = writeln!(text, "  {} {subject}{}", check.result.mark(), check.message);
            for line in check.hint.iter().cloned().chain(check.url.as_ref().map(|url| format!("see {url}"))) {
                let _ = writeln!(text, "      {line}");
            }
        }
    }
    let _ = writeln!(text, "{}Status: {}", if text.is_empty() { "" } else { "\n" }, status(categories));
    text
}

/// "not healthy (1 failed, 2 warnings of 19)"
fn status(categories: &[Category]) -> String {
    let all = || categories.iter().flat_map(|category| &category.checks);
    let count = |result| all().filter(|check| check.result == result).count();
    let (failed, warnings, of) = (count(Outcome::Error), count(Outcome::Warning), all().count());
    match (failed, warnings) {
        (0, 0) => format!("healthy ({of} checks)"),
        (0, warnings) => format!("healthy ({warnings} warnings of {of})"),
        (failed, warnings) => format!("not healthy ({failed} failed, {warnings} warnings of {of})"),
    }
}

/// The worst of all.
pub fn worst(categories: &[Category]) -> Outcome {
    let all = || categories.iter().flat_map(|category| &category.checks).map(|check| check.result);
    [Outcome::Error, Outcome::Warning]
        .into_iter()
        .find(|worst| all().any(|result| result == *worst))
        .unwrap_or(Outcome::Success)
}

/// Tells each check that did not pass where the gateway explains it.
pub fn link(categories: &mut [Category], base: &str) {
    for check in categories.iter_mut().flat_map(|category| &mut category.checks) {
        if check.result != Outcome::Success {
            check.url = Some(format!("{base}/problems/{}", check.id));
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn mark(self) -> char {
        match self {
            Self::Success => '✓',
            Self::Warning => '!',
            Self::Error => '×',
        }
    }
}

// === impl Check ===

impl Check {
    fn new(id: &'static str, result: Outcome, message: impl Into<String>) -> Self {
        Self { id, result, subject: None, message: message.into(), hint: None, url: None }
    }

    pub fn good(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Outcome::Success, message)
    }

    pub fn poor(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Outcome::Warning, message)
    }

    pub fn bad(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Outcome::Error, message)
    }

    #[must_use]
    pub fn about(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_of_another_version_or_that_tells_none_is_a_warning() {
        let result = |theirs| version(theirs, "0.2.0").result;
        assert_eq!(result(Some("0.2.0")), Outcome::Success);
        assert_eq!([result(Some("0.1.0")), result(None)], [Outcome::Warning; 2]);
    }
}
