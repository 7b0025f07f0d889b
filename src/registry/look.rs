//! One look at the whole registry: every place with the digest of its content, and what the content means where it may be taken.
//!
//! Invariant: what is interpreted, hashed and kept is one reading of the same bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use contract::{Digest, Fault, marks};

use super::held::{self, Thing};
use super::plan::Place;
use super::scan::{self, Error, Read, Resolved, Walk};
use super::store::Store;

/// What one look found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) resolved: Resolved,
    pub(super) sights: BTreeMap<Place, Sight>,
    pub(super) strays: Vec<Fault>,
}

/// One place.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) digest: Digest,
    /// See [`contract::marks`]: while they stay, a hint need not read the content again. None where they cannot be told.
    pub(super) marks: Option<Digest>,
    pub(super) meaning: Option<Meaning>,
}

/// What a content means.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) thing: Result<Thing, Vec<Fault>>,
    /// Path within the place, and digest of the content.
    pub(super) files: Vec<(String, Digest)>,
    /// Why the content could not be kept on disk.
    pub(super) unkept: Option<String>,
}

/// Where the registry lies. There is one such place; what file systems answer on a bad day is put in front of it by tests.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    fn resolve(&self, root: &Path) -> Result<Resolved, Error> {
        Resolved::of(root)
    }

    fn walk(&self, resolved: &Resolved) -> Result<Walk, Error> {
        resolved.walk()
    }

    fn read(&self, place: &Place, root: &Path, path: &Path) -> Read {
        scan::read(place, root, path)
    }

    /// Fails if the links lead elsewhere by now: what was read may then be of two registries.
    fn confirm(&self, resolved: &Resolved, root: &Path) -> Result<(), Error> {
        if self.resolve(root)? == *resolved { Ok(()) } else { Err(Error::Moved) }
    }
}

/// The file system itself.
#[derive(Debug)]
pub(super) struct Files;

impl Disk for Files {}

/// How to look.
pub(super) struct Eyes<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) root: &'a Path,
    /// What is known of a place, and how far that is to be believed.
    pub(super) known: &'a (dyn Fn(&Place, &Path) -> Known + Sync),
    /// Whether a content would be taken now, and so is to be understood.
    pub(super) wanted: &'a (dyn Fn(&Place, Digest) -> bool + Sync),
    pub(super) store: Option<&'a Store>,
    pub(super) threads: usize,
    /// Ends the look early, with an error.
    pub(super) broken_off: &'a AtomicBool,
}

/// What an earlier look saw at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing that helps: it is read.
    Not,
    /// It is read unless its marks are still these.
    Marked(Digest, Option<Digest>),
    /// Nothing there can have changed: content and marks.
    As(Digest, Option<Digest>),
}

// === impl Eyes ===

impl Eyes<'_> {
    /// Blocks for as long as it takes to read what is there.
    pub(super) fn look(&self) -> Result<Look, Error> {
        let resolved = self.disk.resolve(self.root)?;
        let walk = self.disk.walk(&resolved)?;
        let places: Vec<(Place, PathBuf)> = walk.places.into_iter().collect();
        let sight = |(place, path): &(Place, PathBuf)| {
            let look_on = !self.broken_off.load(Ordering::Relaxed);
            look_on.then(|| (place.clone(), self.sight(place, &resolved.root, path)))
        };
        let sights: Option<_> = on_threads(self.threads, &places, sight).into_iter().collect();
        let sights = sights.ok_or(Error::BrokenOff)?;
        self.disk.confirm(&resolved, self.root)?;
        Ok(Look { resolved, sights, strays: walk.strays })
    }

    fn sight(&self, place: &Place, root: &Path, path: &Path) -> Sight {
        match (self.known)(place, path) {
            Known::As(digest, marks) => return Sight { digest, marks, meaning: None },
            Known::Marked(digest, Some(known)) if marks::of(&root.join(path)) == Some(known) => {
                return Sight { digest, marks: Some(known), meaning: None };
            }
            Known::Marked(..) | Known::Not => {}
        }
        let read = self.disk.read(place, root, path);
        let meaning = (self.wanted)(place, read.digest).then(|| {
            let thing = held::interpret(place, &read);
            let kept = match (self.store, &thing, &read.content) {
                (Some(store), Ok(_), Ok(content)) => store.put(content),
                (_, _, _) => Ok(()),
            };
            Meaning { thing, files: held::files(&read), unkept: kept.err().map(|error| error.to_string()) }
        });
        Sight { digest: read.digest, marks: read.marks, meaning }
    }
}

/// What `work` makes of each item, in no order.
pub(crate) fn on_threads<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(item);
            made.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Threads that read a whole registry. Later looks leave the processors to requests.
pub(crate) fn start_threads() -> usize {
    const MOST: usize = 8;
    thread::available_parallelism().map_or(1, usize::from).min(MOST)
}
