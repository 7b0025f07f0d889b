//! Answers of `/grasshopper` and `/io` as Newtonsoft writes them: members in the order of the C# classes.

use crate::definitions::Loaded;
use crate::encode::encode;
use crate::solve::{Settings, Solution};
use crate::tree::Tree;
use contract::definition::{Input, Output};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Compute's `Schema` as a solve returns it.
#[derive(Serialize)]
struct Solved<'a> {
    /// Always this, whatever the solve ran in.
    modelunits: &'static str,
    dataversion: i32,
    algo: &'static str,
    pointer: &'a str,
    cachesolve: bool,
    values: Vec<OutputTree<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<&'a str>,
}

#[derive(Serialize)]
struct OutputTree<'a> {
    #[serde(rename = "ParamName")]
    name: &'a str,
    #[serde(rename = "InnerTree")]
    branches: Branches,
}

/// Branches in path order, which a map would lose.
struct Branches(Vec<(String, Vec<Item>)>);

#[derive(Serialize)]
struct Item {
    #[serde(rename = "type")]
    type_name: String,
    data: String,
}

/// Compute's `IoResponseSchema`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Io<'a> {
    description: Option<&'a str>,
    cache_key: &'a str,
    input_names: Vec<&'a str>,
    output_names: Vec<&'a str>,
    icon: Option<&'a str>,
    inputs: Vec<IoInput<'a>>,
    outputs: Vec<IoOutput<'a>>,
    warnings: [&'a str; 0],
    errors: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IoInput<'a> {
    description: Option<&'a str>,
    at_least: i32,
    at_most: i32,
    tree_access: bool,
    /// As text, so that its members keep their order.
    default: Box<RawValue>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    name: &'a str,
    nickname: Option<&'a str>,
    param_type: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IoOutput<'a> {
    name: &'a str,
    nickname: Option<&'a str>,
    param_type: &'a str,
}

/// The text of a solve. Errors of the definition come before those of its components.
pub(crate) fn solve(loaded: &Loaded, solution: &Solution) -> String {
    let values = solution.outputs.iter().map(|output| OutputTree {
        name: &output.name,
        branches: branches(&output.tree, loaded.output_type(&output.name) == Some("Curve")),
    });
    text(&Solved {
        modelunits: "Millimeters",
        dataversion: 7,
        algo: "",
        pointer: &loaded.key,
        cachesolve: false,
        values: values.collect(),
        // Compute collects warnings in its debug mode only.
        warnings: Vec::new(),
        errors: loaded.complaints.iter().chain(&solution.errors).map(String::as_str).collect(),
    })
}

/// The text of a description. The exceptions are whatever the child has met since it was last asked.
pub(crate) fn io(loaded: &Loaded, settings: &Settings, exceptions: &[String]) -> String {
    let definition = &loaded.definition;
    text(&Io {
        description: definition.description.as_deref(),
        cache_key: &loaded.key,
        input_names: definition.inputs.iter().map(|input| input.name.as_str()).collect(),
        output_names: definition.outputs.iter().map(|output| output.name.as_str()).collect(),
        icon: definition.icon.as_deref(),
        inputs: definition.inputs.iter().map(|input| io_input(loaded, input, settings)).collect(),
        outputs: definition.outputs.iter().map(io_output).collect(),
        warnings: [],
        errors: loaded.complaints.iter().chain(exceptions).map(String::as_str).collect(),
    })
}

/// The name under which an answer is cached: the whole request, as it was sent.
pub(crate) fn cache_name(body: &[u8]) -> String {
    let mut name = String::new();
    for byte in Sha256::digest(body) {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn io_input<'a>(loaded: &'a Loaded, input: &'a Input, settings: &Settings) -> IoInput<'a> {
    let default = match &input.default {
        Some(default) => to_raw_value(default),
        // Only the graph can tell. Compute names the parameter's class here, which nobody reads.
        None => to_raw_value(&OutputTree {
            name: &input.type_name,
            branches: branches(&loaded.default_of(input, settings).unwrap_or_default(), input.type_name == "Curve"),
        }),
    };
    IoInput {
        description: input.prompt.as_deref(),
        at_least: input.at_least,
        at_most: input.at_most,
        tree_access: input.tree,
        default: default.expect("trees of texts always have a JSON form"),
        minimum: input.minimum,
        maximum: input.maximum,
        name: &input.name,
        nickname: None,
        param_type: &input.type_name,
    }
}

fn io_output(output: &Output) -> IoOutput<'_> {
    IoOutput { name: &output.name, nickname: None, param_type: &output.type_name }
}

/// The branches of a tree. Nulls and values that compute does not know are left out, and what follows moves up.
fn branches(tree: &Tree, in_curve_parameter: bool) -> Branches {
    let branch = |items: &Vec<_>| {
        let known = items.iter().flatten().filter_map(|value| encode(value, in_curve_parameter));
        known.map(|encoded| Item { type_name: encoded.type_name, data: encoded.data }).collect()
    };
    Branches(tree.branches().map(|(path, items)| (path.to_string(), branch(items))).collect())
}

fn text(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("keys are texts and numbers finite, so that nothing can fail")
}

// === impl Branches ===

impl Serialize for Branches {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (path, items) in &self.0 {
            map.serialize_entry(path, items)?;
        }
        map.end()
    }
}
