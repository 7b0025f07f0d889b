//! Whether an alias may move to a version: a verdict, and each reason for it.
//!
//! Invariant: what nobody was asked is told as not known, never as fine.

use std::fmt::Write as _;

use contract::compat::{self, Bump};
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use super::recorded::{Replay, Replayed};
use super::revision::Revision;
use crate::admin::Health;
use crate::admin::health::{Status, VersionHealth};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub result: Outcome,
    /// In a line.
    pub detail: String,
    /// One by one, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Recorded inputs that the version refuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Replayed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Pass,
    Fail,
    /// Nobody was asked.
    Unknown,
}

/// All of it.
#[derive(Debug)]
pub struct Verdict {
    pub app: String,
    pub alias: String,
    /// Where the alias points now.
    pub from: Option<Version>,
    pub to: Version,
    pub checks: Vec<Check>,
}

/// What is known of the inputs that callers send.
#[derive(Debug)]
pub enum Known {
    Replayed(Replay),
    /// Why there are none.
    Nothing(String),
}

/// Judges a version that loads. `old` is where the alias points now, `health` what a running gateway says, `known` what callers send.
pub fn judge(alias: &str, old: Option<&Revision>, new: &Revision, health: Option<&Health>, known: &Known) -> Verdict {
    let contract = &new.contract;
    let mut checks = vec![Check {
        name: "check",
        result: Outcome::Pass,
        detail: format!("{} loads without faults", new.name),
        reasons: Vec::new(),
        refused: Vec::new(),
    }];
    checks.push(nodes(new, health));
    if let Some(old) = old.filter(|old| old.contract.version != contract.version) {
        checks.extend([breaking(old, new), examples(old, new), recorded(&old.contract.version, known)]);
    } else {
        let detail = match old {
            Some(_) => format!("`{alias}` is there already"),
            None => format!("`{alias}` points nowhere, so nobody depends on it"),
        };
        checks.push(Check::new("breaking", Outcome::Pass, detail, Vec::new()));
    }
    Verdict {
        app: contract.app_id.clone(),
        alias: alias.to_owned(),
        from: old.map(|old| old.contract.version.clone()),
        to: contract.version.clone(),
        checks,
    }
}

/// A version that does not load.
pub fn refused(app: &str, alias: &str, to: Version, faults: &[contract::Fault]) -> Verdict {
    let check = Check {
        name: "check",
        result: Outcome::Fail,
        detail: format!("{app}:{to} does not load; `appserver check` shows each place"),
        reasons: faults.iter().map(ToString::to_string).collect(),
        refused: Vec::new(),
    };
    Verdict { app: app.to_owned(), alias: alias.to_owned(), from: None, to, checks: vec![check] }
}

fn nodes(new: &Revision, health: Option<&Health>) -> Check {
    let check = |result, detail: String, reasons| Check::new("nodes", result, detail, reasons);
    let Some(health) = health else {
        return check(Outcome::Unknown, "no gateway was asked; --url asks one".to_owned(), Vec::new());
    };
    let contract = &new.contract;
    let app = health.apps.iter().find(|app| app.app_id == contract.app_id);
    let version = app.and_then(|app| app.versions.iter().find(|version| version.version == contract.version));
    let Some(version) = version else {
        return check(Outcome::Fail, format!("the gateway has no {}", new.name), Vec::new());
    };
    let other = version.digest.as_ref().is_some_and(|digest| *digest != contract.digest.to_string());
    if other {
        let detail = "the gateway serves other content under this version than lies here".to_owned();
        return check(Outcome::Fail, detail, Vec::new());
    }
    let VersionHealth { nodes_ready, nodes_total, missing_plugins, reason, .. } = version;
    let detail = format!("{nodes_ready} of {nodes_total} nodes attest it");
    let mut reasons: Vec<String> = missing_plugins.iter().map(|plugin| format!("missing {plugin}")).collect();
    reasons.extend(reason.as_ref().map(|reason| reason.message.clone()));
    match version.status {
        Status::Ready => check(Outcome::Pass, detail, reasons),
        Status::Loading | Status::Degraded | Status::Refused => {
            check(Outcome::Fail, format!("{detail}; it is not ready"), reasons)
        }
    }
}

fn breaking(old: &Revision, new: &Revision) -> Check {
    let comparison = compat::compare(&old.side(), &new.side());
    let broken = comparison.changes.iter().filter(|change| change.rule.needs == Bump::Major);
    let reasons: Vec<String> = broken.map(|change| format!("{}: {}", change.rule.word, change.message)).collect();
    let (result, detail) = if reasons.is_empty() {
        let needed = comparison.needed.map_or("no", Bump::word);
        (Outcome::Pass, format!("compatible with {}: {needed} step", old.contract.version))
    } else {
        let changes = match reasons.len() {
            1 => "1 change breaks".to_owned(),
            count => format!("{count} changes break"),
        };
        (Outcome::Fail, format!("{changes} callers of {}", old.contract.version))
    };
    Check::new("breaking", result, detail, reasons)
}

/// The old version's own examples are what its callers were shown.
fn examples(old: &Revision, new: &Revision) -> Check {
    let examples = &old.contract.examples.valid;
    let mut reasons = Vec::new();
    for example in examples {
        if let Err(violations) = new.contract.check_inputs(&example.inputs) {
            let first = violations.first().map(|violation| format!("{} {}", violation.pointer, violation.message));
            reasons.push(format!("{}: {}", example.name, first.unwrap_or_default()));
        }
    }
    let (all, refused) = (examples.len(), reasons.len());
    let accepted = all - refused;
    let detail = format!("of the {all} examples of {}, {accepted} accepted, {refused} refused", old.contract.version);
    let result = if refused > 0 { Outcome::Fail } else { Outcome::Pass };
    Check::new("examples", result, detail, reasons)
}

/// What callers of the old version really sent.
fn recorded(old: &Version, known: &Known) -> Check {
    let replay = match known {
        Known::Replayed(replay) => replay,
        Known::Nothing(why) => return Check::new("inputs", Outcome::Unknown, why.clone(), Vec::new()),
    };
    let (asked, refused) = (replay.asked, replay.refused.iter().filter(|refused| !refused.only_if_spelled_out).count());
    let spelled = replay.refused.len() - refused;
    let drawn = if replay.whole { String::new() } else { format!(" (a draw from about {})", replay.distinct) };
    let mut detail =
        format!("of {asked} distinct inputs that callers of {old} sent{drawn}, {refused} would be refused");
    if spelled > 0 {
        let _ = write!(detail, ", and {spelled} more from callers who spell out a default");
    }
    if replay.unreadable > 0 {
        let _ = write!(detail, "; {} were no inputs of {old} and not replayed", replay.unreadable);
    }
    let result = match (asked, refused, spelled) {
        (0, _, _) => Outcome::Unknown,
        (_, 0, 0) => Outcome::Pass,
        // Whether anybody spells it out was not recorded.
        (_, 0, _) => Outcome::Unknown,
        (_, _, _) => Outcome::Fail,
    };
    let mut reasons: Vec<String> = replay.refused.iter().take(REASONS).map(ToString::to_string).collect();
    if replay.refused.len() > REASONS {
        reasons.push(format!("and {} more; --json has all", replay.refused.len() - REASONS));
    }
    Check { refused: replay.refused.clone(), ..Check::new("inputs", result, detail, reasons) }
}

/// Refused inputs that are shown to people.
const REASONS: usize = 20;

// === impl Check ===

impl Check {
    fn new(name: &'static str, result: Outcome, detail: String, reasons: Vec<String>) -> Self {
        Self { name, result, detail, reasons, refused: Vec::new() }
    }
}

// === impl Verdict ===

impl Verdict {
    pub fn may(&self) -> bool {
        self.checks.iter().all(|check| check.result != Outcome::Fail)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "app": self.app,
            "alias": self.alias,
            "from": self.from,
            "to": self.to,
            "may": self.may(),
            "checks": self.checks,
        })
    }

    pub fn to_text(&self) -> String {
        let Self { app, alias, from, to, .. } = self;
        let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        let (word, verb) = if self.may() { ("Yes", "can") } else { ("No", "must not") };
        let mut text = format!("{word}: {app} {alias} {verb} move{from} to {to}\n");
        for check in &self.checks {
            let sign = match check.result {
                Outcome::Pass => '✓',
                Outcome::Fail => '×',
                Outcome::Unknown => '?',
            };
            let _ = write!(text, "\n  {sign} {:<9} {}", check.name, check.detail);
            for reason in &check.reasons {
                let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                let _ = write!(text, "\n              {reason}");
            }
        }
        text
    }
}
