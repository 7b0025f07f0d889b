//! Rhino's JSON form: what is written is read back, `rhino3dm` agrees on both, and no bytes make the reader panic.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod opennurbs {
    pub(crate) mod agreement;
    pub(crate) mod properties;
    pub(crate) mod shapes;
}
