//! The `appserver-worker` command: what it is told becomes a worker that works until it is told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jobs::artifacts::LinkKey;
use jobs::{AppId, REMEMBERED_MIN};
use program::Called;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::config::Config;
use worker::gateway::Gateway;
use worker::health::{self, Metrics};
use worker::{Bounds, Parts};

/// A lease is granted for so many renewals: two may fail before a third of it is left.
const RENEWALS: u32 = 4;
/// Blobs of jobs that are not over are never as old as this and a job's longest time.
const GRACE_LEAST: Duration = Duration::from_hours(1);

#[tokio::main]
async fn main() -> ExitCode {
    let config = match program::called::<Config>() {
        Called::Run(config) => config,
        Called::Asked(exit) => return exit,
    };
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
    let place = config.jobs.place().context("the queue cannot be used")?;
    let opened = jobs::open(&place).await.context("DATABASE_URL cannot be used")?;
    let apps: Vec<AppId> =
        config.app_id.iter().map(|app| AppId::new(app)).collect::<Result<_, _>>().context("APP_ID names no app")?;
    config.jobs.queue.check_name(&apps)?;
    let renew_every = Duration::from_secs(config.lock_renew_sec.max(1));
    let job_timeout = Duration::from_secs(config.job_timeout_sec.max(1));
    let parts = Parts {
        queue: opened.queue,
        upkeep: opened.upkeep,
        broker: opened.broker,
        // A worker signs no links.
        artifacts: config.artifacts.open(LinkKey::random(), "").context("ARTIFACTS_URL cannot be used")?,
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
    let (metrics, stop) = (Metrics::default(), jobs::program::stopped());
    // Health is answered until the last job is done with.
    let router = health::router(parts.clone(), metrics.clone(), config.operators.operators());
    let answering =
        tokio::spawn(
            async move { axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await },
        );
    tokio::spawn(program::operators::keep_log_level());
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
