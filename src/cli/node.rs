//! `appserver node`: the nodes of a running gateway, and an operator's word on one of them.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;

use super::{Exit, print, say};
use crate::admin::health::columns;
use crate::nodes::NodeView;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    word: Word,
    /// The gateway's own listener for operators (`admin.listen`).
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:3001",
        env = "APPSERVER_ADMIN_URL"
    )]
    url: String,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Show all nodes: state, slots, labels.
    List,
    /// Let a node finish what it has, and give it nothing new.
    Drain { name: String },
    /// Take a drained node back.
    Resume { name: String },
}

/// A gateway that takes longer than this to answer is not well.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let (method, path) = match &args.word {
        Word::List => (http::Method::GET, "/admin/nodes".to_owned()),
        Word::Drain { name } => (http::Method::POST, format!("/admin/nodes/{name}/drain")),
        Word::Resume { name } => (http::Method::POST, format!("/admin/nodes/{name}/resume")),
    };
    let url = format!("{}{path}", args.url.trim_end_matches('/'));
    let (status, body) = match tokio::runtime::Runtime::new()?.block_on(ask(method, &url)) {
        Ok(answer) => answer,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            return Ok(Exit::Unreachable);
        }
    };
    match status {
        200 => {}
        404 => {
            say(format_args!("error: {}", String::from_utf8_lossy(&body).trim()));
            return Ok(Exit::NoSuchThing);
        }
        _ => bail!("{url} answered with status {status}"),
    }
    let nodes: Vec<NodeView> = match &args.word {
        Word::List => serde_json::from_slice(&body),
        Word::Drain { .. } | Word::Resume { .. } => serde_json::from_slice(&body).map(|node| vec![node]),
    }
    .with_context(|| format!("{url} does not answer as a gateway"))?;
    if json {
        print(serde_json::to_string_pretty(&nodes)?);
    } else {
        print(table(&nodes).trim_end());
    }
    Ok(Exit::Done)
}

async fn ask(method: http::Method, url: &str) -> anyhow::Result<(u16, bytes::Bytes)> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let answer = client.request(method, url).send().await.with_context(|| format!("cannot reach {url}"))?;
    let status = answer.status().as_u16();
    Ok((status, answer.bytes().await.with_context(|| format!("{url} broke off"))?))
}

fn table(nodes: &[NodeView]) -> String {
    let heading = ["node", "state", "slots", "free", "wedged", "rhino", "pools", "why"].map(str::to_owned);
    let row = |node: &NodeView| {
        [
            node.name.clone(),
            node.state.as_str().to_owned(),
            node.slots.to_string(),
            node.free.to_string(),
            node.wedged.to_string(),
            node.rhino.clone().unwrap_or_default(),
            node.pools.join(","),
            node.why.clone().unwrap_or_default(),
        ]
    };
    columns(&std::iter::once(heading).chain(nodes.iter().map(row)).collect::<Vec<_>>())
}
