//! What stands on the canvas and will not do what its author thinks, with the way to mend it in Grasshopper.
//!
//! Compute ignores all of these in silence. Invariant: a definition that works as meant gets no error here.

use std::collections::HashSet;
use uuid::Uuid;

use super::canvas::{Canvas, Object};
use super::discover::Found;
use super::guids;
use super::model::{Input, Problem, Severity};

/// How many unconnected parameters are told one by one.
const TOLD: usize = 20;

/// Checks the whole canvas, after discovery.
pub(super) fn check(canvas: &Canvas<'_>, found: &Found) -> Vec<Problem> {
    let mut problems = Vec::new();
    let inputs = found.inputs.iter().map(|input| input.instance);
    let seen: HashSet<Uuid> = inputs.chain(found.outputs.iter().map(|output| output.instance)).collect();
    for object in &canvas.objects {
        if object.component == guids::GROUP {
            problems.extend(group(canvas, object));
        } else {
            problems.extend(marked(object, &seen));
        }
    }
    let without_value = canvas.objects.iter().filter_map(|object| valueless(canvas, object, &seen));
    problems.extend(without_value.take(TOLD));
    if found.outputs.is_empty() {
        problems.push(Problem {
            code: "no_outputs",
            severity: Severity::Error,
            message: "compute sees no output, and answers every solve with status 500 and an empty body".to_owned(),
            spot: None,
            fix: "put the parameter with the result into a group with the nickname RH_OUT:name, or connect it to a \
                  Context Bake or Context Print"
                .to_owned(),
        });
    }
    if found.inputs.is_empty() {
        problems.extend(no_inputs(canvas));
    }
    problems
}

/// An input that compute lists and then does not fill.
pub(super) fn unfilled(input: &Input, parameter: &Object<'_>, named: &Object<'_>) -> Option<Problem> {
    let error = |code, message, fix: &str| {
        Some(Problem { code, severity: Severity::Error, message, spot: Some(parameter.spot()), fix: fix.to_owned() })
    };
    if input.name.trim().is_empty() {
        let message = format!("{} is an input without a name", named.spot());
        return error("empty_name", message, "give it a nickname");
    }
    let what = if parameter.name.is_empty() { "parameter" } else { parameter.name };
    if parameter.contextual_type().is_some() {
        if guids::contextual_takes(&input.type_name) {
            return None;
        }
        let message = format!("\"{}\" is a {what} of a plug-in, and compute may give it no value", input.name);
        let mut problem = error(
            "contextual_type",
            message,
            "use Rhino's own Get Boolean, Number, Integer, Point, Plane, Line, String or Geometry",
        )?;
        problem.severity = Severity::Warning;
        return Some(problem);
    }
    if guids::group_takes(parameter.component) {
        return None;
    }
    let message = format!("\"{}\" is bound to a {what}, which compute clears and never fills", input.name);
    let fix = match input.type_name.as_str() {
        "SubD" | "Geometry" | "Generic Data" | "Point Cloud" => {
            "use a Get Geometry, or a parameter of the exact type, such as Brep, Curve or Mesh"
        }
        "Text" => "use a Text parameter or a Get String",
        "Boolean" => "use a Boolean Toggle or a Get Boolean",
        _ => {
            "use a Number, Integer, Boolean, Text, Point, Vector, Plane, Line, Curve, Circle, Rectangle, Box, Surface, \
              Brep or Mesh parameter, a slider, a toggle or a panel"
        }
    };
    error("never_filled", message, fix)
}

/// A group that is meant as an input or output and is none.
fn group(canvas: &Canvas<'_>, group: &Object<'_>) -> Option<Problem> {
    let error =
        |code, message, fix| Some(Problem { code, severity: Severity::Error, message, spot: Some(group.spot()), fix });
    let nickname = group.nickname;
    let is_input = nickname.contains("RH_IN");
    if !is_input && !nickname.contains("RH_OUT") {
        let meant = meant_mark(nickname)?;
        let message =
            format!("the group \"{nickname}\" looks like an input or output, and its nickname lacks \"{meant}\"");
        return error("group_misspelt", message, format!("spell the mark exactly {meant}, in capitals"));
    }
    let mark = if is_input { "RH_IN" } else { "RH_OUT" };
    let Some(first) = canvas.members(group).next() else {
        let lost = group.container.items_named("ID").count();
        let message = match lost {
            0 => format!("the group \"{nickname}\" is empty, so compute does not see it"),
            _ => format!("all members of the group \"{nickname}\" were deleted, so compute does not see it"),
        };
        let fix = format!("put the parameter into the group, or delete the {mark} group");
        // Often a leftover beside the input or output that replaced it.
        return error("group_empty", message, fix).map(|problem| Problem { severity: Severity::Warning, ..problem });
    };
    if first.is_parameter() || (!is_input && first.is_component() && !first.outputs().is_empty()) {
        return None;
    }
    let message = format!(
        "the group \"{nickname}\" is bound to its first member, {}, which is no parameter, so compute does not see it",
        first.spot()
    );
    error("group_first_member", message, "group the parameter alone, so that it is the first member".to_owned())
}

/// The mark that a nickname spells in another way: `rh_in:a`, `RH-OUT b`, `RHIN_c`.
fn meant_mark(nickname: &str) -> Option<&'static str> {
    let letters: String = nickname
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(5)
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    match letters.as_str() {
        "RHOUT" => Some("RH_OUT"),
        _ if letters.starts_with("RHIN") => {
            // "rhino" is a word.
            (!nickname.to_ascii_lowercase().starts_with("rhino")).then_some("RH_IN")
        }
        _ => None,
    }
}

/// An object whose own nickname carries the mark, and that is in no group that does.
fn marked(object: &Object<'_>, seen: &HashSet<Uuid>) -> Option<Problem> {
    let mark = ["RH_IN", "RH_OUT"].into_iter().find(|mark| object.nickname.contains(mark))?;
    // Scribbles and the like only talk about it.
    if seen.contains(&object.instance) || !(object.is_parameter() || object.is_component()) {
        return None;
    }
    Some(Problem {
        code: "not_in_group",
        severity: Severity::Error,
        message: format!("compute will not see {}: the nickname of the object itself does not count", object.spot()),
        spot: Some(object.spot()),
        fix: format!(
            "select it alone, press Ctrl+G, and give the group the nickname {}",
            with_colon(object.nickname, mark)
        ),
    })
}

fn with_colon(nickname: &str, mark: &str) -> String {
    if nickname.starts_with(mark) { nickname.to_owned() } else { format!("{mark}:{nickname}") }
}

/// A parameter that others take their data from, and that has none.
fn valueless(canvas: &Canvas<'_>, object: &Object<'_>, seen: &HashSet<Uuid>) -> Option<Problem> {
    let is_plain = object.is_parameter()
        && object.contextual_type().is_none()
        && guids::group_takes(object.component)
        && !matches!(object.component, guids::SLIDER | guids::PANEL | guids::TOGGLE);
    if !is_plain
        || object.nickname.contains("RH_IN")
        || seen.contains(&object.instance)
        || object.container.item("Source").is_some()
        || !canvas.feeds_something(object)
    {
        return None;
    }
    let items = object
        .container
        .chunk("PersistentData")
        .map_or(0, |data| data.chunks_named("Branch").map(|branch| branch.chunks_named("Item").count()).sum());
    (items == 0).then(|| Problem {
        code: "no_value",
        severity: Severity::Warning,
        message: format!("{} feeds others, and has neither a wire nor a value, nor is it an input", object.spot()),
        spot: Some(object.spot()),
        fix: format!("if callers are to set it, group it alone with the nickname RH_IN:{}", name_for(object)),
    })
}

fn no_inputs(canvas: &Canvas<'_>) -> Option<Problem> {
    let is_control = |object: &&Object<'_>| matches!(object.component, guids::SLIDER | guids::TOGGLE);
    let mut controls = canvas.objects.iter().filter(is_control).filter(|object| canvas.feeds_something(object));
    let first = controls.next()?;
    let more = controls.count();
    let others = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(Problem {
        code: "no_inputs",
        severity: Severity::Warning,
        message: format!("compute sees no input; {}{others} keep the value that they have in the file", first.spot()),
        spot: Some(first.spot()),
        fix: format!("put each into a group of its own with a nickname such as RH_IN:{}", name_for(first)),
    })
}

fn name_for(object: &Object<'_>) -> String {
    if object.nickname.is_empty() { "name".to_owned() } else { object.nickname.to_owned() }
}
