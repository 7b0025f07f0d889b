//! What is asked of a schedule, what it answers, and what it shows.
//!
//! Invariant: every way in which an ask can end has one word here, and [`Tally`] counts each.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::caps::Lane;

/// One waiter, and the seat that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// Who asks for a seat.
#[derive(Clone, Debug)]
pub struct Ask {
    pub tenant: Arc<str>,
    pub lane: Lane,
    /// The caller's session: its newest queued preview takes the place of its older one.
    pub session: Option<Arc<str>>,
    /// The tenant's part of the seat-seconds beside others; 1 is everybody's.
    pub weight: NonZeroU32,
}

/// What an ask gets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Granted(Ticket),
    /// In line, until the given time at the latest.
    Queued(Ticket, Duration),
    Refused(Refusal),
}

/// What became of a queued ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Granted,
    /// A newer preview of its session took its place.
    Superseded,
    /// Its time in line is over.
    Expired,
    /// Its lane or app is open no more.
    Closed,
    /// The line had become too slow for those who wait longest.
    Shed,
    /// The line was full, and its tenant had more of it than the one who got its place.
    Displaced,
}

/// A seat that was not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub why: Why,
    /// When another try is likely to find a seat, from the queue as it is and the service times as measured.
    pub retry_after: Duration,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The app is not known or no longer served.
    NoSuchApp,
    /// The policy gives the lane no seats.
    LaneClosed,
    /// All seats of the lane are taken, and the policy lets nobody wait.
    LaneFull,
    /// As many wait as the policy allows, and none of them has to make room for this one.
    QueueFull,
    /// The seat would come after the caller's patience or the lane's longest wait.
    WaitTooLong,
    Superseded,
    Expired,
    /// The line had become too slow, and this one had waited longest.
    Shed,
}

/// How asks ended, counted from the start. `asked` is the sum of all others plus those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub asked: u64,
    pub granted: u64,
    pub refused: u64,
    pub superseded: u64,
    pub expired: u64,
    pub closed: u64,
    pub shed: u64,
    /// Another tenant with fewer waiters got the place.
    pub displaced: u64,
    /// The caller went away while it waited.
    pub left: u64,
}

impl Tally {
    /// Counts what became of one who waited.
    pub(super) fn count(&mut self, fate: Fate) {
        let counter = match fate {
            Fate::Granted => &mut self.granted,
            Fate::Superseded => &mut self.superseded,
            Fate::Expired => &mut self.expired,
            Fate::Closed => &mut self.closed,
            Fate::Shed => &mut self.shed,
            Fate::Displaced => &mut self.displaced,
        };
        *counter += 1;
    }
}

/// One lane as health and metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneView {
    pub lane: Lane,
    pub limit: u32,
    pub in_use: u32,
    pub queued: usize,
    /// How long the longest waiter has waited.
    pub oldest_wait: Option<Duration>,
    /// Whether the line is so slow that the newest go first and the oldest are shed.
    pub newest_first: bool,
    /// The mean time that a seat is held, once measured.
    pub mean_service: Option<Duration>,
    pub tally: Tally,
    /// Tenants that wait, run or are in debt.
    pub tenants: usize,
}

/// One app as health and metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub limit: u32,
    pub in_use: u32,
    pub lanes: [LaneView; 2],
}
