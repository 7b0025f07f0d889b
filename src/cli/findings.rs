//! How a command that finds something shows it, and how it ends.

use std::io::IsTerminal as _;

use clap::ColorChoice;

use super::{Exit, print, say};
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
    /// Prints the report, and says how the command ends.
    pub(super) fn show(&self, mut report: Report, sources: &dyn Sources, json: bool) -> Exit {
        let format = match self.format {
            _ if json => Format::Json,
            Some(format) => format,
            None if std::io::stdout().is_terminal() => Format::Human,
            None => Format::Plain,
        };
        let color = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
        };
        let style = Style { color, shown_max: self.max, ..Style::default() };
        let text = render::render(format, &mut report, sources, style);
        if !text.is_empty() {
            print(text.trim_end_matches('\n'));
        }
        if format == Format::Plain {
            say(report.summary());
        }
        if report.fails(false) { Exit::Findings } else { Exit::Done }
    }
}
