//! The `appserver-api` command: what it is told becomes an API that serves until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use api::config::Config;
use api::{Bounds, Contracts, Parts};
use identity::{Claims, Jwks, Rules, Verifier};
use jobs::AppId;
use jobs::artifacts::LinkKey;
use program::Called;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const LEEWAY_SEC: u64 = 30;
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let config = match program::called::<Config>() {
        Called::Run(config) => config,
        Called::Asked(exit) => return exit,
    };
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
    let operated = match config.admin_listen {
        Some(address) => Some(api::operate::bind(address).await?),
        None => None,
    };
    let operators = config.operators.operators();
    let parts = parts(config, tracer).await?;
    tracing::info!(address = %listener.local_addr()?, app_id = ?parts.only, "serving jobs");
    // The broker is told of jobs from here, too: where the workers are scaled to none, nobody else would wake them.
    let relay =
        parts.broker.clone().map(|broker| AbortOnDropHandle::new(tokio::spawn(async move { broker.relay().await })));
    // The last spans are told after the last answer.
    let served = CancellationToken::new();
    let export = exporter.map(|exporter| tokio::spawn(exporter.run(served.clone().cancelled_owned())));
    let _keeping = AbortOnDropHandle::new(tokio::spawn(program::operators::keep_log_level()));
    let (called, operate) = api::routers(parts, operators);
    // Operators are answered until the last caller is.
    let _operating = operated
        .map(|listener| AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, operate).await })));
    let drained = api::serve(listener, called, jobs::program::stopped(), DRAIN).await;
    drop(relay);
    served.cancel();
    if let Some(export) = export {
        export.await?;
    }
    Ok(drained)
}

async fn parts(config: Config, tracer: trace::Tracer) -> anyhow::Result<Parts> {
    let place = config.jobs.place().context("the queue cannot be used")?;
    let opened = jobs::open(&place).await.context("DATABASE_URL cannot be used")?;
    if let Some(broker) = &opened.broker {
        broker.check_relay().await.context("DATABASE_URL cannot be used")?;
    }
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
        None if config.artifacts.artifacts_url.is_some() => LinkKey::random(),
        None => {
            tracing::warn!("LINK_KEY is not set: links to artifacts end with this process, and no replica knows them");
            LinkKey::random()
        }
    };
    let only = config.app_id.as_deref().map(AppId::new).transpose().context("APP_ID names no app")?;
    config.jobs.queue.check_name(only.as_slice())?;
    Ok(Parts {
        store: opened.store,
        queue: opened.queue,
        broker: opened.broker,
        artifacts: config.artifacts.open(link_key, &config.public_url).context("ARTIFACTS_URL cannot be used")?,
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
