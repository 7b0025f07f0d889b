//! The store's side of the contract: submissions, keys, lists, cancels, histories.

use futures_util::future::join_all;
use jobs::{Cancel, Cursor, Error, Filter, Inputs, JobId, Kind, NewJob, Outcome, Replay, State, Submitted};

use super::on_each_database;
use crate::support::*;

on_each_database!(
    a_job_reads_back_as_it_was_submitted,
    inputs_that_are_too_large_for_a_row_are_refused,
    the_same_key_and_request_is_the_same_job_and_another_request_is_a_conflict,
    a_hundred_submits_with_one_key_at_one_time_make_one_job,
    a_key_counts_after_the_end_of_its_job_too,
    a_job_of_another_scope_is_no_job,
    a_tenant_submits_only_to_apps_it_is_admitted_to,
    a_list_is_paged_from_the_newest_and_shows_each_job_once,
    a_waiting_job_is_cancelled_at_once_and_a_second_cancel_finds_it_over,
    a_history_is_numbered_without_gaps_and_resumes_after_a_number,
    a_watch_hears_of_a_change,
    only_failed_and_dead_jobs_are_replayed,
);

async fn a_job_reads_back_as_it_was_submitted(db: &Db) {
    let new =
        NewJob { traceparent: Some("00-aa-bb-01".to_owned()), tracestate: Some("a=1".to_owned()), ..keyed("k", "d") };
    let Submitted::Created(made) = db.store.submit(&ann(), new.clone()).await.unwrap() else { panic!("not made") };
    let job = db.store.get(&ann(), new.id).await.unwrap().unwrap();
    assert_eq!(serde_json::to_string(&job).unwrap(), serde_json::to_string(&made).unwrap());
    assert_eq!((job.id, job.state, job.attempts, job.attempts_max), (new.id, State::Queued, 0, 3));
    assert_eq!((job.scope, job.definition.as_str(), job.version.as_str()), (ann(), "sitefit", "1.1.0"));
    assert_eq!(
        (job.traceparent, job.tracestate, job.idempotency_key),
        (new.traceparent, new.tracestate, Some("k".to_owned()))
    );
    let Inputs::Inline(json) = job.inputs else { panic!("not inline") };
    assert_eq!(json.get(), r#"{"site_width":40.10000000000000001}"#, "byte by byte");
}

async fn inputs_that_are_too_large_for_a_row_are_refused(db: &Db) {
    let json = format!("\"{}\"", "x".repeat(jobs::job::INLINE_BYTES_MAX));
    let new = NewJob { inputs: Inputs::inline(json).unwrap(), ..new_job() };
    assert!(matches!(db.store.submit(&ann(), new).await, Err(Error::TooLarge { .. })));
    let artifact = result_of(&ann(), JobId::new()).artifacts.remove(0);
    let new = NewJob { inputs: Inputs::Artifact(artifact.clone()), ..new_job() };
    let id = new.id;
    db.store.submit(&ann(), new).await.unwrap();
    let Inputs::Artifact(kept) = db.store.get(&ann(), id).await.unwrap().unwrap().inputs else {
        panic!("not by reference")
    };
    assert_eq!(kept, artifact);
}

async fn the_same_key_and_request_is_the_same_job_and_another_request_is_a_conflict(db: &Db) {
    let first = keyed("key", "digest");
    db.store.submit(&ann(), first.clone()).await.unwrap();
    let Submitted::Existing(job) = db.store.submit(&ann(), keyed("key", "digest")).await.unwrap() else {
        panic!("made twice")
    };
    assert_eq!(job.id, first.id);
    assert!(matches!(db.store.submit(&ann(), keyed("key", "other")).await.unwrap(), Submitted::Conflict));
    // The key is the tenant's, and the app's.
    assert!(matches!(db.store.submit(&bob(), keyed("key", "other")).await.unwrap(), Submitted::Created(_)));
    assert!(matches!(
        db.store.submit(&scope("ann", "parking"), keyed("key", "other")).await.unwrap(),
        Submitted::Created(_)
    ));
}

async fn a_hundred_submits_with_one_key_at_one_time_make_one_job(db: &Db) {
    one_job_of_a_hundred(db, "race").await;
    assert_eq!(db.store.list(&ann(), &Filter::default()).await.unwrap().jobs.len(), 1);
}

/// J5: submits the same a hundred times at one time.
pub(crate) async fn one_job_of_a_hundred(db: &Db, key: &str) {
    let scope = ann();
    let answers = join_all((0..100).map(|_| db.store.submit(&scope, keyed(key, "digest")))).await;
    let mut ids: Vec<_> = answers
        .into_iter()
        .map(|answer| match answer.unwrap() {
            Submitted::Created(job) => (job.id, true),
            Submitted::Existing(job) => (job.id, false),
            Submitted::Conflict => panic!("a conflict with itself"),
        })
        .collect();
    assert_eq!(ids.iter().filter(|(_, made)| *made).count(), 1);
    ids.dedup_by_key(|(id, _)| *id);
    assert_eq!(ids.len(), 1);
}

async fn a_key_counts_after_the_end_of_its_job_too(db: &Db) {
    for (key, outcome) in [("good", None), ("bad", Some(Outcome::Failed(failure("definition_error", false))))] {
        let new = keyed(key, "digest");
        db.store.submit(&ann(), new.clone()).await.unwrap();
        let claimed = claim(db, "sitefit", LONG).await.unwrap();
        let outcome = outcome.unwrap_or_else(|| Outcome::Succeeded(result_of(&ann(), new.id)));
        db.queue.complete(&claimed.lease, outcome).await.unwrap();
        let Submitted::Existing(job) = db.store.submit(&ann(), keyed(key, "digest")).await.unwrap() else {
            panic!("again")
        };
        assert_eq!(job.id, new.id);
        assert!(job.state.is_final());
    }
}

async fn a_job_of_another_scope_is_no_job(db: &Db) {
    let id = submit(db, &ann()).await;
    for other in [bob(), scope("ann", "parking"), scope("nobody", "sitefit")] {
        assert!(db.store.get(&other, id).await.unwrap().is_none());
        assert!(db.store.cancel(&other, id).await.unwrap().is_none());
        assert!(db.store.replay(&other, id).await.unwrap().is_none());
        assert!(db.store.events(&other, id, 0).await.unwrap().is_empty());
        let listed = db.store.list(&other, &Filter { after: None, ..Filter::default() }).await.unwrap();
        assert!(listed.jobs.is_empty() && listed.next.is_none());
    }
    assert_eq!(db.store.get(&ann(), id).await.unwrap().unwrap().state, State::Queued, "nothing happened to it");
}

async fn a_tenant_submits_only_to_apps_it_is_admitted_to(db: &Db) {
    for who in [scope("bob", "parking"), scope("nobody", "sitefit")] {
        assert!(matches!(db.store.submit(&who, new_job()).await, Err(Error::Forbidden)), "{who:?}");
    }
    let id = submit(db, &bob()).await;
    db.tenants.admit(&tenant("bob"), &[app("parking")]).await.unwrap();
    assert!(db.store.get(&bob(), id).await.unwrap().is_none(), "shut out: not even to be seen");
    db.tenants.admit(&tenant("bob"), &[app("sitefit")]).await.unwrap();
    assert!(db.store.get(&bob(), id).await.unwrap().is_some());
}

async fn a_list_is_paged_from_the_newest_and_shows_each_job_once(db: &Db) {
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(submit(db, &ann()).await);
        submit(db, &bob()).await;
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = db.store.list(&ann(), &Filter { after, limit: 3, state: None }).await.unwrap();
        assert!(page.jobs.len() <= 3);
        seen.extend(page.jobs.iter().map(|job| job.id));
        let Some(next) = page.next else { break };
        after = Some(Cursor::decode(&next.encode()).unwrap());
    }
    assert_eq!(seen, made);
    db.store.cancel(&ann(), made[2]).await.unwrap();
    let cancelled = Filter { state: Some(State::Cancelled), ..Filter::default() };
    let ids: Vec<_> = db.store.list(&ann(), &cancelled).await.unwrap().jobs.iter().map(|job| job.id).collect();
    assert_eq!(ids, [made[2]]);
}

async fn a_waiting_job_is_cancelled_at_once_and_a_second_cancel_finds_it_over(db: &Db) {
    let id = submit(db, &ann()).await;
    let Some(Cancel::Cancelled(job)) = db.store.cancel(&ann(), id).await.unwrap() else { panic!("not cancelled") };
    assert!(job.state == State::Cancelled && job.finished_at.is_some());
    assert!(matches!(db.store.cancel(&ann(), id).await.unwrap(), Some(Cancel::Over(_))));
    assert!(claim(db, "sitefit", LONG).await.is_none());
    assert!(db.store.cancel(&ann(), JobId::new()).await.unwrap().is_none());
}

async fn a_history_is_numbered_without_gaps_and_resumes_after_a_number(db: &Db) {
    let id = submit(db, &ann()).await;
    let claimed = claim(db, "sitefit", LONG).await.unwrap();
    db.queue.start(&claimed.lease).await.unwrap();
    db.queue.renew(&claimed.lease, LONG).await.unwrap();
    db.queue.complete(&claimed.lease, Outcome::Failed(failure("definition_error", false))).await.unwrap();
    let all = db.store.events(&ann(), id, 0).await.unwrap();
    let kinds: Vec<_> = all.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Submitted, Kind::Claimed, Kind::Started, Kind::Failed]);
    assert_eq!(all.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all.iter().map(|entry| entry.attempt).collect::<Vec<_>>(), [0, 1, 1, 1]);
    assert_eq!(all[3].code.as_deref(), Some("definition_error"));
    assert!(all.is_sorted_by_key(|entry| entry.at));
    assert_eq!(db.store.events(&ann(), id, 2).await.unwrap(), all[2..]);
    assert!(db.store.events(&ann(), id, u64::MAX).await.unwrap().is_empty());
}

async fn a_watch_hears_of_a_change(db: &Db) {
    let id = submit(db, &ann()).await;
    let mut job = db.store.watch(id);
    let mut queue = db.queue.watch_queue(&app("sitefit"));
    db.store.cancel(&ann(), id).await.unwrap();
    submit(db, &ann()).await;
    // Each returns by the bell or by its poll; that a hint is quick is tried where the clock is ours.
    job.changed(LONG).await;
    queue.changed(LONG).await;
    assert_eq!(db.store.events(&ann(), id, 1).await.unwrap()[0].kind, Kind::Cancelled);
}

async fn only_failed_and_dead_jobs_are_replayed(db: &Db) {
    let id = submit(db, &ann()).await;
    assert!(matches!(db.store.replay(&ann(), id).await.unwrap(), Some(Replay::Refused(_))));
    let claimed = claim(db, "sitefit", LONG).await.unwrap();
    db.queue.dead_letter(&claimed.lease, failure("poison", false)).await.unwrap();
    let Some(Replay::Queued(job)) = db.store.replay(&ann(), id).await.unwrap() else { panic!("not queued") };
    assert_eq!((job.state, job.attempts, job.finished_at), (State::Queued, 0, None));
    let again = claim(db, "sitefit", LONG).await.unwrap();
    assert!(again.lease.token > claimed.lease.token, "the old worker's token counts no more");
    db.queue.complete(&again.lease, Outcome::Succeeded(result_of(&ann(), id))).await.unwrap();
    assert!(matches!(db.store.replay(&ann(), id).await.unwrap(), Some(Replay::Refused(_))));
}
