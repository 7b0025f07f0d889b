//! The registry on a real file system, with the clock in the test's hand: every look is a call, and time passes when the test says so.

mod hints;
mod lost;
mod model;
mod panics;
mod reload;
