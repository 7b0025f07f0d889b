//! What happened to a job, in order: the lines that callers follow.
//!
//! Invariant: a job's entries are numbered 1, 2, 3 … without a gap, in the transaction that made the change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::State;

/// One line of a job's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub seq: u64,
    pub at: Timestamp,
    pub kind: Kind,
    /// The state after it.
    pub state: State,
    /// The attempt that it belongs to; 0 before the first.
    pub attempt: u32,
    /// The code of the failure, where it is one.
    pub code: Option<String>,
}

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Submitted,
    Claimed,
    Started,
    Succeeded,
    Failed,
    /// The attempt failed, and there will be another.
    Retried,
    /// The worker gave it back undone.
    Returned,
    /// The worker was not heard of until its lease ended.
    Lapsed,
    Dead,
    CancelRequested,
    Cancelled,
    Replayed,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Submitted,
        Self::Claimed,
        Self::Started,
        Self::Succeeded,
        Self::Failed,
        Self::Retried,
        Self::Returned,
        Self::Lapsed,
        Self::Dead,
        Self::CancelRequested,
        Self::Cancelled,
        Self::Replayed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Claimed => "claimed",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Returned => "returned",
            Self::Lapsed => "lapsed",
            Self::Dead => "dead",
            Self::CancelRequested => "cancel_requested",
            Self::Cancelled => "cancelled",
            Self::Replayed => "replayed",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
