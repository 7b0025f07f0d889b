//! Warming: a version's own examples are solved, and compared with their golden outputs, before it is called ready.
//!
//! Invariants: only a slot that nobody waits for is used; what speaks against a node says nothing of the version, and is
//! tried again; a version without examples has nothing to show and is warm.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;
use contract::examples::Example;
use serde_json::{Map, Value};

use super::solve::Failure;
use super::{Nodes, Slot};
use crate::rhino::classify::Fault;

/// The first example is always solved; the others only while no more than this has gone by.
const BUDGET: Duration = Duration::from_secs(2);

/// What a version's examples have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Warmth {
    /// They were solved as they should be, or there is nothing to show.
    #[default]
    Warm,
    /// None has been solved yet.
    Cold,
    /// One was solved, and not to its golden outputs.
    Mismatch {
        /// Which example, and where it differs.
        message: String,
    },
    /// The definition cannot solve one of its own examples.
    Broken {
        /// Which example, and what was said.
        message: String,
    },
}

/// Why there is no verdict yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// Every slot that would do is taken or asked for.
    #[error("no slot is spare")]
    NoSlot,
    /// The node failed, not the version.
    #[error("{0}")]
    Node(Failure),
}

impl Nodes {
    /// Solves the version's examples on a spare slot and keeps what they showed. Takes as long as a solve.
    ///
    /// Cancel safety: dropping it loses the verdict only; a solve under way goes on.
    ///
    /// # Errors
    /// When nothing was shown: to be tried again later.
    pub async fn warm(&self, contract: &Arc<Contract>) -> Result<Warmth, Unsettled> {
        let start = Instant::now();
        let mut warmth = Warmth::Warm;
        for (place, example) in contract.examples.valid.iter().enumerate() {
            if place > 0 && start.elapsed() > BUDGET {
                break;
            }
            warmth = match self.spare(contract) {
                Some(slot) => show(slot, contract, example).await?,
                // What the first has shown is enough where callers want the slots.
                None if place > 0 => break,
                None => return Err(Unsettled::NoSlot),
            };
            if warmth != Warmth::Warm {
                break;
            }
        }
        self.shared.keep_warmth(contract.digest, warmth.clone());
        Ok(warmth)
    }

    /// Forgets what was shown by versions that are not among these.
    pub fn keep_warm(&self, versions: &HashSet<Digest>) {
        self.shared.retain_warmth(versions);
    }

    fn spare(&self, contract: &Arc<Contract>) -> Option<Slot> {
        let want = self.want(contract);
        let grant = self.shared.spare(&want)?;
        Some(Slot { grant, want, trace: None, meter: None })
    }
}

/// One example on one slot.
async fn show(slot: Slot, contract: &Arc<Contract>, example: &Example) -> Result<Warmth, Unsettled> {
    let broken = |what: String| Warmth::Broken { message: format!("the example `{}`: {what}", example.name) };
    let inputs = match contract.check_inputs(&example.inputs) {
        Ok(inputs) => inputs,
        // The loading of a contract refuses such an example.
        Err(violations) => return Ok(broken(format!("{} inputs do not fit", violations.len()))),
    };
    let deadline = Instant::now() + contract.manifest.timeout();
    match slot.solve(contract, &inputs, deadline).await {
        Ok(solved) => {
            let golden = example.outputs.as_ref();
            let difference = golden.and_then(|golden| {
                let differs = |(name, golden): (&String, &Value)| {
                    difference(&solved.outputs, name, golden, example.tolerance_of(name))
                };
                golden.iter().find_map(differs)
            });
            Ok(difference.map_or(Warmth::Warm, |difference| Warmth::Mismatch {
                message: format!("the example `{}`: {difference}", example.name),
            }))
        }
        Err(failure) => match failure.fault() {
            Fault::Definition | Fault::Client => Ok(broken(failure.to_string())),
            Fault::Gateway | Fault::Node => Err(Unsettled::Node(failure)),
        },
    }
}

/// Where an output is not as its golden says, in words.
pub(crate) fn difference(outputs: &Map<String, Value>, name: &str, golden: &Value, tolerance: f64) -> Option<String> {
    match outputs.get(name) {
        None => Some(format!("there is no output `{name}`")),
        Some(output) => place_of_difference(output, golden, tolerance, &format!("/{name}")),
    }
}

/// The pointer to where two values differ. Numbers may be as far from the golden as the tolerance says, relative to
/// the golden where that is more than one; the encoded form of geometry differs between versions of Rhino and is not
/// looked into.
fn place_of_difference(output: &Value, golden: &Value, tolerance: f64, place: &str) -> Option<String> {
    let same = match (output, golden) {
        (Value::Number(output), Value::Number(golden)) => match (output.as_f64(), golden.as_f64()) {
            (Some(output), Some(golden)) => (output - golden).abs() <= tolerance * golden.abs().max(1.0),
            _ => output == golden,
        },
        (Value::Array(outputs), Value::Array(goldens)) if outputs.len() == goldens.len() => {
            let pairs = outputs.iter().zip(goldens).enumerate();
            return { pairs }.find_map(|(at, (output, golden))| {
                place_of_difference(output, golden, tolerance, &format!("{place}/{at}"))
            });
        }
        (Value::Object(output), Value::Object(golden)) if is_encoded(output) && is_encoded(golden) => true,
        (Value::Object(output), Value::Object(golden)) if output.len() == golden.len() => {
            return golden.iter().find_map(|(name, golden)| {
                let place = format!("{place}/{name}");
                match output.get(name) {
                    Some(output) => place_of_difference(output, golden, tolerance, &place),
                    None => Some(format!("{place} is not there")),
                }
            });
        }
        (output, golden) => output == golden,
    };
    (!same).then(|| format!("{place} is {}, and not {}", short(output), short(golden)))
}

fn is_encoded(object: &Map<String, Value>) -> bool {
    object.contains_key("archive3dm") && object.contains_key("data")
}

/// A value's beginning; a mesh has megabytes.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_golden_is_compared_by_place_and_tolerance() {
        let geometry = |data: &str| json!({"version": 10000, "archive3dm": 70, "opennurbs": 1, "data": data});
        let table = [
            (json!({"a": 1.0}), json!({"a": 1.000_000_5}), None),
            (json!({"a": 1.0}), json!({"a": 1.1}), Some("/a is 1.0, and not 1.1")),
            (json!({"a": 1_000_000.5}), json!({"a": 1_000_000.0}), None),
            (json!({"a": 1, "b": 2}), json!({"a": 1}), None),
            (json!({}), json!({"a": 1}), Some("there is no output `a`")),
            (json!({"a": [1, [2, 3]]}), json!({"a": [1, [2, 4]]}), Some("/a/1/1 is 3, and not 4")),
            (json!({"a": [1]}), json!({"a": [1, 2]}), Some("/a is [1], and not [1,2]")),
            (json!({"a": {"{0}": [1]}}), json!({"a": {"{1}": [1]}}), Some("/a/{1} is not there")),
            (json!({"a": "x"}), json!({"a": "y"}), Some("/a is \"x\", and not \"y\"")),
            (json!({"a": true}), json!({"a": 1}), Some("/a is true, and not 1")),
            (json!({"a": geometry("x")}), json!({"a": geometry("y")}), None),
        ];
        for (outputs, golden, expected) in table {
            let (Value::Object(outputs), Value::Object(golden)) = (&outputs, &golden) else { panic!("objects") };
            // Outputs that the golden leaves out may be anything.
            let found = golden.iter().find_map(|(name, golden)| difference(outputs, name, golden, 1e-6));
            assert_eq!(found.as_deref(), expected, "{outputs:?} {golden:?}");
        }
    }
}
