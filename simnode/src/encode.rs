//! Values of the evaluator as Rhino.Compute sends them: a .NET type name and a JSON text.
//!
//! What compute has no case for (colours, domains, transforms, paths) has no encoding, and is left out by the caller.
//! Numbers are spelled as .NET spells them, so that texts are those of a real node.

use crate::opennurbs::{self, ArcCurve, Geometry, LineCurve, PolylineCurve};
use crate::value::{Arc3, Circle, Cuboid, Domain, Line, Plane, Rectangle, Value, Xyz};
use std::fmt::Write;

/// One datum on the wire.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoded {
    /// Such as `System.Double`.
    pub(crate) type_name: String,
    /// JSON.
    pub(crate) data: String,
}

/// Encodes a value that a parameter holds. A curve parameter has turned lines, circles, arcs and rectangles into
/// curves; any other parameter keeps them as they are.
pub(crate) fn encode(value: &Value, in_curve_parameter: bool) -> Option<Encoded> {
    if let Some(curve) = curve(value, in_curve_parameter) {
        return archive(&curve);
    }
    let (type_name, data) = match value {
        Value::Number(number) => ("System.Double", double(*number)),
        Value::Integer(number) => ("System.Int32", number.to_string()),
        Value::Boolean(truth) => ("System.Boolean", truth.to_string()),
        Value::Text(text) => ("System.String", quoted(text)),
        Value::Point(point) => ("Rhino.Geometry.Point3d", xyz(*point)),
        Value::Vector(vector) => ("Rhino.Geometry.Vector3d", xyz(*vector)),
        Value::Plane(frame) => ("Rhino.Geometry.Plane", plane(frame)),
        Value::Line(segment) => ("Rhino.Geometry.Line", line(segment)),
        Value::Circle(round) => ("Rhino.Geometry.Circle", circle(round)),
        Value::Arc(part) => ("Rhino.Geometry.Arc", arc(part)),
        Value::Rectangle(flat) => ("Rhino.Geometry.Rectangle3d", rectangle(flat)),
        Value::Box(solid) => ("Rhino.Geometry.Box", cuboid(solid)),
        Value::Opaque(opaque) => (opaque.type_name.as_str(), opaque.json.to_string()),
        Value::Mesh(mesh) => {
            let faces = mesh.faces.clone();
            return archive(&Geometry::Mesh(opennurbs::Mesh { vertices: mesh.vertices.clone(), faces, normals: None }));
        }
        Value::Polyline(_)
        | Value::Domain(_)
        | Value::Domain2(..)
        | Value::Colour(_)
        | Value::Transform(_)
        | Value::Path(_) => return None,
    };
    Some(Encoded { type_name: type_name.to_owned(), data })
}

fn curve(value: &Value, in_curve_parameter: bool) -> Option<Geometry> {
    match value {
        Value::Polyline(points) => Some(Geometry::PolylineCurve(PolylineCurve::new(points.clone()))),
        Value::Line(line) if in_curve_parameter => Some(Geometry::LineCurve(LineCurve::new(line.from, line.to))),
        Value::Circle(circle) if in_curve_parameter => {
            Some(Geometry::ArcCurve(ArcCurve::circle(frame(&circle.plane), circle.radius)))
        }
        Value::Arc(arc) if in_curve_parameter => {
            let angle = [arc.angle.least(), arc.angle.greatest()];
            Some(Geometry::ArcCurve(ArcCurve::new(frame(&arc.plane), arc.radius, angle)))
        }
        Value::Rectangle(rectangle) if in_curve_parameter => {
            Some(Geometry::PolylineCurve(PolylineCurve::new(rectangle.outline())))
        }
        Value::Number(_)
        | Value::Integer(_)
        | Value::Boolean(_)
        | Value::Text(_)
        | Value::Point(_)
        | Value::Vector(_)
        | Value::Plane(_)
        | Value::Line(_)
        | Value::Circle(_)
        | Value::Arc(_)
        | Value::Rectangle(_)
        | Value::Box(_)
        | Value::Domain(_)
        | Value::Domain2(..)
        | Value::Colour(_)
        | Value::Transform(_)
        | Value::Path(_)
        | Value::Mesh(_)
        | Value::Opaque(_) => None,
    }
}

fn frame(plane: &Plane) -> opennurbs::Plane {
    opennurbs::Plane { origin: plane.origin, x_axis: plane.x_axis, y_axis: plane.y_axis }
}

/// Geometry that no archive can hold (a polyline of one point, say) has no encoding.
fn archive(geometry: &Geometry) -> Option<Encoded> {
    let object = opennurbs::encode(geometry).ok()?;
    let data = serde_json::to_string(&object).ok()?;
    Some(Encoded { type_name: geometry.type_name().to_owned(), data })
}

fn xyz([x, y, z]: Xyz) -> String {
    format!(r#"{{"X":{},"Y":{},"Z":{}}}"#, double(x), double(y), double(z))
}

fn interval(domain: Domain) -> String {
    format!(r#"{{"T0":{},"T1":{}}}"#, double(domain.a), double(domain.b))
}

fn plane(plane: &Plane) -> String {
    let normal = xyz(plane.z_axis());
    let (origin, x, y) = (xyz(plane.origin), xyz(plane.x_axis), xyz(plane.y_axis));
    format!(r#"{{"Origin":{origin},"XAxis":{x},"YAxis":{y},"ZAxis":{normal},"Normal":{normal}}}"#)
}

fn line(line: &Line) -> String {
    format!(r#"{{"From":{},"To":{}}}"#, xyz(line.from), xyz(line.to))
}

fn circle(circle: &Circle) -> String {
    let (center, normal) = (xyz(circle.plane.origin), xyz(circle.plane.z_axis()));
    let (radius, plane) = (double(circle.radius), plane(&circle.plane));
    format!(r#"{{"Radius":{radius},"Plane":{plane},"Center":{center},"Normal":{normal}}}"#)
}

fn arc(arc: &Arc3) -> String {
    let at = |angle: f64| xyz(arc.plane.at(arc.radius * angle.cos(), arc.radius * angle.sin(), 0.0));
    let mut out = format!(r#"{{"Plane":{},"Radius":{}"#, plane(&arc.plane), double(arc.radius));
    let members = [
        ("Center", xyz(arc.plane.origin)),
        ("Length", double((arc.angle.span() * arc.radius).abs())),
        ("StartPoint", at(arc.angle.a)),
        ("MidPoint", at(arc.angle.mid())),
        ("EndPoint", at(arc.angle.b)),
        ("AngleDomain", interval(arc.angle)),
        ("StartAngle", double(arc.angle.a)),
        ("EndAngle", double(arc.angle.b)),
        ("Angle", double(arc.angle.span())),
    ];
    append(&mut out, &members);
    out
}

fn rectangle(flat: &Rectangle) -> String {
    let (width, height) = (flat.width(), flat.height());
    let mut out = format!(r#"{{"Plane":{}"#, plane(&flat.plane));
    let members = [
        ("X", interval(flat.x)),
        ("Y", interval(flat.y)),
        ("Width", double(width)),
        ("Height", double(height)),
        ("Area", double(width * height)),
        ("Circumference", double(2.0 * (width + height))),
        ("Center", xyz(flat.center())),
    ];
    append(&mut out, &members);
    out
}

fn cuboid(solid: &Cuboid) -> String {
    let mut out = format!(r#"{{"Plane":{}"#, plane(&solid.plane));
    let members = [
        ("X", interval(solid.x)),
        ("Y", interval(solid.y)),
        ("Z", interval(solid.z)),
        ("Center", xyz(solid.center())),
        ("Area", double(solid.area())),
        ("Volume", double(solid.volume())),
    ];
    append(&mut out, &members);
    out
}

/// Adds members to an object that has some, and closes it.
fn append(out: &mut String, members: &[(&str, String)]) {
    for (name, value) in members {
        // Writing to a text cannot fail.
        let _ = write!(out, r#","{name}":{value}"#);
    }
    out.push('}');
}

/// A double as Newtonsoft writes it: the shortest text that reads back, with a decimal point or an exponent.
pub(crate) fn double(number: f64) -> String {
    if number.is_nan() {
        return "\"NaN\"".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // .NET turns to exponents outside of these.
    if (-4..15).contains(&exponent) || number == 0.0 {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}E{sign}{:02}", exponent.unsigned_abs())
}

/// A JSON string as Newtonsoft writes it, which also escapes the line ends of Unicode.
fn quoted(text: &str) -> String {
    let plain = serde_json::Value::from(text).to_string();
    plain.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(value: &Value, in_curve_parameter: bool) -> (String, String) {
        let encoded = encode(value, in_curve_parameter).unwrap();
        (encoded.type_name, encoded.data)
    }

    #[test]
    fn doubles_are_spelled_as_dotnet_spells_them() {
        let cases = [
            (7.0, "7.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e14, "100000000000000.0"),
            (1e15, "1E+15"),
            (1.5e-5, "1.5E-05"),
            (0.000_15, "0.00015"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157E+308"),
            (f64::NAN, "\"NaN\""),
        ];
        for (number, text) in cases {
            assert_eq!(double(number), text);
        }
    }

    #[test]
    fn scalars_carry_their_dotnet_names() {
        assert_eq!(data(&Value::Integer(-3), false), ("System.Int32".into(), "-3".into()));
        assert_eq!(data(&Value::Boolean(true), false), ("System.Boolean".into(), "true".into()));
        assert_eq!(data(&Value::Text("a\"\u{2028}".into()), false), ("System.String".into(), r#""a\"\u2028""#.into()));
        let point = data(&Value::Point([1.0, 2.5, 0.0]), true);
        assert_eq!(point, ("Rhino.Geometry.Point3d".into(), r#"{"X":1.0,"Y":2.5,"Z":0.0}"#.into()));
    }

    #[test]
    fn a_line_is_a_curve_only_in_a_curve_parameter() {
        let line = Value::Line(Line { from: [0.0; 3], to: [1.0, 0.0, 0.0] });
        assert_eq!(data(&line, false).0, "Rhino.Geometry.Line");
        assert_eq!(data(&line, true).0, "Rhino.Geometry.LineCurve");
    }

    #[test]
    fn a_rectangle_shows_its_measures_and_turns_into_a_polyline_curve() {
        let rectangle = Rectangle { plane: Plane::XY, x: Domain { a: 0.0, b: 4.0 }, y: Domain { a: 1.0, b: 3.0 } };
        let value = Value::Rectangle(Box::new(rectangle));
        let shown: serde_json::Value = serde_json::from_str(&data(&value, false).1).unwrap();
        assert_eq!((shown["Area"].as_f64(), shown["Circumference"].as_f64()), (Some(8.0), Some(12.0)));
        assert_eq!(shown["Center"]["Y"].as_f64(), Some(2.0));
        let (type_name, curve) = data(&value, true);
        assert_eq!(type_name, "Rhino.Geometry.PolylineCurve");
        let Geometry::PolylineCurve(outline) = opennurbs::decode(&serde_json::from_str(&curve).unwrap()).unwrap()
        else {
            unreachable!()
        };
        assert_eq!(outline.points.len(), 5);
    }

    #[test]
    fn what_compute_does_not_know_has_no_encoding() {
        assert_eq!(encode(&Value::Colour([255, 0, 0, 0]), false), None);
        assert_eq!(encode(&Value::Domain(Domain { a: 0.0, b: 1.0 }), false), None);
        assert_eq!(encode(&Value::Polyline(vec![[0.0; 3]]), false), None);
    }
}
