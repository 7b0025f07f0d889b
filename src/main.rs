//! The `appserver` command: parses the line, runs it, and turns its outcome into an exit code.

use std::process::ExitCode;

use appserver::cli::{self, Cli};

/// A request makes some hundred small pieces that live as long as it does, often freed by another thread than made them: with the
/// system's allocator a hit takes a quarter more processor time, and reading a large registry half as much again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(program::parsed::<Cli>()).into()
}
