//! Rows and messages: whatever happens to either, each job is worked on, and its row says what came of it.

use std::sync::Arc;
use std::time::Duration;

use jobs::servicebus::{Inbox, Letter, Post, Settle};
use jobs::{Abandon, Claimed, Error, JobId, Outcome, Queue as _, State, Store as _, Submitted};
use sqlx::Row as _;

use super::broker::{Broker, Rules};
use super::{Bench, address};
use crate::server::run;
use crate::support::{LONG, SHORT, ann, app, failure, new_job, result_of};

const QUEUE: &str = "jobs-sitefit";
const DEAD: &str = "jobs-sitefit/$deadletterqueue";

impl Bench {
    async fn submit(&self) -> JobId {
        let Submitted::Created(job) = self.store.submit(&ann(), new_job()).await.unwrap() else { panic!("not made") };
        job.id
    }

    /// Claims, for as long as a slow machine may take.
    async fn claim(&self, lease: Duration) -> Claimed {
        for _ in 0..600 {
            // While the line is made there is none, and one that could not be made just now is told at once.
            match self.bus.claim(&app("sitefit"), "w", lease).await {
                Ok(Some(claimed)) => return claimed,
                Ok(None) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("nothing to claim");
    }

    async fn none(&self) {
        assert!(self.bus.claim(&app("sitefit"), "w", LONG).await.unwrap().is_none());
    }

    async fn succeed(&self, claimed: &Claimed) {
        let outcome = Outcome::Succeeded(result_of(&ann(), claimed.job.id));
        assert_eq!(self.bus.complete(&claimed.lease, outcome).await.unwrap(), State::Succeeded);
    }

    async fn state(&self, id: JobId) -> State {
        self.store.get(&ann(), id).await.unwrap().unwrap().state
    }

    /// Waits until the broker's queue has so many of these.
    async fn until(&self, queue: &str, name: &str, wanted: u64) {
        for _ in 0..500 {
            if self.broker.figure(queue, name) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{queue}: {name} is not {wanted}: {}", self.broker.say("stats"));
    }
}

#[tokio::test]
async fn a_message_is_completed_with_its_row_and_carries_names_only() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    let id = bench.submit().await;
    bench.until(QUEUE, "ready", 1).await;
    let inbox = Inbox::open(Arc::new(address(&bench.broker)), QUEUE);
    let seen = loop {
        if let Ok(Some(seen)) = inbox.next(LONG).await {
            break seen;
        }
    };
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body, serde_json::json!({"tenant": "ann", "app": "sitefit", "job": id}));
    inbox.settle(seen, Settle::Abandon).await.unwrap();
    let claimed = bench.claim(LONG).await;
    assert_eq!((claimed.job.id, bench.broker.figure(QUEUE, "locked")), (id, 1));
    bench.succeed(&claimed).await;
    assert_eq!(bench.broker.figure(QUEUE, "completed"), 1);
    assert_eq!((bench.count("sent"), bench.count("settled")), (1, 1));
}

#[tokio::test]
async fn a_message_whose_row_is_over_or_gone_is_completed_and_counted() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    let (over, gone) = (bench.submit().await, bench.submit().await);
    bench.until(QUEUE, "ready", 2).await;
    bench.store.cancel(&ann(), over).await.unwrap();
    let mut raw = bench.database.raw("postgres").await;
    run(&mut raw, &format!("DELETE FROM job WHERE id = '{gone}'")).await;
    bench.none().await;
    assert_eq!((bench.count("stale"), bench.broker.figure(QUEUE, "completed")), (2, 2));
    assert_eq!(bench.state(over).await, State::Cancelled);
}

#[tokio::test]
async fn a_row_whose_message_is_gone_is_told_of_again() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    let id = bench.submit().await;
    let inbox = Inbox::open(Arc::new(address(&bench.broker)), QUEUE);
    let lost = loop {
        if let Ok(Some(lost)) = inbox.next(LONG).await {
            break lost;
        }
    };
    inbox.settle(lost, Settle::Complete).await.unwrap();
    bench.none().await;
    assert_eq!(bench.count("told_again"), 0, "not before its time");
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..3 {
        bench.bus.reap(10).await.unwrap();
    }
    assert_eq!(bench.count("told_again"), 1, "and once in that time");
    assert_eq!(bench.claim(LONG).await.job.id, id);
}

#[tokio::test]
async fn a_lock_that_is_lost_costs_the_job_nothing() {
    let Some(bench) = Bench::new(Rules { lock_ms: 700, ..Rules::default() }).await else { return };
    bench.submit().await;
    let claimed = bench.claim(LONG).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The message is out again while the job runs: it is sent again for later, and nobody else gets the job.
    bench.none().await;
    bench.succeed(&claimed).await;
    assert_eq!((bench.count("lock_lost"), bench.count("postponed"), bench.count("settled")), (1, 1, 0));
}

#[tokio::test]
async fn a_lease_that_is_renewed_renews_the_lock() {
    let Some(bench) = Bench::new(Rules { lock_ms: 6_000, ..Rules::default() }).await else { return };
    bench.submit().await;
    let mut claimed = bench.claim(LONG).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        claimed.lease = bench.bus.renew(&claimed.lease, LONG).await.unwrap().lease;
    }
    bench.succeed(&claimed).await;
    assert_eq!((bench.broker.figure(QUEUE, "lapsed"), bench.count("settled")), (0, 1));
    assert!(bench.broker.figure(QUEUE, "renewed") >= 2);
}

#[tokio::test]
async fn a_worker_that_vanished_leaves_its_job_to_the_next_and_writes_nothing_when_it_wakes() {
    let Some(bench) = Bench::new(Rules { lock_ms: 700, ..Rules::default() }).await else { return };
    let id = bench.submit().await;
    let zombie = bench.claim(SHORT).await;
    // Nobody reaps: whoever is given the message again takes the row back, as its lease has ended.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let heir = bench.claim(LONG).await;
    assert_eq!((heir.job.id, heir.job.attempts), (id, 2));
    let late = bench.bus.complete(&zombie.lease, Outcome::Succeeded(result_of(&ann(), id))).await;
    assert!(matches!(late, Err(Error::Fenced)));
    bench.succeed(&heir).await;
    bench.until(QUEUE, "locked", 0).await;
}

#[tokio::test]
async fn a_retry_is_a_message_for_later_and_a_dead_job_is_a_dead_message_with_its_word() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    let id = bench.submit().await;
    let claimed = bench.claim(LONG).await;
    let how = Abandon::Retry { failure: failure("node_lost", true), after: Duration::from_secs(2) };
    let began = tokio::time::Instant::now();
    assert_eq!(bench.bus.abandon(&claimed.lease, how).await.unwrap(), State::Queued);
    bench.until(QUEUE, "scheduled", 1).await;
    assert_eq!(bench.broker.figure(QUEUE, "completed"), 1, "the message of the first attempt is done with");
    let claimed = bench.claim(LONG).await;
    assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
    assert_eq!((claimed.job.id, claimed.job.attempts), (id, 2));
    bench.bus.dead_letter(&claimed.lease, failure("inputs_unreadable", false)).await.unwrap();
    assert_eq!((bench.state(id).await, bench.broker.figure(DEAD, "ready")), (State::Dead, 1));
    let dead = Inbox::open(Arc::new(address(&bench.broker)), "jobs-sitefit/$DeadLetterQueue");
    let buried = loop {
        if let Ok(Some(buried)) = dead.next(LONG).await {
            break buried;
        }
    };
    assert_eq!(buried.property("DeadLetterReason").as_deref(), Some("inputs_unreadable"));
    assert!(buried.property("DeadLetterErrorDescription").unwrap().contains(&id.to_string()));
    // A replay is a message of its own.
    bench.store.replay(&ann(), id).await.unwrap();
    assert_eq!(bench.claim(LONG).await.job.id, id);
}

#[tokio::test]
async fn a_message_that_is_none_of_ours_is_buried_and_blocks_nobody() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    let post = Post::new(Arc::new(address(&bench.broker)));
    let foreign = r#"{"tenant":"ann","app":"parking","job":"0192d0c0-0000-7000-8000-000000000000"}"#;
    for (id, body) in ["", "{", "[]", r#"{"tenant":"../x"}"#, foreign].into_iter().enumerate() {
        let letter = Letter { id: id.to_string(), body: body.as_bytes().to_vec(), after: Duration::ZERO };
        post.send(QUEUE, letter).await.unwrap();
    }
    let id = bench.submit().await;
    assert_eq!(bench.claim(LONG).await.job.id, id);
    assert_eq!((bench.count("dead_lettered"), bench.broker.figure(DEAD, "ready")), (5, 5));
}

#[tokio::test]
async fn a_broker_that_is_away_keeps_nobody_from_submitting_and_is_told_when_it_is_back() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    bench.submit().await;
    let claimed = bench.claim(LONG).await;
    bench.succeed(&claimed).await;
    let (port, Bench { broker, database, store, bus, relay }) = (bench.broker.port, bench);
    drop(broker);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let Submitted::Created(job) = store.submit(&ann(), new_job()).await.unwrap() else { panic!("not made") };
        ids.push(job.id);
    }
    let mut raw = database.raw("postgres").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting: i64 = sqlx::query("SELECT count(*) FROM outbox").fetch_one(&mut raw).await.unwrap().get(0);
    assert_eq!(waiting, 5);
    let broker = Arc::new(Broker::start_at(port, Rules::default()).unwrap());
    let bench = Bench { broker, database, store, bus, relay };
    for _ in 0..5 {
        let claimed = bench.claim(LONG).await;
        ids.retain(|id| *id != claimed.job.id);
        bench.succeed(&claimed).await;
    }
    assert!(ids.is_empty());
}

/// A relay that ended after the broker had the message, and before the outbox knew.
#[tokio::test]
async fn a_message_that_is_told_twice_is_one_job_with_a_broker_that_looks_for_it_and_without() {
    for duplicates_ms in [0, 60_000] {
        let Some(bench) = Bench::new(Rules { duplicates_ms, ..Rules::default() }).await else { return };
        let mut raw = bench.database.raw("postgres").await;
        run(&mut raw, "CREATE TABLE told (LIKE outbox); GRANT INSERT ON told TO PUBLIC").await;
        run(&mut raw, "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO appserver.told VALUES (NEW.*); RETURN NULL; END $$")
            .await;
        run(&mut raw, "CREATE TRIGGER keep AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION keep()").await;
        let id = bench.submit().await;
        bench.until(QUEUE, "ready", 1).await;
        // The broker may have it while the outbox has yet to hear of that.
        run(
            &mut raw,
            "BEGIN; LOCK TABLE outbox; INSERT INTO outbox OVERRIDING SYSTEM VALUE SELECT * FROM told; COMMIT",
        )
        .await;
        for _ in 0..500 {
            if bench.count("sent") == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let claimed = bench.claim(LONG).await;
        assert_eq!(claimed.job.id, id);
        bench.succeed(&claimed).await;
        bench.none().await;
        let dropped = u64::from(duplicates_ms > 0);
        assert_eq!((bench.broker.figure(QUEUE, "duplicates"), bench.count("stale")), (dropped, 1 - dropped));
    }
}

#[tokio::test]
async fn only_roles_that_may_relay_see_the_outbox() {
    let Some(bench) = Bench::new(Rules::default()).await else { return };
    let plain = bench.database.connect("test_api").await;
    let refused = plain.relay(bench.bus.as_ref(), 10).await;
    assert!(matches!(refused, Err(Error::Forbidden)), "{refused:?}");
    assert!(matches!(plain.check_relay().await, Err(Error::Unfit(why)) if why.contains("appserver_relay")));
    let mut raw = bench.database.raw("postgres").await;
    let login = bench.database.own("relay");
    run(&mut raw, &format!("CREATE ROLE {login} LOGIN IN ROLE appserver_api, appserver_relay")).await;
    let relay = bench.database.connect(&login).await;
    relay.check_relay().await.unwrap();
    relay.relay(bench.bus.as_ref(), 10).await.unwrap();
}
