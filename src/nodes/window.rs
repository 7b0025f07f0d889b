//! Two counts over the last ten seconds, to a second: what budgets and rates are made of.
//!
//! Pure: the time is told. Invariant: ten cells, whatever is counted and however time jumps.

use std::time::Instant;

/// Seconds that are remembered.
const SPAN: usize = 10;

/// The counts. What the two stand for is the owner's business.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The moment that seconds are counted from: the first that was told.
    start: Option<Instant>,
    /// By second modulo the span: which second it is, and its counts.
    cells: [(u64, u32, u32); SPAN],
}

impl Window {
    /// Adds to both counts.
    pub(super) fn add(&mut self, now: Instant, first: u32, second: u32) {
        let at = self.second(now);
        let place = usize::try_from(at % SPAN as u64).expect("a remainder below ten");
        let cell = &mut self.cells[place];
        if cell.0 != at {
            *cell = (at, 0, 0);
        }
        cell.1 = cell.1.saturating_add(first);
        cell.2 = cell.2.saturating_add(second);
    }

    /// Both counts over the last ten seconds.
    pub(super) fn sums(&mut self, now: Instant) -> (u32, u32) {
        let at = self.second(now);
        let recent = self.cells.iter().filter(|cell| cell.0 <= at && cell.0 + SPAN as u64 > at);
        recent.fold((0, 0), |sum, cell| (sum.0.saturating_add(cell.1), sum.1.saturating_add(cell.2)))
    }

    fn second(&mut self, now: Instant) -> u64 {
        // Beyond the span from the start, so that no cell that was never written counts as recent.
        SPAN as u64 + now.saturating_duration_since(*self.start.get_or_insert(now)).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ten_seconds_are_remembered_and_no_more() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::default();
        assert_eq!(window.sums(at(0)), (0, 0));
        window.add(at(0), 1, 0);
        window.add(at(3), 2, 1);
        assert_eq!(window.sums(at(9)), (3, 1));
        assert_eq!(window.sums(at(10)), (2, 1));
        window.add(at(13), 5, 0);
        assert_eq!(window.sums(at(13)), (5, 0));
        assert_eq!(window.sums(at(1000)), (0, 0));
    }
}
