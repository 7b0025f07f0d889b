//! Clients for callers: one small file for one version of a contract, typed from its schemas, that needs nothing but its language.
//!
//! Invariant: names, types, bounds and units are the contract's own; the texts around them are constant.

use contract::Contract;
use contract::bindings::{Access, Binding, Type};
use serde_json::Value;

mod curl;
mod python;
mod rust;
mod ts;

/// What a client is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Ts,
    Python,
    Rust,
    Curl,
}

/// The text of the file.
pub fn write(contract: &Contract, language: Language) -> String {
    let shape = Shape::of(contract);
    match language {
        Language::Ts => ts::write(&shape),
        Language::Python => python::write(&shape),
        Language::Rust => rust::write(&shape),
        Language::Curl => curl::write(&shape),
    }
}

/// What of a contract a client needs.
#[derive(Debug)]
struct Shape {
    definition: String,
    version: String,
    title: String,
    inputs: Vec<Field>,
    outputs: Vec<Field>,
    /// Inputs that are known to be right.
    example: Value,
}

/// One input or output.
#[derive(Debug)]
struct Field {
    name: String,
    kind: Type,
    access: Access,
    required: bool,
    /// The only texts that fit, where the schema lists them.
    choices: Vec<String>,
    /// One line.
    docs: String,
}

// === impl Shape ===

impl Shape {
    fn of(contract: &Contract) -> Self {
        let manifest = &contract.manifest;
        let fields =
            |bindings: &[Binding], schema: &Value| bindings.iter().map(|binding| Field::of(binding, schema)).collect();
        let example = contract.examples.valid.first().map(|example| example.inputs.clone());
        Self {
            definition: manifest.definition.clone(),
            version: contract.version.to_string(),
            title: line(manifest.title.as_deref().unwrap_or(&manifest.definition)),
            inputs: fields(&contract.bindings.inputs, &contract.inputs_schema),
            outputs: fields(&contract.bindings.outputs, &contract.outputs_schema),
            example: example.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }
    }

    /// The address of a solve, below the gateway's.
    fn path(&self) -> String {
        format!("/gh/{}:{}/solve", self.definition, self.version)
    }

    /// Whether any field is of one of these types.
    fn has(&self, kinds: &[Type]) -> bool {
        self.inputs.iter().chain(&self.outputs).any(|field| kinds.contains(&field.kind))
    }
}

// === impl Field ===

impl Field {
    fn of(binding: &Binding, schema: &Value) -> Self {
        let property = schema.get("properties").and_then(|all| all.get(&binding.name)).unwrap_or(&Value::Null);
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.is_some_and(|names| names.iter().any(|name| name == binding.name.as_str()));
        let choices = property.get("enum").and_then(Value::as_array).into_iter().flatten();
        let choices: Vec<_> = choices.filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            name: binding.name.clone(),
            kind: binding.kind,
            access: binding.access,
            required,
            choices: if binding.kind == Type::Text && binding.access == Access::Item { choices } else { Vec::new() },
            docs: docs(property),
        }
    }
}

/// Title, description, unit, bounds and default in one line.
fn docs(property: &Value) -> String {
    let text = |key: &str| property.get(key).and_then(Value::as_str).map(|text| text.trim_end_matches('.').to_owned());
    let mut parts: Vec<String> = [text("title"), text("description")].into_iter().flatten().collect();
    parts.extend(text("x-unit").map(|unit| format!("In {unit}")));
    let bound = |key: &str| property.get(key).filter(|bound| bound.is_number());
    parts.extend(match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("At least {least}")),
        (None, Some(most)) => Some(format!("At most {most}")),
        (None, None) => None,
    });
    parts.extend(property.get("default").map(|default| format!("Default {default}")));
    let joined = parts.iter().map(|part| format!("{part}.")).collect::<Vec<_>>().join(" ");
    line(&joined)
}

/// A text that no line end and no end of a comment can be in.
fn line(text: &str) -> String {
    let one: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    one.replace("*/", "* /").replace("\"\"\"", "\" \" \"").replace('\\', "/")
}

const STRUCTURED: [Type; 5] = [Type::Plane, Type::Line, Type::Circle, Type::Rectangle, Type::Box];
const RHINO: [Type; 6] = [Type::Curve, Type::Surface, Type::Brep, Type::Mesh, Type::Subd, Type::Geometry];
