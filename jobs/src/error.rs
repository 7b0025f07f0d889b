//! What can go wrong below the job API and the worker.
//!
//! Invariant: no text of this type is shown to callers; the API says what they may know by variant.

/// A failure of a store or a queue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease was lost, has ended, or was settled: whatever the worker wanted to write is not written.
    #[error("the lease is not held any more")]
    Fenced,
    /// The tenant is not admitted to the app.
    #[error("the tenant may not use the app")]
    Forbidden,
    /// Inline inputs beyond [`crate::job::INLINE_BYTES_MAX`], or too many artifacts: to be stored by reference.
    #[error("{what} of {bytes} bytes is too large for a row")]
    TooLarge { what: &'static str, bytes: usize },
    /// What was read back is not what this version writes.
    #[error("the row cannot be read: {0}")]
    Corrupt(String),
    /// The database cannot be used as it is: its schema is older or newer, or the role may too much.
    #[error("the database cannot be used: {0}")]
    Unfit(String),
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The broker failed, or answered what it should not.
    #[error("the message broker failed: {0}")]
    Broker(String),
}

impl Error {
    /// Whether the same call may succeed in a while, with nothing changed but time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(_) | Self::Broker(_) => true,
            Self::Fenced | Self::Forbidden | Self::TooLarge { .. } | Self::Corrupt(_) | Self::Unfit(_) => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // Row level security refuses a row by this, as a missing grant does: in both cases it may not be.
            Some("42501") => Self::Forbidden,
            // Our own: see `lock_job`.
            Some("AS001") => Self::Unfit("a connection came with a tenant's name on it".to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
