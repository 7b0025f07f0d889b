//! Geometry over the wire: structures as JSON, curves and meshes as objects of Rhino.

use crate::support::{CURVE, Draft, GET_GEOMETRY, POINT, base64, echo, getter, input, post, raw_input, start, upload};
use serde_json::{Value, json};
use simnode::Config;
use simnode::opennurbs::{self, ArcCurve, Geometry, Mesh, Plane, PolylineCurve, RhinoJson};

const XY: Plane = Plane { origin: [0.0; 3], x_axis: [1.0, 0.0, 0.0], y_axis: [0.0, 1.0, 0.0] };

/// Sends one datum through an echo and gives the items that come back.
async fn through(algo: &str, name: &str, data: &str) -> Vec<Value> {
    let node = start(Config::default()).await;
    let answer = post(&node, "/grasshopper", &upload(algo, &[raw_input(name, &json!(data))])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    node.stop().await;
    answer.json()["values"][0]["InnerTree"]["{0}"].as_array().unwrap().clone()
}

fn object(geometry: &Geometry) -> String {
    serde_json::to_string(&opennurbs::encode(geometry).unwrap()).unwrap()
}

fn decoded(item: &Value) -> Geometry {
    let object: RhinoJson = serde_json::from_str(item["data"].as_str().unwrap()).unwrap();
    opennurbs::decode(&object).unwrap()
}

#[tokio::test]
async fn a_list_of_points_goes_into_a_curve_and_comes_back_as_a_polyline_curve() {
    let points = r#"[{"X":0,"Y":0,"Z":0},{"X":4,"Y":0,"Z":0},{"X":4,"Y":3,"Z":0}]"#;
    let items = through(&echo(CURVE, false), "RH_IN:x", points).await;
    assert_eq!(items[0]["type"], "Rhino.Geometry.PolylineCurve");
    let Geometry::PolylineCurve(curve) = decoded(&items[0]) else { panic!("{items:?}") };
    assert_eq!(curve.points, [[0.0; 3], [4.0, 0.0, 0.0], [4.0, 3.0, 0.0]]);
}

#[tokio::test]
async fn an_arc_stays_an_arc_in_a_curve_parameter() {
    let arc = Geometry::ArcCurve(ArcCurve::new(XY, 2.0, [0.0, 1.0]));
    let mut draft = Draft::default();
    let curve = draft.parameter(CURVE, "x", &[], |_container| {});
    draft.group("RH_IN:x", &[curve]);
    draft.group("RH_OUT:x", &[curve]);
    let items = through(&base64(&draft.archive()), "RH_IN:x", &object(&arc)).await;
    assert_eq!(items[0]["type"], "Rhino.Geometry.ArcCurve");
    let Geometry::ArcCurve(back) = decoded(&items[0]) else { panic!("{items:?}") };
    assert_eq!((back.radius, back.angle), (2.0, [0.0, 1.0]));
}

#[tokio::test]
async fn a_mesh_and_a_polyline_pass_through_a_geometry_getter() {
    let vertices = vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    let mesh = Geometry::Mesh(Mesh { vertices: vertices.clone(), faces: vec![[0, 1, 2, 2]], normals: None });
    let items = through(&echo(GET_GEOMETRY, true), "x", &object(&mesh)).await;
    let Geometry::Mesh(back) = decoded(&items[0]) else { panic!("{items:?}") };
    assert_eq!((back.vertices, back.faces), (vertices.clone(), vec![[0, 1, 2, 2]]));
    let polyline = Geometry::PolylineCurve(PolylineCurve::new(vertices));
    let items = through(&echo(GET_GEOMETRY, true), "x", &object(&polyline)).await;
    assert_eq!(items[0]["type"], "Rhino.Geometry.PolylineCurve");
}

#[tokio::test]
async fn points_come_and_go_as_structures() {
    let items = through(&echo(POINT, false), "RH_IN:x", r#"{"X":1,"Y":-2.5,"Z":1e-7,"IsValid":true}"#).await;
    assert_eq!(items, [json!({"type": "Rhino.Geometry.Point3d", "data": r#"{"X":1.0,"Y":-2.5,"Z":1E-07}"#})]);
}

#[tokio::test]
async fn what_is_no_geometry_throws_where_geometry_is_wanted() {
    let node = start(Config::default()).await;
    let mut draft = Draft::default();
    let geometry = draft.parameter(GET_GEOMETRY, "x", &[], getter);
    draft.output("x", geometry);
    let algo = base64(&draft.archive());
    for data in [
        json!({"X": 1, "Y": 2, "Z": 3}),
        json!([1, 2]),
        json!({"version": 10000, "archive3dm": 60, "opennurbs": 1, "data": "!"}),
    ] {
        let answer = post(&node, "/grasshopper", &upload(&algo, &[input("x", &data)])).await;
        assert_eq!(answer.status, 400, "{data}: {}", answer.text);
    }
    node.stop().await;
}
