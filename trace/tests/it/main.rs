//! What a collector is told, and what becomes of spans that it does not take.

mod receiver;

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use receiver::{Receiver, text};
use tokio::sync::oneshot;
use trace::{Context, Counts, Flags, Kind, Place, Settings, Tracer};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn settings(receiver: &Receiver) -> Settings {
    let flags = Flags {
        endpoint: receiver.endpoint.clone(),
        headers: "api-key=s3cret".to_owned(),
        resource_attributes: "env=test".to_owned(),
        ..Flags::default()
    };
    let mut settings = flags.settings("tested").unwrap().unwrap();
    settings.bounds.linger = Duration::from_millis(20);
    settings
}

/// Runs an exporter, and gives what stops it and then waits for its end.
fn run(settings: Settings) -> (Tracer, impl AsyncFnOnce()) {
    let (tracer, exporter) = trace::start(Some(settings)).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(exporter.unwrap().run(async { drop(stopped.await) }));
    (tracer, async move || {
        drop(stop);
        running.await.unwrap();
    })
}

fn caller() -> Option<Context> {
    Context::kept(CALLER, Some("vendor=1"))
}

#[tokio::test]
async fn a_collector_is_told_the_tree_with_its_times_attributes_links_and_errors() {
    let receiver = Receiver::start().await;
    let (tracer, end) = run(settings(&receiver));
    let before = SystemTime::now();
    let step = tracer.step(caller());
    let mut root = tracer.span("root", Kind::Server, &step);
    root.set("text", "a");
    root.set("whole", 7_u64);
    root.set("number", 0.5);
    root.link(Place::read("00-0000000000000000000000000000000a-000000000000000b-01").unwrap());
    let mut child = tracer.below("child", Kind::Client, &step);
    child.since(before - Duration::from_secs(3));
    child.fail("node_timeout");
    drop(child);
    drop(root);
    end().await;
    let told = receiver.spans();
    assert_eq!(told.iter().map(|told| told.span.name.as_str()).collect::<Vec<_>>(), ["child", "root"]);
    assert!(told.iter().all(|told| told.service == "tested"));
    let (child, root) = (&told[0].span, &told[1].span);
    assert_eq!(format!("{:032x}", u128::from_be_bytes(root.trace_id.clone().try_into().unwrap())), &CALLER[3..35]);
    assert_eq!(
        format!("{:016x}", u64::from_be_bytes(root.parent_span_id.clone().try_into().unwrap())),
        &CALLER[36..52]
    );
    assert_eq!((&child.trace_id, &child.parent_span_id), (&root.trace_id, &root.span_id));
    assert_eq!((root.kind, child.kind, root.trace_state.as_str()), (2, 3, "vendor=1"));
    assert_eq!(text(&root.attributes, "text").unwrap() + &text(&root.attributes, "whole").unwrap(), "a7");
    assert_eq!((root.links.len(), root.links[0].span_id[7]), (1, 0x0b));
    assert_eq!(child.status.as_ref().unwrap().code, StatusCode::Error as i32);
    assert_eq!(child.status.as_ref().unwrap().message, "node_timeout");
    assert!(root.status.is_none());
    let took = child.end_time_unix_nano - child.start_time_unix_nano;
    assert!((3_000_000_000..4_000_000_000).contains(&took), "{took}");
    assert!(root.end_time_unix_nano - root.start_time_unix_nano < 1_000_000_000);
    let head = receiver.heads().to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n") && head.contains("content-type: application/x-protobuf"));
    assert!(head.contains("api-key: s3cret"));
    let bytes = receiver.bytes();
    assert!(!bytes.is_empty() && !bytes.windows(6).any(|six| six == b"s3cret"));
    assert_eq!(tracer.counts(), Counts { sent: 2, ..Counts::default() });
}

#[tokio::test]
async fn a_queue_that_is_full_drops_and_counts_and_holds_nobody() {
    let receiver = Receiver::start().await;
    receiver.answer(0);
    let mut settings = settings(&receiver);
    (settings.bounds.queue_max, settings.bounds.batch_max) = (10, 5);
    settings.bounds.flush = Duration::from_millis(200);
    let (tracer, end) = run(settings);
    let begin = std::time::Instant::now();
    for _ in 0..1000 {
        drop(tracer.span("one", Kind::Internal, &tracer.step(None)));
        tokio::task::yield_now().await;
    }
    // The queue, and the batch that hangs at the collector.
    let dropped = tracer.counts().dropped;
    assert!((985..=990).contains(&dropped), "{dropped}");
    end().await;
    assert!(begin.elapsed() < Duration::from_secs(5), "an end within its bound");
    let counts = tracer.counts();
    assert_eq!((counts.sent, counts.failed + counts.dropped), (0, 1000), "every span is counted once: {counts:?}");
    drop(tracer.span("late", Kind::Internal, &tracer.step(None)));
    assert_eq!(tracer.counts().dropped, dropped + 1, "after the end");
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let receiver = Receiver::start().await;
    receiver.answer(503);
    let (tracer, end) = run(settings(&receiver));
    drop(tracer.span("one", Kind::Internal, &tracer.step(None)));
    while receiver.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    receiver.answer(200);
    // The stop comes while it waits for the second time.
    end().await;
    assert_eq!((receiver.requests(), receiver.spans().len(), tracer.counts().sent), (2, 1, 1));

    receiver.answer(400);
    let (tracer, end) = run(settings(&receiver));
    drop(tracer.span("two", Kind::Internal, &tracer.step(None)));
    end().await;
    assert_eq!((receiver.requests(), tracer.counts()), (3, Counts { failed: 1, ..Counts::default() }));
}

#[tokio::test]
async fn what_is_not_sampled_or_has_no_collector_is_not_kept_and_its_trace_goes_on() {
    let receiver = Receiver::start().await;
    let (tracer, end) = run(settings(&receiver));
    let unsampled = Context::kept(&CALLER.replace("-01", "-00"), None);
    let step = tracer.step(unsampled);
    assert!(!step.context.place.is_sampled() && step.context.place.to_string()[..35] == CALLER[..35]);
    assert!(tracer.span("one", Kind::Server, &step).step().is_none());
    assert!(tracer.below("two", Kind::Internal, &step).step().is_none());
    end().await;
    assert_eq!((receiver.requests(), tracer.counts()), (0, Counts::default()));

    let off = Tracer::default();
    let step = off.step(caller());
    assert!(step.context.place.is_sampled(), "the caller's word is passed on");
    assert_ne!(step.context.place.to_string(), CALLER, "and the place is our own");
    assert_eq!((step.context.state(), step.parent), (Some("vendor=1"), Some(Place::read(CALLER).unwrap().span_id)));
    assert!(off.span("one", Kind::Server, &step).step().is_none());
    assert!(!off.step(None).context.place.is_sampled());
}
