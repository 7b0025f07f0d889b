//! J8: turns between tenants, whatever each of them has queued, and however many workers take them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jobs::{Postgres, Queue as _};

use super::slow::queue;
use crate::server::{Database, Server, run};
use crate::support::*;

/// Whose jobs the next claims are.
async fn next(db: &Postgres, claims: usize) -> Vec<String> {
    let mut tenants = Vec::new();
    for _ in 0..claims {
        let claimed = db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap();
        tenants.push(claimed.job.scope.tenant.to_string());
    }
    tenants
}

async fn with_queued(database: &Database, jobs: &[(&str, RangeInclusive<u32>)]) {
    let mut raw = database.raw("postgres").await;
    for (tenant, due) in jobs {
        queue(&mut raw, tenant, due.clone()).await;
    }
    run(&mut raw, "ANALYZE job").await;
}

/// One of A's ten thousand is served before it at most, by a worker that has served A, by one that comes new, and beside others at work.
#[tokio::test]
async fn j8_one_job_behind_ten_thousand_of_another_tenant_starts_within_one_cycle() {
    let Some(server) = Server::get() else { return };
    for first in ["ann", "zoe"] {
        // A's name comes before B's in the order of turns, and after it.
        let database = server.database().await;
        with_queued(&database, &[(first, 1..=10_000), ("bob", 20_000..=20_000)]).await;
        let busy = database.connect("test_all").await;
        assert_eq!(next(&busy, 1).await, [first], "who has waited longest");
        assert_eq!(next(&busy, 1).await, ["bob"], "after one of {first}'s");
        assert!(next(&busy, 20).await.iter().all(|tenant| tenant == first));
        // It comes again, late, while somebody is at work and somebody else has just started.
        for _ in 0..2 {
            with_queued(&database, &[("bob", 30_000..=30_000)]).await;
            let fresh = database.connect("test_all").await;
            let mut order = next(&fresh, 1).await;
            order.extend(next(&busy, 1).await);
            order.extend(next(&fresh, 1).await);
            assert!(order.contains(&"bob".to_owned()), "{order:?}");
        }
    }
}

/// Jain's index of what each tenant got while all of them had something queued: 1 where all got the same, 1/n where one got all.
fn jain(shares: &BTreeMap<String, u32>) -> f64 {
    let sum: f64 = shares.values().copied().map(f64::from).sum();
    let squares: f64 = shares.values().map(|share| f64::from(*share).powi(2)).sum();
    sum * sum / (f64::from(u32::try_from(shares.len()).unwrap()) * squares)
}

const BACKLOGS: [(&str, u32); 5] = [("ann", 10_000), ("bob", 300), ("carl", 2_000), ("dora", 300), ("emil", 800)];

#[tokio::test]
async fn j8_tenants_of_very_different_backlogs_get_equal_shares_of_many_workers() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    with_queued(&database, &BACKLOGS.map(|(tenant, jobs)| (tenant, 1..=jobs))).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let db = database.connect("test_all").await;
        workers.spawn(async move { next(&db, 300).await });
    }
    let mut shares = BTreeMap::new();
    for tenant in workers.join_all().await.into_iter().flatten() {
        *shares.entry(tenant).or_insert(0) += 1;
    }
    let index = jain(&shares);
    eprintln!("J8: shares of 1,200 claims by 4 workers {shares:?}: Jain {index:.4}");
    assert_eq!((shares.len(), shares.values().sum::<u32>()), (5, 1_200));
    assert!(index >= 0.95, "{index}");
    // By what they have queued, the index is far from it: the test can fail.
    let by_backlog = BACKLOGS.map(|(tenant, jobs)| (tenant.to_owned(), jobs));
    assert!(jain(&BTreeMap::from(by_backlog)) < 0.5);
}

/// What is queued for later keeps nobody, and each tenant's own jobs come in the order in which they are due.
#[tokio::test]
async fn j8_what_is_due_later_keeps_nobody_and_the_oldest_comes_first() {
    let Some(server) = Server::get() else { return };
    let database = server.database().await;
    with_queued(&database, &[("ann", 1..=50), ("bob", 1..=50)]).await;
    let mut raw = database.raw("postgres").await;
    run(&mut raw, "UPDATE job SET due_at = now_us() + 3600000000 WHERE tenant_id = 'ann' AND created_at <= 40").await;
    let db = database.connect("test_all").await;
    let mut due = BTreeMap::<_, Vec<_>>::new();
    while let Some(claimed) = db.claim(&app("sitefit"), "w", LONG).await.unwrap() {
        due.entry(claimed.job.scope.tenant.to_string()).or_default().push(claimed.job.due_at);
    }
    assert_eq!((due["ann"].len(), due["bob"].len()), (10, 50));
    assert!(due.values().all(|due| due.is_sorted()));
    assert_eq!(db.stats(&app("sitefit")).await.unwrap().scheduled, 40);
    // Its hour comes.
    run(&mut raw, "UPDATE job SET due_at = now_us() WHERE tenant_id = 'ann' AND state = 'queued' AND created_at <= 5")
        .await;
    assert_eq!(next(&db, 5).await, ["ann"; 5]);
    assert!(db.claim(&app("sitefit"), "w", Duration::from_secs(1)).await.unwrap().is_none());
}
