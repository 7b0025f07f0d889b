//! When the registry is looked at next: polls by the clock, hints in between.
//!
//! Invariants: no clock in here. A poll makes way for hints and second sights, but never so often that it is not made.

use std::time::{Duration, Instant};

use super::hints::Hint;
use super::reload::{Depth, Outcome};

/// How often in a row a poll that is due makes way for a hint or a second sight; the next is made whole, whatever comes.
const PUT_OFF_MAX: u32 = 4;
/// Before the next look after a failed one.
const RETRY: Duration = Duration::from_millis(200);
/// How long hints gather: copying one file tells of several changes.
pub(super) const GATHER: Duration = Duration::from_millis(100);

/// What is due.
#[derive(Debug)]
pub(super) struct Pace {
    poll: Duration,
    settle: Duration,
    next_poll: Instant,
    put_off: u32,
    /// What was hinted at and not seen.
    owed: Hint,
}

/// The pause before the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    /// No hint of paths ends it before this.
    pub(super) rest: Duration,
    /// No hint of everything does before this.
    pub(super) rest_of_all: Duration,
    /// A look is due at this moment, whether or not there are hints.
    pub(super) until: Instant,
    pub(super) until_poll: Instant,
}

// === impl Pace ===

impl Pace {
    pub(super) fn new(poll: Duration, settle: Duration, now: Instant) -> Self {
        Self { poll, settle, next_poll: now + spread(poll), put_off: 0, owed: Hint::nowhere() }
    }

    /// The depth of a look at what was hinted, and at what an earlier look should have seen.
    pub(super) fn hinted(&mut self, mut hint: Hint) -> Depth {
        hint.add(std::mem::take(&mut self.owed));
        Depth::Hinted(hint)
    }

    /// Whether the look that begins is to be broken off for a hint.
    pub(super) fn makes_way(&self, depth: &Depth) -> bool {
        *depth == Depth::Poll && self.put_off < PUT_OFF_MAX
    }

    /// After a look of `depth` that took from `started` to `now`.
    pub(super) fn after(&mut self, depth: Depth, outcome: Outcome, started: Instant, now: Instant) -> Pause {
        let is_poll = depth == Depth::Poll;
        let is_whole = is_poll || depth == Depth::Hinted(Hint::Anywhere);
        if is_poll && outcome != Outcome::BrokenOff {
            (self.put_off, self.next_poll) = (0, now + spread(self.poll));
        }
        let again = self.settle / 4 + GATHER;
        let (soon, put_off_to) = match outcome {
            Outcome::Quiet => (None, None),
            // When what it made way for is taken, as a rule.
            Outcome::BrokenOff => (None, Some(now + self.settle + 2 * GATHER)),
            Outcome::Settling => (Some(again), (self.put_off < PUT_OFF_MAX).then_some(now + again + GATHER)),
            Outcome::Failed | Outcome::Stale => {
                if let Depth::Hinted(hint) = depth {
                    self.owed.add(hint);
                }
                ((outcome == Outcome::Failed).then_some(RETRY), None)
            }
        };
        if let Some(later) = put_off_to.filter(|later| *later > self.next_poll) {
            (self.put_off, self.next_poll) = (self.put_off + 1, later);
        }
        // However often hints come, half of the time nothing is looked at; a poll has its own pause. A look at everything takes long, and one at a
        // few paths need not wait for it.
        let rest_of_all = if is_poll { Duration::ZERO } else { now.duration_since(started).min(self.poll) };
        let rest = if is_whole { Duration::ZERO } else { rest_of_all };
        let until = soon.map_or(self.next_poll, |soon| self.next_poll.min(now + soon.max(rest)));
        Pause { rest, rest_of_all, until, until_poll: self.next_poll }
    }
}

/// A fifth more or less, so that many gateways do not read one share at the same moment.
fn spread(interval: Duration) -> Duration {
    let [random, ..] = *uuid::Uuid::new_v4().as_bytes();
    interval.mul_f64(0.8 + 0.4 * f64::from(random) / f64::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const POLL: Duration = Duration::from_secs(10);
    const SETTLE: Duration = Duration::from_secs(1);

    fn hint(path: &str) -> Hint {
        Hint::at([PathBuf::from(path)])
    }

    #[test]
    fn a_poll_that_made_way_again_and_again_is_made_whole() {
        let begin = Instant::now();
        let (mut pace, mut now) = (Pace::new(POLL, SETTLE, begin), begin + 2 * POLL);
        let mut broken_off = 0;
        while pace.makes_way(&Depth::Poll) {
            let pause = pace.after(Depth::Poll, Outcome::BrokenOff, now, now);
            assert_eq!(pause.until, now + SETTLE + 2 * GATHER, "what it made way for has time to settle");
            now = pause.until_poll;
            broken_off += 1;
            assert!(broken_off < 10, "it makes way for ever");
        }
        let pause = pace.after(Depth::Poll, Outcome::Quiet, now, now + SETTLE);
        assert!(pause.until_poll >= now + POLL.mul_f64(0.8) && pause.until_poll <= now + SETTLE + POLL.mul_f64(1.2));
        assert_eq!(pause.rest, Duration::ZERO, "hints need not rest from a poll");
        assert!(pace.makes_way(&Depth::Poll) && !pace.makes_way(&Depth::Hinted(Hint::Anywhere)));
    }

    #[test]
    fn a_poll_waits_for_a_second_sight_but_not_for_one_that_never_comes() {
        let begin = Instant::now();
        let mut pace = Pace::new(POLL, SETTLE, begin);
        let due = begin + 2 * POLL;
        let (mut now, mut sights) = (due, 0);
        loop {
            let depth = pace.hinted(Hint::nowhere());
            let pause = pace.after(depth, Outcome::Settling, now, now);
            sights += 1;
            now = pause.until;
            if pause.until == pause.until_poll {
                break;
            }
            assert!(sights < 10, "the poll is never made");
        }
        assert!(now >= due + SETTLE, "what settles has had time to");
        assert!(now <= due + 3 * SETTLE);
    }

    #[test]
    fn what_was_hinted_at_while_nothing_could_be_seen_is_looked_at_later() {
        let now = Instant::now();
        let mut pace = Pace::new(POLL, SETTLE, now);
        let first = pace.hinted(hint("/a"));
        let pause = pace.after(first, Outcome::Failed, now, now);
        assert_eq!(pause.until, now + RETRY);
        let second = pace.hinted(hint("/b"));
        assert_eq!(second, Depth::Hinted(Hint::at([PathBuf::from("/a"), PathBuf::from("/b")])));
        pace.after(second, Outcome::Quiet, now, now);
        assert_eq!(pace.hinted(Hint::nowhere()), Depth::Hinted(Hint::nowhere()));
        // A look that took long is followed by as long a rest.
        let pause = pace.after(Depth::Hinted(Hint::Anywhere), Outcome::Settling, now, now + 2 * SETTLE);
        assert_eq!((pause.rest_of_all, pause.rest), (2 * SETTLE, Duration::ZERO), "a few paths are soon looked at");
        let pause = pace.after(Depth::Hinted(hint("/a")), Outcome::Settling, now, now + 2 * SETTLE);
        assert_eq!((pause.rest_of_all, pause.rest, pause.until), (2 * SETTLE, 2 * SETTLE, now + 4 * SETTLE));
    }
}
