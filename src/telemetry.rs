//! What the gateway tells of itself: lines by [`logs`], spans by [`trace`], and [`metrics`].

use crate::config::Log;

pub mod metrics;

pub use logs::{Flushed, dropped_lines, flush};

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be parsed, or the system gives no thread to write lines.
pub fn start(log: &Log) -> anyhow::Result<logs::Level> {
    Ok(logs::start(log.filter.parse()?, log.format)?)
}
