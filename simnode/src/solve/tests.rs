//! Definitions drafted as files, solved, and damaged.

use contract::definition::archive::Value as Stored;
use contract::definition::{Archive, Limits as FileLimits};
use proptest::prelude::*;
use uuid::{Uuid, uuid};

use super::draft::{Draft, NUMBER, item};
use super::{Document, Limits, Settings, Solution};
use crate::tree::{Path, Tree};
use crate::value::Value;

const ADDITION: Uuid = uuid!("a0d62394-a118-422d-abb3-6af115c75b25");
const MULTIPLICATION: Uuid = uuid!("ce46b74e-00c9-43c4-805a-193b69ea4a11");
const DIVISION: Uuid = uuid!("9c85271f-89fa-4e9f-9f4a-d75802120ccc");

/// Through the bytes of a file, so that what is solved is what a file can say.
fn load(draft: Draft) -> Document {
    let text = draft.archive().to_ghx();
    let archive = Archive::read(text.as_bytes(), &FileLimits::default()).unwrap();
    Document::load(&archive).unwrap()
}

fn output<'s>(solution: &'s Solution, name: &str) -> &'s Tree {
    let name = format!("RH_OUT:{name}");
    &solution.outputs.iter().find(|output| output.name == name).unwrap().tree
}

/// `(a + b) * 3` behind a group input `RH_IN:a`.
fn sum_times_three() -> Draft {
    let mut draft = Draft::default();
    let (a, b, three) = (draft.slider("a", 2.0), draft.slider("b", 5.0), draft.panel("3", true));
    let sum = draft.component(ADDITION, &[("A", &[a]), ("B", &[b])], &["Result"]);
    let product = draft.component(MULTIPLICATION, &[("A", &[sum.outputs[0]]), ("B", &[three])], &["Result"]);
    draft.group("RH_IN:a", &[a]);
    draft.output("total", product.outputs[0]);
    draft
}

#[test]
fn a_definition_of_sliders_a_panel_and_arithmetic_solves() {
    let document = load(sum_times_three());
    let solution = document.solve(&Settings::default());
    assert_eq!(solution.errors, Vec::<String>::new());
    assert_eq!(solution.warnings, Vec::<String>::new());
    assert_eq!(*output(&solution, "total"), Tree::item(Value::Number(21.0)));
}

#[test]
fn an_input_stays_set_until_it_is_set_again() {
    let mut document = load(sum_times_three());
    assert_eq!(document.input_names().collect::<Vec<_>>(), ["RH_IN:a"]);
    assert!(document.set_input("RH_IN:a", Tree::item(Value::Number(10.0))));
    assert!(!document.set_input("RH_IN:b", Tree::item(Value::Number(10.0))));
    for _ in 0..2 {
        let solution = document.solve(&Settings::default());
        assert_eq!(*output(&solution, "total"), Tree::item(Value::Number(45.0)));
    }
    document.set_input("RH_IN:a", Tree::list([Value::Number(0.0), Value::Number(1.0)]));
    let solution = document.solve(&Settings::default());
    assert_eq!(*output(&solution, "total"), Tree::list([Value::Number(15.0), Value::Number(18.0)]));
}

#[test]
fn a_division_by_zero_names_the_component_and_gives_null() {
    let mut draft = Draft::default();
    let (a, b) = (draft.slider("a", 2.0), draft.slider("b", 0.0));
    let quotient = draft.component(DIVISION, &[("A", &[a]), ("B", &[b])], &["Result"]);
    draft.output("q", quotient.outputs[0]);
    let solution = load(draft).solve(&Settings::default());
    assert_eq!(solution.errors, [format!("Division by zero: component \"Component\" ({})", quotient.instance)]);
    assert_eq!(output(&solution, "q").items().collect::<Vec<_>>(), [None]);
}

fn numbers(values: &[f64]) -> Tree {
    Tree::list(values.iter().map(|number| Value::Number(*number)))
}

#[test]
fn a_panel_of_lines_is_a_list_that_a_number_parameter_reads() {
    let mut draft = Draft::default();
    let panel = draft.panel("1\n2.5\nwide", false);
    let parameter = draft.parameter(NUMBER, "n", &[panel], |_container| {});
    draft.output("n", parameter);
    let solution = load(draft).solve(&Settings::default());
    let expected = vec![Some(Value::Number(1.0)), Some(Value::Number(2.5)), None];
    assert_eq!(*output(&solution, "n"), Tree::from_iter([(Path::root(), expected)]));
    assert_eq!(solution.errors, [format!("Data conversion failed from Text to Number: component \"n\" ({parameter})")]);
}

#[test]
fn a_parameter_applies_its_expression_then_its_mapping() {
    let mut draft = Draft::default();
    let (a, b) = (draft.slider("a", 2.0), draft.slider("b", 3.0));
    let parameter = draft.parameter(NUMBER, "n", &[a, b], |container| {
        container.items.push(item("InternalExpression", Stored::Text("x * 10".to_owned())));
        container.items.push(item("Mapping", Stored::Int32(2)));
    });
    draft.output("n", parameter);
    let expected =
        [(Path(vec![0, 0]), vec![Some(Value::Number(20.0))]), (Path(vec![0, 1]), vec![Some(Value::Number(30.0))])];
    assert_eq!(*output(&load(draft).solve(&Settings::default()), "n"), Tree::from_iter(expected));
}

#[test]
fn an_unknown_component_is_an_error_and_what_hangs_on_it_a_warning() {
    let mut draft = Draft::default();
    let a = draft.slider("a", 2.0);
    let unknown = draft.component(Uuid::from_u128(7), &[("A", &[a])], &["R"]);
    let quotient = draft.component(DIVISION, &[("A", &[unknown.outputs[0]]), ("B", &[a])], &["Result"]);
    draft.output("q", quotient.outputs[0]);
    let solution = load(draft).solve(&Settings::default());
    assert_eq!(solution.errors.len(), 1, "{:?}", solution.errors);
    assert!(solution.errors[0].ends_with(&format!(": component \"Component\" ({})", unknown.instance)));
    let lacking = format!("Input parameter A failed to collect data: component \"Component\" ({})", quotient.instance);
    assert!(solution.warnings.contains(&lacking), "{:?}", solution.warnings);
    assert_eq!(output(&solution, "q").item_count(), 0);
}

#[test]
fn a_component_of_a_library_that_is_not_installed_is_unknown_even_by_guid() {
    let drafted = || {
        let mut draft = Draft::default();
        let a = draft.slider("a", 2.0);
        let sum =
            draft.component_with(ADDITION, Some("LadybugX"), &[("A", &[a]), ("B", &[a])], &["R"], |_container| {});
        draft.output("sum", sum.outputs[0]);
        load(draft)
    };
    let without = drafted().solve(&Settings::default());
    assert!(without.errors[0].starts_with("The plug-in LadybugX is not installed"), "{:?}", without.errors);
    assert_eq!(output(&without, "sum").item_count(), 0);
    let installed = Settings { plugins: ["LadybugX".to_owned()].into(), ..Settings::default() };
    assert_eq!(*output(&drafted().solve(&installed), "sum"), numbers(&[4.0]));
}

#[test]
fn a_locked_component_is_silent_and_gives_nothing() {
    let mut draft = Draft::default();
    let a = draft.slider("a", 2.0);
    let sum = draft.component_with(ADDITION, None, &[("A", &[a])], &["R"], |container| {
        container.items.push(item("Locked", Stored::Bool(true)));
    });
    draft.output("sum", sum.outputs[0]);
    let solution = load(draft).solve(&Settings::default());
    assert_eq!(solution.errors, Vec::<String>::new());
    assert_eq!(output(&solution, "sum").item_count(), 0);
}

#[test]
fn a_cycle_is_an_error_of_every_object_on_it() {
    let mut draft = Draft::default();
    let ahead = Uuid::from_u128(0x1000 + 2);
    let first = draft.parameter(NUMBER, "a", &[ahead], |_container| {});
    let second = draft.parameter(NUMBER, "b", &[first], |_container| {});
    assert_eq!(second, ahead);
    let solution = load(draft).solve(&Settings::default());
    assert_eq!(solution.errors.len(), 2);
    assert!(solution.errors.iter().all(|error| error.starts_with("Recursive data stream found")));
}

#[test]
fn a_definition_that_grows_without_end_is_stopped() {
    let mut draft = Draft::default();
    let mut last = draft.slider("a", 2.0);
    // Each parameter takes the one before it twice: two to the fortieth items.
    for _ in 0..40 {
        last = draft.parameter(NUMBER, "n", &[last, last], |_container| {});
    }
    draft.output("n", last);
    let limits = Limits { steps: 100_000, ..Limits::default() };
    let solution = load(draft).solve(&Settings { limits, ..Settings::default() });
    assert_eq!(solution.errors.len(), 1);
    assert!(solution.errors[0].starts_with("The solution was stopped"), "{:?}", solution.errors);
}

#[test]
fn text_that_multiplies_is_stopped_before_it_is_made() {
    let mut draft = Draft::default();
    let panel = draft.panel(&"x".repeat(100_000), true);
    let repeat = uuid!("c40dc145-9e36-4a69-ac1a-6d825c654993");
    let count = draft.panel("1000000", true);
    let repeated = draft.component(repeat, &[("D", &[panel]), ("L", &[count])], &["D"]);
    draft.output("d", repeated.outputs[0]);
    let solution = load(draft).solve(&Settings::default());
    assert!(solution.errors[0].starts_with("The solution was stopped"), "{:?}", solution.errors);
}

#[test]
fn branches_meet_the_last_branch_of_the_shorter_tree() {
    let mut document = load({
        let mut draft = Draft::default();
        let (a, b) = (draft.slider("a", 0.0), draft.slider("b", 0.0));
        let sum = draft.component(ADDITION, &[("A", &[a]), ("B", &[b])], &["R"]);
        draft.group("RH_IN:a", &[a]);
        draft.group("RH_IN:b", &[b]);
        draft.output("sum", sum.outputs[0]);
        draft
    });
    let branch = |path: &[i32], values: &[f64]| {
        (Path(path.to_vec()), values.iter().map(|number| Some(Value::Number(*number))).collect::<Vec<_>>())
    };
    document.set_input("RH_IN:a", Tree::from_iter([branch(&[0], &[1.0, 2.0, 3.0]), branch(&[5], &[4.0])]));
    document.set_input("RH_IN:b", Tree::from_iter([branch(&[9, 9], &[10.0, 20.0])]));
    let expected = [branch(&[0], &[11.0, 22.0, 23.0]), branch(&[5], &[14.0, 24.0])];
    assert_eq!(*output(&document.solve(&Settings::default()), "sum"), Tree::from_iter(expected));
    // With as many branches on both sides, the longer paths win.
    document.set_input("RH_IN:a", Tree::from_iter([branch(&[3], &[1.0])]));
    let expected = [branch(&[9, 9], &[11.0, 21.0])];
    assert_eq!(*output(&document.solve(&Settings::default()), "sum"), Tree::from_iter(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn lists_match_up_to_the_longest(left in 1..8_usize, right in 1..8_usize) {
        let mut document = load(sum_times_three());
        document.set_input("RH_IN:a", numbers(&vec![1.0; left]));
        let solution = document.solve(&Settings::default());
        prop_assert_eq!(output(&solution, "total").item_count(), left);
        let nulls = (0..right).map(|b| (Path(vec![0]).child(b), vec![None; left])).collect();
        document.set_input("RH_IN:a", nulls);
        let solution = document.solve(&Settings::default());
        prop_assert_eq!(output(&solution, "total").path_count(), right);
        prop_assert_eq!(output(&solution, "total").item_count(), left * right);
    }

    #[test]
    fn a_damaged_file_loads_and_solves_or_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = sum_times_three().archive().to_ghx().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.drain(at..(at + 40).min(bytes.len())); } else { bytes[at] = byte; }
        let archive = Archive::read(&bytes, &FileLimits::default());
        if let Some(document) = archive.ok().and_then(|archive| Document::load(&archive).ok()) {
            let _solution = document.solve(&Settings::default());
        }
    }

    #[test]
    fn wires_to_anywhere_solve(sources in prop::collection::vec((0..6_usize, 0..14_u128), 0..12)) {
        let mut archive = sum_times_three().archive();
        let objects = &mut archive.root.chunks[0].chunks[1].chunks;
        for (object, source) in sources {
            let count = objects.len();
            let container = &mut objects[object % count].chunks[0];
            let target = container.chunks.first_mut().filter(|chunk| chunk.name == "param_input");
            let items = match target { Some(chunk) => &mut chunk.items, None => &mut container.items };
            items.push(item("Source", Stored::Guid(Uuid::from_u128(0x1000 + source))));
        }
        let _solution = Document::load(&archive).unwrap().solve(&Settings::default());
    }
}
