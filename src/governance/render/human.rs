//! The form for people, in the manner of rustc: what is wrong, the text that it is about, and what to do.

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::super::{Finding, Place, Report, Severity};
use super::mark::mark;
use super::{Sources, Style, shown, tame, unshown};

pub(super) fn render(report: &Report, sources: &dyn Sources, style: Style) -> String {
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width).decor_style(DecorStyle::Unicode);
    let mut text = String::new();
    for finding in shown(report, style) {
        text.push_str(&renderer.render(&groups(finding, sources)));
        text.push_str("\n\n");
    }
    if let Some(more) = unshown(report, style) {
        let _ = write!(text, "… and {more} more; --max 0 shows all\n\n");
    }
    text.push_str(&report.summary());
    if let Some(first) = report.findings.first() {
        let _ = write!(text, "; `appserver explain {}` tells more of a rule", first.rule);
    }
    text.push('\n');
    text
}

fn groups<'f>(finding: &'f Finding, sources: &dyn Sources) -> Vec<Group<'f>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(tame(&finding.message)).id(finding.rule);
    let label = finding.label.as_deref().map(tame);
    let mut group = title.element(at(&finding.place, label, AnnotationKind::Primary, sources));
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(tame(help)));
    }
    let mut groups = vec![group];
    for related in &finding.related {
        let title = Level::NOTE.secondary_title(tame(&related.message));
        groups.push(Group::with_title(title).element(at(&related.place, None, AnnotationKind::Primary, sources)));
    }
    groups
}

/// The lines around a place; where they cannot be shown, the place alone.
fn at<'s>(place: &Place, label: Option<String>, kind: AnnotationKind, sources: &dyn Sources) -> Element<'s> {
    let file = tame(&place.file.to_string_lossy());
    match mark(place, sources) {
        Some(mark) => Snippet::source(mark.text)
            .path(file)
            .line_start(mark.first_line as usize)
            .annotation(kind.span(mark.span).label(label))
            .into(),
        None => Origin::path(file).line(place.line as usize).char_column(place.column as usize).into(),
    }
}
