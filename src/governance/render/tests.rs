//! Each form of one report, with text in it that would break a careless writer.

use std::path::Path;

use serde_json::Value;

use super::super::finding::Subject;
use super::super::{Finding, Place, Report, Severity};
use super::*;

const BINDINGS: &str = "{\n  \"inputs\": {\n    \"span\": { \"gh\": \"RH_IN:spann\" }\n  }\n}\n";

fn sources(file: &Path) -> Option<Vec<u8>> {
    file.ends_with("bindings.json").then(|| BINDINGS.as_bytes().to_vec())
}

fn report() -> Report {
    let place = Place { file: "contracts/bridge/1.0.0/bindings.json".into(), line: 3, column: 21 };
    let elsewhere = Place { file: "contracts/a b,c:d.json".into(), line: 1, column: 1 };
    let related = Place { file: "contracts/bridge/1.0.0/bridge.ghx".into(), line: 7, column: 1 };
    Report {
        command: "check",
        subjects: vec![
            Subject { name: "bridge:1.0.0".to_owned(), path: "contracts/bridge/1.0.0".into() },
            Subject { name: "tenants".to_owned(), path: "tenants.json".into() },
        ],
        findings: vec![
            Finding::new("binding_unknown", Severity::Error, place, "the definition has no input `RH_IN:spann`")
                .pointer("/inputs/span/gh")
                .label("no such input")
                .help("did you mean `RH_IN:span`?".to_owned())
                .related(related, "it is here")
                .data("inputs", 2),
            Finding::new("name_style", Severity::Warning, elsewhere, "50% <of> \"it\" & \u{1b}[31mred\nand more"),
        ],
    }
}

fn rendered(format: Format) -> String {
    render(format, &mut report(), &sources, Style::default())
}

#[test]
fn people_see_the_text_that_a_finding_is_about() {
    insta::assert_snapshot!(rendered(Format::Human));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let style = Style { color: true, ..Style::default() };
    let coloured = render(Format::Human, &mut report(), &sources, style);
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), rendered(Format::Human));
    assert!(!rendered(Format::Human).contains('\u{1b}'));
}

#[test]
fn plain_is_one_line_a_finding() {
    insta::assert_snapshot!(rendered(Format::Plain));
}

#[test]
fn workflow_commands_escape_what_parts_them() {
    insta::assert_snapshot!(rendered(Format::Github));
}

#[test]
fn json_holds_everything() {
    insta::assert_snapshot!(rendered(Format::Json));
}

#[test]
fn sarif_names_rule_place_and_fingerprint() {
    let document: Value = serde_json::from_str(&rendered(Format::Sarif)).unwrap();
    let results = document["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(
        results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "contracts/a%20b%2Cc%3Ad.json"
    );
    assert_eq!(results[1]["locations"][0]["physicalLocation"]["region"]["endColumn"], 34);
    assert_eq!(results[1]["relatedLocations"][0]["message"]["text"], "it is here");
    let mut moved = report();
    moved.findings[0].place.line = 2;
    let moved: Value = serde_json::from_str(&render(Format::Sarif, &mut moved, &sources, Style::default())).unwrap();
    let print = |document: &Value| document["runs"][0]["results"][1]["partialFingerprints"].clone();
    assert_eq!(print(&moved), print(&document));
}

#[test]
fn junit_has_a_case_for_each_subject_and_one_for_the_rest() {
    insta::assert_snapshot!(rendered(Format::Junit));
}

#[test]
fn what_is_not_shown_is_counted() {
    let mut report = report();
    for line in 10..100 {
        let mut finding = report.findings[0].clone();
        finding.place.line = line;
        report.findings.push(finding);
    }
    for format in [Format::Human, Format::Plain, Format::Github] {
        let text = render(format, &mut report, &sources, Style::default());
        assert!(text.contains("and 42 more"), "{text}");
    }
    let document: Value = serde_json::from_str(&render(Format::Json, &mut report, &sources, Style::default())).unwrap();
    assert_eq!(document["findings"].as_array().unwrap().len(), 92);
}
