//! The file system's hints that something changed. Only hints: they get lost, come too early, and are silent on network shares.
//!
//! Invariant: looking at the registry hints at nothing, so a look never leads to the next.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use super::hints::{Hint, Hints};
use super::scan::Resolved;
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// What the file system is told to hint to.
pub(super) type Handler = Box<dyn FnMut(notify::Result<Event>) + Send>;
/// Asks the file system for hints. There is one way to; tests have it refuse.
pub(super) type Open = fn(Handler) -> notify::Result<Box<dyn notify::Watcher + Send>>;

/// Watches the registry, and the links that lead to it.
pub(super) struct Watcher {
    hints: Hints,
    open: Open,
    inner: Option<Box<dyn notify::Watcher + Send>>,
    armed: Option<Targets>,
    /// Said once, until it works again.
    complained: bool,
}

/// What is watched, with inodes: a folder that was replaced under its name is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Targets {
    /// Everything below these.
    trees: Vec<(PathBuf, u64, u64)>,
    /// Only these names, in the folders that they lie in.
    names: Vec<PathBuf>,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(hints: Hints) -> Self {
        Self::by(open, hints)
    }

    pub(super) fn by(open: Open, hints: Hints) -> Self {
        Self { hints, open, inner: None, armed: None, complained: false }
    }

    /// Watches what the registry is now; whether that is something else than before. Blocks, for as long as it takes to walk the
    /// registry's folders.
    pub(super) fn arm(&mut self, root: &Path, resolved: Option<&Resolved>, complain: impl FnOnce(String)) -> bool {
        let targets = Targets::of(root, resolved);
        if self.armed.as_ref() == Some(&targets) {
            return false;
        }
        match self.watch(&targets) {
            Ok(inner) => {
                (self.inner, self.complained) = (Some(inner), false);
            }
            Err(error) => {
                self.inner = None;
                if !std::mem::replace(&mut self.complained, true) {
                    complain(format!("the file system does not tell of changes: {error}"));
                }
            }
        }
        // What could not be watched is tried again after the next look: limits get raised.
        self.armed = self.inner.is_some().then_some(targets);
        self.inner.is_some()
    }

    /// Whether it has never watched anything, or tried to.
    pub(super) fn is_new(&self) -> bool {
        self.armed.is_none() && !self.complained
    }

    /// Whether the file system tells of changes.
    pub(super) fn is_armed(&self) -> bool {
        self.inner.is_some()
    }

    fn watch(&self, targets: &Targets) -> notify::Result<Box<dyn notify::Watcher + Send>> {
        let (hints, listened) = (self.hints.clone(), targets.clone());
        let handler = move |event: notify::Result<Event>| {
            let hint = listened.hint(event.as_ref().ok());
            if !hint.is_nowhere() {
                hints.tell(hint);
            }
        };
        let mut inner = (self.open)(Box::new(handler))?;
        for (tree, _, _) in &targets.trees {
            inner.watch(tree, RecursiveMode::Recursive)?;
        }
        for name in &targets.names {
            if let Some(folder) = name.parent().filter(|folder| folder.is_dir()) {
                inner.watch(folder, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(inner)
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("armed", &self.armed)
            .field("complained", &self.complained)
            .finish_non_exhaustive()
    }
}

fn open(handler: Handler) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    let watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))?;
    Ok(Box::new(watcher))
}

// === impl Targets ===

impl Targets {
    fn of(root: &Path, resolved: Option<&Resolved>) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let tree = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((path.clone(), found.dev(), found.ino()))
        };
        // What links below the root lead to lies below it, too.
        let trees = resolved.iter().filter_map(|resolved| tree(&resolved.root)).collect();
        // The root's own name, and every link on the way to it.
        let links = root.ancestors().filter(|path| path.is_symlink());
        let mut names: Vec<PathBuf> = links.map(Path::to_owned).chain([root.clone()]).collect();
        names.sort();
        names.dedup();
        Self { trees, names }
    }

    fn hint(&self, event: Option<&Event>) -> Hint {
        let Some(event) = event else { return Hint::Anywhere };
        // Reading is no change, and the look itself reads.
        if matches!(event.kind, EventKind::Access(_)) {
            return Hint::nowhere();
        }
        let led_elsewhere = event.paths.iter().any(|path| self.names.contains(path));
        if event.need_rescan() || event.paths.is_empty() || led_elsewhere {
            return Hint::Anywhere;
        }
        let ours = |path: &&PathBuf| self.trees.iter().any(|(tree, _, _)| path.starts_with(tree));
        Hint::at(event.paths.iter().filter(ours).cloned())
    }
}
