//! What AppServer promises about one version of a Grasshopper definition.
//!
//! This crate reads files and bytes; it opens no socket and knows nothing of the gateway.

pub mod definition;
