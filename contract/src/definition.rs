//! The definition reader: Grasshopper files as Rhino.Compute sees them.
//!
//! [`archive`] is the tree of named chunks and items that both file formats store.

pub mod archive;
