//! A stand-in for Rhino.Compute: it evaluates Grasshopper files natively and speaks compute's HTTP, with its faults.
//!
//! [`Node::start`] runs one in this process on a port of its own. It is never better behaved than the real one: state
//! leaks between callers, nothing cancels a solve, and any misbehaviour can be ordered as [`Faults`].

mod children;
pub mod components;
mod config;
mod control;
mod definitions;
mod encode;
pub mod expression;
mod faults;
mod log;
pub mod opennurbs;
mod protocol;
mod server;
pub mod solve;
pub mod tree;
pub mod value;

pub use children::ChildState;
pub use config::{Config, Plugins, Profile};
pub use faults::{Fault, Faults, Rule, When};
pub use log::Entry;
pub use server::{Node, Running, State};
