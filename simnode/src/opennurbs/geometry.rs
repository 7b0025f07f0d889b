//! The geometry that can be written and read, as plain arrays in model units, and what makes it well formed.
//!
//! What Rhino can store but calls invalid (a polyline with a repeated point, say) is well formed here; what it cannot
//! store (counts that disagree, numbers that are not finite) is a [`Flaw`].

use std::f64::consts::TAU;

/// The most points that a curve, or vertices that a mesh, may have: a mesh of this size takes about 40 MB uncompressed,
/// which is near the 50 MB that compute takes in a request.
pub const POINTS_MAX: usize = 1 << 20;
/// The most faces of a mesh: a closed mesh of triangles has about two faces for each vertex.
pub const FACES_MAX: usize = 2 * POINTS_MAX;
/// The most that the product of two axes may differ from that of perpendicular unit vectors: Rhino's own bound for a
/// valid plane, the square root of the machine epsilon.
const AXES_TOLERANCE: f64 = 1.490_116_119_385e-8;
/// By how much an arc may exceed the full turn and still be one, in radians.
const TURN_TOLERANCE: f64 = 1e-9;

/// One object of the kinds that this module can write and read.
#[derive(Debug, Clone, PartialEq)]
pub enum Geometry {
    Point([f64; 3]),
    LineCurve(LineCurve),
    PolylineCurve(PolylineCurve),
    ArcCurve(ArcCurve),
    NurbsCurve(NurbsCurve),
    Mesh(Mesh),
}

/// A straight segment.
#[derive(Debug, Clone, PartialEq)]
pub struct LineCurve {
    pub from: [f64; 3],
    pub to: [f64; 3],
    /// The curve parameters at both ends, increasing.
    pub domain: [f64; 2],
}

/// Straight segments from point to point; closed where the last point equals the first.
#[derive(Debug, Clone, PartialEq)]
pub struct PolylineCurve {
    /// At least two.
    pub points: Vec<[f64; 3]>,
    /// The curve parameter at each point, increasing.
    pub parameters: Vec<f64>,
}

/// A right-handed frame: both axes are unit vectors, perpendicular to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    pub origin: [f64; 3],
    pub x_axis: [f64; 3],
    pub y_axis: [f64; 3],
}

/// An arc, or a full circle where `angle` spans a whole turn.
#[derive(Debug, Clone, PartialEq)]
pub struct ArcCurve {
    /// The centre, and the directions of the angles 0 and 90 degrees.
    pub plane: Plane,
    pub radius: f64,
    /// Start and end in radians, increasing, at most a whole turn apart.
    pub angle: [f64; 2],
    /// The curve parameters at both ends, increasing.
    pub domain: [f64; 2],
}

/// A B-spline, rational where it has weights.
#[derive(Debug, Clone, PartialEq)]
pub struct NurbsCurve {
    /// At least 1, and less than the number of points.
    pub degree: usize,
    /// As Rhino counts them: `points + degree - 1`, two fewer than textbooks, which repeat the first and the last.
    pub knots: Vec<f64>,
    /// The control points, not multiplied by their weights.
    pub points: Vec<[f64; 3]>,
    /// One for each point, none of them zero.
    pub weights: Option<Vec<f64>>,
}

/// Triangles and quadrangles over shared vertices.
#[derive(Debug, Clone, PartialEq)]
pub struct Mesh {
    /// At least one.
    pub vertices: Vec<[f64; 3]>,
    /// Indices into `vertices`, counter-clockwise seen from outside; a triangle repeats its third.
    pub faces: Vec<[u32; 4]>,
    /// One for each vertex.
    pub normals: Option<Vec<[f32; 3]>>,
}

/// Why an object cannot stand in an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("{0} must be finite numbers")]
    NotFinite(&'static str),
    #[error("{0} must increase")]
    NotIncreasing(&'static str),
    #[error("{what}: {found} given where {expected} belong")]
    Count { what: &'static str, found: usize, expected: usize },
    #[error("{what}: {found} given, fewer than {least}")]
    TooFew { what: &'static str, found: usize, least: usize },
    #[error("{what}: {found} given, more than {most}")]
    TooMany { what: &'static str, found: usize, most: usize },
    #[error("the axes of the plane must be perpendicular unit vectors, right-handed")]
    Axes,
    #[error("the radius must be greater than zero")]
    Radius,
    #[error("the arc spans more than a whole turn")]
    MoreThanATurn,
    #[error("the weight of control point {0} is zero")]
    ZeroWeight(usize),
    #[error("more knots coincide at knot {0} than the degree allows")]
    KnotMultiplicity(usize),
    #[error("face {face} names vertex {vertex}, which does not exist")]
    VertexIndex { face: usize, vertex: u32 },
}

// === impl Geometry ===

impl Geometry {
    /// The .NET name under which compute returns such an object.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Point(_) => "Rhino.Geometry.Point",
            Self::LineCurve(_) => "Rhino.Geometry.LineCurve",
            Self::PolylineCurve(_) => "Rhino.Geometry.PolylineCurve",
            Self::ArcCurve(_) => "Rhino.Geometry.ArcCurve",
            Self::NurbsCurve(_) => "Rhino.Geometry.NurbsCurve",
            Self::Mesh(_) => "Rhino.Geometry.Mesh",
        }
    }

    /// Whether an archive can hold the object; the first flaw where it cannot.
    pub fn check(&self) -> Result<(), Flaw> {
        match self {
            Self::Point(point) => finite("the coordinates of the point", point),
            Self::LineCurve(line) => line.check(),
            Self::PolylineCurve(polyline) => polyline.check(),
            Self::ArcCurve(arc) => arc.check(),
            Self::NurbsCurve(nurbs) => nurbs.check(),
            Self::Mesh(mesh) => mesh.check(),
        }
    }
}

// === impl LineCurve ===

impl LineCurve {
    /// A segment with the parameters that Rhino gives it: from 0 to its length.
    pub fn new(from: [f64; 3], to: [f64; 3]) -> Self {
        let [x, y, z] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
        Self { from, to, domain: [0.0, x.hypot(y).hypot(z)] }
    }

    fn check(&self) -> Result<(), Flaw> {
        finite("the coordinates of the line", &self.from)?;
        finite("the coordinates of the line", &self.to)?;
        increasing("the domain of the line", &self.domain)
    }
}

// === impl PolylineCurve ===

impl PolylineCurve {
    /// A polyline with the parameters that Rhino gives it: the index of each point.
    pub fn new(points: Vec<[f64; 3]>) -> Self {
        let parameters = (0_u32..).take(points.len()).map(f64::from).collect();
        Self { points, parameters }
    }

    fn check(&self) -> Result<(), Flaw> {
        at_least("points of the polyline", self.points.len(), 2)?;
        at_most("points of the polyline", self.points.len(), POINTS_MAX)?;
        equal("parameters of the polyline", self.parameters.len(), self.points.len())?;
        finite("the coordinates of the polyline", self.points.as_flattened())?;
        increasing("the parameters of the polyline", &self.parameters)
    }
}

// === impl Plane ===

impl Plane {
    /// The third axis, perpendicular to both others.
    pub(super) fn z_axis(&self) -> [f64; 3] {
        let ([ax, ay, az], [bx, by, bz]) = (self.x_axis, self.y_axis);
        [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]
    }

    /// Whether this is the third axis of the plane, as an archive repeats it.
    pub(super) fn check_z_axis(&self, stated: [f64; 3]) -> Result<(), Flaw> {
        let computed = self.z_axis();
        let agrees = (0..3).all(|axis| (stated[axis] - computed[axis]).abs() <= AXES_TOLERANCE);
        if agrees { Ok(()) } else { Err(Flaw::Axes) }
    }

    fn check(&self) -> Result<(), Flaw> {
        finite("the origin of the plane", &self.origin)?;
        let [xx, yy, xy] =
            [dot(self.x_axis, self.x_axis) - 1.0, dot(self.y_axis, self.y_axis) - 1.0, dot(self.x_axis, self.y_axis)];
        // Written so that a NaN fails as well.
        if [xx, yy, xy].iter().all(|error| error.abs() <= AXES_TOLERANCE) { Ok(()) } else { Err(Flaw::Axes) }
    }
}

// === impl ArcCurve ===

impl ArcCurve {
    /// An arc with the parameters that Rhino gives it: from 0 to its length. Angles in radians.
    pub fn new(plane: Plane, radius: f64, angle: [f64; 2]) -> Self {
        Self { plane, radius, angle, domain: [0.0, radius * (angle[1] - angle[0])] }
    }

    /// A full circle with the parameters that Rhino gives it: from 0 to its circumference.
    pub fn circle(plane: Plane, radius: f64) -> Self {
        Self::new(plane, radius, [0.0, TAU])
    }

    /// The point at an angle, in radians.
    pub(super) fn point_at(&self, angle: f64) -> [f64; 3] {
        let (sine, cosine) = angle.sin_cos();
        let Plane { origin, x_axis, y_axis } = self.plane;
        std::array::from_fn(|axis| origin[axis] + self.radius * (cosine * x_axis[axis] + sine * y_axis[axis]))
    }

    fn check(&self) -> Result<(), Flaw> {
        self.plane.check()?;
        finite("the radius", &[self.radius])?;
        if self.radius <= 0.0 {
            return Err(Flaw::Radius);
        }
        increasing("the angles of the arc", &self.angle)?;
        if self.angle[1] - self.angle[0] > TAU + TURN_TOLERANCE {
            return Err(Flaw::MoreThanATurn);
        }
        finite("the points of the arc", &self.point_at(self.angle[0]))?;
        increasing("the domain of the arc", &self.domain)
    }
}

// === impl NurbsCurve ===

impl NurbsCurve {
    fn check(&self) -> Result<(), Flaw> {
        at_least("the degree of the curve", self.degree, 1)?;
        at_most("points of the curve", self.points.len(), POINTS_MAX)?;
        at_least("points of the curve", self.points.len(), self.degree.saturating_add(1))?;
        equal("knots of the curve", self.knots.len(), self.points.len() + self.degree - 1)?;
        finite("the coordinates of the curve", self.points.as_flattened())?;
        self.check_knots()?;
        let Some(weights) = &self.weights else { return Ok(()) };
        equal("weights of the curve", weights.len(), self.points.len())?;
        finite("the weights of the curve", weights)?;
        if let Some(index) = weights.iter().position(|weight| *weight == 0.0) {
            return Err(Flaw::ZeroWeight(index));
        }
        let weighted = self.points.iter().zip(weights).flat_map(|(point, weight)| point.map(|value| value * weight));
        if weighted.into_iter().all(f64::is_finite) { Ok(()) } else { Err(Flaw::NotFinite("weighted coordinates")) }
    }

    /// Rhino's rules for knots: they do not decrease, at most `degree` of them coincide, and the domain, which runs
    /// between the knots `degree - 1` from either end, begins and ends with a span that has a length.
    fn check_knots(&self) -> Result<(), Flaw> {
        finite("the knots", &self.knots)?;
        if self.knots.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Flaw::NotIncreasing("the knots"));
        }
        if let Some(index) = self.knots.windows(self.degree + 1).position(|run| run[0] >= run[self.degree]) {
            return Err(Flaw::KnotMultiplicity(index));
        }
        let last = self.points.len() - 1;
        increasing("the first span of the domain", &self.knots[self.degree - 1..=self.degree])?;
        increasing("the last span of the domain", &self.knots[last - 1..=last])
    }
}

// === impl Mesh ===

impl Mesh {
    fn check(&self) -> Result<(), Flaw> {
        at_least("vertices of the mesh", self.vertices.len(), 1)?;
        at_most("vertices of the mesh", self.vertices.len(), POINTS_MAX)?;
        at_most("faces of the mesh", self.faces.len(), FACES_MAX)?;
        // Archives hold each vertex in single precision too.
        let singles = self.vertices.as_flattened().iter().map(|value| single(*value));
        if !singles.into_iter().all(f32::is_finite) {
            return Err(Flaw::NotFinite("the coordinates of the mesh, in single precision,"));
        }
        for (face, corners) in self.faces.iter().enumerate() {
            let missing = |vertex: &&u32| usize::try_from(**vertex).map_or(true, |index| index >= self.vertices.len());
            if let Some(&vertex) = corners.iter().find(missing) {
                return Err(Flaw::VertexIndex { face, vertex });
            }
        }
        let Some(normals) = &self.normals else { return Ok(()) };
        equal("normals of the mesh", normals.len(), self.vertices.len())?;
        if normals.as_flattened().iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(Flaw::NotFinite("the normals of the mesh"))
        }
    }
}

/// The nearest number in single precision; infinite beyond its range.
#[expect(clippy::cast_possible_truncation, reason = "losing precision is what it is for")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn finite(what: &'static str, values: &[f64]) -> Result<(), Flaw> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(Flaw::NotFinite(what)) }
}

fn increasing(what: &'static str, values: &[f64]) -> Result<(), Flaw> {
    finite(what, values)?;
    if values.windows(2).all(|pair| pair[0] < pair[1]) { Ok(()) } else { Err(Flaw::NotIncreasing(what)) }
}

fn equal(what: &'static str, found: usize, expected: usize) -> Result<(), Flaw> {
    if found == expected { Ok(()) } else { Err(Flaw::Count { what, found, expected }) }
}

fn at_least(what: &'static str, found: usize, least: usize) -> Result<(), Flaw> {
    if found >= least { Ok(()) } else { Err(Flaw::TooFew { what, found, least }) }
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), Flaw> {
    if found <= most { Ok(()) } else { Err(Flaw::TooMany { what, found, most }) }
}
