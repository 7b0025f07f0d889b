//! One datum that flows through a definition, and the kinds a parameter can ask for.
//!
//! A value is owned, finite in size and free of shared state: cloning it is the only way that it travels.

mod cast;
mod shape;
mod text;

use std::sync::Arc;

pub(crate) use cast::integer_of;
pub use shape::{
    Arc3, Circle, Cuboid, Domain, Line, Mesh, Opaque, Plane, Rectangle, Transform, Xyz, add, cross, distance, dot,
    length, lerp, scale, sub, unit,
};
pub use text::{number_text, parse_number};

use crate::tree::Path;

/// A datum. Lengths are in model units, angles in radians, unless a field says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Integer(i32),
    Boolean(bool),
    Text(String),
    Point(Xyz),
    Vector(Xyz),
    Plane(Plane),
    Line(Line),
    Circle(Box<Circle>),
    Arc(Box<Arc3>),
    Rectangle(Box<Rectangle>),
    Box(Box<Cuboid>),
    /// Vertices in order; closed when the first and last coincide.
    Polyline(Vec<Xyz>),
    Domain(Domain),
    /// U, then V.
    Domain2(Domain, Domain),
    /// Alpha, red, green, blue.
    Colour([u8; 4]),
    Transform(Box<Transform>),
    Path(Path),
    Mesh(Arc<Mesh>),
    /// Geometry that only Rhino can work on; it passes through as the JSON object it came as.
    Opaque(Arc<Opaque>),
}

/// What a parameter holds; its name is the `ParamType` that the node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Any,
    Number,
    Integer,
    Boolean,
    Text,
    Point,
    Vector,
    Plane,
    Line,
    Circle,
    Arc,
    Rectangle,
    Box,
    Curve,
    Surface,
    Brep,
    Mesh,
    SubD,
    Geometry,
    Domain,
    Domain2,
    Colour,
    Transform,
    Path,
}

// === impl Value ===

impl Value {
    /// The name that messages give to the type of this value.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Number(_) => "Number",
            Self::Integer(_) => "Integer",
            Self::Boolean(_) => "Boolean",
            Self::Text(_) => "Text",
            Self::Point(_) => "Point",
            Self::Vector(_) => "Vector",
            Self::Plane(_) => "Plane",
            Self::Line(_) => "Line",
            Self::Circle(_) => "Circle",
            Self::Arc(_) => "Arc",
            Self::Rectangle(_) => "Rectangle",
            Self::Box(_) => "Box",
            Self::Polyline(_) => "Curve",
            Self::Domain(_) => "Domain",
            Self::Domain2(..) => "Domain²",
            Self::Colour(_) => "Colour",
            Self::Transform(_) => "Transform",
            Self::Path(_) => "Path",
            Self::Mesh(_) => "Mesh",
            Self::Opaque(opaque) => opaque.kind().name(),
        }
    }

    /// What this value costs the budget of a solve: one, and more for what is larger than a plane.
    pub fn weight(&self) -> u64 {
        let extra = match self {
            Self::Text(text) => text.len() / 64,
            Self::Polyline(points) => points.len() / 3,
            Self::Mesh(mesh) => (mesh.vertices.len() + mesh.faces.len()) / 3,
            Self::Path(path) => path.0.len() / 16,
            Self::Number(_)
            | Self::Integer(_)
            | Self::Boolean(_)
            | Self::Point(_)
            | Self::Vector(_)
            | Self::Plane(_)
            | Self::Line(_)
            | Self::Circle(_)
            | Self::Arc(_)
            | Self::Rectangle(_)
            | Self::Box(_)
            | Self::Domain(_)
            | Self::Domain2(..)
            | Self::Colour(_)
            | Self::Transform(_)
            | Self::Opaque(_) => 0,
        };
        1 + extra as u64
    }
}

// === impl Kind ===

impl Kind {
    /// The type name as Grasshopper writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "Generic Data",
            Self::Number => "Number",
            Self::Integer => "Integer",
            Self::Boolean => "Boolean",
            Self::Text => "Text",
            Self::Point => "Point",
            Self::Vector => "Vector",
            Self::Plane => "Plane",
            Self::Line => "Line",
            Self::Circle => "Circle",
            Self::Arc => "Arc",
            Self::Rectangle => "Rectangle",
            Self::Box => "Box",
            Self::Curve => "Curve",
            Self::Surface => "Surface",
            Self::Brep => "Brep",
            Self::Mesh => "Mesh",
            Self::SubD => "SubD",
            Self::Geometry => "Geometry",
            Self::Domain => "Domain",
            Self::Domain2 => "Domain²",
            Self::Colour => "Colour",
            Self::Transform => "Transform",
            Self::Path => "Path",
        }
    }
}

#[cfg(test)]
mod tests;
