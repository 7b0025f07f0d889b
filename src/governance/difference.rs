//! What differs between two versions, or two Grasshopper files, in meaning.
//!
//! Contracts are compared by the rules of [`breaking`](super::breaking); definitions object by object; policies value by value.

use std::fmt::Write as _;
use std::path::Path;

use contract::compat::{self, Comparison};
use contract::definition::diff::Difference;
use contract::definition::{Archive, Limits, ReadError};
use serde::Serialize;
use serde_json::{Value, json};

use super::revision::Revision;

/// Everything that differs.
#[derive(Debug)]
pub struct Differences {
    /// Of the contracts; none where Grasshopper files alone are compared.
    pub contracts: Option<Comparison>,
    pub definition: Difference,
    pub policy: Vec<PolicyChange>,
}

/// A value of `policy.json` that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyChange {
    pub pointer: String,
    pub was: Option<Value>,
    pub is: Option<Value>,
}

/// The definition of a version, as a tree.
pub fn definition(bytes: &[u8]) -> Result<Archive, ReadError> {
    Archive::read(bytes, &Limits::default())
}

/// Compares two versions, and the policies beside them where both lie in apps' folders.
pub fn between(old: &Revision, new: &Revision) -> Result<Differences, ReadError> {
    let [was, is] = [old, new].map(|revision| definition(&revision.contract.definition_bytes.bytes()));
    let policies = [old, new].map(|revision| policy(&revision.base));
    let mut policy = Vec::new();
    if let [Some(was), Some(is)] = &policies {
        values(was, is, "", &mut policy);
    }
    let contracts = Some(compat::compare(&old.side(), &new.side()));
    Ok(Differences { contracts, definition: Difference::of(&was?, &is?), policy })
}

fn policy(version: &Path) -> Option<Value> {
    let path = version.canonicalize().ok()?.parent()?.join("policy.json");
    let bytes = contract::folder::read_file(&path).ok()?;
    contract::schema::check_file("policy", &path, &bytes).ok()
}

/// Adds the values that differ, each by its pointer.
fn values(was: &Value, is: &Value, pointer: &str, changes: &mut Vec<PolicyChange>) {
    if let (Value::Object(was), Value::Object(is)) = (was, is) {
        let names = was.keys().chain(is.keys().filter(|name| !was.contains_key(*name)));
        for name in names {
            let pointer = format!("{pointer}/{}", contract::json::spans::escape(name));
            match (was.get(name), is.get(name)) {
                (Some(was), Some(is)) => values(was, is, &pointer, changes),
                (was, is) => changes.push(PolicyChange { pointer, was: was.cloned(), is: is.cloned() }),
            }
        }
    } else if was != is {
        let (was, is) = (Some(was.clone()), Some(is.clone()));
        changes.push(PolicyChange { pointer: pointer.to_owned(), was, is });
    }
}

// === impl Differences ===

impl Differences {
    pub fn is_empty(&self) -> bool {
        let contracts = self.contracts.as_ref().is_none_or(|comparison| comparison.changes.is_empty());
        contracts && self.definition.is_empty() && self.policy.is_empty()
    }

    pub fn to_json(&self, old: &str, new: &str) -> Value {
        let change = |change: &compat::Change| {
            json!({
                "rule": change.rule.word,
                "needs": change.rule.needs,
                "message": change.message,
                "old": change.old,
                "new": change.new,
                "witness": change.witness,
            })
        };
        let contracts = self.contracts.as_ref().map(|comparison| {
            json!({
                "announced": comparison.announced,
                "needed": comparison.needed,
                "changes": comparison.changes.iter().map(change).collect::<Vec<_>>(),
            })
        });
        json!({
            "old": old,
            "new": new,
            "equal": self.is_empty(),
            "contract": contracts,
            "definition": self.definition,
            "policy": self.policy,
        })
    }

    /// For people: a section for each part that differs, a line for each thing.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(comparison) = &self.contracts {
            Self::contract(comparison, &mut text);
        }
        section(&mut text, "definition", self.definition_lines());
        let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        let policy = self.policy.iter().map(|change| {
            let (was, is) = (value(&change.was), value(&change.is));
            format!("~ {} was {was} and is {is}", change.pointer)
        });
        section(&mut text, "policy", policy.collect());
        if text.is_empty() { "no difference in meaning\n".to_owned() } else { text }
    }

    fn contract(comparison: &Comparison, text: &mut String) {
        for (title, prefixes) in [
            ("inputs", &["input_", "example_"][..]),
            ("outputs", &["output_"][..]),
            ("goldens", &["golden_"][..]),
            ("plug-ins", &["plugin_", "rhino_"][..]),
            ("version", &[][..]),
        ] {
            let titled = |word: &str| prefixes.iter().any(|prefix| word.starts_with(prefix));
            let known = ["input_", "example_", "output_", "golden_", "plugin_", "rhino_"];
            let rest = |word: &str| prefixes.is_empty() && !known.iter().any(|prefix| word.starts_with(prefix));
            let lines = comparison.changes.iter().filter(|change| titled(change.rule.word) || rest(change.rule.word));
            let line = |change: &compat::Change| {
                let word = change.rule.word;
                let sign = match word.rsplit('_').next() {
                    Some("added") => '+',
                    Some("removed") => '-',
                    Some(_) | None => '~',
                };
                format!("{sign} {} [{word}, {}]", change.message, change.rule.needs)
            };
            section(text, title, lines.map(line).collect());
        }
    }

    fn definition_lines(&self) -> Vec<String> {
        let definition = &self.definition;
        let mut lines: Vec<String> = definition.added.iter().map(|spot| format!("+ {spot}")).collect();
        lines.extend(definition.removed.iter().map(|spot| format!("- {spot}")));
        let or_nothing = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
        for (title, changed) in definition.sections() {
            lines.extend(changed.iter().map(|changed| {
                let (was, is) = (or_nothing(&changed.word.was), or_nothing(&changed.word.is));
                format!("~ {title}: {}: {} was {was} and is {is}", changed.spot, changed.word.what)
            }));
        }
        lines.extend(definition.libraries.iter().map(|word| {
            format!("~ plug-in {}: was {} and is {}", word.what, or_nothing(&word.was), or_nothing(&word.is))
        }));
        lines
    }
}

fn section(text: &mut String, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "{title}");
    for line in lines {
        // What a file holds does not move a terminal's cursor.
        let line: String = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let _ = writeln!(text, "  {line}");
    }
}
