//! The sample definitions of the registry: what the files are, what they compute, and that the contracts tell the truth.
//!
//! Goldens come from [`reference`], formulas in plain Rust that share nothing with the files. The stand-in solves the
//! files; it is compared with the formulas, and never writes a golden.

mod contracts;
#[path = "../../contract/examples/author/definitions/mod.rs"]
mod definitions;
mod discovered;
mod files;
mod reference;
mod solved;
mod structure;
mod wire;

use std::fs;

use contract::definition::{Archive, Limits};
use serde_json::{Map, Value, json};

use files::Version;

type Object = Map<String, Value>;

#[test]
fn definition_files_are_what_the_author_program_writes() {
    for definition in definitions::all().into_iter().chain([definitions::blank()]) {
        let file = files::root().join("contracts").join(definition.file);
        let stored = fs::read(&file).unwrap();
        assert!(stored == definition.bytes, "{}: run `cargo run -p contract --example author`", file.display());
    }
}

#[test]
fn every_version_has_its_definition_from_the_author_program() {
    let mut written: Vec<_> =
        definitions::all().iter().map(|definition| files::root().join("contracts").join(definition.file)).collect();
    let mut stored: Vec<_> = files::versions().iter().map(Version::definition_file).collect();
    written.sort();
    stored.sort();
    assert_eq!(stored, written);
}

#[test]
fn goldens_follow_from_the_formulas() {
    for version in files::versions() {
        for example in version.valid_examples() {
            let inputs = version.complete(&example.inputs);
            let formulas = reference::outputs(&version.app, &version.number, &inputs);
            assert_eq!(formulas.is_some(), example.outputs.is_some(), "{}: golden or none", example.name);
            if let (Some(formulas), Some(golden)) = (formulas, example.outputs) {
                // Tighter than the example's own tolerance, so that the golden spends none of it.
                assert_eq!(difference(&json!(golden), &json!(formulas), 1e-12), None, "{}", example.name);
            }
        }
    }
}

/// Rewrites the outputs of every valid example from the formulas. Run it after a formula or an example has changed:
/// `cargo test --test it write_the_goldens -- --ignored`.
#[test]
#[ignore = "writes into the registry"]
fn write_the_goldens() {
    for version in files::versions() {
        for example in version.valid_examples() {
            let inputs = version.complete(&example.inputs);
            if let Some(outputs) = reference::outputs(&version.app, &version.number, &inputs) {
                example.write_with(&outputs);
            }
        }
    }
}

fn archive(bytes: &[u8]) -> Archive {
    Archive::read(bytes, &Limits::default()).unwrap()
}

/// Where both differ, if they do: numbers count as equal within the tolerance, relative to what is greater than 1.
fn difference(left: &Value, right: &Value, tolerance: f64) -> Option<String> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            let [a, b] = [a, b].map(|number| number.as_f64().unwrap());
            let near = (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0);
            (!near).then(|| format!(": {a} is not {b}"))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(at, (a, b))| Some(format!("/{at}{}", difference(a, b, tolerance)?)))
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, a)| Some(format!("/{key}{}", difference(a, &b[key], tolerance)?)))
        }
        _ => (left != right).then(|| format!(": {left} is not {right}")),
    }
}
