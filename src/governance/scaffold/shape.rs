//! The JSON shape of each type of value: its schema, a value to begin with, and how a definition's default becomes one.

use contract::bindings::{Access, Type};
use contract::definition::{DefaultItem, DefaultTree};
use serde_json::{Map, Value, json};
use simnode::opennurbs::{self, Geometry, Mesh, PolylineCurve, RhinoJson};

use crate::governance::json::{Node, object};
use crate::rhino::values::{self, Item};

/// The longest text that callers may send unless its author says otherwise.
const TEXT_MAX: u64 = 1_000;
/// The most values of a list unless the definition says otherwise.
pub(super) const ITEMS_MAX: u64 = 1_000;
/// Characters of the base64 of one geometry: a mesh of some ten thousand faces.
const GEOMETRY_MAX: u64 = 4 << 20;

/// The members of a schema that say what one value of this type is.
pub(super) fn schema(kind: Type) -> Vec<(String, Node)> {
    let members = match kind {
        Type::Number => object([("type", Some("number".into()))]),
        Type::Integer => object([("type", Some("integer".into()))]),
        Type::Boolean => object([("type", Some("boolean".into()))]),
        Type::Text => object([("type", Some("string".into())), ("maxLength", Some(json!(TEXT_MAX).into()))]),
        Type::Point | Type::Vector => numbers(3),
        Type::Plane => plane(),
        Type::Line => of_members(&[("from", numbers(3)), ("to", numbers(3))]),
        Type::Circle => {
            let radius = object([("type", Some("number".into())), ("exclusiveMinimum", Some(json!(0).into()))]);
            of_members(&[("plane", plane()), ("radius", radius)])
        }
        Type::Rectangle => of_members(&[("plane", plane()), ("x", numbers(2)), ("y", numbers(2))]),
        Type::Box => of_members(&[("plane", plane()), ("x", numbers(2)), ("y", numbers(2)), ("z", numbers(2))]),
        Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => rhino(),
    };
    match members {
        Node::Object(members) => members,
        Node::Value(_) | Node::List(_) => Vec::new(),
    }
}

/// The same for an output, whose texts and geometry may be as long as the definition makes them.
pub(super) fn output_schema(kind: Type) -> Vec<(String, Node)> {
    let mut members = schema(kind);
    unbound(&mut members);
    members
}

fn unbound(members: &mut Vec<(String, Node)>) {
    members.retain(|(name, _)| name != "maxLength");
    for (_, node) in members {
        if let Node::Object(inner) = node {
            unbound(inner);
        }
    }
}

fn numbers(count: u64) -> Node {
    object([
        ("type", Some("array".into())),
        ("items", Some(object([("type", Some("number".into()))]))),
        ("minItems", Some(json!(count).into())),
        ("maxItems", Some(json!(count).into())),
    ])
}

fn plane() -> Node {
    of_members(&[("origin", numbers(3)), ("x_axis", numbers(3)), ("y_axis", numbers(3))])
}

fn of_members(members: &[(&str, Node)]) -> Node {
    object([
        ("type", Some("object".into())),
        (
            "properties",
            Some(Node::Object(members.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())),
        ),
        ("required", Some(members.iter().map(|(name, _)| *name).collect::<Value>().into())),
        ("additionalProperties", Some(json!(false).into())),
    ])
}

/// An object in the JSON form of Rhino: what `rhino3dm` encodes and decodes.
fn rhino() -> Node {
    let integer = || object([("type", Some("integer".into()))]);
    let data = object([
        ("type", Some("string".into())),
        ("minLength", Some(json!(1).into())),
        ("maxLength", Some(json!(GEOMETRY_MAX).into())),
    ]);
    of_members(&[("version", integer()), ("archive3dm", integer()), ("opennurbs", integer()), ("data", data)])
}

/// A small value of a type, for an example; nothing for what only Rhino can make.
pub(super) fn sample(kind: Type) -> Option<Value> {
    let world = || json!({ "origin": [0, 0, 0], "x_axis": [1, 0, 0], "y_axis": [0, 1, 0] });
    Some(match kind {
        Type::Number | Type::Integer => json!(1),
        Type::Boolean => json!(false),
        Type::Text => json!("text"),
        Type::Point => json!([0, 0, 0]),
        Type::Vector => json!([0, 0, 1]),
        Type::Plane => world(),
        Type::Line => json!({ "from": [0, 0, 0], "to": [10, 0, 0] }),
        Type::Circle => json!({ "plane": world(), "radius": 5 }),
        Type::Rectangle => json!({ "plane": world(), "x": [0, 10], "y": [0, 5] }),
        Type::Box => json!({ "plane": world(), "x": [0, 10], "y": [0, 5], "z": [0, 3] }),
        Type::Curve | Type::Geometry => {
            let points = vec![[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [10.0, 5.0, 0.0], [20.0, 5.0, 0.0]];
            encoded(&Geometry::PolylineCurve(PolylineCurve::new(points)))?
        }
        Type::Mesh => {
            let vertices = vec![[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [10.0, 5.0, 0.0], [0.0, 5.0, 0.0]];
            encoded(&Geometry::Mesh(Mesh { vertices, faces: vec![[0, 1, 2, 3]], normals: None }))?
        }
        Type::Surface | Type::Brep | Type::Subd => return None,
    })
}

fn encoded(geometry: &Geometry) -> Option<Value> {
    let RhinoJson { version, archive3dm, opennurbs, data } = opennurbs::encode(geometry).ok()?;
    Some(json!({ "version": version, "archive3dm": archive3dm, "opennurbs": opennurbs, "data": data }))
}

/// A definition's default in the contract's shape; nothing where there is none, or where it has no such shape.
pub(super) fn default(tree: &DefaultTree, kind: Type, access: Access) -> Option<Value> {
    if tree.is_empty() {
        return None;
    }
    let items = |items: &Vec<DefaultItem>| -> Option<Vec<Value>> {
        let item = |item: &DefaultItem| {
            values::decode(kind, &Item { net_type: item.type_name.to_string(), data: item.data.clone() }).ok()
        };
        items.iter().map(item).collect()
    };
    match access {
        Access::Tree => {
            let branches = tree.branches.iter().map(|(path, branch)| Some((path.clone(), items(branch)?.into())));
            branches.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        Access::List | Access::Item => {
            let mut values = Vec::new();
            for branch in tree.branches.values() {
                values.extend(items(branch)?);
            }
            match access {
                Access::Item if values.len() == 1 => values.pop().map(plain),
                Access::Item => None,
                Access::List | Access::Tree => Some(values.into_iter().map(plain).collect()),
            }
        }
    }
}

/// Whole numbers without a point, as a person writes them.
pub(super) fn plain(value: Value) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => json!(number as i64),
        _ => value,
    }
}
