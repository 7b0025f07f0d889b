//! What the files of a version say about each other.
//!
//! Each check speaks only of files that are sound by themselves, so one mistake makes one fault.

mod examples;
mod graph;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Part, Parts};
use crate::bindings::Binding;
use crate::canonical;
use crate::fault::{self, Fault};
use crate::folder::Folder;
use crate::json::spans::escape;
use crate::schema::{MEMBERS, Schema, VIOLATIONS};
use crate::source::Source;

/// Adds the faults that lie between files.
pub(super) fn check(folder: &Folder, parts: &Parts<'_>, faults: &mut Vec<Fault>) {
    names(folder, parts, faults);
    let bindings = both(&parts.bindings);
    if let (Some((source, bindings)), Some(inputs), Some(outputs)) =
        (bindings, schema(&parts.inputs), schema(&parts.outputs))
    {
        let mut found = Vec::new();
        one_to_one("inputs", source, &bindings.inputs, inputs, &mut found);
        one_to_one("outputs", source, &bindings.outputs, outputs, &mut found);
        defaults(&bindings.inputs, inputs, &mut found);
        // What is wrong elsewhere takes nothing from what the examples say of schema and bindings.
        if found.is_empty() {
            examples::check(parts, &bindings.inputs, &bindings.outputs, (inputs.1, outputs.1), &mut found);
        }
        faults.append(&mut found);
    }
    graph::check(parts, faults);
}

/// The source of a part and what was read from it, if it was read.
fn both<'p, 'f, T>(part: &'p Part<'f, T>) -> Option<(&'p Source<'f>, &'p T)> {
    Some((part.source.as_ref()?, part.read.as_ref()?))
}

/// As [`both`], for a schema.
fn schema<'p, 'f>(part: &'p Part<'f, Arc<Schema>>) -> Option<(&'p Source<'f>, &'p Schema)> {
    both(part).map(|(source, schema)| (source, &**schema))
}

/// The folders' names against the manifest's.
fn names(folder: &Folder, parts: &Parts<'_>, faults: &mut Vec<Fault>) {
    let Some((source, manifest)) = both(&parts.manifest) else { return };
    let version = manifest.version.to_string();
    if let Some(name) = folder.name.as_ref().filter(|name| **name != version) {
        let message = format!("the version is {version}, but the folder is `{name}`");
        faults.push(source.fault("folder_version", "/version", message));
    }
    if let Some(name) = folder.parent.as_ref().filter(|name| **name != manifest.app_id) {
        let message = format!("the app is `{}`, but the folder around the version is `{name}`", manifest.app_id);
        faults.push(source.fault("folder_app_id", "/app_id", message));
    }
}

/// Every binding has a property in the schema, and every property a binding.
fn one_to_one(
    section: &str,
    source: &Source<'_>,
    bindings: &[Binding],
    (schema_source, schema): (&Source<'_>, &Schema),
    faults: &mut Vec<Fault>,
) {
    let properties = properties(schema);
    let names = || properties.iter().map(|(name, _)| name.as_str());
    let bound = || bindings.iter().map(|binding| binding.name.as_str());
    for binding in bindings.iter().filter(|binding| !names().any(|name| name == binding.name)) {
        let message = format!("`{}` has no property in {}", binding.name, schema_source.file().display());
        let help = fault::did_you_mean(&binding.name, names().filter(|name| !bound().any(|bound| bound == *name)));
        let pointer = format!("/{section}/{}", escape(&binding.name));
        faults.push(source.key_fault("schema_property_missing", &pointer, message).help(help));
    }
    for name in names().filter(|name| !bound().any(|bound| bound == *name)) {
        let message = format!("`{name}` has no binding among the {section} of {}", source.file().display());
        let help = fault::did_you_mean(name, bound().filter(|bound| !names().any(|name| name == *bound)));
        let pointer = format!("/properties/{}", escape(name));
        faults.push(schema_source.key_fault("binding_missing", &pointer, message).help(help));
    }
}

/// Whatever a caller may leave out has a default, and every default is one of the values that a caller could send.
fn defaults(bindings: &[Binding], (source, schema): (&Source<'_>, &Schema), faults: &mut Vec<Fault>) {
    let required = schema.document().get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|required| required == name));
    let defaults = schema.defaults();
    let alone = if speaks_of_members_only(schema) { None } else { schema.members_alone() };
    for (name, property) in properties(schema) {
        let pointer = format!("/properties/{}", escape(name));
        if !is_required(name) && !defaults.has(name) {
            let message =
                format!("`{name}` is not required and has no default; a node would keep the last caller's value");
            faults.push(source.key_fault("default_missing", &pointer, message));
        }
        let Some(default) = schema.chain(property).into_iter().find_map(|part| part.get("default")) else { continue };
        let mut object = Map::from_iter([(name.clone(), default.clone())]);
        defaults.fill_below(name, &mut object);
        let value = object.get(name).unwrap_or(default);
        let binding = bindings.iter().find(|binding| binding.name == *name);
        let refused = binding.and_then(|binding| canonical::coerce(binding, value.clone()).err()).unwrap_or_default();
        let whole = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        let violations = alone.as_ref().unwrap_or(schema).check(&whole).into_iter().chain(refused);
        let own = format!("/{}", escape(name));
        // One complaint per default: the schema's where it has one.
        let first = violations.into_iter().find(|violation| {
            violation.pointer.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        faults.extend(first.map(|violation| {
            let message = format!("the default of `{name}` is not valid: {}", violation.message);
            source.fault("default_invalid", &format!("{pointer}/default"), message)
        }));
    }
}

/// Whether the rest of the schema says nothing about the members that are there, so that each can be checked by the whole of it: compiling another
/// schema costs more than all else that is done with a small contract.
fn speaks_of_members_only(schema: &Schema) -> bool {
    const SILENT: [&str; 6] = ["$id", "$comment", "title", "description", "required", "additionalProperties"];
    let Some(document) = schema.document().as_object() else { return false };
    let is_silent = |keyword: &String| SILENT.contains(&keyword.as_str());
    let missing = document.get("required").and_then(Value::as_array).map_or(0, Vec::len);
    missing < VIOLATIONS && document.keys().all(|keyword| MEMBERS.contains(&keyword.as_str()) || is_silent(keyword))
}

fn properties(schema: &Schema) -> Vec<(&String, &Value)> {
    schema.document().get("properties").and_then(Value::as_object).into_iter().flatten().collect()
}
