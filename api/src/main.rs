//! The `appserver-api` command: what it is told becomes an API that serves until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use api::config::Config;
use api::{Bounds, Contracts, Parts};
use clap::Parser as _;
use identity::{Claims, Jwks, Rules, Verifier};
use jobs::artifacts::LinkKey;
use jobs::{AppId, Artifacts};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const LEEWAY_SEC: u64 = 30;
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    let _flushed = logs::Flushed;
    match run(config).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot serve");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> anyhow::Result<bool> {
    logs::start(config.log.filter.clone(), config.log.format)?;
    let (tracer, exporter) = trace::start(config.trace.settings("appserver-api")?)?;
    let mut listen = config.listen;
    listen.set_port(config.port.unwrap_or(listen.port()));
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let parts = parts(config, tracer).await?;
    tracing::info!(address = %listener.local_addr()?, app_id = ?parts.only, "serving jobs");
    let stop = CancellationToken::new();
    tokio::spawn(stopped(stop.clone()));
    // The last spans are told after the last answer.
    let served = CancellationToken::new();
    let export = exporter.map(|exporter| tokio::spawn(exporter.run(served.clone().cancelled_owned())));
    let drained = api::serve(listener, api::router(parts), stop, DRAIN).await;
    served.cancel();
    if let Some(export) = export {
        export.await?;
    }
    Ok(drained)
}

async fn parts(config: Config, tracer: trace::Tracer) -> anyhow::Result<Parts> {
    let opened = jobs::open(&config.database_url).await.context("DATABASE_URL cannot be used")?;
    let keys = Jwks::at(&config.jwks_url, identity::Bounds::default()).map_err(anyhow::Error::msg);
    let rules = Rules {
        issuer: config.issuer,
        audience: config.audience,
        leeway_sec: LEEWAY_SEC,
        claims: Claims { tenant: config.tenant_claim, apps: config.apps_claim, role: config.role_claim },
    };
    let link_key = match &config.link_key {
        Some(hex) => LinkKey::new(bytes_of(hex).context("LINK_KEY is 64 hexadecimal digits")?),
        // Azure signs links to its own blobs.
        None if config.artifacts_url.is_some() => LinkKey::random(),
        None => {
            tracing::warn!("LINK_KEY is not set: links to artifacts end with this process, and no replica knows them");
            LinkKey::random()
        }
    };
    let only = config.app_id.as_deref().map(AppId::new).transpose().context("APP_ID names no app")?;
    Ok(Parts {
        store: opened.store,
        queue: opened.queue,
        artifacts: match &config.artifacts_url {
            Some(url) => Artifacts::azure_at(url).context("ARTIFACTS_URL cannot be used")?,
            None => Artifacts::local(&config.artifacts_dir, link_key, &config.public_url)?,
        },
        contracts: Contracts::new(&config.gateway, &config.key).map_err(anyhow::Error::msg)?,
        verifier: Verifier::new(rules, keys.context("JWT_JWKS_URL cannot be used")?),
        bounds: Bounds { attempts_max: config.attempts_max, ..Bounds::default() },
        only,
        public_url: config.public_url.trim_end_matches('/').to_owned(),
        tracer,
    })
}

fn bytes_of(hex: &str) -> anyhow::Result<[u8; 32]> {
    let digest: contract::Digest = format!("sha256:{hex}").parse().map_err(|_other| anyhow!("it is something else"))?;
    Ok(digest.0)
}

async fn stopped(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}
