//! The queue's side of the contract: leases, fencing, ends, retries, turns.

use std::time::Duration;

use futures_util::future::join_all;
use jobs::{Abandon, Cancel, Error, Kind, Outcome, Reaped, Replay, State, Stats};

use super::on_each_database;
use crate::support::*;

on_each_database!(
    a_job_goes_through_its_states_to_a_result,
    a_worker_whose_lease_ended_writes_nothing,
    a_worker_whose_job_was_given_to_another_writes_nothing,
    a_lease_that_is_renewed_does_not_lapse,
    a_lease_is_trusted_from_before_the_call,
    an_abandoned_attempt_is_tried_again_later_and_the_last_one_is_dead,
    an_attempt_that_is_given_back_does_not_count,
    a_worker_that_vanishes_every_time_makes_its_job_dead,
    a_cancel_reaches_the_worker_by_its_renewal_and_wins_over_its_result,
    a_cancel_of_a_vanished_worker_ends_the_job,
    claims_at_one_time_never_give_one_job_twice,
    a_queue_tells_its_figures,
    a_call_that_changes_nothing_keeps_no_claim_from_its_job;
    // A broker gives out what came first.
    databases only: tenants_take_turns_however_much_one_of_them_has_queued,
);

async fn a_job_goes_through_its_states_to_a_result(db: &Db) {
    let id = submit(db, &ann()).await;
    assert!(claim(db, "parking", LONG).await.is_none(), "each app has its own queue");
    let claimed = claim(db, "sitefit", LONG).await.unwrap();
    assert_eq!((claimed.job.id, claimed.job.state, claimed.job.attempts), (id, State::Leased, 1));
    assert!(claim(db, "sitefit", LONG).await.is_none());
    db.queue.start(&claimed.lease).await.unwrap();
    assert_eq!(db.store.get(&ann(), id).await.unwrap().unwrap().state, State::Running);
    let result = result_of(&ann(), id);
    assert_eq!(db.queue.complete(&claimed.lease, Outcome::Succeeded(result.clone())).await.unwrap(), State::Succeeded);
    let job = db.store.get(&ann(), id).await.unwrap().unwrap();
    assert_eq!(job.result.unwrap().artifacts, result.artifacts);
    assert!(job.started_at.unwrap() >= job.created_at && job.finished_at.unwrap() >= job.started_at.unwrap());
    let again = db.queue.complete(&claimed.lease, Outcome::Failed(failure("late", false))).await;
    assert!(matches!(again, Err(Error::Fenced)), "a result is published once");
}

async fn a_worker_whose_lease_ended_writes_nothing(db: &Db) {
    let id = submit(db, &ann()).await;
    let claimed = claim(db, "sitefit", SHORT).await.unwrap();
    tokio::time::sleep(SHORT * 3).await;
    // Nobody has taken it back yet, and still it is not the worker's any more.
    every_write_is_fenced(db, &claimed).await;
    assert_eq!(db.store.get(&ann(), id).await.unwrap().unwrap().state, State::Leased);
    reap_one(db).await;
    every_write_is_fenced(db, &claimed).await;
    let kinds: Vec<_> = db.store.events(&ann(), id, 0).await.unwrap().iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Submitted, Kind::Claimed, Kind::Lapsed]);
}

async fn a_worker_whose_job_was_given_to_another_writes_nothing(db: &Db) {
    let id = submit(db, &ann()).await;
    let zombie = claim(db, "sitefit", SHORT).await.unwrap();
    reap_one(db).await;
    let heir = claim(db, "sitefit", LONG).await.unwrap();
    assert!(heir.lease.token > zombie.lease.token);
    every_write_is_fenced(db, &zombie).await;
    let result = result_of(&ann(), id);
    db.queue.complete(&heir.lease, Outcome::Succeeded(result.clone())).await.unwrap();
    every_write_is_fenced(db, &zombie).await;
    assert_eq!(db.store.get(&ann(), id).await.unwrap().unwrap().result.unwrap().artifacts, result.artifacts);
}

async fn every_write_is_fenced(db: &Db, claimed: &jobs::Claimed) {
    let lease = &claimed.lease;
    let before = db.store.get(&lease.scope, lease.job).await.unwrap().map(|job| serde_json::to_string(&job).unwrap());
    let retry = Abandon::Retry { failure: failure("node_lost", true), after: Duration::ZERO };
    let answers = [
        db.queue.start(lease).await.err(),
        db.queue.renew(lease, LONG).await.err(),
        db.queue.complete(lease, Outcome::Succeeded(result_of(&lease.scope, lease.job))).await.err(),
        db.queue.complete(lease, Outcome::Failed(failure("late", false))).await.err(),
        db.queue.complete(lease, Outcome::Cancelled).await.err(),
        db.queue.abandon(lease, Abandon::Return).await.err(),
        db.queue.abandon(lease, retry).await.err(),
        db.queue.dead_letter(lease, failure("late", false)).await.err(),
    ];
    for (call, answer) in answers.into_iter().enumerate() {
        assert!(matches!(answer, Some(Error::Fenced)), "call {call}: {answer:?}");
    }
    let after = db.store.get(&lease.scope, lease.job).await.unwrap().map(|job| serde_json::to_string(&job).unwrap());
    assert_eq!(before, after);
}

async fn a_lease_that_is_renewed_does_not_lapse(db: &Db) {
    submit(db, &ann()).await;
    let mut lease = claim(db, "sitefit", Duration::from_secs(30)).await.unwrap().lease;
    let first = lease.until;
    lease = db.queue.renew(&lease, LONG).await.unwrap().lease;
    assert!(lease.until > first);
    assert_eq!(db.queue.reap(10).await.unwrap(), Reaped::default());
    db.queue.complete(&lease, Outcome::Failed(failure("definition_error", false))).await.unwrap();
}

async fn a_lease_is_trusted_from_before_the_call(db: &Db) {
    submit(db, &ann()).await;
    let before = tokio::time::Instant::now();
    let lease = claim(db, "sitefit", LONG).await.unwrap().lease;
    let after = tokio::time::Instant::now();
    assert!(lease.until >= before + LONG && lease.until <= after + LONG);
}

async fn an_abandoned_attempt_is_tried_again_later_and_the_last_one_is_dead(db: &Db) {
    let id = submit(db, &ann()).await;
    for attempt in 1..=3 {
        let claimed = claim(db, "sitefit", LONG).await.unwrap();
        assert_eq!(claimed.job.attempts, attempt);
        let after = if attempt == 1 { LONG } else { Duration::ZERO };
        let how = Abandon::Retry { failure: failure("node_lost", true), after };
        let left = db.queue.abandon(&claimed.lease, how).await.unwrap();
        assert_eq!(left, if attempt == 3 { State::Dead } else { State::Queued });
        if attempt == 1 {
            assert!(claim(db, "sitefit", LONG).await.is_none(), "not before it is due");
            assert_eq!(db.queue.stats(&app("sitefit")).await.unwrap().scheduled, 1);
            // Another job is not held up by it, and its end makes room for a replay that is due at once.
            db.store.cancel(&ann(), id).await.unwrap();
            let id = submit(db, &ann()).await;
            let claimed = claim(db, "sitefit", LONG).await.unwrap();
            assert_eq!(claimed.job.id, id);
            db.queue
                .abandon(&claimed.lease, Abandon::Retry { failure: failure("node_lost", true), after: Duration::ZERO })
                .await
                .unwrap();
        }
    }
    assert!(claim(db, "sitefit", LONG).await.is_none());
    assert_eq!(db.queue.stats(&app("sitefit")).await.unwrap().dead, 1);
}

async fn an_attempt_that_is_given_back_does_not_count(db: &Db) {
    let id = submit(db, &ann()).await;
    for _ in 0..5 {
        let claimed = claim(db, "sitefit", LONG).await.unwrap();
        assert_eq!(claimed.job.attempts, 1);
        assert_eq!(db.queue.abandon(&claimed.lease, Abandon::Return).await.unwrap(), State::Queued);
    }
    assert_eq!(db.store.get(&ann(), id).await.unwrap().unwrap().attempts, 0);
}

async fn a_worker_that_vanishes_every_time_makes_its_job_dead(db: &Db) {
    let id = submit(db, &ann()).await;
    for _ in 0..3 {
        claim(db, "sitefit", SHORT).await.unwrap();
        reap_one(db).await;
    }
    let job = db.store.get(&ann(), id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (State::Dead, 3));
    assert_eq!(job.failure.unwrap().code, "lease_lapsed");
}

async fn a_cancel_reaches_the_worker_by_its_renewal_and_wins_over_its_result(db: &Db) {
    for stop in [true, false] {
        let id = submit(db, &ann()).await;
        let claimed = claim(db, "sitefit", LONG).await.unwrap();
        db.queue.start(&claimed.lease).await.unwrap();
        assert!(!db.queue.renew(&claimed.lease, LONG).await.unwrap().cancel_requested);
        for _ in 0..2 {
            let Some(Cancel::Requested(job)) = db.store.cancel(&ann(), id).await.unwrap() else {
                panic!("not asked for")
            };
            assert!(job.state == State::Running && job.cancel_requested);
        }
        assert!(db.queue.renew(&claimed.lease, LONG).await.unwrap().cancel_requested);
        let outcome = if stop { Outcome::Cancelled } else { Outcome::Succeeded(result_of(&ann(), id)) };
        assert_eq!(db.queue.complete(&claimed.lease, outcome).await.unwrap(), State::Cancelled);
        let job = db.store.get(&ann(), id).await.unwrap().unwrap();
        assert!(job.state == State::Cancelled && job.result.is_none());
    }
}

async fn a_cancel_of_a_vanished_worker_ends_the_job(db: &Db) {
    let id = submit(db, &ann()).await;
    claim(db, "sitefit", SHORT).await.unwrap();
    db.store.cancel(&ann(), id).await.unwrap();
    reap_one(db).await;
    assert_eq!(db.store.get(&ann(), id).await.unwrap().unwrap().state, State::Cancelled);
}

async fn tenants_take_turns_however_much_one_of_them_has_queued(db: &Db) {
    for _ in 0..20 {
        submit(db, &ann()).await;
    }
    for _ in 0..3 {
        submit(db, &bob()).await;
    }
    let mut order = String::new();
    while let Some(claimed) = claim(db, "sitefit", LONG).await {
        order.push_str(&claimed.job.scope.tenant.as_str()[..1]);
    }
    assert_eq!(order, format!("ababab{}", "a".repeat(17)));
}

async fn claims_at_one_time_never_give_one_job_twice(db: &Db) {
    for _ in 0..40 {
        submit(db, &ann()).await;
        submit(db, &bob()).await;
    }
    let worker = || async {
        let mut got = Vec::new();
        while let Some(claimed) = claim(db, "sitefit", LONG).await {
            got.push(claimed.job.id);
        }
        got
    };
    let mut all: Vec<_> = join_all((0..8).map(|_| worker())).await.into_iter().flatten().collect();
    assert_eq!(all.len(), 80);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 80);
}

async fn a_queue_tells_its_figures(db: &Db) {
    assert_eq!(db.queue.stats(&app("sitefit")).await.unwrap(), Stats::default());
    for _ in 0..4 {
        submit(db, &ann()).await;
    }
    let dead = claim(db, "sitefit", LONG).await.unwrap();
    db.queue.dead_letter(&dead.lease, failure("poison", false)).await.unwrap();
    claim(db, "sitefit", LONG).await.unwrap();
    let stats = db.queue.stats(&app("sitefit")).await.unwrap();
    assert_eq!((stats.ready, stats.scheduled, stats.held, stats.dead), (2, 0, 1, 1));
    assert!(stats.oldest_age.is_some());
    assert_eq!(db.queue.stats(&app("parking")).await.unwrap(), Stats::default());
}

async fn a_call_that_changes_nothing_keeps_no_claim_from_its_job(db: &Db) {
    let id = submit(db, &ann()).await;
    for _ in 0..20 {
        assert!(matches!(db.store.replay(&ann(), id).await.unwrap(), Some(Replay::Refused(_))));
        let claimed = claim(db, "sitefit", LONG).await.unwrap();
        db.queue.abandon(&claimed.lease, Abandon::Return).await.unwrap();
        assert!(matches!(db.queue.abandon(&claimed.lease, Abandon::Return).await, Err(Error::Fenced)));
    }
}
