//! `appserver completions`: what makes a shell complete this command.
//!
//! Commands, options and their fixed values only: completing ids of apps and versions needs clap's dynamic completion, which is still marked
//! unstable and may change in any minor release.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Exit, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell; for bash: `source <(appserver completions bash)`.
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "appserver", &mut script);
    print(String::from_utf8(script)?.trim_end());
    Ok(Exit::Done)
}
