//! J6, J10, J13: jobs that break their workers, listeners that are lost, clocks that disagree.

use std::time::{Duration, Instant};

use jobs::{Abandon, Outcome, Queue as _, State, Store as _, Submitted, Upkeep as _, Watch};
use sqlx::Row as _;

use crate::server::{Server, run};
use crate::support::*;

/// J13: nobody is told, and the job is picked up by the next poll all the same.
#[tokio::test]
async fn j13_a_lost_listener_costs_one_poll() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let (api, worker) = (database.connect("test_api").await, database.connect("test_worker").await);
    let mut raw = database.raw("postgres").await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
                 AND query LIKE 'LISTEN%'";
    let mut ends: i64 = 0;
    for _ in 0..500 {
        ends += sqlx::query(ended).fetch_one(&mut raw).await.unwrap().get::<i64, _>(0);
        if ends >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(ends >= 2, "both programs listened");
    let mut watch: Watch = worker.watch_queue(&app("sitefit"));
    let Submitted::Created(job) = api.submit(&ann(), new_job()).await.unwrap() else { panic!("not made") };
    watch.changed(LONG).await;
    assert_eq!(worker.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap().job.id, job.id);
}

/// The other way round: with listeners, another process's watch rings without a poll.
#[tokio::test]
async fn j13_a_change_in_one_process_is_heard_in_another() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let (api, worker) = (database.connect("test_api").await, database.connect("test_worker").await);
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let mut watch = worker.watch_queue(&app("sitefit"));
        let began = Instant::now();
        api.submit(&ann(), new_job()).await.unwrap();
        watch.changed(LONG).await;
        quickest = quickest.min(began.elapsed());
    }
    // A poll takes a second; one of twenty that took less was told.
    assert!(quickest < Duration::from_millis(900), "{quickest:?}");
}

/// J6: poison is dead within its attempts, and others are not kept by it.
#[tokio::test]
async fn j6_poison_is_dead_after_its_attempts_and_blocks_nobody() {
    let Some(server) = Server::get() else { return };
    let db = server.contract().await;
    let poison = submit(&db, &ann()).await;
    let mut good = Vec::new();
    for _ in 0..10 {
        good.push(submit(&db, &ann()).await);
    }
    let (mut tries, mut done) = (0, 0);
    for _ in 0..200 {
        let Some(claimed) = claim(&db, "sitefit", if tries < 3 { SHORT } else { LONG }).await else {
            if db.store.get(&ann(), poison).await.unwrap().unwrap().state.is_final() {
                break;
            }
            // The poisoned job's worker was killed: its lease runs out.
            tokio::time::sleep(SHORT).await;
            db.queue.reap(10).await.unwrap();
            continue;
        };
        if claimed.job.id == poison {
            tries += 1;
            continue;
        }
        match db.queue.complete(&claimed.lease, Outcome::Succeeded(result_of(&ann(), claimed.job.id))).await {
            Ok(_) => done += 1,
            // The machine was slower than a short lease: given back, and done again.
            Err(error) => assert!(matches!(error, jobs::Error::Fenced), "{error:?}"),
        }
    }
    let job = db.store.get(&ann(), poison).await.unwrap().unwrap();
    assert_eq!((job.state, tries), (State::Dead, 3));
    assert_eq!(job.failure.unwrap().code, "lease_lapsed");
    assert!(done <= good.len());
}

/// J6: rows that nobody can take back do not keep those behind them.
#[tokio::test]
async fn j6_the_reaper_passes_rows_that_it_cannot_take() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    for _ in 0..3 {
        db.submit(&ann(), new_job()).await.unwrap();
        db.claim(&app("sitefit"), "w", Duration::ZERO).await.unwrap().unwrap();
    }
    let mut holder = database.raw("postgres").await;
    run(&mut holder, "BEGIN").await;
    run(&mut holder, "SELECT * FROM job ORDER BY lease_until LIMIT 1 FOR UPDATE").await;
    assert_eq!(db.reap(10).await.unwrap().requeued, 2);
    run(&mut holder, "ROLLBACK").await;
    assert_eq!(db.reap(10).await.unwrap().requeued, 1);
}

/// J10: times of leases are made by the database; a worker only ever sends durations, and trusts its own monotonic clock.
#[tokio::test]
async fn j10_a_lease_is_reckoned_by_the_databases_clock_alone() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    db.submit(&ann(), new_job()).await.unwrap();
    let claimed = db.claim(&app("sitefit"), "w", Duration::from_secs(100)).await.unwrap().unwrap();
    let mut raw = database.raw("postgres").await;
    let left = "SELECT lease_until - now_us() AS left_us, due_at - now_us() AS due_us FROM job";
    let row = sqlx::query(left).fetch_one(&mut raw).await.unwrap();
    let left: i64 = row.get("left_us");
    assert!(left > 0 && left <= 100_000_000, "{left}");
    // A renewal and a retry add to that clock as well.
    db.renew(&claimed.lease, Duration::from_secs(200)).await.unwrap();
    let how = Abandon::Retry { failure: failure("node_lost", true), after: Duration::from_mins(5) };
    db.abandon(&claimed.lease, how).await.unwrap();
    let due: i64 = sqlx::query("SELECT due_at - now_us() FROM job").fetch_one(&mut raw).await.unwrap().get(0);
    assert!(due > 200_000_000 && due <= 300_000_000, "{due}");
    for text in [include_str!("../../../src/postgres/claim.rs"), include_str!("../../../src/postgres/submit.rs")] {
        assert!(!text.contains("Timestamp::now"), "no time of a worker's goes into a statement");
    }
}

/// The outbox has a message exactly for what was queued, and none for what was not committed.
#[tokio::test]
async fn a_message_is_left_with_its_row_or_not_at_all() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let settings = jobs::postgres::Settings { outbox: true, ..database.settings("test_all") };
    let db = jobs::Postgres::connect(&settings).await.unwrap();
    db.submit(&ann(), keyed("k", "d")).await.unwrap();
    db.submit(&ann(), keyed("k", "d")).await.unwrap();
    db.submit(&ann(), keyed("k", "other")).await.unwrap();
    assert!(db.submit(&scope("bob", "parking"), new_job()).await.is_err());
    let claimed = db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap();
    db.abandon(&claimed.lease, Abandon::Return).await.unwrap();
    let mut raw = database.raw("postgres").await;
    let count: i64 = sqlx::query("SELECT count(*) FROM outbox").fetch_one(&mut raw).await.unwrap().get(0);
    assert_eq!(count, 2, "submitted once, queued again once");
    // Whoever has enqueue takes them; here another queue.
    let broker = sqlite().await;
    assert_eq!(db.relay(broker.queue.as_ref(), 1).await.unwrap(), 1);
    assert_eq!(db.relay(broker.queue.as_ref(), 10).await.unwrap(), 1);
    assert_eq!(db.relay(broker.queue.as_ref(), 10).await.unwrap(), 0);
}

/// Retention: what ended long ago goes with its history and its artifacts' rows; what ended within the day stays.
#[tokio::test]
async fn what_ended_long_ago_is_retired_and_its_blobs_are_left_to_the_sweep() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    admit_all(&database.admin().await).await;
    let db = database.connect("test_all").await;
    let mut paths = Vec::new();
    for _ in 0..2 {
        db.submit(&ann(), new_job()).await.unwrap();
        let claimed = db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap();
        let result = result_of(&ann(), claimed.job.id);
        paths.push(result.artifacts[0].path.clone());
        db.complete(&claimed.lease, Outcome::Succeeded(result)).await.unwrap();
    }
    assert_eq!(db.referenced(&paths).await.unwrap().len(), 2);
    assert_eq!(db.retire(Duration::ZERO, 10).await.unwrap(), 0, "a day at least");
    let mut raw = database.raw("postgres").await;
    let two_days =
        "UPDATE job SET finished_at = finished_at - 172800000000 WHERE id = (SELECT min(id::text)::uuid FROM job)";
    run(&mut raw, two_days).await;
    assert_eq!(db.retire(Duration::ZERO, 10).await.unwrap(), 1);
    let referenced = db.referenced(&paths).await.unwrap();
    assert_eq!(referenced.into_iter().collect::<Vec<_>>(), [paths[1].clone()]);
    let left: i64 =
        sqlx::query("SELECT count(DISTINCT job_id) FROM job_event").fetch_one(&mut raw).await.unwrap().get(0);
    assert_eq!(left, 1);
}
