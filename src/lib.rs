//! AppServer.

pub mod rhino;
