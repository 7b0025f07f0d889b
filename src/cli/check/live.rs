//! `check --url` asks a running gateway; `check --pre` looks at what one would find here, before there is any.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;

use super::super::{Exit, print, say};
use crate::config::Flags;
use crate::governance::Severity;
use crate::governance::check::{self, Target};
use crate::governance::live::{self, Answers, Category, Check, Outcome};
use crate::registry::Registry;

/// How checks of a gateway are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Output {
    /// A line a check.
    Table,
    /// What is not well alone.
    Short,
    Json,
}

/// A gateway that takes longer than this to answer is not well.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// Asks the gateway at `url`, until all is well or `wait` is over.
pub(super) fn run(url: &str, wait: Duration, output: Output) -> anyhow::Result<Exit> {
    tokio::runtime::Runtime::new()?.block_on(async {
        tokio::select! {
            exit = ask(url.trim_end_matches('/'), wait, output) => exit,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}

async fn ask(base: &str, wait: Duration, output: Output) -> anyhow::Result<Exit> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let until = Instant::now() + wait;
    loop {
        let answers = answers(&client, base).await;
        let is_well = answers.as_ref().is_ok_and(|answers| {
            live::judge(answers, Timestamp::now())
                .iter()
                .flat_map(|category| &category.checks)
                .all(|check| check.result == Outcome::Success)
        });
        if !is_well && Instant::now() < until {
            tokio::time::sleep(PAUSE.min(until.saturating_duration_since(Instant::now()))).await;
            continue;
        }
        let (mut categories, unreachable) = match &answers {
            Ok(answers) => (live::judge(answers, Timestamp::now()), false),
            Err(error) => {
                let check = Check::bad("gateway_unreachable", format!("{error:#}"));
                let check = check.hint("is the address right, and does the gateway run?");
                (vec![Category { name: "gateway", checks: vec![check] }], true)
            }
        };
        if !unreachable {
            live::link(&mut categories, base);
        }
        show(&categories, output)?;
        return Ok(match live::worst(&categories) {
            _ if unreachable => Exit::Unreachable,
            Outcome::Error => Exit::NotReady,
            Outcome::Warning | Outcome::Success => Exit::Done,
        });
    }
}

async fn answers(client: &reqwest::Client, base: &str) -> anyhow::Result<Answers> {
    let begun = Instant::now();
    let url = format!("{base}/health/registry?format=json");
    let answer = client.get(&url).send().await.with_context(|| format!("cannot reach {base}"))?;
    let took = begun.elapsed();
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let bytes = answer.bytes().await.with_context(|| format!("{url} broke off"))?;
    let health = serde_json::from_slice(&bytes).with_context(|| format!("{base} does not answer as a gateway"))?;
    let ready = client.get(format!("{base}/readyz")).send().await.with_context(|| format!("cannot reach {base}"))?;
    let status = ready.status().as_u16();
    let words: String = ready.text().await.unwrap_or_default().chars().take(200).collect();
    Ok(Answers { took, health, date, ready: (status, words) })
}

pub(in crate::cli) fn show(categories: &[Category], output: Output) -> anyhow::Result<()> {
    match output {
        Output::Table => print(live::table(categories, false).trim_end()),
        Output::Short => print(live::table(categories, true).trim_end()),
        Output::Json => {
            let status = match live::worst(categories) {
                Outcome::Success => "pass",
                Outcome::Warning => "warn",
                Outcome::Error => "fail",
            };
            print(serde_json::to_string_pretty(&json!({ "status": status, "categories": categories }))?);
        }
    }
    Ok(())
}

/// What a gateway would find here, with no node asked.
pub(super) fn before(root: Option<&Path>, file: Option<PathBuf>, output: Output) -> anyhow::Result<Exit> {
    let mut categories = Vec::new();
    let settings = super::super::settings(file, Flags::default());
    categories.push(Category {
        name: "config",
        checks: vec![match &settings {
            Ok(settings) => {
                let set = settings.sources.values().filter(|source| source.to_string() != "default").count();
                Check::good(
                    "config_invalid",
                    format!("{} settings, {set} of them set, none unknown", settings.sources.len()),
                )
            }
            Err(error) => Check::bad("config_invalid", error.to_string())
                .hint("`appserver config` shows each setting and its source"),
        }],
    });
    let config = settings.ok().map(|settings| settings.config);
    if let Some(config) = &config {
        let address = config.server.listen;
        let check = match TcpListener::bind(address) {
            Ok(_free) => Check::good("address_taken", format!("{address} is free to listen on")),
            Err(error) => Check::bad("address_taken", format!("cannot listen on {address}: {error}"))
                .hint("stop what listens there, or set server.listen or PORT"),
        };
        categories.push(Category { name: "listener", checks: vec![check] });
    }
    let root = root.map(Path::to_owned).or_else(|| config.map(|config| config.registry.root));
    if let Some(root) = root {
        categories.push(Category { name: "registry", checks: registry(&root) });
    }
    show(&categories, output)?;
    if live::worst(&categories) == Outcome::Error {
        say("run `appserver check` for every finding with its place");
        return Ok(Exit::Findings);
    }
    Ok(Exit::Done)
}

/// What loading and checking a registry's folder finds.
pub(in crate::cli) fn registry(root: &Path) -> Vec<Check> {
    let report = match check::check(&Target::Registry(root.to_owned())) {
        Ok(report) => report,
        Err(error) => {
            return vec![Check::bad("registry_stale", error.to_string()).hint("set registry.root, or --registry DIR")];
        }
    };
    let hint = format!("`appserver check --registry {}` shows each with its place", root.display());
    let mut checks = vec![match (report.count(Severity::Error), report.count(Severity::Warning)) {
        (0, 0) => Check::good("registry_alarm", report.summary()),
        (0, _) => Check::poor("registry_alarm", report.summary()).hint(hint),
        (_, _) => Check::bad("registry_alarm", report.summary()).hint(hint),
    }];
    if let Ok(registry) = Registry::open(root) {
        checks.push(match registry.current().tenants.key_count() {
            0 => Check::poor("unauthenticated", "nobody can call: tenants.json holds no service key")
                .hint("`appserver key --id NAME` makes one"),
            keys => Check::good("unauthenticated", format!("{keys} service keys")),
        });
    }
    checks
}
