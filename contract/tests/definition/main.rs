//! The definition reader, tested from outside: round trips, refusals, bounds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at what it did not expect, and says what it skips"
)]

mod contents;
mod corpus;
mod defaults;
mod discovery;
mod fixture;
mod hostile;
mod problems;
mod refusals;
mod round_trip;
mod support;
