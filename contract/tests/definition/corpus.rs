//! The reader on real files, where a corpus lies beside the checkout.

use contract::definition::archive::{Archive, Format};
use contract::definition::{Definition, Input, Limits, Report};
use flate2::read::DeflateDecoder;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::support::{corpus, file_name};

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    DeflateDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn a_real_binary_file_is_written_back_byte_for_byte() {
    for path in corpus().iter().filter(|path| path.extension().is_some_and(|extension| extension == "gh")) {
        let bytes = std::fs::read(path).unwrap();
        let archive = Archive::read(&bytes, &Limits::default()).unwrap();
        assert_eq!(archive.format, Format::Gh);
        assert!(inflate(&bytes) == inflate(&archive.to_gh()), "{}", file_name(path));
    }
}

#[test]
fn a_real_file_reads_the_same_from_either_format() {
    for path in corpus() {
        let archive = Archive::read(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
        assert!(archive.document().is_some(), "{}", file_name(&path));
        let xml = Archive::read(archive.to_ghx().as_bytes(), &Limits::default()).unwrap();
        let binary = Archive::read(&archive.to_gh(), &Limits::default()).unwrap();
        assert!(xml.root == archive.root && binary.root == archive.root, "{}", file_name(&path));
    }
}

/// What compute lists for a definition, one line a parameter: name, type, count, limits, default.
fn listing(definition: &Definition) -> String {
    let input = |input: &Input| {
        let default = input.default.as_ref().map_or_else(|| "unknown".to_owned(), |tree| tree.to_plain().to_string());
        let (least, most) = (input.at_least, input.at_most);
        let limits = format!("{:?} {:?}", input.minimum, input.maximum);
        format!("  in  {}: {} [{least}..{most}] {limits} = {default}\n", input.name, input.type_name)
    };
    let inputs: String = definition.inputs.iter().map(input).collect();
    let outputs = definition.outputs.iter().map(|output| format!("  out {}: {}\n", output.name, output.type_name));
    let libraries =
        definition.libraries.iter().map(|library| format!("  lib {} {:?}\n", library.name, library.version));
    let scripts = definition.scripts.iter().map(|script| {
        let digest = script.sha256.as_ref().map(|digest| &digest[..8]);
        format!(
            "  script {:?} {} {digest:?} {:?} {:?}\n",
            script.spot.nickname, script.language, script.requires, script.packages
        )
    });
    let problems = definition.problems.iter().map(|problem| {
        format!("  problem {} {}\n", problem.code, problem.spot.as_ref().map_or_else(String::new, ToString::to_string))
    });
    let rest: String = outputs.chain(libraries).chain(scripts).chain(problems).collect();
    format!("{} {:?}\n{inputs}{rest}", definition.format.as_str(), definition.rhino)
}

#[test]
fn a_real_file_lists_what_compute_lists() {
    let listings: Vec<String> = corpus()
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).unwrap();
            let read = || {
                let started = std::time::Instant::now();
                let definition = Definition::read(&bytes, &Limits::default()).unwrap();
                assert!(!Report(&definition).to_string().is_empty());
                (started.elapsed().as_millis(), definition)
            };
            // The best of three: a busy machine says nothing about the reader.
            let (millis, definition) = (0..3).map(|_| read()).min_by_key(|(millis, _)| *millis).unwrap();
            assert!(millis < 1000, "{} took {millis} ms", file_name(path));
            format!("{}: {}", file_name(path), listing(&definition))
        })
        .collect();
    if !listings.is_empty() {
        insta::assert_snapshot!(listings.join("\n"));
    }
}

#[test]
fn the_samples_of_the_registry_are_seen_as_they_are_meant() {
    let registry = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../registry/contracts"));
    let mut read = 0;
    for version in folders(registry).iter().flat_map(|app| folders(app)) {
        let files = std::fs::read_dir(&version).unwrap().map(|entry| entry.unwrap().path());
        for path in
            files.filter(|path| path.extension().is_some_and(|extension| extension == "gh" || extension == "ghx"))
        {
            let definition = Definition::read(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
            assert_eq!(definition.problems, [], "{}", path.display());
            assert!(!definition.inputs.is_empty() && !definition.outputs.is_empty(), "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 0, "the registry has samples");
}

fn folders(within: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(within).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}
