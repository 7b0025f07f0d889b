//! Input data as Rhino.Compute turns it into what its parameters hold.
//!
//! Which conversion applies depends on the class of the parameter alone; the `type` beside the data is never looked at.
//! A class without a conversion takes nothing. A conversion that fails throws, and leaves in a grouped parameter what
//! it had converted before.

use super::Thrown;
use super::json::{self, Json};
use super::request::{InputTree, Item};
use crate::opennurbs::{self, Geometry, RhinoJson};
use crate::tree::{Path, Tree};
use crate::value::{Arc3, Circle, Cuboid, Domain, Line, Mesh, Opaque, Plane, Rectangle, Value, Xyz};
use contract::definition::{Input, InputKind};
use std::sync::Arc;
use uuid::{Uuid, uuid};

/// The conversions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Boolean,
    Integer,
    Number,
    /// A text parameter in a group takes `data` as it is.
    RawText,
    /// A panel takes a JSON string and nothing else.
    JsonText,
    /// A contextual text takes a JSON string, or unescapes what is none.
    AnyText,
    Point,
    Vector,
    Plane,
    Line,
    Circle,
    Rectangle,
    Box,
    Curve,
    Surface,
    Brep,
    Mesh,
    Geometry,
}

/// Parameters that a group may hold, by component.
const GROUPED: [(Uuid, Class); 17] = [
    (uuid!("fbac3e32-f100-4292-8692-77240a42fd1a"), Class::Point),
    (uuid!("16ef3e75-e315-4899-b531-d3166b42dac9"), Class::Vector),
    (uuid!("2e3ab970-8545-46bb-836c-1c11e5610bce"), Class::Integer),
    (uuid!("3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312"), Class::Number),
    (uuid!("3ede854e-c753-40eb-84cb-b48008f14fd4"), Class::RawText),
    (uuid!("8529dbdf-9b6f-42e9-8e1f-c7a2bde56a70"), Class::Line),
    (uuid!("d5967b9f-e8ee-436b-a8ad-29fdcecf32d5"), Class::Curve),
    (uuid!("d1028c72-ff86-4057-9eb0-36c687a4d98c"), Class::Circle),
    (uuid!("4f8984c4-7c7a-4d69-b0a2-183cbb330d20"), Class::Plane),
    (uuid!("abf9c670-5462-4cd8-acb3-f1ab0256dbf3"), Class::Rectangle),
    (uuid!("c9482db6-bea9-448d-98ff-fed6d69a8efc"), Class::Box),
    (uuid!("deaf8653-5528-4286-807c-3de8b8dad781"), Class::Surface),
    (uuid!("919e146f-30ae-4aae-be34-4d72f555e7da"), Class::Brep),
    (uuid!("1e936df3-0eea-4246-8549-514cb8862b7a"), Class::Mesh),
    (uuid!("57da07bd-ecab-415d-9d86-af36d7073abc"), Class::Number),
    (uuid!("2e78987b-9dfb-42a2-8b76-3923ac8bd91a"), Class::Boolean),
    (uuid!("59e0b89a-e487-49f8-bab8-b5bab16be14c"), Class::JsonText),
];

/// The Boolean parameter shares the case of the toggle.
const BOOLEAN: Uuid = uuid!("cb95db89-6165-43b6-9c41-5702bc5bf137");

// === impl Class ===

impl Class {
    /// The conversion of an input, unless its class has none.
    pub(crate) fn of(input: &Input) -> Option<Self> {
        match input.kind {
            InputKind::Contextual => match input.type_name.as_str() {
                "Boolean" => Some(Self::Boolean),
                "Number" => Some(Self::Number),
                "Integer" => Some(Self::Integer),
                "Point" => Some(Self::Point),
                "Plane" => Some(Self::Plane),
                "Line" => Some(Self::Line),
                "Text" => Some(Self::AnyText),
                "Geometry" => Some(Self::Geometry),
                _ => None,
            },
            InputKind::Group if input.component == BOOLEAN => Some(Self::Boolean),
            InputKind::Group => {
                GROUPED.iter().find(|(component, _)| *component == input.component).map(|(_, class)| *class)
            }
        }
    }

    /// Converts a whole tree into `into`, which keeps what was converted when this throws.
    pub(crate) fn convert(self, tree: &InputTree, contextual: bool, into: &mut Tree) -> Result<(), Thrown> {
        for (path, items) in &tree.branches {
            let items = items.as_ref().ok_or_else(null)?;
            let path = path_of(path, contextual)?;
            into.branch_mut(path.clone());
            for item in items {
                let item = item.as_ref().ok_or_else(null)?;
                into.push(path.clone(), self.item(item)?);
            }
        }
        Ok(())
    }

    fn item(self, item: &Item) -> Result<Option<Value>, Thrown> {
        match (self, item.data.as_deref()) {
            (Self::RawText, data) => return Ok(data.map(|data| Value::Text(data.to_owned()))),
            (Self::AnyText, Some(data)) => {
                return match json::parse(data).and_then(|json| json.text()) {
                    Ok(text) => Ok(text.map(Value::Text)),
                    Err(_) => Ok(Some(Value::Text(unescape(data)?))),
                };
            }
            (_, None) => return Err(Thrown::Request("Value cannot be null. (Parameter 'value')".into())),
            _ => {}
        }
        let json = json::parse(item.data.as_deref().unwrap_or_default())?;
        let value = match self {
            Self::Boolean => Value::Boolean(json.boolean()?),
            Self::Integer => Value::Integer(json.int32()?),
            Self::Number => Value::Number(json.double()?),
            Self::RawText | Self::AnyText | Self::JsonText => return Ok(json.text()?.map(Value::Text)),
            Self::Point => Value::Point(xyz(&json)?),
            Self::Vector => Value::Vector(xyz(&json)?),
            Self::Plane => return Ok(plane(&json)?.map(Value::Plane)),
            Self::Line => Value::Line(line(&json)?),
            Self::Circle => return Ok(circle(&json)?.map(|circle| Value::Circle(Box::new(circle)))),
            Self::Rectangle => return Ok(rectangle(&json)?.map(|rectangle| Value::Rectangle(Box::new(rectangle)))),
            Self::Box => return Ok(cuboid(&json)?.map(|cuboid| Value::Box(Box::new(cuboid)))),
            Self::Curve if let Json::Array(points) = &json => {
                Value::Polyline(points.iter().map(xyz).collect::<Result<_, _>>()?)
            }
            Self::Curve | Self::Surface | Self::Brep | Self::Mesh | Self::Geometry => self.geometry(&json, item)?,
        };
        Ok(Some(value))
    }

    /// A Rhino object; one that is not of this class throws as a failed cast does.
    fn geometry(self, json: &Json, item: &Item) -> Result<Value, Thrown> {
        let text = |name: &str| match json.member(name).map(Json::text) {
            Some(Ok(Some(text))) => Ok(text),
            _ => Err(Thrown::Request("The given key was not present in the dictionary.".into())),
        };
        let number = |name: &str| {
            text(name)?.parse().map_err(|_cause| Thrown::Request("Input string was not in a correct format.".into()))
        };
        let object = RhinoJson {
            version: number("version")?,
            archive3dm: number("archive3dm")?,
            opennurbs: number("opennurbs")?,
            data: text("data")?,
        };
        let value = match opennurbs::decode(&object) {
            Ok(geometry) => plain(geometry, json),
            Err(opennurbs::Error::Class(_)) => opaque(self.assumed(item), json),
            Err(error) => return Err(Thrown::Request(error.to_string().into())),
        };
        let fits = self == Self::Geometry
            || if let Value::Mesh(_) = value {
                self == Self::Mesh
            } else if let Value::Opaque(_) = value {
                self != Self::Mesh
            } else {
                self == Self::Curve && !matches!(value, Value::Point(_))
            };
        if fits { Ok(value) } else { Err(Thrown::Request("Unable to cast object.".into())) }
    }

    /// The .NET type of an object whose class cannot be read here.
    fn assumed(self, item: &Item) -> &str {
        match (item.type_name.as_deref().filter(|name| name.starts_with("Rhino.Geometry.")), self) {
            (Some(name), _) => name,
            (None, Self::Curve) => "Rhino.Geometry.NurbsCurve",
            (None, Self::Surface) => "Rhino.Geometry.NurbsSurface",
            (None, Self::Brep) => "Rhino.Geometry.Brep",
            _ => "Rhino.Geometry.GeometryBase",
        }
    }
}

fn null() -> Thrown {
    Thrown::Request("Object reference not set to an instance of an object.".into())
}

/// A grouped parameter skips what is empty in a path, a contextual one does not survive it.
fn path_of(text: &str, contextual: bool) -> Result<Path, Thrown> {
    let spaceless: String;
    let bare = if contextual {
        text.trim_matches(['{', '}'])
    } else {
        spaceless = text.replace([' ', '{', '}'], "");
        &spaceless
    };
    let elements = bare.split(';').filter(|element| contextual || !element.is_empty());
    let elements: Result<Vec<i32>, _> = elements.map(|element| element.trim().parse()).collect();
    elements.map(Path).map_err(|_cause| Thrown::Request("Input string was not in a correct format.".into()))
}

/// A member of a structure; what is missing keeps its default, which is null here.
fn part<'j>(json: &'j Json, name: &str) -> &'j Json {
    json.member(name).unwrap_or(&Json::Null)
}

fn object(json: &Json, kind: &'static str) -> Result<(), Thrown> {
    if matches!(json, Json::Object(_)) {
        return Ok(());
    }
    Err(Thrown::Request(format!("Error converting value to type '{kind}'.").into()))
}

fn xyz(json: &Json) -> Result<Xyz, Thrown> {
    object(json, "Rhino.Geometry.Point3d")?;
    Ok([part(json, "X").double()?, part(json, "Y").double()?, part(json, "Z").double()?])
}

fn xyz_or_zero(json: &Json) -> Result<Xyz, Thrown> {
    if *json == Json::Null { Ok([0.0; 3]) } else { xyz(json) }
}

fn interval(json: &Json) -> Result<Domain, Thrown> {
    if *json == Json::Null {
        return Ok(Domain { a: 0.0, b: 0.0 });
    }
    object(json, "Rhino.Geometry.Interval")?;
    Ok(Domain { a: part(json, "T0").double()?, b: part(json, "T1").double()? })
}

/// A plane whose axes make none is invalid, and data that is invalid counts as null.
fn plane(json: &Json) -> Result<Option<Plane>, Thrown> {
    if *json == Json::Null {
        return Ok(None);
    }
    object(json, "Rhino.Geometry.Plane")?;
    let origin = xyz_or_zero(part(json, "Origin"))?;
    Ok(Plane::from_axes(origin, xyz_or_zero(part(json, "XAxis"))?, xyz_or_zero(part(json, "YAxis"))?))
}

fn line(json: &Json) -> Result<Line, Thrown> {
    object(json, "Rhino.Geometry.Line")?;
    Ok(Line { from: xyz_or_zero(part(json, "From"))?, to: xyz_or_zero(part(json, "To"))? })
}

fn circle(json: &Json) -> Result<Option<Circle>, Thrown> {
    object(json, "Rhino.Geometry.Circle")?;
    let radius = part(json, "Radius").double()?;
    Ok(plane(part(json, "Plane"))?.map(|plane| Circle { plane, radius }))
}

fn rectangle(json: &Json) -> Result<Option<Rectangle>, Thrown> {
    object(json, "Rhino.Geometry.Rectangle3d")?;
    let (x, y) = (interval(part(json, "X"))?, interval(part(json, "Y"))?);
    Ok(plane(part(json, "Plane"))?.map(|plane| Rectangle { plane, x, y }))
}

fn cuboid(json: &Json) -> Result<Option<Cuboid>, Thrown> {
    object(json, "Rhino.Geometry.Box")?;
    let (x, y, z) = (interval(part(json, "X"))?, interval(part(json, "Y"))?, interval(part(json, "Z"))?);
    Ok(plane(part(json, "Plane"))?.map(|plane| Cuboid { plane, x, y, z }))
}

/// Decoded geometry as the evaluator works on it; NURBS stay as they came.
fn plain(geometry: Geometry, json: &Json) -> Value {
    let name = geometry.type_name();
    match geometry {
        Geometry::Point(point) => Value::Point(point),
        Geometry::LineCurve(line) => Value::Line(Line { from: line.from, to: line.to }),
        Geometry::PolylineCurve(polyline) => Value::Polyline(polyline.points),
        Geometry::ArcCurve(arc) => {
            let plane = Plane { origin: arc.plane.origin, x_axis: arc.plane.x_axis, y_axis: arc.plane.y_axis };
            let angle = Domain { a: arc.angle[0], b: arc.angle[1] };
            if (angle.b - angle.a - std::f64::consts::TAU).abs() < 1e-9 {
                Value::Circle(Box::new(Circle { plane, radius: arc.radius }))
            } else {
                Value::Arc(Box::new(Arc3 { plane, radius: arc.radius, angle }))
            }
        }
        Geometry::Mesh(mesh) => Value::Mesh(Arc::new(Mesh { vertices: mesh.vertices, faces: mesh.faces })),
        Geometry::NurbsCurve(_) => opaque(name, json),
    }
}

fn opaque(type_name: &str, json: &Json) -> Value {
    Value::Opaque(Arc::new(Opaque { type_name: type_name.to_owned(), json: json.into() }))
}

/// `Regex.Unescape`, which knows the escapes of a regular expression and throws at a letter that is none of them.
fn unescape(text: &str) -> Result<String, Thrown> {
    let wrong = || Thrown::Request("Unrecognized escape sequence.".into());
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        let plain = match rest.next().ok_or_else(wrong)? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => code(&mut rest, 2, 16).ok_or_else(wrong)?,
            'u' => code(&mut rest, 4, 16).ok_or_else(wrong)?,
            other if other.is_alphanumeric() || other == '_' => return Err(wrong()),
            other => other,
        };
        out.push(plain);
    }
    Ok(out)
}

fn code(rest: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * radix + rest.next()?.to_digit(radix)?;
    }
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(class: Class, data: &str) -> Result<Option<Value>, Thrown> {
        class.item(&Item { type_name: None, data: Some(data.to_owned()) })
    }

    #[test]
    fn an_integer_does_not_take_a_fraction() {
        assert_eq!(convert(Class::Integer, "3"), Ok(Some(Value::Integer(3))));
        assert!(convert(Class::Integer, "3.5").is_err());
        assert!(convert(Class::Integer, "3.0").is_err());
    }

    #[test]
    fn texts_are_taken_raw_decoded_or_unescaped_by_class() {
        let text = |text: &str| Ok(Some(Value::Text(text.to_owned())));
        assert_eq!(convert(Class::RawText, "\"a\""), text("\"a\""));
        assert_eq!(convert(Class::JsonText, "\"a\""), text("a"));
        assert!(convert(Class::JsonText, "a").is_err());
        assert_eq!(convert(Class::AnyText, "\"a\""), text("a"));
        assert_eq!(convert(Class::AnyText, r"a\tb"), text("a\tb"));
        assert!(convert(Class::AnyText, r"C:\Users").is_err(), "\\U is no escape");
        assert_eq!(convert(Class::AnyText, "{\"X\":1}"), text("{\"X\":1}"));
    }

    #[test]
    fn paths_parse_with_and_without_braces() {
        for text in ["0;1", "{0;1}", "{0; 1}"] {
            for contextual in [false, true] {
                assert_eq!(path_of(text, contextual), Ok(Path(vec![0, 1])), "{text}");
            }
        }
        assert_eq!(path_of("{0;}", false), Ok(Path(vec![0])));
        assert!(path_of("{0;}", true).is_err());
        assert!(path_of("a", false).is_err());
    }

    #[test]
    fn structures_need_their_numbers_and_ignore_the_rest() {
        let point = convert(Class::Point, r#"{"x":1,"Y":2,"Z":3,"IsValid":true}"#);
        assert_eq!(point, Ok(Some(Value::Point([1.0, 2.0, 3.0]))));
        assert!(convert(Class::Point, r#"{"X":1,"Y":2}"#).is_err());
        assert!(convert(Class::Point, "[1,2,3]").is_err());
        assert_eq!(convert(Class::Plane, r#"{"Origin":{"X":0,"Y":0,"Z":0}}"#), Ok(None));
    }

    #[test]
    fn a_curve_is_a_list_of_points_or_a_rhino_object() {
        let points = r#"[{"X":0,"Y":0,"Z":0},{"X":1,"Y":0,"Z":0}]"#;
        let polyline = Value::Polyline(vec![[0.0; 3], [1.0, 0.0, 0.0]]);
        assert_eq!(convert(Class::Curve, points), Ok(Some(polyline.clone())));
        let wire = crate::encode::encode(&polyline, true).unwrap();
        assert_eq!(convert(Class::Curve, &wire.data), Ok(Some(polyline)));
        assert!(convert(Class::Mesh, &wire.data).is_err(), "a curve is no mesh");
        assert!(convert(Class::Curve, r#"{"version":10000}"#).is_err());
    }

    #[test]
    fn a_grouped_parameter_keeps_what_was_converted_before_it_threw() {
        let item = |data: &str| Some(Item { type_name: None, data: Some(data.to_owned()) });
        let tree = InputTree { name: None, branches: vec![("0".into(), Some(vec![item("1"), item("x")]))] };
        let mut into = Tree::new();
        assert!(Class::Number.convert(&tree, false, &mut into).is_err());
        assert_eq!(into, Tree::list([Value::Number(1.0)]));
    }
}
