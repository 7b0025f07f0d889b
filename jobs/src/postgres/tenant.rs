//! The one way to a connection that sees rows: a transaction that has said whose it is.
//!
//! Invariant: the tenant is set for the transaction only, by its first statement. However it ends — committed, dropped, cancelled,
//! failed — the connection's next user starts without one.

use sqlx::{PgConnection, PgPool, Postgres as Db, Row as _, Transaction};

use crate::{Error, Tenant};

/// A transaction of one tenant. Dropped, it is rolled back.
#[derive(Debug)]
pub(super) struct TenantTx(Transaction<'static, Db>);

impl TenantTx {
    pub(super) async fn begin(pool: &PgPool, tenant: &Tenant) -> Result<Self, Error> {
        let mut tx = pool.begin().await?;
        let row = sqlx::query(
            "SELECT nullif(current_setting('appserver.tenant', true), '') AS before, set_config('appserver.tenant', $1, true)",
        )
        .bind(tenant.as_str())
        .fetch_one(&mut *tx)
        .await?;
        // A pooler that keeps settings between transactions would show here, and no row is read before it does.
        match row.try_get::<Option<String>, _>("before")? {
            None => Ok(Self(tx)),
            Some(_) => Err(Error::Unfit("a connection came with a tenant's name on it".to_owned())),
        }
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        Ok(self.0.commit().await?)
    }
}
