//! Curves as the stand-in can measure them: arcs and chains of straight segments.
//!
//! Parameters are those of openNURBS: a line's run over its length, a polyline's count its segments, an arc's run over its
//! length. Everything in Rhino's encoding is beyond measure, which is an error.

use super::{Outcome, Stop};
use crate::value::{self, Arc3, Circle, Domain, Mesh, Plane, Value, Xyz};

/// A curve to measure.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Curve {
    /// A circle is the arc of a full turn.
    Arc(Arc3),
    /// Two points at least; a line is two points with another parameter.
    Points { points: Vec<Xyz>, by_length: bool },
}

/// A place on a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) point: Xyz,
    /// Of length one.
    pub(super) tangent: Xyz,
    pub(super) parameter: f64,
}

/// The curve that a value is.
pub(super) fn curve(value: &Value) -> Outcome<Curve> {
    let points = |points: Vec<Xyz>, by_length| {
        if points.len() < 2 { Stop::error("Curve is not valid") } else { Ok(Curve::Points { points, by_length }) }
    };
    match value {
        Value::Line(line) => points(vec![line.from, line.to], true),
        Value::Polyline(list) => points(list.clone(), false),
        Value::Rectangle(rectangle) => points(rectangle.outline(), false),
        Value::Circle(circle) => Ok(Curve::Arc(circle.arc())),
        Value::Arc(arc) => Ok(Curve::Arc(**arc)),
        other => Stop::error(format!("A curve of type {} cannot be worked on by this node", other.type_name())),
    }
}

// === impl Curve ===

impl Curve {
    pub(super) fn length(&self) -> f64 {
        match self {
            Self::Arc(arc) => arc.length(),
            Self::Points { points, .. } => points.windows(2).map(|pair| value::distance(pair[0], pair[1])).sum(),
        }
    }

    pub(super) fn start(&self) -> Xyz {
        self.at_length(0.0).point
    }

    pub(super) fn end(&self) -> Xyz {
        match self {
            Self::Arc(arc) => arc.at(arc.angle.b),
            Self::Points { points, .. } => points.last().copied().unwrap_or_default(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Arc(arc) => (arc.angle.span().abs() - std::f64::consts::TAU).abs() < 1e-9,
            Self::Points { points, .. } => {
                let size = self.length();
                points.len() > 2 && value::distance(self.start(), self.end()) <= 1e-12 * size.max(1e-12)
            }
        }
    }

    /// The place so far along the curve, in model units; brought to the nearer end when outside.
    pub(super) fn at_length(&self, along: f64) -> Place {
        match self {
            Self::Arc(arc) => {
                let total = arc.length();
                let along = along.max(0.0).min(total);
                let turn = if total > 0.0 { arc.angle.at(along / total) } else { arc.angle.a };
                let forward = if arc.angle.span() < 0.0 { -1.0 } else { 1.0 };
                let ahead = Circle { plane: arc.plane, radius: forward }.at(turn + std::f64::consts::FRAC_PI_2);
                Place { point: arc.at(turn), tangent: value::sub(ahead, arc.plane.origin), parameter: along }
            }
            Self::Points { points, by_length } => {
                let mut left = along.max(0.0);
                let last = points.len() - 2;
                for (segment, pair) in points.windows(2).enumerate() {
                    let size = value::distance(pair[0], pair[1]);
                    // A vertex belongs to the segment that starts there, the end to the last one.
                    if left < size || segment == last {
                        let t = if size > 0.0 { (left / size).min(1.0) } else { 0.0 };
                        let parameter = if *by_length { t * size } else { segment as f64 + t };
                        return place(pair, t, parameter);
                    }
                    left -= size;
                }
                Place { point: points[0], tangent: [0.0; 3], parameter: 0.0 }
            }
        }
    }

    /// The place at a parameter of the curve's own; none outside its domain.
    pub(super) fn at_parameter(&self, parameter: f64) -> Option<Place> {
        let domain = self.domain();
        let slack = 1e-12 * domain.span().max(1.0);
        if !(parameter >= domain.a - slack && parameter <= domain.b + slack) {
            return None;
        }
        let parameter = parameter.max(domain.a).min(domain.b);
        match self {
            Self::Arc(_) | Self::Points { by_length: true, .. } => Some(self.at_length(parameter)),
            Self::Points { points, .. } => {
                let segment = index_of(parameter).min(points.len() - 2);
                Some(place(&points[segment..segment + 2], parameter - segment as f64, parameter))
            }
        }
    }

    pub(super) fn domain(&self) -> Domain {
        match self {
            Self::Arc(_) | Self::Points { by_length: true, .. } => Domain::new(0.0, self.length()),
            Self::Points { points, .. } => Domain::new(0.0, (points.len() - 1) as f64),
        }
    }
}

/// The whole part of a parameter that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parameters end at the count of segments")]
pub(super) fn index_of(parameter: f64) -> usize {
    parameter.max(0.0).floor() as usize
}

fn place(pair: &[Xyz], t: f64, parameter: f64) -> Place {
    let tangent = value::unit(value::sub(pair[1], pair[0])).unwrap_or_default();
    Place { point: value::lerp(pair[0], pair[1], t), tangent, parameter }
}

/// Area and centroid of a closed planar curve, in the plane of the curve.
pub(super) fn enclosed(curve: &Curve, tolerance: f64) -> Outcome<(f64, Xyz)> {
    if !curve.is_closed() {
        return Stop::error("Curve is not closed; it has no area");
    }
    let points = match curve {
        Curve::Arc(arc) => return Ok((std::f64::consts::PI * arc.radius * arc.radius, arc.plane.origin)),
        Curve::Points { points, .. } => points,
    };
    let origin = points[0];
    // Newell's normal: twice the area in length.
    let normal = points
        .windows(2)
        .map(|pair| value::cross(value::sub(pair[0], origin), value::sub(pair[1], origin)))
        .fold([0.0; 3], value::add);
    let Some(axis) = value::unit(normal) else { return Stop::error("Curve encloses no area") };
    if points.iter().any(|p| value::dot(value::sub(*p, origin), axis).abs() > tolerance) {
        return Stop::error("Curve is not planar; it has no area");
    }
    let mut moment = [0.0; 3];
    for pair in points.windows(2) {
        let (a, b) = (value::sub(pair[0], origin), value::sub(pair[1], origin));
        let double = value::dot(value::cross(a, b), axis);
        moment = value::add(moment, value::scale(value::add(a, b), double / 3.0));
    }
    let double = value::length(normal);
    Ok((double / 2.0, value::add(origin, value::scale(moment, 1.0 / double))))
}

/// The triangles of a mesh; a quad is cut along its first diagonal. Faces that name no vertex are left out.
fn triangles(mesh: &Mesh) -> impl Iterator<Item = [Xyz; 3]> + '_ {
    let vertex = |index: u32| mesh.vertices.get(usize::try_from(index).ok()?).copied();
    mesh.faces.iter().flat_map(move |face| {
        let [a, b, c, d] = *face;
        let triangle = |a, b, c| Some([vertex(a)?, vertex(b)?, vertex(c)?]);
        [triangle(a, b, c), if c == d { None } else { triangle(a, c, d) }].into_iter().flatten()
    })
}

pub(super) fn mesh_area(mesh: &Mesh) -> Outcome<(f64, Xyz)> {
    let (mut area, mut moment) = (0.0, [0.0; 3]);
    for [a, b, c] in triangles(mesh) {
        let part = value::length(value::cross(value::sub(b, a), value::sub(c, a))) / 2.0;
        let third = value::scale(value::add(a, value::add(b, c)), 1.0 / 3.0);
        area += part;
        moment = value::add(moment, value::scale(third, part));
    }
    if area > 0.0 { Ok((area, value::scale(moment, 1.0 / area))) } else { Stop::error("Mesh has no area") }
}

/// The volume that the faces of a closed mesh enclose, positive when they face outwards.
pub(super) fn mesh_volume(mesh: &Mesh) -> Outcome<(f64, Xyz)> {
    let Some(origin) = mesh.vertices.first().copied() else { return Stop::error("Mesh has no volume") };
    let (mut volume, mut moment) = (0.0, [0.0; 3]);
    for [a, b, c] in triangles(mesh) {
        let (a, b, c) = (value::sub(a, origin), value::sub(b, origin), value::sub(c, origin));
        let part = value::dot(a, value::cross(b, c)) / 6.0;
        volume += part;
        moment = value::add(moment, value::scale(value::add(a, value::add(b, c)), part / 4.0));
    }
    if volume == 0.0 {
        return Stop::error("Mesh has no volume");
    }
    Ok((volume, value::add(origin, value::scale(moment, 1.0 / volume))))
}

/// Points whose bounding box along the axes of a plane is that of the value.
pub(super) fn extremes(value: &Value, plane: &Plane) -> Outcome<Vec<Xyz>> {
    Ok(match value {
        Value::Point(p) | Value::Vector(p) => vec![*p],
        Value::Plane(plane) => vec![plane.origin],
        Value::Box(cuboid) => cuboid.corners().to_vec(),
        Value::Mesh(mesh) => mesh.vertices.clone(),
        other => match curve(other)? {
            Curve::Points { points, .. } => points,
            Curve::Arc(arc) => {
                let mut out = vec![arc.at(arc.angle.a), arc.at(arc.angle.b)];
                for axis in [plane.x_axis, plane.y_axis, plane.z_axis()] {
                    let peak = value::dot(axis, arc.plane.y_axis).atan2(value::dot(axis, arc.plane.x_axis));
                    let full = std::f64::consts::TAU;
                    for turn in [peak, peak + std::f64::consts::PI] {
                        // The same direction, at or after the start of the arc.
                        let turn = arc.angle.least() + (turn - arc.angle.least()).rem_euclid(full);
                        if turn <= arc.angle.greatest() {
                            out.push(arc.at(turn));
                        }
                    }
                }
                out
            }
        },
    })
}
