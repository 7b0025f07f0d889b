//! The stand-in over real sockets: each behaviour of Rhino.Compute that a gateway must survive, one test each.

#![expect(clippy::unwrap_used, reason = "a test that fails here says where, which is all there is to say")]

mod binary;
mod endpoints;
mod errors;
mod faults;
mod geometry;
mod leaks;
mod pool;
mod support;
