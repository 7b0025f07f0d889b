//! What a call does to a job's row: a pure function of the row, the call and the database's clock.
//!
//! Both stores ask [`decide`] inside the transaction that holds the row, and write what it answers. So fencing, attempts and cancels are
//! decided in one place, and the model that explores every order of calls explores this code.
//!
//! Invariant: a call with a token changes a row only while that token's lease runs. One that ended the job may be made again, as its answer
//! may have been lost: it changes nothing, and is told the end.

use crate::state::{self, Event};
use crate::{Failure, Kind, State};

/// Microseconds since 1970 by the database's clock.
pub(crate) type Micros = i64;

/// The part of a job that changes, save for the texts of its result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    /// Of the newest lease; grows with each.
    pub(crate) token: i64,
    pub(crate) lease_until: Option<Micros>,
    pub(crate) cancel_requested: bool,
    pub(crate) due_at: Micros,
    pub(crate) started_at: Option<Micros>,
    pub(crate) finished_at: Option<Micros>,
    /// The number of the newest entry of its history.
    pub(crate) seq: i64,
}

/// What is asked of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Claim {
        until: Micros,
    },
    /// By whoever holds the lease with this token.
    Held(i64, Act),
    /// The lease has ended without a word of its holder.
    Lapse,
    Cancel,
    Replay,
}

/// What a holder of a lease wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Start,
    Renew { until: Micros },
    Succeed,
    Fail,
    Return,
    Retry { due_at: Micros },
    Bury,
    Stop,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Write this row and this entry.
    Move(Row, Kind),
    /// Write this row; nobody needs to hear of it.
    Hold(Row),
    /// There is nothing to do.
    Stay,
    /// The token counts no more.
    Fenced,
}

/// Decides.
pub(crate) fn decide(row: &Row, ask: &Ask, now: Micros) -> Decision {
    match ask {
        Ask::Claim { until } => claim(row, *until, now),
        Ask::Held(token, act) => {
            let holds = row.state.is_held() && row.token == *token && row.lease_until.is_some_and(|until| now < until);
            match (holds, told_before(row, *token, act)) {
                (true, _) => held(row, act, now),
                (false, true) => Decision::Stay,
                (false, false) => Decision::Fenced,
            }
        }
        Ask::Lapse => {
            let ended = row.state.is_held() && row.lease_until.is_none_or(|until| until <= now);
            if ended { leave(row, Event::Release, Kind::Lapsed, now, now) } else { Decision::Stay }
        }
        Ask::Cancel if row.state.is_held() && row.cancel_requested => Decision::Stay,
        Ask::Cancel if row.state.is_held() => {
            let next = Row { cancel_requested: true, seq: row.seq + 1, ..row.clone() };
            Decision::Move(next, Kind::CancelRequested)
        }
        Ask::Cancel => leave(row, Event::Cancel, Kind::Cancelled, now, now),
        Ask::Replay => match row.state.step(Event::Replay) {
            Ok(state) => Decision::Move(
                Row {
                    state,
                    attempts: 0,
                    cancel_requested: false,
                    due_at: now,
                    started_at: None,
                    finished_at: None,
                    seq: row.seq + 1,
                    ..row.clone()
                },
                Kind::Replayed,
            ),
            Err(_) => Decision::Stay,
        },
    }
}

/// Whether the job ended by this very call, whose answer may have been lost: nobody else's end has this token.
fn told_before(row: &Row, token: i64, act: &Act) -> bool {
    let end = match act {
        Act::Succeed => State::Succeeded,
        Act::Fail => State::Failed,
        Act::Start | Act::Renew { .. } | Act::Return | Act::Retry { .. } | Act::Bury | Act::Stop => return false,
    };
    row.token == token && row.state == end
}

fn claim(row: &Row, until: Micros, now: Micros) -> Decision {
    match row.state.step(Event::Claim) {
        Ok(state) if row.due_at <= now => Decision::Move(
            Row {
                state,
                attempts: row.attempts.saturating_add(1),
                token: row.token + 1,
                lease_until: Some(until),
                seq: row.seq + 1,
                ..row.clone()
            },
            Kind::Claimed,
        ),
        Ok(_) | Err(_) => Decision::Stay,
    }
}

fn held(row: &Row, act: &Act, now: Micros) -> Decision {
    match act {
        Act::Start => match row.state.step(Event::Start) {
            Ok(state) => {
                Decision::Move(Row { state, started_at: Some(now), seq: row.seq + 1, ..row.clone() }, Kind::Started)
            }
            Err(_) => Decision::Stay,
        },
        Act::Renew { until } => Decision::Hold(Row { lease_until: Some(*until), ..row.clone() }),
        Act::Succeed => leave(row, Event::Succeed, Kind::Succeeded, now, now),
        Act::Fail => leave(row, Event::Fail, Kind::Failed, now, now),
        Act::Return => {
            let uncounted = Row { attempts: row.attempts.saturating_sub(1), ..row.clone() };
            leave(&uncounted, Event::Release, Kind::Returned, now, now)
        }
        Act::Retry { due_at } => leave(row, Event::Release, Kind::Retried, *due_at, now),
        Act::Bury => leave(row, Event::Bury, Kind::Dead, now, now),
        Act::Stop => leave(row, Event::Cancel, Kind::Cancelled, now, now),
    }
}

/// The row after its worker, if it has one, is done with it.
fn leave(row: &Row, event: Event, kind: Kind, due_at: Micros, now: Micros) -> Decision {
    let event = state::ending(event, row.cancel_requested, row.attempts, row.attempts_max);
    let Ok(state) = row.state.step(event) else { return Decision::Stay };
    let kind = match state {
        State::Cancelled => Kind::Cancelled,
        State::Dead => Kind::Dead,
        State::Queued | State::Leased | State::Running | State::Succeeded | State::Failed => kind,
    };
    let finished_at = state.is_final().then_some(now);
    Decision::Move(Row { state, lease_until: None, due_at, finished_at, seq: row.seq + 1, ..row.clone() }, kind)
}

/// What is written of a worker that vanished.
pub(crate) fn lapsed() -> Failure {
    Failure {
        code: "lease_lapsed".to_owned(),
        message: "The worker was not heard of until its lease ended.".to_owned(),
        retryable: true,
    }
}

#[cfg(test)]
mod tests;
