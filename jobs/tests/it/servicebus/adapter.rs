//! The adapter by itself: what the broker says of a message is what its caller hears.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jobs::servicebus::{Address, Fault, Inbox, Received, Settle};

use super::address;
use super::broker::{Broker, Rules, script};

const QUEUE: &str = "jobs-sitefit";
const DEAD: &str = "jobs-sitefit/$DeadLetterQueue";
const WAIT: Duration = Duration::from_secs(5);
const BRIEF: Duration = Duration::from_millis(300);
/// A lock that is lost soon, and one that is not.
const SHORT: Rules = Rules { lock_ms: 600, deliveries_max: 10, duplicates_ms: 0, idle_ms: 0 };

/// Microsoft's client holds the stand-in to what the adapter's tests rest on.
#[test]
fn microsofts_own_client_finds_the_stand_in_to_be_what_the_adapter_takes_it_for() {
    let Some(broker) = Broker::start(Rules { lock_ms: 2_000, ..SHORT }) else { return };
    let python = Path::new(&std::env::var_os("APPSERVER_TEST_SERVICEBUS").unwrap()).join("python/bin/python");
    let run = Command::new(python)
        .arg(script("witness.py"))
        .args([broker.port.to_string(), "2000".to_owned()])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    let wanted = "wrong key refused\npeeked first 0\nrenewed True\nabandoned first 1\ncompleted 0\ndead poison definition_error It is dead.\n\
                  late completion refused: lock lost\nlate renewal refused: lock lost\nredelivered slow 1\nscheduled: not yet 0\n\
                  scheduled: then later\n";
    assert_eq!(said, wanted, "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(broker.figure("jobs-witness", "lost"), 2, "the broker was asked each time");
}

/// Sends as the queue does, by its own sender.
async fn send(broker: &Broker, body: &str, id: &str, after: Duration) {
    let post = jobs::servicebus::Post::new(Arc::new(address(broker)));
    let letter = jobs::servicebus::Letter { id: id.to_owned(), body: body.as_bytes().to_vec(), after };
    post.send(QUEUE, letter).await.unwrap();
}

async fn next(inbox: &Inbox) -> Received {
    for _ in 0..50 {
        match inbox.next(WAIT).await {
            Ok(Some(received)) => return received,
            Ok(None) => break,
            // The first line is being made.
            Err(Fault::Gone(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(fault) => panic!("{fault}"),
        }
    }
    panic!("no message comes: {inbox:?}");
}

async fn none(inbox: &Inbox) {
    assert!(matches!(inbox.next(BRIEF).await, Ok(None)));
}

fn open(broker: &Broker, queue: &str) -> Inbox {
    Inbox::open(Arc::new(address(broker)), queue)
}

#[tokio::test]
async fn a_message_is_locked_abandoned_completed_and_gone() {
    let Some(broker) = Broker::start(Rules::default()) else { return };
    let inbox = open(&broker, QUEUE);
    send(&broker, "one", "a", Duration::ZERO).await;
    let first = next(&inbox).await;
    assert_eq!((first.body.as_slice(), first.deliveries), (&b"one"[..], 0));
    none(&inbox).await;
    inbox.settle(first, Settle::Abandon).await.unwrap();
    let second = next(&inbox).await;
    assert_eq!(second.deliveries, 1, "the failed one is counted");
    inbox.settle(second, Settle::Complete).await.unwrap();
    none(&inbox).await;
    let figure = |name| broker.figure(QUEUE, name);
    assert_eq!((figure("completed"), figure("abandoned"), figure("ready"), figure("locked")), (1, 1, 0, 0));
}

#[tokio::test]
async fn what_is_settled_after_its_lock_is_reported_as_lost_and_comes_again() {
    let Some(broker) = Broker::start(SHORT) else { return };
    let inbox = open(&broker, QUEUE);
    for how in [Settle::Complete, Settle::Abandon, dead_letter()] {
        send(&broker, "slow", "a", Duration::ZERO).await;
        let late = next(&inbox).await;
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(inbox.settle(late, how).await, Err(Fault::LockLost));
        let again = next(&inbox).await;
        assert_eq!(again.deliveries, 1);
        inbox.settle(again, Settle::Complete).await.unwrap();
    }
    assert_eq!(broker.figure(&DEAD.to_lowercase(), "ready"), 0, "nothing was buried by one who had no right to");
}

fn dead_letter() -> Settle {
    Settle::DeadLetter { reason: "definition_error".to_owned(), description: "It is dead.".to_owned() }
}

#[tokio::test]
async fn a_lock_that_is_renewed_holds_and_one_that_is_lost_is_not_renewed() {
    let Some(broker) = Broker::start(Rules { lock_ms: 1_500, ..SHORT }) else { return };
    let inbox = open(&broker, QUEUE);
    send(&broker, "long", "a", Duration::ZERO).await;
    let held = next(&inbox).await;
    let mut until = held.locked_until_ms.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(800)).await;
        let renewed = inbox.renew(held.lock).await.unwrap();
        assert!(renewed > until);
        until = renewed;
    }
    let lock = held.lock;
    inbox.settle(held, Settle::Complete).await.unwrap();
    assert_eq!(inbox.renew(lock).await, Err(Fault::LockLost));
    assert_eq!(broker.figure(QUEUE, "lapsed"), 0);
}

#[tokio::test]
async fn the_dead_are_kept_with_their_reason_and_so_is_what_was_given_out_too_often() {
    let Some(broker) = Broker::start(Rules { deliveries_max: 2, ..Rules::default() }) else { return };
    let (inbox, dead) = (open(&broker, QUEUE), open(&broker, DEAD));
    send(&broker, "poison", "a", Duration::ZERO).await;
    inbox.settle(next(&inbox).await, dead_letter()).await.unwrap();
    let buried = next(&dead).await;
    assert_eq!(buried.property("DeadLetterReason").as_deref(), Some("definition_error"));
    assert_eq!(buried.property("DeadLetterErrorDescription").as_deref(), Some("It is dead."));
    dead.settle(buried, Settle::Complete).await.unwrap();
    send(&broker, "unlucky", "b", Duration::ZERO).await;
    for _ in 0..2 {
        inbox.settle(next(&inbox).await, Settle::Abandon).await.unwrap();
    }
    assert_eq!(next(&dead).await.property("DeadLetterReason").as_deref(), Some("MaxDeliveryCountExceeded"));
}

#[tokio::test]
async fn a_message_for_later_comes_later_and_a_second_one_of_its_name_does_not() {
    let Some(broker) = Broker::start(Rules { duplicates_ms: 60_000, ..Rules::default() }) else { return };
    let inbox = open(&broker, QUEUE);
    let began = tokio::time::Instant::now();
    for _ in 0..2 {
        send(&broker, "later", "a.1", Duration::from_secs(2)).await;
    }
    let got = next(&inbox).await;
    // The broker's clock and ours are one here; it keeps milliseconds.
    assert!(began.elapsed() > Duration::from_millis(1_900), "{:?}", began.elapsed());
    inbox.settle(got, Settle::Complete).await.unwrap();
    assert_eq!(broker.figure(QUEUE, "duplicates"), 1);
    none(&inbox).await;
}

#[tokio::test]
async fn a_line_that_breaks_is_made_anew_and_its_messages_come_again() {
    let Some(broker) = Broker::start(SHORT) else { return };
    let inbox = open(&broker, QUEUE);
    send(&broker, "one", "a", Duration::ZERO).await;
    let held = next(&inbox).await;
    broker.say("drop");
    let settled = inbox.settle(held, Settle::Complete).await;
    assert!(matches!(settled, Err(Fault::Gone(_))), "{settled:?}");
    let again = next(&inbox).await;
    assert_eq!((again.body.as_slice(), again.deliveries), (&b"one"[..], 1));
    inbox.settle(again, Settle::Complete).await.unwrap();
}

#[tokio::test]
async fn a_link_that_the_broker_ends_because_it_is_idle_costs_nothing() {
    let Some(broker) = Broker::start(Rules { idle_ms: 300, ..Rules::default() }) else { return };
    let inbox = open(&broker, QUEUE);
    let post = jobs::servicebus::Post::new(Arc::new(address(&broker)));
    for id in 0..3 {
        let letter = jobs::servicebus::Letter { id: id.to_string(), body: b"one".to_vec(), after: Duration::ZERO };
        post.send(QUEUE, letter).await.unwrap();
        let got = next(&inbox).await;
        inbox.settle(got, Settle::Complete).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_said_without_it() {
    let Some(broker) = Broker::start(Rules::default()) else { return };
    let address = Address::parse(&broker.connection("aHVudGVyMg==")).unwrap();
    let post = jobs::servicebus::Post::new(Arc::new(address));
    let letter = jobs::servicebus::Letter { id: "a".to_owned(), body: b"one".to_vec(), after: Duration::ZERO };
    let Err(Fault::Refused(why)) = post.send(QUEUE, letter).await else { panic!("a wrong key was taken") };
    assert!(why.contains("401") && !why.contains("aHVudGVyMg"), "{why}");
}

#[tokio::test]
async fn a_message_that_nobody_waits_for_any_more_is_given_back_uncounted() {
    let Some(broker) = Broker::start(Rules::default()) else { return };
    let (inbox, other) = (open(&broker, QUEUE), open(&broker, QUEUE));
    send(&broker, "one", "a", Duration::ZERO).await;
    let got = next(&inbox).await;
    inbox.settle(got, Settle::Complete).await.unwrap();
    none(&inbox).await;
    // It was asked for one, and has it now.
    send(&broker, "two", "b", Duration::ZERO).await;
    let got = next(&other).await;
    assert_eq!((got.body.as_slice(), got.deliveries, broker.figure(QUEUE, "released")), (&b"two"[..], 0, 1));
}

#[tokio::test]
async fn who_stops_waiting_leaves_no_message_locked() {
    let Some(broker) = Broker::start(Rules::default()) else { return };
    let inbox = open(&broker, QUEUE);
    send(&broker, "one", "a", Duration::ZERO).await;
    let got = next(&inbox).await;
    inbox.settle(got, Settle::Complete).await.unwrap();
    for turn in 0..20 {
        let _ = inbox.next(Duration::from_millis(turn)).await;
        send(&broker, "one", &turn.to_string(), Duration::ZERO).await;
        let got = next(&inbox).await;
        inbox.settle(got, Settle::Complete).await.unwrap();
    }
    assert_eq!((broker.figure(QUEUE, "locked"), broker.figure(QUEUE, "completed")), (0, 21));
}
