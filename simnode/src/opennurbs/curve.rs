//! The layouts of points and curves, each at the function that writes it.
//!
//! All numbers are doubles unless said otherwise; counts and codes are i32. Readers take every minor version, for later
//! ones only append members.

use super::{
    Error,
    chunk::{Reader, Writer},
    geometry::{ArcCurve, LineCurve, NurbsCurve, POINTS_MAX, Plane, PolylineCurve},
};

/// Curves are written in space; those that Rhino wrote in a parameter plane have 2 here.
const DIMENSIONS: i32 = 3;
/// A plane's four coefficients, three points of a circle: what an arc repeats of its plane.
const ARC_REPEATED: [usize; 2] = [4, 9];

/// `ON_Point` 1.0: the three coordinates.
pub(super) fn write_point(writer: &mut Writer, point: [f64; 3]) {
    writer.u8(0x10);
    writer.f64s(&point);
}

pub(super) fn read_point(reader: &mut Reader<'_>) -> Result<[f64; 3], Error> {
    layout(reader, "a point", (1, 0))?;
    reader.f64s()
}

/// `ON_LineCurve` 1.0: start, end, domain (two), dimensions (i32).
pub(super) fn write_line(writer: &mut Writer, line: &LineCurve) {
    writer.u8(0x10);
    writer.f64s(&line.from);
    writer.f64s(&line.to);
    writer.f64s(&line.domain);
    writer.i32(DIMENSIONS);
}

pub(super) fn read_line(reader: &mut Reader<'_>) -> Result<LineCurve, Error> {
    layout(reader, "a line", (1, 0))?;
    let line = LineCurve { from: reader.f64s()?, to: reader.f64s()?, domain: reader.f64s()? };
    reader.i32()?;
    Ok(line)
}

/// `ON_PolylineCurve` 1.0: count (i32) and points, count (i32) and parameters, dimensions (i32).
pub(super) fn write_polyline(writer: &mut Writer, polyline: &PolylineCurve) {
    writer.u8(0x10);
    writer.count(polyline.points.len());
    writer.f64s(polyline.points.as_flattened());
    writer.count(polyline.parameters.len());
    writer.f64s(&polyline.parameters);
    writer.i32(DIMENSIONS);
}

pub(super) fn read_polyline(reader: &mut Reader<'_>) -> Result<PolylineCurve, Error> {
    layout(reader, "a polyline", (1, 0))?;
    let count = reader.count("points of the polyline", POINTS_MAX)?;
    let points = (0..count).map(|_| reader.f64s()).collect::<Result<_, _>>()?;
    let count = reader.count("parameters of the polyline", POINTS_MAX)?;
    let parameters = (0..count).map(|_| reader.f64()).collect::<Result<_, _>>()?;
    reader.i32()?;
    Ok(PolylineCurve { points, parameters })
}

/// `ON_ArcCurve` 1.0: a plane (origin, x, y and z axis, the four coefficients of its equation a x + b y + c z + d = 0),
/// radius, the points at 0, 90 and 180 degrees, the angles of both ends in radians, domain (two), dimensions (i32).
pub(super) fn write_arc(writer: &mut Writer, arc: &ArcCurve) {
    let Plane { origin, x_axis, y_axis } = arc.plane;
    let normal = arc.plane.z_axis();
    writer.u8(0x10);
    writer.f64s(&origin);
    writer.f64s(&x_axis);
    writer.f64s(&y_axis);
    writer.f64s(&normal);
    writer.f64s(&normal);
    writer.f64s(&[-origin.iter().zip(normal).map(|(a, b)| a * b).sum::<f64>()]);
    writer.f64s(&[arc.radius]);
    for quarters in [0.0, 1.0, 2.0] {
        writer.f64s(&arc.point_at(quarters * std::f64::consts::FRAC_PI_2));
    }
    writer.f64s(&arc.angle);
    writer.f64s(&arc.domain);
    writer.i32(DIMENSIONS);
}

pub(super) fn read_arc(reader: &mut Reader<'_>) -> Result<ArcCurve, Error> {
    const DOUBLE: usize = size_of::<f64>();
    let [equation, points] = ARC_REPEATED;
    layout(reader, "an arc", (1, 0))?;
    let plane = Plane { origin: reader.f64s()?, x_axis: reader.f64s()?, y_axis: reader.f64s()? };
    let z_axis: [f64; 3] = reader.f64s()?;
    plane.check_z_axis(z_axis)?;
    reader.take(equation * DOUBLE)?;
    let radius = reader.f64()?;
    reader.take(points * DOUBLE)?;
    let arc = ArcCurve { plane, radius, angle: reader.f64s()?, domain: reader.f64s()? };
    reader.i32()?;
    Ok(arc)
}

/// `ON_NurbsCurve` 1.1: dimensions, whether rational, order (degree + 1), count of points, two zeros (all i32); an
/// empty bounding box (least corner 1 0 0, greatest -1 0 0); count (i32) and knots; count (i32) and points, where a
/// rational point is its coordinates times its weight, then its weight; whether the curve suits a `SubD` (u8, new in
/// 1.1).
pub(super) fn write_nurbs(writer: &mut Writer, nurbs: &NurbsCurve) {
    writer.u8(0x11);
    writer.i32(DIMENSIONS);
    writer.i32(i32::from(nurbs.weights.is_some()));
    writer.count(nurbs.degree + 1);
    writer.count(nurbs.points.len());
    writer.i32(0);
    writer.i32(0);
    writer.f64s(&[1.0, 0.0, 0.0, -1.0, 0.0, 0.0]);
    writer.count(nurbs.knots.len());
    writer.f64s(&nurbs.knots);
    writer.count(nurbs.points.len());
    match &nurbs.weights {
        None => writer.f64s(nurbs.points.as_flattened()),
        Some(weights) => {
            for ([x, y, z], weight) in nurbs.points.iter().zip(weights) {
                writer.f64s(&[x * weight, y * weight, z * weight, *weight]);
            }
        }
    }
    writer.u8(0);
}

pub(super) fn read_nurbs(reader: &mut Reader<'_>) -> Result<NurbsCurve, Error> {
    let minor = layout(reader, "a NURBS curve", (1, 1))?;
    let dimensions = match reader.i32()? {
        2 => 2,
        3 => 3,
        stated => return Err(Error::Code { what: "dimensions of the curve", stated }),
    };
    let rational = reader.i32()? != 0;
    let order = reader.count("the order of the curve", POINTS_MAX)?;
    let stated_points = reader.count("points of the curve", POINTS_MAX)?;
    reader.take(2 * size_of::<i32>() + 6 * size_of::<f64>())?;
    let count = reader.count("knots of the curve", 2 * POINTS_MAX)?;
    let knots = (0..count).map(|_| reader.f64()).collect::<Result<_, _>>()?;
    let stored = reader.i32()?;
    if usize::try_from(stored) != Ok(stated_points) {
        return Err(Error::Code { what: "stored points of the curve", stated: stored });
    }
    let mut points = Vec::new();
    let mut weights = rational.then(Vec::new);
    for _ in 0..stated_points {
        let mut point = [0.0; 3];
        for value in &mut point[..dimensions] {
            *value = reader.f64()?;
        }
        if let Some(weights) = &mut weights {
            let weight = reader.f64()?;
            point = point.map(|value| value / weight);
            weights.push(weight);
        }
        points.push(point);
    }
    if minor >= 1 {
        reader.u8()?;
    }
    Ok(NurbsCurve { degree: order.saturating_sub(1), knots, points, weights })
}

/// Reads the version of a layout: its major version must be the known one, its minor version may be another. Returns
/// the minor version.
pub(super) fn layout(reader: &mut Reader<'_>, what: &'static str, known: (u8, u8)) -> Result<u8, Error> {
    let version = reader.u8()?;
    let (major, minor) = (version >> 4, version & 0x0F);
    if major != known.0 {
        return Err(Error::Layout { what, major: major.into(), minor: minor.into() });
    }
    if minor > known.1 {
        reader.allow_unread();
    }
    Ok(minor)
}
