//! What the file system told since it was last asked: the paths, as long as there are not too many of them.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Paths that are remembered. More say that a whole registry is on the move, and all of it is looked at.
const PATHS_MAX: usize = 4_096;

/// Where something may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hint {
    /// At these paths, below or above them.
    At(BTreeSet<PathBuf>),
    Anywhere,
}

/// Gathers hints between looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Hints(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    gathered: Mutex<Hint>,
    told: Notify,
}

// === impl Hint ===

impl Hint {
    pub(super) fn nowhere() -> Self {
        Self::At(BTreeSet::new())
    }

    pub(super) fn at(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::At(paths.into_iter().collect())
    }

    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self, Self::At(paths) if paths.is_empty())
    }

    pub(super) fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::At(paths), Self::At(more)) => {
                paths.extend(more);
                if paths.len() > PATHS_MAX {
                    *self = Self::Anywhere;
                }
            }
            (Self::Anywhere, _) | (_, Self::Anywhere) => *self = Self::Anywhere,
        }
    }

    /// Whether what lies at the path may be meant.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        let Self::At(paths) = self else { return true };
        // Paths are in the order of their parts: whatever lies below one follows right after it.
        let next = paths.range::<Path, _>((Bound::Included(path), Bound::Unbounded)).next();
        next.is_some_and(|next| next.starts_with(path)) || path.ancestors().any(|above| paths.contains(above))
    }
}

impl Default for Hint {
    fn default() -> Self {
        Self::nowhere()
    }
}

// === impl Hints ===

impl Hints {
    pub(super) fn tell(&self, hint: Hint) {
        self.gathered().add(hint);
        self.0.told.notify_one();
    }

    /// What was told since it was last taken.
    pub(super) fn take(&self) -> Hint {
        std::mem::take(&mut self.gathered())
    }

    /// Whether everything is to be looked at.
    pub(super) fn are_of_all(&self) -> bool {
        *self.gathered() == Hint::Anywhere
    }

    /// Returns when there is something to take.
    ///
    /// Cancel safety: nothing is taken, so nothing is lost.
    pub(super) async fn told(&self) {
        loop {
            let told = self.0.told.notified();
            if !self.gathered().is_nowhere() {
                return;
            }
            told.await;
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Hint> {
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(paths: &[&str]) -> Hint {
        Hint::at(paths.iter().map(PathBuf::from))
    }

    #[test]
    fn a_hint_concerns_what_lies_at_below_and_above_it_and_nothing_beside_it() {
        let hint = at(&["/r/contracts/a/1.0.0/examples", "/r/contracts/b"]);
        for (path, meant) in [
            ("/r/contracts/a/1.0.0", true),
            ("/r/contracts/a/1.0.0/examples", true),
            ("/r/contracts/a/1.0.0/examples/valid", true),
            ("/r/contracts/a/1.0.0-rc", false),
            ("/r/contracts/a/1.0.1", false),
            ("/r/contracts/b/2.0.0", true),
            ("/r/contracts/bb/2.0.0", false),
            ("/r/contracts/a/policy.json", false),
            ("/r/tenants.json", false),
        ] {
            assert_eq!(hint.concerns(Path::new(path)), meant, "{path}");
        }
        assert!(Hint::Anywhere.concerns(Path::new("/r/tenants.json")));
        assert!(!Hint::nowhere().concerns(Path::new("/r/tenants.json")));
    }

    #[tokio::test]
    async fn hints_gather_until_they_are_taken_and_too_many_are_one() {
        let hints = Hints::default();
        hints.tell(at(&["/a"]));
        hints.tell(at(&["/b"]));
        hints.told().await;
        assert_eq!(hints.take(), at(&["/a", "/b"]));
        assert!(hints.take().is_nowhere());
        let told = tokio::time::timeout(std::time::Duration::from_millis(20), hints.told()).await;
        assert!(told.is_err(), "there was nothing to take");
        for number in 0..=PATHS_MAX {
            hints.tell(Hint::at([PathBuf::from(format!("/{number}"))]));
        }
        hints.told().await;
        assert_eq!(hints.take(), Hint::Anywhere);
    }
}
