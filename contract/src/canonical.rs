//! The canonical form of inputs: defaults in, numbers coerced by contract type, one spelling per value.
//!
//! Two sets of inputs that mean the same solve have the same bytes and so the same key; two that do not, have not.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::bindings::{Access, Binding, Type};
use crate::digest::Digest;
use crate::schema::{VIOLATIONS, Violation};

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
        let mut bytes = Vec::new();
        write_object(&mut bytes, &values);
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
    let mut coercion = Coercion { kind: binding.kind, refusals: 0, violations: Vec::new() };
    let place = Place::Member(&Place::Inputs, &binding.name);
    let coerced = match binding.access {
        Access::Item => coercion.item(value, &place),
        Access::List => coercion.list(value, &place),
        Access::Tree => coercion.tree(value, &place),
    };
    match coerced {
        Some(value) if coercion.refusals == 0 => Ok(value),
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
fn write_value(text: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(object) => write_object(text, object),
        Value::Array(items) => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_value(text, item);
            }
            text.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write_scalar(text, value),
    }
}

fn write_object(text: &mut Vec<u8>, object: &Map<String, Value>) {
    // The map sorts only as long as no crate of the build asks serde_json to preserve order.
    let mut members: Vec<_> = object.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    text.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_scalar(text, name);
        text.push(b':');
        write_value(text, value);
    }
    text.push(b'}');
}

fn write_scalar(text: &mut Vec<u8>, scalar: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, scalar)
        .expect("a Vec takes all that is written to it, and every scalar can be spelled");
}

/// Where a value lies; spelled as a JSON pointer only where something is wrong with it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
    Inputs,
}

// === impl Place ===

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs => Ok(()),
            Self::Member(outer, name) => write!(f, "{outer}/{}", crate::json::spans::escape(name)),
            Self::Item(outer, index) => write!(f, "{outer}/{index}"),
        }
    }
}

struct Coercion {
    kind: Type,
    refusals: usize,
    /// Those of the first few refusals: a list of a million slips is not to be answered with a million texts.
    violations: Vec<Violation>,
}

// === impl Coercion ===

impl Coercion {
    /// Refuses the value at `place`; always `None`, so that a refusal can be returned.
    fn refuse<T>(&mut self, rule: &'static str, place: &Place<'_>, message: impl Into<String>) -> Option<T> {
        self.refusals += 1;
        if self.violations.len() < VIOLATIONS {
            self.violations.push(Violation::new(place.to_string(), rule, message));
        }
        None
    }

    fn list(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        let Value::Array(items) = value else {
            return self.refuse("type", place, format!("this must be a list of {}s", self.kind.word()));
        };
        let items: Vec<_> =
            items.into_iter().enumerate().map(|(index, item)| self.item(item, &Place::Item(place, index))).collect();
        items.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn tree(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        let Value::Object(branches) = value else {
            let message = format!(
                "this must be a tree, an object from paths such as `{{0;1}}` to lists of {}s",
                self.kind.word()
            );
            return self.refuse("type", place, message);
        };
        let mut tree = Map::new();
        for (path, branch) in branches {
            let below = Place::Member(place, &path);
            if !is_path(&path) {
                self.refuse::<()>("path", &below, "the path of a branch is spelled like `{0;1}`");
            }
            if let Some(branch) = self.list(branch, &below) {
                tree.insert(path, branch);
            }
        }
        Some(Value::Object(tree))
    }

    fn item(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        match self.kind {
            Type::Number => self.number(value, place),
            Type::Integer => self.integer(value, place),
            Type::Boolean if value.is_boolean() => Some(value),
            Type::Boolean => self.refuse("type", place, "this must be true or false"),
            Type::Text if value.is_string() => Some(value),
            Type::Text => self.refuse("type", place, "this must be a text"),
            Type::Point | Type::Vector => self.triple(value, place),
            Type::Plane => self.plane(value, place),
            Type::Line => self.members(value, place, &[("from", Self::triple), ("to", Self::triple)]),
            Type::Circle => self.members(value, place, &[("plane", Self::plane), ("radius", Self::number)]),
            Type::Rectangle => {
                self.members(value, place, &[("plane", Self::plane), ("x", Self::pair), ("y", Self::pair)])
            }
            Type::Box => {
                let members: [(_, Read); 4] =
                    [("plane", Self::plane), ("x", Self::pair), ("y", Self::pair), ("z", Self::pair)];
                self.members(value, place, &members)
            }
            Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => {
                self.rhino(value, place)
            }
        }
    }

    fn number(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        let Value::Number(number) = value else {
            return self.refuse("type", place, "this must be a number");
        };
        if beyond_safe(&number) {
            return self.refuse("number_range", place, format!("{number} has more digits than a double keeps"));
        }
        // Adding zero turns -0 into 0 and changes no other number.
        let finite = number.as_f64().and_then(|double| Number::from_f64(double + 0.0));
        match finite {
            Some(number) => Some(Value::Number(number)),
            None => self.refuse("number_range", place, "this number is not finite"),
        }
    }

    fn integer(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        let Value::Number(number) = value else {
            return self.refuse("type", place, "this must be a whole number");
        };
        let integer = number.as_i64().or_else(|| whole(number.as_f64()?));
        match integer {
            Some(integer) if integer.unsigned_abs() <= SAFE => Some(Value::Number(integer.into())),
            None if number.as_f64().is_some_and(|double| double.fract() != 0.0) => {
                self.refuse("type", place, format!("{number} is not a whole number"))
            }
            _ => self.refuse("number_range", place, format!("{number} is beyond 2^53, the greatest safe integer")),
        }
    }

    fn numbers(&mut self, value: Value, place: &Place<'_>, count: usize, form: &str) -> Option<Value> {
        let wrong = || format!("this must be {count} numbers, {form}");
        let Value::Array(items) = value else { return self.refuse("type", place, wrong()) };
        if items.len() != count {
            return self.refuse("type", place, wrong());
        }
        let items: Vec<_> =
            items.into_iter().enumerate().map(|(index, item)| self.number(item, &Place::Item(place, index))).collect();
        items.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn triple(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        self.numbers(value, place, 3, "[x, y, z]")
    }

    fn pair(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        self.numbers(value, place, 2, "[from, to]")
    }

    fn plane(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        self.members(value, place, &[("origin", Self::triple), ("x_axis", Self::triple), ("y_axis", Self::triple)])
    }

    /// An object of exactly these members.
    fn members(&mut self, value: Value, place: &Place<'_>, members: &[(&str, Read)]) -> Option<Value> {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        let mut object = self.exactly(value, place, &names)?;
        let read: Vec<_> = members
            .iter()
            .map(|(name, read)| {
                let value = read(self, object.remove(*name)?, &Place::Member(place, name))?;
                Some(((*name).to_owned(), value))
            })
            .collect();
        read.into_iter().collect::<Option<Map<_, _>>>().map(Value::Object)
    }

    /// The object at `place`, if it has all of these members and no other.
    fn exactly(&mut self, value: Value, place: &Place<'_>, names: &[&str]) -> Option<Map<String, Value>> {
        let Value::Object(object) = value else {
            let message = format!("this must be an object with {}", crate::fault::listed(names.iter().copied()));
            return self.refuse("type", place, message);
        };
        let before = self.refusals;
        for name in names.iter().filter(|name| !object.contains_key(**name)) {
            self.refuse::<()>("required", &Place::Member(place, name), format!("`{name}` is missing"));
        }
        let others = object.keys().map(String::as_str).filter(|name| !names.contains(name));
        let unknown = Violation::unknown(&place.to_string(), ("unknown_input", "member"), others, names);
        self.refusals += unknown.len();
        self.violations.extend(unknown);
        self.violations.truncate(VIOLATIONS);
        (self.refusals == before).then_some(object)
    }

    /// Geometry in Rhino's JSON form: three version numbers and base64.
    fn rhino(&mut self, value: Value, place: &Place<'_>) -> Option<Value> {
        let mut object = self.exactly(value, place, &RHINO_MEMBERS)?;
        let mut geometry = Map::new();
        for name in RHINO_MEMBERS {
            let (below, member) = (Place::Member(place, name), object.remove(name)?);
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
type Read = fn(&mut Coercion, Value, &Place<'_>) -> Option<Value>;

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
