//! The registry: the versioned contracts that are served, as one immutable snapshot behind one swap.
//!
//! Invariant: it knows no HTTP and no node. Whoever reads it takes one [`Snapshot`] and keeps it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

mod load;
mod snapshot;
mod tenants;

pub use load::Error;
pub use snapshot::{App, Refused, Release, Snapshot, State, Unknown};
pub use tenants::{Key, Role, Tenants};

/// A cheap handle on the registry.
#[derive(Debug, Clone)]
pub struct Registry {
    current: Arc<ArcSwap<Snapshot>>,
    root: Arc<Path>,
}

impl Registry {
    /// Loads everything below `root`, the folder that holds `contracts/` and `tenants.json`. Reads files: call it where
    /// blocking is fine.
    ///
    /// A fault in a contract refuses that version and harms no other.
    ///
    /// # Errors
    /// When the folder itself cannot be read, or `tenants.json` is faulty: who may call must never be a guess.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        let snapshot = load::load(&root, 1)?;
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(snapshot)), root: root.into() })
    }

    /// The snapshot as of now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The folder that was loaded.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
