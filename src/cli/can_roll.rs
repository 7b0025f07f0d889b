//! `appserver can-roll`: whether an alias may move to a version, as an exit code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::manifest::strict_version;
use semver::Version;

use super::breaking::root;
use super::{Exit, matrix, print, say};
use crate::admin::Health;
use crate::admin::aliases::Problem;
use crate::admin::inputs::Recorded;
use crate::governance::can_roll::{self, Known, Verdict};
use crate::governance::recorded::{self, Sample};
use crate::governance::revision::{self, Error, Revision};

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
    /// A running gateway: it says where the alias points, and which nodes attest the version. Its listener for operators also gives the
    /// inputs that it recorded, to who has its key in `APPSERVER_ADMIN_KEY`.
    #[arg(long, value_name = "URL", env = "APPSERVER_URL")]
    url: Option<String>,
    /// Replay these inputs instead: what `/admin/inputs` answered, a body with `inputs`, or a folder of such files.
    #[arg(long, value_name = "PATH")]
    recorded: Option<PathBuf>,
    /// The operators' key of the gateway.
    #[arg(long, env = "APPSERVER_ADMIN_KEY", hide_env_values = true, hide = true, default_value = "")]
    admin_key: String,
}

/// A gateway that takes longer than this to give what it recorded is not well.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than `record.bytes_per_version` may be, as JSON with its digests.
const RECORDED_BYTES_MAX: usize = 256 << 20;

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
        Err(Stop::Read(error @ Error::NoSuchThing(_))) => {
            say(format_args!("error: {error}"));
            return Ok(Exit::NoSuchThing);
        }
        Err(Stop::Read(error)) => return Err(error.into()),
        Err(Stop::Inputs(error)) => return Err(error),
    };
    if json {
        print(serde_json::to_string_pretty(&verdict.to_json())?);
    } else {
        print(verdict.to_text());
    }
    Ok(if verdict.may() { Exit::Done } else { Exit::Failed })
}

/// Why there is no verdict.
enum Stop {
    Read(Error),
    Inputs(anyhow::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

fn verdict(args: &Args, root: &Path, health: Option<&Health>) -> Result<Verdict, Stop> {
    let to = strict_version(&args.to).map_err(Error::NoSuchThing)?;
    let named = revision::named(&format!("{}:{to}", args.app), root)?;
    let new = match revision::read(&named.folder) {
        Ok(new) => new,
        Err(Error::Faulty { faults, .. }) => return Ok(can_roll::refused(&args.app, &args.alias, to, &faults)),
        Err(error) => return Err(error.into()),
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
    let known = known(args, old.as_ref(), &new).map_err(Stop::Inputs)?;
    Ok(can_roll::judge(&args.alias, old.as_ref(), &new, health, &known))
}

/// What callers sent to the version that the alias points to.
fn known(args: &Args, old: Option<&Revision>, new: &Revision) -> anyhow::Result<Known> {
    let Some(old) = old else { return Ok(Known::Nothing("nobody called yet".to_owned())) };
    let version = &old.contract.version;
    let sample = match (&args.recorded, &args.url) {
        (Some(path), _) => Ok(recorded::read(path, &args.app, version)?),
        (None, Some(url)) => {
            tokio::runtime::Runtime::new()?.block_on(fetch(url, &args.app, version, &args.admin_key))?
        }
        (None, None) => Err("no recorded inputs were given; --url asks a gateway, --recorded reads a file".to_owned()),
    };
    Ok(match sample {
        Ok(sample) => Known::Replayed(recorded::replay(&sample, &old.contract, &new.contract)),
        Err(why) => Known::Nothing(why),
    })
}

/// The inputs that a gateway recorded, or why it gives none.
async fn fetch(url: &str, app: &str, version: &Version, key: &str) -> anyhow::Result<Result<Sample, String>> {
    if key.is_empty() {
        return Ok(Err("no recorded inputs: APPSERVER_ADMIN_KEY, which opens them, is not set".to_owned()));
    }
    let url = format!("{}/admin/inputs/{app}/{version}", url.trim_end_matches('/'));
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let mut answer = client.get(&url).bearer_auth(key).send().await.with_context(|| format!("cannot reach {url}"))?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.with_context(|| format!("{url} broke off"))? {
        if bytes.len() + chunk.len() > RECORDED_BYTES_MAX {
            bail!("{url} answers with more than {RECORDED_BYTES_MAX} bytes");
        }
        bytes.extend_from_slice(&chunk);
    }
    if status.is_success() {
        let recorded: Recorded =
            serde_json::from_slice(&bytes).with_context(|| format!("{url} does not answer as a gateway"))?;
        return Sample::of(&recorded).map(Ok).map_err(anyhow::Error::msg);
    }
    // The callers' listener has no such address.
    let told = serde_json::from_slice::<Problem>(&bytes).map(|problem| problem.message);
    let told = told.unwrap_or_else(|_| "this is not the listener for operators (`admin.listen`)".to_owned());
    Ok(Err(format!("no recorded inputs: {told}")))
}
