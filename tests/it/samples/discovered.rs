//! What Rhino.Compute will find in the sample files, against what their contracts say.

use contract::definition::{Definition, InputKind, Limits};
use serde_json::{Value, json};

use super::files::{self, Version};

#[test]
fn discovery_finds_the_bound_names_in_the_order_of_the_contract() {
    for version in files::versions() {
        let found = definition(&version);
        let inputs: Vec<_> = found.inputs.iter().map(|input| input.name.as_str()).collect();
        let outputs: Vec<_> = found.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(inputs, bound_in_order(&version, "inputs"), "{} {}", version.app, version.number);
        assert_eq!(outputs, bound_in_order(&version, "outputs"), "{} {}", version.app, version.number);
    }
}

#[test]
fn nothing_on_the_canvas_is_lost_on_compute() {
    for version in files::versions() {
        assert_eq!(definition(&version).problems, [], "{} {}", version.app, version.number);
    }
}

#[test]
fn limits_and_defaults_of_the_sliders_are_those_of_the_schema() {
    for version in files::versions() {
        for input in definition(&version).inputs {
            let (name, binding) = binding_of(&version, &input.name);
            let schema = &version.inputs_schema["properties"][&name];
            if matches!(binding["type"].as_str(), Some("number" | "integer")) && binding["access"] == "item" {
                assert_eq!(input.minimum, schema["minimum"].as_f64(), "{name}");
                assert_eq!(input.maximum, schema["maximum"].as_f64(), "{name}");
            }
            let Some(default) = schema.get("default") else { continue };
            let held = input.default.unwrap_or_else(|| panic!("{name} holds a default"));
            let tree = serde_json::to_value(&held).unwrap();
            let items = tree["InnerTree"]["{0}"].as_array().unwrap();
            let values: Vec<Value> =
                items.iter().map(|item| serde_json::from_str(item["data"].as_str().unwrap()).unwrap()).collect();
            let expected = match (binding["access"].as_str().unwrap(), binding["type"].as_str().unwrap()) {
                ("list", _) => default.as_array().unwrap().clone(),
                (_, "point") => vec![json!({ "X": default[0], "Y": default[1], "Z": default[2] })],
                _ => vec![default.clone()],
            };
            assert_eq!(super::difference(&json!(values), &json!(expected), 0.0), None, "{name}");
        }
    }
}

/// Both ways of making an input are shown: contextual getters, and groups around what holds a value.
#[test]
fn inputs_of_both_kinds_are_in_the_samples() {
    for version in files::versions() {
        let inputs = definition(&version).inputs;
        for kind in [InputKind::Contextual, InputKind::Group] {
            assert!(inputs.iter().any(|input| input.kind == kind), "{} {}", version.app, version.number);
        }
    }
}

#[test]
fn only_daylight_needs_a_plugin() {
    for version in files::versions() {
        let libraries: Vec<_> = definition(&version).libraries.into_iter().filter(|library| !library.bundled).collect();
        let names: Vec<_> = libraries.iter().map(|library| library.name.as_str()).collect();
        let expected: &[&str] = if version.app == "daylight" { &["LadybugX"] } else { &[] };
        assert_eq!(names, expected, "{} {}", version.app, version.number);
    }
}

#[test]
fn the_file_tells_the_rhino_that_the_contract_requires() {
    for version in files::versions() {
        assert!(definition(&version).rhino.is_some_and(|rhino| rhino.starts_with("8.")), "{}", version.app);
    }
}

fn definition(version: &Version) -> Definition {
    Definition::read(&version.definition_bytes(), &Limits::default()).unwrap()
}

/// The bound names, sorted by the `x-order` of the schema.
fn bound_in_order(version: &Version, side: &str) -> Vec<String> {
    let schema = if side == "inputs" { &version.inputs_schema } else { &version.outputs_schema };
    let bindings = version.bindings[side].as_object().unwrap();
    let mut names: Vec<_> = bindings
        .iter()
        .map(|(name, binding)| {
            let order = schema["properties"][name]["x-order"].as_u64().unwrap();
            (order, binding["gh"].as_str().unwrap().to_owned())
        })
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

fn binding_of(version: &Version, gh: &str) -> (String, Value) {
    let bindings = version.bindings["inputs"].as_object().unwrap();
    let found = bindings.iter().find(|(_, binding)| binding["gh"] == gh);
    let (name, binding) = found.unwrap_or_else(|| panic!("{gh} is bound to nothing"));
    (name.clone(), binding.clone())
}
