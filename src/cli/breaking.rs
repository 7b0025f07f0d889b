//! `appserver breaking`: what a version breaks for callers, and whether its number says so.

use std::path::{Path, PathBuf};

use super::findings::Shown;
use super::{Exit, say};
use crate::config::Flags;
use crate::governance::breaking;
use crate::governance::render::Disk;
use crate::governance::revision::{self, Error, Revision, Texts};
use crate::governance::{Finding, Report};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `app`, `app:version`, `app:alias` or the folder of a version; `app` alone is its highest version.
    #[arg(value_name = "VERSION")]
    target: String,
    /// A version, `alias:stable`, `git:REV` or a folder; left out, the version before.
    #[arg(long, value_name = "VERSION|alias:NAME|git:REV|DIR")]
    against: Option<String>,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

pub(super) fn run(args: &Args, json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let root = root(args.registry.as_deref(), file)?;
    let (old, new) = match both(args, &root) {
        Ok((Some(old), new)) => (old, new),
        Ok((None, new)) => {
            say(format_args!("{} has no version before it, so it breaks nobody", new.name));
            let report = Report { command: "breaking", ..Report::default() };
            return Ok(args.shown.show(report, &Disk, json, false));
        }
        Err(error) => return failed(error, "breaking", &args.shown, json),
    };
    let (comparison, report) = breaking::compare(&old, &new);
    let word = |bump: Option<contract::compat::Bump>| bump.map_or("nothing", contract::compat::Bump::word);
    let (announced, needed) = (word(comparison.announced), word(comparison.needed));
    let exit = args.shown.show(report, &Texts(&[&old, &new]), json, false);
    say(format_args!("{} against {}: announces {announced}, needs {needed}", new.name, old.name));
    Ok(exit)
}

/// Where the registry is: as given, else as configured.
pub(super) fn root(given: Option<&Path>, file: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match given {
        Some(root) => Ok(root.to_owned()),
        None => Ok(super::settings(file, Flags::default())?.config.registry.root),
    }
}

fn both(args: &Args, root: &Path) -> Result<(Option<Revision>, Revision), Error> {
    let named = revision::named(&args.target, root)?;
    let new = revision::read(&named.folder)?;
    let old = match &args.against {
        Some(word) => Some(revision::against(word, &named, &new.contract.version)?),
        None => match revision::previous(&named, &new.contract.version) {
            Some(version) => Some(revision::against(&version.to_string(), &named, &new.contract.version)?),
            None => None,
        },
    };
    Ok((old, new))
}

/// How a command ends that could not read what it was to judge.
pub(super) fn failed(error: Error, command: &'static str, shown: &Shown, json: bool) -> anyhow::Result<Exit> {
    match error {
        Error::Faulty { base, faults, .. } => {
            let findings = faults.into_iter().map(|fault| Finding::of_fault(fault, &base)).collect();
            Ok(shown.show(Report { command, subjects: Vec::new(), findings }, &Disk, json, false))
        }
        Error::NoSuchThing(_) | Error::Git(crate::governance::git::Error::NoRevision { .. }) => {
            say(format_args!("error: {error}"));
            Ok(Exit::NoSuchThing)
        }
        Error::Git(_) => Err(error.into()),
    }
}
