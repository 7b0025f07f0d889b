//! The names under which Rhino.Compute reaches the parameters of a document.
//!
//! What counts as an input or output, and under which name, is the definition reader's to say; this only finds the
//! parameter that it means, and leaves out what the document does not hold.

use std::collections::HashMap;

use contract::definition::{Archive, Definition};
use uuid::Uuid;

use super::load::Port;

/// Names and places, in the order of `/io`.
type Named = Vec<(String, Port)>;

/// The inputs and the outputs.
pub(super) fn names(archive: &Archive, ports: &HashMap<Uuid, Port>) -> (Named, Named) {
    let definition = Definition::of(archive);
    let place = |name: String, parameter: Uuid| Some((name, *ports.get(&parameter)?));
    let inputs = definition.inputs.into_iter().filter_map(|input| place(input.name, input.instance)).collect();
    let outputs = definition.outputs.into_iter().filter_map(|output| place(output.name, output.parameter)).collect();
    (inputs, outputs)
}
