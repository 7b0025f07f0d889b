//! One pass over the text of a `.ghx` before it is parsed: it refuses a DTD and bounds depth and attributes.
//!
//! The XML parser compares each attribute of an element with each other one; the bound on attributes keeps it linear.
//! Whatever this scan does not understand it leaves to the parser, which refuses it.

use crate::definition::error::{Place, ReadError, Refusal};
use crate::definition::limits::{Budget, over};

/// Grasshopper writes four attributes at most: name, index, `type_name`, `type_code`.
const ATTRIBUTES_MAX: usize = 16;

/// Checks that the text is worth parsing.
pub(super) fn check(text: &str, budget: &Budget) -> Result<(), ReadError> {
    // A chunk lies within `<chunks>` within its parent; an item adds `<items>`, itself and its numbers.
    let depth_max = budget.limits.depth * 2 + 4;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = text[at..].find('<') {
        let tag = at + found;
        let rest = &text[tag..];
        let end = if rest.starts_with("<!--") {
            rest.find("-->").map(|end| end + 3)
        } else if rest.starts_with("<![CDATA[") {
            rest.find("]]>").map(|end| end + 3)
        } else if rest.starts_with("<!") {
            return Err(ReadError::new(Refusal::Dtd, place(text, tag)));
        } else if rest.starts_with("<?") {
            rest.find("?>").map(|end| end + 2)
        } else if rest.starts_with("</") {
            depth = depth.saturating_sub(1);
            rest.find('>').map(|end| end + 1)
        } else {
            let end = element(rest);
            if let Some((attributes, length)) = end {
                if attributes > ATTRIBUTES_MAX {
                    return Err(over("attributes of one element", ATTRIBUTES_MAX, place(text, tag)));
                }
                if !rest[..length].ends_with("/>") {
                    depth += 1;
                }
                if depth > depth_max {
                    return Err(over("nested chunks", budget.limits.depth, place(text, tag)));
                }
            }
            end.map(|(_, length)| length)
        };
        // A tag without an end: the parser says so with the right words.
        let Some(length) = end else { return Ok(()) };
        at = tag + length;
    }
    Ok(())
}

/// The attributes of a start tag, and its length up to and with `>`.
fn element(rest: &str) -> Option<(usize, usize)> {
    let mut attributes = 0;
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => attributes += 1,
            (None, b'>') => return Some((attributes, at + 1)),
            _ => {}
        }
    }
    None
}

fn place(text: &str, at: usize) -> Place {
    let before = &text[..at];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Place::Line { line: number(line), column: number(column) }
}
