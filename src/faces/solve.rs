//! Rhino.Compute's wording of a solve: trees in, and the answer as a node would give it.
//!
//! Invariant: what is answered are the node's own trees of the declared outputs, spelled as the node spelled them.

use std::fmt;
use std::sync::Arc;

use contract::Contract;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::published::Index;
use super::question::{Question, Said};
use super::{Faces, describe, trees};
use crate::gateway::dialect::Dialect;
use crate::gateway::{Answer, Error};
use crate::registry::Snapshot;

/// One request in compute's words.
pub(super) struct Compute {
    said: Option<Held>,
    index: Arc<Index>,
    spelling: describe::Spelling,
}

/// Inputs that wait to be bound, and their share of the bytes in flight.
struct Held {
    said: Said,
    hops: bool,
    bytes: u64,
    _in_flight: Option<OwnedSemaphorePermit>,
}

/// Compute's `Schema`, its members in the order of the class.
#[derive(Serialize)]
struct Solved<'a> {
    /// A node answers these two whatever the solve ran in.
    modelunits: &'static str,
    dataversion: u8,
    algo: &'static str,
    pointer: &'a str,
    cachesolve: bool,
    values: &'a RawValue,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

// === impl Compute ===

impl Compute {
    pub(super) fn describing(faces: &Faces, snapshot: &Snapshot) -> Self {
        Self { said: None, index: faces.published.of(snapshot), spelling: describe::Spelling::Camel }
    }

    pub(super) fn asking(
        faces: &Faces,
        snapshot: &Snapshot,
        question: Question,
        permit: impl Into<Option<OwnedSemaphorePermit>>,
    ) -> Self {
        let held =
            Held { said: question.said, hops: question.hops, bytes: question.inputs_bytes, _in_flight: permit.into() };
        Self { said: Some(held), ..Self::describing(faces, snapshot) }
    }

    /// With the member names of compute's own `/io`.
    #[must_use]
    pub(super) fn spelled(self, spelling: describe::Spelling) -> Self {
        Self { spelling, ..self }
    }
}

impl Dialect for Compute {
    fn inputs(&mut self, contract: &Contract) -> Result<Value, Error> {
        let Some(held) = self.said.take() else { return Ok(Value::Object(serde_json::Map::new())) };
        trees::bind(contract, held.said, held.hops).map_err(|violations| Error::InvalidInputs {
            definition: contract.manifest.definition.clone(),
            version: contract.version.to_string(),
            violations,
        })
    }

    fn inputs_bytes(&self) -> u64 {
        self.said.as_ref().map_or(0, |held| held.bytes)
    }

    fn answer(&self, contract: &Contract, answer: &Answer) -> Vec<u8> {
        let Some(values) = &answer.trees else { return Vec::new() };
        let solved = Solved {
            modelunits: "Millimeters",
            dataversion: 7,
            algo: "",
            pointer: self.index.pointer(&contract.definition_digest),
            cachesolve: false,
            values,
            warnings: &answer.warnings,
        };
        serde_json::to_vec(&solved).unwrap_or_default()
    }

    fn describe(&self, contract: &Contract) -> Option<Vec<u8>> {
        Some(describe::document(contract, self.index.pointer(&contract.definition_digest), self.spelling))
    }

    fn tag(&self) -> &'static str {
        ".t"
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").field("asks", &self.said.is_some()).finish_non_exhaustive()
    }
}
