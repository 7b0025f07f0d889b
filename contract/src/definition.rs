//! The definition reader: Grasshopper files as Rhino.Compute sees them.
//!
//! [`Archive`] is the tree of named chunks and items that both file formats, `.ghx` and `.gh`, store. The bytes are
//! untrusted: whatever is read is bounded by [`Limits`], and nothing in a file can open another one.

pub mod archive;
mod error;
mod gh;
mod ghx;
mod limits;
pub mod number;
mod types;

pub use archive::{Archive, Format};
pub use error::{Place, ReadError, Refusal};
pub use limits::Limits;
