//! JSON Schema 2020-12: compiled once, checked many times, in words for people.
//!
//! A schema reaches nothing outside itself, costs a bounded number of steps per value, and matches patterns in linear
//! time. `lint` refuses every schema of which this does not hold.

mod lint;
pub(crate) mod room;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde::Serialize;
use serde_json::Value;

#[cfg(test)]
pub(crate) use self::lint::FORMATS;
use self::lint::Resolve as _;
use crate::defaults::Defaults;
use crate::fault::{self, Fault};
use crate::json::spans::escape;
use crate::source::Source;

/// What is wrong with a value, by JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// The value, relative to the whole that was checked; for a missing or an unknown member, that member.
    pub pointer: String,
    /// The schema keyword, or a rule of ours such as `unknown_input`.
    pub rule: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Whose members a schema describes: it decides what an unknown one is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Inputs,
    Outputs,
    File,
}

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    document: Arc<Value>,
    anchors: lint::Anchors,
    subject: Subject,
    defaults: OnceLock<Defaults>,
}

/// A keyword that refuses a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) keyword: String,
    /// Where the keyword stands in the schema.
    pub(crate) pointer: String,
    pub(crate) violation: Violation,
}

/// The most violations that one check reports. Each costs memory, and nobody reads the hundred-and-first.
pub const VIOLATIONS: usize = 100;

/// The keywords of a schema that its members need.
pub(crate) const MEMBERS: [&str; 5] = ["$schema", "type", "properties", "$defs", "definitions"];

/// The compiled size of one pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// The schemas of the registry's own files, by the name that `appserver schema` takes.
const EMBEDDED: [(&str, &str); 6] = [
    ("bindings", include_str!("../schemas/bindings.schema.json")),
    ("example", include_str!("../schemas/example.schema.json")),
    ("manifest", include_str!("../schemas/manifest.schema.json")),
    ("plugins", include_str!("../schemas/plugins.schema.json")),
    ("policy", include_str!("../schemas/policy.schema.json")),
    ("tenants", include_str!("../schemas/tenants.schema.json")),
];

/// The names of the embedded schemas, sorted.
pub const NAMES: [&str; EMBEDDED.len()] = {
    let mut names = [""; EMBEDDED.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = EMBEDDED[index].0;
        index += 1;
    }
    names
};

/// The text of an embedded schema.
pub fn embedded(name: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Parses a file of the registry and checks it by the embedded schema of this name.
///
/// The faults name `file` and the places in it. `name` is one of [`NAMES`]; for another, nothing is valid.
pub fn check_file(name: &str, file: &Path, bytes: &[u8]) -> Result<Value, Vec<Fault>> {
    if embedded(name).is_none() {
        return Err(vec![Fault::of_file("schema_unknown", file, format!("there is no schema `{name}`"))]);
    }
    let source = Source::parse(file, bytes).map_err(|fault| vec![fault])?;
    source.check(name)?;
    Ok(source.into_value())
}

/// An embedded schema, compiled once per process.
///
/// # Panics
/// When the name is not one of [`NAMES`]: names are written in code, never read.
pub(crate) fn own(name: &str) -> &'static Schema {
    static COMPILED: LazyLock<BTreeMap<&str, Schema>> = LazyLock::new(|| {
        let compile = |(name, text): (&'static str, &str)| {
            let document = serde_json::from_str(text).expect("the embedded schemas are JSON");
            let schema = Schema::compile(document, Subject::File).expect("the embedded schemas are sound");
            (name, schema)
        };
        EMBEDDED.into_iter().map(compile).collect()
    });
    &COMPILED[name]
}

/// Options under which schemas are compared: the same formats and the same engine for patterns as in [`options`].
pub(crate) fn canonical_options() -> jsonschema::canonical::CanonicalizeOptions<'static> {
    jsonschema::canonical::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(pattern_options())
}

fn pattern_options() -> PatternOptions<jsonschema::Regex> {
    PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES)
}

/// Options under which every schema and every pattern is compiled.
fn options<'i>() -> jsonschema::ValidationOptions<'i> {
    jsonschema::draft202012::options()
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(pattern_options())
}

/// Whether a format is one that values are checked by.
fn is_format(name: &str) -> bool {
    options().is_known_format(Draft::Draft202012, name)
}

/// Whether a pattern compiles for the linear engine, within its bound.
fn pattern_error(pattern: &str) -> Option<String> {
    let schema = serde_json::json!({ "pattern": pattern });
    options().build(&schema).err().map(|error| error.to_string())
}

// === impl Schema ===

impl Schema {
    /// Compiles a schema that keeps the rules of `lint`; the violations have pointers into the schema.
    pub fn compile(document: Value, subject: Subject) -> Result<Self, Vec<Violation>> {
        let anchors = lint::lint(&document)?;
        match options().build(&document) {
            Ok(validator) => {
                Ok(Self { validator, document: Arc::new(document), anchors, subject, defaults: OnceLock::new() })
            }
            Err(error) => {
                let violation = |error: &ValidationError<'_>| {
                    let message = format!("this is not a schema: {error}");
                    Violation::new(error.instance_path().as_str(), "schema_invalid", message)
                };
                let meta = jsonschema::draft202012::meta::validator();
                let mut violations: Vec<_> =
                    meta.iter_errors(&document).take(VIOLATIONS).map(|error| violation(&error)).collect();
                if violations.is_empty() {
                    violations.push(violation(&error));
                }
                Err(violations)
            }
        }
    }

    /// See [`Defaults::of`].
    pub(crate) fn defaults(&self) -> &Defaults {
        self.defaults.get_or_init(|| Defaults::of(self))
    }

    /// The schema as it was written.
    pub fn document(&self) -> &Arc<Value> {
        &self.document
    }

    /// A subschema and those that it refers to, one after the other.
    pub(crate) fn chain<'s>(&'s self, subschema: &'s Value) -> Vec<&'s Value> {
        let mut chain = vec![subschema];
        // No cycle passes the lint; the bound keeps this true of itself.
        while chain.len() < lint::DEPTH
            && let Some(target) = chain.last().and_then(|last| last.get("$ref")?.as_str())
            && let Some((_, schema)) = self.anchors.resolve(&self.document, target)
        {
            chain.push(schema);
        }
        chain
    }

    /// A subschema with all that it refers to written into it: it holds no reference.
    pub(crate) fn written_out(&self, subschema: &Value) -> Value {
        lint::written_out(&self.document, &self.anchors, subschema)
    }

    /// The same members, each judged by itself: nothing is required, and nothing binds one to another.
    pub(crate) fn members_alone(&self) -> Option<Self> {
        let document = self.document.as_object()?;
        let kept = document.iter().filter(|(keyword, _)| MEMBERS.contains(&keyword.as_str()));
        let document = kept.map(|(keyword, value)| (keyword.clone(), value.clone())).collect();
        Self::compile(Value::Object(document), self.subject).ok()
    }

    /// The keyword of the schema that refuses the value first; none for a valid value.
    pub(crate) fn refusal(&self, value: &Value) -> Option<Refusal> {
        if self.validator.is_valid(value) {
            return None;
        }
        let error = self.validator.iter_errors(value).next()?;
        let mut violations = Vec::new();
        words::explain(self, &error, value, &mut violations);
        let (keyword, pointer) = (error.kind().keyword().to_owned(), error.schema_path().as_str().to_owned());
        violations.into_iter().next().map(|violation| Refusal { keyword, pointer, violation })
    }

    /// Whether the value is valid.
    pub(crate) fn takes(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// All violations, at most [`VIOLATIONS`], sorted by pointer; none for a valid value.
    pub fn check(&self, value: &Value) -> Vec<Violation> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(value) {
            words::explain(self, &error, value, &mut violations);
            if violations.len() >= VIOLATIONS {
                violations.truncate(VIOLATIONS);
                break;
            }
        }
        violations.sort();
        violations.dedup();
        violations
    }
}

// === impl Violation ===

impl Violation {
    pub fn new(pointer: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule, message: message.into(), help: None }
    }

    /// The members that are not known, each with the known one that was probably meant.
    ///
    /// `names` are those below `pointer`. Only the first few are compared with what is known: comparing costs time,
    /// and who sends a hundred unknown names made no slip of the pen.
    pub(crate) fn unknown<'n>(
        pointer: &str,
        (rule, noun): (&'static str, &str),
        names: impl IntoIterator<Item = &'n str>,
        known: &[&str],
    ) -> Vec<Self> {
        const HELPED: usize = 8;
        let violation = |(index, name): (usize, &str)| {
            let message = format!("there is no {noun} `{}`", words::cut(name));
            let suggest = || match fault::did_you_mean(name, known.iter().copied()) {
                Some(suggestion) => suggestion,
                None if known.is_empty() => format!("there is no {noun} to give here"),
                None => format!("known here: {}", fault::listed(known.iter().copied())),
            };
            let help = (index < HELPED).then(suggest);
            Self { help, ..Self::new(format!("{pointer}/{}", escape(name)), rule, message) }
        };
        names.into_iter().take(VIOLATIONS).enumerate().map(violation).collect()
    }
}

// === impl Subject ===

impl Subject {
    /// The rule that an unknown member breaks, and what such a member is called.
    pub(crate) fn unknown(self) -> (&'static str, &'static str) {
        match self {
            Self::Inputs => ("unknown_input", "input"),
            Self::Outputs => ("unknown_output", "output"),
            Self::File => ("unknown_key", "key"),
        }
    }
}
