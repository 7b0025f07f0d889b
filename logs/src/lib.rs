//! What a program tells of itself as it goes: JSON for machines, text for people, always to standard error so that standard output stays data.
//!
//! - [`filter`]: which lines are written, in words that are checked. [`Level`]: the same while the program runs, changed by whoever operates it.
//! - [`lines`]: a bounded buffer and a thread that writes it.
//!
//! Invariant: a line costs no system call, and a filter nothing where it lets nothing through.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub mod filter;
mod level;
pub mod lines;

pub use filter::Filter;
pub use level::{Changed, FOR_SEC_MAX, Level, Order, Refused, View};
use lines::Lines;

/// The process has one standard error, and one filter before it.
static STARTED: OnceLock<(Lines, Level)> = OnceLock::new();

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Text,
    Json,
}

/// What a program is told of its log by flags or by the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// Which lines are written: a level, or `target=level`, with commas between them.
    #[arg(long = "log-filter", env = "RUST_LOG", default_value = "info")]
    pub filter: Filter,
    /// How they look: text on a terminal and JSON elsewhere where it is `auto`.
    #[arg(long = "log-format", env = "LOG_FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

/// Starts logging for the whole process. A second call starts nothing, and gives what the first one did.
///
/// # Errors
/// When the system gives no thread to write lines.
pub fn start(filter: Filter, format: Format) -> io::Result<Level> {
    if let Some((_, level)) = STARTED.get() {
        return Ok(level.clone());
    }
    let (level, gate) = Level::new(filter);
    let lines = Lines::start(io::stderr())?;
    let (lines, level) = STARTED.get_or_init(|| (lines, level));
    let (terminal, out) = (io::stderr().is_terminal(), lines.clone());
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(move || out.clone());
    // Whoever has set another subscriber, as a test may, keeps it.
    let _ = if json {
        let layer = layer.json().flatten_event(true).with_span_list(false);
        tracing_subscriber::registry().with(gate).with(layer).try_init()
    } else {
        tracing_subscriber::registry().with(gate).with(layer.with_ansi(terminal).compact()).try_init()
    };
    Ok(level.clone())
}

/// Which lines are written; none in a program that does not log.
pub fn level() -> Option<Level> {
    STARTED.get().map(|(_, level)| level.clone())
}

/// How many lines were dropped since the start, because standard error took them too slowly or not at all.
pub fn dropped_lines() -> u64 {
    STARTED.get().map_or(0, |(lines, _)| lines.dropped())
}

/// Writes the lines that have come so far, as far as standard error takes them within two seconds. To be called before the
/// process ends, however it does.
pub fn flush() {
    if let Some((lines, _)) = STARTED.get() {
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
