//! When a line has become so slow that who came first is served too late to matter, and how fast to thin it out then.
//!
//! Controlled delay (Nichols and Jacobson, 2012) with figures for solves in place of packets. A line is *late* when the
//! longest wait in it has been over a fifth of the median service for a whole second, and serving it in turn would take
//! more than half of the longest wait that the lane allows. Then the newest go first, and the oldest are shed, at a rate that
//! grows until the line is short. It is over when nobody waits for longer than the fifth.
//!
//! Invariant: nothing is late before service was measured, and nothing is shed of a line that is not late.

use std::{collections::VecDeque, time::Duration};

/// For so long the longest wait must have been over the target.
const INTERVAL: Duration = Duration::from_secs(1);
/// The target is the median service over this.
const TARGET_PART: u32 = 5;
/// The median is that of the latest so many.
const SERVICES_MAX: usize = 31;

/// What is known of one line.
#[derive(Debug, Default)]
pub(super) struct Sojourn {
    services: VecDeque<Duration>,
    /// Since when the longest wait is over the target.
    over_since: Option<Duration>,
    /// How many were shed since the line became late, and when the next is to be; none while it is not late.
    late: Option<(u32, Duration)>,
}

impl Sojourn {
    /// A seat was held for so long.
    pub(super) fn measured(&mut self, service: Duration) {
        if self.services.len() == SERVICES_MAX {
            self.services.pop_front();
        }
        self.services.push_back(service);
    }

    /// Whether the newest go first.
    pub(super) fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// Takes in how long the longest waiter has waited, and how long serving all of them in turn would take.
    pub(super) fn look(&mut self, longest: Option<Duration>, in_turn: Duration, wait_max: Duration, now: Duration) {
        let over = longest.zip(self.target()).is_some_and(|(longest, target)| longest > target);
        if !over {
            (self.over_since, self.late) = (None, None);
            return;
        }
        let since = *self.over_since.get_or_insert(now);
        let for_long = now.saturating_sub(since) >= INTERVAL;
        if self.late.is_none() && for_long && in_turn > wait_max / 2 {
            self.late = Some((0, now));
        }
    }

    /// Whether one is to be shed now. Counts it.
    pub(super) fn sheds(&mut self, now: Duration) -> bool {
        let Some((shed, next)) = &mut self.late else { return false };
        if now < *next {
            return false;
        }
        *shed += 1;
        *next += INTERVAL.div_f64(f64::from(*shed).sqrt());
        true
    }

    fn target(&self) -> Option<Duration> {
        let mut services: Vec<Duration> = self.services.iter().copied().collect();
        if services.is_empty() {
            return None;
        }
        let middle = services.len() / 2;
        Some(*services.select_nth_unstable(middle).1 / TARGET_PART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn line() -> Sojourn {
        let mut line = Sojourn::default();
        for service in [100, 500, 900] {
            line.measured(MS * service);
        }
        line
    }

    #[test]
    fn o12_a_line_is_late_after_a_second_over_the_target_where_its_turn_would_come_too_late() {
        let mut line = line();
        line.look(Some(MS * 101), S * 9, S * 5, S);
        line.look(Some(MS * 900), S * 9, S * 5, S + MS * 999);
        assert!(!line.is_late(), "not for a second yet");
        line.look(Some(MS * 1100), S * 2, S * 5, S * 2);
        assert!(!line.is_late(), "in turn all are served in good time");
        line.look(Some(MS * 1100), S * 3, S * 5, S * 2);
        assert!(line.is_late());
        line.look(Some(MS * 101), S, S * 5, S * 3);
        assert!(line.is_late(), "until nobody waits for longer than the target");
        line.look(Some(MS * 100), S, S * 5, S * 3);
        assert!(!line.is_late());
        let mut unmeasured = Sojourn::default();
        unmeasured.look(Some(S * 60), S * 60, S, S * 60);
        unmeasured.look(Some(S * 60), S * 60, S, S * 90);
        assert!(!unmeasured.is_late());
    }

    #[test]
    fn o12_the_longer_a_line_is_late_the_faster_it_is_thinned_out() {
        let mut line = line();
        line.look(Some(S), S * 9, S * 5, S);
        assert!(!line.sheds(S), "not late");
        line.look(Some(S), S * 9, S * 5, S * 2);
        let shed = |line: &mut Sojourn, from: u32, to: u32| {
            (from * 100..to * 100).filter(|tick| line.sheds(MS * 10 * *tick)).count()
        };
        let (first, later) = (shed(&mut line, 2, 4), shed(&mut line, 10, 12));
        assert!(first == 3 && later > 3 * first, "{first}, {later}");
    }
}
