//! SARIF 2.1.0: one run, its rules with their texts, one result a finding.

use std::collections::BTreeSet;
use std::path::Path;

use contract::Digest;
use serde_json::{Value, json};

use super::super::{Finding, Place, Report, Severity};
use super::Sources;
use super::mark::mark;

pub(super) fn render(report: &Report, sources: &dyn Sources) -> String {
    let rules: BTreeSet<&str> = report.findings.iter().map(|finding| finding.rule).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &rules, sources)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "appserver",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| json!({ "id": rule, "name": rule })).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": format!("appserver/{}/", report.command) },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

fn result(finding: &Finding, rules: &[&str], sources: &dyn Sources) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let text = match &finding.help {
        Some(help) => format!("{} ({help})", finding.message),
        None => finding.message.clone(),
    };
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
        "level": level,
        "message": { "text": text },
        "locations": [location(&finding.place, sources)],
        "partialFingerprints": { "appserver/v1": fingerprint(finding) },
    });
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|related| {
            let mut location = location(&related.place, sources);
            location["message"] = json!({ "text": related.message });
            location
        });
        result["relatedLocations"] = related.collect();
    }
    let mut properties = finding.data.clone();
    properties.extend(finding.pointer.as_ref().map(|pointer| ("pointer".to_owned(), json!(pointer))));
    if !properties.is_empty() {
        result["properties"] = Value::Object(properties);
    }
    result
}

fn location(place: &Place, sources: &dyn Sources) -> Value {
    let mut region = json!({ "startLine": place.line, "startColumn": place.column });
    if let Some(mark) = mark(place, sources) {
        region["endColumn"] = json!(mark.end_column);
    }
    json!({ "physicalLocation": { "artifactLocation": artifact(&place.file), "region": region } })
}

/// A relative file is one of the repository that is scanned.
fn artifact(file: &Path) -> Value {
    let uri: String = file.to_string_lossy().bytes().map(in_uri).collect();
    let uri = uri.strip_prefix("./").unwrap_or(&uri);
    if file.is_absolute() {
        json!({ "uri": format!("file://{uri}") })
    } else {
        json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
    }
}

fn in_uri(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    }
}

/// The same while a finding stays the same, though lines above it come and go.
fn fingerprint(finding: &Finding) -> String {
    let pointer = finding.pointer.as_deref().unwrap_or_default();
    let parts = [finding.rule, &finding.place.file.to_string_lossy(), pointer, &finding.message].join("\n");
    Digest::of(parts).hex()
}
