//! The sample definitions, solved: the stand-in evaluates the files themselves and must reach what the formulas say.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;
use simnode::solve::{Document, Settings, Solution};

use super::{
    Object, difference,
    files::{self, Version},
    reference, wire,
};

#[test]
fn definitions_solve_to_the_formulas_for_any_inputs_of_their_schema() {
    for version in files::versions().iter().filter(|version| version.app != "daylight") {
        let document = version.document();
        let mut runner = TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() });
        let outcome = runner.run(&wire::inputs_of(&version.inputs_schema), |inputs| {
            // The known edge of yieldcheck has a test of its own.
            prop_assume!(inputs.get("gfa") != Some(&json!(0.0)));
            let expected = reference::outputs(&version.app, &version.number, &inputs).unwrap();
            let solved = solve(version, &document, &inputs);
            prop_assert_eq!(&solved.errors, &Vec::<String>::new());
            let answer = wire::outputs(&version.bindings["outputs"], &solved);
            prop_assert_eq!(difference(&json!(answer), &json!(expected), 1e-9), None);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{} {}: {error}", version.app, version.number));
    }
}

#[test]
fn examples_solve_to_their_goldens() {
    for version in files::versions() {
        let document = version.document();
        for example in version.valid_examples() {
            let Some(golden) = &example.outputs else { continue };
            let solved = solve(&version, &document, &version.complete(&example.inputs));
            assert_eq!(solved.errors, Vec::<String>::new(), "{}", example.name);
            assert_eq!(solved.warnings, Vec::<String>::new(), "{}", example.name);
            let answer = wire::outputs(&version.bindings["outputs"], &solved);
            assert_eq!(difference(&json!(answer), &json!(golden), example.tolerance), None, "{}", example.name);
        }
    }
}

#[test]
fn sitefit_1_1_0_answers_the_inputs_of_1_0_0_as_1_0_0_does() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|number| files::version("sitefit", number));
    let [old_document, new_document] = [&old, &new].map(Version::document);
    let mut runner = TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&wire::inputs_of(&old.inputs_schema), |inputs| {
        let before = solve(&old, &old_document, &inputs);
        let after = solve(&new, &new_document, &new.complete(&inputs));
        prop_assert!(before.errors.is_empty() && after.errors.is_empty(), "{:?} {:?}", before.errors, after.errors);
        let before = wire::outputs(&old.bindings["outputs"], &before);
        let mut after = wire::outputs(&new.bindings["outputs"], &after);
        prop_assert_ne!(after.remove("limited_by"), Some(json!("coverage")));
        prop_assert_eq!(before, after);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn yieldcheck_without_floor_area_fails_inside_the_definition() {
    let version = files::version("yieldcheck", "1.0.0");
    let inputs = version.complete(json!({ "gfa": 0 }).as_object().unwrap());
    let solved = solve(&version, &version.document(), &inputs);
    assert_eq!(solved.errors.len(), 1, "{:?}", solved.errors);
    assert!(solved.errors[0].contains("component \"Division\""), "{:?}", solved.errors);
}

#[test]
fn daylight_fails_on_a_node_without_its_plugin() {
    let version = files::version("daylight", "0.1.0");
    let example = &version.valid_examples()[0];
    let solved = solve(&version, &version.document(), &version.complete(&example.inputs));
    assert!(!solved.errors.is_empty());
    let answer = solved.outputs.iter().find(|output| output.name == "RH_OUT:daylit_share").unwrap();
    assert!(answer.tree.is_empty(), "a missing plug-in must not be guessed");
}

fn solve(version: &Version, document: &Document, inputs: &Object) -> Solution {
    let mut document = document.clone();
    for (name, binding) in version.bindings["inputs"].as_object().unwrap() {
        let gh = binding["gh"].as_str().unwrap();
        assert!(document.set_input(gh, wire::tree(binding, &inputs[name])), "{gh} is no input of the definition");
    }
    document.solve(&Settings::default())
}
