//! What an input has when nothing is sent, as far as a file can tell.

use contract::definition::DefaultTree;
use contract::definition::archive::{Item, Value};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::fixture::*;
use crate::support::{item, processor_time};

fn default_of(canvas: &mut Canvas) -> Result<DefaultTree, String> {
    canvas.any_output();
    let input = canvas.read().inputs.remove(0);
    input.default.ok_or_else(|| input.default_note.unwrap())
}

/// The plain default of a getter behind whatever `build` adds.
fn behind(guid: Uuid, build: impl Fn(&mut Canvas) -> Uuid) -> Result<Json, String> {
    let mut canvas = Canvas::new();
    let source = build(&mut canvas);
    canvas.getter(guid, "Get", "n", &[source]);
    default_of(&mut canvas).map(|tree| tree.to_plain())
}

fn stored(guid: Uuid, branches: &[(&str, Vec<Item>)]) -> Result<Json, String> {
    let mut canvas = Canvas::new();
    canvas.getter(guid, "Get", "n", &[]);
    canvas.store(branches);
    default_of(&mut canvas).map(|tree| tree.to_plain())
}

#[test]
fn a_default_has_the_shape_that_compute_gives_it() {
    let mut canvas = Canvas::new();
    let slider = canvas.slider("", [0.0, 20.0, 7.0]);
    canvas.getter(GET_NUMBER, "Get Number", "width", &[slider]);
    let tree = default_of(&mut canvas).unwrap();
    let expected = json!({"ParamName": "Get Number", "InnerTree": {"{0}": [{"type": "System.Double", "data": "7.0"}]}});
    assert_eq!(serde_json::to_value(&tree).unwrap(), expected);
}

#[test]
fn plain_sources_give_their_value_in_the_type_of_the_input() {
    let slider = |value| move |canvas: &mut Canvas| canvas.slider("", [0.0, 20.0, value]);
    let panel = |content: &'static str, multiline| move |canvas: &mut Canvas| canvas.panel(content, multiline);
    let list = |entries: &'static [(&str, bool)]| move |canvas: &mut Canvas| canvas.value_list(entries);
    assert_eq!(behind(GET_NUMBER, slider(7.25)), Ok(json!(7.25)));
    assert_eq!(behind(GET_INTEGER, slider(7.0)), Ok(json!(7)));
    assert_eq!(behind(GET_INTEGER, slider(2.5)), Ok(json!(2)));
    assert_eq!(behind(GET_BOOLEAN, |canvas| canvas.toggle(true)), Ok(json!(true)));
    assert_eq!(behind(GET_STRING, panel("two\nlines", true)), Ok(json!("two\nlines")));
    assert_eq!(behind(GET_STRING, panel("two\nlines", false)), Ok(json!(["two", "lines"])));
    assert_eq!(behind(GET_NUMBER, panel(" 4.5 ", true)), Ok(json!(4.5)));
    assert_eq!(behind(GET_NUMBER, panel("", true)), Ok(Json::Null));
    assert_eq!(behind(GET_INTEGER, list(&[("1", false), ("12", true)])), Ok(json!(12)));
    assert_eq!(behind(GET_STRING, list(&[("\"oak\"", true)])), Ok(json!("oak")));
    assert_eq!(behind(GET_BOOLEAN, list(&[("true", true)])), Ok(json!(true)));
}

#[test]
fn a_chain_of_parameters_is_followed() {
    let chain = |canvas: &mut Canvas| {
        let slider = canvas.slider("", [0.0, 20.0, 7.0]);
        let number = canvas.parameter(NUMBER, "Number", "", &[slider, slider]);
        canvas.parameter(DATA, "Data", "", &[number])
    };
    assert_eq!(behind(GET_INTEGER, chain), Ok(json!([7, 7])));
}

#[test]
fn what_only_a_solve_can_tell_is_unknown_and_says_why() {
    let unknown = |build: &dyn Fn(&mut Canvas) -> Uuid| behind(GET_NUMBER, build).unwrap_err();
    let computed = |canvas: &mut Canvas| canvas.component(ADDITION, "Addition", &[("A", &[])], &["R"]).1[0];
    assert_eq!(unknown(&computed), "it comes from Addition at (100, 0), so only a solve can tell");
    let expression = |canvas: &mut Canvas| canvas.value_list(&[("2² - 1", true)]);
    assert_eq!(unknown(&expression), "its value list holds the expression 2² - 1");
    let words = |canvas: &mut Canvas| canvas.panel("seven", true);
    assert_eq!(unknown(&words), "only Grasshopper can turn its value into Number");
    let expression = |canvas: &mut Canvas| {
        let slider = canvas.slider("", [0.0, 20.0, 7.0]);
        let number = canvas.parameter(NUMBER, "Number", "", &[slider]);
        canvas.last().items.push(item("InternalExpression", text("x * 2")));
        number
    };
    assert_eq!(unknown(&expression), "the parameter has an expression");
}

#[test]
fn stored_data_is_read_branch_by_branch() {
    let numbers = |values: &[f64]| values.iter().map(|value| item("number", Value::Double(*value))).collect::<Vec<_>>();
    assert_eq!(stored(GET_NUMBER, &[]), Ok(Json::Null));
    assert_eq!(stored(GET_NUMBER, &[("{0}", numbers(&[3.0]))]), Ok(json!(3.0)));
    let two = [("{0;0}", numbers(&[1.0, 2.0])), ("{0;1}", numbers(&[3.0]))];
    assert_eq!(stored(GET_NUMBER, &two), Ok(json!({"{0;0}": [1.0, 2.0], "{0;1}": [3.0]})));
    let point = vec![item("Coordinate", Value::Point3d([1.0, 2.5, 0.0]))];
    assert_eq!(stored(GET_POINT, &[("{0}", point)]), Ok(json!({"X": 1.0, "Y": 2.5, "Z": 0.0})));
    let null = vec![item("null_string", Value::Bool(true))];
    assert_eq!(stored(GET_STRING, &[("{0}", null)]), Ok(Json::Null));
    let reference = vec![item("RefID", Value::Guid(Uuid::from_u128(5)))];
    let unknown = stored(GET_GEOMETRY, &[("{0}", reference)]).unwrap_err();
    assert!(unknown.contains("Rhino document"), "{unknown}");
}

#[test]
fn flatten_graft_and_reverse_are_applied() {
    let modified = |name: &str, value: Value| {
        let mut canvas = Canvas::new();
        canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
        let number = |value| item("number", Value::Double(value));
        canvas.store(&[("{0}", vec![number(1.0), number(2.0)]), ("{1}", vec![number(3.0)])]);
        canvas.last().items.push(item(name, value));
        default_of(&mut canvas).map(|tree| tree.to_plain())
    };
    assert_eq!(modified("Mapping", Value::Int32(1)), Ok(json!([1.0, 2.0, 3.0])));
    assert_eq!(modified("Mapping", Value::Int32(2)), Ok(json!({"{0;0}": [1.0], "{0;1}": [2.0], "{1;0}": [3.0]})));
    assert_eq!(modified("ReverseData", Value::Bool(true)), Ok(json!({"{0}": [2.0, 1.0], "{1}": [3.0]})));
    assert!(modified("SimplifyData", Value::Bool(true)).is_err());
}

#[test]
fn wires_that_multiply_or_loop_are_given_up_soon() {
    let mut canvas = Canvas::new();
    let mut last = canvas.slider("", [0.0, 20.0, 7.0]);
    for _ in 0..30 {
        last = canvas.parameter(NUMBER, "Number", "", &[last; 20]);
    }
    canvas.getter(GET_NUMBER, "Get Number", "n", &[last]);
    let started = processor_time();
    assert_eq!(default_of(&mut canvas), Err("there is too much data behind it".to_owned()));
    let mut canvas = Canvas::new();
    let itself = Uuid::from_u128(1);
    assert_eq!(canvas.parameter(NUMBER, "Number", "", &[itself]), itself);
    canvas.getter(GET_NUMBER, "Get Number", "n", &[itself]);
    assert_eq!(default_of(&mut canvas), Err("its wires form a loop or a very long chain".to_owned()));
    let taken = processor_time().saturating_sub(started);
    assert!(taken.as_secs() < 8, "{taken:?}");
}
