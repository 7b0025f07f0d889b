//! Workflow commands: `::error file=…,line=…,col=…,title=…::message`, one a line, which GitHub shows beside the changed lines.

use std::fmt::Write as _;

use super::super::{Report, Severity};
use super::mark::mark;
use super::{Sources, Style, shown, tame, unshown};

pub(super) fn render(report: &Report, sources: &dyn Sources, style: Style) -> String {
    let mut text = String::new();
    for finding in shown(report, style) {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let place = &finding.place;
        let file = place.file.to_string_lossy();
        // The runner looks for the file as git names it.
        let file = property(file.strip_prefix("./").unwrap_or(&file));
        let _ = write!(text, "::{command} file={file},line={},col={}", place.line, place.column);
        if let Some(mark) = mark(place, sources) {
            let _ = write!(text, ",endLine={},endColumn={}", place.line, mark.end_column);
        }
        let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
        let message = message(&format!("{}{help}", finding.message));
        let _ = writeln!(text, ",title={}::{message}", property(finding.rule));
    }
    if let Some(more) = unshown(report, style) {
        let _ = writeln!(text, "::notice::and {more} more; --max 0 shows all");
    }
    text
}

/// What stands behind `::`, as the runner reads it back.
fn message(text: &str) -> String {
    let lines: Vec<String> = text.replace('%', "%25").split('\n').map(tame).collect();
    lines.join("%0A")
}

/// A property's value, where commas and colons part as well.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
