//! The contract model as its users see it: whole folders in, contracts or faults out.

mod adversarial;
mod bad;
mod compat;
mod folder;
mod inputs;
mod mutated;
mod policy;
mod samples;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::{Contract, Fault, Folder};

/// The folder of the tests' data.
fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// The sound version that the tests vary.
fn good() -> Folder {
    Folder::read(&data("good/bridge/1.0.0")).expect("the sound folder can be read")
}

/// The same folder with other files over its own.
fn with(folder: &Folder, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Folder {
    let mut all: BTreeMap<String, Arc<[u8]>> = folder.files.clone();
    all.extend(files.into_iter().map(|(path, bytes)| (path, bytes.into())));
    Folder { name: folder.name.clone(), parent: folder.parent.clone(), ..Folder::of(all) }
}

/// The sound contract with another schema for its inputs, and without the examples of the first.
fn contract_with(replace: &[(&str, &str)]) -> Contract {
    let mut good = good();
    good.files.retain(|path, _| !path.starts_with("examples/"));
    let text = String::from_utf8_lossy(&good.files["inputs.schema.json"]).into_owned();
    let text = replace.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let folder = with(&good, [("inputs.schema.json".to_owned(), text.into_bytes())]);
    Contract::of(&folder).unwrap_or_else(|faults| panic!("{}", report(&faults)))
}

fn report(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
