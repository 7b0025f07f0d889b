//! The list of nodes in a file of its own, followed while the gateway runs.
//!
//! Invariant: a file that is missing, torn or wrong changes nothing: the last good list stays, and the log says why once.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{self, NodesFile};
use crate::nodes::{Changes, NodeOptions, Nodes};
use crate::rhino::client::Key;

/// Thousands of nodes; a bound on what a wrong path can make us read.
const BYTES_MAX: u64 = 1 << 20;

/// Follows the file.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    path: PathBuf,
    pause: Duration,
    /// Nodes of the configuration itself, which come first.
    fixed: Vec<config::Node>,
    key: Option<Key>,
    nodes: Nodes,
    /// What was read last, and whether it has been taken: a file is taken when two readings agree, so that one that is
    /// being written is not.
    seen: Option<(Result<String, String>, bool)>,
}

impl Follow {
    pub(super) fn new(file: &NodesFile, fixed: Vec<config::Node>, key: Option<Key>, nodes: Nodes) -> Self {
        let pause = Duration::from_secs(file.poll_sec);
        Self { path: file.path.clone(), pause, fixed, key, nodes, seen: None }
    }

    /// Reads the file whenever the time has come. Ends by being dropped: nothing is held across a wait.
    pub(super) async fn run(mut self) {
        loop {
            // The reading that differs from the last is looked at again soon.
            let settled = self.look().await;
            tokio::time::sleep(if settled { self.pause } else { self.pause.min(Duration::from_millis(200)) }).await;
        }
    }

    /// One reading. False where it differs from the last.
    async fn look(&mut self) -> bool {
        let path = self.path.clone();
        // A task that is gone has read nothing.
        let read = tokio::task::spawn_blocking(move || read(&path)).await.unwrap_or_else(|gone| Err(gone.to_string()));
        match &mut self.seen {
            Some((seen, taken)) if *seen == read => {
                if !std::mem::replace(taken, true) {
                    self.take(&read);
                }
                true
            }
            _ => {
                self.seen = Some((read, false));
                false
            }
        }
    }

    fn take(&self, read: &Result<String, String>) {
        let listed = read.clone().and_then(|text| NodesFile::parse(&text, &self.fixed));
        let relisted = listed.and_then(|listed| {
            let all: Vec<_> = self.fixed.iter().chain(&listed).map(|node| options(node, self.key.as_ref())).collect();
            self.nodes.relist(&all).map_err(|error| error.to_string())
        });
        let file = self.path.display();
        match relisted {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => {
                let Changes { added, removed, changed: other } = changes;
                tracing::info!(%file, ?added, ?removed, changed = ?other, "the list of nodes has changed");
            }
            Err(why) => tracing::error!(%file, why, "the list of nodes cannot be used: the last good one stays"),
        }
    }
}

/// A node as it is listed, with the key that all of them ask for.
pub(super) fn options(node: &config::Node, key: Option<&Key>) -> NodeOptions {
    NodeOptions {
        name: node.name.clone(),
        url: node.url.clone(),
        key: key.cloned(),
        slots: node.slots,
        pools: node.pools.clone(),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("more than {BYTES_MAX} bytes"));
    }
    Ok(text)
}
