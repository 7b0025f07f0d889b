//! The examples against the contract: each must do what its folder says.

use crate::bindings::Binding;
use crate::check;
use crate::fault::Fault;
use crate::load::Parts;
use crate::schema::Schema;

use super::both;

/// Adds a fault for each valid example that is refused, each golden that the outputs' schema refuses, and each pointer
/// of an invalid example that is not among its violations.
pub(super) fn check(
    parts: &Parts<'_>,
    inputs: &[Binding],
    outputs: &[Binding],
    schemas: (&Schema, &Schema),
    faults: &mut Vec<Fault>,
) {
    for (source, example) in parts.valid.iter().filter_map(both) {
        for violation in check::inputs(schemas.0, inputs, example.inputs.clone()).err().unwrap_or_default() {
            let pointer = format!("/inputs{}", violation.pointer);
            let message = format!("a valid example is refused: {}", violation.message);
            faults.push(source.fault("example_refused", &pointer, message).help(violation.help));
        }
        let golden = example.outputs.as_ref().map(|golden| check::outputs(schemas.1, outputs, golden));
        for violation in golden.and_then(Result::err).unwrap_or_default() {
            let pointer = format!("/outputs{}", violation.pointer);
            let message = format!("the golden outputs are refused: {}", violation.message);
            faults.push(source.fault("example_golden", &pointer, message).help(violation.help));
        }
    }
    for (source, example) in parts.invalid.iter().filter_map(both) {
        let violations = check::inputs(schemas.0, inputs, example.inputs.clone()).err().unwrap_or_default();
        for (index, pointer) in example.violations.iter().enumerate() {
            if violations.iter().any(|violation| violation.pointer == *pointer) {
                continue;
            }
            let found: Vec<&str> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
            let message = if found.is_empty() {
                "an invalid example is accepted".to_owned()
            } else {
                format!("the example does not fail at `{pointer}`; it fails at {}", crate::fault::listed(found))
            };
            faults.push(source.fault("example_accepted", &format!("/violations/{index}"), message));
        }
    }
}
