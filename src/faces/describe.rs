//! Descriptions as `/io` gives them, and as the Node AppServer passes them on: from the contract's file alone.
//!
//! Invariant: no node is asked; what only a graph could tell is taken from the contract's own default.

use contract::Contract;
use contract::definition::{DefaultTree, Input, Output};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::rhino::protocol::text_form;
use crate::rhino::values;

/// Whose member names a description has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Rhino.Compute's: `InputNames`.
    Pascal,
    /// The Node AppServer's: `inputNames`, with two members of its own. Hops reads either.
    Camel,
}

/// Compute's `IoResponseSchema`, its members in the order of the class.
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
    warnings: [(); 0],
    errors: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IoInput<'a> {
    description: Option<&'a str>,
    at_least: i32,
    at_most: i32,
    tree_access: bool,
    default: Default<'a>,
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

/// The data of an input when nothing is sent.
#[derive(Serialize)]
#[serde(untagged)]
enum Default<'a> {
    Filed(&'a DefaultTree),
    Promised(Promised<'a>),
}

/// A default that the contract promises.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Promised<'a> {
    param_name: &'a str,
    inner_tree: Branches,
}

/// Branches in their own order.
struct Branches(Vec<(values::Path, Vec<values::Item>)>);

impl Serialize for Branches {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(path, items)| (path.to_string(), items)))
    }
}

/// The description of a contract, as JSON. `key` is what nodes call the file.
pub(super) fn document(contract: &Contract, key: &str, spelling: Spelling) -> Vec<u8> {
    let definition = &contract.definition;
    let io = Io {
        description: definition.description.as_deref(),
        cache_key: key,
        input_names: definition.inputs.iter().map(|input| input.name.as_str()).collect(),
        output_names: definition.outputs.iter().map(|output| output.name.as_str()).collect(),
        icon: definition.icon.as_deref(),
        inputs: definition.inputs.iter().map(|input| io_input(contract, input)).collect(),
        outputs: definition.outputs.iter().map(io_output).collect(),
        warnings: [],
        errors: [],
    };
    if spelling == Spelling::Pascal {
        return serde_json::to_vec(&io).unwrap_or_default();
    }
    let mut camel = camel(serde_json::to_value(&io).unwrap_or_default());
    camel["name"] = file_name(contract).into();
    camel["view"] = format!("/gh/{}:{}", contract.manifest.definition, contract.version).into();
    serde_json::to_vec(&camel).unwrap_or_default()
}

/// What the Node AppServer calls a definition: its file.
pub(super) fn file_name(contract: &Contract) -> String {
    let extension = contract.manifest.file.rsplit('.').next().unwrap_or("gh");
    format!("{}.{extension}", contract.manifest.definition)
}

fn io_input<'a>(contract: &'a Contract, input: &'a Input) -> IoInput<'a> {
    let default = match &input.default {
        Some(default) => Default::Filed(default),
        None => Default::Promised(promised(contract, input)),
    };
    IoInput {
        description: input.prompt.as_deref(),
        at_least: input.at_least,
        at_most: input.at_most,
        tree_access: input.tree,
        default,
        minimum: input.minimum,
        maximum: input.maximum,
        name: &input.name,
        nickname: None,
        param_type: &input.type_name,
    }
}

/// A default that a component computes is known by its promise only: the `default` of the inputs' schema.
fn promised<'a>(contract: &Contract, input: &'a Input) -> Promised<'a> {
    let binding = contract.bindings.inputs.iter().find(|binding| binding.gh == input.name);
    let branches = binding.and_then(|binding| {
        let default = contract.inputs_schema.get("properties")?.get(&binding.name)?.get("default")?;
        let form = text_form(&contract.definition, &binding.gh);
        values::branches(binding.kind, binding.access, form, default).ok()
    });
    Promised { param_name: &input.type_name, inner_tree: Branches(branches.unwrap_or_default()) }
}

fn io_output(output: &Output) -> IoOutput<'_> {
    IoOutput { name: &output.name, nickname: None, param_type: &output.type_name }
}

/// The same with member names that begin in lower case; paths such as `{0}` are no names.
fn camel(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let renamed = object.into_iter().map(|(key, value)| {
                let mut letters = key.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase());
                (first.into_iter().chain(letters).collect::<String>(), camel(value))
            });
            Value::Object(renamed.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(camel).collect(),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}
