//! `appserver can-roll`: whether an alias may move to a version, as an exit code.

use std::path::PathBuf;

use contract::manifest::strict_version;

use super::breaking::root;
use super::{Exit, matrix, print, say};
use crate::governance::can_roll::{self, Verdict};
use crate::governance::revision::{self, Error};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The app.
    app: String,
    /// The version that the alias is to move to.
    #[arg(value_name = "VERSION")]
    to: String,
    /// The alias.
    #[arg(long, value_name = "NAME", default_value = "stable")]
    alias: String,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// A running gateway: it says where the alias points, and which nodes attest the version.
    #[arg(long, value_name = "URL", env = "APPSERVER_URL")]
    url: Option<String>,
}

pub(super) fn run(args: &Args, json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let root = root(args.registry.as_deref(), file)?;
    let health = match &args.url {
        Some(url) => match tokio::runtime::Runtime::new()?.block_on(matrix::ask(url)) {
            Ok(health) => Some(health),
            Err(error) => {
                say(format_args!("error: {error:#}"));
                return Ok(Exit::Unreachable);
            }
        },
        None => None,
    };
    let verdict = match verdict(args, &root, health.as_ref()) {
        Ok(verdict) => verdict,
        Err(error @ Error::NoSuchThing(_)) => {
            say(format_args!("error: {error}"));
            return Ok(Exit::NoSuchThing);
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        print(serde_json::to_string_pretty(&verdict.to_json())?);
    } else {
        print(verdict.to_text());
    }
    Ok(if verdict.may() { Exit::Done } else { Exit::Failed })
}

fn verdict(args: &Args, root: &std::path::Path, health: Option<&crate::admin::Health>) -> Result<Verdict, Error> {
    let to = strict_version(&args.to).map_err(Error::NoSuchThing)?;
    let named = revision::named(&format!("{}:{to}", args.app), root)?;
    let new = match revision::read(&named.folder) {
        Ok(new) => new,
        Err(Error::Faulty { faults, .. }) => return Ok(can_roll::refused(&args.app, &args.alias, to, &faults)),
        Err(error) => return Err(error),
    };
    // A gateway that was asked knows best where callers are sent.
    let live = health.and_then(|health| health.apps.iter().find(|app| app.app_id == args.app));
    let from = match live {
        Some(app) => app.aliases.get(&args.alias).cloned(),
        None => None,
    };
    let from = from.or_else(|| revision::of_app(&named.app, &args.app, &format!("alias:{}", args.alias)).ok());
    let old = match from {
        Some(version) => Some(revision::against(&version.to_string(), &named, &new.contract.version)?),
        None => None,
    };
    Ok(can_roll::judge(&args.alias, old.as_ref(), &new, health))
}
