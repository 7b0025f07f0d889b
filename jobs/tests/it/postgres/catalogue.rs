//! A7: the catalogue itself is read, so that a table, view or function that is added later is held to the same rules.

use jobs::postgres::{Settings, migrate};
use jobs::{Error, Postgres};
use sqlx::{AssertSqlSafe, Row as _};

use crate::server::{Server, run};

/// Each gives the names of what breaks its rule. `$` is the schema.
const RULES: &[(&str, &str)] = &[
    (
        "every table but the list of schema steps has row level security, forced on its owner too",
        "SELECT relname FROM pg_class WHERE relnamespace = '$'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_step'
         AND NOT (relrowsecurity AND relforcerowsecurity)",
    ),
    (
        "every such table has a policy for all commands that checks what is written, bound to the tenant",
        "SELECT relname FROM pg_class WHERE relnamespace = '$'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_step'
         AND NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = '$' AND tablename = relname AND cmd = 'ALL' AND roles = '{public}'
             AND qual LIKE '%current_tenant()%' AND with_check = qual)",
    ),
    (
        "a policy that is not bound to the tenant is for the functions' owner alone",
        "SELECT tablename || '.' || policyname FROM pg_policies WHERE schemaname = '$' AND coalesce(qual, '') NOT LIKE '%current_tenant()%'
         AND roles <> '{appserver_queue}'",
    ),
    (
        "where a row has an app, the policy asks whether the tenant is admitted to it",
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'app_id'
         WHERE relnamespace = '$'::regnamespace AND relkind = 'r' AND relname <> 'tenant_app'
         AND NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = '$' AND tablename = relname AND roles = '{public}'
             AND qual LIKE '%allowed_apps%')",
    ),
    (
        "unique and foreign keys begin with the tenant",
        "SELECT c.relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = indkey[0]
         WHERE t.relnamespace = '$'::regnamespace AND indisunique AND t.relname NOT IN ('schema_step', 'tenant') AND a.attname <> 'tenant_id'
         UNION ALL SELECT conname FROM pg_constraint JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1]
         WHERE connamespace = '$'::regnamespace AND contype = 'f' AND a.attname <> 'tenant_id'",
    ),
    (
        "views are read with the rights of who reads them",
        "SELECT relname FROM pg_class WHERE relnamespace = '$'::regnamespace AND relkind IN ('v', 'm')
         AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)",
    ),
    (
        "functions have a fixed search path",
        "SELECT proname FROM pg_proc WHERE pronamespace = '$'::regnamespace
         AND NOT coalesce(array_to_string(proconfig, ';') LIKE 'search_path=$, pg_temp%', false)",
    ),
    (
        "nobody runs a function by being anybody",
        "SELECT proname FROM pg_proc WHERE pronamespace = '$'::regnamespace
         AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0)",
    ),
    (
        "nobody reads a table by being anybody, and no program may empty or refer to one",
        "SELECT relname FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) WHERE relnamespace = '$'::regnamespace
         AND relkind = 'r' AND (grantee = 0 OR privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER') AND grantee <> relowner)",
    ),
    (
        "what belongs to the schema belongs to roles that nobody logs in as",
        "SELECT relname FROM pg_class JOIN pg_roles r ON r.oid = relowner WHERE relnamespace = '$'::regnamespace AND relname NOT LIKE 'schema_step%'
         AND (rolcanlogin OR rolname NOT IN ('appserver_owner'))
         UNION ALL SELECT proname FROM pg_proc JOIN pg_roles r ON r.oid = proowner WHERE pronamespace = '$'::regnamespace
         AND (rolcanlogin OR rolname NOT IN ('appserver_owner', 'appserver_queue'))",
    ),
    (
        "no role of ours is above row level security",
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'appserver%' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)",
    ),
    (
        "no program's role owns anything, makes anything, or can become one that does",
        "SELECT r.rolname FROM pg_roles r WHERE rolname IN ('appserver_api', 'appserver_worker', 'appserver_reaper')
         AND (has_schema_privilege(r.oid, '$', 'CREATE') OR pg_has_role(r.oid, 'appserver_owner', 'MEMBER')
             OR pg_has_role(r.oid, 'appserver_queue', 'MEMBER')
             OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid))",
    ),
];

async fn findings(raw: &mut sqlx::PgConnection, schema: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (rule, sql) in RULES {
        let sql = sql.replace('$', schema);
        for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *raw).await.unwrap() {
            findings.push(format!("{}: {rule}", row.get::<String, _>(0)));
        }
    }
    findings
}

#[tokio::test]
async fn a7_the_catalogue_breaks_no_rule() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    let mut raw = database.raw("postgres").await;
    assert_eq!(findings(&mut raw, "appserver").await, [""; 0]);
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'appserver'::regnamespace AND relkind = 'r'";
    assert_eq!(
        sqlx::query(tables).fetch_one(&mut raw).await.unwrap().get::<i64, _>(0),
        7,
        "what was looked at is there"
    );
}

#[tokio::test]
async fn a7_the_lint_finds_what_it_is_for() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    let mut raw = database.raw("postgres").await;
    for (bad, named) in [
        ("CREATE TABLE appserver.extra (tenant_id text, app_id text)", "extra"),
        ("ALTER TABLE appserver.job NO FORCE ROW LEVEL SECURITY", "job"),
        ("CREATE POLICY wide ON appserver.job FOR SELECT USING (true)", "job.wide"),
        ("CREATE UNIQUE INDEX leak ON appserver.job (idempotency_key)", "leak"),
        ("CREATE VIEW appserver.peek AS SELECT * FROM appserver.job", "peek"),
        ("CREATE FUNCTION appserver.loose() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "loose"),
        ("GRANT SELECT ON appserver.job TO PUBLIC", "job"),
        ("GRANT TRUNCATE ON appserver.job TO appserver_api", "job"),
        ("ALTER TABLE appserver.job OWNER TO test_all", "job"),
        ("GRANT CREATE ON SCHEMA appserver TO appserver_api", "appserver_api"),
    ] {
        run(&mut raw, "BEGIN").await;
        run(&mut raw, bad).await;
        let found = findings(&mut raw, "appserver").await;
        assert!(found.iter().any(|finding| finding.starts_with(&format!("{named}: "))), "{bad}: {found:?}");
        run(&mut raw, "ROLLBACK").await;
    }
}

#[tokio::test]
async fn a7_a_role_above_row_level_security_is_refused_at_the_start() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    let mut raw = database.raw("postgres").await;
    // Roles are the whole server's, so these have this database's name.
    let (bypass, owner, heir) = (database.own("bypass"), database.own("owner"), database.own("heir"));
    run(&mut raw, &format!("CREATE ROLE {bypass} LOGIN BYPASSRLS IN ROLE appserver_api")).await;
    run(&mut raw, &format!("CREATE ROLE {owner} LOGIN IN ROLE appserver_owner")).await;
    run(&mut raw, &format!("CREATE ROLE {heir} LOGIN NOINHERIT IN ROLE {bypass}")).await;
    for (login, word) in [
        ("postgres", "superuser"),
        (bypass.as_str(), "BYPASSRLS"),
        (owner.as_str(), "owner of the tables"),
        (heir.as_str(), "can become a role that bypasses"),
    ] {
        match Postgres::connect(&database.settings(login)).await {
            Err(Error::Unfit(why)) => assert!(why.contains(word), "{login}: {why}"),
            other => panic!("{login}: {other:?}"),
        }
    }
    for role in [heir, owner, bypass] {
        run(&mut raw, &format!("DROP ROLE {role}")).await;
    }
    assert!(Postgres::connect(&database.settings("test_api")).await.is_ok());
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused_and_an_apps_own_schema_is_a_name() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    let other = Settings { schema: "parking_jobs".to_owned(), ..database.settings("postgres") };
    let as_api = Settings { schema: "parking_jobs".to_owned(), ..database.settings("test_api") };
    assert!(matches!(Postgres::connect(&as_api).await, Err(Error::Unfit(why)) if why.contains("migrate")));
    assert_eq!(migrate(&other).await.unwrap(), ["jobs", "tracestate", "broker", "lock", "held"]);
    assert_eq!(migrate(&other).await.unwrap(), [""; 0], "once");
    assert!(Postgres::connect(&as_api).await.is_ok());
    let mut raw = database.raw("postgres").await;
    assert_eq!(findings(&mut raw, "parking_jobs").await, [""; 0]);
    run(&mut raw, "UPDATE parking_jobs.schema_step SET checksum = 'edited'").await;
    assert!(matches!(Postgres::connect(&as_api).await, Err(Error::Unfit(_))));
    assert!(matches!(migrate(&other).await, Err(Error::Unfit(_))), "and not touched");
    for bad in ["", "Jobs", "a b", "a;b", "pg_jobs", "1a", "a\"b"] {
        let settings = Settings { schema: bad.to_owned(), ..database.settings("postgres") };
        assert!(matches!(migrate(&settings).await, Err(Error::Unfit(_))), "{bad:?}");
    }
}
