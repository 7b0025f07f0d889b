//! `POST /io`: what a node says of a definition's inputs and outputs before anything is solved.
//!
//! Invariant: only members of the known types are read; whatever else a node adds is passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use contract::definition::{DefaultItem, DefaultTree};
use contract::json;
use serde_json::Value;

/// What a node says of a definition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    pub errors: Vec<String>,
}

/// An input as the node sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The exact `ParamName`.
    pub name: String,
    pub type_name: Option<String>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    /// None where the node tells none.
    pub default: Option<DefaultTree>,
}

/// An output as the node sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub type_name: Option<String>,
}

/// Inputs and outputs that are read of one answer.
const PORTS: usize = 1_000;

/// The body that asks about a definition.
pub fn request(definition: &[u8]) -> Bytes {
    Bytes::from(format!(r#"{{"algo":"{}"}}"#, STANDARD.encode(definition)))
}

// === impl Described ===

impl Described {
    /// Reads an answer; none where it is no answer to this question.
    pub fn read(body: &[u8]) -> Option<Self> {
        let value = json::parse(body, &json::Limits::FILE).ok()?;
        let list = |name: &str| member(&value, name).and_then(Value::as_array);
        let (inputs, outputs) = (list("inputs")?, list("outputs")?);
        let errors = list("errors").into_iter().flatten().filter_map(Value::as_str).take(PORTS).map(str::to_owned);
        Some(Self {
            inputs: inputs.iter().take(PORTS).filter_map(Input::read).collect(),
            outputs: outputs.iter().take(PORTS).filter_map(Output::read).collect(),
            errors: errors.collect(),
        })
    }
}

impl Input {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            name: text(value, "name")?,
            type_name: text(value, "paramType"),
            minimum: member(value, "minimum").and_then(Value::as_f64),
            maximum: member(value, "maximum").and_then(Value::as_f64),
            default: member(value, "default").and_then(default),
        })
    }
}

impl Output {
    fn read(value: &Value) -> Option<Self> {
        Some(Self { name: text(value, "name")?, type_name: text(value, "paramType") })
    }
}

/// A member by its name, which some releases begin with a capital.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    let capital = || object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    object.get(name).or_else(capital)
}

fn text(value: &Value, name: &str) -> Option<String> {
    member(value, name)?.as_str().map(str::to_owned)
}

/// The tree of a default, or the bare value that releases before 0.16.11 gave.
fn default(value: &Value) -> Option<DefaultTree> {
    let Some(tree) = member(value, "innerTree").and_then(Value::as_object) else {
        let type_name = match value {
            Value::Number(_) => "System.Double",
            Value::Bool(_) => "System.Boolean",
            Value::String(_) => "System.String",
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        let item = DefaultItem { type_name: Cow::Borrowed(type_name), data: value.to_string() };
        return Some(DefaultTree { name: String::new(), branches: BTreeMap::from([("{0}".to_owned(), vec![item])]) });
    };
    let item = |item: &Value| Some(DefaultItem { type_name: text(item, "type")?.into(), data: text(item, "data")? });
    let branch = |(path, items): (&String, &Value)| {
        Some((path.clone(), items.as_array()?.iter().map(item).collect::<Option<_>>()?))
    };
    let branches = tree.iter().map(branch).collect::<Option<_>>()?;
    Some(DefaultTree { name: text(value, "paramName").unwrap_or_default(), branches })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings_and_both_forms_of_a_default_are_read() {
        let tree =
            json!({ "ParamName": "Get Number", "InnerTree": { "{0}": [{ "type": "System.Double", "data": "7.0" }] } });
        let answer = json!({
            "Inputs": [
                { "Name": "Count", "ParamType": "Integer", "Minimum": 1.0, "Maximum": null, "Default": tree },
                { "name": "old", "default": true },
                { "ParamType": "Number" },
            ],
            "Outputs": [{ "Name": "Mesh", "ParamType": "Mesh" }],
            "Errors": ["one"],
        });
        let described = Described::read(answer.to_string().as_bytes()).unwrap();
        let [count, old] = &described.inputs[..] else { panic!("{described:?}") };
        assert_eq!((count.minimum, count.maximum, count.type_name.as_deref()), (Some(1.0), None, Some("Integer")));
        assert_eq!(count.default.as_ref().unwrap().to_plain(), json!(7.0));
        assert_eq!(old.default.as_ref().unwrap().to_plain(), json!(true));
        assert_eq!(described.outputs[0].type_name.as_deref(), Some("Mesh"));
        assert_eq!(described.errors, ["one"]);
        for nothing in ["", "[]", "<html>", r#"{"Inputs": 1}"#] {
            assert_eq!(Described::read(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
