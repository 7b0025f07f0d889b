//! What a schema says of its members together: "one of these", "this needs that", "at most three".
//!
//! What is accepted is what the schema accepts after defaults were filled in, so the comparison is of objects that have every
//! member. Where a member was added and such rules may speak of it, nothing can be told.

use serde_json::{Map, Value};

use super::proof::{Domain, Proof};
use super::rules;
use super::{Change, Side};
use crate::schema::Schema;

const INPUTS: &str = "inputs.schema.json";

/// Keywords of the root that are no rule about several members, or that are compared member by member.
const APART: [&str; 14] = [
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "$anchor",
    "$comment",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "default",
    "examples",
];
/// Keywords whose meaning depends on nothing but the members that they name.
const NAMING: [&str; 12] = [
    "properties",
    "required",
    "type",
    "dependentRequired",
    "dependentSchemas",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
];

/// Adds that inputs which were accepted together may no longer be, and examples that the new version refuses.
pub(super) fn inputs(old: &Side<'_>, new: &Side<'_>, changes: &mut Vec<Change>) {
    let [before, after] = [old, new].map(|side| rest(&side.contract.inputs));
    let same_names = old.contract.bindings.inputs.len() == new.contract.bindings.inputs.len()
        && old.contract.bindings.inputs.iter().all(|binding| has(new, &binding.name));
    let proof = if before == after && (same_names || speaks_of_known(&after, old, new)) {
        Proof::Contained
    } else if same_names {
        let filled = [old, new].map(|side| Domain::of(&filled(side)));
        filled[0].within(&filled[1])
    } else {
        Proof::Unknown(None)
    };
    let at = after.keys().chain(before.keys()).next().map_or_else(String::new, |keyword| format!("/{keyword}"));
    let broken = changes.iter().any(|change| change.rule.needs == super::Bump::Major);
    let change = match proof {
        Proof::Contained => None,
        // A member that lost values makes the whole lose some, which is told already.
        Proof::Lost(_) if before == after && broken => None,
        Proof::Lost(lost) => {
            let message = "some inputs that were accepted together no longer are";
            Some((&rules::INPUT_NARROWED, message, lost))
        }
        Proof::Unknown(lost) => {
            let message = "it cannot be told whether all inputs that were accepted together still are";
            Some((&rules::INPUT_UNPROVEN, message, lost))
        }
    };
    changes.extend(
        change.map(|(rule, message, lost)| Change { lost, ..Change::at_files(rule, (old, new), INPUTS, &at, message) }),
    );
    examples(old, new, changes);
}

/// Replays the old version's examples; whatever the rules may have missed shows here.
fn examples(old: &Side<'_>, new: &Side<'_>, changes: &mut Vec<Change>) {
    if changes.iter().any(|change| change.rule.needs == super::Bump::Major && change.rule.word.starts_with("input_")) {
        return;
    }
    for example in &old.contract.examples.valid {
        let Err(violations) = new.contract.check_inputs(&example.inputs) else { continue };
        let first = violations.first().map(|violation| format!(": {} {}", violation.pointer, violation.message));
        let message = format!("the example `{}` is refused{}", example.name, first.unwrap_or_default());
        let old = old.place(&format!("examples/valid/{}.json", example.name), "/inputs");
        let new = new.place(INPUTS, "/properties");
        let witness = Some(example.inputs.clone());
        changes.push(Change { rule: &rules::OLD_EXAMPLE_REFUSED, old, new, message, witness, lost: None });
    }
}

fn has(side: &Side<'_>, name: &str) -> bool {
    side.contract.bindings.inputs.iter().any(|binding| binding.name == name)
}

/// The rules about several members, with references written out.
fn rest(schema: &Schema) -> Map<String, Value> {
    let members = schema.document().as_object().into_iter().flatten();
    let rules = members.filter(|(keyword, _)| !APART.contains(&keyword.as_str()) && !keyword.starts_with("x-"));
    let rules: Map<String, Value> = rules.map(|(keyword, value)| (keyword.clone(), value.clone())).collect();
    schema.written_out(&Value::Object(rules)).as_object().cloned().unwrap_or_default()
}

/// Whether these rules are about nothing but members that both versions have, so that a new member leaves them be.
fn speaks_of_known(rules: &Map<String, Value>, old: &Side<'_>, new: &Side<'_>) -> bool {
    rules.iter().all(|(keyword, value)| {
        if !NAMING.contains(&keyword.as_str()) {
            return false;
        }
        let known = |name: &str| has(old, name) == has(new, name);
        match (keyword.as_str(), value) {
            ("properties", Value::Object(members)) => members.keys().all(|name| known(name)),
            ("required", Value::Array(names)) => names.iter().filter_map(Value::as_str).all(known),
            ("dependentRequired", Value::Object(members)) => {
                let needed = members.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
                members.keys().map(String::as_str).chain(needed).all(known)
            }
            ("dependentSchemas", Value::Object(members)) => members.iter().all(|(name, schema)| {
                known(name) && schema.as_object().is_none_or(|schema| speaks_of_known(schema, old, new))
            }),
            (_, Value::Array(schemas)) => {
                schemas.iter().filter_map(Value::as_object).all(|schema| speaks_of_known(schema, old, new))
            }
            (_, Value::Object(schema)) => speaks_of_known(schema, old, new),
            (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => true,
        }
    })
}

/// The schema of inputs that have all their members, as they do when they are judged.
fn filled(side: &Side<'_>) -> Value {
    let mut document = side.contract.inputs.written_out(&side.contract.inputs_schema);
    let names: Vec<_> = side.contract.bindings.inputs.iter().map(|binding| binding.name.clone()).collect();
    if let Some(document) = document.as_object_mut() {
        document.insert("required".to_owned(), names.into());
        document.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    document
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Contract, Folder};

    /// The net is there for what the rules miss, so it is tested without them: a range is narrowed and no change is known yet.
    #[test]
    fn an_old_example_that_is_refused_is_found_by_itself_and_not_told_twice() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/contracts/sitefit/1.1.0");
        let old = Folder::read(&root).unwrap();
        let mut files = old.files.clone();
        let schema = String::from_utf8(files[INPUTS].to_vec()).unwrap();
        let narrowed = schema.replacen(r#""maximum": 60"#, r#""maximum": 5"#, 1);
        assert_ne!(schema, narrowed);
        files.insert(INPUTS.to_owned(), narrowed.into_bytes().into());
        // Its own examples with more floors would refuse the version.
        files.retain(|file, _| !file.starts_with("examples/") || file.contains("apartment-house"));
        let new = Folder::of(files);
        let contracts = [&old, &new].map(|folder| Contract::of(folder).unwrap());
        let sides = (Side::new(&old, &contracts[0]), Side::new(&new, &contracts[1]));
        let mut changes = Vec::new();
        examples(&sides.0, &sides.1, &mut changes);
        assert!(!changes.is_empty() && changes.iter().all(|change| change.rule.word == "old_example_refused"));
        assert!(changes[0].message.contains("/floors") && changes[0].witness.is_some(), "{:?}", changes[0]);
        let comparison = super::super::compare(&sides.0, &sides.1);
        let words: Vec<_> = comparison.changes.iter().map(|change| change.rule.word).collect();
        assert!(words.contains(&"input_range_narrowed") && !words.contains(&"old_example_refused"), "{words:?}");
    }
}
