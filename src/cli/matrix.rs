//! `appserver matrix`: the compat matrix of a running gateway, or of a registry folder before any node is asked.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::{Exit, print, say};
use crate::admin::Health;
use crate::admin::health::Status;
use crate::nodes::{Nodes, Options};
use crate::registry::Registry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000", env = "APPSERVER_URL")]
    url: String,
    /// Read this registry folder instead of asking a gateway.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    registry: Option<PathBuf>,
}

/// A gateway that takes longer than this to say what it knows is not well.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let health = match &args.registry {
        Some(root) => from_folder(root.clone())?,
        None => match tokio::runtime::Runtime::new()?.block_on(ask(&args.url)) {
            Ok(health) => health,
            Err(error) => {
                say(format_args!("error: {error:#}"));
                return Ok(Exit::Unreachable);
            }
        },
    };
    if json {
        print(serde_json::to_string_pretty(&health)?);
    } else {
        print(health.table().trim_end());
    }
    let mut states = health.apps.iter().flat_map(|app| &app.versions).map(|version| version.status);
    Ok(match args.registry {
        Some(_) if states.any(|status| status == Status::Refused) || !health.strays.is_empty() => Exit::Findings,
        None if states.any(|status| status != Status::Ready) => Exit::NotReady,
        Some(_) | None => Exit::Done,
    })
}

fn from_folder(root: PathBuf) -> anyhow::Result<Health> {
    let registry = Registry::open(root)?;
    let (nodes, _driver) = Nodes::new(Options::default())?;
    Ok(Health::of(&registry, &nodes))
}

/// What the gateway says of its versions and nodes.
pub(super) async fn ask(url: &str) -> anyhow::Result<Health> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let url = format!("{}/health/registry?format=json", url.trim_end_matches('/'));
    let answer = client.get(&url).send().await.with_context(|| format!("cannot reach {url}"))?;
    // 503 still carries the matrix: nothing serves, and this is what tells why.
    let bytes = answer.bytes().await.with_context(|| format!("{url} broke off"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{url} does not answer as a gateway"))
}
