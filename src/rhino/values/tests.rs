//! Round trips of every type, and what is refused on the way.

use proptest::prelude::*;

use super::*;

fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), -1e9..1e9f64, Just(0.1), Just(1e-300), Just(f64::MAX), -10.0..10.0f64]
}

fn point() -> impl Strategy<Value = Value> {
    prop::array::uniform3(coordinate()).prop_map(|xyz| json!(xyz))
}

fn plane() -> impl Strategy<Value = Value> {
    // Axes turned about Z by an angle and then tipped about the new X stay orthonormal to the last digits.
    (point(), -3.0..3.0f64, -3.0..3.0f64).prop_map(|(origin, turn, tip)| {
        let x = [turn.cos(), turn.sin(), 0.0];
        let y = [-turn.sin() * tip.cos(), turn.cos() * tip.cos(), tip.sin()];
        json!({"origin": origin, "x_axis": x, "y_axis": y})
    })
}

fn range() -> impl Strategy<Value = Value> {
    (coordinate(), coordinate()).prop_map(|(a, b)| json!([a, b]))
}

fn any_value() -> impl Strategy<Value = (Type, Value)> {
    prop_oneof![
        coordinate().prop_map(|number| (Type::Number, json!(number))),
        any::<i32>().prop_map(|number| (Type::Integer, json!(number))),
        any::<bool>().prop_map(|flag| (Type::Boolean, json!(flag))),
        ".*".prop_map(|text| (Type::Text, json!(text))),
        point().prop_map(|point| (Type::Point, point)),
        point().prop_map(|vector| (Type::Vector, vector)),
        plane().prop_map(|plane| (Type::Plane, plane)),
        (point(), point()).prop_map(|(from, to)| (Type::Line, json!({"from": from, "to": to}))),
        (plane(), coordinate()).prop_map(|(plane, r)| (Type::Circle, json!({"plane": plane, "radius": r}))),
        (plane(), range(), range()).prop_map(|(p, x, y)| (Type::Rectangle, json!({"plane": p, "x": x, "y": y}))),
        (plane(), range(), range(), range())
            .prop_map(|(p, x, y, z)| (Type::Box, json!({"plane": p, "x": x, "y": y, "z": z}))),
        "[A-Za-z0-9+/]{0,40}".prop_map(|data| {
            (Type::Curve, json!({"version": 10000, "archive3dm": 80, "opennurbs": -1_912_684_112, "data": data}))
        }),
    ]
}

/// Equal but for the last digits of a number: a plane's axes are computed, not copied.
fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| close(a, b)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_value_sent_and_answered_is_the_value((kind, value) in any_value()) {
        let item = encode(kind, TextForm::Json, &value).unwrap();
        let back = decode(kind, &item).unwrap();
        prop_assert!(close(&back, &value), "{} came back as {}", value, back);
        // And the second trip changes nothing at all, planes included.
        let again = encode(kind, TextForm::Json, &back).unwrap();
        prop_assert!(close(&decode(kind, &again).unwrap(), &back));
    }

    #[test]
    fn no_text_in_data_panics_the_decoder(data in "\\PC{0,40}", name in "(System|Rhino\\.Geometry)\\.[A-Za-z0-9]{1,12}") {
        for kind in [Type::Number, Type::Integer, Type::Text, Type::Plane, Type::Box, Type::Curve, Type::Geometry] {
            let _ = decode(kind, &Item { net_type: name.clone(), data: data.clone() });
        }
    }

    #[test]
    fn a_path_is_what_it_reads_as(numbers in prop::collection::vec(any::<u32>(), 1..8)) {
        let path = Path(numbers);
        prop_assert_eq!(Path::read(&path.to_string()), Ok(path));
    }
}

fn answered(kind: Type, net_type: &str, data: &str) -> Result<Value, Shape> {
    decode(kind, &Item { net_type: net_type.to_owned(), data: data.to_owned() })
}

#[test]
fn nan_and_infinity_are_refused_in_every_spelling() {
    for data in ["NaN", "\"NaN\"", "Infinity", "-Infinity", "\"-Infinity\"", "1e999"] {
        assert_eq!(answered(Type::Number, "System.Double", data), Err(Shape::NotFinite), "{data}");
    }
    let point = r#"{"X":1.0,"Y":"NaN","Z":0.0}"#;
    assert_eq!(answered(Type::Point, "Rhino.Geometry.Point3d", point), Err(Shape::NotFinite));
}

#[test]
fn a_whole_double_is_an_integer_and_an_integer_is_a_number() {
    assert_eq!(answered(Type::Integer, "System.Double", "3.0"), Ok(json!(3)));
    assert!(answered(Type::Integer, "System.Double", "3.5").is_err());
    assert!(answered(Type::Integer, "System.Double", "1e300").is_err());
    assert!(answered(Type::Integer, "System.String", "3").is_err());
    assert_eq!(answered(Type::Number, "System.Int32", "3"), Ok(json!(3.0)));
}

#[test]
fn an_integer_that_the_node_would_choke_on_is_refused_here() {
    let sent = encode(Type::Integer, TextForm::Json, &json!(2_147_483_648_i64));
    assert_eq!(sent, Err(Shape::Range));
    assert!(matches!(encode(Type::Integer, TextForm::Json, &json!(3.5)), Err(Shape::Other { .. })));
}

#[test]
fn text_goes_raw_to_a_group_and_as_json_to_a_panel() {
    let text = json!("a \"b\"");
    assert_eq!(encode(Type::Text, TextForm::Raw, &text).unwrap().data, "a \"b\"");
    assert_eq!(encode(Type::Text, TextForm::Json, &text).unwrap().data, r#""a \"b\"""#);
}

#[test]
fn members_are_found_without_regard_to_case_and_others_are_ignored() {
    let line = r#"{"from":{"x":0,"y":0,"z":0},"TO":{"X":1,"Y":2,"Z":3},"Length":3.7,"UnitTangent":null}"#;
    let ours = answered(Type::Line, "Rhino.Geometry.Line", line);
    assert_eq!(ours, Ok(json!({"from": [0.0, 0.0, 0.0], "to": [1.0, 2.0, 3.0]})));
}

#[test]
fn geometry_is_rebuilt_from_its_four_members() {
    let value = json!({"version": 10000, "archive3dm": 80, "opennurbs": 1, "data": "AA==", "Pointer": "c:/x"});
    let sent = encode(Type::Mesh, TextForm::Json, &value).unwrap();
    assert_eq!(sent.data, r#"{"archive3dm":80,"data":"AA==","opennurbs":1,"version":10000}"#);
}

#[test]
fn skewed_axes_are_set_square_and_parallel_ones_refused() {
    let skewed = json!({"origin": [0, 0, 0], "x_axis": [2, 0, 0], "y_axis": [1, 1, 0]});
    let sent = encode(Type::Plane, TextForm::Json, &skewed).unwrap();
    let back = decode(Type::Plane, &sent).unwrap();
    assert_eq!(back, json!({"origin": [0.0, 0.0, 0.0], "x_axis": [1.0, 0.0, 0.0], "y_axis": [0.0, 1.0, 0.0]}));
    let flat = json!({"origin": [0, 0, 0], "x_axis": [1, 0, 0], "y_axis": [-2, 0, 0]});
    assert_eq!(encode(Type::Plane, TextForm::Json, &flat), Err(Shape::Degenerate));
}

#[test]
fn branches_go_in_path_order_by_number() {
    let tree = json!({"{0;10}": [1], "{0;2}": [2]});
    let sent = branches(Type::Number, Access::Tree, TextForm::Json, &tree).unwrap();
    let paths = sent.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths, ["{0;2}", "{0;10}"]);
    for wrong in ["0;1", "{}", "{0;}", "{-1}", "{0;1", "{99999999999}", "{ 0}"] {
        assert!(Path::read(wrong).is_err(), "{wrong}");
    }
}
