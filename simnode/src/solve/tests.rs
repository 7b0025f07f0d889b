use contract::definition::{Archive, Limits as FileLimits};
use uuid::{Uuid, uuid};

use super::draft::Draft;
use super::{Document, Settings, Solution};
use crate::tree::Tree;
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
