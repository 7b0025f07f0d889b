//! The geometry that the stand-in computes with, and the vector arithmetic under it.
//!
//! Shapes are plain numbers; a plane keeps its axes unit and perpendicular, which its constructors see to.

use std::f64::consts::TAU;

use serde_json::Value as Json;

use super::Kind;

/// A point or a vector: x, y, z.
pub type Xyz = [f64; 3];

/// A numeric interval from `a` to `b`; `b` may be the lesser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Domain {
    pub a: f64,
    pub b: f64,
}

/// An oriented frame: origin, unit x axis, unit y axis; the z axis is their cross product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    pub origin: Xyz,
    pub x_axis: Xyz,
    pub y_axis: Xyz,
}

/// A straight segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub from: Xyz,
    pub to: Xyz,
}

/// A full circle around the plane's origin, starting on the plane's x axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circle {
    pub plane: Plane,
    pub radius: f64,
}

/// A part of a circle; angles in radians from the plane's x axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arc3 {
    pub plane: Plane,
    pub radius: f64,
    pub angle: Domain,
}

/// A rectangle in a plane, given by its extents along both axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    pub plane: Plane,
    pub x: Domain,
    pub y: Domain,
}

/// A box aligned with a plane, given by its extents along the three axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cuboid {
    pub plane: Plane,
    pub x: Domain,
    pub y: Domain,
    pub z: Domain,
}

/// A polygon mesh; a triangle repeats its last index.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mesh {
    pub vertices: Vec<Xyz>,
    pub faces: Vec<[u32; 4]>,
}

/// An affine map, rows first; it acts on columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform(pub [[f64; 4]; 4]);

/// Geometry in Rhino's own encoding.
#[derive(Debug, Clone, PartialEq)]
pub struct Opaque {
    /// The .NET type name, such as `Rhino.Geometry.NurbsCurve`.
    pub type_name: String,
    /// The object `{"version","archive3dm","opennurbs","data"}`.
    pub json: Json,
}

pub fn add(a: Xyz, b: Xyz) -> Xyz {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub fn sub(a: Xyz, b: Xyz) -> Xyz {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub fn scale(a: Xyz, factor: f64) -> Xyz {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

pub fn dot(a: Xyz, b: Xyz) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub fn cross(a: Xyz, b: Xyz) -> Xyz {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub fn length(a: Xyz) -> f64 {
    dot(a, a).sqrt()
}

pub fn distance(a: Xyz, b: Xyz) -> f64 {
    length(sub(a, b))
}

/// The point at parameter `t` of the segment from `a` to `b`.
pub fn lerp(a: Xyz, b: Xyz, t: f64) -> Xyz {
    add(a, scale(sub(b, a), t))
}

/// The vector of length one in this direction, unless it is too short to have one.
pub fn unit(a: Xyz) -> Option<Xyz> {
    let size = length(a);
    (size.is_finite() && size > 1e-32).then(|| scale(a, 1.0 / size))
}

// === impl Domain ===

impl Domain {
    pub const UNIT: Self = Self { a: 0.0, b: 1.0 };

    pub fn new(a: f64, b: f64) -> Self {
        Self { a, b }
    }

    pub fn least(self) -> f64 {
        self.a.min(self.b)
    }

    pub fn greatest(self) -> f64 {
        self.a.max(self.b)
    }

    /// Signed: negative when the domain decreases.
    pub fn span(self) -> f64 {
        self.b - self.a
    }

    pub fn mid(self) -> f64 {
        0.5 * (self.a + self.b)
    }

    /// The number at a normalised parameter; both ends come out exactly.
    pub fn at(self, t: f64) -> f64 {
        self.a * (1.0 - t) + self.b * t
    }

    pub fn includes(self, number: f64) -> bool {
        number >= self.least() && number <= self.greatest()
    }
}

// === impl Plane ===

impl Plane {
    pub const XY: Self = Self { origin: [0.0; 3], x_axis: [1.0, 0.0, 0.0], y_axis: [0.0, 1.0, 0.0] };

    pub fn xy(origin: Xyz) -> Self {
        Self { origin, ..Self::XY }
    }

    /// A plane from two directions: x as given, y made perpendicular to it. Parallel or zero directions give none.
    pub fn from_axes(origin: Xyz, x: Xyz, y: Xyz) -> Option<Self> {
        let x_axis = unit(x)?;
        let y_axis = unit(sub(y, scale(x_axis, dot(y, x_axis))))?;
        // Nearly parallel directions leave only rounding behind.
        (length(cross(x_axis, unit(y)?)) > 1e-12).then_some(Self { origin, x_axis, y_axis })
    }

    /// A plane from its normal. The x axis is chosen as openNURBS chooses a perpendicular: two of the normal's
    /// coordinates change places, one of them with its sign turned, and the least one gives way to zero.
    pub fn from_normal(origin: Xyz, normal: Xyz) -> Option<Self> {
        let z_axis = unit(normal)?;
        let x_axis = unit(perpendicular(z_axis))?;
        Some(Self { origin, x_axis, y_axis: cross(z_axis, x_axis) })
    }

    pub fn z_axis(&self) -> Xyz {
        cross(self.x_axis, self.y_axis)
    }

    /// The world point of plane coordinates.
    pub fn at(&self, x: f64, y: f64, z: f64) -> Xyz {
        let flat = add(self.origin, add(scale(self.x_axis, x), scale(self.y_axis, y)));
        if z == 0.0 { flat } else { add(flat, scale(self.z_axis(), z)) }
    }

    /// The plane coordinates of a world point.
    pub fn coordinates(&self, point: Xyz) -> Xyz {
        let offset = sub(point, self.origin);
        [dot(offset, self.x_axis), dot(offset, self.y_axis), dot(offset, self.z_axis())]
    }

    /// The same plane turned about its normal, in radians.
    #[must_use]
    pub fn turned(&self, angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        let x_axis = add(scale(self.x_axis, cos), scale(self.y_axis, sin));
        let y_axis = sub(scale(self.y_axis, cos), scale(self.x_axis, sin));
        Self { origin: self.origin, x_axis, y_axis }
    }
}

fn perpendicular(v: Xyz) -> Xyz {
    let size = v.map(f64::abs);
    // The largest coordinate changes places with the second one; ties go as in ON_3dVector::PerpendicularTo.
    let (largest, second) = if size[1] > size[0] {
        if size[2] > size[1] {
            (2, 1)
        } else if size[2] >= size[0] {
            (1, 2)
        } else {
            (1, 0)
        }
    } else if size[2] > size[0] {
        (2, 0)
    } else if size[2] > size[1] {
        (0, 2)
    } else {
        (0, 1)
    };
    let mut out = [0.0; 3];
    // A difference, because the negative of zero would be shown with its sign.
    out[largest] = 0.0 - v[second];
    out[second] = v[largest];
    out
}

// === impl Line, Circle, Arc3, Rectangle, Cuboid ===

impl Line {
    pub fn direction(&self) -> Xyz {
        sub(self.to, self.from)
    }

    pub fn length(&self) -> f64 {
        distance(self.from, self.to)
    }
}

impl Circle {
    pub fn at(&self, angle: f64) -> Xyz {
        self.plane.at(self.radius * angle.cos(), self.radius * angle.sin(), 0.0)
    }

    pub fn arc(&self) -> Arc3 {
        Arc3 { plane: self.plane, radius: self.radius, angle: Domain::new(0.0, TAU) }
    }
}

impl Arc3 {
    pub fn at(&self, angle: f64) -> Xyz {
        Circle { plane: self.plane, radius: self.radius }.at(angle)
    }

    pub fn length(&self) -> f64 {
        self.radius * self.angle.span().abs()
    }
}

impl Rectangle {
    pub fn width(&self) -> f64 {
        self.x.span().abs()
    }

    pub fn height(&self) -> f64 {
        self.y.span().abs()
    }

    /// Corners against the clock from (x.a, y.a).
    pub fn corners(&self) -> [Xyz; 4] {
        let at = |x, y| self.plane.at(x, y, 0.0);
        [at(self.x.a, self.y.a), at(self.x.b, self.y.a), at(self.x.b, self.y.b), at(self.x.a, self.y.b)]
    }

    pub fn center(&self) -> Xyz {
        self.plane.at(self.x.mid(), self.y.mid(), 0.0)
    }

    /// The closed outline: five points.
    pub fn outline(&self) -> Vec<Xyz> {
        let [a, b, c, d] = self.corners();
        vec![a, b, c, d, a]
    }
}

impl Cuboid {
    /// A box aligned with the world that holds all points; none for no point.
    pub fn around(plane: &Plane, points: impl IntoIterator<Item = Xyz>) -> Option<Self> {
        let mut bounds: Option<[[f64; 3]; 2]> = None;
        for point in points {
            let local = plane.coordinates(point);
            let [low, high] = bounds.get_or_insert([local, local]);
            for axis in 0..3 {
                low[axis] = low[axis].min(local[axis]);
                high[axis] = high[axis].max(local[axis]);
            }
        }
        let [low, high] = bounds?;
        let domain = |axis: usize| Domain::new(low[axis], high[axis]);
        Some(Self { plane: *plane, x: domain(0), y: domain(1), z: domain(2) })
    }

    /// The corners: bottom face against the clock from the least corner, then the top face likewise.
    pub fn corners(&self) -> [Xyz; 8] {
        let at = |x, y, z| self.plane.at(x, y, z);
        let (x, y, z) = (self.x, self.y, self.z);
        [
            at(x.a, y.a, z.a),
            at(x.b, y.a, z.a),
            at(x.b, y.b, z.a),
            at(x.a, y.b, z.a),
            at(x.a, y.a, z.b),
            at(x.b, y.a, z.b),
            at(x.b, y.b, z.b),
            at(x.a, y.b, z.b),
        ]
    }

    pub fn center(&self) -> Xyz {
        self.plane.at(self.x.mid(), self.y.mid(), self.z.mid())
    }

    pub fn volume(&self) -> f64 {
        (self.x.span() * self.y.span() * self.z.span()).abs()
    }

    /// The area of the six faces.
    pub fn area(&self) -> f64 {
        let [x, y, z] = [self.x.span().abs(), self.y.span().abs(), self.z.span().abs()];
        2.0 * (x * y + y * z + z * x)
    }
}

// === impl Transform ===

impl Transform {
    pub const IDENTITY: Self =
        Self([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);

    pub fn translation(motion: Xyz) -> Self {
        let mut out = Self::IDENTITY;
        for (row, amount) in out.0.iter_mut().zip(motion) {
            row[3] = amount;
        }
        out
    }

    /// The map of plane coordinates to the world.
    pub fn to_world(plane: &Plane) -> Self {
        let (x_axis, y_axis, z_axis, origin) = (plane.x_axis, plane.y_axis, plane.z_axis(), plane.origin);
        let row = |axis: usize| [x_axis[axis], y_axis[axis], z_axis[axis], origin[axis]];
        Self([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
    }

    /// The map of the world to plane coordinates.
    pub fn from_world(plane: &Plane) -> Self {
        let mut out = Self::IDENTITY;
        for (row, axis) in out.0.iter_mut().zip([plane.x_axis, plane.y_axis, plane.z_axis()]) {
            *row = [axis[0], axis[1], axis[2], -dot(axis, plane.origin)];
        }
        out
    }

    /// Scaling along the axes of a plane, about its origin.
    pub fn scaling(plane: &Plane, factors: Xyz) -> Self {
        let mut local = Self::IDENTITY;
        for (axis, factor) in factors.into_iter().enumerate() {
            local.0[axis][axis] = factor;
        }
        Self::to_world(plane).after(&local).after(&Self::from_world(plane))
    }

    /// Turning about the normal of a plane through its origin, in radians.
    pub fn rotation(plane: &Plane, angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        let mut local = Self::IDENTITY;
        local.0[0][0] = cos;
        local.0[0][1] = -sin;
        local.0[1][0] = sin;
        local.0[1][1] = cos;
        Self::to_world(plane).after(&local).after(&Self::from_world(plane))
    }

    /// What carries `source` onto `target`.
    pub fn orientation(source: &Plane, target: &Plane) -> Self {
        Self::to_world(target).after(&Self::from_world(source))
    }

    /// The map that does `first`, then this one.
    #[must_use]
    pub fn after(&self, first: &Self) -> Self {
        let mut out = [[0.0; 4]; 4];
        for (row, cells) in out.iter_mut().enumerate() {
            for (column, cell) in cells.iter_mut().enumerate() {
                *cell = (0..4).map(|k| self.0[row][k] * first.0[k][column]).sum();
            }
        }
        Self(out)
    }

    pub fn point(&self, p: Xyz) -> Xyz {
        let row = |r: &[f64; 4]| r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + r[3];
        [row(&self.0[0]), row(&self.0[1]), row(&self.0[2])]
    }

    /// The same for a direction: no translation.
    pub fn vector(&self, v: Xyz) -> Xyz {
        let row = |r: &[f64; 4]| r[0] * v[0] + r[1] * v[1] + r[2] * v[2];
        [row(&self.0[0]), row(&self.0[1]), row(&self.0[2])]
    }

    /// The one factor by which this map scales all lengths, if it is a similarity.
    pub fn uniform_scale(&self) -> Option<f64> {
        let column = |c: usize| [self.0[0][c], self.0[1][c], self.0[2][c]];
        let (x, y, z) = (column(0), column(1), column(2));
        let size = length(x);
        let slack = 1e-9 * size.max(1e-9);
        let even = (length(y) - size).abs() <= slack && (length(z) - size).abs() <= slack;
        let square =
            dot(x, y).abs() <= slack * size && dot(y, z).abs() <= slack * size && dot(z, x).abs() <= slack * size;
        (size > 0.0 && even && square).then_some(size)
    }
}

// === impl Opaque ===

impl Opaque {
    /// The kind of parameter that this geometry is at home in.
    pub fn kind(&self) -> Kind {
        let short = self.type_name.rsplit('.').next().unwrap_or_default();
        match short {
            "Mesh" => Kind::Mesh,
            "Brep" | "Extrusion" => Kind::Brep,
            "SubD" => Kind::SubD,
            name if name.ends_with("Curve") => Kind::Curve,
            name if name.ends_with("Surface") => Kind::Surface,
            _ => Kind::Geometry,
        }
    }
}
