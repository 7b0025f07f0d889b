//! Inputs on their way to a key: defaults, coercion, one spelling, and what is refused.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use contract::bindings::{Access, Binding, Type};
use contract::canonical::{coerce, is_path};
use contract::{Contract, Inputs, Violation};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{contract_with, data};

fn bridge() -> &'static Contract {
    static BRIDGE: LazyLock<Contract> =
        LazyLock::new(|| Contract::load(&data("good/bridge/1.0.0")).expect("the sound folder loads"));
    &BRIDGE
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

fn accepted(contract: &Contract, text: &str) -> Inputs {
    contract.check_inputs(&parsed(text)).unwrap_or_else(|violations| panic!("{text}: {violations:#?}"))
}

fn refused(text: &str) -> Vec<Violation> {
    bridge().check_inputs(&parsed(text)).expect_err(text)
}

fn binding(kind: Type, access: Access) -> Binding {
    Binding { name: "x".to_owned(), gh: "x".to_owned(), kind, access, step: None }
}

#[test]
fn defaults_are_filled_in_at_the_top_and_in_objects() {
    let inputs = accepted(bridge(), r#"{"span": 12, "pier": {"radius": 1}}"#);
    assert_eq!(
        String::from_utf8_lossy(&inputs.bytes),
        concat!(
            r#"{"bays":3,"loads":[],"name":"bridge","origin":[0.0,0.0,0.0],"#,
            r#""pier":{"plane":{"origin":[0.0,0.0,0.0],"x_axis":[1.0,0.0,0.0],"y_axis":[0.0,1.0,0.0]},"radius":1.0},"span":12.0}"#
        )
    );
    assert_eq!(inputs.key, contract::Digest::of(&inputs.bytes));
}

#[test]
fn a_default_behind_a_reference_is_filled_in() {
    let point = r##""origin": { "$ref": "#/$defs/point", "default": [0, 0, 0] }"##;
    for reference in ["#spot", "#/$defs/spot"] {
        let member = format!(r#""origin": {{ "$ref": "{reference}" }}"#);
        let spot = r##""$defs": { "spot": { "$anchor": "spot", "$ref": "#/$defs/point", "default": [1, 2, 3] },"##;
        let contract = contract_with(&[(point, &member), (r#""$defs": {"#, spot)]);
        assert_eq!(accepted(&contract, r#"{"span": 12}"#).values["origin"], json!([1.0, 2.0, 3.0]));
    }
}

#[test]
fn equal_inputs_have_one_key_however_they_are_spelled() {
    let contract = bridge();
    for (a, b) in [
        (r#"{"span": 12}"#, r#"{"span": 12.0}"#),
        (r#"{"span": 12}"#, r#"{"span": 1.2e1}"#),
        (r#"{"span": 12}"#, r#"{ "span" :12 , "bays":3.0}"#),
        (r#"{"span": 12, "bays": 4}"#, r#"{"bays": 4e0, "span": 12}"#),
        (r#"{"span": 12, "loads": [0]}"#, r#"{"span": 12, "loads": [-0.0]}"#),
        (r#"{"span": 12, "loads": [0]}"#, r#"{"span": 12, "loads": [-0]}"#),
        (r#"{"span": 12, "loads": [0.1]}"#, r#"{"span": 12, "loads": [0.10000000000000001]}"#),
        (r#"{"span": 12, "name": "A/é"}"#, r#"{"sp\u0061n": 12, "name": "\u0041\/\u00e9"}"#),
        (
            r#"{"span": 12}"#,
            r#"{"span": 12, "origin": [0, 0, 0.0], "loads": [], "name": "bridge", "pier": {"radius": 5e-1}}"#,
        ),
    ] {
        assert_eq!(accepted(contract, a), accepted(contract, b), "{a} {b}");
    }
}

#[test]
fn different_inputs_have_different_keys() {
    let contract = bridge();
    let texts = [
        r#"{"span": 12}"#,
        r#"{"span": 12.000000000000002}"#,
        r#"{"span": 12, "bays": 4}"#,
        r#"{"span": 12, "name": ""}"#,
        r#"{"span": 12, "name": "é"}"#,
        r#"{"span": 12, "name": "e\u0301"}"#,
        r#"{"span": 12, "name": "\",\"span\":12.0"}"#,
        r#"{"span": 12, "loads": [1, 2]}"#,
        r#"{"span": 12, "loads": [12]}"#,
        r#"{"span": 12, "loads": [2, 1]}"#,
    ];
    let keys: BTreeMap<_, _> = texts.iter().map(|text| (accepted(contract, text).key, text)).collect();
    assert_eq!(keys.len(), texts.len());
}

#[test]
fn every_violation_is_told_with_its_pointer() {
    let found =
        refused(r#"{"spam": 1, "bays": 2.5, "name": "x", "loads": [1, "2"], "pier": {"radius": 0, "colour": 1}}"#);
    let found: Vec<_> = found.iter().map(|violation| (violation.pointer.as_str(), violation.rule)).collect();
    assert_eq!(
        found,
        [
            ("/bays", "type"),
            ("/loads/1", "type"),
            ("/pier/colour", "unknown_input"),
            ("/pier/radius", "exclusiveMinimum"),
            ("/spam", "unknown_input"),
            ("/span", "required"),
        ]
    );
}

#[test]
fn violations_are_sentences_for_people() {
    let found = refused(r#"{"spam": 1, "bays": 0}"#);
    let said: Vec<_> = found.iter().map(|violation| (violation.message.as_str(), violation.help.as_deref())).collect();
    assert_eq!(
        said,
        [
            ("0 is less than the minimum of 1", None),
            ("there is no input `spam`", Some("did you mean `span`?")),
            ("`span` is missing: a number from 5 to 40 m", None),
        ]
    );
    assert_eq!(refused(r#"{"span": 55}"#)[0].message, "55 is more than the maximum of 40 m");
}

#[test]
fn an_unknown_input_is_refused_where_the_schema_forgot_to() {
    let contract = contract_with(&[("\"additionalProperties\": false,", "")]);
    let found = contract.check_inputs(&json!({ "span": 12, "Pointer": "http://example.com", "span ": 1 })).unwrap_err();
    let found: Vec<_> = found.iter().map(|violation| (violation.pointer.as_str(), violation.rule)).collect();
    assert_eq!(found, [("/Pointer", "unknown_input"), ("/span ", "unknown_input")]);
}

#[test]
fn null_is_no_value_and_absent_is_the_default() {
    assert_eq!(refused(r#"{"span": 12, "bays": null}"#)[0].pointer, "/bays");
    for inputs in ["null", "[]", "3", "\"\""] {
        assert_eq!(refused(inputs)[0].pointer, "");
    }
}

#[test]
fn numbers_beyond_what_a_double_keeps_are_refused() {
    let contract = contract_with(&[(r#""minimum": 1, "#, ""), (r#""minimum": 5, "maximum": 40, "#, "")]);
    for good in ["9007199254740992", "-9007199254740992", "9007199254740992.0"] {
        accepted(&contract, &format!(r#"{{"span": 1, "bays": {good}}}"#));
    }
    for bad in
        ["9007199254740993", "-9007199254740993", "1e16", "18446744073709551615", "123456789012345678901234567890"]
    {
        let found = contract.check_inputs(&parsed(&format!(r#"{{"span": 1, "bays": {bad}}}"#))).unwrap_err();
        assert_eq!((found[0].pointer.as_str(), found[0].rule), ("/bays", "number_range"), "{bad}");
    }
    let found = contract.check_inputs(&parsed(r#"{"span": 9007199254740993}"#)).unwrap_err();
    assert_eq!(found[0].rule, "number_range");
    accepted(&contract, r#"{"span": 1e300}"#);
}

#[test]
fn a_flood_of_violations_is_cut() {
    let loads: Vec<Value> = (0..50_000).map(|_| json!("x")).collect();
    let found = bridge().check_inputs(&json!({ "span": 12, "loads": loads })).unwrap_err();
    assert_eq!(found.len(), contract::schema::VIOLATIONS);
}

#[test]
fn outputs_are_checked_by_name_and_schema() {
    let check = |outputs: Value| bridge().check_outputs(outputs.as_object().expect("an object"));
    assert_eq!(check(json!({ "length": 12 })), Ok(()));
    let found = check(json!({ "lenght": 12 })).unwrap_err();
    let found: Vec<_> = found.iter().map(|violation| (violation.pointer.as_str(), violation.rule)).collect();
    assert_eq!(found, [("/lenght", "unknown_output"), ("/length", "required")]);
    assert_eq!(check(json!({ "length": -1 })).unwrap_err()[0].message, "-1 is less than the minimum of 0 m");
}

#[test]
fn each_type_has_its_form() {
    let plane = json!({ "origin": [0, 0, 0], "x_axis": [1, 0, 0], "y_axis": [0, 1, 0] });
    let mesh = json!({ "version": 10000, "archive3dm": 70, "opennurbs": 202_503_318, "data": "AAAA" });
    for (kind, good, bad) in [
        (Type::Number, json!(1), json!("1")),
        (Type::Integer, json!(1.0), json!(1.5)),
        (Type::Boolean, json!(true), json!(1)),
        (Type::Text, json!(""), json!(1)),
        (Type::Point, json!([1, 2, 3]), json!([1, 2])),
        (Type::Vector, json!([1, 2, 3]), json!([1, 2, null])),
        (Type::Plane, plane.clone(), json!({ "origin": [0, 0, 0] })),
        (
            Type::Line,
            json!({ "from": [0, 0, 0], "to": [1, 1, 1] }),
            json!({ "from": [0, 0, 0], "to": [1, 1, 1], "x": 1 }),
        ),
        (Type::Circle, json!({ "plane": plane, "radius": 1 }), json!({ "plane": plane, "radius": "1" })),
        (
            Type::Rectangle,
            json!({ "plane": plane, "x": [0, 1], "y": [0, 1] }),
            json!({ "plane": plane, "x": [0], "y": [0, 1] }),
        ),
        (
            Type::Box,
            json!({ "plane": plane, "x": [0, 1], "y": [0, 1], "z": [0, 1] }),
            json!({ "plane": plane, "x": [0, 1], "y": [0, 1] }),
        ),
        (Type::Mesh, mesh.clone(), json!({ "version": 10000, "archive3dm": 70, "opennurbs": 1, "data": "A A=" })),
        (Type::Curve, mesh.clone(), json!({ "pointer": "http://example.com" })),
    ] {
        assert!(coerce(&binding(kind, Access::Item), good.clone()).is_ok(), "{kind:?} {good}");
        let list = json!([good, bad.clone()]);
        for violations in [
            coerce(&binding(kind, Access::Item), bad.clone()).unwrap_err(),
            coerce(&binding(kind, Access::List), list.clone()).unwrap_err(),
            coerce(&binding(kind, Access::Tree), json!({ "{0;1}": list })).unwrap_err(),
        ] {
            assert!(violations.iter().all(|violation| violation.pointer.starts_with("/x")), "{violations:?}");
        }
        assert!(good.is_array() || coerce(&binding(kind, Access::List), good).is_err());
    }
}

#[test]
fn a_tree_has_one_spelling_of_each_path() {
    for good in ["{0}", "{0;1}", "{2147483647;0;3}"] {
        assert!(is_path(good), "{good}");
    }
    for bad in
        ["", "0", "{}", "{0", "0}", "{00}", "{ 0}", "{0; 1}", "{-1}", "{+1}", "{0;}", "{2147483648}", "{a}", "{0}{1}"]
    {
        assert!(!is_path(bad), "{bad}");
    }
}

/// Inputs by value, so that the same can be spelled in two ways.
#[derive(Debug, Clone, PartialEq)]
struct Meant {
    span: f64,
    bays: i64,
    name: String,
    loads: Vec<f64>,
}

fn meant() -> impl Strategy<Value = Meant> {
    // From few values, so that equal ones are met as well.
    let number = prop_oneof![prop::sample::select(vec![5.0, 5.5, 12.0, 40.0]), 5.0..40.0_f64];
    let load = prop_oneof![Just(0.0), Just(1.0), any::<f64>().prop_filter("finite", |load| load.is_finite())];
    let name = prop_oneof![Just(String::new()), "\\PC{0,3}", Just("\"\\/\u{1}".to_owned())];
    (number, 1..4_i64, name, prop::collection::vec(load, 0..3)).prop_map(|(span, bays, name, loads)| Meant {
        span,
        bays,
        name,
        loads,
    })
}

/// Spells the inputs: `way` decides on order, escapes, exponents and left out defaults.
fn spell(meant: &Meant, way: u8) -> String {
    let number = |number: f64| match (way & 3, number.fract() == 0.0 && number.abs() < 1e15) {
        (0, _) => format!("{number:e}"),
        (1, true) => format!("{number:.0}"),
        (2, true) => format!("{number:.1}"),
        _ => json!(number).to_string(),
    };
    let name: String = match way & 4 {
        0 => json!(meant.name).to_string(),
        _ => format!(
            "\"{}\"",
            meant.name.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<Vec<_>>().concat()
        ),
    };
    let loads = meant.loads.iter().map(|load| number(*load)).collect::<Vec<_>>().join(", ");
    let bays = if way & 8 == 0 { format!("{}", meant.bays) } else { format!("{}.0e0", meant.bays) };
    let mut members = vec![format!("\"span\": {}", number(meant.span)), format!("\"name\":{name}")];
    if meant.bays != 3 || way & 16 == 0 {
        members.push(format!("\"b\\u0061ys\" : {bays}"));
    }
    if !meant.loads.is_empty() || way & 32 == 0 {
        members.push(format!("\"loads\": [{loads}]"));
    }
    if way & 64 != 0 {
        members.reverse();
    }
    format!("{{ {} }}", members.join(" ,"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_equal_exactly_where_the_values_are(a in meant(), b in meant(), ways in any::<(u8, u8)>()) {
        let contract = bridge();
        let first = accepted(contract, &spell(&a, ways.0));
        let again = accepted(contract, &spell(&a, ways.1));
        prop_assert_eq!(&first, &again);
        let other = accepted(contract, &spell(&b, ways.1));
        prop_assert_eq!(first.key == other.key, a == b);
        prop_assert_eq!(first.key == other.key, first.bytes == other.bytes);
    }

    #[test]
    fn the_canonical_form_is_its_own(a in meant(), way in any::<u8>()) {
        let contract = bridge();
        let once = accepted(contract, &spell(&a, way));
        let twice = contract.check_inputs(&Value::Object(once.values.clone())).expect("what was accepted is accepted");
        prop_assert_eq!(&once, &twice);
        let read: Value = serde_json::from_slice(&once.bytes).expect("the bytes are JSON");
        prop_assert_eq!(Value::Object(once.values), read);
    }

    #[test]
    fn any_json_is_accepted_or_told_within_the_inputs(value in arbitrary()) {
        let given = json!({ "span": 12, "loads": value, "pier": value, "origin": value });
        if let Err(violations) = bridge().check_inputs(&given) {
            prop_assert!(!violations.is_empty());
            prop_assert!(violations.iter().all(|violation| !violation.message.is_empty()));
        }
    }
}

fn arbitrary() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec!["plane", "radius", "origin"]).prop_map(str::to_owned),
            "[a-z~/]{0,4}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
