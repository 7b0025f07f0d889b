//! What an app's policy allows: seats in all, seats per lane, and how many may wait how long.
//!
//! Invariant: a lane never holds more than its own seats, and both lanes together never more than the total.

use std::time::Duration;

/// Which of an app's two kinds of work a solve belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody watches: short, and first where both lanes want one seat.
    Preview,
    /// Nobody watches: long, and with a floor that previews cannot take.
    Batch,
}

impl Lane {
    /// Both, in the order in which views list them.
    pub const ALL: [Self; 2] = [Self::Preview, Self::Batch];

    /// The word for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Batch => "batch",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Preview => Self::Batch,
            Self::Batch => Self::Preview,
        }
    }
}

/// The caps of one app.
///
/// - The lanes together hold at most `total` seats (`max_concurrency`); a lane holds at most its own `seats`
///   (`preview_seats`, `batch_seats`). These are upper bounds, so a lane never borrows beyond its own: a running solve
///   cannot be called back, and a preview that finds its reserved seat lent to a batch waits for the whole of it.
/// - `total - preview.seats` seats are therefore always batch's, and `total - batch.seats` always preview's.
/// - Where the lanes' seats add up to more than `total`, the overlap is shared. There a preview goes before a batch,
///   but not beyond a floor: while both lanes wait, batch gets at least the part `batch : (preview + batch)` of the
///   seat-seconds, to within one solve. With 1 seat in all and 1 each, the lanes share the time by halves.
/// - A lane with no seats is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Seats in all.
    pub total: u32,
    pub preview: LaneCaps,
    pub batch: LaneCaps,
}

/// The caps of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneCaps {
    /// Solves at one time, at most.
    pub seats: u32,
    /// Waiters at one time, at most.
    pub depth: u32,
    /// The longest wait. The caller's own patience bounds it too.
    pub wait: Duration,
}

/// Beyond five seconds nobody looks at the preview any more: the slider has moved on.
const PREVIEW_WAIT: Duration = Duration::from_secs(5);
/// 5 s of waiting / 0.3 s of a typical preview, rounded down to a power of two: whoever is admitted is likely served.
const PREVIEW_DEPTH_PER_SEAT: u32 = 16;
/// A batch caller is a worker with a lease to renew: a minute, then it comes back by itself.
const BATCH_WAIT: Duration = Duration::from_mins(1);
/// 60 s of waiting / 2 s of a typical batch solve, rounded up to a power of two.
const BATCH_DEPTH_PER_SEAT: u32 = 32;

impl Caps {
    /// The three numbers of a policy, with the default queues: 16 waiters a seat for 5 s in preview, 32 waiters a seat for
    /// 60 s in batch.
    pub fn new(total: u32, preview_seats: u32, batch_seats: u32) -> Self {
        let preview_depth = preview_seats.saturating_mul(PREVIEW_DEPTH_PER_SEAT);
        let batch_depth = batch_seats.saturating_mul(BATCH_DEPTH_PER_SEAT);
        Self {
            total,
            preview: LaneCaps { seats: preview_seats, depth: preview_depth, wait: PREVIEW_WAIT },
            batch: LaneCaps { seats: batch_seats, depth: batch_depth, wait: BATCH_WAIT },
        }
    }

    /// Both lanes closed: what runs may finish, and nothing starts.
    pub const CLOSED: Self = {
        let lane = LaneCaps { seats: 0, depth: 0, wait: Duration::ZERO };
        Self { total: 0, preview: lane, batch: lane }
    };

    /// One lane's caps, its seats bounded by the total.
    pub fn lane(&self, lane: Lane) -> LaneCaps {
        let caps = match lane {
            Lane::Preview => self.preview,
            Lane::Batch => self.batch,
        };
        LaneCaps { seats: caps.seats.min(self.total), ..caps }
    }
}
