//! J3, J4: a database that answers late, breaks off, hangs, or is gone for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::{
    Abandon, Cancel, Claimed, Error, Kind, NewJob, Outcome, Postgres, Queue as _, State, Store as _, Submitted,
};

use crate::cluster::Cluster;
use crate::proxy::{Cut, Proxy, Way};
use crate::server::{Database, Server};
use crate::support::*;

/// What a caller waits for at the most.
const HANG_MAX: Duration = Duration::from_secs(30);
/// How soon it works again.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

struct Bench {
    database: Database,
    proxy: Proxy,
    /// Behind the proxy.
    db: Postgres,
}

async fn bench() -> Option<Bench> {
    let database = Server::get()?.database().await;
    admit_all(&database.admin().await).await;
    let proxy = Proxy::before(&database.address()).await;
    let db = Postgres::connect(&database.settings_by(&proxy.address, "test_all")).await.unwrap();
    Some(Bench { database, proxy, db })
}

async fn made(db: &Postgres, new: NewJob) -> jobs::JobId {
    match db.submit(&ann(), new).await.unwrap() {
        Submitted::Created(job) => job.id,
        other @ (Submitted::Existing(_) | Submitted::Conflict) => panic!("{other:?}"),
    }
}

async fn claimed(db: &Postgres) -> Claimed {
    db.claim(&app("sitefit"), "w", LONG).await.unwrap().unwrap()
}

async fn kinds(db: &Postgres, id: jobs::JobId) -> Vec<Kind> {
    db.events(&ann(), id, 0).await.unwrap().iter().map(|entry| entry.kind).collect()
}

/// J3: what a renewal is worth is counted from before it was asked for, so an answer that comes after the lease's end is worth nothing.
#[tokio::test]
async fn j3_a_renewal_that_is_answered_after_the_leases_end_leaves_nothing_to_trust() {
    let Some(Bench { proxy, db, .. }) = bench().await else { return };
    made(&db, new_job()).await;
    let claimed = claimed(&db).await;
    proxy.make(Way::Slow(Duration::from_millis(600)));
    let (began, length) = (Instant::now(), Duration::from_millis(500));
    let renewed = db.renew(&claimed.lease, length).await.unwrap();
    assert!(began.elapsed() > length, "the answer was slower than the lease");
    assert!(renewed.lease.until <= tokio::time::Instant::now(), "it is over already");
    // The database has granted no less than what is trusted, and nothing can be written by it now.
    proxy.make(Way::Open);
    let late = db.complete(&renewed.lease, Outcome::Succeeded(result_of(&ann(), claimed.job.id))).await;
    assert!(matches!(late, Err(Error::Fenced)), "{late:?}");
}

/// J4: the outcome of a call whose commit broke off is not known. Whoever asks again finds it out, and nothing is done twice.
#[tokio::test]
async fn j4_a_connection_that_breaks_in_commit_leaves_one_outcome() {
    let Some(Bench { proxy, db, .. }) = bench().await else { return };
    for cut in [Cut::Before, Cut::After] {
        let unknown = |answer: Option<Error>| {
            assert!(!proxy.is_armed(), "{cut:?}: no commit was seen");
            assert!(answer.as_ref().is_some_and(Error::is_transient), "{cut:?}: {answer:?}");
        };
        // A submission with a key.
        let new = keyed(&format!("{cut:?}"), "digest");
        proxy.cut(cut);
        unknown(db.submit(&ann(), new.clone()).await.err());
        let again = db.submit(&ann(), NewJob { id: jobs::JobId::new(), ..new.clone() }).await.unwrap();
        let id = match (cut, again) {
            (Cut::Before, Submitted::Created(job)) => job.id,
            (Cut::After, Submitted::Existing(job)) if job.id == new.id => job.id,
            (_, other) => panic!("{cut:?}: {other:?}"),
        };
        // A start, a renewal and an end.
        let held = claimed(&db).await;
        assert_eq!(held.job.id, id);
        proxy.cut(cut);
        unknown(db.start(&held.lease).await.err());
        db.start(&held.lease).await.unwrap();
        proxy.cut(cut);
        unknown(db.renew(&held.lease, LONG).await.err());
        let lease = db.renew(&held.lease, LONG).await.unwrap().lease;
        proxy.cut(cut);
        let end = || Outcome::Succeeded(result_of(&ann(), id));
        unknown(db.complete(&lease, end()).await.err());
        assert_eq!(db.complete(&lease, end()).await.unwrap(), State::Succeeded, "{cut:?}: it is told how it ended");
        assert_eq!(kinds(&db, id).await, [Kind::Submitted, Kind::Claimed, Kind::Started, Kind::Succeeded], "{cut:?}");
        let other = db.complete(&lease, Outcome::Failed(failure("definition_error", false))).await;
        assert!(matches!(other, Err(Error::Fenced)), "{cut:?}: an end is the end");
        // A cancel, and an attempt that is given back.
        let id = made(&db, new_job()).await;
        let held = claimed(&db).await;
        let retry = || Abandon::Retry { failure: failure("node_lost", true), after: Duration::ZERO };
        proxy.cut(cut);
        unknown(db.abandon(&held.lease, retry()).await.err());
        match (cut, db.abandon(&held.lease, retry()).await) {
            (Cut::Before, Ok(State::Queued)) | (Cut::After, Err(Error::Fenced)) => {}
            (_, other) => panic!("{cut:?}: {other:?}"),
        }
        proxy.cut(cut);
        unknown(db.cancel(&ann(), id).await.err());
        match (cut, db.cancel(&ann(), id).await.unwrap().unwrap()) {
            (Cut::Before, Cancel::Cancelled(_)) | (Cut::After, Cancel::Over(_)) => {}
            (_, other) => panic!("{cut:?}: {other:?}"),
        }
        assert_eq!(kinds(&db, id).await, [Kind::Submitted, Kind::Claimed, Kind::Retried, Kind::Cancelled], "{cut:?}");
    }
}

/// J4: connections that broke while nobody used them are replaced before anybody notices, and whoever asks meanwhile waits.
#[tokio::test]
async fn j4_a_database_that_was_away_is_found_again_at_once() {
    let Some(Bench { proxy, db, .. }) = bench().await else { return };
    let (scope, id) = (ann(), made(&db, new_job()).await);
    let all = || futures_util::future::join_all((0..8).map(|_| db.get(&scope, id)));
    all().await;
    // One breaks in the middle of a second of use, the other after a second without any.
    for unused in [Duration::ZERO, Duration::from_millis(1_100)] {
        proxy.make(Way::Down);
        tokio::time::sleep(unused.max(Duration::from_millis(50))).await;
        proxy.make(Way::Open);
        let began = Instant::now();
        assert!(all().await.iter().all(Result::is_ok), "unused for {unused:?}");
        assert!(began.elapsed() < RECOVERY_MAX, "{:?}", began.elapsed());
    }
    proxy.make(Way::Down);
    let returns = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.make(Way::Open);
    };
    assert!(tokio::join!(db.get(&scope, id), returns).0.unwrap().is_some());
}

/// J4: a server that crashes under submissions and comes back has lost nothing that was answered, and has doubled nothing.
#[tokio::test(flavor = "multi_thread")]
async fn j4_a_server_that_crashes_and_returns_has_lost_nothing_that_was_answered() {
    let Some(mut cluster) = Cluster::start() else { return };
    let database = Server::at(&cluster.address()).database().await;
    admit_all(&database.admin().await).await;
    let db = Arc::new(database.connect("test_all").await);
    let end = tokio_util::sync::CancellationToken::new();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (db, end) = (Arc::clone(&db), end.clone());
            tokio::spawn(async move {
                let (mut answered, mut failures, mut number) = (Vec::new(), 0, 0);
                while !end.is_cancelled() {
                    let new = keyed(&format!("{caller}-{number}"), "digest");
                    match db.submit(&ann(), new).await {
                        Ok(Submitted::Created(job) | Submitted::Existing(job)) => {
                            answered.push((job.id, Instant::now()));
                            number += 1;
                        }
                        Ok(Submitted::Conflict) => panic!("a conflict with itself"),
                        // Asked again with the same key.
                        Err(error) => {
                            assert!(error.is_transient(), "{error:?}");
                            failures += 1;
                        }
                    }
                }
                (answered, failures)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Whatever is under way is cut off in the middle.
    cluster.crash();
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.again();
    let returned = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    end.cancel();
    let (mut answered, mut failures) = (Vec::new(), 0);
    for caller in callers {
        let (of_one, failed) = caller.await.unwrap();
        let first = of_one.iter().map(|(_, at)| at.saturating_duration_since(returned)).find(|after| !after.is_zero());
        assert!(first.is_some_and(|after| after < RECOVERY_MAX), "{first:?}");
        answered.extend(of_one.into_iter().map(|(id, _)| id.as_uuid()));
        failures += failed;
    }
    let mut raw = database.raw("postgres").await;
    let mut there: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM job").fetch_all(&mut raw).await.unwrap();
    eprintln!("J4: {} submissions answered, {failures} failed and asked again, {} jobs", answered.len(), there.len());
    assert!(failures > 0, "nobody noticed");
    answered.sort();
    there.sort();
    assert_eq!(answered, there);
}

mod slow {
    use super::*;

    /// All places of the pool are there and have a connection that answers.
    async fn eight_at_one_time(db: &Postgres, id: jobs::JobId) {
        let scope = ann();
        let all = futures_util::future::join_all((0..8).map(|_| db.get(&scope, id))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
    }

    /// J4: a database that hangs holds nobody for longer than the bound, whether it comes to itself again or its connections are lost for good.
    #[tokio::test]
    #[ignore = "slow: hangs for half a minute, twice"]
    async fn j4_a_database_that_hangs_holds_no_call_for_long_and_no_connection_for_good() {
        let Some(Bench { database, proxy, db }) = bench().await else { return };
        for lost in [true, false] {
            let mut leases = Vec::new();
            for _ in 0..3 {
                made(&db, new_job()).await;
                leases.push(claimed(&db).await.lease);
            }
            // Eight calls at one time, each with a connection that is there, and somewhere on its way. The places of those that were given up
            // last in the turn before are back by now.
            tokio::time::sleep(Duration::from_millis(500)).await;
            eight_at_one_time(&db, leases[0].job).await;
            proxy.make(Way::Slow(Duration::from_millis(120)));
            let hang = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if lost {
                    proxy.lose();
                    proxy.make(Way::Open);
                } else {
                    proxy.make(Way::Hung);
                }
            };
            let ended = async |call: &str, answer: Option<Error>, began: Instant| {
                let took = began.elapsed();
                assert!(answer.is_some_and(|error| error.is_transient()), "{call} was to fail");
                assert!(took < HANG_MAX, "{call} took {took:?}");
                took
            };
            let began = Instant::now();
            let get = async { ended("get", db.get(&ann(), leases[0].job).await.err(), began).await };
            let list = async { ended("list", db.list(&ann(), &jobs::Filter::default()).await.err(), began).await };
            let submit = async { ended("submit", db.submit(&ann(), new_job()).await.err(), began).await };
            // A holder's call is answered in one piece, so these are asked when the others are half through.
            let late = || tokio::time::sleep(Duration::from_millis(250));
            let renew = async {
                late().await;
                ended("renew", db.renew(&leases[0], LONG).await.err(), began).await
            };
            let start = async {
                late().await;
                ended("start", db.start(&leases[1]).await.err(), began).await
            };
            let end = async {
                late().await;
                let outcome = Outcome::Failed(failure("definition_error", false));
                ended("complete", db.complete(&leases[2], outcome).await.err(), began).await
            };
            let events = async { ended("events", db.events(&ann(), leases[0].job, 0).await.err(), began).await };
            let cancel = async { ended("cancel", db.cancel(&ann(), leases[0].job).await.err(), began).await };
            let calls = async { tokio::join!(get, list, submit, renew, start, end, events, cancel) };
            let meanwhile = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                // All places are taken by calls that hang: others wait for one, within the bound.
                let began = Instant::now();
                let answer = db.get(&ann(), leases[0].job).await;
                assert!(answer.is_err() && began.elapsed() < HANG_MAX, "{answer:?} after {:?}", began.elapsed());
            };
            let (took, ..) = tokio::join!(calls, hang, meanwhile);
            eprintln!("J4: lost {lost}: eight calls ended after {took:?}");
            proxy.make(Way::Open);
            let began = Instant::now();
            while db.get(&ann(), leases[0].job).await.is_err() {}
            eprintln!("J4: lost {lost}: answered again after {:?}", began.elapsed());
            assert!(began.elapsed() < RECOVERY_MAX, "{:?}", began.elapsed());
            // All places are there again, and whatever came of the calls, it came once.
            eight_at_one_time(&db, leases[0].job).await;
            let direct = database.connect("test_all").await;
            for lease in &leases {
                let kinds = kinds(&direct, lease.job).await;
                let twice = kinds.iter().enumerate().any(|(n, kind)| kinds[..n].contains(kind));
                assert!(!twice, "{kinds:?}");
            }
            while let Some(left) = direct.claim(&app("sitefit"), "w", LONG).await.unwrap() {
                direct.complete(&left.lease, Outcome::Cancelled).await.unwrap();
            }
        }
    }
}
