//! One line a finding, which editors and CI logs make clickable: `file:line:column: severity[rule]: message; help`.

use std::fmt::Write as _;

use super::super::Report;
use super::{Style, shown, tame, unshown};

pub(super) fn render(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for finding in shown(report, style) {
        let place = &finding.place;
        let (file, severity) = (tame(&place.file.to_string_lossy()), finding.severity.word());
        let message = tame(&finding.message);
        let _ = write!(text, "{file}:{}:{}: {severity}[{}]: {message}", place.line, place.column, finding.rule);
        if let Some(help) = &finding.help {
            let _ = write!(text, "; help: {}", tame(help));
        }
        for related in &finding.related {
            let (place, file) = (&related.place, tame(&related.place.file.to_string_lossy()));
            let _ = write!(text, "; {file}:{}:{}: {}", place.line, place.column, tame(&related.message));
        }
        text.push('\n');
    }
    if let Some(more) = unshown(report, style) {
        let _ = writeln!(text, "… and {more} more; --max 0 shows all");
    }
    text
}
