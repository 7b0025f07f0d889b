//! Inputs and outputs one by one.
//!
//! Every change points at the member's own lines, and one slip makes one change: where the type or the access of a binding
//! changed, the schemas that follow it are not told as well.

use serde_json::Value;

use super::proof::Proof;
use super::rules::{self, Rule};
use super::values::{Loss, Values, Witness};
use super::{Change, Side, shape};
use crate::bindings::{Access, Binding};
use crate::canonical;
use crate::defaults::Defaults;
use crate::json::spans::escape;
use crate::schema::Schema;

const INPUTS: &str = "inputs.schema.json";
const OUTPUTS: &str = "outputs.schema.json";
const BINDINGS: &str = "bindings.json";

/// Adds what changed of the inputs: callers send what the old version took.
pub(super) fn inputs(old: &Side<'_>, new: &Side<'_>, changes: &mut Vec<Change>) {
    let sides = (old, new);
    let alone = [&old.contract.inputs, &new.contract.inputs].map(|schema| schema.members_alone());
    for binding in &old.contract.bindings.inputs {
        let name = binding.name.as_str();
        let Some(now) = named(&new.contract.bindings.inputs, name) else {
            let message = format!("the input `{name}` is gone");
            changes.push(at_member(&rules::INPUT_REMOVED, sides, INPUTS, name, message));
            continue;
        };
        requirement(sides, name, changes);
        default(sides, binding, now, changes);
        unit(sides, name, INPUTS, changes);
        if let Some(change) = binding_changed(sides, binding, now, "inputs") {
            changes.push(change);
        } else if let [Some(before), Some(after)] = &alone {
            let sender =
                Values { name, schema: before, binding: Some(binding), defaults: Some(old.contract.inputs.defaults()) };
            let receiver =
                Values { name, schema: after, binding: Some(now), defaults: Some(new.contract.inputs.defaults()) };
            match sender.lost_on(&receiver) {
                Some(loss) => changes.extend(losses(sides, name, "inputs", &loss)),
                None if wider(&sender, &receiver) => {
                    let message = format!("`{name}` accepts more than before");
                    changes.push(at_member(&rules::INPUT_WIDENED, sides, INPUTS, name, message));
                }
                None => {}
            }
        }
        if binding.step != now.step {
            let (pointer, words) = (format!("/inputs/{}/step", escape(name)), (step(binding), step(now)));
            let message = format!("the step of `{name}` was {} and is {}", words.0, words.1);
            changes.push(Change::at_files(&rules::INPUT_STEP_CHANGED, sides, BINDINGS, &pointer, message));
        }
    }
    for binding in &new.contract.bindings.inputs {
        let name = binding.name.as_str();
        if named(&old.contract.bindings.inputs, name).is_none() {
            let required = !new.contract.inputs.defaults().has(name);
            let rule = if required { &rules::INPUT_REQUIRED_ADDED } else { &rules::INPUT_ADDED };
            let how = if required { "required" } else { "optional" };
            let message = format!("the input `{name}` is new, and {how}");
            let witness = required.then(|| left_out(sides, name)).flatten();
            changes.push(at_member(rule, sides, INPUTS, name, message).witness(witness));
        }
    }
    order(sides, "inputs", changes);
}

/// Adds what changed of the outputs: callers know what the old version promised.
pub(super) fn outputs(old: &Side<'_>, new: &Side<'_>, changes: &mut Vec<Change>) {
    let sides = (old, new);
    let alone = [&old.contract.outputs, &new.contract.outputs].map(|schema| schema.members_alone());
    for binding in &old.contract.bindings.outputs {
        let name = binding.name.as_str();
        let Some(now) = named(&new.contract.bindings.outputs, name) else {
            let message = format!("the output `{name}` is gone");
            changes.push(at_member(&rules::OUTPUT_REMOVED, sides, OUTPUTS, name, message));
            continue;
        };
        match [old, new].map(|side| requires(&side.contract.outputs, name)) {
            [true, false] => {
                let message = format!("the output `{name}` may now be missing");
                changes.push(at_member(&rules::OUTPUT_OPTIONAL, sides, OUTPUTS, name, message));
            }
            [false, true] => {
                let message = format!("the output `{name}` is now always there");
                changes.push(at_member(&rules::OUTPUT_REQUIRED, sides, OUTPUTS, name, message));
            }
            [true, true] | [false, false] => {}
        }
        unit(sides, name, OUTPUTS, changes);
        if let Some(change) = binding_changed(sides, binding, now, "outputs") {
            changes.push(change);
        } else if let [Some(before), Some(after)] = &alone {
            let receiver = Values { name, schema: before, binding: Some(binding), defaults: None };
            let sender = Values { name, schema: after, binding: Some(now), defaults: None };
            match sender.lost_on(&receiver) {
                Some(loss) => changes.extend(losses(sides, name, "outputs", &loss)),
                None if wider(&sender, &receiver) => {
                    let message = format!("more is promised of `{name}` than before");
                    changes.push(at_member(&rules::OUTPUT_NARROWED, sides, OUTPUTS, name, message));
                }
                None => {}
            }
        }
    }
    for binding in &new.contract.bindings.outputs {
        let name = binding.name.as_str();
        if named(&old.contract.bindings.outputs, name).is_none() {
            let message = format!("the output `{name}` is new");
            changes.push(at_member(&rules::OUTPUT_ADDED, sides, OUTPUTS, name, message));
        }
    }
    order(sides, "outputs", changes);
}

fn named<'b>(bindings: &'b [Binding], name: &str) -> Option<&'b Binding> {
    bindings.iter().find(|binding| binding.name == name)
}

fn at_member(
    rule: &'static Rule,
    sides: (&Side<'_>, &Side<'_>),
    file: &str,
    name: &str,
    message: impl Into<String>,
) -> Change {
    Change::at_files(rule, sides, file, &format!("/properties/{}", escape(name)), message)
}

/// Whether the receiver takes values that the sender never sends: called where it takes all that it does.
fn wider(sender: &Values<'_>, receiver: &Values<'_>) -> bool {
    let differs = sender.binding.map(|binding| binding.kind) != receiver.binding.map(|binding| binding.kind);
    differs || receiver.lost_on(sender).is_some()
}

/// A change of the binding by which callers' values are of another kind, or come in another number.
fn binding_changed(
    sides: (&Side<'_>, &Side<'_>),
    before: &Binding,
    after: &Binding,
    section: &'static str,
) -> Option<Change> {
    let is_input = section == "inputs";
    let name = &before.name;
    let pointer = |member: &str| format!("/{section}/{}/{member}", escape(name));
    if before.access != after.access {
        let rule = if is_input { &rules::INPUT_ACCESS_CHANGED } else { &rules::OUTPUT_ACCESS_CHANGED };
        let word = |access: Access| match access {
            Access::Item => "one value",
            Access::List => "a list",
            Access::Tree => "a tree",
        };
        let message = format!("`{name}` was {} and is {}", word(before.access), word(after.access));
        let witness = known(sides, name, section);
        return Some(Change::at_files(rule, sides, BINDINGS, &pointer("access"), message).witness(witness));
    }
    let (wide, narrow) = if is_input { (after.kind, before.kind) } else { (before.kind, after.kind) };
    // Numbers differ in their JSON already, so the proof of the schemas finds a value that shows it.
    let numeric = shape::takes(narrow, wide);
    if shape::takes(wide, narrow) || (numeric && before.kind.is_numeric()) {
        return None;
    }
    let rule = if is_input { &rules::INPUT_TYPE_CHANGED } else { &rules::OUTPUT_TYPE_CHANGED };
    let message = format!("`{name}` was of type {} and is {}", before.kind.word(), after.kind.word());
    Some(Change::at_files(rule, sides, BINDINGS, &pointer("type"), message).witness(known(sides, name, section)))
}

/// A value of a member that its sender's examples show.
fn known((old, new): (&Side<'_>, &Side<'_>), name: &str, section: &str) -> Option<Value> {
    if section == "inputs" {
        let examples = &old.contract.examples.valid;
        return examples.iter().find_map(|example| example.inputs.get(name)).cloned();
    }
    let examples = &new.contract.examples.valid;
    examples.iter().find_map(|example| example.outputs.as_ref()?.get(name)).cloned()
}

fn requires(schema: &Schema, name: &str) -> bool {
    let names = schema.document().get("required").and_then(Value::as_array);
    names.is_some_and(|names| names.iter().any(|required| required == name))
}

fn requirement(sides: (&Side<'_>, &Side<'_>), name: &str, changes: &mut Vec<Change>) {
    match [sides.0, sides.1].map(|side| side.contract.inputs.defaults().has(name)) {
        [true, false] => {
            let message = format!("the input `{name}` could be left out, and no longer can");
            let change = at_member(&rules::INPUT_NOW_REQUIRED, sides, INPUTS, name, message);
            changes.push(change.witness(left_out(sides, name)));
        }
        [false, true] => {
            let message = format!("the input `{name}` may now be left out");
            changes.push(at_member(&rules::INPUT_OPTIONAL, sides, INPUTS, name, message));
        }
        [true, true] | [false, false] => {}
    }
}

/// An example of the old version's without the input, which it accepts and the new one refuses for want of it.
fn left_out((old, new): (&Side<'_>, &Side<'_>), name: &str) -> Option<Value> {
    let pointer = format!("/{}", escape(name));
    old.contract.examples.valid.iter().find_map(|example| {
        let mut inputs = example.inputs.clone();
        inputs.as_object_mut()?.remove(name);
        old.contract.check_inputs(&inputs).ok()?;
        let violations = new.contract.check_inputs(&inputs).err()?;
        violations.iter().any(|violation| violation.pointer == pointer).then_some(inputs)
    })
}

/// Adds defaults that changed: of the member, and of objects in it.
fn default(sides: (&Side<'_>, &Side<'_>), before: &Binding, after: &Binding, changes: &mut Vec<Change>) {
    let (old, new) = sides;
    let name = before.name.as_str();
    let of = |side: &Side<'_>, binding: &Binding| {
        let default = side.contract.inputs.defaults().get(name)?.clone();
        let mut object = serde_json::Map::from_iter([(name.to_owned(), default)]);
        side.contract.inputs.defaults().fill_below(name, &mut object);
        let filled = object.remove(name)?;
        // 3 and 3.0 are one value where a number is wanted.
        Some(canonical::coerce(binding, filled.clone()).unwrap_or(filled))
    };
    let (was, is) = (of(old, before), of(new, after));
    let pointer = format!("/properties/{}/default", escape(name));
    if let (Some(was), Some(is)) = (&was, &is)
        && spelled(was) != spelled(is)
    {
        let message = format!("the default of `{name}` was {} and is {}", short(was), short(is));
        changes.push(Change::at_files(&rules::INPUT_DEFAULT_CHANGED, sides, INPUTS, &pointer, message));
        return;
    }
    let inner = |side: &Side<'_>| side.contract.inputs.defaults().below(name).cloned().unwrap_or_default();
    for path in Defaults::changed(&inner(old), &inner(new)) {
        let message = format!("a default within `{name}` changed: that of `{path}`");
        let pointer = format!("/properties/{}", escape(name));
        changes.push(Change::at_files(&rules::INPUT_DEFAULT_CHANGED, sides, INPUTS, &pointer, message));
    }
}

/// One spelling for whole numbers, with and without a point.
fn spelled(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), spelled(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// A value in a message, cut where it is long.
pub(super) fn short(value: &Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain("…".chars()).collect() }
}

fn unit(sides: (&Side<'_>, &Side<'_>), name: &str, file: &'static str, changes: &mut Vec<Change>) {
    let is_input = file == INPUTS;
    let unit = |side: &Side<'_>| {
        let schema = if is_input { &side.contract.inputs } else { &side.contract.outputs };
        let member = schema.document().get("properties")?.get(name)?;
        schema.chain(member).into_iter().find_map(|part| Some(part.get("x-unit")?.as_str()?.to_owned()))
    };
    let pointer = format!("/properties/{}/x-unit", escape(name));
    let (rule, message) = match [sides.0, sides.1].map(unit) {
        [was, is] if was == is => return,
        [None, Some(is)] => {
            let rule = if is_input { &rules::INPUT_UNIT_STATED } else { &rules::OUTPUT_UNIT_STATED };
            (rule, format!("the unit of `{name}` is now stated: {is}"))
        }
        [was, is] => {
            let rule = if is_input { &rules::INPUT_UNIT_CHANGED } else { &rules::OUTPUT_UNIT_CHANGED };
            let [was, is] = [was, is].map(|unit| unit.unwrap_or_else(|| "not stated".to_owned()));
            (rule, format!("the unit of `{name}` was {was} and is {is}"))
        }
    };
    changes.push(Change::at_files(rule, sides, file, &pointer, message));
}

/// Adds that the common members stand in another order.
fn order(sides: (&Side<'_>, &Side<'_>), section: &str, changes: &mut Vec<Change>) {
    let is_input = section == "inputs";
    let of = |side: &Side<'_>| {
        let bindings = &side.contract.bindings;
        let bindings = if is_input { &bindings.inputs } else { &bindings.outputs };
        bindings.iter().map(|binding| binding.name.clone()).collect::<Vec<_>>()
    };
    let [before, after] = [sides.0, sides.1].map(of);
    let was: Vec<_> = before.iter().filter(|name| after.contains(name)).collect();
    let is: Vec<_> = after.iter().filter(|name| before.contains(name)).collect();
    let Some((_, name)) = was.iter().zip(&is).find(|(was, is)| was != is) else { return };
    let (rule, file) =
        if is_input { (&rules::INPUT_ORDER_CHANGED, INPUTS) } else { (&rules::OUTPUT_ORDER_CHANGED, OUTPUTS) };
    let message = format!("the {section} stand in another order, from `{name}` on");
    let pointer = format!("/properties/{}/x-order", escape(name));
    changes.push(Change::at_files(rule, sides, file, &pointer, message));
}

fn step(binding: &Binding) -> String {
    binding.step.map_or_else(|| "not stated".to_owned(), |step| step.to_string())
}

/// One change for each way in which values are lost.
fn losses(sides: (&Side<'_>, &Side<'_>), name: &str, section: &str, loss: &Loss) -> Vec<Change> {
    let is_input = section == "inputs";
    let file = if is_input { INPUTS } else { OUTPUTS };
    let member = format!("/properties/{}", escape(name));
    if loss.witnesses.is_empty() {
        let (known, concerned) = match &loss.proof {
            Proof::Lost(schema) => (true, schema),
            Proof::Unknown(schema) => (false, schema),
            Proof::Contained => (true, &None),
        };
        let (rule, message) = match (is_input, known) {
            (true, true) => (&rules::INPUT_NARROWED, format!("`{name}` no longer accepts some values")),
            (true, false) => {
                let message = format!("it cannot be told whether `{name}` still accepts all that it did");
                (&rules::INPUT_UNPROVEN, message)
            }
            (false, true) => (&rules::OUTPUT_WIDENED, format!("`{name}` may have values that it had not")),
            (false, false) => {
                let message = format!("it cannot be told whether `{name}` may have values that it had not");
                (&rules::OUTPUT_UNPROVEN, message)
            }
        };
        let message = if known { format!("{message}; no example of one could be made") } else { message };
        return vec![Change { lost: concerned.clone(), ..Change::at_files(rule, sides, file, &member, message) }];
    }
    let change = |witness: &Witness| {
        let message = if is_input {
            format!("`{name}` no longer accepts {}: {}", short(&witness.value), witness.message)
        } else {
            format!(
                "`{name}` may now be {}, which was promised not to come: {}",
                short(&witness.value),
                witness.message
            )
        };
        let rule = rule(is_input, witness.keyword.as_deref());
        let change = match &witness.pointer {
            // The place is the receiver's, which the other side may not have.
            Some(pointer) => Change::at_files(rule, sides, file, pointer, message),
            None => Change::at_files(rule, sides, BINDINGS, &format!("/{section}/{}/type", escape(name)), message),
        };
        let around = |place: super::Place, side: &Side<'_>| {
            if place.pointer.starts_with("/properties/")
                || place.pointer.starts_with("/$defs/")
                || witness.pointer.is_none()
            {
                place
            } else {
                side.place(file, &member)
            }
        };
        Change { old: around(change.old, sides.0), new: around(change.new, sides.1), ..change }
            .witness(witness.value.clone())
    };
    loss.witnesses.iter().map(change).collect()
}

/// The rule of a keyword that refuses a value.
fn rule(is_input: bool, keyword: Option<&str>) -> &'static Rule {
    let [input, output]: [&'static Rule; 2] = match keyword {
        Some("type") | None => [&rules::INPUT_TYPE_NARROWED, &rules::OUTPUT_TYPE_WIDENED],
        Some("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf") => {
            [&rules::INPUT_RANGE_NARROWED, &rules::OUTPUT_RANGE_WIDENED]
        }
        Some("enum" | "const") => [&rules::INPUT_CHOICE_REMOVED, &rules::OUTPUT_CHOICE_ADDED],
        Some("minLength" | "maxLength" | "pattern" | "format" | "contentEncoding" | "contentMediaType") => {
            [&rules::INPUT_TEXT_NARROWED, &rules::OUTPUT_TEXT_WIDENED]
        }
        Some("minItems" | "maxItems" | "uniqueItems" | "contains" | "unevaluatedItems" | "additionalItems") => {
            [&rules::INPUT_LIST_NARROWED, &rules::OUTPUT_LIST_WIDENED]
        }
        Some("required" | "minProperties" | "dependentRequired") => {
            [&rules::INPUT_MEMBER_REQUIRED, &rules::OUTPUT_MEMBER_OPTIONAL]
        }
        Some("additionalProperties" | "unevaluatedProperties" | "propertyNames" | "maxProperties" | "falseSchema") => {
            [&rules::INPUT_CLOSED, &rules::OUTPUT_OPENED]
        }
        Some(_) => [&rules::INPUT_NARROWED, &rules::OUTPUT_WIDENED],
    };
    if is_input { input } else { output }
}
