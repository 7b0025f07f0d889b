//! What a new version of a contract breaks for the callers of the old one.
//!
//! The rules have two directions: inputs must still be taken as callers send them, outputs must still be what callers know.
//! Whether a schema still takes all values is proven; what the proof does not see (units, defaults, access, order) has rules
//! of its own. What cannot be told counts as breaking, and says so.

mod bump;
mod goldens;
mod members;
mod proof;
pub mod rules;
mod sample;
mod shape;
mod terms;
mod values;
mod whole;

use std::path::PathBuf;

use semver::Version;
use serde::Serialize;
use serde_json::Value;

pub use bump::Bump;
pub use proof::Proof;
pub use rules::{RULES, Rule};
pub use sample::Hints;
pub use values::{Loss, Witness, lost};

use crate::json::spans::Spans;
use crate::{Contract, Folder, Position};

/// A place in one of the two versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Relative to the version's folder.
    pub file: PathBuf,
    #[serde(flatten)]
    pub at: Position,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pointer: String,
}

/// One difference that callers, nodes or operators may notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub rule: &'static Rule,
    /// Where it stands in the old version, or where it would.
    pub old: Place,
    /// Where it stands in the new version, or where it would.
    pub new: Place,
    pub message: String,
    /// A value that shows it: accepted or promised by one version and not by the other.
    pub witness: Option<Value>,
    /// Where no value could be made: a schema of exactly those that are concerned.
    pub lost: Option<Value>,
}

/// How one version stands to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub old: Version,
    pub new: Version,
    /// What the step between the two announces; none where the new one is not later.
    pub announced: Option<Bump>,
    /// The greatest step that a change needs; none where nothing changed.
    pub needed: Option<Bump>,
    /// The greatest first, then by rule and place.
    pub changes: Vec<Change>,
}

/// A version to be compared: its files, and the contract that they make.
#[derive(Debug)]
pub struct Side<'f> {
    pub contract: &'f Contract,
    folder: &'f Folder,
}

/// Compares two versions.
pub fn compare(old: &Side<'_>, new: &Side<'_>) -> Comparison {
    let announced = Bump::announced(&old.contract.version, &new.contract.version);
    let mut changes = Vec::new();
    if old.contract.digest != new.contract.digest {
        members::inputs(old, new, &mut changes);
        members::outputs(old, new, &mut changes);
        whole::inputs(old, new, &mut changes);
        terms::compare(old, new, &mut changes);
        goldens::compare(old, new, &mut changes);
        if old.contract.version == new.contract.version {
            let message = format!("{} is there already, with other content", new.contract.version);
            changes.push(Change::at_files(&rules::VERSION_CHANGED, (old, new), "manifest.json", "/version", message));
        }
    }
    changes.sort_by(|a, b| {
        let key = |change: &Change| (std::cmp::Reverse(change.rule.needs), change.rule.word, change.new.clone());
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    changes.dedup();
    Comparison {
        old: old.contract.version.clone(),
        new: new.contract.version.clone(),
        announced,
        needed: changes.iter().map(|change| change.rule.needs).max(),
        changes,
    }
}

// === impl Side ===

impl<'f> Side<'f> {
    /// `contract` was made from `folder`.
    pub fn new(folder: &'f Folder, contract: &'f Contract) -> Self {
        Self { contract, folder }
    }

    /// Where a value of a file stands; where it is not there, the key of what is nearest around it.
    fn place(&self, file: &str, pointer: &str) -> Place {
        let bytes = self.folder.files.get(file).map(|bytes| &**bytes).unwrap_or_default();
        let spans = Spans::index(bytes);
        let mut nearest = pointer;
        while !nearest.is_empty() && !spans.holds(nearest) {
            nearest = nearest.rsplit_once('/').map_or("", |(around, _)| around);
        }
        let at = if nearest == pointer && !is_member(pointer) { spans.value(nearest) } else { spans.key(nearest) };
        Place { file: file.into(), at, pointer: nearest.to_owned() }
    }
}

/// Whether the pointer leads to a whole member of a schema or of the bindings: its name is what a reader looks for.
fn is_member(pointer: &str) -> bool {
    let mut parts = pointer.split('/').skip(1);
    matches!(parts.next(), Some("properties" | "inputs" | "outputs")) && parts.count() == 1
}

// === impl Change ===

impl Change {
    /// A change at the same pointer of the same file of both versions.
    fn at_files(
        rule: &'static Rule,
        (old, new): (&Side<'_>, &Side<'_>),
        file: &str,
        pointer: &str,
        message: impl Into<String>,
    ) -> Self {
        let (old, new) = (old.place(file, pointer), new.place(file, pointer));
        Self { rule, old, new, message: message.into(), witness: None, lost: None }
    }

    #[must_use]
    fn witness(mut self, witness: impl Into<Option<Value>>) -> Self {
        self.witness = witness.into();
        self
    }
}

// === impl Comparison ===

impl Comparison {
    /// Whether the version announces all that changed.
    pub fn announces_all(&self) -> bool {
        self.needed.is_none_or(|needed| self.announced >= Some(needed) && self.old != self.new)
    }

    /// The least version that would announce all that changed.
    pub fn least_version(&self) -> Version {
        self.needed.map_or_else(|| self.old.clone(), |needed| needed.next(&self.old))
    }
}
