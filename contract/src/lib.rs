//! What AppServer promises about one version of a Grasshopper definition.
//!
//! This crate reads files and bytes; it opens no socket and knows nothing of the gateway. A [`Contract`] is made from a
//! version folder without faults only, and never changes.

pub mod bindings;
pub mod canonical;
mod check;
pub mod compat;
mod defaults;
pub mod definition;
mod described;
pub mod digest;
pub mod examples;
pub mod fault;
pub mod folder;
pub mod json;
mod load;
pub mod manifest;
pub mod marks;
pub mod packed;
pub mod plugins;
pub mod policy;
pub mod schema;
mod shared;
pub mod source;

use std::path::Path;
use std::sync::Arc;

use semver::Version;
use serde_json::{Map, Value};

pub use canonical::Inputs;
pub use described::{Described, Limits};
pub use digest::Digest;
pub use fault::{Fault, Position};
pub use folder::Folder;
pub use schema::Violation;

use bindings::Bindings;
use definition::Definition;
use examples::Examples;
use manifest::Manifest;
use packed::Packed;
use plugins::Plugins;
use schema::Schema;

/// One version of one definition: what it takes, what it gives, what it needs.
#[derive(Debug)]
pub struct Contract {
    pub app_id: String,
    pub version: Version,
    pub manifest: Manifest,
    /// Inputs and outputs in the order they are shown in: by `x-order` of their schema, then as in the file.
    pub bindings: Bindings,
    pub plugins: Plugins,
    /// See [`Plugins::requires_hash`].
    pub requires_plugins_hash: Digest,
    /// The Grasshopper file.
    pub definition_bytes: Arc<Packed>,
    /// The SHA-256 of the Grasshopper file.
    pub definition_digest: Digest,
    /// What compute sees in the Grasshopper file.
    pub definition: Arc<Definition>,
    pub inputs_schema: Arc<Value>,
    pub outputs_schema: Arc<Value>,
    pub examples: Examples,
    /// The digest of the version folder, see [`digest::version`].
    pub digest: Digest,
    inputs: Arc<Schema>,
    outputs: Arc<Schema>,
    /// Values that the inputs have room for.
    room: Option<usize>,
}

// === impl Contract ===

impl Contract {
    /// Reads and checks a version folder, `…/<app_id>/<version>`. Blocks on the file system.
    ///
    /// # Errors
    /// All faults of all files, sorted by place; their files are relative to the folder.
    pub fn load(folder: &Path) -> Result<Self, Vec<Fault>> {
        Self::of(&Folder::read(folder)?)
    }

    /// Checks a folder that was read already; as [`load`](Self::load).
    pub fn of(folder: &Folder) -> Result<Self, Vec<Fault>> {
        load::contract(folder)
    }

    /// What the text of a request for this version may cost. A text of more values than the schema has room for can only be refused, so it
    /// is refused before it is a tree; unless it is small, because a schema says better what is wrong.
    pub fn request_limits(&self) -> json::Limits {
        /// Of values that are in the way.
        const SMALL: usize = 10_000;
        let limits = json::Limits::default();
        let room = self.room.map_or(usize::MAX, |room| room.saturating_add(SMALL));
        json::Limits { nodes: limits.nodes.min(room), ..limits }
    }

    /// Checks the inputs of a solve and brings them into canonical form, defaults included.
    ///
    /// # Errors
    /// All violations, at most [`schema::VIOLATIONS`], with pointers relative to `inputs`, sorted by pointer.
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

    /// Checks what a solve gave, by the caller's names.
    ///
    /// # Errors
    /// As [`check_inputs`](Self::check_inputs).
    pub fn check_outputs(&self, outputs: &Map<String, Value>) -> Result<(), Vec<Violation>> {
        check::outputs(&self.outputs, &self.bindings.outputs, outputs)
    }
}
