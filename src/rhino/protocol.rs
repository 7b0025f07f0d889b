//! The solve request, built whole from typed values.
//!
//! Invariant: no byte of a caller's request is forwarded. `algo`, `pointer`, `cachesolve` and `recursionlevel` are
//! written here and nowhere else, and every declared input is in every request, in the order of the bindings.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use contract::Contract;
use contract::bindings::{Access, Binding, Type};
use contract::definition::{Definition, InputKind};
use contract::json;
use md5::{Digest, Md5};
use serde::Serialize;
use serde_json::{Map, Value, json as value};

use uuid::{Uuid, uuid};

use super::values::{self, Item, Shape, TextForm};

/// Grasshopper's Text parameter.
const TEXT: Uuid = uuid!("3ede854e-c753-40eb-84cb-b48008f14fd4");

/// A declared input or output as the node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name that callers use.
    pub name: String,
    /// The exact `ParamName` that the node knows.
    pub gh: String,
    /// What one value is.
    pub kind: Type,
    /// One value, a list or a tree.
    pub access: Access,
    /// How a text input travels; of no meaning for outputs and other types.
    pub form: TextForm,
}

/// Which of the two ways names the definition in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The definition itself, in base64. Once per node.
    Algo,
    /// The key of a definition that the node has seen.
    Pointer,
}

/// What a solve request is made of, apart from its inputs.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The bytes of the .gh or .ghx file.
    pub definition: &'a [u8],
    /// Inputs in the order of the bindings.
    pub inputs: Vec<Port>,
    /// Outputs in the order of the bindings.
    pub outputs: Vec<Port>,
    /// In model units, above zero: the node ignores both tolerances unless both are.
    pub absolute_tolerance: f64,
    /// In degrees, above zero.
    pub angle_tolerance_degrees: f64,
    /// A name of Rhino's unit systems, such as `Meters`.
    pub model_units: &'a str,
    /// 7 or 8: in which format geometry is written.
    pub rhino_major: u32,
}

/// All of a version's requests that does not change from solve to solve, made once when the version is loaded.
#[derive(Clone)]
pub struct Prepared {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    algo: String,
    pointer: String,
    tail: String,
}

/// An input that has no form on the wire. The contract's own check should have refused it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input `{input}` {shape}")]
pub struct InputError {
    /// The name that callers use.
    pub input: String,
    /// What is wrong with the value.
    pub shape: Shape,
}

#[derive(Serialize)]
struct TreeOut<'a> {
    #[serde(rename = "ParamName")]
    name: &'a str,
    #[serde(rename = "InnerTree")]
    branches: Branches,
}

/// Branches as a JSON object in their own order, which is Grasshopper's and not that of the spelling.
struct Branches(Vec<(values::Path, Vec<Item>)>);

impl Serialize for Branches {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(path, items)| (path.to_string(), items)))
    }
}

/// A definition's bytes as `algo` carries them, and the key under which a node that has seen them keeps them.
pub fn algo_and_pointer(definition: &[u8]) -> (String, String) {
    let algo = STANDARD.encode(definition);
    let pointer = pointer(&algo);
    (algo, pointer)
}

impl Prepared {
    /// For a version of the registry: names and types from its bindings, and from its definition how a text travels.
    pub fn of(contract: &Contract) -> Self {
        let manifest = &contract.manifest;
        let port = |binding: &Binding| Port {
            name: binding.name.clone(),
            gh: binding.gh.clone(),
            kind: binding.kind,
            access: binding.access,
            form: text_form(&contract.definition, &binding.gh),
        };
        Self::new(Parts {
            definition: &contract.definition_bytes.bytes(),
            inputs: contract.bindings.inputs.iter().map(port).collect(),
            outputs: contract.bindings.outputs.iter().map(port).collect(),
            absolute_tolerance: manifest.absolute_tolerance,
            angle_tolerance_degrees: manifest.angle_tolerance_degrees,
            model_units: &manifest.model_units,
            rhino_major: contract.plugins.rhino.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(8),
        })
    }

    /// Encodes the definition and computes its key. Costs time and memory in proportion to the file.
    pub fn new(parts: Parts<'_>) -> Self {
        let (algo, pointer) = algo_and_pointer(parts.definition);
        let tail = format!(
            concat!(
                r#","absolutetolerance":{},"angletolerance":{},"modelunits":{},"#,
                r#""dataversion":{},"cachesolve":false,"recursionlevel":0}}"#
            ),
            value!(parts.absolute_tolerance),
            value!(parts.angle_tolerance_degrees),
            value!(parts.model_units),
            if parts.rhino_major == 7 { 7 } else { 8 },
        );
        Self { inputs: parts.inputs, outputs: parts.outputs, algo, pointer, tail }
    }

    /// The key under which a node that has seen this definition keeps it.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The declared outputs, in the order of the bindings.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The whole body of a solve request.
    pub fn request(&self, inputs: &Map<String, Value>, source: Source) -> Result<Bytes, InputError> {
        let trees = self.values(inputs)?;
        let (key, definition) = match source {
            Source::Algo => ("algo", &self.algo),
            Source::Pointer => ("pointer", &self.pointer),
        };
        // Base64 and the key need no escapes, so the definition is copied and not scanned.
        let size = 64 + key.len() + definition.len() + trees.len() + self.tail.len();
        let mut body = Vec::with_capacity(size);
        for part in [r#"{""#, key, r#"":""#, definition, r#"","values":"#] {
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(&trees);
        body.extend_from_slice(self.tail.as_bytes());
        Ok(Bytes::from(body))
    }

    /// The `values` of a request: one tree for every declared input, none for anything else.
    fn values(&self, inputs: &Map<String, Value>) -> Result<Vec<u8>, InputError> {
        let mut trees = Vec::with_capacity(self.inputs.len());
        for port in &self.inputs {
            let wrong = |shape| InputError { input: port.name.clone(), shape };
            let value = inputs.get(&port.name).ok_or_else(|| wrong(Shape::Missing("value")))?;
            let branches = values::branches(port.kind, port.access, port.form, value).map_err(wrong)?;
            trees.push(TreeOut { name: &port.gh, branches: Branches(branches) });
        }
        Ok(serde_json::to_vec(&trees).expect("names and texts always have a JSON form"))
    }
}

impl fmt::Debug for Prepared {
    /// Leaves the definition out: it may have megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("pointer", &self.pointer)
            .field("inputs", &self.inputs.len())
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}

/// Raw for a group around a Text parameter; panels and contextual inputs decode what they get.
pub fn text_form(definition: &Definition, name: &str) -> TextForm {
    let input = definition.inputs.iter().find(|input| input.name == name);
    let raw = input.is_some_and(|input| input.kind == InputKind::Group && input.component == TEXT);
    if raw { TextForm::Raw } else { TextForm::Json }
}

/// The node's cache key of a definition: `md5_` and the upper-case hex MD5 of the ASCII bytes of the base64 **text**.
/// MD5 is the node's choice; nothing here relies on it for more than finding a file again.
fn pointer(algo: &str) -> String {
    use fmt::Write;
    Md5::digest(algo.as_bytes()).iter().fold("md5_".to_owned(), |mut key, byte| {
        write!(key, "{byte:02X}").expect("writing to a String cannot fail");
        key
    })
}

/// The bounds of an answer: its bytes are bounded where it is read. A leaf of a tree, `{"type":"System.Double","data":"0"}`, is three
/// values and takes 20 times its text.
const ANSWER: json::Limits = json::Limits {
    bytes: 256 << 20,
    nodes: 500_000,
    growth: 24,
    depth: 8,
    keys_per_object: 200_000,
    string_bytes: 64 << 20,
};

/// The bounds of one value: a box is four levels deep.
const DATA: json::Limits =
    json::Limits { bytes: 64 << 20, nodes: 10_000, growth: 24, depth: 8, keys_per_object: 100, string_bytes: 64 << 20 };

/// Why a body is no JSON that may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It ends before it is complete.
    Truncated,
    /// It breaks a bound, or has a name twice.
    Bounds,
    /// It is something else.
    NotJson,
}

/// Reads the body of an answer to a solve.
pub(super) fn parse_answer(body: &[u8]) -> Result<Value, Unreadable> {
    json::parse(body, &ANSWER).map_err(|error| match error.kind {
        // The parser's word for a text that ends too early.
        json::ErrorKind::Syntax(why) if why.starts_with("EOF") => Unreadable::Truncated,
        json::ErrorKind::Syntax(_)
        | json::ErrorKind::NotUtf8
        | json::ErrorKind::ByteOrderMark
        | json::ErrorKind::Trailing => Unreadable::NotJson,
        json::ErrorKind::TooLong(..)
        | json::ErrorKind::DuplicateKey(_)
        | json::ErrorKind::TooDeep(_)
        | json::ErrorKind::TooManyValues(_)
        | json::ErrorKind::TooMuchMemory(_)
        | json::ErrorKind::TooManyKeys(_)
        | json::ErrorKind::LongString(..) => Unreadable::Bounds,
    })
}

/// Reads the JSON text of one value.
pub(super) fn parse_data(data: &str) -> Result<Value, Shape> {
    json::parse(data.as_bytes(), &DATA).map_err(|error| {
        // What is no JSON number and a number all the same is one that JSON cannot say.
        let beyond = data.trim().parse::<f64>().is_ok_and(|number| !number.is_finite());
        if beyond { Shape::NotFinite } else { Shape::NotJson(error.to_string()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, gh: &str, kind: Type, access: Access, form: TextForm) -> Port {
        Port { name: name.to_owned(), gh: gh.to_owned(), kind, access, form }
    }

    fn prepared() -> Prepared {
        let inputs = vec![
            port("width", "RH_IN:width", Type::Number, Access::Item, TextForm::Json),
            port("count", "Count", Type::Integer, Access::Item, TextForm::Json),
            port("label", "RH_IN:label", Type::Text, Access::Item, TextForm::Raw),
            port("note", "Note", Type::Text, Access::Item, TextForm::Json),
            port("on", "On", Type::Boolean, Access::List, TextForm::Json),
            port("at", "RH_IN:at", Type::Point, Access::Tree, TextForm::Json),
        ];
        Prepared::new(Parts {
            definition: b"GHX",
            inputs,
            outputs: Vec::new(),
            absolute_tolerance: 0.001,
            angle_tolerance_degrees: 1.0,
            model_units: "Meters",
            rhino_major: 8,
        })
    }

    fn inputs() -> Map<String, Value> {
        let inputs = value!({
            "width": 12.5, "count": 3, "label": "a \"b\"", "note": "a \"b\"", "on": [true, false],
            "at": {"{0;10}": [[1, 2, 3]], "{0;2}": []},
            // A name that is not declared goes nowhere, whatever it is.
            "Pointer": "c:/secret",
        });
        let Value::Object(inputs) = inputs else { unreachable!() };
        inputs
    }

    const VALUES: &str = concat!(
        r#""values":[{"ParamName":"RH_IN:width","InnerTree":{"{0}":[{"type":"System.Double","data":"12.5"}]}},"#,
        r#"{"ParamName":"Count","InnerTree":{"{0}":[{"type":"System.Int32","data":"3"}]}},"#,
        r#"{"ParamName":"RH_IN:label","InnerTree":{"{0}":[{"type":"System.String","data":"a \"b\""}]}},"#,
        r#"{"ParamName":"Note","InnerTree":{"{0}":[{"type":"System.String","data":"\"a \\\"b\\\"\""}]}},"#,
        r#"{"ParamName":"On","InnerTree":{"{0}":[{"type":"System.Boolean","data":"true"},"#,
        r#"{"type":"System.Boolean","data":"false"}]}},"#,
        r#"{"ParamName":"RH_IN:at","InnerTree":{"{0;2}":[],"{0;10}":[{"type":"Rhino.Geometry.Point3d","#,
        r#""data":"{\"X\":1.0,\"Y\":2.0,\"Z\":3.0}"}]}}],"#,
        r#""absolutetolerance":0.001,"angletolerance":1.0,"modelunits":"Meters","dataversion":8,"#,
        r#""cachesolve":false,"recursionlevel":0}"#
    );

    #[test]
    fn a_request_with_the_definition_is_these_bytes() {
        let body = prepared().request(&inputs(), Source::Algo).unwrap();
        assert_eq!(std::str::from_utf8(&body).unwrap(), format!(r#"{{"algo":"R0hY",{VALUES}"#));
    }

    #[test]
    fn a_request_by_key_is_the_same_but_for_the_key() {
        // printf R0hY | md5sum
        let body = prepared().request(&inputs(), Source::Pointer).unwrap();
        let key = "md5_7EB335D0B03F58CB0591277E65EEE530";
        assert_eq!(std::str::from_utf8(&body).unwrap(), format!(r#"{{"pointer":"{key}",{VALUES}"#));
    }

    #[test]
    fn every_declared_input_is_sent_or_nothing_is() {
        for name in ["width", "count", "label", "note", "on", "at"] {
            let mut inputs = inputs();
            inputs.remove(name);
            let refused = prepared().request(&inputs, Source::Pointer).unwrap_err();
            assert_eq!(refused, InputError { input: name.to_owned(), shape: Shape::Missing("value") });
        }
    }

    #[test]
    fn the_definition_is_not_in_a_debug_print() {
        assert!(!format!("{:?}", prepared()).contains("R0hY"));
    }
}
