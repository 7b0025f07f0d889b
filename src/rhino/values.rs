//! One value on its way between a caller's JSON shape and the node's `{type, data}` pair.
//!
//! Invariant: what is sent is built member by member, never copied through, so nothing that a caller writes reaches
//! the node but the numbers, flags and texts of a declared value. What comes back is read by its defining members only.

use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use contract::bindings::{Access, Type};

/// One leaf of a data tree as the node writes it: a .NET type name, and a JSON value **as text**.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Full .NET name, for example `System.Double`. The node ignores it on input.
    #[serde(rename = "type")]
    pub net_type: String,
    /// The value as JSON text; a group's Text parameter takes it raw.
    pub data: String,
}

/// How a text travels in `data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextForm {
    /// As a JSON string: contextual text inputs and panels, which decode it.
    #[default]
    Json,
    /// As it is: a group's Text parameter, which takes the characters of `data` themselves.
    Raw,
}

/// Why a value does not have the shape that its type asks for; reads as the end of a sentence about the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shape {
    /// Another kind of JSON value, or another .NET type.
    #[error("is not {expected}, but {found}")]
    Other {
        /// What the contract declares, with its article.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A member that the shape needs is absent.
    #[error("has no `{0}`")]
    Missing(&'static str),
    /// NaN or an infinity, which JSON has no word for.
    #[error("is not a finite number")]
    NotFinite,
    /// The node's integers have 32 bits.
    #[error("is outside -2147483648 to 2147483647, the integers of Grasshopper")]
    Range,
    /// Two axes that span no plane.
    #[error("has axes that span no plane")]
    Degenerate,
    /// The text in `data` is no JSON.
    #[error("is not JSON: {0}")]
    NotJson(String),
    /// A branch path that is not `{0;1}`.
    #[error("has the branch path `{0}`, which is not of the form {{0;1}}")]
    Path(String),
}

/// A caller's value as the node's item.
pub fn encode(kind: Type, form: TextForm, value: &Value) -> Result<Item, Shape> {
    let data = match kind {
        Type::Number => json!(number(value)?).to_string(),
        Type::Integer => integer(value)?.to_string(),
        Type::Boolean => value.as_bool().ok_or_else(|| other("a boolean", value))?.to_string(),
        Type::Text => {
            let text = value.as_str().ok_or_else(|| other("a text", value))?;
            match form {
                TextForm::Raw => text.to_owned(),
                TextForm::Json => json!(text).to_string(),
            }
        }
        Type::Point | Type::Vector => wire_xyz(xyz(value)?).to_string(),
        Type::Plane => wire_plane(value)?.to_string(),
        Type::Line => {
            let (from, to) = (xyz(member(value, "from")?)?, xyz(member(value, "to")?)?);
            json!({"From": wire_xyz(from), "To": wire_xyz(to)}).to_string()
        }
        Type::Circle => {
            let plane = wire_plane(member(value, "plane")?)?;
            json!({"Plane": plane, "Radius": number(member(value, "radius")?)?}).to_string()
        }
        Type::Rectangle | Type::Box => {
            let mut wire = Map::new();
            wire.insert("Plane".to_owned(), wire_plane(member(value, "plane")?)?);
            for &(ours, theirs) in intervals(kind) {
                let (t0, t1) = interval(member(value, ours)?)?;
                wire.insert(theirs.to_owned(), json!({"T0": t0, "T1": t1}));
            }
            Value::Object(wire).to_string()
        }
        Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => {
            rhino_object(value)?.to_string()
        }
    };
    Ok(Item { net_type: net_type(kind).to_owned(), data })
}

/// A node's item as the caller's value.
///
/// An integer is taken for a declared number, and a whole `System.Double` for a declared integer: Grasshopper's Number
/// parameters often count.
pub fn decode(kind: Type, item: &Item) -> Result<Value, Shape> {
    if !accepts(kind, &item.net_type) {
        return Err(Shape::Other { expected: article(kind), found: item.net_type.clone() });
    }
    let value = super::protocol::parse_data(&item.data)?;
    Ok(match kind {
        Type::Number => Value::Number(finite(number(&value)?)?),
        Type::Integer => json!(counted(&value)?),
        Type::Boolean => Value::Bool(value.as_bool().ok_or_else(|| other("a boolean", &value))?),
        Type::Text => Value::String(value.as_str().ok_or_else(|| other("a text", &value))?.to_owned()),
        Type::Point | Type::Vector => json!(read_xyz(&value)?),
        Type::Plane => read_plane(&value)?,
        Type::Line => {
            json!({"from": read_xyz(member(&value, "From")?)?, "to": read_xyz(member(&value, "To")?)?})
        }
        Type::Circle => {
            json!({"plane": read_plane(member(&value, "Plane")?)?, "radius": number(member(&value, "Radius")?)?})
        }
        Type::Rectangle | Type::Box => {
            let mut ours = Map::new();
            ours.insert("plane".to_owned(), read_plane(member(&value, "Plane")?)?);
            for &(name, theirs) in intervals(kind) {
                let range = member(&value, theirs)?;
                ours.insert(name.to_owned(), json!([number(member(range, "T0")?)?, number(member(range, "T1")?)?]));
            }
            Value::Object(ours)
        }
        Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => rhino_object(&value)?,
    })
}

/// The value of an input by its access: branches in path order, each with its items.
pub fn branches(kind: Type, access: Access, form: TextForm, value: &Value) -> Result<Vec<(Path, Vec<Item>)>, Shape> {
    let list = |value: &Value| -> Result<Vec<Item>, Shape> {
        let items = value.as_array().ok_or_else(|| other("a list", value))?;
        items.iter().map(|item| encode(kind, form, item)).collect()
    };
    match access {
        Access::Item => Ok(vec![(Path::root(), vec![encode(kind, form, value)?])]),
        Access::List => Ok(vec![(Path::root(), list(value)?)]),
        Access::Tree => {
            let tree = value.as_object().ok_or_else(|| other("a tree", value))?;
            let mut branches = tree
                .iter()
                .map(|(path, items)| Ok((Path::read(path)?, list(items)?)))
                .collect::<Result<Vec<_>, Shape>>()?;
            branches.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(branches)
        }
    }
}

/// The place of a branch in a data tree; ordered as Grasshopper orders branches, by number and not by spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<u32>);

impl Path {
    /// The path of a lone item or list.
    pub fn root() -> Self {
        Self(vec![0])
    }

    /// Reads `{0;1}`; at most 64 numbers deep.
    pub fn read(text: &str) -> Result<Self, Shape> {
        let wrong = || Shape::Path(text.chars().take(64).collect());
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(wrong)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let mut numbers = Vec::new();
        for part in inner.split(';') {
            if numbers.len() == 64 || !digits(part) {
                return Err(wrong());
            }
            // The parser says "too large" and no more; the path itself is the better message.
            let Ok(number) = part.parse() else { return Err(wrong()) };
            numbers.push(number);
        }
        Ok(Self(numbers))
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (at, number) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ";" };
            write!(f, "{separator}{number}")?;
        }
        f.write_str("}")
    }
}

// === the parts of a value ===

type Xyz = [f64; 3];

fn number(value: &Value) -> Result<f64, Shape> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| number.is_finite()).ok_or(Shape::NotFinite),
        // The node's JSON writer spells what JSON cannot say as these texts.
        Value::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => Err(Shape::NotFinite),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(other("a number", value))
        }
    }
}

fn finite(number: f64) -> Result<Number, Shape> {
    Number::from_f64(number).ok_or(Shape::NotFinite)
}

fn integer(value: &Value) -> Result<i32, Shape> {
    let whole = value.as_i64().ok_or_else(|| other("an integer", value))?;
    // The conversion's own error says nothing beyond "out of range".
    i32::try_from(whole).map_or(Err(Shape::Range), Ok)
}

/// An integer in an answer, which may be spelt `3.0`.
fn counted(value: &Value) -> Result<i64, Shape> {
    /// Beyond 2^53 doubles skip integers.
    const SAFE: f64 = 9_007_199_254_740_992.0;
    let found = number(value)?;
    if found.fract() != 0.0 || found.abs() > SAFE {
        return Err(Shape::Other { expected: "an integer", found: found.to_string() });
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    Ok(value.as_i64().unwrap_or(found as i64))
}

fn xyz(value: &Value) -> Result<Xyz, Shape> {
    match value.as_array().map(Vec::as_slice) {
        Some([x, y, z]) => Ok([number(x)?, number(y)?, number(z)?]),
        Some(_) | None => Err(other("a list of three numbers", value)),
    }
}

fn interval(value: &Value) -> Result<(f64, f64), Shape> {
    match value.as_array().map(Vec::as_slice) {
        Some([t0, t1]) => Ok((number(t0)?, number(t1)?)),
        Some(_) | None => Err(other("a list of two numbers", value)),
    }
}

fn wire_xyz([x, y, z]: Xyz) -> Value {
    json!({"X": x, "Y": y, "Z": z})
}

fn read_xyz(value: &Value) -> Result<Xyz, Shape> {
    Ok([number(member(value, "X")?)?, number(member(value, "Y")?)?, number(member(value, "Z")?)?])
}

/// A plane whose axes are made orthonormal as Rhino's own constructor makes them: X keeps its direction, Y keeps its
/// side. A node takes the axes as they come, and a skewed plane would distort all that is built on it.
fn wire_plane(value: &Value) -> Result<Value, Shape> {
    let origin = xyz(member(value, "origin")?)?;
    let x = unit(xyz(member(value, "x_axis")?)?)?;
    let z = unit(cross(x, unit(xyz(member(value, "y_axis")?)?)?))?;
    let y = unit(cross(z, x))?;
    Ok(json!({
        "Origin": wire_xyz(origin), "XAxis": wire_xyz(x), "YAxis": wire_xyz(y), "ZAxis": wire_xyz(z), "Normal": wire_xyz(z),
    }))
}

fn read_plane(value: &Value) -> Result<Value, Shape> {
    Ok(json!({
        "origin": read_xyz(member(value, "Origin")?)?,
        "x_axis": read_xyz(member(value, "XAxis")?)?,
        "y_axis": read_xyz(member(value, "YAxis")?)?,
    }))
}

/// The direction of a vector. Below 1e-12 the direction is noise, and Rhino refuses it as well. A vector that is a
/// unit vector to the last digits stays as it is, so that encoding an encoded plane changes nothing.
fn unit([x, y, z]: Xyz) -> Result<Xyz, Shape> {
    let length = x.hypot(y).hypot(z);
    if !length.is_finite() || length < 1e-12 {
        return Err(Shape::Degenerate);
    }
    if (length - 1.0).abs() <= 1e-15 {
        return Ok([x, y, z]);
    }
    Ok([x / length, y / length, z / length])
}

fn cross([ax, ay, az]: Xyz, [bx, by, bz]: Xyz) -> Xyz {
    [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]
}

/// Rhino's own JSON for geometry, `{version, archive3dm, opennurbs, data}`: these four members and no other.
fn rhino_object(value: &Value) -> Result<Value, Shape> {
    let whole = |name| -> Result<i64, Shape> {
        let found = member(value, name)?;
        found.as_i64().ok_or_else(|| other("an integer", found))
    };
    let data = member(value, "data")?;
    let data = data.as_str().ok_or_else(|| other("a text", data))?;
    Ok(json!({
        "version": whole("version")?, "archive3dm": whole("archive3dm")?, "opennurbs": whole("opennurbs")?, "data": data,
    }))
}

/// A member by name, without regard to case: the node's reader and writer do not care, so neither do we.
fn member<'v>(value: &'v Value, name: &'static str) -> Result<&'v Value, Shape> {
    let object = value.as_object().ok_or_else(|| other("an object", value))?;
    object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, found)| found))
        .ok_or(Shape::Missing(name))
}

fn other(expected: &'static str, found: &Value) -> Shape {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Shape::Other { expected, found: found.to_owned() }
}

// === the names of a type ===

fn intervals(kind: Type) -> &'static [(&'static str, &'static str)] {
    const AXES: [(&str, &str); 3] = [("x", "X"), ("y", "Y"), ("z", "Z")];
    if kind == Type::Box { &AXES } else { &AXES[..2] }
}

/// The .NET type that a value of this kind is sent as.
pub fn net_type(kind: Type) -> &'static str {
    match kind {
        Type::Number => "System.Double",
        Type::Integer => "System.Int32",
        Type::Boolean => "System.Boolean",
        Type::Text => "System.String",
        Type::Point => "Rhino.Geometry.Point3d",
        Type::Vector => "Rhino.Geometry.Vector3d",
        Type::Plane => "Rhino.Geometry.Plane",
        Type::Line => "Rhino.Geometry.Line",
        Type::Circle => "Rhino.Geometry.Circle",
        Type::Rectangle => "Rhino.Geometry.Rectangle3d",
        Type::Box => "Rhino.Geometry.Box",
        Type::Curve => "Rhino.Geometry.Curve",
        Type::Surface => "Rhino.Geometry.Surface",
        Type::Brep => "Rhino.Geometry.Brep",
        Type::Mesh => "Rhino.Geometry.Mesh",
        Type::Subd => "Rhino.Geometry.SubD",
        Type::Geometry => "Rhino.Geometry.GeometryBase",
    }
}

/// Whether an output of this kind may carry values of that .NET type. The node names the class that it holds, so a
/// curve comes as a `PolylineCurve`, and a surface parameter holds a `Brep`.
fn accepts(kind: Type, name: &str) -> bool {
    // An assembly-qualified name carries more after a comma.
    let name = name.split(',').next().unwrap_or_default().trim();
    let geometry = name.strip_prefix("Rhino.Geometry.");
    match kind {
        Type::Number => matches!(name, "System.Double" | "System.Single" | "System.Int32" | "System.Int64"),
        Type::Integer => matches!(name, "System.Double" | "System.Int32" | "System.Int64"),
        Type::Boolean
        | Type::Text
        | Type::Point
        | Type::Vector
        | Type::Plane
        | Type::Line
        | Type::Circle
        | Type::Rectangle
        | Type::Box
        | Type::Mesh
        | Type::Subd => name == net_type(kind),
        Type::Curve => geometry.is_some_and(|class| class.ends_with("Curve")),
        Type::Surface => geometry.is_some_and(|class| class.ends_with("Surface") || class == "Brep"),
        Type::Brep => geometry.is_some_and(|class| matches!(class, "Brep" | "Extrusion")),
        Type::Geometry => geometry.is_some(),
    }
}

fn article(kind: Type) -> &'static str {
    match kind {
        Type::Number => "a number",
        Type::Integer => "an integer",
        Type::Boolean => "a boolean",
        Type::Text => "a text",
        Type::Point => "a point",
        Type::Vector => "a vector",
        Type::Plane => "a plane",
        Type::Line => "a line",
        Type::Circle => "a circle",
        Type::Rectangle => "a rectangle",
        Type::Box => "a box",
        Type::Curve => "a curve",
        Type::Surface => "a surface",
        Type::Brep => "a brep",
        Type::Mesh => "a mesh",
        Type::Subd => "a SubD",
        Type::Geometry => "geometry",
    }
}

#[cfg(test)]
mod tests;
