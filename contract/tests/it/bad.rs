//! Folders with faults: each case of `tests/bad` holds the files that differ from the sound version, and
//! the report that it gives.

use std::path::Path;

use contract::{Contract, Folder};

use crate::{data, good, report, with};

fn check(case: &Path) {
    let name = case.file_name().expect("a case has a name").to_string_lossy().into_owned();
    let overlay = Folder::read(case).expect("the case can be read");
    let files = overlay.files.iter().filter(|(path, _)| !["faults.snap", "remove.txt"].contains(&path.as_str()));
    let mut folder = with(&good(), files.map(|(path, bytes)| (path.clone(), bytes.to_vec())));
    for path in overlay.files.get("remove.txt").map(|list| String::from_utf8_lossy(list)).unwrap_or_default().lines() {
        folder.files.remove(path);
    }
    let faults = Contract::of(&folder).expect_err(&name);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(case);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("faults", report(&faults)));
}

#[test]
fn every_bad_folder_gives_its_report() {
    let entries = std::fs::read_dir(data("bad")).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 25);
    for case in cases {
        check(&case);
    }
}

#[test]
fn the_sound_folder_has_no_fault() {
    let contract = Contract::load(&data("good/bridge/1.0.0")).map_err(|faults| report(&faults)).unwrap();
    let inputs: Vec<_> = contract.bindings.inputs.iter().map(|binding| binding.name.as_str()).collect();
    // By x-order first, then as the file has them.
    assert_eq!(inputs, ["span", "bays", "name", "pier", "loads", "origin"]);
}
