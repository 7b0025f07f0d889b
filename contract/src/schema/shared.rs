//! Schemas that several versions have in common, compiled once.
//!
//! A new version mostly changes the definition and leaves its schemas as they were, and a compiled schema is the largest thing that is
//! kept of a version. Invariants: only schemas of equal bytes are one; what no contract holds any more is freed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Schema, Subject};
use crate::digest::Digest;

/// By the bytes of the file.
static KNOWN: Mutex<Known> = Mutex::new(Known { schemas: BTreeMap::new(), sweep_at: SWEEP_FIRST });

struct Known {
    schemas: BTreeMap<(Digest, Subject), Weak<Schema>>,
    /// How many make it worth while to look for those that nobody holds: twice what was alive last time, so that a look costs nothing
    /// per schema in the mean, and the map is at most twice as long as it must be.
    sweep_at: usize,
}

const SWEEP_FIRST: usize = 64;

// === impl Schema ===

impl Schema {
    /// The schema that was made of these bytes, or what `compile` makes of them.
    pub(crate) fn shared<E>(
        bytes: &[u8],
        subject: Subject,
        compile: impl FnOnce() -> Result<Self, E>,
    ) -> Result<Arc<Self>, E> {
        let key = (Digest::of(bytes), subject);
        if let Some(schema) = known().schemas.get(&key).and_then(Weak::upgrade) {
            return Ok(schema);
        }
        // Not under the lock: whoever compiles the same meanwhile wins, or is forgotten.
        let schema = Arc::new(compile()?);
        known().remember(key, &schema);
        Ok(schema)
    }
}

// === impl Known ===

impl Known {
    fn remember(&mut self, key: (Digest, Subject), schema: &Arc<Schema>) {
        self.schemas.insert(key, Arc::downgrade(schema));
        if self.schemas.len() >= self.sweep_at {
            self.schemas.retain(|_, schema| schema.strong_count() > 0);
            self.sweep_at = (2 * self.schemas.len()).max(SWEEP_FIRST);
        }
    }
}

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shared(title: &str, subject: Subject) -> Arc<Schema> {
        let document = json!({ "type": "object", "title": title, "properties": {} });
        Schema::shared(document.to_string().as_bytes(), subject, || Schema::compile(document, subject)).unwrap()
    }

    #[test]
    fn equal_schemas_are_one_while_somebody_holds_them() {
        let (one, same) = (shared("held", Subject::Inputs), shared("held", Subject::Inputs));
        assert!(Arc::ptr_eq(&one, &same));
        assert!(!Arc::ptr_eq(&one, &shared("another", Subject::Inputs)));
        assert!(!Arc::ptr_eq(&one, &shared("held", Subject::Outputs)), "an unknown member is called otherwise");
        let gone = Arc::downgrade(&one);
        drop((one, same));
        assert!(gone.upgrade().is_none(), "it was kept for nobody");
        // Those that come and go leave nothing that grows.
        for number in 0..4 * SWEEP_FIRST {
            drop(shared(&number.to_string(), Subject::Inputs));
        }
        assert!(known().schemas.len() < 2 * SWEEP_FIRST);
    }
}
