//! Seeded randomness, and which tenant and which input each request gets.
//!
//! Invariant: the same seed gives the same sequence, so a run can be made again.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many inputs the repeating share of the requests is drawn from: few enough that each soon has been solved once.
pub(super) const REPEATED: u64 = 16;

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Good for load, not for keys.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

/// Which input each request sends: one of the [`REPEATED`], or one that no request of this run has sent.
#[derive(Debug)]
pub(super) struct Inputs {
    hit_ratio: f64,
    fresh: AtomicU64,
}

// === impl Random ===

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        fraction(self.next())
    }

    /// An index into `weights`, each as likely as its share of their sum.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let found = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        found.unwrap_or(weights.len().saturating_sub(1))
    }
}

/// The upper 53 bits as a fraction of 1: every such number is a double.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(super) fn fraction(word: u64) -> f64 {
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

// === impl Inputs ===

impl Inputs {
    pub(super) fn new(hit_ratio: f64) -> Self {
        Self { hit_ratio, fresh: AtomicU64::new(REPEATED) }
    }

    /// The number of an input: below [`REPEATED`] for the ones that repeat.
    pub(super) fn pick(&self, random: &mut Random) -> u64 {
        if random.unit() < self.hit_ratio {
            random.next() % REPEATED
        } else {
            self.fresh.fetch_add(1, Ordering::Relaxed)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn weights_are_followed_and_nothing_is_drawn_that_weighs_nothing() {
        let mut random = Random::new(7);
        let mut counts = [0_u32; 3];
        for _ in 0..30_000 {
            counts[random.weighted(&[20.0, 0.0, 1.0])] += 1;
        }
        assert_eq!(counts[1], 0);
        let share = f64::from(counts[2]) / 30_000.0;
        assert!((share - 1.0 / 21.0).abs() < 0.005, "{share}");
    }

    #[test]
    fn the_hit_ratio_is_the_share_of_repeats_and_the_rest_never_repeats() {
        let (mut random, inputs) = (Random::new(1), Inputs::new(0.25));
        let picked: Vec<u64> = (0..20_000).map(|_| inputs.pick(&mut random)).collect();
        let (repeats, fresh): (Vec<u64>, Vec<u64>) = picked.into_iter().partition(|input| *input < REPEATED);
        assert!((4_700..5_300).contains(&repeats.len()), "{}", repeats.len());
        assert_eq!(fresh.iter().collect::<BTreeSet<_>>().len(), fresh.len());
    }

    #[test]
    fn a_seed_gives_its_sequence_again() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..5).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
