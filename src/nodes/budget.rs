//! How much of the load may be second tries: a small part, so that failing nodes are not buried under repetitions.
//!
//! Pure: the time is told. Invariant: over any ten seconds the retries are at most the given part of the solves that
//! were sent in them, or the floor where that is more. The floor counts retries, not retries at one moment: a node
//! that fails within a millisecond would pass any number of them through a bound on those at one moment.

use std::time::Instant;

use super::window::Window;

/// The figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Retries to a hundred solves.
    pub percent: u32,
    /// Retries that are always allowed within ten seconds, so that little traffic has any.
    pub floor: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { percent: 10, floor: 3 }
    }
}

/// The budget.
#[derive(Clone, Debug)]
pub struct Budget {
    rules: Rules,
    /// Solves sent, and retries among them.
    window: Window,
}

impl Budget {
    /// A budget that nothing has been taken from.
    pub fn new(rules: Rules) -> Self {
        Self { rules, window: Window::default() }
    }

    /// A solve is sent for the first time.
    pub fn admitted(&mut self, now: Instant) {
        self.window.add(now, 1, 0);
    }

    /// Solves sent in the last ten seconds, and retries.
    pub fn sums(&mut self, now: Instant) -> (u32, u32) {
        self.window.sums(now)
    }

    /// Whether a solve may be sent once more; if so, it is counted.
    pub fn take(&mut self, now: Instant) -> bool {
        let (admitted, retries) = self.sums(now);
        let part = u64::from(admitted) * u64::from(self.rules.percent) / 100;
        let allowed = u64::from(retries) < part.max(u64::from(self.rules.floor));
        if allowed {
            self.window.add(now, 0, 1);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn retries_stay_within_their_part_of_the_last_ten_seconds(
            steps in prop::collection::vec((0..2500u64, 0..40u32, 0..12u32), 1..60),
        ) {
            let rules = Rules::default();
            let mut budget = Budget::new(rules);
            let start = Instant::now();
            // Seconds are counted from the first moment that is told.
            budget.sums(start);
            let mut elapsed = 0;
            // Every event of the last ten seconds, as a naive reader of a log would count them: second, retry or not.
            let mut log: VecDeque<(u64, bool)> = VecDeque::new();
            for (pause, admitted, asked) in steps {
                elapsed += pause;
                let (now, second) = (start + Duration::from_millis(elapsed), elapsed / 1000);
                for _ in 0..admitted {
                    budget.admitted(now);
                    log.push_back((second, false));
                }
                for _ in 0..asked {
                    log.retain(|(at, _)| at + 10 > second);
                    let retries = log.iter().filter(|(_, retry)| *retry).count();
                    let allowed = retries < ((log.len() - retries) / 10).max(3);
                    prop_assert_eq!(budget.take(now), allowed);
                    if allowed {
                        log.push_back((second, true));
                    }
                }
            }
        }
    }

    #[test]
    fn attempts_stay_below_eleven_tenths_of_what_is_admitted() {
        // Three of ten solves fail, each asks for a second try; 100 a second for a minute.
        let start = Instant::now();
        let mut budget = Budget::new(Rules::default());
        let mut attempts = 0;
        for solve in 0..6000_u32 {
            let now = start + Duration::from_millis(u64::from(solve) * 10);
            budget.admitted(now);
            attempts += 1 + u32::from(solve % 10 < 3 && budget.take(now));
        }
        assert!((6400..=6603).contains(&attempts), "{attempts} attempts");
    }
}
