//! `examples/`: inputs that a version must accept, with golden outputs, and inputs that it must refuse.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::json::spans::escape;
use crate::source::Source;

/// All examples of a version, each kind by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Examples {
    pub valid: Vec<Arc<Example>>,
    pub invalid: Vec<Arc<Counterexample>>,
}

/// Inputs that are accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The name of the file without `.json`.
    pub name: String,
    pub title: Option<String>,
    pub inputs: Value,
    /// The golden outputs.
    pub outputs: Option<Map<String, Value>>,
    /// How far a number may be from its golden.
    pub tolerance: f64,
    /// Outputs whose numbers may be further off, or less far, by name.
    pub tolerances: BTreeMap<String, f64>,
}

/// Inputs that are refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterexample {
    /// The name of the file without `.json`.
    pub name: String,
    pub title: Option<String>,
    pub inputs: Value,
    /// Pointers, relative to the inputs, that are among those of the violations.
    pub violations: Vec<String>,
}

/// The tolerance of goldens that state none.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct File {
    title: Option<String>,
    inputs: Value,
    outputs: Option<Map<String, Value>>,
    tolerance: Option<f64>,
    #[serde(default)]
    tolerances: BTreeMap<String, f64>,
    violations: Option<Vec<String>>,
}

// === impl Example ===

impl Example {
    /// Reads a file of `examples/valid`.
    pub fn read(name: &str, source: &Source<'_>) -> Result<Self, Vec<Fault>> {
        let File { title, inputs, outputs, tolerance, tolerances, violations } = source.shape("example")?;
        if violations.is_some() {
            let message = "a valid example has no violations; does it belong into examples/invalid?";
            return Err(vec![source.key_fault("example_kind", "/violations", message)]);
        }
        let tolerance = tolerance.unwrap_or(TOLERANCE);
        if let Some(name) =
            tolerances.keys().find(|name| outputs.as_ref().is_none_or(|golden| !golden.contains_key(*name)))
        {
            let message = format!("a tolerance for `{name}`, of which no golden output is stated");
            let pointer = format!("/tolerances/{}", escape(name));
            return Err(vec![source.key_fault("example_tolerance", &pointer, message)]);
        }
        Ok(Self { name: name.to_owned(), title, inputs, outputs, tolerance, tolerances })
    }

    /// How far a number of this output may be from its golden.
    pub fn tolerance_of(&self, output: &str) -> f64 {
        self.tolerances.get(output).copied().unwrap_or(self.tolerance)
    }
}

// === impl Counterexample ===

impl Counterexample {
    /// Reads a file of `examples/invalid`.
    pub fn read(name: &str, source: &Source<'_>) -> Result<Self, Vec<Fault>> {
        let File { title, inputs, outputs, violations, .. } = source.shape("example")?;
        if outputs.is_some() {
            let message = "an invalid example has no outputs; does it belong into examples/valid?";
            return Err(vec![source.key_fault("example_kind", "/outputs", message)]);
        }
        let Some(violations) = violations else {
            let message = "an invalid example names the pointers it must fail at, in `violations`";
            return Err(vec![source.fault("example_kind", "", message)]);
        };
        Ok(Self { name: name.to_owned(), title, inputs, violations })
    }
}
