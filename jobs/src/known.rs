//! What a lease's holder knows of its job's row: how its last call left it.
//!
//! Nobody else changes the row while the lease runs, but for a cancel, so most calls can be decided before the row is asked for. What is
//! decided so is written only if the row still is the known one.
//!
//! Invariant: the token and the number of the newest entry name one state of a row. Every change adds an entry, but for a renewal, which
//! changes the lease's end alone; so no time of a row is known, and [`KEPT`] stands in its place.

use std::sync::{Arc, Mutex, PoisonError};

use crate::decide::{Ask, Decision, Micros, Row, decide};

/// In place of a time that stays as it is in the row.
pub(crate) const KEPT: Micros = Micros::MAX;

/// Shared by a lease and what was cloned from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Option<Row>>>);

impl Known {
    pub(crate) fn new(row: &Row) -> Self {
        let known = Self::default();
        known.learn(row);
        known
    }

    /// The row was found or left like this. Of two calls at one time, the one that saw more of its history is right.
    pub(crate) fn learn(&self, row: &Row) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| known.seq < row.seq) {
            *known = Some(timeless(row));
        }
    }

    pub(crate) fn row(&self) -> Option<Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Decides as if the lease ran. Times of what comes of it count from whenever it is written.
pub(crate) fn decide_ahead(known: &Row, ask: impl FnOnce(Micros) -> Ask) -> Decision {
    const NOW: Micros = 0;
    decide(known, &ask(NOW), NOW)
}

fn timeless(row: &Row) -> Row {
    Row {
        lease_until: row.lease_until.and(Some(KEPT)),
        due_at: KEPT,
        started_at: Some(KEPT),
        finished_at: Some(KEPT),
        ..row.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;
    use crate::decide::Act;

    const NOW: Micros = 1_000;

    /// What is written of a time that was decided ahead.
    fn written(ahead: Option<Micros>, before: Option<Micros>) -> Option<Micros> {
        match ahead {
            Some(KEPT) => before,
            ahead => ahead.map(|micros| NOW + micros),
        }
    }

    #[test]
    fn what_is_decided_ahead_is_what_is_decided_of_the_row() {
        let acts: [fn(Micros) -> Act; 8] = [
            |_| Act::Start,
            |now| Act::Renew { until: now + 50 },
            |_| Act::Succeed,
            |_| Act::Fail,
            |_| Act::Return,
            |now| Act::Retry { due_at: now + 70 },
            |_| Act::Bury,
            |_| Act::Stop,
        ];
        let mut moves = 0;
        for (state, started_at) in [(State::Leased, None), (State::Leased, Some(500)), (State::Running, Some(500))] {
            for (attempts, cancel_requested) in [(1, false), (1, true), (2, false), (2, true)] {
                let row = Row {
                    state,
                    attempts,
                    attempts_max: 2,
                    token: 7,
                    lease_until: Some(NOW + 1),
                    cancel_requested,
                    due_at: 400,
                    started_at,
                    finished_at: None,
                    seq: 9,
                };
                let known = Known::new(&row).row().unwrap();
                for act in acts {
                    let ask = |now| Ask::Held(7, act(now));
                    let back = |next: Row| Row {
                        lease_until: written(next.lease_until, row.lease_until),
                        due_at: written(Some(next.due_at), Some(row.due_at)).unwrap(),
                        started_at: written(next.started_at, row.started_at),
                        finished_at: written(next.finished_at, row.finished_at),
                        ..next
                    };
                    let ahead = match decide_ahead(&known, ask) {
                        Decision::Move(next, kind) => Decision::Move(back(next), kind),
                        Decision::Hold(next) => Decision::Hold(back(next)),
                        other @ (Decision::Stay | Decision::Fenced) => other,
                    };
                    moves += u32::from(matches!(ahead, Decision::Move(..)));
                    assert_eq!(ahead, decide(&row, &ask(NOW), NOW), "{row:?}");
                }
            }
        }
        assert!(moves > 60, "{moves}");
    }

    #[test]
    fn of_two_calls_the_one_that_saw_more_is_remembered_by_all_clones() {
        let row = |seq| Row {
            state: State::Running,
            attempts: 1,
            attempts_max: 2,
            token: 1,
            lease_until: Some(9),
            cancel_requested: seq > 3,
            due_at: 0,
            started_at: Some(1),
            finished_at: None,
            seq,
        };
        let known = Known::new(&row(3));
        known.clone().learn(&row(4));
        known.learn(&row(3));
        let learnt = known.row().unwrap();
        assert!(learnt.seq == 4 && learnt.cancel_requested);
        assert!(Known::default().row().is_none());
    }
}
