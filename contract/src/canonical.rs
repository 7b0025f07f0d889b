//! The canonical form of inputs: defaults in, numbers coerced by contract type, one spelling per value.
//!
//! Two sets of inputs that mean the same solve have the same bytes and so the same key; two that do not, have not.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use crate::bindings::{Access, Binding, Type};
use crate::digest::Digest;
use crate::schema::Violation;

/// Inputs that a contract has accepted, in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Every declared input by the caller's name, defaults included.
    pub values: Map<String, Value>,
    /// The one spelling of `values`: JSON with sorted keys and no white space.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub key: Digest,
}

/// The greatest magnitude of an integer: beyond 2^53, readers that keep numbers as doubles lose digits.
const SAFE: u64 = 1 << 53;

/// The members of geometry in Rhino's JSON form.
const RHINO_MEMBERS: [&str; 4] = ["version", "archive3dm", "opennurbs", "data"];

// === impl Inputs ===

impl Inputs {
    /// Takes values that are coerced already and spells them.
    pub(crate) fn new(values: Map<String, Value>) -> Self {
        let mut text = String::new();
        write_object(&mut text, &values);
        let bytes = text.into_bytes();
        let key = Digest::of(&bytes);
        Self { values, bytes, key }
    }
}

/// The value in the form that its binding's type and access give it.
///
/// Integer: `3.0` becomes `3`, `3.5` is refused. Number: always a double, `-0` becomes `0`. Composite types are read
/// member by member; a member that their type does not have is refused. Violations have pointers below `/<name>`. Lists are
/// rewritten where they lie, so that a large value is there once.
pub fn coerce(binding: &Binding, value: Value) -> Result<Value, Vec<Violation>> {
    let mut coercion = Coercion { kind: binding.kind, violations: Vec::new() };
    let pointer = format!("/{}", crate::json::spans::escape(&binding.name));
    let coerced = match binding.access {
        Access::Item => coercion.item(value, &pointer),
        Access::List => coercion.list(value, &pointer),
        Access::Tree => coercion.tree(value, &pointer),
    };
    match coerced {
        Some(value) if coercion.violations.is_empty() => Ok(value),
        _ => Err(coercion.violations),
    }
}

/// Whether the text spells a path of a data tree, such as `{0;1}`, in the one way that compute writes it.
pub fn is_path(text: &str) -> bool {
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).is_some_and(|inner| {
        inner.split(';').all(|part| part.parse::<i32>().is_ok_and(|index| index >= 0 && index.to_string() == part))
    })
}

/// Appends the one spelling of a value: keys sorted by their bytes, no white space, shortest digits.
fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Object(object) => write_object(text, object),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(text, item);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            write!(text, "{value}").expect("a String takes all that is written to it");
        }
    }
}

fn write_object(text: &mut String, object: &Map<String, Value>) {
    // The map sorts only as long as no crate of the build asks serde_json to preserve order.
    let mut members: Vec<_> = object.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    text.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_value(text, &Value::String(name.clone()));
        text.push(':');
        write_value(text, value);
    }
    text.push('}');
}

struct Coercion {
    kind: Type,
    violations: Vec<Violation>,
}

// === impl Coercion ===

impl Coercion {
    /// Refuses the value at `pointer`; always `None`, so that a refusal can be returned.
    fn refuse<T>(&mut self, rule: &'static str, pointer: &str, message: impl Into<String>) -> Option<T> {
        self.violations.push(Violation::new(pointer, rule, message));
        None
    }

    fn list(&mut self, value: Value, pointer: &str) -> Option<Value> {
        let Value::Array(items) = value else {
            return self.refuse("type", pointer, format!("this must be a list of {}s", self.kind.word()));
        };
        let items: Vec<_> =
            items.into_iter().enumerate().map(|(index, item)| self.item(item, &format!("{pointer}/{index}"))).collect();
        items.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn tree(&mut self, value: Value, pointer: &str) -> Option<Value> {
        let Value::Object(branches) = value else {
            let message = format!(
                "this must be a tree, an object from paths such as `{{0;1}}` to lists of {}s",
                self.kind.word()
            );
            return self.refuse("type", pointer, message);
        };
        let mut tree = Map::new();
        for (path, branch) in branches {
            let below = format!("{pointer}/{}", crate::json::spans::escape(&path));
            if !is_path(&path) {
                self.refuse::<()>("path", &below, "the path of a branch is spelled like `{0;1}`");
            }
            if let Some(branch) = self.list(branch, &below) {
                tree.insert(path, branch);
            }
        }
        Some(Value::Object(tree))
    }

    fn item(&mut self, value: Value, pointer: &str) -> Option<Value> {
        match self.kind {
            Type::Number => self.number(value, pointer),
            Type::Integer => self.integer(value, pointer),
            Type::Boolean if value.is_boolean() => Some(value),
            Type::Boolean => self.refuse("type", pointer, "this must be true or false"),
            Type::Text if value.is_string() => Some(value),
            Type::Text => self.refuse("type", pointer, "this must be a text"),
            Type::Point | Type::Vector => self.triple(value, pointer),
            Type::Plane => self.plane(value, pointer),
            Type::Line => self.members(value, pointer, &[("from", Self::triple), ("to", Self::triple)]),
            Type::Circle => self.members(value, pointer, &[("plane", Self::plane), ("radius", Self::number)]),
            Type::Rectangle => {
                self.members(value, pointer, &[("plane", Self::plane), ("x", Self::pair), ("y", Self::pair)])
            }
            Type::Box => {
                let members: [(_, Read); 4] =
                    [("plane", Self::plane), ("x", Self::pair), ("y", Self::pair), ("z", Self::pair)];
                self.members(value, pointer, &members)
            }
            Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => {
                self.rhino(value, pointer)
            }
        }
    }

    fn number(&mut self, value: Value, pointer: &str) -> Option<Value> {
        let Value::Number(number) = value else {
            return self.refuse("type", pointer, "this must be a number");
        };
        if beyond_safe(&number) {
            return self.refuse("number_range", pointer, format!("{number} has more digits than a double keeps"));
        }
        // Adding zero turns -0 into 0 and changes no other number.
        let finite = number.as_f64().and_then(|double| Number::from_f64(double + 0.0));
        match finite {
            Some(number) => Some(Value::Number(number)),
            None => self.refuse("number_range", pointer, "this number is not finite"),
        }
    }

    fn integer(&mut self, value: Value, pointer: &str) -> Option<Value> {
        let Value::Number(number) = value else {
            return self.refuse("type", pointer, "this must be a whole number");
        };
        let integer = number.as_i64().or_else(|| whole(number.as_f64()?));
        match integer {
            Some(integer) if integer.unsigned_abs() <= SAFE => Some(Value::Number(integer.into())),
            None if number.as_f64().is_some_and(|double| double.fract() != 0.0) => {
                self.refuse("type", pointer, format!("{number} is not a whole number"))
            }
            _ => self.refuse("number_range", pointer, format!("{number} is beyond 2^53, the greatest safe integer")),
        }
    }

    fn numbers(&mut self, value: Value, pointer: &str, count: usize, form: &str) -> Option<Value> {
        let wrong = || format!("this must be {count} numbers, {form}");
        let Value::Array(items) = value else { return self.refuse("type", pointer, wrong()) };
        if items.len() != count {
            return self.refuse("type", pointer, wrong());
        }
        let items: Vec<_> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.number(item, &format!("{pointer}/{index}")))
            .collect();
        items.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn triple(&mut self, value: Value, pointer: &str) -> Option<Value> {
        self.numbers(value, pointer, 3, "[x, y, z]")
    }

    fn pair(&mut self, value: Value, pointer: &str) -> Option<Value> {
        self.numbers(value, pointer, 2, "[from, to]")
    }

    fn plane(&mut self, value: Value, pointer: &str) -> Option<Value> {
        self.members(value, pointer, &[("origin", Self::triple), ("x_axis", Self::triple), ("y_axis", Self::triple)])
    }

    /// An object of exactly these members.
    fn members(&mut self, value: Value, pointer: &str, members: &[(&str, Read)]) -> Option<Value> {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        let mut object = self.exactly(value, pointer, &names)?;
        let read: Vec<_> = members
            .iter()
            .map(|(name, read)| {
                let value = read(self, object.remove(*name)?, &format!("{pointer}/{name}"))?;
                Some(((*name).to_owned(), value))
            })
            .collect();
        read.into_iter().collect::<Option<Map<_, _>>>().map(Value::Object)
    }

    /// The object at `pointer`, if it has all of these members and no other.
    fn exactly(&mut self, value: Value, pointer: &str, names: &[&str]) -> Option<Map<String, Value>> {
        let Value::Object(object) = value else {
            let message = format!("this must be an object with {}", crate::fault::listed(names.iter().copied()));
            return self.refuse("type", pointer, message);
        };
        let before = self.violations.len();
        for name in names.iter().filter(|name| !object.contains_key(**name)) {
            self.refuse::<()>("required", &format!("{pointer}/{name}"), format!("`{name}` is missing"));
        }
        let others = object.keys().map(String::as_str).filter(|name| !names.contains(name));
        self.violations.extend(Violation::unknown(pointer, ("unknown_input", "member"), others, names));
        (self.violations.len() == before).then_some(object)
    }

    /// Geometry in Rhino's JSON form: three version numbers and base64.
    fn rhino(&mut self, value: Value, pointer: &str) -> Option<Value> {
        let mut object = self.exactly(value, pointer, &RHINO_MEMBERS)?;
        let mut geometry = Map::new();
        for name in RHINO_MEMBERS {
            let (below, member) = (format!("{pointer}/{name}"), object.remove(name)?);
            let member = if name == "data" {
                if !member.as_str().is_some_and(is_base64) {
                    return self.refuse("type", &below, "this must be base64");
                }
                member
            } else {
                self.integer(member, &below)?
            };
            geometry.insert(name.to_owned(), member);
        }
        Some(Value::Object(geometry))
    }
}

/// Reads one member of a composite type.
type Read = fn(&mut Coercion, Value, &str) -> Option<Value>;

/// An integer spelled without point or exponent whose digits a double would not keep.
fn beyond_safe(number: &Number) -> bool {
    number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64()).is_some_and(|magnitude| magnitude > SAFE)
}

/// The double as an integer, if it is whole and within the safe range.
fn whole(double: f64) -> Option<i64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is a double")]
    let safe = SAFE as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^53 in magnitude")]
    (double.fract() == 0.0 && double.abs() <= safe).then_some(double as i64)
}

/// Whether the text is base64 of whole bytes, padded.
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let digits = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && digits && !text.is_empty()
}
