//! Calls of a lease's holder that are decided ahead of the row: when they are, and that they come to the same as those that are not.

use std::time::Duration;

use jobs::postgres::Settings;
use jobs::{Abandon, Error, Lease, Outcome, Postgres, Queue as _, State, Store as _};
use sqlx::{PgConnection, Row as _};

use crate::server::{Database, Server, run};
use crate::support::*;

const LOCK: &str = "lock_job(text, text, uuid)";

async fn database() -> Option<(Database, PgConnection)> {
    let database = Server::get()?.database().await;
    admit_all(&database.admin().await).await;
    let raw = database.raw("postgres").await;
    Some((database, raw))
}

async fn held(db: &Postgres) -> Lease {
    db.submit(&ann(), new_job()).await.unwrap();
    db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap().lease
}

fn retry() -> Abandon {
    Abandon::Retry { failure: failure("node_lost", true), after: Duration::from_secs(1) }
}

/// Where nobody but the holder has changed the row, each of its calls is one statement that locks nothing for another.
#[tokio::test]
async fn a_holder_that_knows_its_row_does_not_ask_for_it() {
    let Some((database, mut raw)) = database().await else { return };
    let db = database.connect("test_all").await;
    run(&mut raw, &format!("REVOKE EXECUTE ON FUNCTION {LOCK} FROM appserver_api, appserver_worker")).await;
    let lease = held(&db).await;
    db.start(&lease).await.unwrap();
    let renewed = db.renew(&lease, LONG).await.unwrap().lease;
    // Of two clones of a lease, either knows what the other did.
    db.renew(&lease, LONG).await.unwrap();
    let end = Outcome::Succeeded(result_of(&ann(), lease.job));
    assert_eq!(db.complete(&renewed, end.clone()).await.unwrap(), State::Succeeded);
    assert_eq!(db.abandon(&held(&db).await, Abandon::Return).await.unwrap(), State::Queued);
    let again = db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap().lease;
    assert_eq!(db.abandon(&again, retry()).await.unwrap(), State::Queued);
    assert_eq!(db.dead_letter(&held(&db).await, failure("poison", false)).await.unwrap(), State::Dead);
    // What is not as it was known is asked for, which this role now may not.
    assert!(matches!(db.complete(&renewed, end.clone()).await, Err(Error::Forbidden)));
    run(&mut raw, &format!("GRANT EXECUTE ON FUNCTION {LOCK} TO appserver_api, appserver_worker")).await;
    assert_eq!(db.complete(&renewed, end).await.unwrap(), State::Succeeded, "an end is told again");
}

/// Every call of a holder, on a job as it was claimed, started, cancelled, or at its last attempt.
async fn script(db: &Postgres, raw: &mut PgConnection) {
    for call in 0..7 {
        for (started, cancelled, last) in
            [(false, false, false), (true, false, false), (true, true, false), (true, false, true)]
        {
            let lease = held(db).await;
            if last {
                run(raw, &format!("UPDATE job SET attempts_max = attempts, seq = seq + 1 WHERE id = '{}'", lease.job))
                    .await;
            }
            if started {
                db.start(&lease).await.unwrap();
            }
            if cancelled {
                db.cancel(&ann(), lease.job).await.unwrap();
            }
            let renewed = db.renew(&lease, LONG).await.unwrap();
            assert_eq!(renewed.cancel_requested, cancelled);
            match call {
                0 => db.complete(&lease, Outcome::Succeeded(result_of(&ann(), lease.job))).await.map(|_| ()),
                1 => db.complete(&lease, Outcome::Failed(failure("definition_error", false))).await.map(|_| ()),
                2 => db.complete(&lease, Outcome::Cancelled).await.map(|_| ()),
                3 => db.abandon(&lease, Abandon::Return).await.map(|_| ()),
                4 => db.abandon(&lease, retry()).await.map(|_| ()),
                5 => db.dead_letter(&lease, failure("poison", false)).await.map(|_| ()),
                _ => db.start(&lease).await,
            }
            .unwrap();
            // Out of the way of the next claim.
            run(raw, "UPDATE job SET due_at = due_at + 1000000000000 WHERE state = 'queued'").await;
        }
    }
}

/// What the script left, without names. Times are told by their distance from the newest entry, in seconds.
async fn left(raw: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', state, attempts, token, cancel_requested, seq, \
         round((lease_until - at) / 1e6), round((due_at - at) / 1e6), started_at <= at, finished_at - at, \
         replace(result, id::text, ''), failure, worker, \
         (SELECT string_agg(concat_ws('/', kind, e.state, attempt, code), ' ' ORDER BY e.seq) FROM job_event e WHERE job_id = id), \
         (SELECT count(*) FROM job_event e WHERE job_id = id AND e.at > now_us()), \
         (SELECT string_agg(concat_ws('/', replace(path, id::text, ''), role, a.digest, bytes, media_type), ' ') \
             FROM artifact a WHERE job_id = id), \
         (SELECT count(*) FROM outbox o WHERE job_id = job.id)) AS line \
         FROM job CROSS JOIN LATERAL (SELECT max(at) AS at FROM job_event WHERE job_id = id) AS newest ORDER BY created_at, id";
    sqlx::query(sql).fetch_all(raw).await.unwrap().iter().map(|row| row.get("line")).collect()
}

#[tokio::test]
async fn a_call_that_is_decided_ahead_leaves_what_one_that_locks_its_row_leaves() {
    let mut results = Vec::new();
    for ahead in [true, false] {
        let Some((database, mut raw)) = database().await else { return };
        if !ahead {
            // Every row is found to be another than the known one.
            let never =
                "SELECT replace(pg_get_functiondef('move_held_job'::regproc), 'now_at := now_us();', 'RETURN false;')";
            let made: String = sqlx::query(never).fetch_one(&mut raw).await.unwrap().get(0);
            assert!(made.contains("RETURN false;"), "{made}");
            run(&mut raw, &made).await;
        }
        let db = Postgres::connect(&Settings { outbox: true, ..database.settings("test_all") }).await.unwrap();
        script(&db, &mut raw).await;
        results.push(left(&mut raw).await);
    }
    let [ahead, locked] = &results[..] else { panic!("two") };
    assert_eq!(ahead.len(), 28);
    assert_eq!(ahead, locked);
}

/// The statement is no way around what holds tenants and leases apart.
#[tokio::test]
async fn a_call_ahead_writes_nothing_of_another_tenant_or_a_lease_that_ended() {
    let Some((database, mut raw)) = database().await else { return };
    let db = database.connect("test_all").await;
    let lease = held(&db).await;
    let mut worker = database.raw("test_worker").await;
    let call = |who: &str, token: i64, seq: i64| {
        format!(
            "SELECT move_held_job('{who}', 'sitefit', '{}', {token}, {seq}, 'succeeded', 1, NULL, 0, 0, 0, {seq} + 1, 'succeeded', \
             NULL, NULL, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', false) AS written",
            lease.job
        )
    };
    for (who, token, seq) in
        [("bob", 1, 2), ("nobody", 1, 2), ("ann", 0, 2), ("ann", 2, 2), ("ann", 1, 1), ("ann", 1, 3)]
    {
        let query = sqlx::query(sqlx::AssertSqlSafe(call(who, token, seq)));
        assert!(!query.fetch_one(&mut worker).await.unwrap().get::<bool, _>("written"), "{who} {token} {seq}");
    }
    run(&mut worker, "SET appserver.tenant = 'ann'").await;
    let refused = sqlx::query(sqlx::AssertSqlSafe(call("ann", 1, 2))).fetch_one(&mut worker).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "AS001");
    run(&mut worker, "RESET appserver.tenant").await;
    run(&mut raw, "UPDATE job SET lease_until = now_us()").await;
    let query = sqlx::query(sqlx::AssertSqlSafe(call("ann", 1, 2)));
    assert!(!query.fetch_one(&mut worker).await.unwrap().get::<bool, _>("written"), "its lease has ended");
    assert!(matches!(db.start(&lease).await, Err(Error::Fenced)));
    run(&mut raw, "UPDATE job SET lease_until = now_us() + 60000000").await;
    let query = sqlx::query(sqlx::AssertSqlSafe(call("ann", 1, 2)));
    assert!(query.fetch_one(&mut worker).await.unwrap().get::<bool, _>("written"), "as it is known, it is written");
    // And leaves no tenant behind.
    let left = sqlx::query("SELECT current_tenant() AS who").fetch_one(&mut worker).await.unwrap();
    assert_eq!(left.get::<Option<String>, _>("who"), None);
}

/// What waits for a row's lock has its lease looked at after the wait.
#[tokio::test]
async fn a_lease_that_ends_while_its_holder_waits_for_the_row_writes_nothing() {
    let Some((database, mut raw)) = database().await else { return };
    let db = database.connect("test_all").await;
    let lease = held(&db).await;
    run(&mut raw, "UPDATE job SET lease_until = now_us() + 400000").await;
    run(&mut raw, "BEGIN; SELECT FROM job FOR UPDATE").await;
    let frees = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        run(&mut raw, "COMMIT").await;
    };
    let (answer, ()) = tokio::join!(db.complete(&lease, Outcome::Cancelled), frees);
    assert!(matches!(answer, Err(Error::Fenced)), "{answer:?}");
}

/// An end is heard in another process, though its own transaction does not tell it.
#[tokio::test]
async fn an_end_is_heard_in_another_process() {
    let Some((database, _raw)) = database().await else { return };
    let (api, worker) = (database.connect("test_api").await, database.connect("test_worker").await);
    let mut quickest = Duration::MAX;
    for _ in 0..10 {
        api.submit(&ann(), new_job()).await.unwrap();
        let lease = worker.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap().lease;
        let mut watch = api.watch(lease.job);
        let began = tokio::time::Instant::now();
        worker.complete(&lease, Outcome::Cancelled).await.unwrap();
        watch.changed(LONG).await;
        quickest = quickest.min(began.elapsed());
    }
    // A poll takes a second; one of ten that took less was told.
    assert!(quickest < Duration::from_millis(900), "{quickest:?}");
}
