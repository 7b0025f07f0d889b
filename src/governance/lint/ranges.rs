//! Ranges, steps and defaults: what the schema promises callers, against what the author set in Grasshopper.

use contract::bindings::{Access, Binding, Type};
use contract::definition::Input;
use contract::json::spans::escape;
use serde_json::Value;

use super::{At, Lint, View, property};
use crate::governance::Severity;

const FILE: &str = "inputs.schema.json";

pub(super) fn lint(view: &View<'_>, lints: &mut Vec<Lint>) {
    let (Some(bindings), Some(definition)) = (view.bindings, view.definition) else { return };
    for binding in &bindings.inputs {
        let input = definition.inputs.iter().find(|input| input.name == binding.gh);
        let (Some(input), Some(property)) = (input, property(view.inputs, &binding.name)) else { continue };
        if matches!(binding.kind, Type::Number | Type::Integer) {
            range(binding, input, property, lints);
            step(binding, input, lints);
        }
        default(binding, input, property, lints);
    }
}

/// A getter's own limits hold whatever is sent; a slider's are passed by, but the author tried no value beyond them.
fn range(binding: &Binding, input: &Input, property: &Value, lints: &mut Vec<Lint>) {
    let ends = [
        ("minimum", "exclusiveMinimum", input.own_minimum, input.minimum, "down to"),
        ("maximum", "exclusiveMaximum", input.own_maximum, input.maximum, "up to"),
    ];
    for (keyword, exclusive, own, slider, words) in ends {
        let Some(limit) = own.or(slider) else { continue };
        let key = [keyword, exclusive].into_iter().find(|key| property.get(*key).is_some());
        let promised = key.and_then(|key| property.get(key)?.as_f64());
        let beyond = match promised {
            Some(promised) if keyword == "minimum" => promised < limit,
            Some(promised) => promised > limit,
            // A list of values bounds them as well.
            None => property.get("enum").is_none() && property.get("const").is_none(),
        };
        if !beyond {
            continue;
        }
        let name = escape(&binding.name);
        let pointer = key.map_or(format!("/properties/{name}"), |key| format!("/properties/{name}/{key}"));
        let promised = promised.map_or("any number".to_owned(), |promised| format!("{words} {promised}"));
        let (severity, what) = match own {
            Some(_) => (Severity::Error, "its Get component holds every value to"),
            None => (Severity::Warning, "its slider goes"),
        };
        let words = if own.is_some() { "" } else { words };
        let message = format!("`{}` may be {promised}, but {what} {words} {limit}", binding.name).replace("  ", " ");
        let lint = Lint::new("range_beyond_definition", severity, (FILE, &pointer), At::Value, message);
        let help = format!("set `{keyword}` to {limit}, or widen the limits in Grasshopper");
        lints.push(lint.label(format!("{} in the definition: {limit}", input.name)).help(help));
    }
}

fn step(binding: &Binding, input: &Input, lints: &mut Vec<Lint>) {
    let (Some(stated), Some(own)) = (binding.step, input.step) else { return };
    // A coarser step is a choice; one between the slider's positions is a slip.
    let times = stated / own;
    if own > 0.0 && (times < 0.5 || (times - times.round()).abs() > 1e-6) {
        let pointer = format!("/inputs/{}/step", escape(&binding.name));
        let message = format!(
            "the step of `{}` is {stated}, which is between two positions of its slider: they are {own} apart",
            binding.name
        );
        lints.push(Lint::new("step_differs", Severity::Note, ("bindings.json", &pointer), At::Value, message));
    }
}

/// Callers who leave the input out get the schema's default, and whoever opens the definition sees the other.
fn default(binding: &Binding, input: &Input, property: &Value, lints: &mut Vec<Lint>) {
    let simple = matches!(binding.kind, Type::Number | Type::Integer | Type::Boolean | Type::Text);
    let (Some(stated), Some(own), true) = (property.get("default"), &input.default, simple) else { return };
    if binding.access != Access::Item || own.is_empty() {
        return;
    }
    let own = own.to_plain();
    let same = match (stated.as_f64(), own.as_f64()) {
        (Some(stated), Some(own)) => (stated - own).abs() <= own.abs() * 1e-9,
        _ => *stated == own,
    };
    if !same && (own.is_number() || own.is_boolean() || own.is_string()) {
        let pointer = format!("/properties/{}/default", escape(&binding.name));
        let message = format!("the default of `{}` is {stated} here, and {own} in the definition", binding.name);
        let lint = Lint::new("default_differs", Severity::Warning, (FILE, &pointer), At::Value, message);
        lints.push(
            lint.help("solves use the one of the schema: make the two agree, so that both show the same".to_owned()),
        );
    }
}
