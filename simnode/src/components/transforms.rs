//! Moving, turning, scaling and mirroring geometry.
//!
//! Geometry in Rhino's encoding cannot be transformed here, which is an error and not a copy in the old place. A shape that
//! a map bends out of its kind becomes a more general one (a sheared rectangle is a polyline) or an error.

use super::table::{fixed, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{self, Arc3, Circle, Cuboid, Domain, Kind, Line, Mesh, Plane, Rectangle, Transform, Value, Xyz};

const GEOMETRY: Input = Input::item("Geometry", Kind::Geometry).optional();
const CENTER: Input = Input::item("Center", Kind::Point).or(Preset::Point([0.0; 3]));
const RESULTS: &[Output] = &[Output::item("Geometry"), Output::item("Transform")];
const QUARTER: Preset = Preset::Number(std::f64::consts::FRAC_PI_2);
const YZ: Plane = Plane { origin: [0.0; 3], x_axis: [0.0, 1.0, 0.0], y_axis: [0.0, 0.0, 1.0] };

const fn plane(name: &'static str) -> Input {
    Input::item(name, Kind::Plane).or(Preset::Plane(Plane::XY))
}

const fn factor(name: &'static str) -> Input {
    Input::item(name, Kind::Number).or(Preset::Number(1.0))
}

pub(super) static TABLE: &[Descriptor] = &[
    fixed(
        &[guid("e9eb1dcf-92f6-4d4d-84ae-96222d60f56b")],
        "Move",
        &[GEOMETRY, Input::item("Motion", Kind::Vector).or(Preset::Vector([0.0, 0.0, 10.0]))],
        RESULTS,
        |call| {
            let map = Transform::translation(call.vector(1)?);
            apply(call, &map)
        },
    ),
    fixed(
        &[guid("b7798b74-037e-4f0c-8ac7-dc1043d093e0")],
        "Rotate",
        &[GEOMETRY, Input::item("Angle", Kind::Number).or(QUARTER), plane("Plane")],
        RESULTS,
        |call| {
            let map = Transform::rotation(&call.plane(2)?, call.number(1)?);
            apply(call, &map)
        },
    ),
    fixed(
        &[guid("3dfb9a77-6e05-4016-9f20-94f78607d672")],
        "Rotate 3D",
        &[
            GEOMETRY,
            Input::item("Angle", Kind::Number).or(QUARTER),
            CENTER,
            Input::item("Axis", Kind::Vector).or(Preset::Vector([0.0, 0.0, 1.0])),
        ],
        RESULTS,
        |call| {
            let plane = Plane::from_normal(call.point(2)?, call.vector(3)?);
            let Some(plane) = plane else { return Stop::error("Rotation axis has zero length") };
            let map = Transform::rotation(&plane, call.number(1)?);
            apply(call, &map)
        },
    ),
    fixed(
        &[guid("4d2a06bd-4b0f-4c65-9ee0-4220e4c01703")],
        "Scale",
        &[GEOMETRY, CENTER, Input::item("Factor", Kind::Number).or(Preset::Number(0.5))],
        RESULTS,
        |call| {
            let map = Transform::scaling(&Plane::xy(call.point(1)?), [call.number(2)?; 3]);
            apply(call, &map)
        },
    ),
    fixed(
        &[guid("290f418a-65ee-406a-a9d0-35699815b512")],
        "Scale NU",
        &[GEOMETRY, plane("Plane"), factor("Scale X"), factor("Scale Y"), factor("Scale Z")],
        RESULTS,
        |call| {
            let factors = [call.number(2)?, call.number(3)?, call.number(4)?];
            let map = Transform::scaling(&call.plane(1)?, factors);
            apply(call, &map)
        },
    ),
    fixed(
        &[guid("f12daa2f-4fd5-48c1-8ac3-5dea476912ca")],
        "Mirror",
        &[GEOMETRY, Input::item("Plane", Kind::Plane).or(Preset::Plane(YZ))],
        RESULTS,
        |call| {
            let map = Transform::scaling(&call.plane(1)?, [1.0, 1.0, -1.0]);
            apply(call, &map)
        },
    ),
    fixed(&[guid("23285717-156c-468f-a691-b242488c06a6")], "Project", &[GEOMETRY, plane("Plane")], RESULTS, |call| {
        let map = Transform::scaling(&call.plane(1)?, [1.0, 1.0, 0.0]);
        apply(call, &map)
    }),
    fixed(
        &[guid("378d0690-9da0-4dd1-ab16-1d15246e7c22")],
        "Orient",
        &[GEOMETRY, plane("Source"), plane("Target")],
        RESULTS,
        |call| {
            let map = Transform::orientation(&call.plane(1)?, &call.plane(2)?);
            apply(call, &map)
        },
    ),
    fixed(
        &[guid("e87db220-a0a0-4d67-a405-f97fd14b2d7a")],
        "Linear Array",
        &[
            GEOMETRY,
            Input::item("Direction", Kind::Vector).or(Preset::Vector([10.0, 0.0, 0.0])),
            Input::item("Count", Kind::Integer).or(Preset::Integer(10)),
        ],
        &[Output::list("Geometry"), Output::list("Transform")],
        linear_array,
    ),
    fixed(
        &[guid("610e689b-5adc-47b3-af8f-e3a32b7ea341")],
        "Transform",
        &[Input::item("Geometry", Kind::Geometry), Input::item("Transform", Kind::Transform)],
        &[Output::item("Geometry")],
        |call| {
            let Value::Transform(map) = call.value(1)? else { return Err(Stop::Null) };
            let moved = transformed(call.value(0)?, map)?;
            call.put(0, moved);
            Ok(())
        },
    ),
    fixed(
        &[guid("ca80054a-cde0-4f69-a132-10502b24866d")],
        "Compound",
        &[Input::list("Transforms", Kind::Transform)],
        &[Output::item("Compound")],
        |call| {
            let mut all = Transform::IDENTITY;
            for map in call.list(0).iter().flatten() {
                if let Value::Transform(map) = map {
                    all = map.after(&all);
                }
            }
            call.put(0, Value::Transform(Box::new(all)));
            Ok(())
        },
    ),
];

/// The moved geometry, where there is some, and the map.
fn apply(call: &mut Call<'_>, map: &Transform) -> Outcome {
    if let Some(geometry) = call.maybe(0) {
        call.work(usize::try_from(geometry.weight()).unwrap_or(usize::MAX))?;
        let moved = transformed(geometry, map)?;
        call.put(0, moved);
    }
    call.put(1, Value::Transform(Box::new(*map)));
    Ok(())
}

/// The first copy stays where the geometry is.
fn linear_array(call: &mut Call<'_>) -> Outcome {
    let direction = call.vector(1)?;
    if call.integer(2)? < 1 {
        return Stop::error("Count must be one or more");
    }
    let count = call.count(2)?;
    let maps = (0..count).map(|index| Transform::translation(value::scale(direction, index as f64)));
    if let Some(geometry) = call.maybe(0) {
        call.work(usize::try_from(geometry.weight()).unwrap_or(usize::MAX).saturating_mul(count))?;
        let copies = maps.clone().map(|map| transformed(geometry, &map)).collect::<Outcome<Vec<_>>>()?;
        call.put_list(0, copies);
    }
    call.put_list(1, maps.map(|map| Value::Transform(Box::new(map))));
    Ok(())
}

/// Geometry under a map.
pub(super) fn transformed(geometry: &Value, map: &Transform) -> Outcome<Value> {
    let points = |points: &[Xyz]| points.iter().map(|p| map.point(*p)).collect::<Vec<_>>();
    match geometry {
        Value::Point(p) => Ok(Value::Point(map.point(*p))),
        Value::Vector(v) => Ok(Value::Vector(map.vector(*v))),
        Value::Plane(plane) => turned(plane, map).map(Value::Plane),
        Value::Line(line) => Ok(Value::Line(Line { from: map.point(line.from), to: map.point(line.to) })),
        Value::Polyline(list) => Ok(Value::Polyline(points(list))),
        Value::Circle(circle) => {
            let (plane, factor) = round(&circle.plane, map)?;
            Ok(Value::Circle(Box::new(Circle { plane, radius: circle.radius * factor })))
        }
        Value::Arc(arc) => {
            let (plane, factor) = round(&arc.plane, map)?;
            Ok(Value::Arc(Box::new(Arc3 { plane, radius: arc.radius * factor, angle: arc.angle })))
        }
        Value::Rectangle(rectangle) => Ok(match flat(&rectangle.plane, map) {
            Some((plane, [x, y])) => {
                let grown = |domain: Domain, factor: f64| Domain::new(domain.a * factor, domain.b * factor);
                let (x, y) = (grown(rectangle.x, x), grown(rectangle.y, y));
                Value::Rectangle(Box::new(Rectangle { plane, x, y }))
            }
            None => Value::Polyline(points(&rectangle.outline())),
        }),
        Value::Box(cuboid) => boxed(cuboid, map),
        Value::Mesh(mesh) => {
            let mesh = Mesh { vertices: points(&mesh.vertices), faces: mesh.faces.clone() };
            Ok(Value::Mesh(mesh.into()))
        }
        other => Stop::error(format!("Geometry of type {} cannot be transformed by this node", other.type_name())),
    }
}

/// The image of a plane; a map that flattens it has none.
fn turned(plane: &Plane, map: &Transform) -> Outcome<Plane> {
    let image = Plane::from_axes(map.point(plane.origin), map.vector(plane.x_axis), map.vector(plane.y_axis));
    image.ok_or_else(|| Stop::Error("The transformation flattens the plane".to_owned()))
}

/// The image of a plane and the factors along its axes, while these stay perpendicular.
fn flat(plane: &Plane, map: &Transform) -> Option<(Plane, [f64; 2])> {
    let (x, y) = (map.vector(plane.x_axis), map.vector(plane.y_axis));
    let sizes = [value::length(x), value::length(y)];
    let square = value::dot(x, y).abs() <= 1e-12 * sizes[0] * sizes[1];
    let image = Plane::from_axes(map.point(plane.origin), x, y)?;
    square.then_some((image, sizes))
}

/// The same for a circle, which must stay round.
fn round(plane: &Plane, map: &Transform) -> Outcome<(Plane, f64)> {
    match flat(plane, map) {
        Some((image, [x, y])) if (x - y).abs() <= 1e-12 * x.max(y) => Ok((image, x)),
        _ => Stop::error("A circle that is scaled unevenly is not supported by this node"),
    }
}

/// The image of a box: its z axis may turn over, which its z domain then takes up.
fn boxed(cuboid: &Cuboid, map: &Transform) -> Outcome<Value> {
    let image = flat(&cuboid.plane, map);
    let z = map.vector(cuboid.plane.z_axis());
    if let Some((plane, [fx, fy])) = image {
        let rise = value::dot(z, plane.z_axis());
        let upright = (value::length(z) - rise.abs()).abs() <= 1e-12 * value::length(z);
        if upright {
            let grown = |domain: Domain, factor: f64| Domain::new(domain.a * factor, domain.b * factor);
            let high = grown(cuboid.z, rise);
            let z = Domain::new(high.least(), high.greatest());
            let (x, y) = (grown(cuboid.x, fx), grown(cuboid.y, fy));
            return Ok(Value::Box(Box::new(Cuboid { plane, x, y, z })));
        }
    }
    Stop::error("A box that is sheared is not supported by this node")
}
