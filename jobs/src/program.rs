//! What the programs over jobs share when they start: the settings that they have in common, and the signal to stop.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::artifacts::LinkKey;
use crate::servicebus::{Address, Settings};
use crate::{AppId, Artifacts, Error, Where};

/// Where jobs are kept, and what tells workers of them.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct JobsArgs {
    /// Where jobs are kept: `postgres://…` or `sqlite:<file>`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// The schema of the database in Postgres.
    #[arg(long, env = "DATABASE_SCHEMA", default_value = crate::postgres::SCHEMA)]
    pub database_schema: String,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// What tells workers of jobs.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct QueueArgs {
    /// What tells workers of jobs. Where it is not said: Service Bus, if its connection string is set.
    #[arg(long, env = "JOB_QUEUE", value_enum)]
    pub queue: Option<QueueKind>,
    /// The queue's name, where a deployment says it: the queue of an app is always `jobs-<app_id>`.
    #[arg(long, env = "QUEUE_NAME")]
    pub queue_name: Option<String>,
    /// The connection string of Azure Service Bus.
    #[arg(long, env = "SERVICEBUS_CONN", hide_env_values = true)]
    pub servicebus_conn: Option<String>,
}

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QueueKind {
    /// The database's own.
    Database,
    /// Azure Service Bus, before rows in Postgres.
    ServiceBus,
}

/// Where artifacts are kept.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ArtifactsArgs {
    /// Where artifacts are kept: a folder that the API and the workers see.
    #[arg(long, env = "ARTIFACTS_DIR", default_value = "artifacts")]
    pub artifacts_dir: PathBuf,
    /// Where artifacts are kept in place of a folder: `https://<account>.blob.core.windows.net/<container>`.
    #[arg(long, env = "ARTIFACTS_URL")]
    pub artifacts_url: Option<String>,
}

// === impl JobsArgs ===

impl JobsArgs {
    /// What it comes to.
    ///
    /// # Errors
    /// When the queue's settings contradict each other.
    pub fn place(&self) -> Result<Where, Error> {
        let broker = self.queue.broker()?;
        Ok(Where { database: self.database_url.clone(), schema: self.database_schema.clone(), broker })
    }
}

// === impl QueueArgs ===

impl QueueArgs {
    /// The broker, where there is one.
    ///
    /// # Errors
    /// When it is asked for and cannot be reached by what is said.
    pub fn broker(&self) -> Result<Option<Settings>, Error> {
        let connection = self.servicebus_conn.as_deref().filter(|connection| !connection.is_empty());
        match (self.queue, connection) {
            (Some(QueueKind::Database), _) | (None, None) => Ok(None),
            (Some(QueueKind::ServiceBus) | None, Some(connection)) => {
                Ok(Some(Settings::new(Address::parse(connection)?)))
            }
            (Some(QueueKind::ServiceBus), None) => {
                Err(Error::Unfit("JOB_QUEUE is `service-bus`, and SERVICEBUS_CONN is not set".to_owned()))
            }
        }
    }

    /// Jobs in a queue that nobody serves would wait for ever, so a name that is not the apps' is an error now.
    ///
    /// # Errors
    /// When the queue's name is not that of the one app.
    pub fn check_name(&self, apps: &[AppId]) -> Result<(), Error> {
        match self.queue_name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) if !apps.iter().all(|app| app.queue_name() == name) => Err(Error::Unfit(format!(
                "QUEUE_NAME is `{name}`, and the queue of an app is `jobs-<app_id>`: unset it, or set APP_ID to match"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

// === impl ArtifactsArgs ===

impl ArtifactsArgs {
    /// Opens them. Links of a folder's are signed by the key, and begin with the address.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn open(&self, key: LinkKey, public_url: &str) -> Result<Artifacts, crate::artifacts::Error> {
        match &self.artifacts_url {
            Some(url) => Artifacts::azure_at(url),
            None => Artifacts::local(&self.artifacts_dir, key, public_url),
        }
    }
}

/// Cancelled when the process is told to end, by SIGTERM or SIGINT. To be called within a runtime.
pub fn stopped() -> CancellationToken {
    let stop = CancellationToken::new();
    let both = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    if let (Ok(mut terminate), Ok(mut interrupt)) = both {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
    }
    stop
}
