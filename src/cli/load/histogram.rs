//! Durations counted in buckets whose width grows with the value, as in Gil Tene's `HdrHistogram`.
//!
//! Invariant: memory is fixed whatever is recorded (29 kB), and a percentile is at most 1/128 above the true one.

use std::time::Duration;

use serde::Serialize;

/// Values below this many microseconds have a bucket each; each doubling above has half as many.
const EXACT: u64 = 256;
const HALF: u64 = EXACT / 2;
/// 2^36 µs are 19 hours, more than any wait here; longer ones count as that.
const BITS_MAX: u32 = 36;
const BUCKETS: usize = bucket((1 << BITS_MAX) - 1) + 1;

#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

/// The percentiles that are shown, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

// === impl Histogram ===

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, duration: Duration) {
        let largest = (1_u64 << BITS_MAX) - 1;
        let value = u64::try_from(duration.as_micros()).unwrap_or(largest).min(largest);
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, more)| *mine += more);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The least value that `share` of all are no greater than (nearest rank), in microseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "counts")]
    fn percentile(&self, share: f64) -> u64 {
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0, |bucket| upper(bucket).min(self.max))
    }

    /// None where nothing was recorded.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        #[expect(clippy::cast_precision_loss, reason = "36 bits fit")]
        let milliseconds = |value: u64| value as f64 / 1_000.0;
        (self.count > 0).then(|| Percentiles {
            count: self.count,
            p50: milliseconds(self.percentile(0.5)),
            p90: milliseconds(self.percentile(0.9)),
            p99: milliseconds(self.percentile(0.99)),
            max: milliseconds(self.max),
        })
    }
}

/// The bucket of a value below 2^[`BITS_MAX`].
#[expect(clippy::cast_possible_truncation, reason = "fewer than 4,000 buckets")]
const fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    // The 8 leading bits say where in its doubling the value lies.
    let shift = (value.ilog2() - 7) as u64;
    (EXACT + (shift - 1) * HALF + (value >> shift) - HALF) as usize
}

/// The greatest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let (shift, place) = ((bucket - EXACT) / HALF + 1, (bucket - EXACT) % HALF + HALF);
    ((place + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_value_lies_in_its_bucket_and_no_further_than_a_128th_below_its_end(value in 0_u64..(1 << BITS_MAX)) {
            let bucket = bucket(value);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(value <= upper(bucket) && upper(bucket) - value <= value / 128);
            prop_assert!(bucket == 0 || upper(bucket - 1) < value);
        }

        #[test]
        fn percentiles_are_those_of_the_sorted_values(mut values in prop::collection::vec(0_u64..5_000_000, 1..300)) {
            let mut halves = [Histogram::default(), Histogram::default()];
            for (index, value) in values.iter().enumerate() {
                halves[index % 2].record(Duration::from_micros(*value));
            }
            let [mut all, other] = halves;
            all.merge(&other);
            values.sort_unstable();
            for (share, percent) in [(0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)] {
                let truth = values[(values.len() * percent).div_ceil(100) - 1];
                let told = all.percentile(share);
                prop_assert!(truth <= told && told - truth <= truth / 128, "{percent}: {told} for {truth}");
            }
        }
    }

    #[test]
    fn nothing_recorded_gives_nothing_and_the_absurd_is_kept_within_bounds() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), None);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.percentiles().map(|told| told.count), Some(1));
    }
}
