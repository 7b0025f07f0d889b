//! The files of a version, for another definition: what it takes or gives anew is added, what it has no more is taken away.
//!
//! Invariant: whatever is said about an input or output that stays, stays as it is written.

use contract::Contract;
use contract::bindings::Binding;
use contract::json::spans::escape;
use serde_json::Value;

use super::{Error, edit};
use crate::governance::json::{Node, remove, set};
use crate::governance::scaffold::draft::Port;
use crate::governance::scaffold::{DefinitionFile, Draft, Files, Options, port_nodes};

/// Puts the definition in place and adapts the rest. Tells what it did.
pub(super) fn to(files: &mut Files, latest: &Contract, definition: &DefinitionFile) -> Result<Vec<String>, Error> {
    let options = Options { app_id: latest.app_id.clone(), model_units: Some(latest.manifest.model_units.clone()) };
    let draft = Draft::of(&definition.definition, options).map_err(Error::Refused)?;
    let mut changes = Vec::new();
    if *latest.definition_bytes.bytes() == *definition.bytes {
        changes.push("the definition is the same as before".to_owned());
    }
    files.remove(&latest.manifest.file);
    files.insert(definition.name.clone(), definition.bytes.clone());
    edit(files, "manifest.json", |text| set(text, "", "file", &Node::from(definition.name.as_str())))?;
    let mut adapt = Adapt { files, changes };
    adapt.section("inputs", &latest.bindings.inputs, &draft.inputs)?;
    adapt.section("outputs", &latest.bindings.outputs, &draft.outputs)?;
    adapt.plugins(latest, definition)?;
    if latest.examples.valid.iter().any(|example| example.outputs.is_some()) {
        adapt.changes.push("goldens are those of the definition before: solve the examples and compare".to_owned());
    }
    Ok(adapt.changes)
}

struct Adapt<'f> {
    files: &'f mut Files,
    changes: Vec<String>,
}

// === impl Adapt ===

impl Adapt<'_> {
    fn section(&mut self, section: &str, before: &[Binding], now: &[Port]) -> Result<(), Error> {
        let schema = format!("{section}.schema.json");
        let gone = before.iter().filter(|binding| now.iter().all(|port| port.gh != binding.gh));
        for binding in gone {
            self.drop(section, &schema, &binding.name)?;
            self.changes
                .push(format!("{section}: {} taken away, the definition has no {} any more", binding.name, binding.gh));
        }
        for (index, port) in now.iter().enumerate() {
            if before.iter().any(|binding| binding.gh == port.gh) {
                continue;
            }
            let mut port = port.clone();
            while before.iter().any(|binding| binding.name == port.name) {
                port.name.push('_');
            }
            self.add(section, &schema, &port, index + 1)?;
            self.changes.push(format!("{section}: {} added for {}", port.name, port.gh));
        }
        Ok(())
    }

    fn add(&mut self, section: &str, schema: &str, port: &Port, order: usize) -> Result<(), Error> {
        let input = section == "inputs";
        let (property, binding) = port_nodes(port, order, input);
        edit(self.files, "bindings.json", |text| set(text, &format!("/{section}"), &port.name, &binding))?;
        edit(self.files, schema, |text| set(text, "/properties", &port.name, &property))?;
        if input && port.default.is_some() {
            return Ok(());
        }
        self.required(schema, |names| names.push(port.name.as_str().into()))?;
        if let Some(sample) = port.sample().filter(|_| input) {
            let sample = Node::from(sample);
            self.examples(&mut |text| set(text, "/inputs", &port.name, &sample));
        }
        Ok(())
    }

    fn drop(&mut self, section: &str, schema: &str, name: &str) -> Result<(), Error> {
        edit(self.files, "bindings.json", |text| remove(text, &format!("/{section}"), name))?;
        edit(self.files, schema, |text| remove(text, "/properties", name))?;
        self.required(schema, |names| names.retain(|other| other != name))?;
        self.examples(&mut |text| remove(text, &format!("/{section}"), name));
        // An example that was to fail at this input says nothing any more.
        let pointer = format!("/{}", escape(name));
        let about = |bytes: &[u8]| {
            let example: Option<Value> = serde_json::from_slice(bytes).ok();
            let violations = example.as_ref().and_then(|example| example.get("violations")?.as_array());
            violations.is_some_and(|all| {
                all.iter().filter_map(Value::as_str).any(|at| at == pointer || at.starts_with(&format!("{pointer}/")))
            })
        };
        if section == "inputs" {
            self.files.retain(|path, bytes| !path.starts_with("examples/invalid/") || !about(bytes));
        }
        Ok(())
    }

    /// Changes the list of what a schema requires; a schema without one gets one where something has to be in it.
    fn required(&mut self, schema: &str, change: impl FnOnce(&mut Vec<Value>)) -> Result<(), Error> {
        let value: Option<Value> = self.files.get(schema).and_then(|bytes| serde_json::from_slice(bytes).ok());
        let before = value.as_ref().and_then(|schema| schema.get("required")?.as_array()).cloned().unwrap_or_default();
        let mut names = before.clone();
        change(&mut names);
        if names == before {
            return Ok(());
        }
        edit(self.files, schema, |text| set(text, "", "required", &Node::from(Value::Array(names))))
    }

    /// Changes every example that the change applies to.
    fn examples(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) {
        for (path, bytes) in self.files.iter_mut().filter(|(path, _)| path.starts_with("examples/")) {
            let changed = std::str::from_utf8(bytes).ok().filter(|_| path.ends_with("json")).and_then(&mut *change);
            if let Some(changed) = changed {
                *bytes = changed.into_bytes().into();
            }
        }
    }

    /// Lists what the definition uses; what it does not use any more stays listed, because only a person knows why it was.
    fn plugins(&mut self, latest: &Contract, definition: &DefinitionFile) -> Result<(), Error> {
        let mut listed: Vec<(String, Node)> = latest
            .plugins
            .plugins
            .iter()
            .map(|plugin| (plugin.name.clone(), Node::from(serde_json::to_value(plugin).unwrap_or_default())))
            .collect();
        let mut changed = false;
        for library in
            definition.definition.libraries.iter().filter(|library| !library.bundled && !library.name.is_empty())
        {
            let version = library.version.as_deref().unwrap_or("unknown");
            let known = latest.plugins.plugins.iter().find(|plugin| plugin.name.eq_ignore_ascii_case(&library.name));
            if known.is_some_and(|plugin| plugin.version == version || library.version.is_none()) {
                continue;
            }
            let node = crate::governance::json::object([
                ("name", Some(library.name.as_str().into())),
                ("version", Some(version.into())),
            ]);
            listed.retain(|(name, _)| !name.eq_ignore_ascii_case(&library.name));
            listed.push((library.name.clone(), node));
            let before = known.map(|plugin| format!(" instead of {}", plugin.version)).unwrap_or_default();
            self.changes.push(format!("plugins: {} {version}{before}", library.name));
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        let nodes = Node::List(listed.into_iter().map(|(_, node)| node).collect());
        edit(self.files, "plugins.json", |text| set(text, "", "plugins", &nodes))
    }
}
