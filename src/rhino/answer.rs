//! What a node answers to a solve: read within bounds, then mapped to the declared outputs.
//!
//! Invariant: an answer either gives every declared output in its declared type and access, or it is a named
//! [`Mismatch`]; nothing is guessed, and what is not declared is dropped.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use contract::bindings::{Access, Type};

use super::protocol::Port;
use super::values::{self, Item, Path, Shape};

/// A solve's answer: data trees by parameter name, and what Grasshopper had to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// In the order of the answer; names may repeat where a definition is wrong.
    pub trees: Vec<Tree>,
    /// Messages of components; with any of them the solve has failed.
    pub errors: Vec<String>,
    /// Messages of components that stopped nothing.
    pub warnings: Vec<String>,
}

/// One output's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The exact name of the parameter.
    pub name: String,
    /// Items by branch, in Grasshopper's order of branches.
    pub branches: BTreeMap<Path, Vec<Item>>,
}

/// A JSON object that is not an answer to a solve; says where it departs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer's {0}")]
pub struct NotAnAnswer(pub String);

/// Why an answer does not keep the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output `{output}` ({gh}) {what}")]
pub struct Mismatch {
    /// The name that callers use.
    pub output: String,
    /// The parameter that the node knows.
    pub gh: String,
    /// What is wrong.
    pub what: Wrong,
}

/// The ways in which an output can fail its contract; reads as the end of a sentence about the output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// No tree of that name.
    #[error("is not in the answer")]
    Absent,
    /// Two trees of that name.
    #[error("is in the answer twice")]
    Twice,
    /// A lone value is declared.
    #[error("has {0} values where the contract declares one")]
    Count(usize),
    /// A value of another type or form.
    #[error("has a value at {path}[{at}] that {shape}")]
    Value {
        /// The branch.
        path: String,
        /// Place in the branch, from 0.
        at: usize,
        /// What is wrong with it.
        shape: Shape,
    },
}

impl Answer {
    /// Reads the members that matter, whatever else the node adds. `values` may be absent where there are errors.
    pub fn read(value: &Value) -> Result<Self, NotAnAnswer> {
        let object = value.as_object().ok_or_else(|| NotAnAnswer("body is not a JSON object".to_owned()))?;
        let trees = match object.get("values") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(trees)) => trees.iter().map(Tree::read).collect::<Result<_, _>>()?,
            Some(_) => return Err(NotAnAnswer("`values` is not a list".to_owned())),
        };
        Ok(Self { trees, errors: texts(object, "errors")?, warnings: texts(object, "warnings")? })
    }

    /// The declared outputs in the callers' names and JSON shapes.
    ///
    /// An item needs exactly one value, wherever it stands. A list is all values in the order of the branches, as
    /// Grasshopper's Flatten gives them. A tree keeps its paths.
    pub fn outputs(&self, ports: &[Port]) -> Result<Map<String, Value>, Mismatch> {
        let mut outputs = Map::new();
        for port in ports {
            let wrong = |what| Mismatch { output: port.name.clone(), gh: port.gh.clone(), what };
            let mut named = self.trees.iter().filter(|tree| tree.name == port.gh);
            let tree = named.next().ok_or_else(|| wrong(Wrong::Absent))?;
            if named.next().is_some() {
                return Err(wrong(Wrong::Twice));
            }
            outputs.insert(port.name.clone(), tree.output(port).map_err(wrong)?);
        }
        Ok(outputs)
    }
}

/// One tree in the words of the node.
#[derive(Serialize)]
struct Worded<'a> {
    #[serde(rename = "ParamName")]
    name: &'a str,
    #[serde(rename = "InnerTree", serialize_with = "in_order")]
    branches: &'a BTreeMap<Path, Vec<Item>>,
}

/// Branches in Grasshopper's order, which is not that of the spelling of their paths.
fn in_order<S: serde::Serializer>(branches: &BTreeMap<Path, Vec<Item>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(branches.iter().map(|(path, items)| (path.to_string(), items)))
}

/// Trees as the node spelled them, as a JSON list; those of these outputs only, in the order of the answer.
pub fn worded(trees: &[Tree], ports: &[Port]) -> Box<RawValue> {
    let declared = trees.iter().filter(|tree| ports.iter().any(|port| port.gh == tree.name));
    let declared: Vec<_> = declared.map(|tree| Worded { name: &tree.name, branches: &tree.branches }).collect();
    serde_json::value::to_raw_value(&declared).expect("names and texts always have a JSON form")
}

impl Tree {
    fn read(value: &Value) -> Result<Self, NotAnAnswer> {
        let name = value.get("ParamName").and_then(Value::as_str);
        let name = name.ok_or_else(|| NotAnAnswer("trees have one without a `ParamName`".to_owned()))?;
        let inner = value.get("InnerTree").and_then(Value::as_object);
        let inner = inner.ok_or_else(|| NotAnAnswer(format!("tree `{name}` has no `InnerTree` object")))?;
        let mut branches = BTreeMap::new();
        for (path, items) in inner {
            let place = Path::read(path).map_err(|shape| NotAnAnswer(format!("tree `{name}` {shape}")))?;
            let items = items.as_array();
            let items = items.ok_or_else(|| NotAnAnswer(format!("tree `{name}` has no list at {path}")))?;
            let items = items.iter().map(item).collect::<Option<Vec<_>>>();
            let items = items
                .ok_or_else(|| NotAnAnswer(format!("tree `{name}` has an item at {path} without type and data")))?;
            // Two spellings of one path, such as {0} and {00}, come from no node.
            if branches.insert(place, items).is_some() {
                return Err(NotAnAnswer(format!("tree `{name}` has the branch {path} twice")));
            }
        }
        Ok(Self { name: name.to_owned(), branches })
    }

    fn output(&self, port: &Port) -> Result<Value, Wrong> {
        match port.access {
            Access::Item => {
                let mut all = self.branches.iter().flat_map(|(path, items)| items.iter().map(move |item| (path, item)));
                match (all.next(), all.next()) {
                    (Some((path, item)), None) => decode(port.kind, path, 0, item),
                    (None, _) => Err(Wrong::Count(0)),
                    (Some(_), Some(_)) => Err(Wrong::Count(2 + all.count())),
                }
            }
            Access::List => {
                let lists = self.branches.iter().map(|(path, items)| list(port.kind, path, items));
                Ok(Value::Array(lists.collect::<Result<Vec<_>, _>>()?.concat()))
            }
            Access::Tree => {
                let branches = self.branches.iter();
                let branches =
                    branches.map(|(path, items)| Ok((path.to_string(), list(port.kind, path, items)?.into())));
                Ok(Value::Object(branches.collect::<Result<_, Wrong>>()?))
            }
        }
    }
}

fn list(kind: Type, path: &Path, items: &[Item]) -> Result<Vec<Value>, Wrong> {
    items.iter().enumerate().map(|(at, item)| decode(kind, path, at, item)).collect()
}

fn decode(kind: Type, path: &Path, at: usize, item: &Item) -> Result<Value, Wrong> {
    values::decode(kind, item).map_err(|shape| Wrong::Value { path: path.to_string(), at, shape })
}

fn item(value: &Value) -> Option<Item> {
    let text = |name| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Item { net_type: text("type")?, data: text("data")? })
}

fn texts(object: &Map<String, Value>, name: &str) -> Result<Vec<String>, NotAnAnswer> {
    let wrong = || NotAnAnswer(format!("`{name}` is not a list of texts"));
    match object.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rhino::values::TextForm;

    fn port(kind: Type, access: Access) -> Port {
        Port { name: "area".to_owned(), gh: "RH_OUT:area".to_owned(), kind, access, form: TextForm::Json }
    }

    fn tree(branches: &Value) -> Value {
        json!({"ParamName": "RH_OUT:area", "InnerTree": branches})
    }

    fn double(data: &str) -> Value {
        json!({"type": "System.Double", "data": data})
    }

    fn mapped(values: &Value, port: Port) -> Result<Value, String> {
        let answer = Answer::read(&json!({"values": values, "algo": "", "recursionlevel": 0})).unwrap();
        let outputs = answer.outputs(&[port]).map_err(|mismatch| mismatch.to_string())?;
        Ok(outputs["area"].clone())
    }

    #[test]
    fn an_answer_keeps_the_contract_or_says_where_it_does_not() {
        use Access::{Item, List, Tree};
        let two = json!([tree(&json!({"{0;10}": [double("3.0")], "{0;2}": [double("1.5"), double("2.0")]}))]);
        let one = json!([tree(&json!({"{0;0}": [double("1.5")]})), {"ParamName": "other", "InnerTree": {}}]);
        let none = json!([tree(&json!({"{0;0}": []}))]);
        let table = [
            (&one, Item, Ok(json!(1.5))),
            (&one, List, Ok(json!([1.5]))),
            (&one, Tree, Ok(json!({"{0;0}": [1.5]}))),
            (&two, List, Ok(json!([1.5, 2.0, 3.0]))),
            (&two, Tree, Ok(json!({"{0;2}": [1.5, 2.0], "{0;10}": [3.0]}))),
            (&two, Item, Err("has 3 values where the contract declares one")),
            (&none, Item, Err("has 0 values where the contract declares one")),
            (&none, List, Ok(json!([]))),
            (&none, Tree, Ok(json!({"{0;0}": []}))),
        ];
        for (values, access, expected) in table {
            let expected = expected.map_err(|what| format!("output `area` (RH_OUT:area) {what}"));
            assert_eq!(mapped(values, port(Type::Number, access)), expected, "{access:?}");
        }
        let absent = mapped(&json!([]), port(Type::Number, List));
        assert_eq!(absent, Err("output `area` (RH_OUT:area) is not in the answer".to_owned()));
        let twice = mapped(&json!([one[0], one[0]]), port(Type::Number, Item));
        assert_eq!(twice, Err("output `area` (RH_OUT:area) is in the answer twice".to_owned()));
        let typed = mapped(&two, port(Type::Point, List));
        let said = "output `area` (RH_OUT:area) has a value at {0;2}[0] that is not a point, but System.Double";
        assert_eq!(typed, Err(said.to_owned()));
    }

    #[test]
    fn names_are_exact() {
        let values = json!([{"ParamName": "rh_out:area", "InnerTree": {"{0}": [double("1.0")]}}]);
        assert!(mapped(&values, port(Type::Number, Access::Item)).is_err());
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let wrong = [
            (json!([]), "body is not a JSON object"),
            (json!({"values": {}}), "`values` is not a list"),
            (json!({"values": [{}]}), "trees have one without a `ParamName`"),
            (json!({"values": [{"ParamName": "a"}]}), "tree `a` has no `InnerTree` object"),
            (json!({"values": [{"ParamName": "a", "InnerTree": {"{0}": 1}}]}), "tree `a` has no list at {0}"),
            (json!({"values": [{"ParamName": "a", "InnerTree": {"{0}": [], "{00}": []}}]}), "the branch {0} twice"),
            (json!({"values": [{"ParamName": "a", "InnerTree": {"{0}": [{"data": "1"}]}}]}), "without type and data"),
            (json!({"values": [], "errors": "boom"}), "`errors` is not a list of texts"),
        ];
        for (value, expected) in wrong {
            let said = Answer::read(&value).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
