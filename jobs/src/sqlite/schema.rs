//! The tables of the embedded store, and bringing a file up to them.

use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use crate::Error;
use crate::migrate::{Applied, Migration, missing};

const STEPS: &[Migration] = &[
    Migration { version: 1, name: "jobs", sql: include_str!("0001_jobs.sql") },
    Migration { version: 2, name: "tracestate", sql: include_str!("0002_tracestate.sql") },
];

/// Applies what is missing, in one transaction.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<(), Error> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS schema_step (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT",
    )
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query("SELECT version, checksum FROM schema_step ORDER BY version").fetch_all(&mut *tx).await?;
    let applied = rows
        .iter()
        .map(|row| Ok(Applied { version: row.try_get("version")?, checksum: row.try_get("checksum")? }))
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    for step in missing(STEPS, &applied)? {
        sqlx::raw_sql(AssertSqlSafe(step.sql)).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_step (version, name, checksum) VALUES ($1, $2, $3)")
            .bind(step.version)
            .bind(step.name)
            .bind(step.checksum())
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
