//! A contract as a gateway describes it: all that is needed to check inputs before they are queued, and to tell callers of them.
//!
//! Invariant: what is checked here is checked by the code that the gateway checks by, with the same words.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bindings::Bindings;
use crate::check;
use crate::schema::{Schema, Subject};
use crate::{Inputs, Violation};

/// One version of a definition, without its Grasshopper file.
#[derive(Debug)]
pub struct Described {
    /// The app that the definition belongs to.
    pub app_id: String,
    pub definition: String,
    /// Exact, also where an alias was asked for.
    pub version: String,
    pub title: Option<String>,
    pub description: Option<String>,
    /// See [`crate::digest::version`].
    pub digest: String,
    pub limits: Limits,
    pub bindings: Bindings,
    pub inputs_schema: Value,
    pub outputs_schema: Value,
    pub examples: Vec<Example>,
    inputs: Schema,
}

/// What the caller's app may do with the version.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Limits {
    /// What one solve may take.
    pub timeout_sec: u32,
    #[serde(default)]
    pub request_bytes: Option<u64>,
    /// Of each tenant, in the app.
    pub batch_jobs_per_min: f64,
}

/// Inputs that are good, and what comes of them.
#[derive(Debug, Clone, Deserialize)]
pub struct Example {
    pub name: String,
    pub inputs: Value,
    #[serde(default)]
    pub outputs: Option<Map<String, Value>>,
}

/// The description, member by member; members of later gateways are of no interest here.
#[derive(Debug, Deserialize)]
struct Document {
    app_id: String,
    definition: String,
    version: String,
    title: Option<String>,
    description: Option<String>,
    digest: String,
    limits: Limits,
    bindings: Bindings,
    inputs: Value,
    outputs: Value,
    #[serde(default)]
    examples: Vec<Example>,
}

// === impl Described ===

impl Described {
    /// Reads a gateway's description of a version.
    ///
    /// # Errors
    /// When it is no description, or has a schema that keeps not to the rules of one.
    pub fn read(description: Value) -> Result<Self, String> {
        let document: Document = serde_json::from_value(description).map_err(|error| error.to_string())?;
        let inputs = Schema::compile(document.inputs, Subject::Inputs).map_err(|violations| {
            violations.first().map_or_else(String::new, |first| format!("{}: {}", first.pointer, first.message))
        })?;
        Ok(Self {
            app_id: document.app_id,
            definition: document.definition,
            version: document.version,
            title: document.title,
            description: document.description,
            digest: document.digest,
            limits: document.limits,
            bindings: document.bindings,
            inputs_schema: (**inputs.document()).clone(),
            outputs_schema: document.outputs,
            examples: document.examples,
            inputs,
        })
    }

    /// As [`Contract::check_inputs`](crate::Contract::check_inputs).
    ///
    /// # Errors
    /// As there.
    pub fn check_inputs(&self, inputs: &Value) -> Result<Inputs, Vec<Violation>> {
        self.take_inputs(inputs.clone())
    }

    /// As [`check_inputs`](Self::check_inputs), and turns the very values into those that are returned: large ones are there once.
    ///
    /// # Errors
    /// As [`check_inputs`](Self::check_inputs).
    pub fn take_inputs(&self, inputs: Value) -> Result<Inputs, Vec<Violation>> {
        check::inputs(&self.inputs, &self.bindings.inputs, inputs)
    }
}
