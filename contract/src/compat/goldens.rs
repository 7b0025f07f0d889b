//! Equal inputs, other results: what the examples of two versions say about each other.
//!
//! Inputs are equal where both versions read them as the same solve, so a default that changed makes no drift of its own.

use serde_json::Value;

use super::members::short;
use super::rules;
use super::{Change, Side};
use crate::examples::Example;
use crate::json::spans::escape;

/// Adds each output of an example that is beyond the old version's tolerance, and examples with nothing to compare with.
pub(super) fn compare(old: &Side<'_>, new: &Side<'_>, changes: &mut Vec<Change>) {
    for before in old.contract.examples.valid.iter().filter(|example| example.outputs.is_some()) {
        let mut equal =
            new.contract.examples.valid.iter().filter(|after| same_solve(old, new, before, after)).peekable();
        if equal.peek().is_none() {
            let message = format!("no example of {} has the inputs of `{}`", new.contract.version, before.name);
            let (old, new) = (old.place(&file(before), "/inputs"), new.place("manifest.json", "/version"));
            changes.push(Change { rule: &rules::GOLDEN_LOST, old, new, message, witness: None, lost: None });
        }
        for after in equal {
            drift(old, new, before, after, changes);
        }
    }
}

fn same_solve(old: &Side<'_>, new: &Side<'_>, before: &Example, after: &Example) -> bool {
    [old, new].into_iter().all(|side| {
        let [was, is] = [before, after].map(|example| side.contract.check_inputs(&example.inputs));
        matches!((was, is), (Ok(was), Ok(is)) if was.key == is.key)
    })
}

fn drift(old: &Side<'_>, new: &Side<'_>, before: &Example, after: &Example, changes: &mut Vec<Change>) {
    let (Some(was), Some(is)) = (&before.outputs, &after.outputs) else { return };
    for (name, was) in was {
        let Some(is) = is.get(name) else { continue };
        let Some(beyond) = differs(was, is, before.tolerance) else { continue };
        let pointer = format!("/outputs/{}", escape(name));
        let message = format!("with the inputs of `{}`, `{name}`{beyond}", before.name);
        changes.push(Change {
            rule: &rules::GOLDEN_DRIFT,
            old: old.place(&file(before), &pointer),
            new: new.place(&file(after), &pointer),
            message,
            witness: Some(before.inputs.clone()),
            lost: None,
        });
    }
}

fn file(example: &Example) -> String {
    format!("examples/valid/{}.json", example.name)
}

/// How two results differ, in words; none within the tolerance.
fn differs(was: &Value, is: &Value, tolerance: f64) -> Option<String> {
    match (was, is) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            let apart = (a - b).abs();
            // Not "more than": what is no number is not near.
            let near = apart <= tolerance;
            (!near).then(|| format!(" was {a} and is {b}; {apart:.3e} apart, {tolerance:e} allowed"))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| differs(a, b, tolerance).map(|beyond| format!("[{index}]{beyond}"))),
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(name, a)| differs(a, b.get(name)?, tolerance).map(|beyond| format!(".{name}{beyond}")))
        }
        (a, b) => (a != b).then(|| format!(" was {} and is {}", short(a), short(b))),
    }
}
