//! What a command found in somebody's files, and how much of it there was.
//!
//! Invariant: a finding has a rule with a page of its own (`appserver explain <rule>`), and a place that can be opened.

use std::path::{Path, PathBuf};

use contract::{Fault, Position};
use serde::Serialize;
use serde_json::{Map, Value};

/// How bad a finding is. Errors alone decide the exit code, unless warnings are denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The version is not loaded, or does what it does not say.
    Error,
    /// It is loaded, and probably not meant so.
    Warning,
    /// Worth knowing.
    Note,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// As a person at the prompt would open it.
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// A second place that belongs to a finding, such as the old form of what changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Related {
    #[serde(flatten)]
    pub place: Place,
    pub message: String,
}

/// One finding. Ordered by [`Report::sort`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// A stable word.
    pub rule: &'static str,
    pub severity: Severity,
    #[serde(flatten)]
    pub place: Place,
    /// The JSON pointer of the value, where the file is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    pub message: String,
    /// A few words that stand under the marked text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    /// What programs may want to know beside, such as the version bump that a change needs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// What a command looked at, and what it found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The command, such as `check`.
    pub command: &'static str,
    /// What was looked at, in order; see [`Subject`].
    pub subjects: Vec<Subject>,
    pub findings: Vec<Finding>,
}

/// A thing that passes or fails as one: a version, a policy, a comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// For people, such as `sitefit:1.0.0`.
    pub name: String,
    /// A finding belongs to the subject with the longest path that its file is at or below.
    pub path: PathBuf,
}

// === impl Severity ===

impl Severity {
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

// === impl Place ===

impl Place {
    pub fn new(file: impl Into<PathBuf>, at: Position) -> Self {
        Self { file: file.into(), line: at.line, column: at.column }
    }

    /// A file as a whole.
    pub fn of_file(file: impl Into<PathBuf>) -> Self {
        Self::new(file, Position::START)
    }
}

// === impl Finding ===

impl Finding {
    pub fn new(rule: &'static str, severity: Severity, place: Place, message: impl Into<String>) -> Self {
        let (message, related, data) = (message.into(), Vec::new(), Map::new());
        Self { rule, severity, place, pointer: None, message, label: None, help: None, related, data }
    }

    /// What loading refuses. `root` is what the fault's file is relative to.
    pub fn of_fault(fault: Fault, root: &Path) -> Self {
        let Fault { file, line, column, rule, pointer, message, help } = fault;
        let place = Place { file: root.join(file), line, column };
        Self { pointer, help, ..Self::new(rule, Severity::Error, place, message) }
    }

    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    #[must_use]
    pub fn related(mut self, place: Place, message: impl Into<String>) -> Self {
        self.related.push(Related { place, message: message.into() });
        self
    }

    #[must_use]
    pub fn data(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }
}

// === impl Report ===

impl Report {
    /// Sorts by place, then rule, and drops exact repetitions: equal files give equal reports.
    pub fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            (&a.place, a.rule, &a.message, a.severity).cmp(&(&b.place, b.rule, &b.message, b.severity))
        });
        self.findings.dedup();
        self.subjects.sort();
        self.subjects.dedup();
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether anything was found that must not be let through.
    pub fn fails(&self, deny_warnings: bool) -> bool {
        self.count(Severity::Error) > 0 || (deny_warnings && self.count(Severity::Warning) > 0)
    }

    /// The subject that a finding belongs to, if any.
    pub fn subject(&self, finding: &Finding) -> Option<&Subject> {
        let around = self.subjects.iter().filter(|subject| finding.place.file.starts_with(&subject.path));
        around.max_by_key(|subject| subject.path.as_os_str().len())
    }

    /// "2 errors and 1 warning in 3 of 14", for people.
    pub fn summary(&self) -> String {
        let counts = Severity::ALL.map(|severity| (self.count(severity), severity.word()));
        let mut told: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        let last = told.pop();
        let (looked, all) = (self.subjects.len(), self.subjects.iter().map(|subject| subject.name.as_str()));
        let at = match looked {
            0 => String::new(),
            1..=3 => format!(" in {}", all.collect::<Vec<_>>().join(", ")),
            _ => format!(" in {looked} subjects"),
        };
        match (told.is_empty(), last) {
            (_, None) => format!("nothing found{at}"),
            (true, Some(last)) => format!("{last}{at}"),
            (false, Some(last)) => format!("{} and {last}{at}", told.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, line: u32) -> Place {
        Place { file: file.into(), line, column: 1 }
    }

    #[test]
    fn a_finding_belongs_to_the_nearest_subject_around_it() {
        let subject = |name: &str, path: &str| Subject { name: name.to_owned(), path: path.into() };
        let report = Report {
            command: "check",
            subjects: vec![subject("app", "r/app"), subject("app:1.0.0", "r/app/1.0.0")],
            findings: vec![],
        };
        let of = |file| {
            let finding = Finding::new("x", Severity::Error, at(file, 1), "m");
            report.subject(&finding).map(|subject| subject.name.as_str())
        };
        assert_eq!(of("r/app/1.0.0/a.json"), Some("app:1.0.0"));
        assert_eq!(of("r/app/policy.json"), Some("app"));
        assert_eq!(of("r/app-two/policy.json"), None);
    }

    #[test]
    fn a_report_is_sorted_by_place_and_says_each_thing_once() {
        let finding = |file, line| Finding::new("x", Severity::Error, at(file, line), "m");
        let findings = vec![finding("b", 1), finding("a", 9), finding("a", 2), finding("b", 1)];
        let mut report = Report { command: "check", subjects: vec![], findings };
        report.sort();
        let places: Vec<_> =
            report.findings.iter().map(|finding| (finding.place.file.to_str(), finding.place.line)).collect();
        assert_eq!(places, [(Some("a"), 2), (Some("a"), 9), (Some("b"), 1)]);
        assert_eq!(report.summary(), "3 errors");
    }
}
