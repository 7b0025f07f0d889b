//! AppServer.

pub mod nodes;
pub mod rhino;
