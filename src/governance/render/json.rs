//! One JSON document. Members may be added, and none is renamed or taken away.

use serde_json::{Value, json};

use super::super::{Report, Severity};
use super::Sources;
use super::mark::mark;

pub(super) fn render(report: &Report, sources: &dyn Sources) -> String {
    let finding = |finding: &super::super::Finding| {
        let mut value = serde_json::to_value(finding).expect("a finding is strings and numbers");
        if let Some(mark) = mark(&finding.place, sources) {
            value["end_column"] = json!(mark.end_column);
        }
        if let Some(subject) = report.subject(finding) {
            value["subject"] = json!(subject.name);
        }
        value
    };
    let findings: Vec<Value> = report.findings.iter().map(finding).collect();
    let document = json!({
        "command": report.command,
        "status": if report.fails(false) { "fail" } else { "pass" },
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "notes": report.count(Severity::Note),
        "subjects": report.subjects,
        "findings": findings,
    });
    format!("{document:#}\n")
}
