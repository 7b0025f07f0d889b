//! Bringing a schema up to this binary's, and admitting tenants: what operators do, by a role of their own.
//!
//! Invariant: each step is applied whole or not at all, and one `migrate` at a time works on a database.

use async_trait::async_trait;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use super::Settings;
use crate::migrate::{Applied, Migration, missing};
use crate::{AppId, Error, Tenant, Tenants};

const STEPS: &[Migration] = &[
    Migration { version: 1, name: "jobs", sql: include_str!("0001_jobs.sql") },
    Migration { version: 2, name: "tracestate", sql: include_str!("0002_tracestate.sql") },
    Migration { version: 3, name: "broker", sql: include_str!("0003_broker.sql") },
    Migration { version: 4, name: "lock", sql: include_str!("0004_lock.sql") },
    Migration { version: 5, name: "held", sql: include_str!("0005_held.sql") },
];

/// Held while the schema is changed. Any number that no other program uses.
const LOCK: i64 = 0x6a6f_6273;

/// An operator's connection.
#[derive(Debug)]
pub struct Admin {
    pool: PgPool,
}

/// A schema's name, if it is plain enough to stand in a statement as it is.
pub(super) fn checked(schema: &str) -> Result<&str, Error> {
    let plain = schema.len() <= 63
        && schema.starts_with(|first: char| first.is_ascii_lowercase())
        && schema.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !schema.starts_with("pg_");
    if plain {
        Ok(schema)
    } else {
        Err(Error::Unfit("a schema's name is lower-case letters, digits and `_`, and starts with a letter".to_owned()))
    }
}

/// Applies the steps that are missing, and gives their names. The role has to be able to make roles and schemas.
pub async fn migrate(settings: &Settings) -> Result<Vec<&'static str>, Error> {
    let schema = checked(&settings.schema)?;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(settings.options()?).await?;
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    let made = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; \
         CREATE TABLE IF NOT EXISTS {schema}.schema_step (version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL)"
    );
    sqlx::raw_sql(AssertSqlSafe(made)).execute(&mut *tx).await?;
    let applied = applied(&mut tx, schema).await?;
    let mut names = Vec::new();
    for step in missing(STEPS, &applied)? {
        // The name was checked, and is the only thing that is put into the text.
        let sql = step.sql.replace("{schema}", schema);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await?;
        let insert = format!("INSERT INTO {schema}.schema_step (version, name, checksum) VALUES ($1, $2, $3)");
        sqlx::query(AssertSqlSafe(insert))
            .bind(step.version)
            .bind(step.name)
            .bind(step.checksum())
            .execute(&mut *tx)
            .await?;
        names.push(step.name);
    }
    let seen = format!("GRANT SELECT ON {schema}.schema_step TO appserver_api, appserver_worker, appserver_reaper");
    sqlx::raw_sql(AssertSqlSafe(seen)).execute(&mut *tx).await?;
    tx.commit().await?;
    pool.close().await;
    Ok(names)
}

/// Whether the schema is this binary's, neither older nor newer.
pub(super) async fn check(connection: &mut PgConnection, schema: &str) -> Result<(), Error> {
    let applied = match applied(connection, checked(schema)?).await {
        Ok(applied) => applied,
        Err(Error::Database(error)) if error.as_database_error().is_some() => Vec::new(),
        Err(error) => return Err(error),
    };
    match missing(STEPS, &applied)? {
        [] => Ok(()),
        steps => Err(Error::Unfit(format!("its schema `{schema}` lacks {} steps: run `migrate`", steps.len()))),
    }
}

async fn applied(connection: &mut PgConnection, schema: &str) -> Result<Vec<Applied>, Error> {
    let sql = format!("SELECT version, checksum FROM {schema}.schema_step ORDER BY version");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok::<_, sqlx::Error>(Applied { version: row.try_get("version")?, checksum: row.try_get("checksum")? })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

// === impl Admin ===

impl Admin {
    /// Connects as an operator: a role that may become `appserver_queue`, as the one that migrated may.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let pool = PgPoolOptions::new().max_connections(1).connect_with(settings.options()?).await?;
        Ok(Self { pool })
    }
}

#[async_trait]
impl Tenants for Admin {
    async fn admit(&self, tenant: &Tenant, apps: &[AppId]) -> Result<(), Error> {
        let apps: Vec<&str> = apps.iter().map(AppId::as_str).collect();
        let mut tx = self.pool.begin().await?;
        sqlx::query("SET LOCAL ROLE appserver_queue").execute(&mut *tx).await?;
        sqlx::query("SELECT admit($1, $2)").bind(tenant.as_str()).bind(apps).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}
