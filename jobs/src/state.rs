//! A job's states and moves, without a clock and without a store. The statements of the stores are made from this table.
//!
//! ```text
//! queued  -> leased      a worker claims it
//! queued  -> cancelled   its caller cancels it
//! leased  -> running     the worker starts the solve
//! leased, running
//!         -> succeeded   the result is recorded
//!         -> failed      the failure would be the same again
//!         -> queued      given back, or its lease lapsed, and attempts are left
//!         -> dead        no attempt is left, or the worker says that it is poison
//!         -> cancelled   a cancel was asked for, and the worker stopped, settled, or vanished
//! failed, dead
//!         -> queued      an operator replays it
//! ```
//!
//! Invariant: `succeeded` and `cancelled` have no way out. An accepted cancel wins: see [`ending`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Queued,
    /// A worker has it and has not started the solve.
    Leased,
    Running,
    Succeeded,
    /// It would fail the same way again.
    Failed,
    /// Its attempts are used up. An operator may replay it.
    Dead,
    Cancelled,
}

/// What may happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    Claim,
    Start,
    Succeed,
    Fail,
    /// The attempt is over without an end of the job: it waits for another one.
    Release,
    /// The attempt is over, and it was the last.
    Bury,
    Cancel,
    Replay,
}

/// A move that no job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot {event:?}")]
pub struct Illegal {
    pub from: State,
    pub event: Event,
}

impl State {
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Leased, Self::Running, Self::Succeeded, Self::Failed, Self::Dead, Self::Cancelled];

    /// The state after an event.
    pub fn step(self, event: Event) -> Result<Self, Illegal> {
        match (self, event) {
            (Self::Queued, Event::Claim) => Ok(Self::Leased),
            (Self::Leased, Event::Start) => Ok(Self::Running),
            (Self::Leased | Self::Running, Event::Succeed) => Ok(Self::Succeeded),
            (Self::Leased | Self::Running, Event::Fail) => Ok(Self::Failed),
            (Self::Leased | Self::Running, Event::Release) | (Self::Failed | Self::Dead, Event::Replay) => {
                Ok(Self::Queued)
            }
            (Self::Leased | Self::Running, Event::Bury) => Ok(Self::Dead),
            (Self::Queued | Self::Leased | Self::Running, Event::Cancel) => Ok(Self::Cancelled),
            (from, event) => Err(Illegal { from, event }),
        }
    }

    /// Whether nothing but a replay moves it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Dead | Self::Cancelled)
    }

    /// Whether a worker has it.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Leased | Self::Running)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl Event {
    pub const ALL: [Self; 8] =
        [Self::Claim, Self::Start, Self::Succeed, Self::Fail, Self::Release, Self::Bury, Self::Cancel, Self::Replay];
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What really happens when an attempt ends by `event`: a cancel that was asked for wins over every other end, and a release without
/// an attempt left is a burial.
pub fn ending(event: Event, cancel_requested: bool, attempts: u32, attempts_max: u32) -> Event {
    match event {
        Event::Succeed | Event::Fail | Event::Release | Event::Bury if cancel_requested => Event::Cancel,
        Event::Release if attempts >= attempts_max => Event::Bury,
        Event::Claim
        | Event::Start
        | Event::Succeed
        | Event::Fail
        | Event::Release
        | Event::Bury
        | Event::Cancel
        | Event::Replay => event,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_of_moves_is_this_one_and_total() {
        use State::{Cancelled, Dead, Failed, Leased, Queued, Running, Succeeded};
        // Columns: Claim, Start, Succeed, Fail, Release, Bury, Cancel, Replay.
        let no = None;
        let table: [(State, [Option<State>; 8]); 7] = [
            (Queued, [Some(Leased), no, no, no, no, no, Some(Cancelled), no]),
            (Leased, [no, Some(Running), Some(Succeeded), Some(Failed), Some(Queued), Some(Dead), Some(Cancelled), no]),
            (Running, [no, no, Some(Succeeded), Some(Failed), Some(Queued), Some(Dead), Some(Cancelled), no]),
            (Succeeded, [no; 8]),
            (Failed, [no, no, no, no, no, no, no, Some(Queued)]),
            (Dead, [no, no, no, no, no, no, no, Some(Queued)]),
            (Cancelled, [no; 8]),
        ];
        assert_eq!(table.map(|(state, _)| state), State::ALL);
        for (state, row) in table {
            for (event, expected) in Event::ALL.into_iter().zip(row) {
                assert_eq!(state.step(event).ok(), expected, "{state} by {event:?}");
            }
        }
    }

    #[test]
    fn every_state_is_found_by_its_name() {
        for state in State::ALL {
            assert_eq!(State::named(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(State::named("QUEUED"), None);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop::sample::select(Event::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn whatever_happens_a_result_or_a_cancel_is_the_last_word(events in prop::collection::vec(event(), 0..60)) {
            let mut state = State::Queued;
            for event in events {
                let next = state.step(event).unwrap_or(state);
                if matches!(state, State::Succeeded | State::Cancelled) {
                    prop_assert_eq!(next, state);
                }
                if state.is_final() && next != state {
                    prop_assert_eq!(event, Event::Replay);
                }
                state = next;
            }
        }

        #[test]
        fn a_cancel_that_was_asked_for_never_ends_otherwise(event in event(), attempts in 0_u32..9, max in 1_u32..9) {
            for state in [State::Leased, State::Running] {
                if let Ok(next) = state.step(ending(event, true, attempts, max)) {
                    prop_assert!(next == State::Cancelled || next == State::Running, "{state} by {event:?}: {next}");
                }
            }
        }

        #[test]
        fn a_release_queues_only_while_an_attempt_is_left(attempts in 0_u32..9, max in 1_u32..9) {
            let next = State::Running.step(ending(Event::Release, false, attempts, max)).unwrap();
            prop_assert_eq!(next == State::Queued, attempts < max);
        }
    }
}
