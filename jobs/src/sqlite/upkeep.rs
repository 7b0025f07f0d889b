//! What operators and the clock do with the embedded store.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;

use super::{Sqlite, now};
use crate::row::{json, micros};
use crate::{AppId, Error, REMEMBERED_MIN, Tenant, Tenants, Upkeep};

#[async_trait]
impl Tenants for Sqlite {
    async fn admit(&self, tenant: &Tenant, apps: &[AppId]) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        let insert = "INSERT INTO tenant (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(tenant.as_str()).bind(now()).execute(&mut *tx).await?;
        let delete = "DELETE FROM tenant_app WHERE tenant_id = $1";
        sqlx::query(delete).bind(tenant.as_str()).execute(&mut *tx).await?;
        for app in apps {
            let insert = "INSERT INTO tenant_app (tenant_id, app_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            sqlx::query(insert).bind(tenant.as_str()).bind(app.as_str()).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl Upkeep for Sqlite {
    async fn retire(&self, age: Duration, limit: u32) -> Result<u32, Error> {
        let deleted = sqlx::query(
            "DELETE FROM job WHERE rowid IN (SELECT rowid FROM job WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)",
        )
        .bind(now() - micros(age.max(REMEMBERED_MIN)))
        .bind(i64::from(limit))
        .execute(&self.writer)
        .await?;
        Ok(u32::try_from(deleted.rows_affected()).unwrap_or(limit))
    }

    async fn referenced(&self, paths: &[String]) -> Result<HashSet<String>, Error> {
        let rows = sqlx::query("SELECT path FROM artifact WHERE path IN (SELECT value FROM json_each($1))")
            .bind(json(&paths)?)
            .fetch_all(&self.readers)
            .await?;
        Ok(rows.iter().map(|row| row.try_get("path")).collect::<Result<_, _>>()?)
    }
}
