//! How many requests came in, and what became of each, by the code that its access line has.
//!
//! Invariant: every request that began ends in exactly one outcome, so `received` is their sum and those under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The counts of one gateway. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(Arc<Mutex<Counts>>);

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub received: u64,
    pub under_way: u64,
    /// `ok`, the code of an error, or `client_gone`. As many entries as there are codes, at most.
    pub ended: BTreeMap<&'static str, u64>,
}

// === impl Outcomes ===

impl Outcomes {
    pub fn begin(&self) {
        let mut counts = self.lock();
        counts.received += 1;
        counts.under_way += 1;
    }

    pub fn end(&self, code: &'static str) {
        let mut counts = self.lock();
        counts.under_way -= 1;
        *counts.ended.entry(code).or_default() += 1;
    }

    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
