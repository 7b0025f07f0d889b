//! What `rhino3dm`, which has openNURBS compiled in, makes of what is written, and what is made of what it writes.
//!
//! Needs a Python with the package `rhino3dm`: the one that `APPSERVER_TEST_PYTHON` names, else `python3` where that
//! has it. Without either the test says so and passes.

use std::{
    collections::BTreeMap,
    f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI},
    ffi::OsString,
    io::Write,
    process::{Command, Stdio},
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde::Deserialize;
use simnode::opennurbs::{
    ArcCurve, Error, Geometry, LineCurve, NurbsCurve, Plane, PolylineCurve, RhinoJson, decode, encode,
};

use super::{
    properties::assert_same,
    shapes::{any_geometry, grid, level_plane},
};

/// How far two numbers may be apart that were worked out in two ways.
const TOLERANCE: f64 = 1e-9;

/// What both write byte for byte the same. (Arcs repeat points that are rounded in another order, rational curves
/// multiply, meshes state boxes that `rhino3dm` leaves empty, and user strings are not written.)
const WRITTEN_ALIKE: [&str; 5] = ["line", "polyline", "open NURBS curve", "periodic NURBS curve", "point"];

#[derive(Deserialize)]
struct Answer {
    decoded: Vec<Account>,
    built: BTreeMap<String, Account>,
}

/// What `rhino3dm` says of one object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    class: Option<String>,
    valid: bool,
    /// The object as `rhino3dm` writes it.
    again: Option<RhinoJson>,
    bounds: [[f64; 3]; 2],
    domain: Option<[f64; 2]>,
    start: Option<[f64; 3]>,
    middle: Option<[f64; 3]>,
    end: Option<[f64; 3]>,
    closed: Option<bool>,
    length: Option<f64>,
    radius: Option<f64>,
    degree: Option<usize>,
    knots: Option<Vec<f64>>,
    points: Option<Vec<[f64; 3]>>,
    weights: Option<Vec<f64>>,
    vertices: Option<Vec<[f64; 3]>>,
    faces: Option<Vec<[u32; 4]>>,
    normals: Option<Vec<[f64; 3]>>,
}

/// An object, and what must be said of it, worked out by hand.
struct Case {
    geometry: Geometry,
    bounds: [[f64; 3]; 2],
    /// Start, middle of the domain, end.
    places: Option<[[f64; 3]; 3]>,
    length: Option<f64>,
    closed: Option<bool>,
}

#[test]
fn rhino3dm_agrees_on_what_is_written_and_on_what_it_writes() {
    let Some(python) = python() else {
        eprintln!("SKIP: no python3 with rhino3dm here; set APPSERVER_TEST_PYTHON to one");
        return;
    };
    let (cases, random) = (cases(), random());
    let geometries: Vec<&Geometry> = cases.iter().map(|case| &case.geometry).chain(&random).collect();
    let objects: Vec<RhinoJson> = geometries.iter().map(|geometry| encode(geometry).unwrap()).collect();
    let answer = ask(&python, &objects);
    assert_eq!(answer.decoded.len(), objects.len());
    for (geometry, account) in geometries.iter().zip(&answer.decoded) {
        assert_same_arrays(account, geometry);
        // The random meshes have faces that name a vertex twice, which Rhino stores and calls invalid.
        assert!(account.valid || matches!(geometry, Geometry::Mesh(_)), "{geometry:?}");
        assert_same(&decode(account.again.as_ref().unwrap()).unwrap(), geometry);
    }
    for (case, account) in cases.iter().zip(&answer.decoded) {
        assert_as_worked_out(account, case);
    }
    assert_built(&answer.built);
}

/// The Python to ask; none where there is none with `rhino3dm`.
fn python() -> Option<OsString> {
    if let Some(named) = std::env::var_os("APPSERVER_TEST_PYTHON") {
        return Some(named);
    }
    let python = OsString::from("python3");
    let probe = Command::new(&python).args(["-c", "import rhino3dm"]).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success()).then_some(python)
}

fn ask(python: &OsString, objects: &[RhinoJson]) -> Answer {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decode_with_rhino3dm.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The script reads all of it before it writes, and dropping the pipe ends it.
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(objects).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Any objects, the same in each run.
fn random() -> Vec<Geometry> {
    let mut runner = TestRunner::deterministic();
    let strategy = any_geometry();
    (0..150).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn cases() -> Vec<Case> {
    let [o, x, xy, y] = [[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 3.0, 0.0], [0.0, 3.0, 0.0]];
    let curve = |geometry, bounds, places, length, closed| Case {
        geometry,
        bounds,
        places: Some(places),
        length,
        closed: Some(closed),
    };
    let mesh = |mesh, bounds, closed| Case {
        geometry: Geometry::Mesh(mesh),
        bounds,
        places: None,
        length: None,
        closed: Some(closed),
    };
    let line = Geometry::LineCurve(LineCurve::new([1.0, 2.0, 3.0], [4.0, 6.0, 3.0]));
    let open = Geometry::PolylineCurve(PolylineCurve::new(vec![o, x, xy]));
    let closed = Geometry::PolylineCurve(PolylineCurve::new(vec![o, x, xy, y, o]));
    let circle = Geometry::ArcCurve(ArcCurve::circle(level_plane([1.0, 2.0, 3.0]), 2.0));
    let upright = Plane { origin: [10.0, 0.0, 0.0], x_axis: [1.0, 0.0, 0.0], y_axis: [0.0, 0.0, 1.0] };
    let arc = Geometry::ArcCurve(ArcCurve::new(upright, 2.0, [0.0, FRAC_PI_2]));
    let half = 2.0 * FRAC_1_SQRT_2;
    // A parabola: the point at the middle is half the middle control point and a quarter of each end.
    let parabola =
        NurbsCurve { degree: 2, knots: vec![0.0, 0.0, 1.0, 1.0], points: vec![o, [2.0, 4.0, 0.0], x], weights: None };
    // A quarter of a circle, exact only where the weights are right.
    let quarter = NurbsCurve {
        degree: 2,
        knots: vec![0.0, 0.0, 1.0, 1.0],
        points: vec![[2.0, 0.0, 0.0], [2.0, 2.0, 0.0], [0.0, 2.0, 0.0]],
        weights: Some(vec![1.0, FRAC_1_SQRT_2, 1.0]),
    };
    vec![
        curve(
            line,
            [[1.0, 2.0, 3.0], [4.0, 6.0, 3.0]],
            [[1.0, 2.0, 3.0], [2.5, 4.0, 3.0], [4.0, 6.0, 3.0]],
            Some(5.0),
            false,
        ),
        curve(open, [o, xy], [o, x, xy], Some(7.0), false),
        curve(closed, [o, xy], [o, xy, o], Some(14.0), true),
        curve(
            circle,
            [[-1.0, 0.0, 3.0], [3.0, 4.0, 3.0]],
            [[3.0, 2.0, 3.0], [-1.0, 2.0, 3.0], [3.0, 2.0, 3.0]],
            Some(4.0 * PI),
            true,
        ),
        curve(
            arc,
            [[10.0, 0.0, 0.0], [12.0, 0.0, 2.0]],
            [[12.0, 0.0, 0.0], [10.0 + half, 0.0, half], [10.0, 0.0, 2.0]],
            Some(PI),
            false,
        ),
        curve(Geometry::NurbsCurve(parabola), [o, [4.0, 4.0, 0.0]], [o, [2.0, 2.0, 0.0], x], None, false),
        curve(
            Geometry::NurbsCurve(quarter),
            [o, [2.0, 2.0, 0.0]],
            [[2.0, 0.0, 0.0], [half, half, 0.0], [0.0, 2.0, 0.0]],
            None,
            false,
        ),
        mesh(boxed(), [o, [1.0, 1.0, 1.0]], true),
        mesh(dressed(), [o, [2.0, 1.0, 0.5]], false),
        // One, two and four bytes for each index, single and double precision.
        mesh(grid(10, 5, 0.0), [o, [10.0, 5.0, 0.0]], false),
        mesh(grid(20, 20, 0.1), [o, [20.0, 20.0, 80.0]], false),
        mesh(grid(260, 260, 0.25), [o, [260.0, 260.0, 33_800.0]], false),
    ]
}

/// A unit cube.
fn boxed() -> simnode::opennurbs::Mesh {
    let vertices = (0..8_u32).map(|i| [f64::from(i & 1), f64::from(i >> 1 & 1), f64::from(i >> 2)]).collect();
    let faces = vec![[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    simnode::opennurbs::Mesh { vertices, faces, normals: None }
}

/// A quadrangle and a triangle, with normals.
fn dressed() -> simnode::opennurbs::Mesh {
    simnode::opennurbs::Mesh {
        vertices: vec![[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [2.0, 0.5, 0.5]],
        faces: vec![[0, 1, 2, 3], [1, 4, 2, 2]],
        normals: Some(vec![[0.0, 0.0, 1.0], [0.0, 0.6, 0.8], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.6, 0.0, 0.8]]),
    }
}

fn assert_as_worked_out(account: &Account, case: &Case) {
    assert!(account.valid, "{account:?}");
    let near = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= TOLERANCE * b.abs().max(1.0), "{found:?} for {expected:?} in {:?}", account.class);
        }
    };
    near(account.bounds.as_flattened(), case.bounds.as_flattened());
    assert_eq!(account.closed, case.closed);
    if let Some(places) = case.places {
        let found = [account.start.unwrap(), account.middle.unwrap(), account.end.unwrap()];
        near(found.as_flattened(), places.as_flattened());
    }
    if let Some(length) = case.length {
        near(&[account.length.unwrap()], &[length]);
    }
}

/// Whether `rhino3dm` finds the arrays that an object was made of.
fn assert_same_arrays(account: &Account, geometry: &Geometry) {
    assert_eq!(account.class.as_deref(), geometry.type_name().strip_prefix("Rhino.Geometry."));
    match geometry {
        Geometry::Point(point) => assert_eq!(account.start, Some(*point)),
        Geometry::LineCurve(line) => {
            assert_eq!(
                (account.start, account.end, account.domain),
                (Some(line.from), Some(line.to), Some(line.domain))
            );
        }
        Geometry::PolylineCurve(polyline) => {
            assert_eq!(account.points.as_ref(), Some(&polyline.points));
            let (first, last) = (polyline.parameters[0], polyline.parameters[polyline.parameters.len() - 1]);
            assert_eq!(account.domain, Some([first, last]));
        }
        Geometry::ArcCurve(arc) => {
            assert_eq!((account.radius, account.domain), (Some(arc.radius), Some(arc.domain)));
            let length = arc.radius * (arc.angle[1] - arc.angle[0]);
            assert!((account.length.unwrap() - length).abs() <= TOLERANCE * length);
        }
        Geometry::NurbsCurve(nurbs) => {
            assert_eq!((account.degree, account.knots.as_ref()), (Some(nurbs.degree), Some(&nurbs.knots)));
            assert_eq!(account.weights, nurbs.weights);
            let found = NurbsCurve { points: account.points.clone().unwrap(), ..nurbs.clone() };
            assert_same(&Geometry::NurbsCurve(found), geometry);
        }
        Geometry::Mesh(mesh) => {
            assert_eq!((account.vertices.as_ref(), account.faces.as_ref()), (Some(&mesh.vertices), Some(&mesh.faces)));
            let normals = mesh.normals.iter().flatten().map(|normal| normal.map(f64::from)).collect();
            assert_eq!(account.normals, Some(normals));
        }
    }
}

/// Whether what `rhino3dm` makes is read as what it says it is, and what cannot be read is named.
fn assert_built(built: &BTreeMap<String, Account>) {
    let mut refused = Vec::new();
    for (name, account) in built {
        let object = account.again.as_ref().unwrap();
        match decode(object) {
            Ok(geometry) => {
                assert_same_arrays(account, &geometry);
                if WRITTEN_ALIKE.contains(&name.as_str()) {
                    assert_eq!(encode(&geometry).unwrap().data, object.data, "{name}");
                }
            }
            Err(error @ Error::Class(_)) => refused.push((name.as_str(), error.to_string())),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let named = |class| format!("an object of class {class} cannot be read");
    assert_eq!(refused, [("chain of curves", named("PolyCurve")), ("sphere", named("Brep"))]);
    let decoded = |name: &str| decode(built[name].again.as_ref().unwrap()).unwrap();
    let line = LineCurve::new([1.0, 2.0, 3.0], [-4.0, 5.5, 0.1]);
    assert_eq!(decoded("line"), Geometry::LineCurve(line));
    let corners = [[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 3.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.0, 0.0]];
    assert_eq!(decoded("polyline"), Geometry::PolylineCurve(PolylineCurve::new(corners.to_vec())));
    assert_eq!(decoded("circle"), Geometry::ArcCurve(ArcCurve::circle(level_plane([1.0, 2.0, 3.0]), 2.5)));
    let normals = built["mesh with normals, colours and user strings"].normals.as_ref().unwrap();
    assert_eq!(normals.len(), 13 * 10);
}
