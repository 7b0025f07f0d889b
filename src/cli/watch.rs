//! `appserver watch`: what happens to a running gateway's registry, a line an event, as it happens.

use std::time::Duration;

use anyhow::Context as _;

use super::{Exit, print, say};
use crate::registry::events::{Event, Page};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000", env = "APPSERVER_URL")]
    url: String,
    /// Begin after the event of this number; 0 for all that are kept.
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
    /// Print what is there, and end.
    #[arg(long)]
    once: bool,
}

/// A gateway that takes longer than this to say what it knows is not well.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    tokio::runtime::Runtime::new()?.block_on(async {
        tokio::select! {
            exit = follow(args, json) => exit,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}

async fn follow(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let (mut after, mut lost, mut begun) = (args.after, false, false);
    loop {
        match ask(&client, &args.url, after).await {
            Ok(page) => {
                if std::mem::take(&mut lost) {
                    say("the gateway answers again");
                }
                if page.last < after && begun {
                    say("the gateway was restarted: its events begin anew");
                }
                if page.missed > 0 && begun {
                    say(format_args!("{} events came and went between two questions", page.missed));
                }
                for event in &page.events {
                    print(if json { serde_json::to_string(event)? } else { line(event) });
                }
                (after, begun) = (page.last, true);
            }
            // The first answer decides whether there is a gateway; later it may be restarted.
            Err(error) if !begun => {
                say(format_args!("error: {error:#}"));
                return Ok(Exit::Unreachable);
            }
            Err(error) => {
                if !std::mem::replace(&mut lost, true) {
                    say(format_args!("{error:#}; asking on"));
                }
            }
        }
        if args.once {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn line(event: &Event) -> String {
    let time = event.time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let mark = if event.kind.is_alarm() { '!' } else { ' ' };
    format!("{time} {mark} {event}")
}

async fn ask(client: &reqwest::Client, url: &str, after: u64) -> anyhow::Result<Page> {
    let url = format!("{}/admin/events?after={after}", url.trim_end_matches('/'));
    let answer = client.get(&url).send().await.with_context(|| format!("cannot reach {url}"))?;
    let bytes = answer.bytes().await.with_context(|| format!("{url} broke off"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{url} does not answer as a gateway"))
}
