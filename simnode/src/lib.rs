//! The stand-in.

pub mod opennurbs;
