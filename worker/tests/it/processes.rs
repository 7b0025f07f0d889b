//! J2, and the drain.

use std::sync::atomic::Ordering;

use jobs::{Kind, State};

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

/// J10: the workers' clocks are wrong by five minutes, each in its own way, and no lease ends early by it.
#[tokio::test]
async fn j10_clocks_that_are_wrong_end_no_lease_early() {
    let Some(library) = std::env::var_os("APPSERVER_TEST_FAKETIME") else {
        assert!(std::env::var_os("CI").is_none(), "CI must not pass without a clock that lies");
        eprintln!("SKIPPED: APPSERVER_TEST_FAKETIME is not set; ./test sets it");
        return;
    };
    let Some(bench) = Bench::on_postgres(None).await else { return };
    let stub = Stub::start(true).await;
    let id = bench.submit().await;
    let skewed = |by: &str| {
        let library = library.to_str().unwrap();
        bench.employ_with(
            &stub.url,
            &[
                ("LD_PRELOAD", library),
                ("FAKETIME", by),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("DONT_FAKE_MONOTONIC", "1"),
            ],
        )
    };
    let mut early = skewed("-5m");
    bench.until(id, |job| job.state == State::Running && stub.asked.load(Ordering::SeqCst) == 1).await;
    // Its leases last 4 s. Others whose clocks are ahead, and behind, take back what has lapsed meanwhile.
    let mut others = [skewed("+5m"), skewed("-5m"), bench.employ(&stub.url)];
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    stub.first.add_permits(1);
    let done = bench.until(id, |job| job.state.is_final()).await;
    assert_eq!((done.state, done.attempts, stub.asked.load(Ordering::SeqCst)), (State::Succeeded, 1, 1));
    let kinds: Vec<_> = bench.store.events(&bench.scope, id, 0).await.unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Submitted, Kind::Claimed, Kind::Started, Kind::Succeeded]);
    early.signal("TERM");
    for worker in &mut others {
        worker.signal("TERM");
        assert_eq!(worker.exit_code(), Some(0));
    }
    assert_eq!(early.exit_code(), Some(0));
}

mod slow {
    use std::time::Duration;

    use futures_util::future::join_all;
    use jobs::JobId;

    use super::{Bench, Kind, State, Stub};
    use crate::broker::{Broker, Rules};

    #[tokio::test]
    #[ignore = "slow: a thousand jobs, and workers that are killed: minutes"]
    async fn j1_twenty_kills_in_a_thousand_jobs_lose_none_and_publish_none_twice() {
        j1(&Bench::new().await).await;
    }

    #[tokio::test]
    #[ignore = "slow: a thousand jobs, and workers that are killed: minutes"]
    async fn j1_on_postgres() {
        let Some(bench) = Bench::on_postgres(None).await else { return };
        j1(&bench).await;
    }

    #[tokio::test]
    #[ignore = "slow: a thousand jobs, and workers that are killed: minutes"]
    async fn j1_with_service_bus() {
        // A lock that lasts no longer than a lease: what a killed worker had comes again soon.
        let rules = Rules { lock_ms: 5_000, ..Rules::default() };
        let Some(broker) = Broker::start(rules) else { return };
        let Some(bench) = Bench::on_postgres(Some(&broker)).await else { return };
        j1(&bench).await;
        // Messages of jobs that are over are found stale, and at last there is none.
        let _worker = bench.employ(&Stub::start(false).await.url);
        for _ in 0..1500 {
            let left: u64 =
                ["ready", "locked", "scheduled"].map(|name| broker.figure("jobs-sitefit", name)).iter().sum();
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("messages are left: {}", broker.say("stats"));
    }

    async fn j1(bench: &Bench) {
        let stub = Stub::start(false).await;
        let mut ids = Vec::new();
        // Ten at one time: what it takes is round trips, one after the other.
        for _ in 0..100 {
            ids.extend(join_all((0..10).map(|_| bench.submit())).await);
        }
        let mut workers: Vec<_> = (0..3).map(|_| bench.employ(&stub.url)).collect();
        for kill in 0..20 {
            tokio::time::sleep(Duration::from_millis(300 + 37 * kill)).await;
            let which = usize::try_from(kill).unwrap() % workers.len();
            // Dropping it is a SIGKILL.
            workers[which] = bench.employ(&stub.url);
        }
        let (mut published, mut twice, mut attempts, mut unheard) = (0, 0, 0, Duration::ZERO);
        let look = async |id: JobId| {
            let job = bench.until(id, |job| job.state == State::Succeeded).await;
            (job.attempts, bench.store.events(&bench.scope, id, 0).await.unwrap())
        };
        let mut ended = Vec::new();
        for ids in ids.chunks(10) {
            ended.extend(join_all(ids.iter().map(|id| look(*id))).await);
        }
        for (of_this, entries) in ended {
            attempts += of_this;
            let ends = entries.iter().filter(|entry| entry.kind == Kind::Succeeded).count();
            published += usize::from(ends > 0);
            twice += usize::from(ends > 1);
            // From the last word of a worker that was killed until its job was taken back.
            for pair in entries.windows(2).filter(|pair| pair[1].kind == Kind::Lapsed) {
                unheard = unheard.max(pair[1].at.duration_since(pair[0].at).unsigned_abs());
            }
        }
        eprintln!(
            "J1: {} jobs, 20 kills: lost {}, published twice {twice}, attempts {attempts}, taken back after {unheard:?} at most",
            ids.len(),
            ids.len() - published
        );
        assert_eq!((published, twice), (ids.len(), 0));
        // A lease of 4 s, a look every second, and 2 s; more where the machine does other work.
        assert!(unheard < Duration::from_secs(15), "{unheard:?}");
    }
}
