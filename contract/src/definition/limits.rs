//! How much of a file the reader will take in, and the counter that holds it to that.
//!
//! Invariant: nothing is allocated from a length that a file states before the length was checked here.

use super::error::{Place, ReadError, Refusal};

/// Chunks are read, written and dropped by recursion, so no [`Limits::depth`] may exceed this.
const DEPTH_CAP: usize = 256;

/// Upper bounds on one Grasshopper file. The default suits a server that reads files of its own operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. The default is what fits, as base64, into the 52,428,800 bytes that Rhino.Compute accepts.
    pub file_bytes: usize,
    /// Bytes after inflation, nested clusters counted in. Definitions of 21 MB have been met.
    pub inflated_bytes: usize,
    /// Inflated bytes per byte of file, looked at from one inflated mebibyte on. Real files stay below 20.
    pub ratio: usize,
    /// Chunks inside chunks, at most 256. Real files stay below 20.
    pub depth: usize,
    /// Chunks and items together, nested clusters counted in.
    pub items: usize,
    /// Bytes of one string.
    pub text_bytes: usize,
    /// Bytes of one byte array, number array or bitmap.
    pub array_bytes: usize,
    /// Clusters inside clusters. Two have been met.
    pub cluster_depth: usize,
}

/// What is left of the [`Limits`] while a file and its clusters are read.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) limits: Limits,
    items: usize,
    inflated: usize,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 52_428_800 / 4 * 3,
            inflated_bytes: 128 << 20,
            ratio: 100,
            depth: 64,
            items: 1_000_000,
            text_bytes: 16 << 20,
            array_bytes: 64 << 20,
            cluster_depth: 8,
        }
    }
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        let limits = Limits { depth: limits.depth.min(DEPTH_CAP), ..*limits };
        Self { limits, items: limits.items, inflated: limits.inflated_bytes }
    }

    /// Takes one chunk or item off the budget.
    pub(super) fn item(&mut self, at: Place) -> Result<(), ReadError> {
        self.items = self.items.checked_sub(1).ok_or_else(|| over("chunks and items", self.limits.items, at))?;
        Ok(())
    }

    pub(super) fn depth(&self, depth: usize, at: Place) -> Result<(), ReadError> {
        if depth > self.limits.depth { Err(over("nested chunks", self.limits.depth, at)) } else { Ok(()) }
    }

    pub(super) fn text(&self, bytes: usize, at: Place) -> Result<(), ReadError> {
        if bytes > self.limits.text_bytes { Err(over("bytes in a string", self.limits.text_bytes, at)) } else { Ok(()) }
    }

    pub(super) fn array(&self, bytes: usize, at: Place) -> Result<(), ReadError> {
        if bytes > self.limits.array_bytes {
            return Err(over("bytes in an array", self.limits.array_bytes, at));
        }
        Ok(())
    }

    /// How many inflated bytes may still come from a stream of `compressed` bytes.
    pub(super) fn inflatable(&self, compressed: usize) -> usize {
        self.inflated.min(compressed.saturating_mul(self.limits.ratio).max(1 << 20))
    }

    /// Takes inflated bytes off the budget, after [`Self::inflatable`] has bounded them.
    pub(super) fn inflated(&mut self, bytes: usize) {
        self.inflated = self.inflated.saturating_sub(bytes);
    }

    /// The refusal of a stream that gives more than [`Self::inflatable`] bytes.
    pub(super) fn over_inflated(&self, compressed: usize) -> ReadError {
        if self.inflatable(compressed) == self.inflated {
            over("inflated bytes", self.limits.inflated_bytes, Place::File)
        } else {
            over("inflated bytes per byte of file", self.limits.ratio, Place::File)
        }
    }
}

pub(super) fn over(what: &'static str, limit: usize, at: Place) -> ReadError {
    ReadError::new(Refusal::OverLimit { what, limit }, at)
}
