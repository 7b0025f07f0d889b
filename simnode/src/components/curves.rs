//! Curves made, measured, divided and joined.

use super::measure::{self, Curve, Place};
use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{self, Arc3, Circle, Domain, Kind, Line, Plane, Rectangle, Value, Xyz};

const PLANE: Input = Input::item("Plane", Kind::Plane).or(Preset::Plane(Plane::XY));
const CURVE: Input = Input::item("Curve", Kind::Curve);
const A: Input = Input::item("Point A", Kind::Point);
const B: Input = Input::item("Point B", Kind::Point);
const C: Input = Input::item("Point C", Kind::Point);
const FILLET: Input = Input::item("Fillet Radius", Kind::Number).or(Preset::Number(0.0));
const LINE: &[Output] = &[Output::item("Line")];
const CIRCLE: &[Output] = &[Output::item("Circle")];
const RECTANGLE: &[Output] = &[Output::item("Rectangle"), Output::item("Length")];
const DIVISION: &[Output] = &[Output::list("Points"), Output::list("Tangents"), Output::list("Parameters")];

pub(super) static TABLE: &[Descriptor] = &[
    fixed(
        &[guid("4c4e56eb-2f04-43f9-95a3-cc46a14f495a")],
        "Line",
        &[Input::item("Start Point", Kind::Point), Input::item("End Point", Kind::Point)],
        LINE,
        |call| {
            let line = Line { from: call.point(0)?, to: call.point(1)? };
            call.put(0, Value::Line(line));
            Ok(())
        },
    ),
    fixed(
        &[guid("4c619bc9-39fd-4717-82a6-1e07ea237bbe")],
        "Line SDL",
        &[
            Input::item("Start", Kind::Point),
            Input::item("Direction", Kind::Vector).or(Preset::Vector([0.0, 0.0, 1.0])),
            Input::item("Length", Kind::Number).or(Preset::Number(1.0)),
        ],
        LINE,
        |call| {
            let (from, direction, length) = (call.point(0)?, call.vector(1)?, call.number(2)?);
            let Some(unit) = value::unit(direction) else { return Stop::error("Direction has zero length") };
            let to = value::add(from, value::scale(unit, length));
            call.put(0, Value::Line(Line { from, to }));
            Ok(())
        },
    ),
    fixed(
        &[guid("71b5b089-500a-4ea6-81c5-2f960441a0e8")],
        "PolyLine",
        &[Input::list("Vertices", Kind::Point), Input::item("Closed", Kind::Boolean).or(Preset::Boolean(false))],
        &[Output::item("Polyline")],
        polyline,
    ),
    fixed(
        &[guid("d93100b6-d50b-40b2-831a-814659dc38e3")],
        "Rectangle",
        &[
            PLANE,
            Input::item("X Size", Kind::Domain).or(Preset::Domain(-1.0, 1.0)),
            Input::item("Y Size", Kind::Domain).or(Preset::Domain(-1.0, 1.0)),
            FILLET,
        ],
        RECTANGLE,
        |call| {
            let rectangle = Rectangle { plane: call.plane(0)?, x: call.domain(1)?, y: call.domain(2)? };
            put_rectangle(call, rectangle, Some(3))
        },
    ),
    fixed(
        &[guid("575660b1-8c79-4b8d-9222-7ab4a6ddb359")],
        "Rectangle 2Pt",
        &[PLANE, A.or(Preset::Point([0.0; 3])), B.or(Preset::Point([10.0, 5.0, 0.0])), FILLET],
        RECTANGLE,
        |call| {
            let plane = call.plane(0)?;
            let (a, b) = (plane.coordinates(call.point(1)?), plane.coordinates(call.point(2)?));
            let side = |axis: usize| Domain::new(a[axis].min(b[axis]), a[axis].max(b[axis]));
            put_rectangle(call, Rectangle { plane, x: side(0), y: side(1) }, Some(3))
        },
    ),
    fixed(&[guid("9bc98a1d-2ecc-407e-948a-09a09ed3e69d")], "Rectangle 3Pt", &[A, B, C], RECTANGLE, |call| {
        let (a, b, c) = (call.point(0)?, call.point(1)?, call.point(2)?);
        let plane = Plane::from_axes(a, value::sub(b, a), value::sub(c, a));
        let Some(plane) = plane else { return Stop::error("The points of the rectangle are in one line") };
        let (b, c) = (plane.coordinates(b), plane.coordinates(c));
        let rectangle = Rectangle { plane, x: Domain::new(0.0, b[0]), y: Domain::new(0.0, c[1]) };
        put_rectangle(call, rectangle, None)
    }),
    fixed(
        &[guid("807b86e3-be8d-4970-92b5-f8cdcb45b06b")],
        "Circle",
        &[PLANE, Input::item("Radius", Kind::Number).or(Preset::Number(1.0))],
        CIRCLE,
        |call| {
            let plane = call.plane(0)?;
            put_circle(call, plane, 1)
        },
    ),
    fixed(
        &[guid("d114323a-e6ee-4164-946b-e4ca0ce15efa")],
        "Circle CNR",
        &[
            Input::item("Center", Kind::Point),
            Input::item("Normal", Kind::Vector).or(Preset::Vector([0.0, 0.0, 1.0])),
            Input::item("Radius", Kind::Number).or(Preset::Number(1.0)),
        ],
        CIRCLE,
        |call| {
            let plane = Plane::from_normal(call.point(0)?, call.vector(1)?);
            let Some(plane) = plane else { return Stop::error("Normal has zero length") };
            put_circle(call, plane, 2)
        },
    ),
    fixed(
        &[guid("bb59bffc-f54c-4682-9778-f6c3fe74fce3")],
        "Arc",
        &[
            PLANE,
            Input::item("Radius", Kind::Number).or(Preset::Number(1.0)),
            Input::item("Angle", Kind::Domain).or(Preset::Domain(0.0, std::f64::consts::PI)),
        ],
        &[Output::item("Arc"), Output::item("Length")],
        arc,
    ),
    fixed(
        &[guid("9fa1b081-b1c7-4a12-a163-0aa8da9ff6c4")],
        "Arc 3Pt",
        &[A, B, C],
        &[Output::item("Arc"), Output::item("Plane"), Output::item("Radius")],
        arc_through,
    ),
    fixed(
        &[guid("845527a6-5cea-4ae9-a667-96ae1667a4e8")],
        "Polygon",
        &[
            PLANE,
            Input::item("Radius", Kind::Number).or(Preset::Number(1.0)),
            Input::item("Segments", Kind::Integer).or(Preset::Integer(5)),
            FILLET,
        ],
        &[Output::item("Polygon"), Output::item("Length")],
        polygon,
    ),
    fixed(
        &[guid("11bbd48b-bb0a-4f1b-8167-fa297590390d")],
        "End Points",
        &[CURVE],
        &[Output::item("Start"), Output::item("End")],
        |call| {
            let curve = measure::curve(call.value(0)?)?;
            call.put(0, Value::Point(curve.start()));
            call.put(1, Value::Point(curve.end()));
            Ok(())
        },
    ),
    fixed(&[guid("c75b62fa-0a33-4da7-a5bd-03fd0068fd93")], "Length", &[CURVE], &[Output::item("Length")], |call| {
        let length = measure::curve(call.value(0)?)?.length();
        call.put(0, Value::Number(length));
        Ok(())
    }),
    fixed(
        &[guid("ccc7b468-e743-4049-891f-299432545898")],
        "Curve Middle",
        &[CURVE],
        &[Output::item("Midpoint")],
        |call| {
            let curve = measure::curve(call.value(0)?)?;
            call.put(0, Value::Point(curve.at_length(curve.length() / 2.0).point));
            Ok(())
        },
    ),
    fixed(
        &[guid("fc6979e4-7e91-4508-8e05-37c680779751")],
        "Evaluate Curve",
        &[CURVE, Input::item("Parameter", Kind::Number)],
        &[Output::item("Point"), Output::item("Tangent"), Output::item("Angle")],
        evaluate,
    ),
    fixed(
        &[guid("6b021f56-b194-4210-b9a1-6cef3b7d0848")],
        "Evaluate Length",
        &[
            CURVE,
            Input::item("Length", Kind::Number).or(Preset::Number(0.5)),
            Input::item("Normalized", Kind::Boolean).or(Preset::Boolean(true)),
        ],
        &[Output::item("Point"), Output::item("Tangent"), Output::item("Parameter")],
        evaluate_length,
    ),
    fixed(
        &[guid("2162e72e-72fc-4bf8-9459-d4d82fa8aa14")],
        "Divide Curve",
        &[
            CURVE,
            Input::item("Count", Kind::Integer).or(Preset::Integer(10)),
            Input::item("Kinks", Kind::Boolean).or(Preset::Boolean(false)),
        ],
        DIVISION,
        divide,
    ),
    fixed(
        &[guid("fdc466a9-d3b8-4056-852a-09dba0f74aca")],
        "Divide Length",
        &[CURVE, Input::item("Length", Kind::Number).or(Preset::Number(1.0))],
        DIVISION,
        divide_length,
    ),
    fixed(
        &[guid("afb96615-c59a-45c9-9cac-e27acb1c7ca0")],
        "Explode",
        &[CURVE, Input::item("Recursive", Kind::Boolean).or(Preset::Boolean(true))],
        &[Output::list("Segments"), Output::list("Vertices")],
        explode,
    ),
    fixed(
        &[guid("8073a420-6bec-49e3-9b18-367f6fd76ac3")],
        "Join Curves",
        &[Input::list("Curves", Kind::Curve), Input::item("Preserve", Kind::Boolean).or(Preset::Boolean(false))],
        &[Output::list("Curves")],
        join,
    ),
    fixed(
        &[guid("22990b1f-9be6-477c-ad89-f775cd347105")],
        "Flip Curve",
        &[CURVE, Input::item("Guide", Kind::Curve).optional()],
        &[Output::item("Curve"), Output::item("Flag")],
        flip,
    ),
    fixed(
        &[guid("424eb433-2b3a-4859-beaf-804d8af0afd7")],
        "Control Points",
        &[CURVE],
        &[Output::list("Points"), Output::list("Weights"), Output::list("Knots")],
        control_points,
    ),
    fixed(
        &[guid("59e94548-cefd-4774-b3de-48142fc783fb")],
        "Polygon Center",
        &[Input::item("Polyline", Kind::Curve)],
        &[Output::item("Center(V)"), Output::item("Center(E)"), Output::item("Center(A)")],
        centers,
    ),
    growing(
        &[guid("2e205f24-9279-47b2-b414-d06dcd0b21a7"), guid("86b28a7e-94d9-4791-8306-e13e10d5f8d5")],
        "Area",
        &[Input::item("Geometry", Kind::Geometry)],
        &[Output::item("Area"), Output::item("Centroid")],
        area,
    ),
];

fn polyline(call: &mut Call<'_>) -> Outcome {
    let mut points = call.points(0);
    if points.len() < 2 {
        return Stop::error("A polyline needs two points or more");
    }
    if call.boolean(1)? && points.first() != points.last() {
        let first = points[0];
        points.push(first);
    }
    call.put(0, Value::Polyline(points));
    Ok(())
}

/// The rectangle and its circumference; rounded corners are beyond this node.
fn put_rectangle(call: &mut Call<'_>, rectangle: Rectangle, fillet: Option<usize>) -> Outcome {
    if let Some(input) = fillet {
        no_fillet(call, input)?;
    }
    call.put(1, Value::Number(2.0 * (rectangle.width() + rectangle.height())));
    call.put(0, Value::Rectangle(Box::new(rectangle)));
    Ok(())
}

fn no_fillet(call: &Call<'_>, input: usize) -> Outcome {
    if call.number(input)? == 0.0 { Ok(()) } else { Stop::error("Fillets are not supported by this node") }
}

fn positive(call: &Call<'_>, input: usize) -> Outcome<f64> {
    let radius = call.number(input)?;
    if radius > 0.0 { Ok(radius) } else { Stop::error("Radius must be larger than zero") }
}

fn put_circle(call: &mut Call<'_>, plane: Plane, radius: usize) -> Outcome {
    let radius = positive(call, radius)?;
    call.put(0, Value::Circle(Box::new(Circle { plane, radius })));
    Ok(())
}

/// A decreasing angle domain goes on over the full turn.
fn arc(call: &mut Call<'_>) -> Outcome {
    let (plane, radius, mut angle) = (call.plane(0)?, positive(call, 1)?, call.domain(2)?);
    let full = std::f64::consts::TAU;
    if !angle.a.is_finite() || !angle.b.is_finite() {
        return Err(Stop::Null);
    }
    if angle.b < angle.a {
        angle.b = angle.a + (angle.b - angle.a).rem_euclid(full);
    }
    angle.b = angle.b.min(angle.a + full);
    let arc = Arc3 { plane, radius, angle };
    call.put(1, Value::Number(arc.length()));
    call.put(0, Value::Arc(Box::new(arc)));
    Ok(())
}

/// The circle through three points, from the first through the second to the third.
fn arc_through(call: &mut Call<'_>) -> Outcome {
    let (a, b, c) = (call.point(0)?, call.point(1)?, call.point(2)?);
    let (first, second) = (value::sub(b, a), value::sub(c, a));
    let normal = value::cross(first, second);
    let double = 2.0 * value::dot(normal, normal);
    if double <= 1e-24 {
        return Stop::error("The points of the arc are in one line");
    }
    let to_second = value::scale(value::cross(normal, first), value::dot(second, second));
    let to_first = value::scale(value::cross(second, normal), value::dot(first, first));
    let center = value::add(a, value::scale(value::add(to_second, to_first), 1.0 / double));
    let spoke = value::sub(a, center);
    let plane = Plane::from_axes(center, spoke, value::cross(normal, spoke));
    let Some(plane) = plane else { return Stop::error("The points of the arc are in one line") };
    let end = plane.coordinates(c);
    let turn = end[1].atan2(end[0]).rem_euclid(std::f64::consts::TAU);
    let arc = Arc3 { plane, radius: value::length(spoke), angle: Domain::new(0.0, turn) };
    call.put(2, Value::Number(arc.radius));
    call.put(1, Value::Plane(plane));
    call.put(0, Value::Arc(Box::new(arc)));
    Ok(())
}

/// Corners on the circle of the radius, the first on the x axis of the plane.
fn polygon(call: &mut Call<'_>) -> Outcome {
    let (plane, radius, segments) = (call.plane(0)?, positive(call, 1)?, call.integer(2)?);
    no_fillet(call, 3)?;
    if segments < 3 {
        return Stop::error("A polygon needs three segments or more");
    }
    let segments = call.room(i64::from(segments))?;
    let circle = Circle { plane, radius };
    let corner = |index: usize| circle.at(std::f64::consts::TAU * index as f64 / segments as f64);
    let mut points: Vec<Xyz> = (0..segments).map(corner).collect();
    points.push(points[0]);
    let length = 2.0 * radius * (std::f64::consts::PI / segments as f64).sin() * segments as f64;
    call.put(0, Value::Polyline(points));
    call.put(1, Value::Number(length));
    Ok(())
}

/// The angle is that between the two segments that meet at a vertex of a polyline, a straight one elsewhere.
fn evaluate(call: &mut Call<'_>) -> Outcome {
    let (curve, parameter) = (measure::curve(call.value(0)?)?, call.number(1)?);
    let Some(place) = curve.at_parameter(parameter) else {
        return Stop::error("Parameter is outside of the domain of the curve");
    };
    let vertex = parameter.fract() == 0.0 && parameter > 0.0;
    let angle = match &curve {
        Curve::Points { points, by_length: false } if vertex && place.parameter < curve.domain().b => {
            // A whole parameter inside the domain is the index of a vertex with two neighbours.
            let at = measure::index_of(parameter);
            let (back, ahead) = (value::sub(points[at - 1], points[at]), value::sub(points[at + 1], points[at]));
            value::length(value::cross(back, ahead)).atan2(value::dot(back, ahead))
        }
        Curve::Points { .. } | Curve::Arc(_) => std::f64::consts::PI,
    };
    call.put(0, Value::Point(place.point));
    call.put(1, Value::Vector(place.tangent));
    call.put(2, Value::Number(angle));
    Ok(())
}

fn evaluate_length(call: &mut Call<'_>) -> Outcome {
    let (curve, length, normalized) = (measure::curve(call.value(0)?)?, call.number(1)?, call.boolean(2)?);
    let total = curve.length();
    let along = if normalized { length * total } else { length };
    if !(along >= 0.0 && along <= total * (1.0 + 1e-12)) {
        return Stop::error("Length is outside of the curve");
    }
    let place = curve.at_length(along);
    call.put(0, Value::Point(place.point));
    call.put(1, Value::Vector(place.tangent));
    call.put(2, Value::Number(place.parameter));
    Ok(())
}

fn put_places(call: &mut Call<'_>, places: &[Place]) {
    call.put_list(0, places.iter().map(|place| Value::Point(place.point)));
    call.put_list(1, places.iter().map(|place| Value::Vector(place.tangent)));
    call.put_list(2, places.iter().map(|place| Value::Number(place.parameter)));
}

/// Equal lengths: a closed curve gives as many points as segments, an open one its end as well.
fn divide(call: &mut Call<'_>) -> Outcome {
    let (curve, count) = (measure::curve(call.value(0)?)?, call.integer(1)?);
    if call.boolean(2)? {
        return Stop::error("Splitting at kinks is not supported by this node");
    }
    if count < 1 {
        return Stop::error("Count must be one or more");
    }
    let segments = call.room(i64::from(count))?;
    call.work(segments.saturating_mul(pieces(&curve)))?;
    let total = curve.length();
    let points = if curve.is_closed() { segments } else { segments + 1 };
    let places: Vec<Place> = (0..points).map(|index| curve.at_length(total * index as f64 / segments as f64)).collect();
    put_places(call, &places);
    Ok(())
}

/// How much work it is to find a place on a curve.
fn pieces(curve: &Curve) -> usize {
    if let Curve::Points { points, .. } = curve { 1 + points.len() / 8 } else { 1 }
}

/// From the start on, as far as the length goes into the curve.
fn divide_length(call: &mut Call<'_>) -> Outcome {
    let (curve, step) = (measure::curve(call.value(0)?)?, call.number(1)?);
    if step <= 0.0 || !step.is_finite() {
        return Stop::error("Length must be larger than zero");
    }
    let total = curve.length();
    let count = (total / step + 1e-9).floor();
    let segments = call.room(i64::try_from(measure::index_of(count)).unwrap_or(i64::MAX))?;
    call.work(segments.saturating_mul(pieces(&curve)))?;
    let places: Vec<Place> = (0..=segments).map(|index| curve.at_length(step * index as f64)).collect();
    put_places(call, &places);
    Ok(())
}

/// Straight segments as lines; a closed curve does not repeat its first vertex.
fn explode(call: &mut Call<'_>) -> Outcome {
    let value = call.value(0)?;
    let curve = measure::curve(value)?;
    let (segments, mut vertices): (Vec<Value>, Vec<Xyz>) = match &curve {
        Curve::Arc(_) => (vec![value.clone()], vec![curve.start(), curve.end()]),
        Curve::Points { points, .. } => {
            let line = |pair: &[Xyz]| Value::Line(Line { from: pair[0], to: pair[1] });
            (points.windows(2).map(line).collect(), points.clone())
        }
    };
    if curve.is_closed() {
        vertices.pop();
    }
    call.put_list(0, segments);
    call.put_list(1, vertices.into_iter().map(Value::Point));
    Ok(())
}

/// Chains what meets within the tolerance, in the order of the list; without `Preserve` curves may be turned around.
fn join(call: &mut Call<'_>) -> Outcome {
    let preserve = call.boolean(1)?;
    let tolerance = call.settings.absolute_tolerance;
    let mut open: Vec<Vec<Xyz>> = Vec::new();
    let mut done: Vec<Value> = Vec::new();
    for item in call.list(0).iter().flatten() {
        match measure::curve(item)? {
            Curve::Points { points, .. } if points.len() < 3 || points.first() != points.last() => open.push(points),
            Curve::Points { .. } => done.push(item.clone()),
            Curve::Arc(arc) if Curve::Arc(arc).is_closed() => done.push(item.clone()),
            Curve::Arc(_) => return Stop::error("Joining arcs is not supported by this node"),
        }
    }
    call.work(open.len().saturating_mul(open.len()))?;
    while !open.is_empty() {
        let mut chain = open.remove(0);
        while let Some(at) = open.iter().position(|next| meets(&chain, next, preserve, tolerance).is_some()) {
            let next = open.remove(at);
            chain = match meets(&chain, &next, preserve, tolerance) {
                Some((before, turned)) => chained(chain, next, before, turned),
                None => chain,
            };
        }
        done.push(match chain[..] {
            [from, to] => Value::Line(Line { from, to }),
            _ => Value::Polyline(chain),
        });
    }
    call.put_list(0, done);
    Ok(())
}

/// Whether a curve continues a chain: at its front or its end, and turned around or not.
fn meets(chain: &[Xyz], next: &[Xyz], preserve: bool, tolerance: f64) -> Option<(bool, bool)> {
    let (first, last) = (chain.first()?, chain.last()?);
    let (start, end) = (next.first()?, next.last()?);
    let near = |a: &Xyz, b: &Xyz| value::distance(*a, *b) <= tolerance;
    if near(last, start) {
        Some((false, false))
    } else if near(first, end) {
        Some((true, false))
    } else if !preserve && near(last, end) {
        Some((false, true))
    } else if !preserve && near(first, start) {
        Some((true, true))
    } else {
        None
    }
}

fn chained(mut chain: Vec<Xyz>, mut next: Vec<Xyz>, before: bool, turned: bool) -> Vec<Xyz> {
    if turned {
        next.reverse();
    }
    if before {
        next.pop();
        next.extend(chain);
        next
    } else {
        chain.extend(next.into_iter().skip(1));
        chain
    }
}

fn flip(call: &mut Call<'_>) -> Outcome {
    if call.maybe(1).is_some() {
        return Stop::error("Flipping by a guide is not supported by this node");
    }
    let flipped = match call.value(0)? {
        Value::Line(line) => Value::Line(Line { from: line.to, to: line.from }),
        value => match measure::curve(value)? {
            Curve::Points { points, .. } => Value::Polyline(points.into_iter().rev().collect()),
            Curve::Arc(arc) => {
                // Seen from the other side, the arc runs from its end to its start.
                let plane = Plane { y_axis: value::scale(arc.plane.y_axis, -1.0), ..arc.plane };
                let angle = Domain::new(-arc.angle.b, -arc.angle.a);
                Value::Arc(Box::new(Arc3 { plane, radius: arc.radius, angle }))
            }
        },
    };
    call.put(0, flipped);
    call.put(1, Value::Boolean(true));
    Ok(())
}

/// Of the degree-one form: weights are one, knots the parameters of the points.
fn control_points(call: &mut Call<'_>) -> Outcome {
    let curve = measure::curve(call.value(0)?)?;
    let end = curve.domain().b;
    let Curve::Points { points, by_length } = curve else {
        return Stop::error("Control points of arcs are not supported by this node");
    };
    let knot = |at: usize| if by_length { end * at as f64 } else { at as f64 };
    call.put_list(1, points.iter().map(|_| Value::Number(1.0)));
    call.put_list(2, (0..points.len()).map(|at| Value::Number(knot(at))));
    call.put_list(0, points.into_iter().map(Value::Point));
    Ok(())
}

/// The mean of the vertices, the mean of the edges by length, and the centroid of the area.
fn centers(call: &mut Call<'_>) -> Outcome {
    let curve = measure::curve(call.value(0)?)?;
    let Curve::Points { points, .. } = &curve else { return Stop::error("Curve is not a polyline") };
    let vertices = if curve.is_closed() { &points[..points.len() - 1] } else { &points[..] };
    let sum = vertices.iter().copied().fold([0.0; 3], value::add);
    call.put(0, Value::Point(value::scale(sum, 1.0 / vertices.len() as f64)));
    let edges = points
        .windows(2)
        .map(|pair| value::scale(value::lerp(pair[0], pair[1], 0.5), value::distance(pair[0], pair[1])));
    let total = curve.length();
    if total > 0.0 {
        call.put(1, Value::Point(value::scale(edges.fold([0.0; 3], value::add), 1.0 / total)));
    }
    if let Ok((_, centroid)) = measure::enclosed(&curve, call.settings.absolute_tolerance) {
        call.put(2, Value::Point(centroid));
    }
    Ok(())
}

fn area(call: &mut Call<'_>) -> Outcome {
    let (area, centroid) = match call.value(0)? {
        Value::Mesh(mesh) => measure::mesh_area(mesh)?,
        Value::Box(cuboid) => (cuboid.area(), cuboid.center()),
        value => measure::enclosed(&measure::curve(value)?, call.settings.absolute_tolerance)?,
    };
    call.put(0, Value::Number(area));
    call.put(1, Value::Point(centroid));
    Ok(())
}
