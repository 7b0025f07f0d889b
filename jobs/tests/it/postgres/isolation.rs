//! A8, A9, A10: whatever becomes of one tenant's transaction, the next one on its connection sees nothing of it.

use std::time::Duration;

use futures_util::FutureExt as _;
use jobs::postgres::Settings;
use jobs::{Cursor, Error, Filter, JobId, Postgres, Queue as _, Store as _, Submitted};
use sqlx::Row as _;

use crate::server::{Database, Server, run};
use crate::support::*;

async fn one_connection(database: &Database) -> Postgres {
    let settings = Settings { connections_max: 1, ..database.settings("test_all") };
    Postgres::connect(&settings).await.unwrap()
}

/// Ten thousand of these turns are among the slow tests.
#[tokio::test]
async fn a8_a_connection_carries_no_tenant_to_its_next_user() {
    turns_of_one_connection(100).await;
}

/// A8: turns of a pool with one connection; calls are finished, failed, and dropped at every point that they wait at.
pub(super) async fn turns_of_one_connection(turns: u32) {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = one_connection(&database).await;
    let (anns, bobs) = (submit_to(&db, &ann()).await, submit_to(&db, &bob()).await);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dropped = 0;
    for turn in 0..turns {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (who, mine, other) = if seed.is_multiple_of(2) { (ann(), anns, bobs) } else { (bob(), bobs, anns) };
        match (seed >> 8) % 4 {
            0 => assert_eq!(db.get(&who, mine).await.unwrap().unwrap().id, mine),
            1 => assert!(matches!(db.submit(&scope("nobody", "sitefit"), new_job()).await, Err(Error::Forbidden))),
            2 => {
                // Polled a few times, then dropped wherever it is: before, within or after its transaction.
                let polls = (seed >> 16) % 12;
                let mut call = Box::pin(db.get(&who, mine));
                for _ in 0..polls {
                    if call.as_mut().now_or_never().is_some() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                dropped += 1;
            }
            _ => {
                let panics = std::panic::AssertUnwindSafe(async {
                    db.get(&who, mine).await.unwrap();
                    std::panic::resume_unwind(Box::new("a test's own"));
                });
                assert!(panics.catch_unwind().await.is_err());
            }
        }
        assert!(db.get(&who, other).await.unwrap().is_none(), "turn {turn}");
        assert!(db.get(&who, mine).await.unwrap().is_some(), "turn {turn}");
    }
    assert!(dropped > turns / 10);
}

async fn submit_to(db: &Postgres, who: &jobs::Scope) -> JobId {
    match db.submit(who, new_job()).await.unwrap() {
        Submitted::Created(job) => job.id,
        other @ (Submitted::Existing(_) | Submitted::Conflict) => panic!("{other:?}"),
    }
}

/// A8: no tenant is no rows, not an error; and a tenant that was left on a connection is found before a row is read.
#[tokio::test]
async fn a8_without_a_tenant_there_are_no_rows() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    submit_to(&db, &ann()).await;
    let mut raw = database.raw("test_all").await;
    for setting in ["", "SET appserver.tenant = ''", "SET appserver.tenant = 'bob'", "SET appserver.tenant = 'ann'"] {
        run(&mut raw, setting).await;
        for table in ["job", "job_event"] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let seen: i64 = sqlx::query(sql).fetch_one(&mut raw).await.unwrap().get(0);
            assert_eq!(seen, i64::from(setting.ends_with("'ann'")), "{table} after {setting:?}");
        }
    }
}

/// The rows are held apart by the database: a statement that forgets its tenant, or names another, changes nothing.
#[tokio::test]
async fn a7_a_careless_statement_reaches_its_own_tenant_only() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    let (anns, _) = (submit_to(&db, &ann()).await, submit_to(&db, &bob()).await);
    let mut raw = database.raw("test_all").await;
    run(&mut raw, "SET appserver.tenant = 'bob'").await;
    let changed = sqlx::query("UPDATE job SET state = 'cancelled'").execute(&mut raw).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
    assert_eq!(db.get(&ann(), anns).await.unwrap().unwrap().state, jobs::State::Queued);
    for refused in [
        "INSERT INTO job_event VALUES ('ann', 'sitefit', gen_random_uuid(), 1, 0, 'x', 'queued', 0)",
        "INSERT INTO job_event VALUES ('bob', 'parking', gen_random_uuid(), 1, 0, 'x', 'queued', 0)",
        "UPDATE job SET tenant_id = 'ann'",
        "DELETE FROM job",
        "TRUNCATE job",
        "SELECT * FROM tenant_app",
        "INSERT INTO tenant_app VALUES ('bob', 'parking')",
        "SELECT admit('bob', '{parking}')",
        "CREATE TABLE appserver.mine (a int)",
        "ALTER TABLE job DISABLE ROW LEVEL SECURITY",
        "SET ROLE appserver_queue",
        "SET ROLE appserver_owner",
    ] {
        let error = sqlx::query(refused).execute(&mut raw).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{refused}: {error}");
    }
}

/// A9: keys, ids and cursors of another tenant are answered as if there were none.
#[tokio::test]
async fn a9_nothing_tells_that_another_tenant_has_a_row() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    let Submitted::Created(anns) = db.submit(&ann(), keyed("key", "digest")).await.unwrap() else { panic!("not made") };
    // The same id and the same key, of another tenant: neither is a duplicate.
    let same = jobs::NewJob { id: anns.id, ..keyed("key", "other") };
    assert!(matches!(db.submit(&bob(), same).await.unwrap(), Submitted::Created(_)));
    // A cursor of another's job is a place in one's own list, as one that never was is.
    for id in [anns.id, JobId::new()] {
        let cursor = serde_json::from_value::<JobId>(serde_json::json!(id)).unwrap();
        let mut bytes = vec![1];
        bytes.extend(cursor.as_uuid().as_bytes());
        let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        let after = Some(Cursor::decode(&text).unwrap());
        let listed = db.list(&scope("ann", "parking"), &Filter { after, ..Filter::default() }).await.unwrap();
        assert!(listed.jobs.is_empty() && listed.next.is_none());
    }
    // A function of the workers' tells names of what has lapsed, and nothing else of it.
    let mut raw = database.raw("test_worker").await;
    let told = sqlx::query("SELECT * FROM lapsed_jobs(10)").fetch_all(&mut raw).await.unwrap();
    assert!(told.is_empty());
}

/// A10: what looks like SQL or like a setting is text, wherever it comes in.
#[tokio::test]
async fn a10_what_looks_like_sql_is_text() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    let payloads = [
        "'; DROP TABLE job; --",
        "' OR '1'='1",
        "$1; SET appserver.tenant = 'bob'",
        "\\'; SELECT set_config('appserver.tenant','bob',false); --",
        "{schema}",
        "%s %n \u{202e}",
    ];
    for payload in payloads {
        let new = jobs::NewJob {
            definition: payload.to_owned(),
            version: payload.to_owned(),
            digest: payload.to_owned(),
            traceparent: Some(payload.to_owned()),
            tracestate: Some(payload.to_owned()),
            ..keyed(payload, payload)
        };
        let id = new.id;
        let inputs = jobs::Inputs::inline(serde_json::to_string(payload).unwrap()).unwrap();
        db.submit(&ann(), jobs::NewJob { inputs, ..new }).await.unwrap();
        let job = db.get(&ann(), id).await.unwrap().unwrap();
        assert_eq!((job.definition.as_str(), job.idempotency_key.as_deref()), (payload, Some(payload)));
        let claimed = db.claim(&app("sitefit"), payload, LONG).await.unwrap().unwrap();
        db.dead_letter(&claimed.lease, jobs::Failure { message: payload.to_owned(), ..failure(payload, false) })
            .await
            .unwrap();
        assert_eq!(db.get(&ann(), id).await.unwrap().unwrap().failure.unwrap().message, payload);
        assert!(db.get(&bob(), id).await.unwrap().is_none());
    }
    // NUL cannot be kept in a text of this database; it is refused as an error, not cut off.
    let nul = jobs::NewJob { definition: "a\0b".to_owned(), ..new_job() };
    assert!(matches!(db.submit(&ann(), nul).await, Err(Error::Database(_))));
    assert!(tokio::time::timeout(Duration::from_secs(30), db.ping()).await.unwrap().is_ok());
}

/// A10: statements are constants. The few that are not have a schema's name in them that was checked.
#[test]
fn a10_no_statement_is_made_of_text_from_outside() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut files = vec![std::path::PathBuf::from(folder)];
    let mut made = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if std::fs::read_to_string(&path).unwrap().contains("AssertSqlSafe(") {
            made.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
        }
    }
    made.sort();
    assert_eq!(made, ["postgres/migrations.rs", "sqlite/schema.rs"]);
}
