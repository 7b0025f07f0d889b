//! `appserver diff`: what differs between two versions or two Grasshopper files, in meaning.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contract::definition::diff::Difference;
use contract::definition::{Archive, Limits};

use super::breaking::root;
use super::{Exit, print, say};
use crate::governance::difference::{self, Differences};
use crate::governance::revision::{self, Error, Revision};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `app:version`, `app:alias`, the folder of a version, or a .gh or .ghx file.
    #[arg(value_name = "A")]
    old: String,
    /// As A.
    #[arg(value_name = "B")]
    new: String,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
}

/// What a word leads to.
enum Thing {
    File(Archive),
    Version(Box<Revision>),
}

pub(super) fn run(args: &Args, json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let root = root(args.registry.as_deref(), file)?;
    let mut things = Vec::new();
    for word in [&args.old, &args.new] {
        match thing(word, &root) {
            Ok(Ok(thing)) => things.push(thing),
            Ok(Err(Error::Faulty { base, faults, .. })) => {
                for fault in faults {
                    say(format_args!("error: {}/{fault}", base.display()));
                }
                return Ok(Exit::Findings);
            }
            Ok(Err(error)) => {
                say(format_args!("error: {error}"));
                return Ok(Exit::NoSuchThing);
            }
            Err(error) => {
                say(format_args!("error: {error:#}"));
                return Ok(Exit::Findings);
            }
        }
    }
    let differences = match &things[..] {
        [Thing::Version(old), Thing::Version(new)] => difference::between(old, new)?,
        [old, new] => {
            let definition = Difference::of(&old.definition()?, &new.definition()?);
            Differences { contracts: None, definition, policy: Vec::new() }
        }
        _ => anyhow::bail!("two things are compared"),
    };
    if json {
        print(serde_json::to_string_pretty(&differences.to_json(&args.old, &args.new))?);
    } else {
        print(differences.to_text().trim_end());
    }
    Ok(Exit::Done)
}

fn thing(word: &str, root: &Path) -> anyhow::Result<Result<Thing, Error>> {
    let path = Path::new(word);
    if path.is_file() {
        let limits = Limits::default();
        let bytes = contract::folder::read_file(path).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let archive = Archive::read(&bytes, &limits).with_context(|| path.display().to_string())?;
        return Ok(Ok(Thing::File(archive)));
    }
    let version = revision::named(word, root).and_then(|named| revision::read(&named.folder));
    Ok(version.map(|version| Thing::Version(Box::new(version))))
}

// === impl Thing ===

impl Thing {
    fn definition(&self) -> anyhow::Result<Archive> {
        match self {
            Self::File(archive) => Ok(archive.clone()),
            Self::Version(version) => Ok(difference::definition(&version.contract.definition_bytes.bytes())?),
        }
    }
}
