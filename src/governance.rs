//! Letting a version into production: what is wrong with the files of a registry, told before anybody is served by them.
//!
//! Invariant: whatever loading refuses is found by the code that loads; nothing here judges a file a second way.

pub mod check;
pub mod examples;
pub mod finding;
pub mod fix;
mod lint;
pub mod live;
pub mod render;

pub use finding::{Finding, Place, Related, Report, Severity};
pub use render::Format;
