//! Whether a connection may be worked with: its role is bound by row level security, and the schema is this binary's.

use sqlx::{PgConnection, Row as _};

use super::migrations;
use crate::Error;

pub(super) async fn check(connection: &mut PgConnection, schema: &str) -> Result<(), Error> {
    let role = sqlx::query(
        "SELECT rolname, rolsuper, rolbypassrls, \
         EXISTS (SELECT FROM pg_roles AS other WHERE (other.rolsuper OR other.rolbypassrls) \
             AND pg_has_role(current_user, other.oid, 'MEMBER')) AS may_become, \
         EXISTS (SELECT FROM pg_roles AS other WHERE other.rolname IN ('appserver_owner', 'appserver_queue') \
             AND pg_has_role(current_user, other.oid, 'MEMBER')) AS may_own \
         FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await?;
    let name: String = role.try_get("rolname")?;
    let reasons = [
        ("rolsuper", "is a superuser"),
        ("rolbypassrls", "has BYPASSRLS"),
        ("may_become", "can become a role that bypasses row level security"),
        ("may_own", "can become the owner of the tables or of the functions that look across tenants"),
    ];
    for (column, reason) in reasons {
        if role.try_get::<bool, _>(column)? {
            return Err(Error::Unfit(format!(
                "role `{name}` {reason}: connect as a member of appserver_api or appserver_worker"
            )));
        }
    }
    migrations::check(connection, schema).await
}
