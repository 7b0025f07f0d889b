//! The registry: the versioned contracts that are served, as one immutable snapshot behind one swap.
//!
//! [`Registry`] is the handle, cheap to clone; [`Reloader`] follows the folder for as long as the gateway runs: `scan` and `look` see
//! what is there, `plan` (pure) says what to do, `held` keeps what is in force, `assemble` (pure) makes the snapshot.
//!
//! Invariant: it knows no HTTP and no node. Whoever reads it takes one [`Snapshot`] and keeps it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use contract::Fault;
use jiff::Timestamp;

mod assemble;
pub mod events;
mod held;
mod hints;
mod look;
mod pace;
mod plan;
mod reload;
mod scan;
mod snapshot;
mod store;
mod tenants;
#[cfg(test)]
mod tests;
mod watcher;

pub use events::Events;
pub(crate) use look::{on_threads, start_threads};
pub use reload::{Hooks, Options, Ready, Reloader};
pub use snapshot::{App, Refused, Release, Snapshot, State, Unknown};
pub use tenants::{Key, Role, Tenants};

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot load the registry: {0}")]
    Scan(scan::Error),
    #[error("who may call is not clear:\n{}", .0.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n"))]
    Tenants(Vec<Fault>),
    #[error("cannot keep the registry in {}: {source}", path.display())]
    State { path: PathBuf, source: io::Error },
}

/// A cheap handle on the registry.
#[derive(Debug, Clone)]
pub struct Registry {
    current: Arc<ArcSwap<Snapshot>>,
    root: Arc<Path>,
    events: Events,
    status: Arc<Mutex<Status>>,
}

/// How well the folder is followed.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Since when the folder cannot be read, or is empty: what serves may be old.
    pub stale_since: Option<Timestamp>,
    /// What the last look failed of.
    pub error: Option<String>,
    /// What lies in the folder and is not taken, while something older keeps serving.
    pub alarms: Vec<Fault>,
    /// Whether the file system tells of changes; where it does not, the poll alone finds them.
    pub watched: bool,
}

impl Registry {
    /// Loads everything below `root`, the folder that holds `contracts/` and `tenants.json`, and does not follow it. Reads files: call it
    /// where blocking is fine.
    ///
    /// A fault in a contract refuses that version and harms no other.
    ///
    /// # Errors
    /// When the folder itself cannot be read, or `tenants.json` is faulty: who may call must never be a guess.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::follow(Options::new(root)).map(|(registry, _reloader)| registry)
    }

    /// As [`open`](Self::open), with what follows the folder once it is run.
    pub fn follow(options: Options) -> Result<(Self, Reloader), Error> {
        Reloader::start(options)
    }

    /// What is below `root`, right or wrong, without serving any of it: faults of `tenants.json` are among the snapshot's.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn inspect(root: impl Into<PathBuf>) -> Result<Arc<Snapshot>, Error> {
        Reloader::load(Options::new(root), false).map(|(registry, _reloader)| registry.current())
    }

    fn holding(snapshot: Snapshot, root: &Path) -> Self {
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        Self { current, root: root.into(), events: Events::default(), status: Arc::default() }
    }

    /// The snapshot as of now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The folder that was loaded.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What happened to the registry.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// How well the folder is followed, as of now.
    pub fn followed(&self) -> Status {
        self.status(|status| status.clone())
    }

    fn status<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
