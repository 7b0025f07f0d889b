//! Store and queue in one SQLite file: the embedded default, for one computer.
//!
//! One connection writes, others read. The database's clock is this computer's.
//!
//! Invariant: every write is one `BEGIN IMMEDIATE` transaction, so that what was decided on is what is written over.

mod claim;
mod schema;
mod submit;
mod upkeep;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Sqlite as Db, SqlitePool, Transaction};

use crate::bell::{Bell, Ring};
use crate::decide::{Ask, Decision, Micros, Row, decide};
use crate::row::{self, columns, json};
use crate::store::ENTRIES_MAX;
use crate::{
    AppId, Artifact, Cancel, Entry, Error, Failure, Filter, Job, JobId, Kind, Listed, NewJob, Replay, Scope, State,
    Store, Submitted, Watch,
};

/// Readers beside the one writer.
const READERS: u32 = 4;

/// How long a transaction waits for another process's.
const BUSY: Duration = Duration::from_secs(5);

/// A store and a queue in one file.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    bell: Bell,
    /// The tenant of each app that was served last.
    turns: Mutex<HashMap<AppId, String>>,
}

/// What a move writes beside the row that was decided.
#[derive(Debug, Default)]
struct Attached {
    failure: Option<Failure>,
    result: Option<String>,
    artifacts: Vec<Artifact>,
    worker: Option<String>,
}

impl Sqlite {
    /// Opens the file, makes it where it is missing, and brings its schema up to this binary's.
    pub async fn open(file: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY)
            .foreign_keys(true);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        schema::migrate(&writer).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers, bell: Bell::new(), turns: Mutex::new(HashMap::new()) })
    }

    async fn begin(&self) -> Result<Transaction<'static, Db>, Error> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Locks, decides, writes, and tells. `None` where the scope has no such job. The job is as it is afterwards.
    async fn change(
        &self,
        scope: &Scope,
        id: JobId,
        ask: &Ask,
        with: Attached,
    ) -> Result<Option<(Job, Decision)>, Error> {
        let mut tx = self.begin().await?;
        let Some(found) = find(&mut tx, scope, id).await? else { return Ok(None) };
        let decision = decide(&row::decisive(&found)?, ask, now());
        match &decision {
            Decision::Move(next, kind) => {
                write(&mut tx, scope, id, next, &with).await?;
                append(&mut tx, scope, id, next, *kind, with.failure.as_ref()).await?;
            }
            Decision::Hold(next) => write(&mut tx, scope, id, next, &with).await?,
            Decision::Stay | Decision::Fenced => return Ok(Some((row::job(&found)?, decision))),
        }
        let Some(after) = find(&mut tx, scope, id).await? else { return Ok(None) };
        let job = row::job(&after)?;
        tx.commit().await?;
        if let Decision::Move(..) = decision {
            self.tell(&job);
        }
        Ok(Some((job, decision)))
    }

    fn tell(&self, job: &Job) {
        self.bell.ring(Ring::Job(job.id));
        if job.state == State::Queued {
            self.bell.ring(Ring::Queue(job.scope.app.clone()));
        }
    }

    fn turn(&self, app: &AppId) -> Option<String> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).get(app).cloned()
    }

    fn served(&self, scope: &Scope) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.insert(scope.app.clone(), scope.tenant.to_string());
    }
}

/// Of this process: the file is on its computer.
fn now() -> Micros {
    Timestamp::now().as_microsecond()
}

/// The row, if the tenant may still see it.
async fn find(tx: &mut Transaction<'static, Db>, scope: &Scope, id: JobId) -> Result<Option<SqliteRow>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM visible_job WHERE tenant_id = $1 AND app_id = $2 AND id = $3");
    let query = sqlx::query(sql).bind(scope.tenant.as_str()).bind(scope.app.as_str()).bind(id.0);
    Ok(query.fetch_optional(&mut **tx).await?)
}

async fn write(
    tx: &mut Transaction<'static, Db>,
    scope: &Scope,
    id: JobId,
    next: &Row,
    with: &Attached,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE job SET state = $3, attempts = $4, token = $5, lease_until = $6, cancel_requested = $7, due_at = $8, \
         started_at = $9, finished_at = $10, seq = $11, failure = coalesce($12, failure), result = coalesce($13, result), \
         worker = coalesce($14, worker) WHERE tenant_id = $1 AND id = $2",
    )
    .bind(scope.tenant.as_str())
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
    .bind(with.worker.as_deref())
    .execute(&mut **tx)
    .await?;
    if next.state == State::Succeeded {
        for artifact in &with.artifacts {
            keep(tx, scope, id, "result", artifact).await?;
        }
    }
    Ok(())
}

/// Records a blob that the job refers to.
async fn keep(
    tx: &mut Transaction<'static, Db>,
    scope: &Scope,
    id: JobId,
    role: &'static str,
    artifact: &Artifact,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO artifact (tenant_id, app_id, job_id, path, role, digest, bytes, media_type) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.app.as_str())
    .bind(id.0)
    .bind(&artifact.path)
    .bind(role)
    .bind(&artifact.digest)
    .bind(row::length(artifact.bytes))
    .bind(&artifact.media_type)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds a line to the job's history.
async fn append(
    tx: &mut Transaction<'static, Db>,
    scope: &Scope,
    id: JobId,
    next: &Row,
    kind: Kind,
    failure: Option<&Failure>,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO job_event (tenant_id, app_id, job_id, seq, at, kind, state, attempt, code) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(scope.tenant.as_str())
    .bind(scope.app.as_str())
    .bind(id.0)
    .bind(next.seq)
    .bind(now())
    .bind(kind.as_str())
    .bind(next.state.as_str())
    .bind(i64::from(next.attempts))
    .bind(failure.map(|failure| failure.code.as_str()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[async_trait]
impl Store for Sqlite {
    async fn submit(&self, scope: &Scope, new: NewJob) -> Result<Submitted, Error> {
        let submitted = submit::submit(self, scope, new).await?;
        if let Submitted::Created(job) = &submitted {
            self.tell(job);
        }
        Ok(submitted)
    }

    async fn get(&self, scope: &Scope, id: JobId) -> Result<Option<Job>, Error> {
        let sql = concat!("SELECT ", columns!(), " FROM visible_job WHERE tenant_id = $1 AND app_id = $2 AND id = $3");
        let query = sqlx::query(sql).bind(scope.tenant.as_str()).bind(scope.app.as_str()).bind(id.0);
        query.fetch_optional(&self.readers).await?.as_ref().map(row::job).transpose()
    }

    async fn list(&self, scope: &Scope, filter: &Filter) -> Result<Listed, Error> {
        let page = filter.page();
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM visible_job WHERE tenant_id = $1 AND app_id = $2 AND ($3 IS NULL OR state = $3) \
             AND ($4 IS NULL OR id < $4) ORDER BY id DESC LIMIT $5"
        );
        let rows = sqlx::query(sql)
            .bind(scope.tenant.as_str())
            .bind(scope.app.as_str())
            .bind(filter.state.map(State::as_str))
            .bind(filter.after.map(|cursor| cursor.0.0))
            .bind(i64::from(page) + 1)
            .fetch_all(&self.readers)
            .await?;
        let jobs = rows.iter().map(row::job).collect::<Result<Vec<_>, _>>()?;
        Ok(Listed::page(jobs, page))
    }

    async fn cancel(&self, scope: &Scope, id: JobId) -> Result<Option<Cancel>, Error> {
        let changed = self.change(scope, id, &Ask::Cancel, Attached::default()).await?;
        Ok(changed.map(|(job, decision)| Cancel::told(job, &decision)))
    }

    async fn replay(&self, scope: &Scope, id: JobId) -> Result<Option<Replay>, Error> {
        let changed = self.change(scope, id, &Ask::Replay, Attached::default()).await?;
        Ok(changed.map(|(job, decision)| match decision {
            Decision::Move(..) => Replay::Queued(job),
            Decision::Hold(_) | Decision::Stay | Decision::Fenced => Replay::Refused(job),
        }))
    }

    async fn events(&self, scope: &Scope, id: JobId, after: u64) -> Result<Vec<Entry>, Error> {
        let rows = sqlx::query(
            "SELECT seq, at, kind, state, attempt, code FROM visible_event \
             WHERE tenant_id = $1 AND app_id = $2 AND job_id = $3 AND seq > $4 ORDER BY seq LIMIT $5",
        )
        .bind(scope.tenant.as_str())
        .bind(scope.app.as_str())
        .bind(id.0)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::from(ENTRIES_MAX))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(row::entry).collect()
    }

    fn watch(&self, id: JobId) -> Watch {
        self.bell.watch(Ring::Job(id))
    }

    async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").fetch_one(&self.readers).await?;
        Ok(())
    }
}
