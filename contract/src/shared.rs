//! Things that several versions have in common, made once.
//!
//! A new version mostly leaves its schemas as they were, and often its definition; what is made of them is the largest that is kept of a
//! version. Invariants: only things of equal bytes are one; what no contract holds any more is freed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Things by what they are made of.
pub(crate) struct Shared<K, T>(Mutex<Known<K, T>>);

struct Known<K, T> {
    things: BTreeMap<K, Weak<T>>,
    /// How many make it worth while to look for those that nobody holds: twice what was alive last time, so that a look costs nothing
    /// per thing in the mean, and the map is at most twice as long as it must be.
    sweep_at: usize,
}

const SWEEP_FIRST: usize = 64;

// === impl Shared ===

impl<K: Ord, T> Shared<K, T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Known { things: BTreeMap::new(), sweep_at: SWEEP_FIRST }))
    }

    /// The thing of this key, or what `make` makes.
    pub(crate) fn get<E>(&self, key: K, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(thing) = self.known().things.get(&key).and_then(Weak::upgrade) {
            return Ok(thing);
        }
        // Not under the lock: whoever makes the same meanwhile wins, or is forgotten.
        let thing = Arc::new(make()?);
        self.known().remember(key, &thing);
        Ok(thing)
    }

    fn known(&self) -> MutexGuard<'_, Known<K, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl<K: Ord, T> Known<K, T> {
    fn remember(&mut self, key: K, thing: &Arc<T>) {
        self.things.insert(key, Arc::downgrade(thing));
        if self.things.len() >= self.sweep_at {
            self.things.retain(|_, thing| thing.strong_count() > 0);
            self.sweep_at = (2 * self.things.len()).max(SWEEP_FIRST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_things_are_one_while_somebody_holds_them() {
        let shared = Shared::new();
        let get = |key| shared.get(key, || Ok::<_, ()>(vec![key])).unwrap();
        let (one, same) = (get(1), get(1));
        assert!(Arc::ptr_eq(&one, &same));
        assert!(!Arc::ptr_eq(&one, &get(2)));
        let gone = Arc::downgrade(&one);
        drop((one, same));
        assert!(gone.upgrade().is_none(), "it was kept for nobody");
        assert_eq!(shared.get(1, || Err("made anew")), Err("made anew"));
        // Those that come and go leave nothing that grows.
        for key in 0..4 * i32::try_from(SWEEP_FIRST).unwrap() {
            drop(get(key));
        }
        assert!(shared.known().things.len() < 2 * SWEEP_FIRST);
    }
}
