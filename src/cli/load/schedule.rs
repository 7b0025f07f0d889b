//! When requests are due: the arrivals of an open loop, and how the callers of a closed one are shared out.
//!
//! Invariant: no arrival depends on any answer, which is what makes the loop open.

use std::time::Duration;

use super::random::Random;

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spacing {
    /// Each at a random moment of its own, as independent callers come.
    Poisson,
    /// One every 1/rate seconds.
    Constant,
}

/// Endless arrivals, as time since the start, never going back.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    spacing: Spacing,
    /// Requests a second.
    rate: f64,
    random: Random,
    arrived: u64,
    /// Seconds since the start.
    now: f64,
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn new(spacing: Spacing, rate: f64, random: Random) -> Self {
        Self { spacing, rate, random, arrived: 0, now: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    #[expect(clippy::cast_precision_loss, reason = "2^53 arrivals are more than a run has")]
    fn next(&mut self) -> Option<Duration> {
        match self.spacing {
            // Counted, not summed, so that no rounding adds up.
            Spacing::Constant => self.now = self.arrived as f64 / self.rate,
            // The gaps of a Poisson process are exponential: the inverse of their distribution at a uniform number.
            Spacing::Poisson => self.now -= (1.0 - self.random.unit()).ln() / self.rate,
        }
        self.arrived += 1;
        Duration::try_from_secs_f64(self.now).ok()
    }
}

/// Shares `callers` out by weight, at least one for each weight. None where there are fewer callers than weights.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
pub(super) fn share(callers: usize, weights: &[f64]) -> Option<Vec<usize>> {
    let spare = callers.checked_sub(weights.len())?;
    let total: f64 = weights.iter().sum();
    // What each is due of all callers, less the one that it has already.
    let due: Vec<f64> = weights.iter().map(|weight| (weight / total * callers as f64 - 1.0).max(0.0)).collect();
    let scale = spare as f64 / due.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let due: Vec<f64> = due.iter().map(|due| due * scale).collect();
    let mut shares: Vec<usize> = due.iter().map(|due| 1 + due.floor() as usize).collect();
    let mut by_rest: Vec<usize> = (0..weights.len()).collect();
    by_rest.sort_by(|a, b| due[*b].fract().total_cmp(&due[*a].fract()));
    let left = callers.saturating_sub(shares.iter().sum());
    by_rest.iter().cycle().take(left).for_each(|index| shares[*index] += 1);
    Some(shares)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn constant_spacing_hits_every_multiple() {
        let schedule = Schedule::new(Spacing::Constant, 250.0, Random::new(0));
        let arrivals: Vec<u128> = schedule.take(4).map(|due| due.as_micros()).collect();
        assert_eq!(arrivals, [0, 4_000, 8_000, 12_000]);
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let mut previous = Duration::ZERO;
        let gaps: Vec<f64> = Schedule::new(Spacing::Poisson, 100.0, Random::new(42))
            .take(50_000)
            .map(|due| {
                let gap = due.checked_sub(previous).unwrap().as_secs_f64();
                previous = due;
                gap
            })
            .collect();
        let mean = gaps.iter().sum::<f64>() / 50_000.0;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 50_000.0;
        assert!((mean - 0.01).abs() < 0.0002, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "{}", variance.sqrt() / mean);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn arrivals_never_go_back(seed: u64, rate in 0.01_f64..100_000.0, constant: bool) {
            let spacing = if constant { Spacing::Constant } else { Spacing::Poisson };
            let arrivals: Vec<_> = Schedule::new(spacing, rate, Random::new(seed)).take(200).collect();
            prop_assert_eq!(arrivals.len(), 200);
            prop_assert!(arrivals.is_sorted());
        }

        #[test]
        fn callers_are_shared_out_whole(callers in 1_usize..500, weights in prop::collection::vec(0.1_f64..50.0, 1..8)) {
            match share(callers, &weights) {
                None => prop_assert!(callers < weights.len()),
                Some(shares) => {
                    prop_assert_eq!(shares.iter().sum::<usize>(), callers);
                    prop_assert!(shares.iter().all(|share| *share >= 1));
                }
            }
        }
    }

    #[test]
    fn a_heavy_tenant_gets_its_share_of_callers() {
        assert_eq!(share(16, &[15.0, 1.0]), Some(vec![15, 1]));
        assert_eq!(share(21, &[20.0, 1.0]), Some(vec![20, 1]));
        assert_eq!(share(9, &[1.0, 1.0, 1.0]), Some(vec![3, 3, 3]));
    }
}
