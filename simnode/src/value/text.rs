//! Values as text, and numbers out of text, in Grasshopper's spelling.
//!
//! Numbers show at most six decimals, and turn to exponents from a million up and below a millionth, as panels show
//! them. Text out of this module reads back through [`super::Value::cast`] up to that precision.

use super::{Domain, Value, Xyz};

/// A number as Grasshopper shows it: `0.333333`, `7`, `3.1416e+6`.
pub fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e6).contains(&size) {
        return exponent_text(number);
    }
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Four decimals and a signed exponent.
fn exponent_text(number: f64) -> String {
    let text = format!("{number:.4e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
        Some(_) | None => text,
    }
}

/// A number out of text, in the invariant culture; thousands separators are not read.
pub fn parse_number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Rust reads words such as "inf" that Grasshopper does not.
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

pub(super) fn xyz_text(xyz: Xyz) -> String {
    let [x, y, z] = xyz.map(number_text);
    format!("{{{x}, {y}, {z}}}")
}

/// Three numbers out of `{1, 2, 3}`, `1,2,3` or `(1, 2, 3)`; two make a point on the ground.
pub(super) fn parse_xyz(text: &str) -> Option<Xyz> {
    let text = text.trim().trim_start_matches(['{', '(', '[']).trim_end_matches(['}', ')', ']']);
    let mut numbers = text.split([',', ';']).map(parse_number);
    let xyz = [numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0.0))?];
    numbers.next().is_none().then_some(xyz)
}

pub(super) fn domain_text(domain: Domain) -> String {
    format!("{} to {}", number_text(domain.a), number_text(domain.b))
}

/// A domain out of `0 to 5`, in any letter case.
pub(super) fn parse_domain(text: &str) -> Option<Domain> {
    let lower = text.to_ascii_lowercase();
    let (a, b) = lower.split_once(" to ")?;
    Some(Domain::new(parse_number(a)?, parse_number(b)?))
}

/// A colour out of `r,g,b` or `r,g,b,a`, each from 0 to 255.
pub(super) fn parse_colour(text: &str) -> Option<[u8; 4]> {
    let parts = text.split([',', ';']).map(|part| part.trim().parse::<u8>().ok()).collect::<Option<Vec<_>>>()?;
    match parts[..] {
        [red, green, blue] => Some([255, red, green, blue]),
        [red, green, blue, alpha] => Some([alpha, red, green, blue]),
        _ => None,
    }
}

// === impl Value ===

impl Value {
    /// The text that a panel or a text input gets of this value.
    pub fn to_text(&self) -> String {
        match self {
            Self::Number(number) => number_text(*number),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(value) => if *value { "True" } else { "False" }.to_owned(),
            Self::Text(text) => text.clone(),
            Self::Point(xyz) | Self::Vector(xyz) => xyz_text(*xyz),
            Self::Plane(plane) => {
                let [o, z] = [plane.origin, plane.z_axis()];
                format!("O({:.2},{:.2},{:.2}) Z({:.2},{:.2},{:.2})", o[0], o[1], o[2], z[0], z[1], z[2])
            }
            Self::Line(line) => format!("Line(L:{})", number_text(line.length())),
            Self::Circle(circle) => format!("Circle(R:{})", number_text(circle.radius)),
            Self::Arc(arc) => {
                let degrees = arc.angle.span().to_degrees();
                format!("Arc(R:{} A:{})", number_text(arc.radius), number_text(degrees))
            }
            Self::Rectangle(rectangle) => {
                format!("Rectangle(w={}, h={})", number_text(rectangle.width()), number_text(rectangle.height()))
            }
            Self::Box(_) => "Box".to_owned(),
            Self::Polyline(_) => "Polyline Curve".to_owned(),
            Self::Domain(domain) => domain_text(*domain),
            Self::Domain2(u, v) => format!("u:({}) v:({})", domain_text(*u), domain_text(*v)),
            Self::Colour([255, red, green, blue]) => format!("{red},{green},{blue}"),
            Self::Colour([alpha, red, green, blue]) => format!("{red},{green},{blue} ({alpha})"),
            Self::Transform(_) => "Transform".to_owned(),
            Self::Path(path) => path.to_string(),
            Self::Mesh(mesh) => format!("Mesh (V:{} F:{})", mesh.vertices.len(), mesh.faces.len()),
            Self::Opaque(opaque) => opaque.kind().name().to_owned(),
        }
    }
}
