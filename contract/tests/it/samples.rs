//! The sample apps of the repository load without a fault.

use std::path::{Path, PathBuf};

use contract::Contract;
use contract::policy::Policy;

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(path).expect("the folder is there").map(|entry| entry.expect("it can be listed").path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn every_sample_loads_and_keeps_its_examples() {
    let apps = folders(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/contracts"));
    assert!(!apps.is_empty());
    for app in apps {
        let policy = Policy::load(&app.join("policy.json"));
        assert!(policy.is_ok(), "{policy:#?}");
        for version in folders(&app) {
            let contract = Contract::load(&version).unwrap_or_else(|faults| panic!("{}", crate::report(&faults)));
            assert!(contract.examples.valid.len() >= 3 && contract.examples.invalid.len() >= 3);
            for example in &contract.examples.valid {
                let inputs = contract.check_inputs(&example.inputs).unwrap();
                assert_eq!(inputs.values.len(), contract.bindings.inputs.len(), "{}", example.name);
            }
        }
    }
}
