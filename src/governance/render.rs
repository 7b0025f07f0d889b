//! A report in the form that whoever reads it wants: a person, a terminal's one line, a program, a CI system.
//!
//! Invariant: text that comes from files is never written as it is: control characters cannot move a terminal's cursor, end a
//! line, or open an element.

use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum;

use super::finding::Report;

mod github;
mod human;
mod json;
mod junit;
mod mark;
mod plain;
mod sarif;

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Each with the text that it is about.
    Human,
    /// One line each: `file:line:column: severity[rule]: message`.
    Plain,
    Json,
    /// Workflow commands, which GitHub shows as annotations of a change.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// `JUnit`'s XML, for CI systems that show tests.
    Junit,
}

/// How much is written, and how it looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether the human form is coloured.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// The most findings that the forms for people show; 0 for all. Those for programs hold all of them.
    pub shown_max: usize,
}

/// Where the text of a file comes from: disk, or a revision that is on no disk.
///
/// None where it cannot be read: the finding is then told without it.
pub trait Sources {
    fn text(&self, file: &Path) -> Option<Vec<u8>>;
}

/// Files as they lie on disk. Large ones, devices and pipes are not read.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

/// As large as the largest file of a contract may be.
const SOURCE_BYTES_MAX: u64 = 64 << 20;

/// Writes a report; it is sorted first. The text ends with a line break, unless it is empty.
pub fn render(format: Format, report: &mut Report, sources: &dyn Sources, style: Style) -> String {
    report.sort();
    match format {
        Format::Human => human::render(report, sources, style),
        Format::Plain => plain::render(report, style),
        Format::Json => json::render(report, sources),
        Format::Github => github::render(report, sources, style),
        Format::Sarif => sarif::render(report, sources),
        Format::Junit => junit::render(report),
    }
}

/// "… and 12 more", where not all is shown.
fn unshown(report: &Report, style: Style) -> Option<usize> {
    let all = report.findings.len();
    (style.shown_max > 0 && all > style.shown_max).then(|| all - style.shown_max)
}

fn shown(report: &Report, style: Style) -> &[super::Finding] {
    let most = if style.shown_max == 0 { usize::MAX } else { style.shown_max };
    &report.findings[..report.findings.len().min(most)]
}

/// Text from a file, with what would act on a terminal written out.
fn tame(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut tamed, letter| {
        if letter.is_control() {
            let _ = write!(tamed, "{}", letter.escape_default());
        } else {
            tamed.push(letter);
        }
        tamed
    })
}

// === impl Style ===

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 100, shown_max: 50 }
    }
}

// === impl Sources ===

impl Sources for Disk {
    fn text(&self, file: &Path) -> Option<Vec<u8>> {
        let found = std::fs::metadata(file).ok()?;
        (found.is_file() && found.len() <= SOURCE_BYTES_MAX).then(|| std::fs::read(file).ok())?
    }
}

impl<F: Fn(&Path) -> Option<Vec<u8>>> Sources for F {
    fn text(&self, file: &Path) -> Option<Vec<u8>> {
        self(file)
    }
}

#[cfg(test)]
mod tests;
