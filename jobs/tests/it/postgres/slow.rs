//! J9: a backlog, a long history, and what they cost a claim. A8 at length. Figures.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use jobs::{Outcome, Queue as _};
use sqlx::{PgConnection, Row as _};

use crate::server::{Database, Server, run};
use crate::support::*;

/// Fills the table by statements of the server's own: `queued` jobs of `tenants` tenants, and `done` finished ones.
async fn fill(database: &Database, queued: u32, done: u32, tenants: u32) {
    let mut raw = database.raw("postgres").await;
    admit_many(&mut raw, &format!("'tenant-' || generate_series(0, {tenants} - 1)")).await;
    for (count, state) in [(done, "succeeded"), (queued, "queued")] {
        insert(&mut raw, &format!("'tenant-' || n % {tenants}"), 1..=count, state).await;
    }
    run(&mut raw, "VACUUM ANALYZE job").await;
}

/// Queues jobs of one tenant by one statement, due at these times.
pub(super) async fn queue(raw: &mut PgConnection, tenant: &str, due: RangeInclusive<u32>) {
    admit_many(raw, &format!("'{tenant}'")).await;
    insert(raw, &format!("'{tenant}'"), due, "queued").await;
}

async fn admit_many(raw: &mut PgConnection, tenants: &str) {
    run(raw, &format!("INSERT INTO tenant SELECT {tenants}, 0 ON CONFLICT DO NOTHING")).await;
    run(raw, "INSERT INTO tenant_app SELECT id, 'sitefit' FROM tenant ON CONFLICT DO NOTHING").await;
}

async fn insert(raw: &mut PgConnection, tenant: &str, due: RangeInclusive<u32>, state: &str) {
    let finished = if state == "queued" { "NULL" } else { "n" };
    let sql = format!(
        "INSERT INTO job (tenant_id, app_id, id, definition, version, digest, inputs, state, attempts_max, created_at, due_at, \
         finished_at, seq) SELECT {tenant}, 'sitefit', gen_random_uuid(), 'sitefit', '1.0.0', 'sha256:00', '{{}}', '{state}', 3, n, n, \
         {finished}, 1 FROM generate_series({}, {}) n",
        due.start(),
        due.end()
    );
    run(raw, &sql).await;
}

#[tokio::test]
#[ignore = "slow: fills a table with more than a million rows"]
async fn j9_a_claim_stays_flat_with_a_backlog_and_a_long_history() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    fill(&database, 100_000, 1_000_000, 20).await;
    let db = database.connect("test_all").await;
    let mut raw = database.raw("postgres").await;
    for elsewhere in [false, true] {
        if elsewhere {
            // As a backup does: what claims leave behind cannot be tidied up while it lasts.
            run(&mut raw, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tenant").await;
        }
        let mut times = Vec::new();
        for _ in 0..2_000 {
            let began = Instant::now();
            db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap();
            times.push(began.elapsed());
        }
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        eprintln!(
            "J9: a claim with 100,000 queued and 1,000,000 done, a long transaction elsewhere {elsewhere}: p50 {p50:?}, p99 {p99:?}"
        );
        // The aim is 20 ms on an idle machine; other work beside this may cost a multiple of it, a scan costs far more.
        assert!(p99 < Duration::from_millis(200), "{p99:?}");
    }
    run(&mut raw, "COMMIT").await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'job'";
    // What `fill` scanned is counted too, so the counters start anew.
    run(&mut raw, "SELECT pg_stat_reset()").await;
    for _ in 0..200 {
        let claimed = db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap();
        db.start(&claimed.lease).await.unwrap();
        db.renew(&claimed.lease, LONG).await.unwrap();
        let result = result_of(&claimed.lease.scope, claimed.lease.job);
        db.complete(&claimed.lease, Outcome::Succeeded(result)).await.unwrap();
        db.reap(100).await.unwrap();
        db.stats(&app("sitefit")).await.unwrap();
    }
    drop(db);
    tokio::time::sleep(Duration::from_secs(2)).await;
    run(&mut raw, "SELECT pg_stat_clear_snapshot()").await;
    let scanned: i64 = sqlx::query(scans).fetch_one(&mut raw).await.unwrap().get(0);
    assert_eq!(scanned, 0, "no statement reads the table from end to end");
}

#[tokio::test]
#[ignore = "slow: ten thousand turns, a dozen round trips each"]
async fn a8_ten_thousand_turns_of_one_connection_carry_no_tenant() {
    super::isolation::turns_of_one_connection(10_000).await;
}

#[tokio::test]
#[ignore = "slow: a thousand races of a hundred submits"]
async fn j5_a_thousand_races_of_a_hundred_submits_make_a_thousand_jobs() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.db().await;
    for race in 0..1000 {
        crate::contract::callers::one_job_of_a_hundred(&db, &race.to_string()).await;
    }
    let mut raw = database.raw("postgres").await;
    let made: i64 = sqlx::query("SELECT count(*) FROM job").fetch_one(&mut raw).await.unwrap().get(0);
    assert_eq!(made, 1000);
}

/// How many jobs a second go from claim to complete: a figure, not a test of the machine.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a figure"]
async fn throughput_of_claim_to_complete() {
    let Some(server) = Server::get() else { return };
    for workers in [1_u32, 8] {
        let database = server.database().await;
        fill(&database, 20_000, 0, 20).await;
        let db = std::sync::Arc::new(database.connect("test_all").await);
        let began = Instant::now();
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let db = std::sync::Arc::clone(&db);
                tokio::spawn(async move {
                    let mut done = 0_u32;
                    while began.elapsed() < Duration::from_secs(5) {
                        let Some(claimed) = db.claim(&app("sitefit"), "w", LONG).await.unwrap() else { break };
                        let result = result_of(&claimed.lease.scope, claimed.lease.job);
                        db.complete(&claimed.lease, Outcome::Succeeded(result)).await.unwrap();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        eprintln!("{workers} workers: {:.0} jobs/s", f64::from(done) / began.elapsed().as_secs_f64());
        assert!(done > 0);
    }
}
