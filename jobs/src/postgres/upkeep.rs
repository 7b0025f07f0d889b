//! What the clock does with Postgres.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Postgres;
use super::pool::within;
use crate::row::micros;
use crate::{AppId, Error, JobId, Message, Queue, REMEMBERED_MIN, Scope, Tenant, Upkeep};

impl Postgres {
    /// Gives a broker the messages of the outbox, oldest first, at most so many at one time, and tells how many it took. A message goes
    /// when the broker has it, so it is given at least once; several relays at one time share the work.
    ///
    /// # Errors
    /// When the database cannot be asked, or the broker took nothing of what there is.
    pub async fn relay(&self, broker: &dyn Queue, limit: u32) -> Result<u32, Error> {
        within(self.relay_now(broker, limit)).await
    }

    async fn relay_now(&self, broker: &dyn Queue, limit: u32) -> Result<u32, Error> {
        let mut kept = self.pool.begin().await?;
        let sql = "SELECT tenant_id, app_id, id, job_id, wait_us FROM outbox_next($1)";
        let rows = sqlx::query(sql).bind(i64::from(limit)).fetch_all(&mut *kept).await?;
        let messages = rows.iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let given = join_all(messages.iter().map(|message| broker.enqueue(message))).await;
        let (mut taken, mut refusal) = (Vec::new(), None);
        for (message, given) in messages.iter().zip(given) {
            match given {
                Ok(()) => taken.push(message.turn),
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(error) = refusal {
            if taken.is_empty() {
                return Err(error);
            }
            tracing::warn!(%error, "the broker did not take all messages; the others stay in the outbox");
        }
        if !taken.is_empty() {
            sqlx::query("SELECT outbox_sent($1)").bind(&taken).execute(&mut *kept).await?;
        }
        kept.commit().await?;
        Ok(u32::try_from(taken.len()).unwrap_or(limit))
    }
}

impl Postgres {
    /// Refuses a role that may not give a broker what the outbox has: its jobs would wait for another program to do so.
    pub async fn check_relay(&self) -> Result<(), Error> {
        let asked =
            "SELECT current_user::text AS name, has_function_privilege('outbox_next(bigint)', 'EXECUTE') AS may";
        let row = self.one(sqlx::query(asked)).await?;
        if row.try_get("may")? {
            return Ok(());
        }
        let name: String = row.try_get("name")?;
        Err(Error::Unfit(format!("role `{name}` may not tell a broker of jobs: make it a member of appserver_relay")))
    }
}

fn message(row: &PgRow) -> Result<Message, Error> {
    Ok(Message {
        scope: Scope {
            tenant: Tenant::new(row.try_get("tenant_id")?).map_err(|bad| Error::Corrupt(bad.to_string()))?,
            app: AppId::new(row.try_get("app_id")?).map_err(|bad| Error::Corrupt(bad.to_string()))?,
        },
        job: JobId(row.try_get("job_id")?),
        turn: row.try_get("id")?,
        wait: Duration::from_micros(u64::try_from(row.try_get::<i64, _>("wait_us")?).unwrap_or(0)),
    })
}

#[async_trait]
impl Upkeep for Postgres {
    async fn retire(&self, age: Duration, limit: u32) -> Result<u32, Error> {
        let retire = sqlx::query("SELECT retire_jobs($1, $2) AS retired");
        let row = self.one(retire.bind(micros(age.max(REMEMBERED_MIN))).bind(i64::from(limit))).await?;
        Ok(u32::try_from(row.try_get::<i64, _>("retired")?).unwrap_or(limit))
    }

    async fn referenced(&self, paths: &[String]) -> Result<HashSet<String>, Error> {
        let sql = "SELECT referenced_paths AS path FROM referenced_paths($1)";
        let rows = self.all(sqlx::query(sql).bind(paths)).await?;
        Ok(rows.iter().map(|row| row.try_get("path")).collect::<Result<_, _>>()?)
    }
}
