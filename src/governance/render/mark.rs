//! The text that a place is about: from line and column to a few lines around it, and where the marked word ends.

use super::super::Place;
use super::Sources;

/// A piece of a file around a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Whole lines, without the last line break.
    pub(super) text: String,
    /// The number of the first of them, from 1.
    pub(super) first_line: u32,
    /// Bytes of `text` that are marked; never empty unless the line is.
    pub(super) span: std::ops::Range<usize>,
    /// The column after the last marked character, on the line of the place.
    pub(super) end_column: u32,
}

/// Lines before the marked one.
const BEFORE: u32 = 1;
/// A longer line is not shown: it was written by no person, and would fill the screen.
const LINE_BYTES_MAX: usize = 2_000;

/// None where the file cannot be read, is binary there, or has no such place.
pub(super) fn mark(place: &Place, sources: &dyn Sources) -> Option<Mark> {
    let bytes = sources.text(&place.file)?;
    let first_line = place.line.saturating_sub(BEFORE).max(1);
    let skipped = usize::try_from(first_line - 1).ok()?;
    let wanted = usize::try_from(place.line - first_line + 1).ok()?;
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').skip(skipped).take(wanted).collect();
    if lines.len() < wanted || lines.iter().any(|line| line.len() > LINE_BYTES_MAX) {
        return None;
    }
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| str::from_utf8(line).map(|line| line.strip_suffix('\r').unwrap_or(line)))
        .collect::<Result<_, _>>()
        .ok()?;
    if lines.iter().any(|line| line.contains(|letter: char| letter.is_control() && letter != '\t')) {
        return None;
    }
    let (last, before) = lines.split_last()?;
    let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let start = last.char_indices().nth(column).map_or(last.len(), |(byte, _)| byte);
    let length = word(&last[start..]);
    let offset: usize = before.iter().map(|line| line.len() + 1).sum();
    let characters = u32::try_from(last[start..start + length].chars().count()).ok()?;
    Some(Mark {
        text: lines.join("\n"),
        first_line,
        span: offset + start..offset + start + length,
        end_column: place.column + characters.max(1),
    })
}

/// How many bytes the word at the beginning of a line takes: a JSON string or literal, a bracket, a tag of XML.
fn word(line: &str) -> usize {
    let mut letters = line.char_indices();
    match letters.next() {
        None => 0,
        Some((_, '"')) => {
            let mut escaped = false;
            let end = letters.find(|(_, letter)| match (*letter, escaped) {
                ('"', false) => true,
                (letter, was) => {
                    escaped = letter == '\\' && !was;
                    false
                }
            });
            end.map_or(line.len(), |(at, _)| at + 1)
        }
        Some((_, first)) if !first.is_alphanumeric() && first != '-' => first.len_utf8(),
        Some(_) => line.find(|letter: char| ",]}<>\" \t".contains(letter)).unwrap_or(line.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_word_at_a_place_is_marked_whole() {
        let text = "{\n  \"a\\\"ü\": [1.5e3, true],\r\n  \"b\": {\n}";
        let sources = |_: &Path| Some(text.as_bytes().to_vec());
        let marked = |line, column| {
            let mark = mark(&Place { file: "x".into(), line, column }, &sources)?;
            Some((mark.text[mark.span].to_owned(), mark.first_line, mark.end_column))
        };
        assert_eq!(marked(1, 1), Some(("{".to_owned(), 1, 2)));
        assert_eq!(marked(2, 3), Some(("\"a\\\"ü\"".to_owned(), 1, 9)));
        assert_eq!(marked(2, 11), Some(("[".to_owned(), 1, 12)));
        assert_eq!(marked(2, 12), Some(("1.5e3".to_owned(), 1, 17)));
        assert_eq!(marked(2, 19), Some(("true".to_owned(), 1, 23)));
        assert_eq!(marked(2, 400), Some((String::new(), 1, 401)));
        assert_eq!(marked(3, 3), Some(("\"b\"".to_owned(), 2, 6)));
        assert_eq!(marked(9, 1), None);
    }

    #[test]
    fn what_is_not_text_is_not_shown() {
        let place = Place { file: "x".into(), line: 1, column: 1 };
        assert_eq!(mark(&place, &|_: &Path| None), None);
        for bytes in [&b"\xFF\xFE"[..], b"a\x1b[31m", &[b'a'; 5_000]] {
            assert_eq!(mark(&place, &|_: &Path| Some(bytes.to_vec())), None);
        }
    }
}
