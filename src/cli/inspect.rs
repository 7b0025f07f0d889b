//! `appserver inspect`: what Rhino.Compute will see in a Grasshopper file, and what it will not.

use std::path::PathBuf;

use anyhow::Context as _;
use contract::definition::Report;
use contract::definition::{Definition, Limits};

use super::{Exit, print, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A .ghx or .gh file.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for path in &args.files {
        let limits = Limits::default();
        let size = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
        if size > limits.file_bytes as u64 {
            say(format_args!("error: {}: larger than the limit of {} bytes", path.display(), limits.file_bytes));
            exit = Exit::Findings;
            continue;
        }
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        match Definition::read(&bytes, &limits) {
            Ok(definition) if json => print(serde_json::to_string_pretty(&definition)?),
            Ok(definition) => {
                print(path.display());
                print(Report(&definition).to_string().trim_end());
            }
            Err(error) => {
                say(format_args!("error: {}: {error}", path.display()));
                exit = Exit::Findings;
            }
        }
    }
    Ok(exit)
}
