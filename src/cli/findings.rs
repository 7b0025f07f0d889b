//! How a command that finds something shows it, and how it ends.

use std::io::{IsTerminal as _, Write as _};

use clap::ColorChoice;

use super::{Exit, say};
use crate::governance::render::{self, Sources, Style};
use crate::governance::{Format, Report};

#[derive(Debug, clap::Args)]
pub(super) struct Shown {
    /// How findings are written; human on a terminal, plain elsewhere.
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Format>,
    /// The most findings to show to people; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    max: usize,
    /// Whether to colour.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

// === impl Shown ===

impl Shown {
    /// Prints the report, and says how the command ends: with findings where an error is among them, or a warning if those count.
    pub(super) fn show(&self, mut report: Report, sources: &dyn Sources, json: bool, deny_warnings: bool) -> Exit {
        let format = match self.format {
            _ if json => Format::Json,
            Some(format) => format,
            None if std::io::stdout().is_terminal() => Format::Human,
            None => Format::Plain,
        };
        let style = Style { color: self.colours(), width: width(), shown_max: self.max };
        let text = render::render(format, &mut report, sources, style);
        if !text.is_empty() {
            // Whether to colour is decided: nothing on the way is to decide it again. A reader that has gone away is no error.
            let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
        }
        if format == Format::Plain {
            say(report.summary());
        }
        if report.fails(deny_warnings) { Exit::Findings } else { Exit::Done }
    }

    fn colours(&self) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
        }
    }
}

/// Columns to write within.
fn width() -> usize {
    const WIDEST: usize = 120;
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(WIDEST, |size| usize::from(size.ws_col).clamp(40, WIDEST))
}
