//! Children: who gets a request, what wakes them, and that nobody can stop what they do.

use crate::support::{
    adder, cache_key, client, get, input, needs_plugin, pointed, post, send, start, try_post, until, upload,
};
use serde_json::json;
use simnode::{Config, Fault, Faults, Profile};
use std::time::{Duration, Instant};

fn slow(ms: u64) -> Config {
    Config { faults: Fault::Delay { ms }.at("/grasshopper").into(), ..Config::default() }
}

#[tokio::test]
async fn a_prober_that_asks_for_health_and_idle_span_wakes_nobody() {
    for profile in [Profile::V016, Profile::V017] {
        let node = start(Config::of(profile)).await;
        for _ in 0..3 {
            assert_eq!(get(&node, "/healthcheck").await.text, "Healthy");
            assert_eq!(get(&node, "/idlespan").await.text, "-1");
        }
        assert_eq!((node.state().awake_children, node.state().wakes), (0, 0));
        node.stop().await;
    }
}

#[tokio::test]
async fn everything_else_wakes_the_children() {
    for path in ["/", "/activechildren", "/version", "/plugins/gh/installed", "/plugins/rhino/installed", "/servertime"]
    {
        let node = start(Config::of(Profile::V016)).await;
        get(&node, path).await;
        until(&node, path, |node| node.state().awake_children == 4).await;
        assert_eq!(node.state().wakes, 1, "{path}");
        node.stop().await;
    }
}

#[tokio::test]
async fn children_can_be_launched_at_start() {
    let node = start(Config { spawn_on_startup: true, children: 3, ..Config::default() }).await;
    until(&node, "they come up", |node| node.state().awake_children == 3).await;
    assert!(node.log().is_empty());
    node.stop().await;
}

#[tokio::test]
async fn a_stub_evaluates_once_and_then_repeats_itself_after_its_wait_one_at_a_time() {
    let stub = Some(Duration::from_millis(40));
    let node = start(Config { stub, children: 1, ..Config::default() }).await;
    let first = post(&node, "/grasshopper", &upload(&adder(), &[input("a", &json!(100))])).await;
    let pointer = first.json()["pointer"].as_str().unwrap().to_owned();
    let begin = Instant::now();
    let body = pointed(&pointer, &[input("a", &json!(5))]);
    let (second, third) = tokio::join!(post(&node, "/grasshopper", &body), post(&node, "/grasshopper", &body));
    assert!(begin.elapsed() >= Duration::from_millis(80), "two solves of one child in {:?}", begin.elapsed());
    assert_eq!((first.text.as_str(), first.text.as_str()), (second.text.as_str(), third.text.as_str()));
    assert_eq!(node.state().max_concurrent_solves, 1);
    assert_eq!((node.state().requests, node.state().children[0].solves), (3, 3));
    node.forget();
    let forgotten = post(&node, "/grasshopper", &upload(&adder(), &[input("a", &json!(5))])).await;
    assert_ne!(forgotten.data("RH_OUT:sum"), first.data("RH_OUT:sum"));
    node.stop().await;
}

#[tokio::test]
async fn idle_children_exit_with_all_that_they_knew() {
    let node = start(Config { idle_span: Duration::from_millis(700), ..Config::default() }).await;
    let first = post(&node, "/grasshopper", &upload(&adder(), &[input("a", &json!(100))])).await;
    let pointer = first.json()["pointer"].as_str().unwrap().to_owned();
    assert_eq!(node.state().awake_children, 4);
    tokio::time::sleep(Duration::from_millis(800)).await;
    get(&node, "/healthcheck").await;
    assert_eq!(node.state().awake_children, 0);
    // The shelf outlives the children, what their callers left does not.
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[])).await.data("RH_OUT:sum"), "7.0");
    assert_eq!(node.state().launched_children, 8);
    node.stop().await;
}

#[tokio::test]
async fn a_cold_first_child_is_waited_for_and_the_others_refuse_meanwhile() {
    let node = start(Config { cold_start: Duration::from_secs(1), ..Config::default() }).await;
    let before = Instant::now();
    assert_eq!(get(&node, "/version").await.status, 200);
    assert!(before.elapsed() >= Duration::from_secs(1));
    // An answer other than 200 sends the next call on to a child that is still coming up.
    assert_eq!(post(&node, "/grasshopper", &upload(&needs_plugin("LadybugX"), &[])).await.status, 500);
    let refused = get(&node, "/version").await;
    assert_eq!(refused.status, 500, "{}", refused.text);
    node.stop().await;
}

#[tokio::test]
async fn solves_queue_on_one_child_while_others_idle_and_never_overlap_on_it() {
    let node = start(slow(300)).await;
    get(&node, "/version").await;
    let algo = adder();
    let body = upload(&algo, &[]);
    let all = tokio::join!(
        post(&node, "/grasshopper", &body),
        post(&node, "/grasshopper", &body),
        post(&node, "/grasshopper", &body),
        post(&node, "/grasshopper", &body),
        post(&node, "/grasshopper", &body),
        post(&node, "/grasshopper", &body),
    );
    for answer in [all.0, all.1, all.2, all.3, all.4, all.5] {
        assert_eq!(answer.status, 200);
    }
    let state = node.state();
    assert!(state.children.iter().all(|child| child.max_concurrent_solves <= 1), "{state:?}");
    assert_eq!(state.max_concurrent_solves, 4, "six calls over four children");
    assert!(node.log().iter().any(|entry| entry.concurrent > 1));
    node.stop().await;
}

#[tokio::test]
async fn a_recursion_level_bypasses_the_lock() {
    let node = start(Config { children: 1, ..slow(400) }).await;
    get(&node, "/version").await;
    let nested = json!({"algo": adder(), "RecursionLevel": 1, "values": []});
    let plain = upload(&adder(), &[]);
    let (first, second) = tokio::join!(post(&node, "/grasshopper", &plain), post(&node, "/grasshopper", &nested));
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(node.state().children[0].max_concurrent_solves, 2);
    node.stop().await;
}

#[tokio::test]
async fn a_caller_that_leaves_changes_nothing_for_the_solve() {
    let node = start(Config { children: 1, ..slow(500) }).await;
    let body = upload(&adder(), &[input("a", &json!(100))]).to_string();
    let caller = tokio::spawn(send(client().post(format!("{}/grasshopper", node.url())).body(body)));
    until(&node, "the solve begins", |node| node.state().max_concurrent_solves == 1).await;
    caller.abort();
    until(&node, "the leaving is noticed", |node| node.log()[0].peer_left).await;
    let child = &node.state().children[0];
    assert_eq!((child.solving, node.state().in_flight), (1, 1), "the lock is held for nobody");
    until(&node, "the solve ends", |node| node.state().in_flight == 0).await;
    let entry = &node.log()[0];
    assert_eq!((entry.status, entry.peer_left), (Some(200), true));
    node.set_faults(Faults::default()).await;
    let left_behind = post(&node, "/grasshopper", &pointed(&cache_key(&adder()), &[])).await;
    assert_eq!(left_behind.data("RH_OUT:sum"), "105.0", "its input is there for the next");
    node.stop().await;
}

#[tokio::test]
async fn stopping_ends_a_solve_that_would_hang_for_ever_and_leaves_no_listener() {
    let node = start(Config { faults: Fault::Hang.at("/grasshopper").into(), ..Config::default() }).await;
    let (address, control) = (node.address(), node.control_url().unwrap());
    let url = format!("{}/grasshopper", node.url());
    let hanging = tokio::spawn(send(client().post(url).body(upload(&adder(), &[]).to_string())));
    until(&node, "the solve hangs", |node| node.state().children.iter().any(|child| child.solving == 1)).await;
    let before = Instant::now();
    node.stop().await;
    assert!(before.elapsed() < Duration::from_secs(4));
    assert!(hanging.await.unwrap().is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(send(client().get(control)).await.is_err());
}

#[tokio::test]
async fn a_restart_cuts_connections_and_forgets_everything() {
    let node = start(Config { faults: Fault::Hang.at("/grasshopper").nth(2).into(), ..Config::default() }).await;
    let pointer =
        post(&node, "/grasshopper", &upload(&adder(), &[])).await.json()["pointer"].as_str().unwrap().to_owned();
    let body = upload(&adder(), &[]);
    let restart = async {
        until(&node, "the solve hangs", |node| node.state().children.iter().any(|child| child.solving == 1)).await;
        node.restart();
    };
    let (cut, ()) = tokio::join!(try_post(&node, "/grasshopper", &body), restart);
    assert!(!cut.unwrap_err().is_timeout());
    assert!(!node.log()[1].peer_left, "the node left, not the caller");
    let state = node.state();
    assert_eq!((state.restarts, state.awake_children, state.cached_definitions), (1, 0, 0));
    until(&node, "its tasks end", |node| node.state().in_flight == 0).await;
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[])).await.status, 400);
    assert_eq!(post(&node, "/grasshopper", &upload(&adder(), &[])).await.status, 200);
    node.stop().await;
}
