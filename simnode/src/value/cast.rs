//! What Grasshopper makes of a value when a parameter of another type takes it.
//!
//! A cast either gives a value of the asked kind or nothing; it never guesses. Casting to the own kind changes nothing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a kind of value that a rule does not name is refused by it, kinds to come included"
)]

use std::sync::Arc;

use super::text::{parse_colour, parse_domain, parse_xyz};
use super::{Cuboid, Domain, Kind, Line, Mesh, Plane, Rectangle, Value, Xyz, parse_number};
use crate::tree::Path;

// === impl Value ===

impl Value {
    /// This value as a parameter of `kind` takes it, or nothing where Grasshopper reports a failed conversion.
    #[must_use]
    pub fn cast(&self, kind: Kind) -> Option<Self> {
        match kind {
            Kind::Any => Some(self.clone()),
            Kind::Number => self.as_number().map(Self::Number),
            Kind::Integer => self.as_integer().map(Self::Integer),
            Kind::Boolean => self.as_boolean().map(Self::Boolean),
            Kind::Text => Some(Self::Text(self.to_text())),
            Kind::Point => self.as_point().map(Self::Point),
            Kind::Vector => self.as_vector().map(Self::Vector),
            Kind::Plane => self.as_plane().map(Self::Plane),
            Kind::Line => self.as_line().map(Self::Line),
            Kind::Circle => self.only(|value| matches!(value, Self::Circle(_))),
            Kind::Arc => match self {
                Self::Circle(circle) => Some(Self::Arc(Box::new(circle.arc()))),
                other => other.only(|value| matches!(value, Self::Arc(_))),
            },
            Kind::Rectangle => self.as_rectangle().map(|rectangle| Self::Rectangle(Box::new(rectangle))),
            Kind::Box => self.as_box().map(|cuboid| Self::Box(Box::new(cuboid))),
            Kind::Curve => self.only(Self::is_curve),
            Kind::Surface => self.only(|value| value.is_opaque(&[Kind::Surface, Kind::Brep])),
            Kind::Brep => self.only(|value| {
                matches!(value, Self::Box(_)) || value.is_opaque(&[Kind::Surface, Kind::Brep, Kind::SubD])
            }),
            Kind::Mesh => self.only(|value| matches!(value, Self::Mesh(_)) || value.is_opaque(&[Kind::Mesh])),
            Kind::SubD => self.only(|value| value.is_opaque(&[Kind::SubD])),
            Kind::Geometry => self.only(Self::is_geometry),
            Kind::Domain => self.as_domain().map(Self::Domain),
            Kind::Domain2 => match self {
                Self::Rectangle(rectangle) => Some(Self::Domain2(rectangle.x, rectangle.y)),
                other => other.only(|value| matches!(value, Self::Domain2(..))),
            },
            Kind::Colour => self.as_colour().map(Self::Colour),
            Kind::Transform => self.only(|value| matches!(value, Self::Transform(_))),
            Kind::Path => match self {
                Self::Path(path) => Some(Self::Path(path.clone())),
                Self::Integer(index) => Some(Self::Path(Path(vec![*index]))),
                other => other.as_text().and_then(|text| text.parse().ok()).map(Self::Path),
            },
        }
    }

    fn only(&self, holds: impl Fn(&Self) -> bool) -> Option<Self> {
        holds(self).then(|| self.clone())
    }

    fn is_opaque(&self, kinds: &[Kind]) -> bool {
        matches!(self, Self::Opaque(opaque) if kinds.contains(&opaque.kind()))
    }

    /// Whether a curve parameter takes this value.
    pub fn is_curve(&self) -> bool {
        let shape =
            matches!(self, Self::Line(_) | Self::Circle(_) | Self::Arc(_) | Self::Rectangle(_) | Self::Polyline(_));
        shape || self.is_opaque(&[Kind::Curve])
    }

    /// Whether a geometry parameter takes this value.
    pub fn is_geometry(&self) -> bool {
        let shape = matches!(
            self,
            Self::Point(_) | Self::Vector(_) | Self::Plane(_) | Self::Box(_) | Self::Mesh(_) | Self::Opaque(_)
        );
        shape || self.is_curve()
    }

    fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Numbers as they are, booleans as 1 and 0, text when it spells a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Integer(number) => Some(f64::from(*number)),
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            other => parse_number(other.as_text()?),
        }
    }

    /// The nearest integer, halves to the even one as `Convert.ToInt32` does; nothing outside 32 bits.
    pub fn as_integer(&self) -> Option<i32> {
        if let Self::Integer(number) = self {
            return Some(*number);
        }
        integer_of(self.as_number()?)
    }

    /// Booleans as they are, numbers when not zero, the words true and false in any letter case.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Number(number) => Some(*number != 0.0),
            Self::Integer(number) => Some(*number != 0),
            other => match other.as_text()?.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" => Some(true),
                "false" | "no" => Some(false),
                text => parse_number(text).map(|number| number != 0.0),
            },
        }
    }

    pub fn as_point(&self) -> Option<Xyz> {
        match self {
            Self::Point(xyz) | Self::Vector(xyz) => Some(*xyz),
            Self::Plane(plane) => Some(plane.origin),
            other => parse_xyz(other.as_text()?),
        }
    }

    pub fn as_vector(&self) -> Option<Xyz> {
        match self {
            Self::Point(xyz) | Self::Vector(xyz) => Some(*xyz),
            Self::Plane(plane) => Some(plane.z_axis()),
            Self::Line(line) => Some(line.direction()),
            other => parse_xyz(other.as_text()?),
        }
    }

    /// A point makes the world plane through it, a circle or rectangle gives its own.
    pub fn as_plane(&self) -> Option<Plane> {
        match self {
            Self::Plane(plane) => Some(*plane),
            Self::Point(xyz) => Some(Plane::xy(*xyz)),
            Self::Vector(xyz) => Plane::from_normal([0.0; 3], *xyz),
            Self::Circle(circle) => Some(circle.plane),
            Self::Arc(arc) => Some(arc.plane),
            Self::Rectangle(rectangle) => Some(Plane { origin: rectangle.center(), ..rectangle.plane }),
            Self::Box(cuboid) => Some(cuboid.plane),
            other => other.as_text().and_then(parse_xyz).map(Plane::xy),
        }
    }

    pub fn as_line(&self) -> Option<Line> {
        match self {
            Self::Line(line) => Some(*line),
            Self::Polyline(points) => match points[..] {
                [from, to] => Some(Line { from, to }),
                _ => None,
            },
            _ => None,
        }
    }

    fn as_rectangle(&self) -> Option<Rectangle> {
        match self {
            Self::Rectangle(rectangle) => Some(**rectangle),
            Self::Domain2(x, y) => Some(Rectangle { plane: Plane::XY, x: *x, y: *y }),
            Self::Polyline(points) => rectangle_of(points),
            _ => None,
        }
    }

    /// Any geometry of known extent gives its bounding box.
    fn as_box(&self) -> Option<Cuboid> {
        match self {
            Self::Box(cuboid) => Some(**cuboid),
            Self::Line(line) => Cuboid::around(&Plane::XY, [line.from, line.to]),
            Self::Rectangle(rectangle) => {
                Some(Cuboid { plane: rectangle.plane, x: rectangle.x, y: rectangle.y, z: Domain::new(0.0, 0.0) })
            }
            Self::Polyline(points) => Cuboid::around(&Plane::XY, points.iter().copied()),
            Self::Mesh(mesh) => Cuboid::around(&Plane::XY, mesh.vertices.iter().copied()),
            _ => None,
        }
    }

    /// A number makes the domain from zero to itself.
    pub fn as_domain(&self) -> Option<Domain> {
        match self {
            Self::Domain(domain) => Some(*domain),
            Self::Number(_) | Self::Integer(_) => self.as_number().map(|number| Domain::new(0.0, number)),
            other => {
                let text = other.as_text()?;
                parse_domain(text).or_else(|| parse_number(text).map(|number| Domain::new(0.0, number)))
            }
        }
    }

    fn as_colour(&self) -> Option<[u8; 4]> {
        match self {
            Self::Colour(argb) => Some(*argb),
            Self::Number(_) | Self::Integer(_) => {
                // One number is a grey.
                let grey = self.as_integer()?.clamp(0, 255);
                let grey = u8::try_from(grey).ok()?;
                Some([255, grey, grey, grey])
            }
            other => parse_colour(other.as_text()?),
        }
    }

    /// The mesh, where it is one that the stand-in can read.
    pub fn as_mesh(&self) -> Option<&Arc<Mesh>> {
        if let Self::Mesh(mesh) = self { Some(mesh) } else { None }
    }
}

/// Rounds as `Convert.ToInt32`: halves to even, nothing beyond 32 bits.
pub(crate) fn integer_of(number: f64) -> Option<i32> {
    let rounded = number.round_ties_even();
    if !(rounded >= f64::from(i32::MIN) && rounded <= f64::from(i32::MAX)) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within 32 bits; the comparison refuses NaN")]
    Some(rounded as i32)
}

/// Four right-angled corners and the first again.
fn rectangle_of(points: &[Xyz]) -> Option<Rectangle> {
    let &[origin, across, opposite, along, end] = points else { return None };
    let (x, y) = (super::sub(across, origin), super::sub(along, origin));
    let slack = 1e-9 * (super::length(x) + super::length(y)).max(1e-9);
    let closed = super::distance(origin, end) <= slack;
    let square = super::dot(x, y).abs() <= slack * super::length(x).max(super::length(y));
    let whole = super::distance(super::add(origin, super::add(x, y)), opposite) <= slack;
    let plane = Plane::from_axes(origin, x, y)?;
    let side = |v| Domain::new(0.0, super::length(v));
    (closed && square && whole).then(|| Rectangle { plane, x: side(x), y: side(y) })
}
