//! Texts of a format, and texts that match a pattern.

use regex_syntax::hir::{Class, Hir, HirKind};

/// How far a pattern is followed.
const DEPTH: usize = 64;
/// The longest text that is made.
const BYTES: usize = 4096;

/// Some texts of a format of JSON Schema, each in another of its spellings.
pub(super) fn of_format(format: &str) -> impl Iterator<Item = &'static str> {
    let texts: &[&str] = match format {
        "date" => &["2024-02-29", "1970-01-01"],
        "date-time" => &["2024-02-29T12:00:00Z", "1970-01-01T00:00:00+01:00"],
        "duration" => &["P1D", "PT1H30M"],
        "email" => &["a@example.org", "first.last@example.org"],
        "hostname" => &["example.org", "a-b.example"],
        "idn-email" => &["ä@example.org", "a@example.org"],
        "idn-hostname" => &["ä.example.org", "example.org"],
        "ipv4" => &["192.0.2.1", "255.255.255.255"],
        "ipv6" => &["::1", "2001:db8::ff"],
        "iri" => &["https://example.org/ä", "urn:x:a"],
        "iri-reference" => &["/ä", "a"],
        "json-pointer" => &["/a/0", ""],
        "regex" => &["^a+$", "a"],
        "relative-json-pointer" => &["0", "1/a"],
        "time" => &["12:00:00Z", "23:59:59+01:00"],
        "uri" => &["https://example.org/a", "urn:x:a"],
        "uri-reference" => &["/a", "a"],
        "uri-template" => &["https://example.org/{a}", "/a"],
        "uuid" => &["2eb8aa08-aa98-11ea-b4aa-73b441d16380"],
        _ => &[],
    };
    texts.iter().copied()
}

/// A text that matches the pattern and has about `length` characters; none where the pattern cannot be followed.
pub(super) fn matching(pattern: &str, length: u64) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    let spare = usize::try_from(length).unwrap_or(usize::MAX).min(BYTES);
    write(&hir, &mut text, spare, 0)?;
    Some(text)
}

fn write(hir: &Hir, text: &mut String, length: usize, depth: usize) -> Option<()> {
    if depth > DEPTH || text.len() > BYTES {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(letter(class)?),
        HirKind::Capture(capture) => write(&capture.sub, text, length, depth + 1)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, text, length, depth + 1))?,
        HirKind::Alternation(parts) => write(parts.first()?, text, length, depth + 1)?,
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let mut written = 0;
            while written < repetition.min || (written < most && text.chars().count() < length) {
                let before = text.len();
                write(&repetition.sub, text, length, depth + 1)?;
                written += 1;
                // What repeats nothing would do so for ever.
                if text.len() == before {
                    break;
                }
            }
        }
    }
    Some(())
}

/// A letter of the class that a person would type, if it has one.
fn letter(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let has = |letter: char| class.iter().any(|range| (range.start()..=range.end()).contains(&letter));
    ['a', '0', 'A', ' ', '-'].into_iter().find(|letter| has(*letter)).or_else(|| Some(class.iter().next()?.start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_made_for_a_pattern() {
        for (pattern, length, text) in [
            ("^[a-z]{2,4}$", 0, "aa"),
            ("^[a-z]{2,4}$", 9, "aaaa"),
            ("^(north|south)$", 0, "north"),
            (r"^\{[0-9]+(;[0-9]+)*\}$", 0, "{0}"),
            ("^A.*$", 3, "Aaa"),
            ("(a*)*", 0, ""),
        ] {
            assert_eq!(matching(pattern, length).as_deref(), Some(text), "{pattern}");
        }
    }

    #[test]
    fn each_format_has_texts() {
        let none: Vec<_> = crate::schema::FORMATS.iter().filter(|format| of_format(format).next().is_none()).collect();
        assert!(none.is_empty(), "{none:?}");
    }
}
