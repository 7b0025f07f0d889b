//! The stand-in.

pub mod components;
pub mod expression;
pub mod opennurbs;
pub mod solve;
pub mod tree;
pub mod value;
