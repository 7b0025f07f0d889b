//! `appserver dev`: the gateway with a stand-in for Rhino.Compute, the job API and a worker, on this computer, with nothing else needed.

mod jobs;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use self::jobs::{Jobs, Tracers};
use super::serve::{self, stop_on_signal};
use super::{Exit, print, say};
use crate::admin::Health;
use crate::admin::health::Status;
use crate::app::{App, Consent};
use crate::config::{AuthMode, Config, Node, Settings, Source};
use crate::registry::{Registry, Snapshot};
use crate::telemetry;

#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    serve: serve::Args,
}

/// How long the banner waits for the first node to tell what it has.
const READY_WAIT: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Args, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let mut settings = super::settings(file, args.serve.flags(true))?;
    telemetry::start(&settings.config.log)?;
    let consent = Consent { insecure_no_auth: args.serve.insecure_no_auth };
    tokio::runtime::Runtime::new()?.block_on(async {
        let stand_in = stand_in(&mut settings.config).await?;
        let app = build(&settings, consent).await?;
        let stop = CancellationToken::new();
        let signalled = tokio::spawn(stop_on_signal(stop.clone()));
        let (address, operators, admin) = (app.address(), app.admin_address(), app.admin());
        let registry = app.registry();
        // The worker drains before the gateway that it calls.
        let (stop_jobs, gone) = (stop.clone(), CancellationToken::new());
        let served = tokio::spawn(app.run(gone.clone()));
        let health = until_ready(|| admin.health()).await;
        // A gateway that asks for keys has none for a worker of ours.
        let (tracers, exporters) = tracers(&settings)?;
        let told = CancellationToken::new();
        let export =
            tokio::spawn(join_all(exporters.into_iter().map(|exporter| exporter.run(told.clone().cancelled_owned()))));
        let jobs = match settings.config.auth.mode {
            AuthMode::Open => {
                Some(Jobs::start(address, &registry, stop_jobs, tracers).await.context("cannot start the job API")?)
            }
            AuthMode::Keys => None,
        };
        print(banner(address, &settings, &health, &registry, stand_in.is_some(), jobs.as_ref()));
        if let Some(operators) = operators {
            print(format_args!("Nodes: appserver node list --url http://{operators}"));
        }
        stop.cancelled().await;
        if let Some(jobs) = jobs {
            jobs.ended().await;
        }
        told.cancel();
        export.await?;
        gone.cancel();
        let drained = served.await?;
        if let Some(node) = stand_in {
            node.stop().await;
        }
        let exit = signalled.await.unwrap_or(Exit::Failed);
        Ok(if drained || exit == Exit::Interrupted { exit } else { Exit::Failed })
    })
}

/// What keeps the spans of the job API and the worker, and what sends them.
fn tracers(settings: &Settings) -> anyhow::Result<(Tracers, Vec<trace::Exporter>)> {
    let flags = settings.config.trace.flags(settings.secrets.trace_headers.as_ref());
    let (api, to_api) = trace::start(flags.settings("appserver-api")?)?;
    let (worker, to_worker) = trace::start(flags.settings("appserver-worker")?)?;
    Ok((Tracers { api, worker }, to_api.into_iter().chain(to_worker).collect()))
}

/// Starts the stand-in where the configuration names no node.
async fn stand_in(config: &mut Config) -> anyhow::Result<Option<simnode::Running>> {
    if !config.nodes.is_empty() {
        return Ok(None);
    }
    let node = simnode::Node::start(simnode::Config::default()).await.context("cannot start the stand-in node")?;
    config.nodes.push(Node { name: "stand-in-1".to_owned(), url: node.url(), slots: None, pools: Vec::new() });
    Ok(Some(node))
}

/// On the default port when it is free, else on any: who asks for a port by name gets that one or an error.
async fn build(settings: &Settings, consent: Consent) -> anyhow::Result<App> {
    let secrets = settings.secrets.clone();
    match App::build(&settings.config, secrets.clone(), consent).await {
        Err(error) if by_default(settings) && is_taken(&error) => {
            let mut config = settings.config.clone();
            say(format_args!("{} is taken; taking a free port", config.server.listen));
            config.server.listen.set_port(0);
            App::build(&config, secrets, consent).await
        }
        other => other,
    }
}

fn by_default(settings: &Settings) -> bool {
    matches!(settings.sources.get("server.listen"), Some(Source::Default | Source::Dev))
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

async fn until_ready(health: impl Fn() -> Health) -> Health {
    let begin = tokio::time::Instant::now();
    loop {
        let now = health();
        let loading = |health: &Health| {
            health.apps.iter().flat_map(|app| &app.versions).any(|version| version.status == Status::Loading)
        };
        if !loading(&now) || begin.elapsed() > READY_WAIT {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn banner(
    address: SocketAddr,
    settings: &Settings,
    health: &Health,
    registry: &Registry,
    stands_in: bool,
    jobs: Option<&Jobs>,
) -> String {
    let base = format!("localhost:{}", address.port());
    let versions: Vec<_> = health.apps.iter().flat_map(|app| &app.versions).collect();
    let ready = versions.iter().filter(|version| version.status == Status::Ready).count();
    let root = settings.config.registry.root.display();
    let node = match health.nodes.as_slice() {
        [_] if stands_in => "1 stand-in node, built in (RHINO_COMPUTE_URL=… for a real one)".to_owned(),
        nodes => format!("{} node(s)", nodes.len()),
    };
    let first = first_call(health, &registry.current());
    let page = first.as_ref().map_or("<definition>", |call| call.definition.as_str());
    let page = format!("http://{base}/gh/{page}:stable");
    let call = first.as_ref().map_or_else(
        || "No version is ready: /health/registry says why.".to_owned(),
        |Call { app_id, definition, inputs }| {
            let queue = jobs.map(|jobs| format!("\n\n{}", jobs.curls(app_id, definition, inputs))).unwrap_or_default();
            let body = format!("{{\"inputs\":{inputs}}}");
            format!(
                "First call, in another terminal:\n    curl -s {base}/gh/{definition}:stable/solve -d '{body}'{queue}"
            )
        },
    );
    let api = jobs.map(|jobs| {
        let api = format!("localhost:{}", jobs.address().port());
        format!("Jobs       POST http://{api}/<app_id>/jobs/run   (http://{api}/openapi.json)\n  ")
    });
    format!(
        "AppServer {} in dev mode\n\n  \
         contracts  {} apps, {ready} of {} versions ready   ({root})\n  \
         nodes      {node}\n\n  \
         Health     http://{base}/health/registry?format=text\n  \
         Try it     {page}   (a page for people; JSON for programs)\n  \
         Solve      POST http://{base}/gh/<definition>:<version>/solve\n  \
         {}\n\
         {call}\n\nCtrl-C stops everything. {}",
        env!("CARGO_PKG_VERSION"),
        health.apps.len(),
        versions.len(),
        api.unwrap_or_default(),
        reach(address),
    )
}

fn reach(address: SocketAddr) -> &'static str {
    if address.ip().is_loopback() {
        "Only this computer can reach it."
    } else {
        "OTHERS CAN REACH IT, and it asks nobody who they are."
    }
}

/// A solve that works, its inputs spelt for a shell's single quotes.
#[derive(Debug)]
struct Call {
    app_id: String,
    definition: String,
    inputs: String,
}

/// The shortest example that a ready `stable` version has.
fn first_call(health: &Health, snapshot: &Snapshot) -> Option<Call> {
    let stable = health.apps.iter().filter_map(|app| {
        let version = app.aliases.get("stable")?;
        let health = app.versions.iter().find(|health| health.version == *version && health.status == Status::Ready)?;
        let contract = snapshot.apps.get(&app.app_id)?.releases.get(version)?.contract()?;
        let example =
            contract.examples.valid.iter().map(|example| example.inputs.to_string()).min_by_key(String::len)?;
        Some(Call { app_id: app.app_id.clone(), definition: health.definition.clone(), inputs: example })
    });
    let shortest = stable.min_by_key(|call| call.inputs.len())?;
    Some(Call { inputs: shortest.inputs.replace('\'', "'\\''"), ..shortest })
}
