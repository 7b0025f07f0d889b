//! What people do with contracts between Grasshopper and production: make an app, find what is wrong with its files, publish a version, move an
//! alias.
//!
//! Invariant: whatever loading refuses is found by the code that loads; nothing here judges a file a second way. What is written appears whole or
//! not at all, and nothing that is there is overwritten.

pub mod aliases;
pub mod breaking;
pub mod can_roll;
pub mod check;
pub mod deploy;
pub mod difference;
pub mod examples;
pub mod finding;
pub mod fix;
pub mod git;
pub mod json;
mod lint;
pub mod live;
pub mod place;
pub mod recorded;
pub mod render;
pub mod revision;
pub mod scaffold;
pub mod todo;
pub mod versions;

pub use finding::{Finding, Place, Related, Report, Severity};
pub use render::Format;
