//! Points, vectors and planes.

use super::table::{fixed, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{self, Kind, Plane, Value, Xyz};

const ZERO: Preset = Preset::Number(0.0);
const ONE: Preset = Preset::Number(1.0);
const ORIGIN: Input = Input::item("Origin", Kind::Point).or(Preset::Point([0.0; 3]));
const FACTOR: &[Input] = &[Input::item("Factor", Kind::Number).or(ONE)];
const UNIT: &[Output] = &[Output::item("Unit vector")];
const COMPONENTS: &[Output] = &[Output::item("X component"), Output::item("Y component"), Output::item("Z component")];
const VECTOR_LENGTH: &[Output] = &[Output::item("Vector"), Output::item("Length")];
const PLANE: &[Output] = &[Output::item("Plane")];

pub(super) static TABLE: &[Descriptor] = &[
    fixed(
        &[guid("3581f42a-9592-4549-bd6b-1c0fc39d067b")],
        "Construct Point",
        &[
            Input::item("X coordinate", Kind::Number).or(ZERO),
            Input::item("Y coordinate", Kind::Number).or(ZERO),
            Input::item("Z coordinate", Kind::Number).or(ZERO),
        ],
        &[Output::item("Point")],
        |call| {
            let point = [call.number(0)?, call.number(1)?, call.number(2)?];
            call.put(0, Value::Point(point));
            Ok(())
        },
    ),
    fixed(
        &[guid("9abae6b7-fa1d-448c-9209-4a8155345841")],
        "Deconstruct",
        &[Input::item("Point", Kind::Point)],
        COMPONENTS,
        |call| coordinates(call, Call::point),
    ),
    fixed(
        &[guid("a50fcd4a-cf42-4c3f-8616-022761e6cc93")],
        "Deconstruct Vector",
        &[Input::item("Vector", Kind::Vector)],
        COMPONENTS,
        |call| coordinates(call, Call::vector),
    ),
    fixed(
        &[guid("93b8e93d-f932-402c-b435-84be04d87666")],
        "Distance",
        &[Input::item("Point A", Kind::Point), Input::item("Point B", Kind::Point)],
        &[Output::item("Distance")],
        |call| {
            let distance = value::distance(call.point(0)?, call.point(1)?);
            call.put(0, Value::Number(distance));
            Ok(())
        },
    ),
    fixed(
        &[guid("a435f5c8-28a2-43e8-a52a-0b6e73c2e300")],
        "Point Polar",
        &[
            Input::item("Base plane", Kind::Plane).or(Preset::Plane(Plane::XY)),
            Input::item("XY angle", Kind::Number).or(ZERO),
            Input::item("Z angle", Kind::Number).or(ZERO),
            Input::item("Offset", Kind::Number).or(ONE),
        ],
        &[Output::item("Point")],
        polar,
    ),
    fixed(
        &[guid("571ca323-6e55-425a-bf9e-ee103c7ba4b9")],
        "Closest Point",
        &[Input::item("Point", Kind::Point), Input::list("Cloud", Kind::Point)],
        &[Output::item("Closest Point"), Output::item("CP Index"), Output::item("Distance")],
        closest,
    ),
    fixed(
        &[guid("56b92eab-d121-43f7-94d3-6cd8f0ddead8")],
        "Vector XYZ",
        &[
            Input::item("X component", Kind::Number).or(ZERO),
            Input::item("Y component", Kind::Number).or(ZERO),
            Input::item("Z component", Kind::Number).or(ZERO),
        ],
        VECTOR_LENGTH,
        |call| {
            let vector = [call.number(0)?, call.number(1)?, call.number(2)?];
            call.put(0, Value::Vector(vector));
            call.put(1, Value::Number(value::length(vector)));
            Ok(())
        },
    ),
    fixed(
        &[guid("934ede4a-924a-4973-bb05-0dc4b36fae75")],
        "Vector 2Pt",
        &[
            Input::item("Point A", Kind::Point),
            Input::item("Point B", Kind::Point),
            Input::item("Unitize", Kind::Boolean).or(Preset::Boolean(false)),
        ],
        VECTOR_LENGTH,
        between,
    ),
    fixed(&[guid("79f9fbb3-8f1d-4d9a-88a9-f7961b1012cd")], "Unit X", FACTOR, UNIT, |call| axis(call, [1.0, 0.0, 0.0])),
    fixed(&[guid("d3d195ea-2d59-4ffa-90b1-8b7ff3369f69")], "Unit Y", FACTOR, UNIT, |call| axis(call, [0.0, 1.0, 0.0])),
    fixed(&[guid("9103c240-a6a9-4223-9b42-dbd19bf38e2b")], "Unit Z", FACTOR, UNIT, |call| axis(call, [0.0, 0.0, 1.0])),
    fixed(
        &[guid("6ec39468-dae7-4ffa-a766-f2ab22a2c62e")],
        "Amplitude",
        &[Input::item("Vector", Kind::Vector), Input::item("Amplitude", Kind::Number).or(ONE)],
        &[Output::item("Vector")],
        |call| {
            let (vector, amplitude) = (call.vector(0)?, call.number(1)?);
            let Some(unit) = value::unit(vector) else { return Stop::error("Vector has zero length") };
            call.put(0, Value::Vector(value::scale(unit, amplitude)));
            Ok(())
        },
    ),
    fixed(
        &[guid("d5788074-d75d-4021-b1a3-0bf992928584")],
        "Reverse",
        &[Input::item("Vector", Kind::Vector)],
        &[Output::item("Vector")],
        |call| {
            let reversed = value::scale(call.vector(0)?, -1.0);
            call.put(0, Value::Vector(reversed));
            Ok(())
        },
    ),
    fixed(
        &[guid("b464fccb-50e7-41bd-9789-8438db9bea9f")],
        "Angle",
        &[
            Input::item("Vector A", Kind::Vector),
            Input::item("Vector B", Kind::Vector),
            Input::item("Plane", Kind::Plane).optional(),
        ],
        &[Output::item("Angle"), Output::item("Reflex")],
        angle,
    ),
    fixed(&[guid("17b7152b-d30d-4d50-b9ef-c9fe25576fc2")], "XY Plane", &[ORIGIN], PLANE, |call| {
        world(call, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    }),
    fixed(&[guid("8cc3a196-f6a0-49ea-9ed9-0cb343a3ae64")], "XZ Plane", &[ORIGIN], PLANE, |call| {
        world(call, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    }),
    fixed(&[guid("fad344bc-09b1-4855-a2e6-437ef5715fe3")], "YZ Plane", &[ORIGIN], PLANE, |call| {
        world(call, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    }),
    fixed(
        &[guid("bc3e379e-7206-4e7b-b63a-ff61f4b38a3e")],
        "Construct Plane",
        &[
            ORIGIN,
            Input::item("X-Axis", Kind::Vector).or(Preset::Vector([1.0, 0.0, 0.0])),
            Input::item("Y-Axis", Kind::Vector).or(Preset::Vector([0.0, 1.0, 0.0])),
        ],
        PLANE,
        |call| {
            let plane = Plane::from_axes(call.point(0)?, call.vector(1)?, call.vector(2)?);
            let Some(plane) = plane else { return Stop::error("The axes of the plane are parallel or of zero length") };
            call.put(0, Value::Plane(plane));
            Ok(())
        },
    ),
    fixed(
        &[guid("3cd2949b-4ea8-4ffb-a70c-5c380f9f46ea")],
        "Deconstruct Plane",
        &[Input::item("Plane", Kind::Plane).or(Preset::Plane(Plane::XY))],
        &[Output::item("Origin"), Output::item("X-Axis"), Output::item("Y-Axis"), Output::item("Z-Axis")],
        |call| {
            let plane = call.plane(0)?;
            call.put(0, Value::Point(plane.origin));
            for (output, axis) in [plane.x_axis, plane.y_axis, plane.z_axis()].into_iter().enumerate() {
                call.put(output + 1, Value::Vector(axis));
            }
            Ok(())
        },
    ),
    fixed(
        &[guid("cfb6b17f-ca82-4f5d-b604-d4f69f569de3")],
        "Plane Normal",
        &[ORIGIN, Input::item("Z-Axis", Kind::Vector).or(Preset::Vector([0.0, 0.0, 1.0]))],
        PLANE,
        |call| {
            let plane = Plane::from_normal(call.point(0)?, call.vector(1)?);
            let Some(plane) = plane else { return Stop::error("The normal of the plane has zero length") };
            call.put(0, Value::Plane(plane));
            Ok(())
        },
    ),
    fixed(
        &[guid("75eec078-a905-47a1-b0d2-0934182b1e3d")],
        "Plane Origin",
        &[Input::item("Base", Kind::Plane), Input::item("Origin", Kind::Point)],
        PLANE,
        |call| {
            let plane = Plane { origin: call.point(1)?, ..call.plane(0)? };
            call.put(0, Value::Plane(plane));
            Ok(())
        },
    ),
    fixed(
        &[guid("f6f14b09-6497-4564-8403-09e4eb5a6b82")],
        "Rotate Plane",
        &[Input::item("Plane", Kind::Plane), Input::item("Angle", Kind::Number)],
        PLANE,
        |call| {
            let plane = call.plane(0)?.turned(call.number(1)?);
            call.put(0, Value::Plane(plane));
            Ok(())
        },
    ),
];

fn coordinates<'a>(call: &mut Call<'a>, read: fn(&Call<'a>, usize) -> Outcome<Xyz>) -> Outcome {
    for (output, coordinate) in read(call, 0)?.into_iter().enumerate() {
        call.put(output, Value::Number(coordinate));
    }
    Ok(())
}

fn axis(call: &mut Call<'_>, axis: Xyz) -> Outcome {
    let scaled = value::scale(axis, call.number(0)?);
    call.put(0, Value::Vector(scaled));
    Ok(())
}

fn world(call: &mut Call<'_>, x_axis: Xyz, y_axis: Xyz) -> Outcome {
    let plane = Plane { origin: call.point(0)?, x_axis, y_axis };
    call.put(0, Value::Plane(plane));
    Ok(())
}

/// The first angle turns in the plane, the second rises out of it.
fn polar(call: &mut Call<'_>) -> Outcome {
    let (plane, turn, rise, offset) = (call.plane(0)?, call.number(1)?, call.number(2)?, call.number(3)?);
    let flat = offset * rise.cos();
    let point = plane.at(flat * turn.cos(), flat * turn.sin(), offset * rise.sin());
    call.put(0, Value::Point(point));
    Ok(())
}

fn closest(call: &mut Call<'_>) -> Outcome {
    let point = call.point(0)?;
    let cloud = call.list(1).iter().enumerate().filter_map(|(at, item)| Some((at, item.as_ref()?.as_point()?)));
    let best = cloud.map(|(at, p)| (value::distance(point, p), at, p)).min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((distance, at, found)) = best else { return Err(Stop::Null) };
    call.put(0, Value::Point(found));
    call.put(1, Value::Integer(i32::try_from(at).unwrap_or(i32::MAX)));
    call.put(2, Value::Number(distance));
    Ok(())
}

fn between(call: &mut Call<'_>) -> Outcome {
    let (vector, unitize) = (value::sub(call.point(1)?, call.point(0)?), call.boolean(2)?);
    let vector = match value::unit(vector) {
        Some(unit) if unitize => unit,
        None if unitize => return Stop::error("Vector has zero length"),
        _ => vector,
    };
    call.put(0, Value::Vector(vector));
    call.put(1, Value::Number(value::length(vector)));
    Ok(())
}

/// The least angle between two vectors and its complement to a full turn; with a plane, the angle against the clock
/// from A to B in it.
fn angle(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.vector(0)?, call.vector(1)?);
    let (Some(u), Some(v)) = (value::unit(a), value::unit(b)) else { return Stop::error("Vector has zero length") };
    let full = std::f64::consts::TAU;
    let angle = match call.maybe(2).and_then(Value::as_plane) {
        None => value::length(value::cross(u, v)).atan2(value::dot(u, v)),
        Some(plane) => {
            let turn = |v: Xyz| value::dot(v, plane.y_axis).atan2(value::dot(v, plane.x_axis));
            (turn(v) - turn(u)).rem_euclid(full)
        }
    };
    call.put(0, Value::Number(angle));
    call.put(1, Value::Number(full - angle));
    Ok(())
}
