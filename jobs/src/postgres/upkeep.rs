//! What the clock does with Postgres.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;

use super::Postgres;
use crate::row::micros;
use crate::{Error, REMEMBERED_MIN, Upkeep};

#[async_trait]
impl Upkeep for Postgres {
    async fn retire(&self, age: Duration, limit: u32) -> Result<u32, Error> {
        let row = sqlx::query("SELECT retire_jobs($1, $2) AS retired")
            .bind(micros(age.max(REMEMBERED_MIN)))
            .bind(i64::from(limit))
            .fetch_one(&self.pool)
            .await?;
        Ok(u32::try_from(row.try_get::<i64, _>("retired")?).unwrap_or(limit))
    }

    async fn referenced(&self, paths: &[String]) -> Result<HashSet<String>, Error> {
        let sql = "SELECT referenced_paths AS path FROM referenced_paths($1)";
        let rows = sqlx::query(sql).bind(paths).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| row.try_get("path")).collect::<Result<_, _>>()?)
    }
}
