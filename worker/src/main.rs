//! The `appserver-worker` command: what it is told becomes a worker that works until it is told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use jobs::artifacts::LinkKey;
use jobs::{AppId, Artifacts, REMEMBERED_MIN};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use worker::config::Config;
use worker::gateway::Gateway;
use worker::health::{self, Metrics};
use worker::{Bounds, Parts, level};

/// A lease is granted for so many renewals: two may fail before a third of it is left.
const RENEWALS: u32 = 4;
/// Blobs of jobs that are not over are never as old as this and a job's longest time.
const GRACE_LEAST: Duration = Duration::from_hours(1);

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    let _flushed = logs::Flushed;
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot work");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    logs::start(config.log.filter.clone(), config.log.format)?;
    let (tracer, exporter) = trace::start(config.trace.settings("appserver-worker")?)?;
    let opened = jobs::open(&config.database_url).await.context("DATABASE_URL cannot be used")?;
    let apps: Vec<AppId> =
        config.app_id.iter().map(|app| AppId::new(app)).collect::<Result<_, _>>().context("APP_ID names no app")?;
    check_queue(&config, &apps)?;
    let renew_every = Duration::from_secs(config.lock_renew_sec.max(1));
    let job_timeout = Duration::from_secs(config.job_timeout_sec.max(1));
    let parts = Parts {
        queue: opened.queue,
        upkeep: opened.upkeep,
        artifacts: match &config.artifacts_url {
            Some(url) => Artifacts::azure_at(url).context("ARTIFACTS_URL cannot be used")?,
            // A worker signs no links.
            None => Artifacts::local(&config.artifacts_dir, LinkKey::random(), "")?,
        },
        gateway: Gateway::new(&config.gateway, &config.key).map_err(anyhow::Error::msg)?,
        apps,
        name: format!("worker-{}", uuid::Uuid::now_v7()),
        tracer,
        bounds: Bounds {
            lease: renew_every * RENEWALS,
            renew_every,
            job_timeout,
            at_once: config.at_once.max(1),
            drain: Duration::from_secs(config.drain_sec),
            upkeep_every: Duration::from_secs(config.upkeep_sec.max(1)),
            retention: Duration::from_secs(config.job_retention_sec).max(REMEMBERED_MIN),
            // A blob is stored before the row that names it.
            orphan_grace: Duration::from_secs(config.artifact_grace_sec).max(GRACE_LEAST + job_timeout),
            ..Bounds::default()
        },
    };
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, name = parts.name, apps = ?config.app_id, "working");
    let (metrics, stop) = (Metrics::default(), CancellationToken::new());
    tokio::spawn(stopped(stop.clone()));
    // Health is answered until the last job is done with.
    let router = health::router(parts.clone(), metrics.clone());
    let answering =
        tokio::spawn(
            async move { axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await },
        );
    tokio::spawn(level::keep());
    // The last spans are told after the last job.
    let worked = CancellationToken::new();
    let export = exporter.map(|exporter| tokio::spawn(exporter.run(worked.clone().cancelled_owned())));
    worker::run(parts, metrics, stop).await;
    worked.cancel();
    if let Some(export) = export {
        export.await?;
    }
    answering.abort();
    Ok(())
}

/// What cannot be done as it is asked for is an error now: jobs in a queue that nobody serves would wait for ever.
fn check_queue(config: &Config, apps: &[AppId]) -> anyhow::Result<()> {
    if config.servicebus_conn.is_some() {
        anyhow::bail!("SERVICEBUS_CONN is set, and this worker serves the database's queue only: unset it");
    }
    match &config.queue_name {
        Some(name) if !apps.iter().all(|app| app.queue_name() == *name) => {
            anyhow::bail!(
                "QUEUE_NAME is `{name}`, and the queue of an app is `jobs-<app_id>`: unset it, or set APP_ID to match"
            )
        }
        Some(_) | None => Ok(()),
    }
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
