//! Geometry for the tests: strategies for any well-formed object of each kind.

use proptest::{collection::vec, option, prelude::*};
use simnode::opennurbs::{ArcCurve, Geometry, LineCurve, Mesh, NurbsCurve, Plane, PolylineCurve};

/// The world's XY plane, moved.
pub(crate) fn level_plane(origin: [f64; 3]) -> Plane {
    Plane { origin, x_axis: [1.0, 0.0, 0.0], y_axis: [0.0, 1.0, 0.0] }
}

/// A mesh over a grid of unit cells, quadrangles and triangles in turn, its height a paraboloid.
pub(crate) fn grid(columns: u32, rows: u32, height: f64) -> Mesh {
    let width = columns + 1;
    let vertices = (0..width * (rows + 1))
        .map(|index| (f64::from(index % width), f64::from(index / width)))
        .map(|(x, y)| [x, y, height * (x * x + y * y)])
        .collect();
    let faces = (0..columns * rows)
        .map(|cell| (cell / columns * width + cell % columns, cell))
        .map(|(corner, cell)| match cell % 2 {
            0 => [corner, corner + 1, corner + width + 1, corner + width],
            _ => [corner, corner + 1, corner + width + 1, corner + width + 1],
        })
        .collect();
    Mesh { vertices, faces, normals: None }
}

pub(crate) fn any_geometry() -> impl Strategy<Value = Geometry> {
    prop_oneof![point().prop_map(Geometry::Point), any_curve(), mesh().prop_map(Geometry::Mesh),]
}

pub(crate) fn any_curve() -> impl Strategy<Value = Geometry> {
    prop_oneof![
        line().prop_map(Geometry::LineCurve),
        polyline().prop_map(Geometry::PolylineCurve),
        arc().prop_map(Geometry::ArcCurve),
        nurbs().prop_map(Geometry::NurbsCurve),
    ]
}

fn coordinate() -> impl Strategy<Value = f64> {
    // Whole numbers are the same in single precision; most others are not.
    prop_oneof![(-1000_i32..1000).prop_map(f64::from), -1e7..1e7, -1e-3..1e-3, Just(-0.0)]
}

fn point() -> impl Strategy<Value = [f64; 3]> {
    [coordinate(), coordinate(), coordinate()]
}

/// Ends or knots: a start, and steps up from it.
fn ascending(steps: usize) -> impl Strategy<Value = Vec<f64>> {
    (-100.0..100.0, vec(1e-3..10.0, steps)).prop_map(|(start, steps)| {
        let sum = |at: &mut f64, step: f64| Some(std::mem::replace(at, *at + step));
        steps.into_iter().chain([0.0]).scan(start, sum).collect()
    })
}

fn domain() -> impl Strategy<Value = [f64; 2]> {
    ascending(1).prop_map(|ends| [ends[0], ends[1]])
}

fn line() -> impl Strategy<Value = LineCurve> {
    (point(), point(), domain()).prop_map(|(from, to, domain)| LineCurve { from, to, domain })
}

fn polyline() -> impl Strategy<Value = PolylineCurve> {
    (2..40_usize)
        .prop_flat_map(|count| (vec(point(), count), ascending(count - 1)))
        .prop_map(|(points, parameters)| PolylineCurve { points, parameters })
}

/// A frame turned about the vertical, then about its own X axis.
fn plane() -> impl Strategy<Value = Plane> {
    (point(), -3.0..3.0_f64, -3.0..3.0_f64).prop_map(|(origin, turn, tilt)| {
        let ((s, c), (v, u)) = (turn.sin_cos(), tilt.sin_cos());
        Plane { origin, x_axis: [c, s, 0.0], y_axis: [-s * u, c * u, v] }
    })
}

fn arc() -> impl Strategy<Value = ArcCurve> {
    let span = prop_oneof![Just(std::f64::consts::TAU), 0.01..6.2];
    let angle = (-6.0..6.0, span).prop_map(|(start, span)| [start, start + span]);
    (plane(), 0.01..1e4, angle, domain()).prop_map(|(plane, radius, angle, domain)| ArcCurve {
        plane,
        radius,
        angle,
        domain,
    })
}

/// Clamped and unclamped, rational and not.
fn nurbs() -> impl Strategy<Value = NurbsCurve> {
    (1..6_usize, 0..20_usize, any::<bool>())
        .prop_flat_map(|(degree, more, is_clamped)| {
            let count = degree + 1 + more;
            let weights = option::of(vec(0.1..10.0, count));
            (Just((degree, is_clamped)), ascending(count + degree - 2), vec(point(), count), weights)
        })
        .prop_map(|((degree, is_clamped), mut knots, points, weights)| {
            if is_clamped {
                let (first, last) = (knots[degree - 1], knots[points.len() - 1]);
                knots[..degree].fill(first);
                knots[points.len() - 1..].fill(last);
            }
            NurbsCurve { degree, knots, points, weights }
        })
}

fn mesh() -> impl Strategy<Value = Mesh> {
    (3..400_usize)
        .prop_flat_map(|count| {
            let index = 0..u32::try_from(count).unwrap();
            let quad = [index.clone(), index.clone(), index.clone(), index];
            (
                vec(point(), count),
                vec(quad, 0..50),
                any::<bool>(),
                option::of(vec([-1.0..1.0_f32, -1.0..1.0, -1.0..1.0], count)),
            )
        })
        .prop_map(|(mut vertices, mut faces, is_whole, normals)| {
            if is_whole {
                vertices.as_flattened_mut().iter_mut().for_each(|value| *value = value.trunc());
            }
            faces.iter_mut().step_by(2).for_each(|face| face[3] = face[2]);
            Mesh { vertices, faces, normals }
        })
}
