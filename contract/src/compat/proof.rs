//! Whether each value of one schema is a value of another: a proof, never a guess.
//!
//! Formats are asserted and patterns matched by the engine of the validators. Annotations are not seen here.

use jsonschema::canonical::{CanonicalSchema, Containment, Satisfiability};
use serde_json::Value;

use crate::schema::canonical_options;

/// What could be proven of one schema's values against another's.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// The other has them all.
    Contained,
    /// The other lacks some: exactly those of this schema, where it can be written down.
    Lost(Option<Value>),
    /// Neither.
    Unknown(Option<Value>),
}

/// A set of values that proofs can be made about.
#[derive(Debug)]
pub(super) struct Domain(Option<CanonicalSchema>);

// === impl Domain ===

impl Domain {
    /// The values of a schema without references.
    pub(super) fn of(document: &Value) -> Self {
        Self(canonical_options().canonicalize(document).ok())
    }

    /// The values of both.
    #[must_use]
    pub(super) fn and(&self, other: &Self) -> Self {
        let both = self.0.as_ref().zip(other.0.as_ref());
        Self(both.and_then(|(ours, theirs)| ours.intersect(theirs).ok()))
    }

    /// Whether all values of `self` are values of `other`.
    pub(super) fn within(&self, other: &Self) -> Proof {
        let Some((ours, theirs)) = self.0.as_ref().zip(other.0.as_ref()) else { return Proof::Unknown(None) };
        let verdict = theirs.covers(ours).unwrap_or(Containment::Unknown);
        if verdict == Containment::Yes {
            return Proof::Contained;
        }
        let lost = ours.subtract(theirs).ok();
        match (verdict, lost.as_ref().map(CanonicalSchema::satisfiability)) {
            (Containment::Yes, _) | (Containment::Unknown, Some(Satisfiability::No)) => Proof::Contained,
            (Containment::No, _) | (Containment::Unknown, Some(Satisfiability::Yes)) => {
                Proof::Lost(lost.map(|lost| lost.to_json_schema()))
            }
            (Containment::Unknown, _) => Proof::Unknown(lost.map(|lost| lost.to_json_schema())),
        }
    }
}
