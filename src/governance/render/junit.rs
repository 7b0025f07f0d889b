//! `JUnit`'s XML: a test case for each thing that was looked at, which fails by its errors and tells its warnings.

use std::fmt::Write as _;

use super::super::{Finding, Report, Severity};

pub(super) fn render(report: &Report) -> String {
    let mut cases: Vec<(String, Vec<&Finding>)> =
        report.subjects.iter().map(|subject| (subject.name.clone(), Vec::new())).collect();
    let mut stray = Vec::new();
    for finding in &report.findings {
        let subject = report.subject(finding).map(|subject| subject.name.as_str());
        match cases.iter_mut().find(|(name, _)| Some(name.as_str()) == subject) {
            Some((_, findings)) => findings.push(finding),
            None => stray.push(finding),
        }
    }
    if !stray.is_empty() {
        cases.push(("elsewhere".to_owned(), stray));
    }
    let failures = cases.iter().filter(|(_, findings)| has_error(findings)).count();
    let (name, tests) = (format!("appserver {}", report.command), cases.len());
    let counts = format!("name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\"", escape(&name));
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    let _ = writeln!(text, "  <testsuite {counts} skipped=\"0\" time=\"0\">");
    for (case, findings) in &cases {
        write_case(&mut text, &name, case, findings);
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn has_error(findings: &[&Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

fn write_case(text: &mut String, class: &str, case: &str, findings: &[&Finding]) {
    let _ = write!(text, "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"", escape(class), escape(case));
    if findings.is_empty() {
        text.push_str("/>\n");
        return;
    }
    text.push_str(">\n");
    let (errors, rest): (Vec<&&Finding>, Vec<&&Finding>) =
        findings.iter().partition(|finding| finding.severity == Severity::Error);
    if let Some(first) = errors.first() {
        let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
        let message = format!("{}{more}", first.message);
        let _ = write!(text, "      <failure message=\"{}\" type=\"{}\">", escape(&message), escape(first.rule));
        let _ = writeln!(text, "{}</failure>", lines(&errors));
    }
    if !rest.is_empty() {
        let _ = writeln!(text, "      <system-out>{}</system-out>", lines(&rest));
    }
    text.push_str("    </testcase>\n");
}

fn lines(findings: &[&&Finding]) -> String {
    let line = |finding: &&&Finding| {
        let place = &finding.place;
        let (file, severity) = (place.file.to_string_lossy(), finding.severity.word());
        let help = finding.help.as_ref().map(|help| format!("\n    help: {help}")).unwrap_or_default();
        let at = format!("{file}:{}:{}", place.line, place.column);
        escape(&format!("{at}: {severity}[{}]: {}{help}", finding.rule, finding.message))
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// XML's own characters written out, and those that XML cannot hold replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => escaped.push('\u{FFFD}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}
