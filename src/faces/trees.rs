//! Data trees and plain values as clients send them, bound to the inputs of a contract.
//!
//! Invariant: a value is only ever brought into the contract's shape; whether it is allowed the contract's own check decides.

use contract::bindings::{Access, Binding, Type};
use contract::{Contract, Violation, fault};
use serde_json::{Map, Value, json};

use super::question::Said;
use crate::rhino::protocol::text_form;
use crate::rhino::values::{self, Item, TextForm};

/// The rule of a name that the contract has not. Together with a missing input it says that a sheet is out of date.
const UNKNOWN: &str = "unknown_input";

/// The inputs by the contract's names.
///
/// # Errors
/// Names that the contract does not have, and counts of values that it does not take.
pub(super) fn bind(contract: &Contract, said: Said, hops: bool) -> Result<Value, Vec<Violation>> {
    let mut binder = Binder { contract, hops, inputs: Map::new(), violations: Vec::new() };
    match said {
        Said::Trees(trees) => trees.iter().for_each(|tree| binder.tree(tree)),
        Said::Flat(values) => values.iter().for_each(|(name, value)| binder.flat(name, value)),
        Said::Pairs(pairs) => {
            let mut values = Map::new();
            for (name, value) in pairs {
                let list = values.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().expect("only lists are put in").push(value.into());
            }
            values.iter().for_each(|(name, value)| binder.flat(name, value));
        }
    }
    if binder.violations.is_empty() { Ok(Value::Object(binder.inputs)) } else { Err(binder.violations) }
}

/// Whether the inputs are those of another version: names that are not there, or that are missing.
pub(super) fn is_another_sheet(violations: &[Violation]) -> bool {
    !violations.is_empty() && violations.iter().all(|violation| matches!(violation.rule, UNKNOWN | "required"))
}

/// The name of a parameter without what compute's conventions put before it.
pub(super) fn short(gh: &str) -> &str {
    gh.rsplit(':').next().unwrap_or(gh)
}

struct Binder<'c> {
    contract: &'c Contract,
    hops: bool,
    inputs: Map<String, Value>,
    violations: Vec<Violation>,
}

// === impl Binder ===

impl<'c> Binder<'c> {
    /// The input of a name: as the node knows it, as the contract calls it, or by its last part, as older pages spell it.
    fn binding(&mut self, name: &str) -> Option<&'c Binding> {
        let bindings = &self.contract.bindings.inputs;
        let exact = bindings.iter().find(|binding| binding.gh == name);
        let called = || bindings.iter().find(|binding| binding.name == name);
        let last = || {
            let last = name.strip_prefix("RH_IN:").unwrap_or(name);
            let mut found = bindings.iter().filter(|binding| short(&binding.gh) == last || binding.name == last);
            found.next().filter(|_| found.next().is_none())
        };
        let binding = exact.or_else(called).or_else(last);
        if binding.is_none() {
            let known = bindings.iter().flat_map(|binding| [binding.gh.as_str(), binding.name.as_str()]);
            let shown: String = name.chars().take(64).collect();
            let message = format!("{} has no input `{shown}`", self.contract.manifest.definition);
            let help = fault::did_you_mean(name, known);
            let pointer = format!("/{}", contract::json::spans::escape(&shown));
            self.violations.push(Violation { help, ..Violation::new(pointer, UNKNOWN, message) });
        }
        binding
    }

    fn refuse(&mut self, binding: &Binding, rule: &'static str, message: String) {
        let pointer = format!("/{}", contract::json::spans::escape(&binding.name));
        self.violations.push(Violation::new(pointer, rule, message));
    }

    fn put(&mut self, binding: &Binding, value: Value) {
        if self.inputs.insert(binding.name.clone(), value).is_some() {
            self.refuse(binding, "twice", "this input is sent twice".to_owned());
        }
    }

    /// `{"ParamName", "InnerTree"}`
    fn tree(&mut self, tree: &Value) {
        let Some((name, branches)) = name_and_branches(tree) else {
            let message = "a tree is an object of a `ParamName` and an `InnerTree`".to_owned();
            self.violations.push(Violation::new("", "tree", message));
            return;
        };
        let Some(binding) = self.binding(name) else { return };
        let mut bound: Vec<(String, Vec<Value>)> = Vec::new();
        for (path, items) in branches {
            let Some(items) = items.as_array() else {
                return self.refuse(binding, "tree", format!("the branch `{path}` is a list of items"));
            };
            bound.push((spelled(path), items.iter().map(|item| self.item(binding, data(item))).collect()));
        }
        self.place(binding, bound);
    }

    fn place(&mut self, binding: &Binding, branches: Vec<(String, Vec<Value>)>) {
        let count: usize = branches.iter().map(|(_, items)| items.len()).sum();
        match binding.access {
            // Nothing is no value: the contract's default stands, as Grasshopper's own would.
            Access::Item if count == 0 => {}
            Access::Item if count > 1 => self.refuse(binding, "count", format!("this takes one value, not {count}")),
            Access::Item => {
                let only = branches.into_iter().flat_map(|(_, items)| items).next();
                self.put(binding, only.unwrap_or_default());
            }
            Access::List => {
                let all: Vec<Value> = branches.into_iter().flat_map(|(_, items)| items).collect();
                self.put(binding, all.into());
            }
            Access::Tree => {
                let mut tree = Map::new();
                for (path, items) in branches {
                    tree.entry(path)
                        .or_insert_with(|| json!([]))
                        .as_array_mut()
                        .expect("a list was put in")
                        .extend(items);
                }
                self.put(binding, Value::Object(tree));
            }
        }
    }

    /// One value for a name, or a list of them.
    fn flat(&mut self, name: &str, value: &Value) {
        let Some(binding) = self.binding(name) else { return };
        let items = match (value, binding.access) {
            (Value::Object(branches), Access::Tree) => {
                let bound = branches.iter().map(|(path, items)| {
                    let items = items.as_array().cloned().unwrap_or_else(|| vec![items.clone()]);
                    (spelled(path), items.iter().map(|item| self.item(binding, Some(item))).collect())
                });
                let bound = bound.collect();
                return self.place(binding, bound);
            }
            // Three numbers may be a point; they are one value then, and not three.
            (Value::Array(items), Access::Item) if composite(binding.kind) && items.iter().all(Value::is_number) => {
                vec![value.clone()]
            }
            (Value::Array(items), _) => items.clone(),
            (value, _) => vec![value.clone()],
        };
        let items = items.iter().map(|item| self.item(binding, Some(item))).collect();
        self.place(binding, vec![("{0}".to_owned(), items)]);
    }

    /// One value in the contract's shape. What cannot be brought into it stays as it is, for the contract's check to name.
    fn item(&self, binding: &Binding, data: Option<&Value>) -> Value {
        let Some(data) = data else { return Value::Null };
        match binding.kind {
            Type::Text => self.text(binding, data),
            Type::Number | Type::Integer | Type::Boolean => scalar(binding.kind, data),
            Type::Point
            | Type::Vector
            | Type::Plane
            | Type::Line
            | Type::Circle
            | Type::Rectangle
            | Type::Box
            | Type::Curve
            | Type::Surface
            | Type::Brep
            | Type::Mesh
            | Type::Subd
            | Type::Geometry => {
                let text = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
                let item = Item { net_type: values::net_type(binding.kind).to_owned(), data: text };
                values::decode(binding.kind, &item).unwrap_or_else(|_other| plain(data))
            }
        }
    }

    /// A text as the parameter behind the input takes it: a group's Text parameter as it is, all others decoded where it is a
    /// JSON string. Hops encodes all of them.
    fn text(&self, binding: &Binding, data: &Value) -> Value {
        let Value::String(text) = data else { return data.clone() };
        let raw = text_form(&self.contract.definition, &binding.gh) == TextForm::Raw && !self.hops;
        match serde_json::from_str::<String>(text) {
            Ok(decoded) if !raw => decoded.into(),
            _ => data.clone(),
        }
    }
}

fn name_and_branches(tree: &Value) -> Option<(&str, &Map<String, Value>)> {
    let object = tree.as_object()?;
    let member = |name: &str| {
        let other = || object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        object.get(name).or_else(other)
    };
    Some((member("ParamName")?.as_str()?, member("InnerTree")?.as_object()?))
}

/// The data of an item: `{"type", "data"}`, or the value itself.
fn data(item: &Value) -> Option<&Value> {
    match item {
        Value::Object(object) => object.get("data").or_else(|| object.get("Data")).or(Some(item)),
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Some(item),
    }
}

/// A number or flag, from JSON or from a text that spells one.
fn scalar(kind: Type, data: &Value) -> Value {
    let Value::String(text) = data else { return data.clone() };
    let text = text.trim();
    // A text inside the text, as a client that encodes twice sends it.
    let inner = serde_json::from_str::<String>(text).ok();
    let text = inner.as_deref().unwrap_or(text).trim();
    if kind == Type::Boolean {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "1" => true.into(),
            "false" | "0" => false.into(),
            _ => data.clone(),
        };
    }
    match serde_json::from_str::<serde_json::Number>(text) {
        Ok(number) => Value::Number(number),
        Err(_) => data.clone(),
    }
}

/// A text that holds JSON as that JSON, and all else as it is.
fn plain(data: &Value) -> Value {
    data.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| data.clone())
}

fn composite(kind: Type) -> bool {
    !matches!(kind, Type::Number | Type::Integer | Type::Boolean | Type::Text)
}

/// A path with braces and without spaces, whichever way it came.
fn spelled(path: &str) -> String {
    let bare: String = path.chars().filter(|letter| !matches!(letter, '{' | '}' | ' ')).collect();
    format!("{{{}}}", bare.trim_end_matches(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_come_as_json_as_text_and_as_text_in_text() {
        for (data, expected) in [(json!(5), 5), (json!("5"), 5), (json!("\"5\""), 5), (json!(" 5 "), 5)] {
            assert_eq!(scalar(Type::Integer, &data), json!(expected), "{data}");
        }
        for data in [json!(true), json!("true"), json!("True"), json!("1")] {
            assert_eq!(scalar(Type::Boolean, &data), json!(true), "{data}");
        }
        assert_eq!(scalar(Type::Number, &json!("wide")), json!("wide"), "left for the contract's check");
    }

    #[test]
    fn paths_are_spelled_in_one_way() {
        for path in ["0;1", "{0;1}", "{0; 1}", "0;1;"] {
            assert_eq!(spelled(path), "{0;1}", "{path}");
        }
    }

    #[test]
    fn an_item_is_its_data_or_itself() {
        assert_eq!(data(&json!({ "type": "System.Double", "data": "1.5" })), Some(&json!("1.5")));
        assert_eq!(data(&json!({ "data": 1.5 })), Some(&json!(1.5)));
        assert_eq!(data(&json!(1.5)), Some(&json!(1.5)));
        assert_eq!(data(&json!({ "X": 1 })), Some(&json!({ "X": 1 })));
        assert_eq!(data(&json!(null)), None);
    }
}
