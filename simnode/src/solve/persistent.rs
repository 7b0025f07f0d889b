//! The data that a file stores in its parameters, and the state of sliders, panels, toggles, buttons, lists and swatches.
//!
//! An item that cannot be read, or that points into a Rhino document, is null: there is nothing to take its place.

use contract::definition::archive::{Chunk, Value as Stored};

use super::load;
use super::parameters::Role;
use crate::expression::Expression;
use crate::tree::{Path, Tree};
use crate::value::{Circle, Cuboid, Domain, Kind, Line, Plane, Rectangle, Value};

/// The tree of a `PersistentData` chunk, cast to the kind of its parameter.
pub(super) fn tree(data: &Chunk, kind: Kind) -> Tree {
    let mut tree = Tree::new();
    for branch in data.chunks_named("Branch") {
        let path = branch.text("Path").and_then(|text| text.parse().ok()).unwrap_or_else(Path::root);
        let items = branch.chunks_named("Item").map(|item| stored(item, kind).and_then(|value| value.cast(kind)));
        tree.branch_mut(path).extend(items);
    }
    tree
}

/// The state of an object that is its own source.
pub(super) fn special(role: Role, container: &Chunk) -> Tree {
    let one = |value: Option<Value>| value.map(Tree::item).unwrap_or_default();
    match role {
        Role::Plain | Role::Getter => Tree::new(),
        Role::Slider => {
            let value = container.chunk("Slider").and_then(|slider| load::number(slider, "Value"));
            one(value.map(Value::Number))
        }
        Role::Panel => load::panel_lines(container),
        Role::Toggle => one(Some(Value::Boolean(container.bool("ToggleValue").unwrap_or(false)))),
        Role::Button => {
            let normal = container.text("ExpressionNormal").map_or(Some(Value::Boolean(false)), constant);
            one(normal)
        }
        Role::ValueList => value_list(container),
        Role::Swatch => one(container.item("SwatchColor").or_else(|| container.item("SwatchColour")).and_then(colour)),
    }
}

/// The value of an expression without variables.
fn constant(text: &str) -> Option<Value> {
    Expression::parse(text).ok()?.evaluate(&|_name| None).ok()
}

fn value_list(container: &Chunk) -> Tree {
    let mut items: Vec<&Chunk> = container.chunks_named("ListItem").collect();
    items.sort_by_key(|item| item.index);
    let selected: Vec<&&Chunk> = items.iter().filter(|item| item.bool("Selected").unwrap_or(false)).collect();
    // A drop-down always has a selected item.
    let chosen = if selected.is_empty() && container.int("ListMode") != Some(0) {
        items.first().into_iter().collect()
    } else {
        selected
    };
    if chosen.is_empty() {
        return Tree::new();
    }
    let values = chosen.into_iter().map(|item| constant(item.text("Expression").unwrap_or_default())).collect();
    Tree::from_iter([(Path::root(), values)])
}

fn colour(stored: &Stored) -> Option<Value> {
    if let Stored::Colour(argb) = stored { Some(Value::Colour(*argb)) } else { None }
}

/// A stored item. In a generic parameter its type is told by the name of the item, as the payloads differ in it.
fn stored(item: &Chunk, kind: Kind) -> Option<Value> {
    if let (Some(Stored::Plane(nine)), Some(radius)) = (item.item("Plane"), item.double("Radius")) {
        return Some(Value::Circle(Box::new(Circle { plane: plane(nine)?, radius })));
    }
    if let (Some(Stored::Plane(nine)), Some(Stored::Interval2d([x0, x1, y0, y1]))) =
        (item.item("Plane"), item.item("Size"))
    {
        let (x, y) = (Domain::new(*x0, *x1), Domain::new(*y0, *y1));
        return Some(Value::Rectangle(Box::new(Rectangle { plane: plane(nine)?, x, y })));
    }
    if let (Some(Stored::Plane(nine)), Some(x), Some(y), Some(z)) =
        (item.item("Plane"), domain(item, "X"), domain(item, "Y"), domain(item, "Z"))
    {
        return Some(Value::Box(Box::new(Cuboid { plane: plane(nine)?, x, y, z })));
    }
    if kind == Kind::Text && item.bool("null_string") == Some(true) {
        return None;
    }
    item.items.iter().find_map(|item| scalar(&item.name, &item.value))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a payload that no rule names is null")]
fn scalar(name: &str, value: &Stored) -> Option<Value> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match value {
        Stored::Double(number) if is("number") => Some(Value::Number(*number)),
        Stored::Int32(number) if is("number") => Some(Value::Integer(*number)),
        Stored::Bool(value) if is("boolean") => Some(Value::Boolean(*value)),
        Stored::Text(text) if is("string") => Some(Value::Text(text.clone())),
        Stored::Text(text) if is("path") => text.parse().ok().map(Value::Path),
        Stored::Point3d(xyz) if is("Coordinate") => Some(Value::Point(*xyz)),
        Stored::Point3d(xyz) if is("vector") => Some(Value::Vector(*xyz)),
        Stored::Plane(nine) if is("plane") => plane(nine).map(Value::Plane),
        Stored::Interval1d([a, b]) if is("Interval") => Some(Value::Domain(Domain::new(*a, *b))),
        Stored::Interval2d([u0, u1, v0, v1]) if is("Interval") => {
            Some(Value::Domain2(Domain::new(*u0, *u1), Domain::new(*v0, *v1)))
        }
        Stored::Line([fx, fy, fz, tx, ty, tz]) if is("Line") => {
            Some(Value::Line(Line { from: [*fx, *fy, *fz], to: [*tx, *ty, *tz] }))
        }
        Stored::Colour(argb) if is("color") => Some(Value::Colour(*argb)),
        _ => None,
    }
}

fn domain(item: &Chunk, name: &str) -> Option<Domain> {
    if let Stored::Interval1d([a, b]) = item.item(name)? { Some(Domain::new(*a, *b)) } else { None }
}

/// Stored axes may be slightly off; they are made unit and perpendicular.
fn plane(nine: &[f64; 9]) -> Option<Plane> {
    let [ox, oy, oz, xx, xy, xz, yx, yy, yz] = *nine;
    Plane::from_axes([ox, oy, oz], [xx, xy, xz], [yx, yy, yz])
}
