//! The one way to a connection that sees rows: a transaction that has said whose it is.
//!
//! Invariant: the tenant is set for the transaction only, before it reads a row. However it ends — committed, dropped, cancelled,
//! failed — the connection's next user starts without one.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::pool::{Kept, Pool};
use crate::row::columns;
use crate::{Error, JobId, Scope, Tenant};

/// A transaction of one tenant. Dropped, it is rolled back.
#[derive(Debug)]
pub(super) struct TenantTx(Kept);

impl TenantTx {
    pub(super) async fn begin(pool: &Pool, tenant: &Tenant) -> Result<Self, Error> {
        let mut kept = pool.begin().await?;
        let row = sqlx::query(
            "SELECT nullif(current_setting('appserver.tenant', true), '') AS before, set_config('appserver.tenant', $1, true)",
        )
        .bind(tenant.as_str())
        .fetch_one(&mut *kept)
        .await?;
        // A pooler that keeps settings between transactions would show here, and no row is read before it does.
        match row.try_get::<Option<String>, _>("before")? {
            None => Ok(Self(kept)),
            Some(_) => Err(Error::Unfit("a connection came with a tenant's name on it".to_owned())),
        }
    }

    /// The same with a job that is locked, and the time, where the scope has it.
    pub(super) async fn locking(pool: &Pool, scope: &Scope, id: JobId) -> Result<(Self, Option<PgRow>), Error> {
        let mut kept = pool.begin().await?;
        let sql = concat!("SELECT ", columns!(), ", now_us() AS now_at FROM lock_job($1, $2, $3)");
        let query = sqlx::query(sql).bind(scope.tenant.as_str()).bind(scope.app.as_str()).bind(id.0);
        let found = query.fetch_optional(&mut *kept).await?;
        Ok((Self(kept), found))
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        self.0.commit().await
    }
}
