//! Letting a version into production: what is wrong with the files of a registry, told before anybody is served by them.
//!
//! Invariant: whatever loading refuses is found by the code that loads; nothing here judges a file a second way.

pub mod breaking;
pub mod can_roll;
pub mod difference;
pub mod finding;
pub mod git;
pub mod render;
pub mod revision;

pub use finding::{Finding, Place, Related, Report, Severity};
pub use render::Format;
