//! What people do with contracts between Grasshopper and production: make an app, publish a version, move an alias.
//!
//! Invariant: every check is the one that the gateway makes when it loads. What is written appears whole or not at all, and
//! nothing that is there is overwritten.

pub mod aliases;
pub mod json;
pub mod place;
pub mod scaffold;
pub mod todo;
pub mod versions;
