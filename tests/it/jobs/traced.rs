//! One job's trace: from its caller through the API, the queue, the worker and the gateway to the header that the node is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::{Bench, small};
use crate::receiver::{Receiver, Told, text};
use crate::support::{Answered, Setup, TestGateway, WORKER_KEY, sitefit};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Waits until the collector has been told of so many spans of the trace.
async fn spans(receiver: &Receiver, trace: &str, count: usize) -> Vec<Told> {
    for _ in 0..500 {
        let told: Vec<Told> = receiver.spans().into_iter().filter(|told| hex(&told.span.trace_id) == trace).collect();
        if told.len() >= count {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not {count} spans within 10 s: {:#?}", receiver.spans());
}

/// The tree below a span, a line each.
fn tree(told: &[Told], parent: &str, depth: usize, out: &mut String) {
    let mut below: Vec<&Told> = told.iter().filter(|told| hex(&told.span.parent_span_id) == parent).collect();
    below.sort_by_key(|told| told.span.start_time_unix_nano);
    for Told { service, span } in below {
        let micros = (span.end_time_unix_nano - span.start_time_unix_nano) / 1000;
        let indent = "  ".repeat(depth);
        let id = hex(&span.span_id);
        let _ = writeln!(out, "{indent}{:width$} {service:16} {id} {micros:>7} us", span.name, width = 30 - 2 * depth);
        tree(told, &id, depth + 1, out);
    }
}

#[tokio::test]
async fn the_spans_of_one_job_are_one_tree_that_ends_in_the_header_which_the_node_is_sent() {
    let receiver = Receiver::start().await;
    let mut bench = Bench::traced(&receiver).await;
    bench.employ();
    let headers = [("traceparent", CALLER), ("tracestate", "vendor=1")];
    let answer = bench.ask("post", "/sitefit/jobs/run", "studio", &headers, Some(&small())).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(&answer.header("traceparent")[..35], &CALLER[..35], "the answer tells where it stands");
    let job_id = answer.json()["job_id"].as_str().unwrap().to_owned();
    bench.until("studio", &job_id, &["succeeded"]).await;
    let told = spans(&receiver, TRACE, 7).await;
    let log = bench.gateway.nodes[0].log();
    let solve = log.iter().find(|entry| entry.path == "/grasshopper").unwrap();
    let sent = solve.traceparent.clone().unwrap();

    let mut drawn = format!("caller                         {:16} {}\n", "", &CALLER[36..52]);
    tree(&told, &CALLER[36..52], 1, &mut drawn);
    let _ = writeln!(drawn, "what the node was sent: traceparent: {sent}");
    println!("{drawn}");

    let by_name: BTreeMap<&str, &Told> = told.iter().map(|told| (told.span.name.as_str(), told)).collect();
    assert_eq!(told.len(), 7, "{drawn}");
    let chain = [
        ("API request", "appserver-api", None),
        ("queue wait", "appserver-worker", Some("API request")),
        ("worker attempt", "appserver-worker", Some("queue wait")),
        ("gateway request", "appserver", Some("worker attempt")),
        ("wait for seat", "appserver", Some("gateway request")),
        ("wait for node", "appserver", Some("gateway request")),
        ("solve", "appserver", Some("gateway request")),
    ];
    for (name, service, parent) in chain {
        let Told { service: by, span } = by_name[name];
        let parent = parent.map_or(CALLER[36..52].to_owned(), |parent| hex(&by_name[parent].span.span_id));
        assert_eq!((by.as_str(), hex(&span.parent_span_id)), (service, parent), "{name} in\n{drawn}");
        assert_eq!(span.trace_state, "vendor=1", "{name}");
        assert!(span.status.is_none() && span.end_time_unix_nano >= span.start_time_unix_nano, "{name}");
    }
    let below = hex(&by_name["solve"].span.span_id);
    assert_eq!(sent, format!("00-{TRACE}-{below}-01"), "the node stands below the solve");
    assert_eq!(solve.tracestate.as_deref(), Some("vendor=1"));
    let attributes = &by_name["gateway request"].span.attributes;
    assert_eq!(text(attributes, "app_id").as_deref(), Some("sitefit"));
    assert_eq!(text(attributes, "request_id"), Some(format!("{job_id}.1")));
    assert_eq!(text(&by_name["worker attempt"].span.attributes, "job_id"), Some(job_id));
    bench.stop().await;
}

#[tokio::test]
async fn who_joins_a_solve_and_who_is_given_a_kept_answer_are_linked_to_where_it_was_solved() {
    let receiver = Receiver::start().await;
    let gateway = traced(&receiver, 300).await;
    let ask = async |number: u32| {
        let parent = format!("00-{number:032x}-00f067aa0ba902b7-01");
        let request = gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base));
        let request = request.bearer_auth(WORKER_KEY).header("traceparent", parent).body(sitefit().to_string());
        Answered::of(request.send().await.unwrap()).await
    };
    let (first, second) = tokio::join!(ask(1), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask(2).await
    });
    let third = ask(3).await;
    let caches = [&first, &second, &third].map(|answer| answer.json()["receipt"]["cache"].clone());
    assert_eq!(json!(caches), json!(["miss", "joined", "hit"]));
    let of = async |number: u32, count| spans(&receiver, &format!("{number:032x}"), count).await;
    let (leader, follower, hit) = (of(1, 4).await, of(2, 1).await, of(3, 1).await);
    let find = |told: &[Told], name: &str| told.iter().find(|told| told.span.name == name).unwrap().span.clone();
    assert_eq!((follower.len(), hit.len()), (1, 1), "they have no solve of their own");
    let link = |told: &[Told]| {
        let links = find(told, "gateway request").links;
        assert_eq!(links.len(), 1);
        (hex(&links[0].trace_id), hex(&links[0].span_id))
    };
    let solved_in = |name: &str| (format!("{:032x}", 1), hex(&find(&leader, name).span_id));
    assert_eq!(link(&follower), solved_in("gateway request"));
    assert_eq!(link(&hit), solved_in("solve"));
    assert!(find(&leader, "gateway request").links.is_empty());
    assert_eq!(gateway.nodes[0].log().iter().filter(|entry| entry.path == "/grasshopper").count(), 1);
    gateway.stop().await;
}

/// A gateway with a cache, whose node takes so long, and which tells the receiver.
async fn traced(receiver: &Receiver, ms: u64) -> TestGateway {
    let setup = Setup { nodes: vec![simnode::Config::default()], ..Setup::default() };
    let endpoint = receiver.endpoint.clone();
    let gateway = TestGateway::telling(setup, move |config| {
        config.trace.endpoint = endpoint;
        config.cache.enabled = true;
    })
    .await;
    gateway.nodes[0].set_faults(simnode::Fault::Delay { ms }.at("/grasshopper")).await;
    gateway
}
