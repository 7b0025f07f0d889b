//! `appserver job`: jobs of a tenant in an app, as an operator sees them, straight from the database.
//!
//! Invariant: every look and every change is made as the one tenant that is named, like a caller's.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use jobs::{AppId, Cancel, Cursor, Filter, Job, JobId, Opened, Replay, Scope, State, Store, Tenant};
use serde_json::{Value, json};

use super::{Exit, print, say};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Where jobs are kept: `postgres://…` or `sqlite:<file>`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, default_value = "")]
    database: String,
    /// The schema of the database in Postgres.
    #[arg(long, env = "DATABASE_SCHEMA", default_value = jobs::postgres::SCHEMA)]
    schema: String,
    #[command(flatten)]
    queue: jobs::program::QueueArgs,
    /// Whose jobs.
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// Of which app.
    #[arg(long, env = "APP_ID", value_name = "APP")]
    app: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List jobs, newest first.
    List {
        /// Only those that stand so: queued, leased, running, succeeded, failed, dead, cancelled.
        #[arg(long)]
        status: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// List those whose attempts are used up.
    Dead {
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one job with what has happened to it.
    Show { job_id: JobId },
    /// Follow one job to its end.
    Watch { job_id: JobId },
    /// Cancel one job.
    Cancel { job_id: JobId },
    /// Queue a failed or dead job again.
    Replay { job_id: JobId },
}

/// How long a watch waits between two looks where nothing rings.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let scope = Scope::new(
            Tenant::new(&args.tenant).context("--tenant names no tenant")?,
            AppId::new(&args.app).context("--app names no app")?,
        );
        // What is queued again is told to a broker by whoever relays, where there is one.
        let broker = args.queue.broker().context("the queue cannot be used")?;
        let place = jobs::Where { database: args.database.clone(), schema: args.schema.clone(), broker };
        let Opened { store, .. } = jobs::open(&place).await.context("DATABASE_URL cannot be used")?;
        let teller = Teller { store: &*store, scope: &scope, json };
        match &args.action {
            Action::List { status, limit } => {
                let named =
                    |name: &String| State::named(name).with_context(|| format!("`{name}` is no status of a job"));
                teller.list(status.as_ref().map(named).transpose()?, *limit).await
            }
            Action::Dead { limit } => teller.list(Some(State::Dead), *limit).await,
            Action::Show { job_id } => teller.show(*job_id).await,
            Action::Watch { job_id } => teller.watch(*job_id).await,
            Action::Cancel { job_id } => {
                let cancelled = store.cancel(&scope, *job_id).await?;
                Ok(cancelled.map_or_else(unknown, |cancel| match cancel {
                    Cancel::Cancelled(job) | Cancel::Requested(job) => teller.tell(&job, Exit::Done),
                    Cancel::Over(job) if job.state == State::Cancelled => teller.tell(&job, Exit::Done),
                    Cancel::Over(job) => teller.tell(&job, Exit::Failed),
                }))
            }
            Action::Replay { job_id } => {
                let replayed = store.replay(&scope, *job_id).await?;
                Ok(replayed.map_or_else(unknown, |replay| match replay {
                    Replay::Queued(job) => teller.tell(&job, Exit::Done),
                    Replay::Refused(job) => teller.tell(&job, Exit::Failed),
                }))
            }
        }
    })
}

struct Teller<'t> {
    store: &'t dyn Store,
    scope: &'t Scope,
    json: bool,
}

// === impl Teller ===

impl Teller<'_> {
    async fn list(&self, state: Option<State>, limit: u32) -> anyhow::Result<Exit> {
        let mut left = limit;
        let mut after: Option<Cursor> = None;
        while left > 0 {
            let listed = self.store.list(self.scope, &Filter { state, after, limit: left.min(200) }).await?;
            for job in &listed.jobs {
                self.tell(job, Exit::Done);
            }
            left = left.saturating_sub(u32::try_from(listed.jobs.len()).unwrap_or(u32::MAX));
            after = listed.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Exit::Done)
    }

    async fn show(&self, job_id: JobId) -> anyhow::Result<Exit> {
        let Some(job) = self.store.get(self.scope, job_id).await? else { return Ok(unknown()) };
        let entries = self.store.events(self.scope, job_id, 0).await?;
        if self.json {
            print(json!({ "job": view(&job), "events": entries }));
            return Ok(Exit::Done);
        }
        self.tell(&job, Exit::Done);
        for entry in entries {
            let code = entry.code.unwrap_or_default();
            print(format_args!(
                "  {:>3}  {}  {:<16} attempt {}  {code}",
                entry.seq,
                entry.at,
                entry.kind.as_str(),
                entry.attempt
            ));
        }
        Ok(Exit::Done)
    }

    /// Tells each event as it happens, until there will be no other.
    async fn watch(&self, job_id: JobId) -> anyhow::Result<Exit> {
        let mut watch = self.store.watch(job_id);
        let mut seq = 0;
        loop {
            let Some(job) = self.store.get(self.scope, job_id).await? else { return Ok(unknown()) };
            for entry in self.store.events(self.scope, job_id, seq).await? {
                seq = entry.seq;
                print(if self.json {
                    serde_json::to_string(&entry)?
                } else {
                    format!("{}  {:<16} {}", entry.at, entry.kind.as_str(), entry.code.unwrap_or_default())
                });
            }
            match job.state {
                State::Succeeded => return Ok(Exit::Done),
                State::Failed | State::Dead | State::Cancelled => return Ok(Exit::Failed),
                State::Queued | State::Leased | State::Running => watch.changed(PATIENCE).await,
            }
        }
    }

    fn tell(&self, job: &Job, exit: Exit) -> Exit {
        if self.json {
            print(view(job));
            return exit;
        }
        let failure =
            job.failure.as_ref().map_or_else(String::new, |failure| format!("{}: {}", failure.code, failure.message));
        print(format_args!(
            "{}  {:<9}  {}:{}  attempt {}/{}  {}  {failure}",
            job.id,
            job.state.as_str(),
            job.definition,
            job.version,
            job.attempts,
            job.attempts_max,
            job.created_at
        ));
        exit
    }
}

fn view(job: &Job) -> Value {
    serde_json::to_value(job).unwrap_or_default()
}

fn unknown() -> Exit {
    say("the tenant has no such job in this app");
    Exit::NoSuchThing
}
