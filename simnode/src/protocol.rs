//! The wire format of Rhino.Compute: requests as its reader takes them, answers as its writer makes them.
//!
//! Nothing in here knows a socket.

pub(crate) mod answer;
pub(crate) mod decode;
pub(crate) mod json;
pub(crate) mod request;

use std::borrow::Cow;

/// An exception inside a child. 0.16 shows it as a 500 without a body; 0.17 says what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Thrown {
    /// The request cannot be served as it is.
    #[error("{0}")]
    Request(Cow<'static, str>),
    /// The definition or the node cannot serve it.
    #[error("{0}")]
    Server(Cow<'static, str>),
}

// === impl Thrown ===

impl From<json::Unreadable> for Thrown {
    fn from(unreadable: json::Unreadable) -> Self {
        Self::Request(unreadable.0)
    }
}
