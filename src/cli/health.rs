//! `appserver health`: whether the gateway that runs here, by the same settings, is ready.

use std::path::PathBuf;
use std::process::ExitCode;

use program::Health;

use super::Exit;
use crate::config::Flags;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    health: Health,
}

pub(super) fn run(args: &Args, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let settings = super::settings(file, Flags::default())?;
    let exit = args.health.run(settings.config.server.listen);
    Ok(if exit == ExitCode::SUCCESS { Exit::Done } else { Exit::NotReady })
}
