//! Each rule by which Rhino.Compute finds inputs and outputs, on a small definition of its own.

use contract::definition::archive::{Item, Value};
use contract::definition::{Definition, Input, InputKind};
use uuid::Uuid;

use crate::fixture::*;
use crate::support::item;

fn input_names(definition: &Definition) -> Vec<&str> {
    definition.inputs.iter().map(|input| input.name.as_str()).collect()
}

fn output_names(definition: &Definition) -> Vec<&str> {
    definition.outputs.iter().map(|output| output.name.as_str()).collect()
}

fn codes(definition: &Definition) -> Vec<&str> {
    definition.problems.iter().map(|problem| problem.code).collect()
}

fn only_input(canvas: &mut Canvas) -> Input {
    canvas.any_output();
    let mut inputs = canvas.read().inputs;
    assert_eq!(inputs.len(), 1);
    inputs.remove(0)
}

#[test]
fn a_contextual_parameter_is_an_input_under_its_nickname() {
    let mut canvas = Canvas::new();
    let getters = [
        (GET_NUMBER, "Number"),
        (GET_INTEGER, "Integer"),
        (GET_BOOLEAN, "Boolean"),
        (GET_STRING, "Text"),
        (GET_POINT, "Point"),
        (GET_GEOMETRY, "Geometry"),
        (Uuid::parse_str("88bd0e1d-363a-469f-9104-57d3aac5d6b8").unwrap(), "Plane"),
        (Uuid::parse_str("af519c71-7dc1-4524-b8cc-add5544e2ef6").unwrap(), "Line"),
        (Uuid::parse_str("e83dd8b2-42aa-41e6-9254-882cddec0a2e").unwrap(), "Text"),
    ];
    for (at, (guid, _)) in getters.iter().enumerate() {
        canvas.getter(*guid, "Get", &format!("input {at}"), &[]);
    }
    canvas.any_output();
    let definition = canvas.read();
    for (at, (guid, type_name)) in getters.iter().enumerate() {
        let input = &definition.inputs[at];
        assert_eq!((input.name.as_str(), input.type_name.as_str()), (format!("input {at}").as_str(), *type_name));
        assert_eq!((input.kind, input.component), (InputKind::Contextual, *guid));
        assert_eq!((input.at_least, input.at_most, input.tree), (1, 1, false));
        assert_eq!(input.prompt.as_deref(), Some("how much?"));
    }
    assert_eq!(codes(&definition), [""; 0]);
}

#[test]
fn a_contextual_parameter_states_how_many_values_it_takes() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_POINT, "Get Point", "points", &[]);
    for item in &mut canvas.last().items {
        match item.name.as_str() {
            "AtLeast" => item.value = Value::Int32(0),
            "AtMost" => item.value = Value::Int32(i32::MAX),
            "TreeAccess" => item.value = Value::Bool(true),
            _ => {}
        }
    }
    let input = only_input(&mut canvas);
    assert_eq!((input.at_least, input.at_most, input.tree), (0, i32::MAX, true));
}

#[test]
fn a_contextual_parameter_of_a_plugin_is_known_by_its_items_and_is_told() {
    let mut canvas = Canvas::new();
    canvas.getter(Uuid::from_u128(77), "Get Colour", "colour", &[]);
    canvas.any_output();
    let definition = canvas.read();
    assert_eq!(definition.inputs[0].type_name, "?");
    assert_eq!(codes(&definition), ["contextual_type"]);
}

#[test]
fn a_group_is_an_input_under_its_whole_nickname() {
    let mut canvas = Canvas::new();
    let number = canvas.parameter(NUMBER, "Number", "n", &[]);
    canvas.group("site RH_IN:201:Width", &[number]);
    let input = only_input(&mut canvas);
    assert_eq!(input.name, "site RH_IN:201:Width");
    assert_eq!((input.kind, input.instance, input.type_name.as_str()), (InputKind::Group, number, "Number"));
    assert_eq!((input.at_least, input.at_most, input.tree), (1, i32::MAX, false));
    assert_eq!(input.prompt, None);
}

#[test]
fn a_group_is_bound_to_its_first_member_that_exists() {
    let mut canvas = Canvas::new();
    let (first, second) = (canvas.parameter(CURVE, "Curve", "", &[]), canvas.parameter(NUMBER, "Number", "", &[]));
    canvas.group("RH_IN:curve", &[Uuid::from_u128(999), first, second]);
    assert_eq!(only_input(&mut canvas).instance, first);
}

#[test]
fn a_component_that_is_first_in_its_group_gives_outputs_and_no_input() {
    let mut canvas = Canvas::new();
    let number = canvas.parameter(NUMBER, "Number", "n", &[]);
    let (sum, sum_outputs) = canvas.component(ADDITION, "Addition", &[("A", &[])], &["R"]);
    let (area, area_outputs) = canvas.component(AREA, "Area", &[("G", &[])], &["A", "C"]);
    canvas.group("RH_IN:wrong", &[sum, number]);
    canvas.group("RH_OUT:sum", &[sum]);
    canvas.group("RH_OUT:area", &[area, number]);
    let definition = canvas.read();
    assert_eq!(input_names(&definition), [""; 0]);
    assert_eq!(output_names(&definition), ["RH_OUT:sum", "RH_OUT:area (A)", "RH_OUT:area (C)"]);
    let returned: Vec<Uuid> = definition.outputs.iter().map(|output| output.parameter).collect();
    assert_eq!(returned, [sum_outputs[0], area_outputs[0], area_outputs[1]]);
    assert_eq!(codes(&definition), ["group_first_member"]);
}

#[test]
fn an_output_of_a_component_with_variable_outputs_has_the_type_that_it_states() {
    let mut canvas = Canvas::new();
    let script = canvas.object(Uuid::from_u128(50), "Script", "Script", vec![]);
    let outputs = [canvas.inner("OutputParam", 0, "out", &[]), canvas.inner("OutputParam", 1, "m", &[])];
    let mut data = contract::definition::archive::Chunk::new("ParameterData");
    for (index, class) in [(0, DATA), (1, MESH)] {
        data.items.push(Item { index: Some(index), ..item("OutputId", Value::Guid(class)) });
    }
    data.chunks.extend(outputs);
    canvas.last().chunks.push(data);
    canvas.group("RH_OUT:s", &[script]);
    let outputs = canvas.read().outputs;
    let listed: Vec<_> = outputs.iter().map(|output| (output.name.as_str(), output.type_name.as_str())).collect();
    assert_eq!(listed, [("RH_OUT:s (out)", "Generic Data"), ("RH_OUT:s (m)", "Mesh")]);
}

#[test]
fn context_bake_and_context_print_are_outputs_under_the_nickname_of_their_input() {
    let mut canvas = Canvas::new();
    canvas.component(CONTEXT_BAKE, "Context Bake", &[("Meshes", &[])], &[]);
    canvas.component(CONTEXT_PRINT, "Context Print", &[("gfa", &[])], &[]);
    canvas.component(CONTEXT_BAKE, "Context Bake", &[("Geometry", &[])], &[]);
    let outputs = canvas.read().outputs;
    let listed: Vec<_> = outputs.iter().map(|output| (output.name.as_str(), output.type_name.as_str())).collect();
    assert_eq!(listed, [("Meshes", "Generic Data"), ("gfa", "Text"), ("Geometry", "Geometry")]);
}

#[test]
fn the_second_parameter_of_a_name_is_left_out_with_the_words_of_compute() {
    let mut canvas = Canvas::new();
    let first = canvas.getter(GET_NUMBER, "Get Number", "Get Number", &[]);
    canvas.getter(GET_NUMBER, "Get Number", "Get Number", &[]);
    canvas.any_output();
    let mesh = canvas.parameter(MESH, "Mesh", "", &[]);
    canvas.group("RH_OUT:result", &[mesh]);
    let definition = canvas.read();
    assert_eq!(input_names(&definition), ["Get Number"]);
    assert_eq!(definition.inputs[0].instance, first);
    assert_eq!(output_names(&definition), ["RH_OUT:result"]);
    assert_eq!(codes(&definition), ["duplicate_input", "duplicate_output"]);
    let sentence = "Multiple input parameters with the same name were detected. Parameter names must be unique.";
    assert!(definition.problems[0].message.ends_with(sentence));
    assert!(definition.problems[0].fix.contains("still has the default"));
}

#[test]
fn io_lists_from_the_top_of_the_canvas_and_equals_in_file_order() {
    let mut canvas = Canvas::new();
    for (nickname, y) in [("low", 300.0), ("second of a row", 50.0), ("third of a row", 50.0), ("high", -20.0)] {
        canvas.getter(GET_NUMBER, "Get Number", nickname, &[]);
        canvas.at(y);
    }
    canvas.getter(GET_NUMBER, "Get Number", "by its bounds", &[]);
    canvas.at(105.0);
    canvas.last().chunks[0].items.retain(|item| item.name == "Bounds");
    canvas.any_output();
    let expected = ["high", "second of a row", "third of a row", "by its bounds", "low"];
    assert_eq!(input_names(&canvas.read()), expected);
    // The objects of a file are read by their index, wherever they stand.
    canvas.objects.reverse();
    assert_eq!(input_names(&canvas.read()), expected);
}

#[test]
fn a_disabled_parameter_is_found_all_the_same() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    canvas.last().items.push(item("Locked", Value::Bool(true)));
    assert_eq!(only_input(&mut canvas).name, "n");
}

#[test]
fn limits_are_reported_as_compute_reports_them() {
    let limited = |own: Option<(Value, Value)>, guid: Uuid, sliders: usize| {
        let mut canvas = Canvas::new();
        let from: Vec<Uuid> = (0..sliders).map(|_| canvas.slider("", [-5.0, 20.0, 7.0])).collect();
        canvas.getter(guid, "Get", "n", &from);
        if let Some((least, most)) = own {
            canvas.last().items.extend([item("Minimum", least), item("Maximum", most)]);
        }
        let input = only_input(&mut canvas);
        [input.minimum, input.maximum, input.own_minimum, input.own_maximum]
    };
    let numbers = |least, most| Some((Value::Double(least), Value::Double(most)));
    let integers = |least, most| Some((Value::Int32(least), Value::Int32(most)));
    let none = [None; 4];
    assert_eq!(limited(None, GET_NUMBER, 0), none);
    // The getter's own minimum is reported, its own maximum never is.
    assert_eq!(limited(numbers(1.0, 9.0), GET_NUMBER, 0), [Some(1.0), None, Some(1.0), Some(9.0)]);
    assert_eq!(limited(integers(1, 9), GET_INTEGER, 0), [Some(1.0), None, Some(1.0), Some(9.0)]);
    // The ends of the type mean that nothing is set.
    assert_eq!(limited(numbers(f64::MIN, f64::MAX), GET_NUMBER, 0), none);
    assert_eq!(limited(integers(i32::MIN, i32::MAX), GET_INTEGER, 0), none);
    // A single slider gives what the getter does not.
    assert_eq!(limited(numbers(f64::MIN, f64::MAX), GET_NUMBER, 1), [Some(-5.0), Some(20.0), None, None]);
    assert_eq!(limited(numbers(1.0, 9.0), GET_NUMBER, 1), [Some(1.0), Some(20.0), Some(1.0), Some(9.0)]);
    assert_eq!(limited(None, GET_NUMBER, 2), none);
    // Only numbers have limits of their own.
    assert_eq!(limited(numbers(1.0, 9.0), GET_STRING, 0), none);
}

#[test]
fn a_slider_in_a_group_gives_its_limits_and_one_before_a_grouped_parameter_does_not() {
    let mut canvas = Canvas::new();
    let grouped = canvas.slider("width", [1.0, 8.0, 2.5]);
    let number = canvas.parameter(NUMBER, "Number", "", &[grouped]);
    canvas.group("RH_IN:width", &[grouped]);
    canvas.group("RH_IN:n", &[number]);
    canvas.any_output();
    let inputs = canvas.read().inputs;
    assert_eq!((inputs[0].minimum, inputs[0].maximum, inputs[0].step), (Some(1.0), Some(8.0), Some(0.01)));
    assert_eq!(inputs[0].at_most, 1);
    assert_eq!((inputs[1].minimum, inputs[1].maximum), (None, None));
}

#[test]
fn a_getter_in_a_group_is_two_inputs_as_compute_has_it() {
    let mut canvas = Canvas::new();
    let getter = canvas.getter(GET_NUMBER, "Get Number", "n", &[]);
    canvas.group("RH_IN:n", &[getter]);
    canvas.any_output();
    let inputs = canvas.read().inputs;
    let listed: Vec<_> = inputs.iter().map(|input| (input.name.as_str(), input.kind, input.at_most)).collect();
    assert_eq!(listed, [("n", InputKind::Contextual, 1), ("RH_IN:n", InputKind::Group, 1)]);
}
