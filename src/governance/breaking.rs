//! What a version breaks for the callers of another, as findings.
//!
//! Invariant: the comparison is the contract crate's; here it only gets places that can be opened, and a severity: a change is
//! an error where the version announces less than it needs.

use std::path::Path;

use contract::compat::rules::BUMP_TOO_SMALL;
use contract::compat::{self, Change, Comparison};
use serde_json::{Value, json};

use super::finding::Subject;
use super::revision::Revision;
use super::{Finding, Place, Report, Severity};

/// Compares, and tells each change at its place in the new version with the old place beside it.
pub fn compare(old: &Revision, new: &Revision) -> (Comparison, Report) {
    let comparison = compat::compare(&old.side(), &new.side());
    let mut findings: Vec<Finding> =
        comparison.changes.iter().map(|change| finding(change, &comparison, old, new)).collect();
    if !comparison.announces_all() {
        findings.push(too_small(&comparison, new));
    }
    let subject = Subject { name: format!("{} against {}", new.name, old.name), path: new.base.clone() };
    (comparison, Report { command: "breaking", subjects: vec![subject], findings })
}

fn place(base: &Path, place: &compat::Place) -> Place {
    Place::new(base.join(&place.file), place.at)
}

fn finding(change: &Change, comparison: &Comparison, old: &Revision, new: &Revision) -> Finding {
    let rule = change.rule;
    let announced = comparison.old != comparison.new && comparison.announced >= Some(rule.needs);
    let severity = if announced { Severity::Note } else { Severity::Error };
    let help = (severity == Severity::Error && !rule.help.is_empty()).then(|| rule.help.to_owned());
    let mut finding = Finding::new(rule.word, severity, place(&new.base, &change.new), &change.message)
        .pointer(&change.new.pointer)
        .help(help)
        .label(format!("needs a {} version", rule.needs))
        .related(place(&old.base, &change.old), format!("as it was in {}", old.name))
        .data("needs", rule.needs.word());
    if let Some(witness) = &change.witness {
        finding = finding.data("witness", witness.clone());
    }
    if let Some(lost) = &change.lost {
        finding = finding.data("lost", lost.clone());
    }
    finding
}

/// The version number itself, with the one that would do.
fn too_small(comparison: &Comparison, new: &Revision) -> Finding {
    let word = |bump: Option<compat::Bump>| bump.map_or(Value::Null, |bump| bump.word().into());
    let least = comparison.least_version();
    let needed = comparison.needed.map_or("no", compat::Bump::word);
    let message = match comparison.announced {
        Some(announced) => {
            format!(
                "{} to {} is a {announced} step, and the changes need a {needed} one",
                comparison.old, comparison.new
            )
        }
        None if comparison.old == comparison.new => format!("{} is published, and was changed", comparison.new),
        None => format!("{} is not later than {}, so it announces nothing", comparison.new, comparison.old),
    };
    let bytes = new.folder.files.get("manifest.json").map(|bytes| &**bytes).unwrap_or_default();
    let at = contract::json::spans::Spans::index(bytes).value("/version");
    Finding::new(BUMP_TOO_SMALL.word, Severity::Error, Place::new(new.base.join("manifest.json"), at), message)
        .pointer("/version")
        .help(format!("publish it as {least}"))
        .data("announced", word(comparison.announced))
        .data("needed", word(comparison.needed))
        .data("least_version", json!(least.to_string()))
}
