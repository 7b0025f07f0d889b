//! Store and queue in Postgres, for many processes on many computers.
//!
//! Tenants are held apart by row level security, not by our care with `WHERE`: rows are seen through `tenant::TenantTx` alone,
//! which says whose it is before the transaction reads one. What has to look across tenants is a few functions with an
//! owner of their own. The clock is the database's.
//!
//! Invariant: a program never works by a role that row level security does not bind; [`Postgres::connect`] refuses it.

mod claim;
mod fit;
mod held;
mod listen;
mod migrations;
mod named;
mod pool;
mod submit;
mod tell;
mod tenant;
mod upkeep;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};

use crate::bell::{Bell, Ring};
use crate::decide::{Ask, Decision, Micros, Row, decide};
use crate::row::{self, columns, json};
use crate::store::ENTRIES_MAX;
use crate::{
    AppId, Artifact, Cancel, Entry, Error, Failure, Filter, Job, JobId, Kind, Listed, NewJob, Replay, Scope, State,
    Store, Submitted, Watch,
};
use pool::{Pool, within};
use tell::Teller;
use tenant::TenantTx;

pub use migrations::{Admin, migrate};
pub(crate) use named::Named;

/// The name of the schema where nothing else is said.
pub const SCHEMA: &str = "appserver";

/// How to reach a database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://user:password@host/database`. An app's own database is another address.
    pub url: String,
    /// An app's own schema is another name here.
    pub schema: String,
    /// The most connections of this process, the listener's not counted.
    pub connections_max: u32,
    /// Whether jobs are told to a broker: each submission then leaves a message in the outbox, in its own transaction.
    pub outbox: bool,
}

/// A store and a queue in Postgres.
#[derive(Debug)]
pub struct Postgres {
    pool: Pool,
    outbox: bool,
    bell: Bell,
    teller: Teller,
    /// Ends with this.
    _listener: listen::Listener,
    /// The tenant of each app that this process served last.
    turns: Mutex<HashMap<AppId, String>>,
}

/// A statement with its values.
type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// What a move writes beside the row that was decided.
#[derive(Debug, Default)]
struct Attached {
    failure: Option<Failure>,
    result: Option<String>,
    artifacts: Vec<Artifact>,
    worker: Option<String>,
}

/// What came of a change.
#[derive(Debug)]
struct Changed {
    /// As it is afterwards.
    job: Job,
    decision: Decision,
    /// As it was decided on, at this time.
    row: Row,
    now: Micros,
}

/// The bounds of every statement of ours: far above what any takes, and below what a caller waits.
const STATEMENT: &str = "15s";
const LOCK: &str = "5s";
const IDLE_IN_TRANSACTION: &str = "15s";

// === impl Settings ===

impl Settings {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), schema: SCHEMA.to_owned(), connections_max: 10, outbox: false }
    }

    fn options(&self) -> Result<PgConnectOptions, Error> {
        let schema = migrations::checked(&self.schema)?;
        // The address has a password in it, so the parser's words about it go no further.
        let options: PgConnectOptions =
            self.url.parse().ok().ok_or_else(|| Error::Unfit("its address cannot be read".to_owned()))?;
        Ok(options.options([
            ("search_path", format!("{schema},pg_temp").as_str()),
            ("statement_timeout", STATEMENT),
            ("lock_timeout", LOCK),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
        ]))
    }
}

// === impl Postgres ===

impl Postgres {
    /// Connects, and refuses a role that row level security does not bind, or a schema that is not this binary's.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let options = settings.options()?;
        let pool = Pool::new(options.clone(), settings.connections_max);
        within(async {
            let mut kept = pool.acquire().await?;
            fit::check(&mut kept, &settings.schema).await?;
            kept.done();
            Ok(())
        })
        .await?;
        let bell = Bell::new();
        let listener = listen::Listener::start(options, &settings.schema, bell.clone());
        let teller = Teller::start(pool.clone(), &settings.schema);
        let turns = Mutex::new(HashMap::new());
        Ok(Self { pool, outbox: settings.outbox, bell, teller, _listener: listener, turns })
    }

    /// Locks, decides, writes, and tells. `None` where the scope has no such job.
    async fn change(
        &self,
        scope: &Scope,
        id: JobId,
        ask: impl FnOnce(Micros) -> Ask + Send,
        with: &Attached,
    ) -> Result<Option<Changed>, Error> {
        let changed = within(self.change_now(scope, id, ask, with)).await?;
        if let Some(Changed { job, decision: Decision::Move(..), .. }) = &changed {
            self.tell(job);
        }
        Ok(changed)
    }

    async fn change_now(
        &self,
        scope: &Scope,
        id: JobId,
        ask: impl FnOnce(Micros) -> Ask + Send,
        with: &Attached,
    ) -> Result<Option<Changed>, Error> {
        let (mut tx, found) = TenantTx::locking(&self.pool, scope, id).await?;
        let Some(found) = found else {
            tx.commit().await?;
            return Ok(None);
        };
        let now = row::now(&found)?;
        let job = row::job(&found)?;
        let row = row::decisive(&found)?;
        let decision = decide(&row, &ask(now), now);
        let job = match &decision {
            Decision::Move(next, kind) => self.write(&mut tx, scope, id, (next, Some((*kind, now))), with).await?,
            Decision::Hold(next) => self.write(&mut tx, scope, id, (next, None), with).await?,
            // Ended here all the same: a transaction that is dropped keeps its lock until it is mended, and a claim would pass over the row.
            Decision::Stay | Decision::Fenced => job,
        };
        tx.commit().await?;
        Ok(Some(Changed { job, decision, row, now }))
    }

    /// Writes the row, its entry where there is one, its artifacts and its message to a broker, in one statement. Gives the job as it
    /// is now.
    async fn write(
        &self,
        tx: &mut TenantTx,
        scope: &Scope,
        id: JobId,
        (next, entry): (&Row, Option<(Kind, Micros)>),
        with: &Attached,
    ) -> Result<Job, Error> {
        const SQL: &str = concat!(
            "WITH moved AS (UPDATE job SET state = $3, attempts = $4, token = $5, lease_until = $6, cancel_requested = $7, \
             due_at = $8, started_at = $9, finished_at = $10, seq = $11, failure = coalesce($12, failure), \
             result = coalesce($13, result), worker = coalesce($22, worker) WHERE app_id = $1 AND id = $2 RETURNING *), \
             told AS (INSERT INTO job_event (tenant_id, app_id, job_id, seq, at, kind, state, attempt, code) \
             SELECT tenant_id, app_id, id, seq, $14, $15, state, attempts, $16 FROM moved WHERE $15 IS NOT NULL), \
             kept AS (INSERT INTO artifact (tenant_id, app_id, job_id, path, role, digest, bytes, media_type) \
             SELECT tenant_id, app_id, moved.id, blob.path, 'result', blob.digest, blob.bytes, blob.media_type FROM moved, \
             unnest($17::text[], $18::text[], $19::bigint[], $20::text[]) AS blob (path, digest, bytes, media_type) \
             WHERE state = 'succeeded' ON CONFLICT DO NOTHING), \
             sent AS (INSERT INTO outbox (tenant_id, app_id, job_id, created_at) \
             SELECT tenant_id, app_id, id, now_us() FROM moved WHERE $21 AND $15 IS NOT NULL AND state = 'queued') SELECT ",
            columns!(),
            " FROM moved"
        );
        let each = |part: fn(&Artifact) -> &str| with.artifacts.iter().map(part).collect::<Vec<_>>();
        let row: PgRow = sqlx::query(SQL)
            .bind(scope.app.as_str())
            .bind(id.0)
            .bind(next.state.as_str())
            .bind(i64::from(next.attempts))
            .bind(next.token)
            .bind(next.lease_until)
            .bind(next.cancel_requested)
            .bind(next.due_at)
            .bind(next.started_at)
            .bind(next.finished_at)
            .bind(next.seq)
            .bind(with.failure.as_ref().map(json).transpose()?)
            .bind(with.result.as_deref().filter(|_| next.state == State::Succeeded))
            .bind(entry.map(|(_, at)| at))
            .bind(entry.map(|(kind, _)| kind.as_str()))
            .bind(with.failure.as_ref().map(|failure| failure.code.as_str()))
            .bind(each(|artifact| &artifact.path))
            .bind(each(|artifact| &artifact.digest))
            .bind(with.artifacts.iter().map(|artifact| row::length(artifact.bytes)).collect::<Vec<_>>())
            .bind(each(|artifact| &artifact.media_type))
            .bind(self.outbox)
            .bind(with.worker.as_deref())
            .fetch_one(tx.connection())
            .await?;
        row::job(&row)
    }

    /// One statement that is a transaction of its own.
    async fn one(&self, query: Query<'_>) -> Result<PgRow, Error> {
        within(async {
            let mut kept = self.pool.acquire().await?;
            match query.fetch_one(&mut *kept).await {
                Ok(row) => {
                    kept.done();
                    Ok(row)
                }
                Err(error) => Err(kept.failed(error)),
            }
        })
        .await
    }

    /// The same with any number of rows.
    async fn all(&self, query: Query<'_>) -> Result<Vec<PgRow>, Error> {
        within(async {
            let mut kept = self.pool.acquire().await?;
            match query.fetch_all(&mut *kept).await {
                Ok(rows) => {
                    kept.done();
                    Ok(rows)
                }
                Err(error) => Err(kept.failed(error)),
            }
        })
        .await
    }

    /// Tells this process.
    fn tell(&self, job: &Job) {
        self.bell.ring(Ring::Job(job.id));
        if job.state == State::Queued {
            self.bell.ring(Ring::Queue(job.scope.app.clone()));
        }
    }

    /// Starts to watch all queues of this database.
    pub(crate) fn watch_queues(&self) -> Watch {
        self.bell.watch_queues()
    }

    fn turn(&self, app: &AppId) -> Option<String> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).get(app).cloned()
    }

    fn served(&self, scope: &Scope) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.insert(scope.app.clone(), scope.tenant.to_string());
    }
}

#[async_trait]
impl Store for Postgres {
    async fn submit(&self, scope: &Scope, new: NewJob) -> Result<Submitted, Error> {
        let submitted = within(submit::submit(self, scope, new)).await?;
        if let Submitted::Created(job) = &submitted {
            self.tell(job);
        }
        Ok(submitted)
    }

    async fn get(&self, scope: &Scope, id: JobId) -> Result<Option<Job>, Error> {
        within(async {
            let mut tx = TenantTx::begin(&self.pool, &scope.tenant).await?;
            let sql = concat!("SELECT ", columns!(), " FROM job WHERE app_id = $1 AND id = $2");
            let found = sqlx::query(sql).bind(scope.app.as_str()).bind(id.0).fetch_optional(tx.connection()).await?;
            tx.commit().await?;
            found.as_ref().map(row::job).transpose()
        })
        .await
    }

    async fn list(&self, scope: &Scope, filter: &Filter) -> Result<Listed, Error> {
        let page = filter.page();
        within(async {
            let mut tx = TenantTx::begin(&self.pool, &scope.tenant).await?;
            // The tenant is named for the index; whose rows these are is row level security's to say.
            let sql = concat!(
                "SELECT ",
                columns!(),
                " FROM job WHERE tenant_id = $1 AND app_id = $2 AND ($3::text IS NULL OR state = $3) \
                 AND ($4::uuid IS NULL OR id < $4) ORDER BY id DESC LIMIT $5"
            );
            let rows = sqlx::query(sql)
                .bind(scope.tenant.as_str())
                .bind(scope.app.as_str())
                .bind(filter.state.map(State::as_str))
                .bind(filter.after.map(|cursor| cursor.0.0))
                .bind(i64::from(page) + 1)
                .fetch_all(tx.connection())
                .await?;
            tx.commit().await?;
            let jobs = rows.iter().map(row::job).collect::<Result<Vec<_>, _>>()?;
            Ok(Listed::page(jobs, page))
        })
        .await
    }

    async fn cancel(&self, scope: &Scope, id: JobId) -> Result<Option<Cancel>, Error> {
        let changed = self.change(scope, id, |_| Ask::Cancel, &Attached::default()).await?;
        Ok(changed.map(|changed| Cancel::told(changed.job, &changed.decision)))
    }

    async fn replay(&self, scope: &Scope, id: JobId) -> Result<Option<Replay>, Error> {
        let changed = self.change(scope, id, |_| Ask::Replay, &Attached::default()).await?;
        Ok(changed.map(|Changed { job, decision, .. }| match decision {
            Decision::Move(..) => Replay::Queued(job),
            Decision::Hold(_) | Decision::Stay | Decision::Fenced => Replay::Refused(job),
        }))
    }

    async fn events(&self, scope: &Scope, id: JobId, after: u64) -> Result<Vec<Entry>, Error> {
        within(async {
            let mut tx = TenantTx::begin(&self.pool, &scope.tenant).await?;
            let rows = sqlx::query(
                "SELECT seq, at, kind, state, attempt, code FROM job_event \
                 WHERE tenant_id = $1 AND app_id = $2 AND job_id = $3 AND seq > $4 ORDER BY seq LIMIT $5",
            )
            .bind(scope.tenant.as_str())
            .bind(scope.app.as_str())
            .bind(id.0)
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(ENTRIES_MAX))
            .fetch_all(tx.connection())
            .await?;
            tx.commit().await?;
            rows.iter().map(row::entry).collect()
        })
        .await
    }

    fn watch(&self, id: JobId) -> Watch {
        self.bell.watch(Ring::Job(id))
    }

    async fn ping(&self) -> Result<(), Error> {
        self.one(sqlx::query("SELECT 1")).await.map(|_| ())
    }
}
