//! How long each version's solves take at least, as measured: what a request must have left to be worth sending.
//!
//! Invariant: nothing is claimed of a version that was not measured often enough, and lately: old figures are forgotten,
//! so a version that has become quicker is tried again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::Contract;
use contract::digest::Digest;

/// As many solves are remembered of a version. The least of them, after one in ten is left out as a lucky one.
const SOLVES_MAX: usize = 32;
/// Fewer say nothing.
const SOLVES_MIN: usize = 8;
/// Older ones are forgotten.
const FRESH: Duration = Duration::from_mins(5);
/// Versions that are remembered; some 700 bytes each. Beyond, the ones without fresh figures make way.
const VERSIONS_MAX: usize = 4096;

/// The figures of all versions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<Mutex<Figures>>);

#[derive(Debug, Default)]
struct Figures {
    versions: HashMap<Digest, VecDeque<(Instant, Duration)>>,
}

// === impl Pace ===

impl Pace {
    /// How long a node takes for the version at least; none while too little is known.
    pub fn least(&self, contract: &Contract) -> Option<Duration> {
        self.lock().least(contract.digest, Instant::now())
    }

    /// What is missing for an answer by `by`: none where it may be reached, for all that is known.
    pub fn unreachable(&self, contract: &Contract, by: Instant) -> Option<Duration> {
        let least = self.least(contract)?;
        (by.saturating_duration_since(Instant::now()) < least).then_some(least)
    }

    /// A node has solved the version in this time.
    pub(super) fn solved(&self, version: Digest, took: Duration) {
        self.lock().add(version, took, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Figures ===

impl Figures {
    fn least(&self, version: Digest, now: Instant) -> Option<Duration> {
        let solves = self.versions.get(&version)?;
        let mut fresh: Vec<Duration> =
            solves.iter().filter(|(at, _)| is_fresh(*at, now)).map(|(_, took)| *took).collect();
        if fresh.len() < SOLVES_MIN {
            return None;
        }
        let lucky = fresh.len() / 10;
        Some(*fresh.select_nth_unstable(lucky).1)
    }

    fn add(&mut self, version: Digest, took: Duration, now: Instant) {
        if !self.versions.contains_key(&version) && self.versions.len() >= VERSIONS_MAX {
            self.versions.retain(|_, solves| solves.back().is_some_and(|(at, _)| is_fresh(*at, now)));
            if self.versions.len() >= VERSIONS_MAX {
                return;
            }
        }
        let solves = self.versions.entry(version).or_default();
        if solves.len() == SOLVES_MAX {
            solves.pop_front();
        }
        solves.push_back((now, took));
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < FRESH
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn u14_a_version_takes_what_nine_in_ten_of_its_latest_solves_took() {
        let (mut figures, now) = (Figures::default(), Instant::now());
        let version = Digest::of("a");
        for took in 1..u32::try_from(SOLVES_MIN).unwrap() {
            figures.add(version, 100 * MS * took, now);
            assert_eq!(figures.least(version, now), None, "too few");
        }
        figures.add(version, 2000 * MS, now);
        assert_eq!(figures.least(version, now), Some(100 * MS));
        // A kept answer of the node's own counts as luck.
        for _ in 0..30 {
            figures.add(version, 2000 * MS, now);
        }
        figures.add(version, MS, now);
        assert_eq!(figures.least(version, now), Some(2000 * MS));
        assert_eq!(figures.least(Digest::of("b"), now), None, "each version for itself");
        assert_eq!(figures.least(version, now + FRESH), None, "it may have become quicker");
    }

    #[test]
    fn u14_figures_are_bounded_and_old_ones_make_way() {
        let (mut figures, now) = (Figures::default(), Instant::now());
        for version in 0..2 * VERSIONS_MAX {
            figures.add(Digest::of(version.to_string()), MS, now);
        }
        assert_eq!(figures.versions.len(), VERSIONS_MAX);
        figures.add(Digest::of("new"), MS, now + FRESH);
        assert_eq!(figures.versions.len(), 1);
    }
}
