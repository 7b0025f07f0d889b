//! Inputs and outputs against schema and bindings.
//!
//! What passes has exactly the declared names, each with a value of its contract type.

use serde_json::{Map, Value};

use crate::bindings::Binding;
use crate::canonical::{self, Inputs};
use crate::json::spans::escape;
use crate::schema::{Schema, Subject, VIOLATIONS, Violation};

/// Checks inputs as they are with defaults filled in, then coerces each by its binding.
pub(crate) fn inputs(schema: &Schema, bindings: &[Binding], inputs: Value) -> Result<Inputs, Vec<Violation>> {
    let Value::Object(mut filled) = inputs else {
        return Err(vec![Violation::new("", "type", "the inputs must be an object of values by name")]);
    };
    let mut violations = unknown(bindings, filled.keys(), Subject::Inputs);
    schema.defaults().fill(&mut filled);
    let mut filled = Value::Object(filled);
    violations.extend(schema.check(&filled));
    let mut values = Map::new();
    for binding in bindings {
        // Each is there once: as it came, or coerced.
        let given = filled.get_mut(&binding.name).map(Value::take);
        match given.map(|value| canonical::coerce(binding, value)) {
            Some(Ok(value)) => {
                values.insert(binding.name.clone(), value);
            }
            Some(Err(refused)) => add_where_silent(&mut violations, refused),
            // The schema has said so, or the load would have refused it for want of a default.
            None => add_where_silent(&mut violations, vec![missing(binding)]),
        }
    }
    if violations.is_empty() { Ok(Inputs::new(values)) } else { Err(tidy(violations)) }
}

/// Checks outputs as a node gave them.
pub(crate) fn outputs(
    schema: &Schema,
    bindings: &[Binding],
    outputs: &Map<String, Value>,
) -> Result<(), Vec<Violation>> {
    let mut violations = unknown(bindings, outputs.keys(), Subject::Outputs);
    // The schema wants a whole; large outputs are copied here once.
    let whole = Value::Object(outputs.clone());
    violations.extend(schema.check(&whole));
    if violations.is_empty() { Ok(()) } else { Err(tidy(violations)) }
}

fn missing(binding: &Binding) -> Violation {
    Violation::new(format!("/{}", escape(&binding.name)), "required", format!("`{}` is missing", binding.name))
}

/// Names that no binding has, whatever the schema lets pass.
fn unknown<'n>(bindings: &[Binding], names: impl Iterator<Item = &'n String>, subject: Subject) -> Vec<Violation> {
    let known: Vec<&str> = bindings.iter().map(|binding| binding.name.as_str()).collect();
    let names = names.map(String::as_str).filter(|name| !known.contains(name));
    Violation::unknown("", subject.unknown(), names, &known)
}

/// Adds violations of types where the schema has said nothing at, above or below that place: one slip, one complaint.
fn add_where_silent(violations: &mut Vec<Violation>, found: Vec<Violation>) {
    let around = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for violation in found {
        let told = violations
            .iter()
            .any(|known| around(&known.pointer, &violation.pointer) || around(&violation.pointer, &known.pointer));
        if !told || violations.is_empty() {
            violations.push(violation);
        }
        if violations.len() >= 2 * VIOLATIONS {
            return;
        }
    }
}

fn tidy(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations.sort();
    // The schema and the bindings both tell of an unknown name.
    violations.dedup_by(|later, first| later.pointer == first.pointer && later.rule == first.rule);
    violations.truncate(VIOLATIONS);
    violations
}
