//! What the clock does with Postgres.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Postgres;
use crate::row::micros;
use crate::{AppId, Error, JobId, Message, Queue, REMEMBERED_MIN, Scope, Tenant, Upkeep};

impl Postgres {
    /// Gives a broker the messages of the outbox, oldest first, at most so many, and tells how many it took. A message goes when the
    /// broker has it, so it is given at least once; several relays at one time share the work.
    pub async fn relay(&self, broker: &dyn Queue, limit: u32) -> Result<u32, Error> {
        let mut tx = self.pool.begin().await?;
        let sql = "SELECT tenant_id, app_id, id, job_id FROM outbox_take($1)";
        let rows = sqlx::query(sql).bind(i64::from(limit)).fetch_all(&mut *tx).await?;
        let mut taken = 0;
        for row in &rows {
            let refusal = broker.enqueue(&message(row)?).await.err();
            if let Some(error) = refusal {
                tracing::warn!(%error, "the broker takes no messages; they stay in the outbox");
                break;
            }
            let done = sqlx::query("SELECT outbox_done($1, $2)");
            done.bind(row.try_get::<String, _>("tenant_id")?)
                .bind(row.try_get::<i64, _>("id")?)
                .execute(&mut *tx)
                .await?;
            taken += 1;
        }
        tx.commit().await?;
        Ok(taken)
    }
}

fn message(row: &PgRow) -> Result<Message, Error> {
    Ok(Message {
        scope: Scope {
            tenant: Tenant::new(row.try_get("tenant_id")?).map_err(|bad| Error::Corrupt(bad.to_string()))?,
            app: AppId::new(row.try_get("app_id")?).map_err(|bad| Error::Corrupt(bad.to_string()))?,
        },
        job: JobId(row.try_get("job_id")?),
    })
}

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
