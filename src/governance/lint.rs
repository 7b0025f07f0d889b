//! What loading lets pass and is probably not meant: the lints, each a pure function over what was read of a version.
//!
//! Invariant: a lint needs no more than the parts it looks at, so a fault in one file hides nothing that is wrong with another.

use contract::Contract;
use contract::bindings::Bindings;
use contract::definition::{Definition, Limits};
use contract::examples::Examples;
use contract::folder::Folder;
use contract::manifest::Manifest;
use contract::plugins::Plugins;
use contract::source::Source;
use serde_json::Value;
use std::path::Path;
use uuid::Uuid;

use super::{Finding, Place, Severity};

mod definition;
mod docs;
mod outputs;
mod plugins;
pub(super) mod policy;
mod ranges;

/// A finding without its line and column yet: its file is relative to the version's folder.
#[derive(Debug)]
pub(super) struct Lint {
    pub(super) finding: Finding,
    pub(super) at: At,
}

/// Where in the file a lint points.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// The value of the finding's pointer.
    Value,
    /// The key of the finding's pointer.
    Key,
    /// The object with this id in a Grasshopper file.
    Object(Uuid),
}

/// What could be read of a version.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View<'v> {
    pub(super) manifest: Option<&'v Manifest>,
    pub(super) bindings: Option<&'v Bindings>,
    pub(super) plugins: Option<&'v Plugins>,
    pub(super) inputs: Option<&'v Value>,
    pub(super) outputs: Option<&'v Value>,
    pub(super) definition: Option<&'v Definition>,
    pub(super) examples: Option<&'v Examples>,
}

/// The parts of a version that loading refused, each that can be read by itself.
#[derive(Debug, Default)]
pub(super) struct Salvage {
    manifest: Option<Manifest>,
    bindings: Option<Bindings>,
    plugins: Option<Plugins>,
    inputs: Option<Value>,
    outputs: Option<Value>,
    definition: Option<Definition>,
}

/// Everything that the lints have to say.
pub(super) fn lint(view: &View<'_>) -> Vec<Lint> {
    let mut lints = Vec::new();
    definition::lint(view, &mut lints);
    ranges::lint(view, &mut lints);
    plugins::lint(view, &mut lints);
    outputs::lint(view, &mut lints);
    docs::lint(view, &mut lints);
    lints
}

/// A property of an inputs' or outputs' schema; a reference to elsewhere in the file is followed once.
fn property<'v>(schema: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    let schema = schema?;
    let property = schema.get("properties")?.get(name)?;
    match property.get("$ref").and_then(Value::as_str) {
        Some(target) => schema.pointer(target.strip_prefix('#')?),
        None => Some(property),
    }
}

// === impl Lint ===

impl Lint {
    pub(super) fn new(
        rule: &'static str,
        severity: Severity,
        (file, pointer): (&str, &str),
        at: At,
        message: impl Into<String>,
    ) -> Self {
        let finding = Finding::new(rule, severity, Place::of_file(file), message);
        let finding = if pointer.is_empty() { finding } else { finding.pointer(pointer) };
        Self { finding, at }
    }

    pub(super) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.finding = self.finding.help(help);
        self
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.finding = self.finding.label(label);
        self
    }
}

// === impl View ===

impl<'v> View<'v> {
    pub(super) fn of(contract: &'v Contract) -> Self {
        Self {
            manifest: Some(&contract.manifest),
            bindings: Some(&contract.bindings),
            plugins: Some(&contract.plugins),
            inputs: Some(&contract.inputs_schema),
            outputs: Some(&contract.outputs_schema),
            definition: Some(&contract.definition),
            examples: Some(&contract.examples),
        }
    }
}

// === impl Salvage ===

impl Salvage {
    pub(super) fn of(folder: &Folder) -> Self {
        let manifest = read(folder, "manifest.json", |source| Manifest::read(source).ok());
        let bytes = manifest.as_ref().and_then(|manifest| folder.files.get(&manifest.file));
        let value = |name| read(folder, name, |source| Some(source.value().clone()));
        Self {
            definition: bytes.and_then(|bytes| Definition::read(bytes, &Limits::default()).ok()),
            bindings: read(folder, "bindings.json", |source| Bindings::read(source).ok()),
            plugins: read(folder, "plugins.json", |source| Plugins::read(source).ok()),
            inputs: value("inputs.schema.json"),
            outputs: value("outputs.schema.json"),
            manifest,
        }
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            manifest: self.manifest.as_ref(),
            bindings: self.bindings.as_ref(),
            plugins: self.plugins.as_ref(),
            inputs: self.inputs.as_ref(),
            outputs: self.outputs.as_ref(),
            definition: self.definition.as_ref(),
            examples: None,
        }
    }
}

fn read<T>(folder: &Folder, name: &str, read: impl FnOnce(&Source<'_>) -> Option<T>) -> Option<T> {
    let bytes = folder.files.get(name)?;
    read(&Source::parse(Path::new(name), bytes).ok()?)
}
