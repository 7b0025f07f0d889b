//! `appserver alias`: where the aliases of an app lead, in a registry folder or in a running gateway's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use semver::Version;
use serde_json::json;

use super::{Exit, print, say};
use crate::admin::aliases::{Answered, Ordered, Problem, View};
use crate::admin::health::columns;
use crate::governance::aliases::{self, Change, Entry, Error, Moved, Wanted};

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
    /// Work on this registry folder instead of a running gateway's.
    #[arg(long, global = true, value_name = "DIR")]
    registry: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Show where the aliases of an app lead.
    List { app_id: String },
    /// Lead an alias to a version that is ready.
    Set {
        app_id: String,
        alias: String,
        #[arg(value_name = "VERSION")]
        to: Version,
        #[command(flatten)]
        why: Why,
    },
    /// Lead an alias back to where it led before its last move.
    Undo {
        app_id: String,
        #[arg(default_value = "stable")]
        alias: String,
        #[command(flatten)]
        why: Why,
    },
    /// Show what moved, when and why.
    History { app_id: String },
}

#[derive(Debug, clap::Args)]
struct Why {
    /// For those who read the history.
    #[arg(long, default_value = "")]
    reason: String,
    /// The policy's digest that you decided on, as `alias list` shows it; the one of this moment otherwise.
    #[arg(long, value_name = "DIGEST")]
    if_match: Option<String>,
    /// Who moves it.
    #[arg(long, value_name = "NAME", default_value = "operator", env = "USER")]
    by: String,
}

/// A gateway that takes longer than this is not well: it waits up to 5 s for another change, and as long for its own to be in force.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let (app_id, order) = match &args.word {
        Word::List { app_id } | Word::History { app_id } => (app_id, None),
        Word::Set { app_id, alias, to, why } => (app_id, Some((alias, Wanted::To(to), why))),
        Word::Undo { app_id, alias, why } => (app_id, Some((alias, Wanted::Back, why))),
    };
    super::new_app::check_id(app_id)?;
    let Some((alias, wanted, why)) = order else { return show(args, app_id, json) };
    let moved = match &args.registry {
        Some(registry) => {
            let app = registry.join("contracts").join(app_id);
            let change = Change { alias, wanted, based_on: why.if_match.as_deref(), reason: &why.reason, by: &why.by };
            match aliases::change(&app, change, |version| aliases::loads(&app, version)) {
                Ok(moved) => Answered { moved, in_force: true },
                Err(error) => return Ok(failed(&error.to_string(), exit_of(&error))),
            }
        }
        None => match tokio::runtime::Runtime::new()?.block_on(order_at(&args.url, app_id, alias, wanted, why)) {
            Ok(Ok(moved)) => moved,
            Ok(Err(problem)) => return Ok(failed(&problem.message, exit_of_word(&problem.error))),
            Err(error) => return Ok(failed(&format!("{error:#}"), Exit::Unreachable)),
        },
    };
    if json {
        print(serde_json::to_string_pretty(&moved)?);
    } else {
        let Moved { alias, from, to, .. } = &moved.moved;
        let spell =
            |version: &Option<Version>| version.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        if from == to {
            print(format_args!("{app_id} {alias}: {} already", spell(to)));
        } else {
            print(format_args!(
                "{app_id} {alias}: {} -> {}   (back: appserver alias undo {app_id} {alias})",
                spell(from),
                spell(to)
            ));
        }
        if !moved.in_force {
            say("the policy is written; the gateway has not taken it yet: appserver watch tells when and if");
        }
    }
    Ok(if moved.in_force { Exit::Done } else { Exit::NotReady })
}

fn show(args: &Args, app_id: &str, json: bool) -> anyhow::Result<Exit> {
    let view = match &args.registry {
        Some(registry) => {
            let app = registry.join("contracts").join(app_id);
            match aliases::read(&app).and_then(|aliases| Ok(View { aliases, history: aliases::history(&app)? })) {
                Ok(view) => view,
                Err(error) => return Ok(failed(&error.to_string(), exit_of(&error))),
            }
        }
        None => match tokio::runtime::Runtime::new()?.block_on(ask(&args.url, app_id)) {
            Ok(Ok(view)) => view,
            Ok(Err(problem)) => return Ok(failed(&problem.message, exit_of_word(&problem.error))),
            Err(error) => return Ok(failed(&format!("{error:#}"), Exit::Unreachable)),
        },
    };
    let history = matches!(args.word, Word::History { .. });
    if json {
        let data = if history { serde_json::to_value(&view.history)? } else { serde_json::to_value(&view.aliases)? };
        print(serde_json::to_string_pretty(&data)?);
    } else if history {
        print(moves(&view.history).trim_end());
    } else {
        let heading = ["alias", "version"].map(str::to_owned);
        let rows = view.aliases.aliases.iter().map(|(alias, version)| [alias.clone(), version.to_string()]);
        print(columns(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()).trim_end());
        print(format_args!("\npolicy {}", view.aliases.etag));
    }
    Ok(Exit::Done)
}

fn moves(history: &[Entry]) -> String {
    let heading = ["when", "alias", "from", "to", "by", "reason"].map(str::to_owned);
    let spell = |version: &Option<Version>| version.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let row = |entry: &Entry| {
        let reason = match entry.kind {
            aliases::Kind::Set => entry.reason.clone(),
            aliases::Kind::Undo => format!("undo {}", entry.reason).trim().to_owned(),
        };
        let when = format!("{:.0}", entry.time);
        [when, entry.alias.clone(), spell(&entry.from), spell(&entry.to), entry.by.clone(), reason]
    };
    columns(&std::iter::once(heading).chain(history.iter().map(row)).collect::<Vec<_>>())
}

fn failed(message: &str, exit: Exit) -> Exit {
    say(format_args!("error: {message}"));
    exit
}

fn exit_of(error: &Error) -> Exit {
    exit_of_word(Problem::of(error).error.as_str())
}

fn exit_of_word(word: &str) -> Exit {
    match word {
        "no_such_app" | "no_such_version" => Exit::NoSuchThing,
        "not_ready" => Exit::NotReady,
        "faults" => Exit::Findings,
        _ => Exit::Failed,
    }
}

async fn ask(url: &str, app_id: &str) -> anyhow::Result<Result<View, Problem>> {
    let url = format!("{}/admin/aliases/{app_id}", url.trim_end_matches('/'));
    let answer = client()?.get(&url).send().await.with_context(|| format!("cannot reach {url}"))?;
    read(answer, &url).await
}

async fn order_at(
    url: &str,
    app_id: &str,
    alias: &str,
    wanted: Wanted<'_>,
    why: &Why,
) -> anyhow::Result<Result<Answered, Problem>> {
    let etag = match &why.if_match {
        Some(etag) => etag.clone(),
        None => match ask(url, app_id).await? {
            Ok(view) => view.aliases.etag,
            Err(problem) => return Ok(Err(problem)),
        },
    };
    let url = format!("{}/admin/aliases/{app_id}/{alias}", url.trim_end_matches('/'));
    let to = match wanted {
        Wanted::To(version) => Some(version.clone()),
        Wanted::Back => None,
    };
    let order = Ordered { to, reason: why.reason.clone(), by: why.by.clone() };
    let request =
        client()?.post(&url).header(http::header::IF_MATCH, format!("\"{etag}\"")).body(json!(order).to_string());
    let answer = request.send().await.with_context(|| format!("cannot reach {url}"))?;
    read(answer, &url).await
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?)
}

/// What was asked for, or what the gateway says against it.
async fn read<T: serde::de::DeserializeOwned>(
    answer: reqwest::Response,
    url: &str,
) -> anyhow::Result<Result<T, Problem>> {
    let status = answer.status();
    let bytes = answer.bytes().await.with_context(|| format!("{url} broke off"))?;
    let no_gateway = || format!("{url} does not answer as a gateway's listener for operators");
    if status.is_success() {
        return serde_json::from_slice(&bytes).map(Ok).with_context(no_gateway);
    }
    match serde_json::from_slice(&bytes) {
        Ok(problem) => Ok(Err(problem)),
        Err(_) => bail!("{} (status {status})", no_gateway()),
    }
}
