//! Seats: how many solves of one app may run at a time, who waits for one, and whose turn it is.
//!
//! The decision is pure: [`Schedule`] holds one app's seats and waiters, is told the time, and knows neither clock nor
//! socket nor task. [`Seats`] is the thin shell over it: one lock per app, a waker per waiter, and [`Seat`], whose drop
//! gives the seat back and settles what it cost.
//!
//! Invariant: every ask ends in exactly one of granted, refused, superseded, expired, closed and left; no seat is free
//! while a waiter who may have it stands in line. This module imports nothing of ours.

mod caps;
mod handle;
mod outcome;
mod rt;
mod schedule;
mod sojourn;
pub(crate) mod turns;

pub use caps::{Caps, Lane, LaneCaps};
pub use handle::{Seat, Seats};
pub use outcome::{Answer, Ask, Fate, LaneView, Refusal, Tally, Ticket, View, Why};
pub use rt::Instant;
pub use schedule::Schedule;

#[cfg(test)]
mod tests;
