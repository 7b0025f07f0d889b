//! The `appserver` command: parses the line, runs it, and turns its outcome into an exit code.

use std::process::ExitCode;

use appserver::cli::{self, Cli};
use clap::Parser as _;

fn main() -> ExitCode {
    cli::run(Cli::parse()).into()
}
