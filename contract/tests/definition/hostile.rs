//! Archives that are well-formed and make no sense: discovery neither panics nor runs away.

use contract::definition::archive::{Chunk, Value};
use contract::definition::{Definition, Limits, Report};
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use crate::fixture::*;
use crate::support::{item, processor_time};

/// A definition with something of everything that discovery looks at.
fn rich() -> Canvas {
    let mut canvas = Canvas::new();
    let slider = canvas.slider("width", [0.0, 20.0, 7.0]);
    let panel = canvas.panel("text", false);
    let list = canvas.value_list(&[("1", true), ("\"a\"", false)]);
    let number = canvas.parameter(NUMBER, "Number", "n", &[slider, list]);
    canvas.getter(GET_NUMBER, "Get Number", "n", &[number]);
    canvas.getter(GET_STRING, "Get String", "s", &[panel]);
    let point = canvas.parameter(POINT, "Point", "RH_IN:p", &[]);
    canvas.store(&[("{0;1}", vec![item("Coordinate", Value::Point3d([0.0; 3]))])]);
    let (area, _) = canvas.component(AREA, "Area", &[("G", &[point])], &["A", "C"]);
    canvas.component(CONTEXT_BAKE, "Context Bake", &[("m", &[area])], &[]);
    canvas.group("RH_IN:p", &[point, number]);
    canvas.group("RH_OUT:a", &[area]);
    let mut inner = Canvas::new();
    inner.getter(GET_NUMBER, "Get Number", "hidden", &[]);
    canvas.cluster("tool", inner.inside());
    canvas.library(vec![item("Name", Value::Text("Pufferfish".to_owned()))]);
    canvas
}

/// Visits every chunk of a tree.
fn walk(chunk: &mut Chunk, visit: &mut impl FnMut(&mut Chunk)) {
    visit(chunk);
    for child in &mut chunk.chunks {
        walk(child, visit);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_definition_with_items_swapped_or_gone_is_read_without_panic(
        swaps in proptest::collection::vec((any::<Index>(), any::<Index>(), 0..3_u8), 1..12),
    ) {
        let mut archive = rich().archive();
        let mut values = Vec::new();
        walk(&mut archive.root, &mut |chunk| values.extend(chunk.items.iter().map(|item| item.value.clone())));
        for (target, source, how) in &swaps {
            let (target, mut at) = (target.index(values.len()), 0);
            walk(&mut archive.root, &mut |chunk| {
                let place = target.checked_sub(at).filter(|place| *place < chunk.items.len());
                at += chunk.items.len();
                match (place, how) {
                    (Some(place), 0) => chunk.items[place].value = values[source.index(values.len())].clone(),
                    (Some(place), 1) => chunk.items.truncate(place),
                    (Some(_), _) => chunk.chunks.clear(),
                    (None, _) => {}
                }
            });
        }
        let definition = Definition::of(&archive);
        prop_assert!(!Report(&definition).to_string().is_empty());
        prop_assert!(serde_json::to_string(&definition).is_ok());
        for name in ["n", "RH_IN:p", "width", "nothing"] {
            let _ = definition.explain(name);
        }
        let reread = Definition::read(&archive.to_gh(), &Limits::default());
        prop_assert!(reread.is_ok() || archive.document().is_none());
    }
}

#[test]
fn twenty_thousand_objects_are_read_in_no_quadratic_time() {
    let mut canvas = Canvas::new();
    for at in 0..5_000 {
        let slider = canvas.slider("", [0.0, 20.0, 7.0]);
        canvas.getter(GET_NUMBER, "Get Number", &format!("n{at}"), &[slider]);
        canvas.group("RH_IN:same", &[slider]);
        canvas.group(&format!("RH_OUT:{at}"), &[slider]);
    }
    let archive = canvas.archive();
    let started = processor_time();
    let definition = Definition::of(&archive);
    let taken = processor_time().saturating_sub(started);
    assert!(taken.as_secs() < 6, "{taken:?}");
    assert_eq!((definition.inputs.len(), definition.outputs.len()), (5_001, 5_000));
}

#[test]
fn one_parameter_with_all_the_wires_of_a_file_costs_its_length_once() {
    let mut canvas = Canvas::new();
    let slider = canvas.slider("", [0.0, 20.0, 7.0]);
    let wide = canvas.parameter(NUMBER, "Number", "", &vec![slider; 20_000]);
    for at in 0..200 {
        canvas.getter(GET_NUMBER, "Get Number", &format!("n{at}"), &[wide]);
    }
    let started = processor_time();
    let definition = Definition::of(&canvas.archive());
    let taken = processor_time().saturating_sub(started);
    assert!(taken.as_secs() < 6, "{taken:?}");
    assert_eq!(definition.inputs.len(), 200);
    assert_eq!(definition.inputs[199].default_note.as_deref(), Some("there is too much data behind it"));
    assert_eq!(definition.inputs[0].instance, Uuid::from_u128(3));
}
