//! `appserver log-level`: which log lines a running gateway, job API or worker writes, and writing others for a while.

use std::time::Duration;

use anyhow::{Context as _, bail};
use logs::{Order, View};

use super::{Exit, print, say};
use crate::admin::aliases::Problem;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is to be written: a level (off, error, warn, info, debug, trace), or target=level, with commas between them. Without it the
    /// filter in force is shown.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// For so long (`10m`, `1h`), then the usual filter is in force again.
    #[arg(long = "for", value_name = "TIME", value_parser = super::check::duration, requires = "filter")]
    lasts: Option<Duration>,
    /// Write what the gateway was started with again.
    #[arg(long, conflicts_with = "filter")]
    reset: bool,
    /// The gateway's own listener for operators (`admin.listen`), the job API's (`API_ADMIN_LISTEN`) or the worker's (`WORKER_LISTEN`).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3001", env = "APPSERVER_ADMIN_URL")]
    url: String,
    /// The operators' key, where the program has the digest of one.
    #[arg(long, env = "APPSERVER_ADMIN_KEY", hide_env_values = true, hide = true, default_value = "")]
    admin_key: String,
}

/// A gateway that takes longer than this to answer is not well.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let url = format!("{}/admin/log-level", args.url.trim_end_matches('/'));
    let (status, body) = match tokio::runtime::Runtime::new()?.block_on(ask(args, &url)) {
        Ok(answer) => answer,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            return Ok(Exit::Unreachable);
        }
    };
    if status != 200 {
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => say(format_args!("error: {}", problem.message)),
            Err(_) => bail!("{url} answered with status {status}"),
        }
        return Ok(if status == 404 { Exit::NoSuchThing } else { Exit::Failed });
    }
    let view: View = serde_json::from_slice(&body).with_context(|| format!("{url} does not answer as one of ours"))?;
    if json {
        print(serde_json::to_string_pretty(&view)?);
    } else {
        print(line(&view));
    }
    Ok(Exit::Done)
}

fn line(View { filter, usual, reverts_in_sec }: &View) -> String {
    match reverts_in_sec {
        Some(seconds) => format!("{filter}  (for {seconds} s more, then {usual})"),
        None if filter != usual => format!("{filter}  (until the next change or restart; started with {usual})"),
        None => filter.clone(),
    }
}

async fn ask(args: &Args, url: &str) -> anyhow::Result<(u16, bytes::Bytes)> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let request = match &args.filter {
        Some(filter) => {
            // What is left of a second counts as one.
            let for_sec = args.lasts.map(|lasts| lasts.as_secs() + u64::from(lasts.subsec_nanos() > 0));
            client.put(url).body(serde_json::to_vec(&Order { filter: filter.clone(), for_sec })?)
        }
        None if args.reset => client.delete(url),
        None => client.get(url),
    };
    let request = if args.admin_key.is_empty() { request } else { request.bearer_auth(&args.admin_key) };
    let answer = request.send().await.with_context(|| format!("cannot reach {url}"))?;
    let status = answer.status().as_u16();
    Ok((status, answer.bytes().await.with_context(|| format!("{url} broke off"))?))
}
