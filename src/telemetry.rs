//! Logs: JSON for machines, text for people, always to standard error so that standard output stays data. And [`metrics`].

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use self::lines::Lines;
use crate::config::{Log, LogFormat};

pub mod lines;
pub mod metrics;

/// The process has one standard error.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be parsed, or the system gives no thread to write lines.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = to_stderr()?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || lines.clone());
    // The access line carries its own request id, so a second start (in one test process) may be ignored.
    let _ = if json {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).compact().try_init()
    };
    Ok(())
}

/// How many lines were dropped since the start, because standard error took them too slowly or not at all.
pub fn dropped_lines() -> u64 {
    LINES.get().map_or(0, Lines::dropped)
}

/// Writes the lines that have come so far, as far as standard error takes them within two seconds. To be called before the
/// process ends, however it does.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

/// Flushes when it goes out of scope, by a panic, too.
#[derive(Debug)]
pub struct Flushed;

impl Drop for Flushed {
    fn drop(&mut self) {
        flush();
    }
}

fn to_stderr() -> io::Result<Lines> {
    if let Some(lines) = LINES.get() {
        return Ok(lines.clone());
    }
    let lines = Lines::start(io::stderr())?;
    Ok(LINES.get_or_init(|| lines).clone())
}
