//! What a binding's type and access take, as a schema: the other half of what a contract accepts.
//!
//! `canonical::coerce` refuses what a schema lets pass; a proof that did not know this would call changes breaking that touch
//! no value which was ever accepted. The schema is never narrower than `coerce`.

use serde_json::{Value, json};

use crate::bindings::{Access, Binding, Type};
use crate::defaults::Defaults;

/// The schema of what is accepted for `binding` before defaults are filled in below it.
pub(super) fn schema(binding: &Binding, defaults: &Defaults) -> Value {
    let item = item(binding.kind);
    match binding.access {
        Access::Item => optional(item, defaults.below(&binding.name)),
        Access::List => json!({ "type": "array", "items": item }),
        Access::Tree => json!({
            "type": "object",
            "propertyNames": { "pattern": r"^\{[0-9]+(;[0-9]+)*\}$" },
            "additionalProperties": { "type": "array", "items": item },
        }),
    }
}

fn item(kind: Type) -> Value {
    let number = json!({ "type": "number" });
    let numbers = |count: usize| json!({ "type": "array", "items": number, "minItems": count, "maxItems": count });
    let object = |members: &[(&str, Value)]| {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        let properties: serde_json::Map<_, _> =
            members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
        json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
    };
    let plane = || object(&[("origin", numbers(3)), ("x_axis", numbers(3)), ("y_axis", numbers(3))]);
    match kind {
        Type::Number => number,
        Type::Integer => json!({ "type": "integer" }),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::Text => json!({ "type": "string" }),
        Type::Point | Type::Vector => numbers(3),
        Type::Plane => plane(),
        Type::Line => object(&[("from", numbers(3)), ("to", numbers(3))]),
        Type::Circle => object(&[("plane", plane()), ("radius", number.clone())]),
        Type::Rectangle => object(&[("plane", plane()), ("x", numbers(2)), ("y", numbers(2))]),
        Type::Box => object(&[("plane", plane()), ("x", numbers(2)), ("y", numbers(2)), ("z", numbers(2))]),
        Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => object(&[
            ("version", json!({ "type": "integer" })),
            ("archive3dm", json!({ "type": "integer" })),
            ("opennurbs", json!({ "type": "integer" })),
            ("data", json!({ "type": "string", "minLength": 4 })),
        ]),
    }
}

/// Without the demand for members that are filled in.
fn optional(mut schema: Value, defaults: Option<&Defaults>) -> Value {
    let Some(defaults) = defaults else { return schema };
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !defaults.has(name)));
    }
    if let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, member) in members {
            *member = optional(member.take(), defaults.below(name));
        }
    }
    schema
}

/// Whether every value of one type is a value of the other, in Grasshopper and not only in JSON.
pub(super) fn takes(wide: Type, narrow: Type) -> bool {
    let geometry = [Type::Curve, Type::Surface, Type::Brep, Type::Mesh, Type::Subd];
    wide == narrow
        || (wide == Type::Number && narrow == Type::Integer)
        || (wide == Type::Geometry && geometry.contains(&narrow))
}
