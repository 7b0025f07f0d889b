//! Bodies whose inputs were accepted and whose answers were kept: whoever sends the very same bytes again need not have them parsed,
//! checked and spelled again, which is a sixth of what a hit costs.
//!
//! Invariant: an entry is found by the tenant who sent the body, at the address it was sent to, under the contract that accepted it, and
//! by nobody else: what depends on anything but these and the bytes is not in it.

use std::sync::Arc;

use contract::digest::Digest;
use contract::{Inputs, json};
use sha2::{Digest as _, Sha256};

use crate::gateway::stage::Authorized;

/// A longer body is not remembered: it costs more to hold than to read once more.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// What an entry takes beside its inputs, about.
const ENTRY_BYTES: usize = 512;

/// Inputs by the bytes that brought them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bodies(moka::sync::Cache<Digest, Arc<Inputs>>);

// === impl Bodies ===

impl Bodies {
    pub(super) fn new(bytes_max: u64) -> Self {
        let weigh = |_: &Digest, inputs: &Arc<Inputs>| {
            let values: usize = inputs.values.iter().map(|(name, value)| name.len() + json::memory(value)).sum();
            u32::try_from(ENTRY_BYTES + values + inputs.bytes.len()).unwrap_or(u32::MAX)
        };
        Self(moka::sync::Cache::builder().max_capacity(bytes_max).weigher(weigh).build())
    }

    /// What a body is remembered by; none for one that is too long.
    pub fn mark(authorized: &Authorized, body: &[u8]) -> Option<Digest> {
        if body.len() > BODY_BYTES_MAX {
            return None;
        }
        let (caller, asked) = (authorized.caller(), authorized.asked());
        let mut hasher = Sha256::new();
        let parts = [&*caller.tenant, &*caller.app_id, &asked.definition, &asked.version].map(str::as_bytes);
        for part in parts.into_iter().chain([&authorized.contract().digest.0[..], body]) {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        Some(Digest(hasher.finalize().into()))
    }

    pub fn find(&self, mark: &Digest) -> Option<Arc<Inputs>> {
        self.0.get(mark)
    }

    pub fn remember(&self, mark: Digest, inputs: &Arc<Inputs>) {
        self.0.insert(mark, Arc::clone(inputs));
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.0.entry_count()
    }

    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.0.invalidate_all();
        self.settle();
    }

    /// Does what the cache has put off.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.0.run_pending_tasks();
    }
}
