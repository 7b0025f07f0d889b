//! What can go wrong with the broker.

use crate::Error;

/// Why the broker did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The message's lock had ended: it is, or will be, somebody else's, and nothing was settled.
    #[error("the lock of the message is lost")]
    LockLost,
    /// The connection it came by has ended, so the broker will give the message out again when its lock ends.
    #[error("the broker is not reached: {0}")]
    Gone(String),
    #[error("the broker refused {0}")]
    Refused(String),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Broker(fault.to_string())
    }
}
