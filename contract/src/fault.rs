//! A fault: what is wrong with a file of the registry, and where.
//!
//! Every fault names a file, a line and a column; reports are sorted by them, so equal folders give equal reports.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A place in a text: line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// One thing that is wrong with a file of the registry.
///
/// Ordered by file, line, column, then rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// A stable word, such as `binding_unknown`.
    pub rule: &'static str,
    /// The JSON pointer of the faulty value, where the file is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Sorts faults by place and drops exact repetitions.
pub fn sort(faults: &mut Vec<Fault>) {
    faults.sort();
    faults.dedup();
}

/// The candidate that `word` was probably meant to be.
///
/// Case is ignored. The Damerau-Levenshtein distance may be a third of the word's length: one slip in a short
/// word, more in a long one. Words beyond 64 characters are not compared, because the distance costs their product.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 64;
    let length = word.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        // Each character more or less is a slip by itself, and counting is cheap.
        .filter(|candidate| candidate.chars().take(2 * LONGEST).count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        // A one-letter word is near every other: only its other case counts.
        .filter(|(distance, _)| *distance <= allowed && *distance < length)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean `span`?", when one of the candidates is near enough; see [`closest`].
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    closest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// A list for people, "`a`, `b` and 3 more", of at most eight names.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

// === impl Position ===

impl Position {
    /// The first character of a file: the place of faults that belong to the file as a whole.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place of the byte offset `byte` in `text`; an offset behind the end is the end.
    pub fn of(text: &[u8], byte: usize) -> Self {
        let before = &text[..byte.min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before[..line_start].split(|&byte| byte == b'\n').count();
        // Continuation bytes of UTF-8 begin no character.
        let characters = before[line_start..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        Self {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(characters + 1).unwrap_or(u32::MAX),
        }
    }
}

// === impl Fault ===

impl Fault {
    pub fn new(rule: &'static str, file: &Path, at: Position, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            rule,
            pointer: None,
            message: message.into(),
            help: None,
        }
    }

    /// A fault of the file as a whole, reported at its first character.
    pub fn of_file(rule: &'static str, file: &Path, message: impl Into<String>) -> Self {
        Self::new(rule, file, Position::START, message)
    }

    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Fault {
    /// `file:line:column: message [rule]`, and a second line with the help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {} [{}]", self.file.display(), self.line, self.column, self.message, self.rule)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n    help: {help}"))
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_word_that_was_meant() {
        let names = ["site_width", "site_depth", "floors", "x"];
        for (word, found) in [
            ("site_widht", Some("site_width")),
            ("SITE_DEPTH", Some("site_depth")),
            ("flors", Some("floors")),
            ("X", Some("x")),
            ("y", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, names), found, "{word}");
        }
        assert_eq!(closest(&"a".repeat(100_000), names), None);
    }

    #[test]
    fn a_place_counts_lines_from_1_and_columns_in_characters() {
        let text = "a\nüé x".as_bytes();
        assert_eq!(Position::of(text, 0), Position::START);
        assert_eq!(Position::of(text, 2), Position { line: 2, column: 1 });
        assert_eq!(Position::of(text, 7), Position { line: 2, column: 4 });
        assert_eq!(Position::of(text, 1000), Position { line: 2, column: 5 });
    }

    #[test]
    fn a_fault_prints_as_one_clickable_line_and_its_help() {
        let fault = Fault::new("binding_unknown", Path::new("a/b.json"), Position { line: 3, column: 7 }, "no `x`")
            .help("did you mean `y`?".to_owned());
        assert_eq!(fault.to_string(), "a/b.json:3:7: no `x` [binding_unknown]\n    help: did you mean `y`?");
    }
}
