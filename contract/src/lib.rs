//! What AppServer promises about one version of a Grasshopper definition.
//!
//! This crate reads files and bytes; it opens no socket and knows nothing of the gateway.

pub mod bindings;
pub mod canonical;
pub mod definition;
pub mod digest;
pub mod fault;
pub mod json;
pub mod manifest;
pub mod plugins;
pub mod schema;
pub mod source;

pub use canonical::Inputs;
pub use digest::Digest;
pub use fault::{Fault, Position};
pub use schema::Violation;
