//! The generic cell rate algorithm, pure: no clock, no lock, no key. Times are nanoseconds since any fixed moment.
//!
//! Invariant: under one quota no stretch of time `t` admits more than `burst + t / interval` requests.

use std::time::Duration;

/// The slowest quota that is told apart: one request a year.
const INTERVAL_MAX: u64 = 365 * 24 * 3600 * NANOS;
const NANOS: u64 = 1_000_000_000;

/// A rate and how much of it may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds from one request to the next at the steady rate; at least 1.
    interval: u64,
    /// Requests that a caller who was away may send at once; at least 1.
    burst: u32,
}

/// What one key owes. 16 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// The theoretical arrival time: when nothing will be owed any more.
    tat: u64,
    /// The interval under which `tat` was written, which tells how many requests it stands for.
    interval: u64,
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How long until a request would be admitted, if this one was not.
    pub wait: Option<Duration>,
    /// How many more would be admitted now.
    pub remaining: u32,
    /// How long until nothing is owed any more.
    pub reset: Duration,
}

// === impl Quota ===

impl Quota {
    /// `count` requests in `window` at a steady pace, and as many at once: a burst is one window's worth, rounded up.
    ///
    /// A rate of 10/s is a burst of 10 and one request per 100 ms; 30/min is 30 and one per 2 s; 0.5/s is 1 and one per 2 s.
    /// The worst window therefore sees twice its count: a full burst, and what is earned while the window lasts.
    pub fn new(count: f64, window: Duration) -> Self {
        let interval = (window.as_secs_f64() * 1e9 / count).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped; `as` saturates, and NaN is 0"
        )]
        let (interval, burst) = (interval as u64, count.ceil() as u32);
        Self { interval: interval.clamp(1, INTERVAL_MAX), burst: burst.max(1) }
    }

    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How long the whole burst takes to come back.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.full())
    }

    fn full(&self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst))
    }
}

// === impl Cell ===

impl Cell {
    /// A key that owes nothing.
    pub fn new(quota: &Quota) -> Self {
        Self { tat: 0, interval: quota.interval }
    }

    /// Whether the key owes nothing, so that forgetting it changes nothing.
    pub fn is_idle(&self, now: u64) -> bool {
        self.tat <= now
    }

    /// Admits a request or not. One that is not admitted costs nothing.
    ///
    /// The quota may differ from the last call's: what is still owed by the old one then stands for as many requests as before,
    /// but no more than the new burst. A clock that steps back cannot lock a key out for longer than `Quota::window` either.
    pub fn take(&mut self, quota: &Quota, now: u64) -> Outcome {
        let full = quota.full();
        let mut owed = self.owed(quota, now).min(full);
        let after = owed.saturating_add(quota.interval);
        let wait = (after > full).then(|| Duration::from_nanos(after - full));
        if wait.is_none() {
            owed = after;
        }
        *self = Self { tat: now.saturating_add(owed), interval: quota.interval };
        let remaining = u32::try_from((full - owed) / quota.interval).unwrap_or(u32::MAX);
        Outcome { wait, remaining, reset: Duration::from_nanos(owed) }
    }

    /// What is owed now, in nanoseconds of the quota given.
    fn owed(&self, quota: &Quota, now: u64) -> u64 {
        let owed = self.tat.saturating_sub(now);
        if self.interval == quota.interval {
            return owed;
        }
        let scaled = (u128::from(owed) * u128::from(quota.interval)).div_ceil(u128::from(self.interval));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// `SplitMix64`: cases by the million, each found again by its number.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed ^ (mixed >> 31)) % limit
        }

        /// From one request in a hundred windows to 2,000 in one.
        fn quota(&mut self) -> Quota {
            let most = [100, 1000, 200_000][usize::try_from(self.below(3)).unwrap()];
            let count = f64::from(u32::try_from(1 + self.below(most)).unwrap()) / 100.0;
            Quota::new(count, Duration::from_secs(1 + self.below(90)))
        }

        /// Arrivals: gaps in thousandths of the interval, most of them shorter than it.
        fn gaps(&mut self) -> Vec<u64> {
            let count = 1 + self.below(40);
            let gap = |random: &mut Self| match random.below(8) {
                0..3 => 0,
                3..7 => random.below(1500),
                _ => random.below(60_000),
            };
            (0..count).map(|_| gap(self)).collect()
        }
    }

    /// The moments of those that were admitted.
    fn admitted(cell: &mut Cell, quota: &Quota, gaps: &[u64], now: &mut u64) -> Vec<u64> {
        let mut moments = Vec::new();
        for gap in gaps {
            *now += gap * quota.interval / 1000;
            if cell.take(quota, *now).wait.is_none() {
                moments.push(*now);
            }
        }
        moments
    }

    /// No stretch of time saw more than `burst + t / interval`.
    fn check_windows(moments: &[u64], quota: &Quota, case: u64) {
        for (first, begin) in moments.iter().enumerate() {
            for (last, end) in moments.iter().enumerate().skip(first) {
                let (count, most) = ((last - first) as u64, u64::from(quota.burst) + (end - begin) / quota.interval);
                assert!(count < most, "case {case}: {count} + 1 of {most} in {} ns, {quota:?}", end - begin);
            }
        }
    }

    fn check_case(case: u64) {
        let mut random = Random(case);
        let (before, first, after, second) = (random.quota(), random.gaps(), random.quota(), random.gaps());
        let mut now = 7200 * NANOS;
        let mut cell = Cell::new(&before);
        let moments = admitted(&mut cell, &before, &first, &mut now);
        check_windows(&moments, &before, case);
        // A reload: what is owed at the first request after it counts on under the new quota.
        let reload = now + second[0] * after.interval / 1000;
        let owed = cell.tat.saturating_sub(reload).div_ceil(before.interval).min(u64::from(after.burst));
        let moments = admitted(&mut cell, &after, &second, &mut now);
        check_windows(&moments, &after, case);
        for (index, moment) in moments.iter().enumerate() {
            // What is owed may end in a part of a request, so one more is in order.
            let most = u64::from(after.burst) + 1 - owed + (moment - reload) / after.interval;
            assert!((index as u64) < most, "case {case}: a reload forgave a debt of {owed}");
        }
        // The clock steps, an hour at most: nobody is locked out for longer than a window, and at most one burst is given away.
        let step = i64::try_from(random.below(7200)).unwrap() - 3600;
        now = now.saturating_add_signed(step * 1_000_000_000);
        let wait = cell.take(&after, now).wait.unwrap_or_default();
        assert!(wait <= after.window(), "case {case}: {wait:?}");
        let moments = admitted(&mut cell, &after, &second, &mut now);
        check_windows(&moments, &after, case);
    }

    #[test]
    fn o11_no_window_sees_more_than_the_burst_and_what_is_earned_in_it() {
        (0..100_000).for_each(check_case);
    }

    mod slow {
        #[test]
        #[ignore = "slow: a million cases"]
        fn o11_no_window_sees_more_in_a_million_cases() {
            (100_000..1_100_000).for_each(super::check_case);
        }
    }

    #[test]
    fn a_burst_is_one_windows_worth() {
        let cases = [(10.0, 1, 10, 100), (30.0, 60, 30, 2000), (0.5, 1, 1, 2000), (2.5, 1, 3, 400)];
        for (count, seconds, burst, interval_ms) in cases {
            let quota = Quota::new(count, Duration::from_secs(seconds));
            assert_eq!((quota.burst, quota.interval), (burst, interval_ms * 1_000_000), "{count} in {seconds} s");
        }
        for count in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            let quota = Quota::new(count, SECOND);
            assert!(quota.burst >= 1 && quota.interval >= 1, "{count}");
        }
    }

    #[test]
    fn the_wait_is_exact_and_a_refusal_costs_nothing() {
        let quota = Quota::new(10.0, SECOND);
        let mut cell = Cell::new(&quota);
        for left in (0..10).rev() {
            assert_eq!(
                cell.take(&quota, 0),
                Outcome { wait: None, remaining: left, reset: Duration::from_millis(100 * u64::from(10 - left)) }
            );
        }
        for _ in 0..1000 {
            assert_eq!(cell.take(&quota, 0).wait, Some(Duration::from_millis(100)));
        }
        assert_eq!(cell.take(&quota, 99_999_999).wait, Some(Duration::from_nanos(1)));
        assert_eq!(cell.take(&quota, 100_000_000).wait, None);
    }

    #[test]
    fn o11_a_reload_keeps_the_debt() {
        let (slow, fast) = (Quota::new(30.0, Duration::from_mins(1)), Quota::new(300.0, Duration::from_mins(1)));
        let mut cell = Cell::new(&slow);
        for _ in 0..30 {
            assert_eq!(cell.take(&slow, 0).wait, None);
        }
        // 30 are owed; the new burst of 300 leaves 270, of which this takes one.
        assert_eq!(cell.take(&fast, 0).remaining, 269);
        // Back again: 31 are owed, and no more than the burst of 30 counts.
        assert_eq!(cell.take(&slow, 0).wait, Some(Duration::from_secs(2)));
    }
}
