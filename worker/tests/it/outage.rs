//! J3, J4: workers before a database that answers late, or is gone for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jobs::postgres::Settings;
use jobs::{Postgres, Queue, State};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use worker::lease::{Keeper, Stop};

use crate::proxy::{Proxy, Way};
use crate::support::{Bench, Stub, postgres};

/// The name of its database.
fn name(bench: &Bench) -> &str {
    bench.database().0.rsplit('/').next().unwrap()
}

/// J3: whatever a renewal's answer takes, a worker trusts its lease at no moment at which the database has given it up.
#[tokio::test(flavor = "multi_thread")]
async fn j3_no_lease_is_trusted_longer_than_the_database_holds_it_however_late_renewals_are_answered() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::before(&server).await;
    let bench = Bench::on(&server, &proxy.address, None).await;
    let (url, schema) = bench.database();
    let mut raw = PgConnection::connect(&format!("postgres://postgres@{server}/{}", name(&bench))).await.unwrap();
    let settings = Settings { schema: schema.to_owned(), ..Settings::new(url) };
    let queue: Arc<dyn Queue> = Arc::new(Postgres::connect(&settings).await.unwrap());
    let length = Duration::from_millis(1_500);
    // A renewal is answered in one piece, which takes so long: from well within the lease to the whole of it.
    for delay in [0, 40, 500, 1_500] {
        proxy.make(Way::Open);
        let id = bench.submit().await;
        let lease = queue.claim(&bench.scope.app, "w", length).await.unwrap().unwrap().lease;
        assert_eq!(lease.job, id);
        let held =
            format!("SELECT coalesce(lease_until > {schema}.now_us(), false) FROM {schema}.job WHERE id = '{id}'");
        let keeper = Keeper::start(Arc::clone(&queue), lease, length, length / 4);
        proxy.make(Way::Slow(Duration::from_millis(delay)));
        let (began, mut trusted) = (Instant::now(), Duration::ZERO);
        while began.elapsed() < length * 3 {
            let is_trusted = keeper.is_trusted();
            let held: bool = sqlx::query_scalar(AssertSqlSafe(held.clone())).fetch_one(&mut raw).await.unwrap();
            if is_trusted {
                trusted = began.elapsed();
                assert!(held, "trusted after its end, with answers {delay} ms late");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        eprintln!("J3: answers {delay} ms late: trusted for {trusted:?} of {:?}", length * 3);
        if delay == 0 {
            assert!(trusted > length * 2, "a lease that is renewed in time is kept");
        } else if delay >= 500 {
            assert!(!keeper.is_trusted() && keeper.stopped().await == Stop::Lost);
            assert!(trusted <= length, "{trusted:?}");
        }
        drop(keeper);
        proxy.make(Way::Open);
        while queue.reap(10).await.unwrap().total() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let again = queue.claim(&bench.scope.app, "w", length * 100).await.unwrap().unwrap();
        queue.complete(&again.lease, jobs::Outcome::Cancelled).await.unwrap();
    }
}

/// J3: a worker whose renewals are answered too late lets go of its solve by itself, before anybody else may begin it.
#[tokio::test(flavor = "multi_thread")]
async fn j3_a_worker_that_cannot_renew_in_time_lets_go_before_another_begins() {
    let Some(server) = postgres() else { return };
    let proxy = Proxy::before(&server).await;
    let (bench, stub) = (Bench::on(&server, &proxy.address, None).await, Stub::start(true).await);
    let id = bench.submit().await;
    let mut slow = bench.employ(&stub.url);
    bench.until(id, |job| job.state == State::Running && stub.asked.load(Ordering::SeqCst) == 1).await;
    // Its leases last 4 s, and every answer takes longer.
    proxy.make(Way::Slow(Duration::from_secs(5)));
    let began = Instant::now();
    while stub.left.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(4), "it works on after its lease's end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let let_go = began.elapsed();
    let mut other =
        bench.employ_with(&stub.url, &[("DATABASE_URL", &bench.database().0.replace(&proxy.address, &server))]);
    stub.first.add_permits(1);
    let done = bench.until(id, |job| job.state.is_final()).await;
    assert_eq!((done.state, stub.asked.load(Ordering::SeqCst)), (State::Succeeded, 2));
    assert!(done.attempts >= 2, "{}", done.attempts);
    eprintln!("J3: let go after {let_go:?} of 4 s; ended by another after {:?}", began.elapsed());
    proxy.make(Way::Open);
    for worker in [&mut slow, &mut other] {
        worker.signal("TERM");
        assert_eq!(worker.exit_code(), Some(0));
    }
}

mod slow {
    use std::collections::BTreeMap;

    use jobs::{JobId, Kind};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::cluster::Cluster;

    /// Submits all the time, and asks again with the same key where it has no answer. What was answered, and when.
    async fn submit_until(bench: Arc<Bench>, stop: CancellationToken) -> BTreeMap<JobId, Instant> {
        let mut answered = BTreeMap::new();
        for number in 0.. {
            if stop.is_cancelled() {
                break;
            }
            loop {
                let began = Instant::now();
                match bench.submit_keyed(&number.to_string()).await {
                    Ok(id) => {
                        answered.insert(id, Instant::now());
                        break;
                    }
                    Err(error) => assert!(error.is_transient(), "{error:?}"),
                }
                assert!(began.elapsed() < Duration::from_secs(30), "a caller hangs: {:?}", began.elapsed());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        answered
    }

    /// J4: the database crashes under three workers and a caller, and is away for half a minute.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "slow: a database that is away for thirty seconds"]
    async fn j4_a_database_that_is_away_for_thirty_seconds_loses_and_doubles_no_job() {
        let Some(mut cluster) = Cluster::start() else { return };
        let (address, stub) = (cluster.address(), Stub::start(false).await);
        let bench = Arc::new(Bench::on(&address, &address, None).await);
        let mut workers: Vec<_> = (0..3).map(|_| bench.employ(&stub.url)).collect();
        let end = CancellationToken::new();
        let calling = tokio::spawn(submit_until(Arc::clone(&bench), end.clone()));
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.crash();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let solved = stub.asked.load(Ordering::SeqCst);
        cluster.again();
        let returned = Instant::now();
        while stub.asked.load(Ordering::SeqCst) == solved {
            assert!(returned.elapsed() < Duration::from_secs(5), "no worker works again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let works = returned.elapsed();
        tokio::time::sleep(Duration::from_secs(3)).await;
        end.cancel();
        let answered = calling.await.unwrap();
        let first =
            answered.values().map(|at| at.saturating_duration_since(returned)).filter(|after| !after.is_zero()).min();
        let ids: Vec<JobId> = answered.keys().copied().collect();
        for id in &ids {
            bench.until(*id, |job| job.state == State::Succeeded).await;
            let entries = bench.store.events(&bench.scope, *id, 0).await.unwrap();
            assert_eq!(entries.iter().filter(|entry| entry.kind == Kind::Succeeded).count(), 1, "{id}");
        }
        let mut raw = PgConnection::connect(&format!("postgres://postgres@{address}/{}", name(&bench))).await.unwrap();
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sitefit_jobs.job").fetch_one(&mut raw).await.unwrap();
        eprintln!(
            "J4: {} submissions answered, {there} jobs, each ended once; after 30 s away a solve after {works:?}, a submission after {first:?}",
            ids.len()
        );
        assert_eq!(usize::try_from(there).unwrap(), ids.len());
        assert!(first.is_some_and(|after| after < Duration::from_secs(5)), "{first:?}");
        for worker in &mut workers {
            worker.signal("TERM");
            assert_eq!(worker.exit_code(), Some(0));
        }
    }
}
