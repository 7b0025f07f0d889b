//! Text: joining, splitting, replacing, formatting and matching.
//!
//! What is made is never longer than the node allows one text to be.

use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::expression::format_text;
use crate::value::{Kind, Value};

const RESULT: &[Output] = &[Output::item("Result")];

pub(super) static TABLE: &[Descriptor] = &[
    growing(
        &[guid("2013e425-8713-42e2-a661-b57e78840337")],
        "Concatenate",
        &[Input::item("Fragment", Kind::Text).optional()],
        RESULT,
        concatenate,
    ),
    fixed(
        &[guid("1274d51a-81e6-4ccf-ad1f-0edf4c769cac")],
        "Text Join",
        &[Input::list("Text", Kind::Text), Input::item("Join", Kind::Text).optional()],
        RESULT,
        join,
    ),
    fixed(
        &[guid("04887d01-504c-480e-b2a2-01ea19cc5922")],
        "Text Split",
        &[Input::item("Text", Kind::Text), Input::item("Separators", Kind::Text)],
        &[Output::list("Result")],
        split,
    ),
    fixed(
        &[guid("4df8df00-3635-45bd-95e6-f9206296c110")],
        "Replace Text",
        &[
            Input::item("Text", Kind::Text),
            Input::item("Find", Kind::Text).optional(),
            Input::item("Replace", Kind::Text).optional(),
        ],
        RESULT,
        replace,
    ),
    growing(
        &[guid("758d91a0-4aec-47f8-9671-16739a8a2c5d")],
        "Format",
        &[
            Input::item("Format", Kind::Text),
            Input::item("Culture", Kind::Any).optional(),
            Input::item("Data", Kind::Any).optional(),
        ],
        &[Output::item("Text")],
        format,
    ),
    fixed(
        &[guid("86503240-d884-43f9-9323-efe30488a6e1")],
        "Characters",
        &[Input::item("Text", Kind::Text)],
        &[Output::list("Result"), Output::list("Unicode")],
        characters,
    ),
    fixed(
        &[guid("3756c55f-95c3-442c-a027-6b3ab0455a94")],
        "Match Text",
        &[
            Input::item("Text", Kind::Text),
            Input::item("Pattern", Kind::Text).optional(),
            Input::item("RegEx", Kind::Text).optional(),
            Input::item("Case", Kind::Boolean).or(Preset::Boolean(true)),
        ],
        &[Output::item("Match")],
        matches,
    ),
];

/// Joins the fragments that have data.
fn concatenate(call: &mut Call<'_>) -> Outcome {
    let mut text = String::new();
    for input in 0..call.args.len() {
        if let Some(fragment) = call.maybe(input) {
            text.push_str(&fragment.to_text());
        }
    }
    let text = call.bounded(text)?;
    call.put(0, text);
    Ok(())
}

fn join(call: &mut Call<'_>) -> Outcome {
    let separator = call.maybe(1).map(Value::to_text).unwrap_or_default();
    let fragments: Vec<String> = call.list(0).iter().flatten().map(Value::to_text).collect();
    // Checked before anything is joined: a long separator among many fragments multiplies.
    let bytes = fragments.iter().map(String::len).sum::<usize>() + separator.len() * fragments.len();
    call.work(bytes / 64)?;
    let text = call.bounded(fragments.join(&separator))?;
    call.put(0, text);
    Ok(())
}

/// Each character of the separators ends a fragment; empty fragments are kept.
fn split(call: &mut Call<'_>) -> Outcome {
    let (text, separators) = (call.text(0)?, call.text(1)?);
    let separators: Vec<char> = separators.chars().collect();
    call.work(text.len() / 8 * separators.len().max(1))?;
    let fragments: Vec<Value> = text.split(&separators[..]).map(|part| Value::Text(part.to_owned())).collect();
    call.put_list(0, fragments);
    Ok(())
}

fn replace(call: &mut Call<'_>) -> Outcome {
    let text = call.text(0)?;
    let (find, replacement) =
        (call.maybe(1).map(Value::to_text), call.maybe(2).map(Value::to_text).unwrap_or_default());
    let result = match find.filter(|find| !find.is_empty()) {
        None => text,
        Some(find) => {
            let hits = text.matches(&find).count();
            call.work((text.len() + hits * replacement.len()) / 64)?;
            text.replace(&find, &replacement)
        }
    };
    let text = call.bounded(result)?;
    call.put(0, text);
    Ok(())
}

/// Composite formatting in the invariant culture, whatever culture is asked for.
fn format(call: &mut Call<'_>) -> Outcome {
    let pattern = call.text(0)?;
    let data: Vec<Value> = (2..call.args.len()).filter_map(|input| call.maybe(input)).cloned().collect();
    let text = format_text(&pattern, &data).map_err(|fault| Stop::Error(fault.to_string()))?;
    let text = call.bounded(text)?;
    call.put(0, text);
    Ok(())
}

fn characters(call: &mut Call<'_>) -> Outcome {
    let text = call.text(0)?;
    call.room(i64::try_from(text.len()).unwrap_or(i64::MAX))?;
    call.put_list(0, text.chars().map(|character| Value::Text(character.to_string())));
    let codes = text.chars().map(|character| Value::Integer(i32::try_from(u32::from(character)).unwrap_or(0)));
    call.put_list(1, codes);
    Ok(())
}

/// Matches the whole text against a pattern of `*`, `?` and `#`, as the Like operator of Visual Basic does.
fn matches(call: &mut Call<'_>) -> Outcome {
    if call.maybe(2).is_some_and(|value| !value.to_text().is_empty()) {
        return Stop::error("Regular expressions are not supported by this node");
    }
    let (text, pattern) = (call.text(0)?, call.maybe(1).map(Value::to_text).unwrap_or_default());
    let case = call.boolean(3)?;
    let fold =
        |text: &str| -> Vec<char> { if case { text.chars().collect() } else { text.to_lowercase().chars().collect() } };
    let (text, pattern) = (fold(&text), fold(&pattern));
    call.work(1 + text.len() * pattern.len() / 64)?;
    call.put(0, Value::Boolean(like(&text, &pattern)));
    Ok(())
}

/// Wildcard matching in steps of at most text times pattern: on a mismatch only the last star takes one more.
fn like(text: &[char], pattern: &[char]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let fits = match pattern.get(p) {
            Some('?') => true,
            Some('#') => text[t].is_ascii_digit(),
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(character) => *character == text[t],
            None => false,
        };
        match star {
            _ if fits => {
                t += 1;
                p += 1;
            }
            Some((at, taken)) => {
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}
