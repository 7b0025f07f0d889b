//! The contracts of the samples, through the loader that every part uses.

use std::{collections::BTreeSet, fs};

use contract::{Contract, fault::Fault, policy::Policy};
use serde_json::{Value, json};

use super::{
    difference,
    files::{self, Version},
};

#[test]
fn every_contract_loads_without_a_fault() {
    for version in files::versions() {
        let contract = contract(&version);
        assert_eq!(contract.manifest.definition, version.app);
        assert!(contract.examples.valid.len() >= 3, "{} {}", version.app, version.number);
        assert!(contract.examples.invalid.len() >= 3, "{} {}", version.app, version.number);
    }
}

#[test]
fn every_policy_loads_and_allows_its_own_definition() {
    for version in files::versions() {
        let file = version.folder.parent().unwrap().join("policy.json");
        let policy = Policy::load(&file).unwrap_or_else(|faults| panic!("{}", report(&faults)));
        assert_eq!(policy.app_id, version.app);
        assert_eq!(policy.allowed_definitions, std::slice::from_ref(&version.app));
        for (alias, target) in &policy.aliases {
            let folder = version.folder.with_file_name(target.to_string());
            assert!(folder.is_dir(), "{alias} leads to {target}, which is not there");
        }
    }
}

#[test]
fn invalid_examples_fail_at_the_pointers_they_name() {
    for version in files::versions() {
        let contract = contract(&version);
        for example in &contract.examples.invalid {
            let violations = contract.check_inputs(&example.inputs).unwrap_err();
            let pointers: BTreeSet<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
            let named: BTreeSet<_> = example.violations.iter().map(String::as_str).collect();
            assert_eq!(pointers, named, "{} {} {}", version.app, version.number, example.name);
        }
    }
}

#[test]
fn valid_examples_are_completed_by_the_defaults_and_keep_to_both_schemas() {
    for version in files::versions() {
        let contract = contract(&version);
        for example in &contract.examples.valid {
            let at = format!("{} {} {}", version.app, version.number, example.name);
            let inputs = contract.check_inputs(&example.inputs).unwrap_or_else(|found| panic!("{at}: {found:?}"));
            let complete = version.complete(example.inputs.as_object().unwrap());
            assert_eq!(difference(&json!(inputs.values), &json!(complete), 0.0), None, "{at}");
            if let Some(golden) = &example.outputs {
                contract.check_outputs(golden).unwrap_or_else(|found| panic!("{at}: {found:?}"));
            }
        }
    }
}

/// A caller of 1.0.0 may be served by 1.1.0: nothing that was there has changed its meaning.
#[test]
fn sitefit_1_1_0_is_a_compatible_step() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|number| files::version("sitefit", number));
    assert_eq!(old.inputs_schema["required"], new.inputs_schema["required"]);
    let meaning = |schema: &Value| -> Value {
        let words =
            |(word, value): (&String, &Value)| Some((word.clone(), (word != "x-order").then(|| value.clone())?));
        schema.as_object().unwrap().iter().filter_map(words).collect::<super::Object>().into()
    };
    for (before, after) in [(&old.inputs_schema, &new.inputs_schema), (&old.outputs_schema, &new.outputs_schema)] {
        for (name, schema) in before["properties"].as_object().unwrap() {
            assert_eq!(meaning(schema), meaning(&after["properties"][name]), "{name}");
        }
    }
    for side in ["inputs", "outputs"] {
        for (name, binding) in old.bindings[side].as_object().unwrap() {
            assert_eq!(binding, &new.bindings[side][name], "{name}");
        }
    }
}

#[test]
fn no_tenant_of_the_repository_has_a_key() {
    let tenants: Value = serde_json::from_slice(&fs::read(files::root().join("tenants.json")).unwrap()).unwrap();
    let apps: BTreeSet<String> = files::versions().into_iter().map(|version| version.app).collect();
    for (tenant, entry) in tenants["tenants"].as_object().unwrap() {
        assert_eq!(entry["keys"], json!([]), "{tenant}");
        for app in entry["apps"].as_array().unwrap() {
            assert!(apps.contains(app.as_str().unwrap()), "{tenant} may use {app}, which is not there");
        }
    }
}

fn contract(version: &Version) -> Contract {
    Contract::load(&version.folder).unwrap_or_else(|faults| panic!("{}", report(&faults)))
}

fn report(faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("{}:{}: {}", fault.file.display(), fault.line, fault.message));
    lines.collect::<Vec<_>>().join("\n")
}
