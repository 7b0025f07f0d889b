//! Boxes, bounding boxes and volumes.

use super::measure;
use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{Cuboid, Domain, Kind, Plane, Value};

const BASE: Input = Input::item("Base", Kind::Plane).or(Preset::Plane(Plane::XY));
const BOX: &[Output] = &[Output::item("Box")];

const fn size(name: &'static str) -> Input {
    Input::item(name, Kind::Number).or(Preset::Number(1.0))
}

const fn domain(name: &'static str) -> Input {
    Input::item(name, Kind::Domain).or(Preset::Domain(-0.5, 0.5))
}

pub(super) static TABLE: &[Descriptor] = &[
    fixed(
        &[guid("28061aae-04fb-4cb5-ac45-16f3b66bc0a4")],
        "Center Box",
        &[BASE, size("X"), size("Y"), size("Z")],
        BOX,
        |call| {
            let about = |half: f64| Domain::new(-half.abs(), half.abs());
            let (x, y, z) = (about(call.number(1)?), about(call.number(2)?), about(call.number(3)?));
            let cuboid = Cuboid { plane: call.plane(0)?, x, y, z };
            put(call, cuboid)
        },
    ),
    fixed(
        &[guid("2a43ef96-8f87-4892-8b94-237a47e8d3cf")],
        "Box 2Pt",
        &[
            Input::item("Point A", Kind::Point),
            Input::item("Point B", Kind::Point),
            Input::item("Plane", Kind::Plane).or(Preset::Plane(Plane::XY)),
        ],
        BOX,
        |call| {
            let cuboid = Cuboid::around(&call.plane(2)?, [call.point(0)?, call.point(1)?]).ok_or(Stop::Null)?;
            put(call, cuboid)
        },
    ),
    fixed(
        &[guid("79aa7f47-397c-4d3f-9761-aaf421bb7f5f")],
        "Domain Box",
        &[BASE, domain("X"), domain("Y"), domain("Z")],
        BOX,
        |call| {
            let cuboid = Cuboid { plane: call.plane(0)?, x: call.domain(1)?, y: call.domain(2)?, z: call.domain(3)? };
            put(call, cuboid)
        },
    ),
    fixed(
        &[guid("d0a56c9e-2483-45e7-ab98-a450b97f1bc0")],
        "Box Rectangle",
        &[Input::item("Rectangle", Kind::Rectangle), Input::item("Height", Kind::Domain).or(Preset::Domain(0.0, 1.0))],
        BOX,
        |call| {
            let Value::Rectangle(base) = call.value(0)? else { return Err(Stop::Null) };
            let cuboid = Cuboid { plane: base.plane, x: base.x, y: base.y, z: call.domain(1)? };
            put(call, cuboid)
        },
    ),
    fixed(
        &[guid("db7d83b1-2898-4ef9-9be5-4e94b4e2048d")],
        "Deconstruct Box",
        &[Input::item("Box", Kind::Box)],
        &[Output::item("Plane"), Output::item("X"), Output::item("Y"), Output::item("Z")],
        |call| {
            let cuboid = taken(call)?;
            call.put(0, Value::Plane(cuboid.plane));
            for (output, domain) in [cuboid.x, cuboid.y, cuboid.z].into_iter().enumerate() {
                call.put(output + 1, Value::Domain(domain));
            }
            Ok(())
        },
    ),
    fixed(
        &[guid("a10e8cdf-7c7a-4aac-aa70-ddb7010ab231")],
        "Box Corners",
        &[Input::item("Box", Kind::Box)],
        &[
            Output::item("Corner A"),
            Output::item("Corner B"),
            Output::item("Corner C"),
            Output::item("Corner D"),
            Output::item("Corner E"),
            Output::item("Corner F"),
            Output::item("Corner G"),
            Output::item("Corner H"),
        ],
        |call| {
            for (output, corner) in taken(call)?.corners().into_iter().enumerate() {
                call.put(output, Value::Point(corner));
            }
            Ok(())
        },
    ),
    fixed(
        &[guid("0bb3d234-9097-45db-9998-621639c87d3b")],
        "Bounding Box",
        &[Input::list("Content", Kind::Geometry), Input::item("Plane", Kind::Plane).or(Preset::Plane(Plane::XY))],
        &[Output::list("Box"), Output::list("Box")],
        bounding,
    ),
    growing(
        &[guid("224f7648-5956-4b26-80d9-8d771f3dfd5d"), guid("7c0523e8-79c9-45a2-8777-cf0d46bc5432")],
        "Volume",
        &[Input::item("Geometry", Kind::Geometry)],
        &[Output::item("Volume"), Output::item("Centroid")],
        volume,
    ),
];

#[expect(clippy::unnecessary_wraps, reason = "components share one signature")]
fn put(call: &mut Call<'_>, cuboid: Cuboid) -> Outcome {
    call.put(0, Value::Box(Box::new(cuboid)));
    Ok(())
}

fn taken(call: &Call<'_>) -> Outcome<Cuboid> {
    if let Value::Box(cuboid) = call.value(0)? { Ok(**cuboid) } else { Err(Stop::Null) }
}

/// A box for each object. The second is the same box in the coordinates of the plane.
fn bounding(call: &mut Call<'_>) -> Outcome {
    let plane = call.plane(1)?;
    let (mut boxes, mut local) = (Vec::new(), Vec::new());
    for item in call.list(0) {
        let Some(item) = item else {
            boxes.push(None);
            local.push(None);
            continue;
        };
        let cuboid = Cuboid::around(&plane, measure::extremes(item, &plane)?);
        local.push(cuboid.map(|cuboid| Value::Box(Box::new(Cuboid { plane: Plane::XY, ..cuboid }))));
        boxes.push(cuboid.map(|cuboid| Value::Box(Box::new(cuboid))));
    }
    call.put_branch(0, boxes);
    call.put_branch(1, local);
    Ok(())
}

fn volume(call: &mut Call<'_>) -> Outcome {
    let (volume, centroid) = match call.value(0)? {
        Value::Box(cuboid) => (cuboid.volume(), cuboid.center()),
        Value::Mesh(mesh) => measure::mesh_volume(mesh)?,
        other => {
            return Stop::error(format!(
                "Geometry of type {} encloses no volume that this node can tell",
                other.type_name()
            ));
        }
    };
    call.put(0, Value::Number(volume));
    call.put(1, Value::Point(centroid));
    Ok(())
}
