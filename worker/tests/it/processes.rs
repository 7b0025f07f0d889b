//! J2, and the drain.

use std::sync::atomic::Ordering;

use jobs::{Kind, State, Store as _};

use crate::support::{Bench, Stub};

#[tokio::test]
async fn j2_a_worker_that_wakes_after_its_lease_overwrites_nothing() {
    let (bench, stub) = (Bench::new().await, Stub::start(true).await);
    let id = bench.submit().await;
    let mut sleeper = bench.employ(&stub.url);
    bench.until(id, |job| job.state == State::Running && stub.asked.load(Ordering::SeqCst) == 1).await;
    sleeper.signal("STOP");
    // Another one takes the job when the lease has lapsed, and its solve is answered.
    let mut other = bench.employ(&stub.url);
    let done = bench.until(id, |job| job.state.is_final()).await;
    assert_eq!((done.state, done.attempts), (State::Succeeded, 2));
    let published = done.result.unwrap().digest;
    let seq = bench.store.events(&bench.scope, id, 0).await.unwrap().last().unwrap().seq;
    // The sleeper wakes, and its own solve is answered at the same moment.
    stub.first.add_permits(1);
    sleeper.signal("CONT");
    sleeper.figures(&["appserver_job_attempts_total{app_id=\"sitefit\",state=\"lost\"} 1"]).await;
    let now = bench.store.get(&bench.scope, id).await.unwrap().unwrap();
    assert_eq!((now.state, now.result.unwrap().digest), (State::Succeeded, published));
    assert!(bench.store.events(&bench.scope, id, seq).await.unwrap().is_empty(), "it wrote something");
    for worker in [&mut sleeper, &mut other] {
        worker.signal("TERM");
        assert_eq!(worker.exit_code(), Some(0));
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_go_gives_back_what_it_cannot_finish() {
    let (bench, stub) = (Bench::new().await, Stub::start(true).await);
    let id = bench.submit().await;
    let mut worker = bench.employ(&stub.url);
    bench.until(id, |job| job.state == State::Running && stub.asked.load(Ordering::SeqCst) == 1).await;
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
    let job = bench.store.get(&bench.scope, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (State::Queued, 0), "given back, and not counted");
    let last = bench.store.events(&bench.scope, id, 0).await.unwrap().pop().unwrap();
    assert_eq!(last.kind, Kind::Returned);
}

mod slow {
    use super::{Bench, Kind, State, Stub};
    use jobs::Store as _;

    #[tokio::test]
    #[ignore = "a thousand jobs, and workers that are killed: minutes"]
    async fn j1_twenty_kills_in_a_thousand_jobs_lose_none_and_publish_none_twice() {
        let (bench, stub) = (Bench::new().await, Stub::start(false).await);
        let mut ids = Vec::new();
        for _ in 0..1000 {
            ids.push(bench.submit().await);
        }
        let mut workers: Vec<_> = (0..3).map(|_| bench.employ(&stub.url)).collect();
        for kill in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(300 + 37 * kill)).await;
            let which = usize::try_from(kill).unwrap() % workers.len();
            // Dropping it is a SIGKILL.
            workers[which] = bench.employ(&stub.url);
        }
        for id in ids {
            bench.until(id, |job| job.state == State::Succeeded).await;
            let entries = bench.store.events(&bench.scope, id, 0).await.unwrap();
            assert_eq!(entries.iter().filter(|entry| entry.kind == Kind::Succeeded).count(), 1, "{id}");
        }
    }
}
