//! Nodes that fail, each in its way: what the caller is told, and that the gateway goes on.

use std::time::Duration;

use serde_json::{Value, json};
use simnode::{Config, Fault, Faults, Rule, When};

use crate::support::{Setup, TestGateway, examples, repository, sitefit};

async fn with_node(node: Config) -> TestGateway {
    TestGateway::with(Setup { nodes: vec![node], ..Setup::default() }).await
}

fn faulty(fault: Fault) -> Config {
    let when = When { endpoint: Some("/grasshopper".into()), ..When::default() };
    Config { faults: Faults { seed: 1, rules: vec![Rule { fault, when }] }, ..Config::default() }
}

#[tokio::test]
async fn each_fault_of_a_node_has_its_code_and_the_gateway_goes_on() {
    let cases = [
        (Fault::Reset { byte: 0 }, 502, "node_unreachable"),
        (Fault::Reset { byte: 300 }, 502, "node_unreachable"),
        (Fault::EmptyError, 502, "node_invalid_answer"),
        (Fault::BadGatewayPage, 502, "node_invalid_answer"),
        (Fault::TruncatedJson { keep: 40 }, 502, "node_invalid_answer"),
        (Fault::Garbage, 502, "node_unreachable"),
        (Fault::OkWithText { text: "Error: nothing here".into() }, 502, "node_invalid_answer"),
        (
            Fault::OkWithErrors {
                errors: vec!["Radius is negative: component \"Circle\" (c0ffee00-0000-4000-8000-000000000000)".into()],
            },
            422,
            "definition_error",
        ),
        (Fault::Huge { bytes: 200 << 20 }, 502, "answer_too_large"),
        (Fault::EndlessChunked, 502, "answer_too_large"),
        (Fault::WrongContentLength { off_by: 50 }, 502, "node_unreachable"),
    ];
    for (fault, status, code) in cases {
        let what = format!("{fault:?}");
        let gateway = with_node(faulty(fault)).await;
        let answer = gateway.solve("sitefit:1.0.0", &sitefit()).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{what}: {}", answer.text);
        gateway.nodes[0].set_faults(Faults::default()).await;
        gateway.until_solved().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_solve_past_its_deadline_keeps_its_slot_until_the_node_has_answered() {
    let when = When { endpoint: Some("/grasshopper".into()), times: Some(1), ..When::default() };
    let rule = Rule { fault: Fault::Delay { ms: 3000 }, when };
    let node = Config { children: 1, faults: Faults { seed: 1, rules: vec![rule] }, ..Config::default() };
    let gateway = with_node(node).await;
    let target = format!("{}/gh/sitefit:1.0.0/solve", gateway.base);
    let hasty = || gateway.client.post(&target).header("X-Timeout-Sec", "0.5").body(sitefit().to_string()).send();
    let first: Value = hasty().await.unwrap().json().await.unwrap();
    assert_eq!((&first["status"], &first["code"]), (&json!(504), &json!("node_timeout")));
    let node = || serde_json::to_value(&gateway.admin.health().nodes[0]).unwrap();
    assert_eq!((&node()["free"], &node()["wedged"]), (&json!(0), &json!(1)));
    let second: Value = hasty().await.unwrap().json().await.unwrap();
    assert_eq!(second["code"], "no_free_slot", "{second}");
    gateway.until(|health| serde_json::to_value(&health.nodes[0]).unwrap()["wedged"] == 0).await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    assert_eq!(gateway.nodes[0].state().max_concurrent_solves, 1, "the node never ran two at once");
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_that_the_node_refuses_is_the_gateways_fault() {
    let gateway = TestGateway::with(Setup {
        nodes: vec![Config { api_key: Some("the-nodes-key".into()), ..Config::default() }],
        unready: true,
        ..Setup::default()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = gateway.solve("sitefit:1.0.0", &sitefit()).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let node = serde_json::to_value(&gateway.admin.health().nodes[0]).unwrap();
    assert!(node["why"].as_str().unwrap_or_default().contains("key"), "{node}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_version_is_solved_only_where_its_plugins_are() {
    let with =
        Config { grasshopper_plugins: [("LadybugX".to_owned(), "1.2.0".to_owned())].into(), ..Config::default() };
    let gateway = TestGateway::with(Setup { nodes: vec![Config::default(), with], ..Setup::default() }).await;
    gateway.until(|health| health.nodes.iter().all(|node| node.rhino.is_some())).await;
    let body = gateway.get("/health/registry").await.json();
    let daylight = &body["apps"][0]["versions"][0];
    assert_eq!(
        (&daylight["status"], &daylight["nodes_ready"], &daylight["nodes_total"]),
        (&json!("ready"), &json!(1), &json!(2)),
        "{daylight}"
    );
    let version = repository().join("registry/contracts/daylight/0.1.0");
    let inputs = &examples(&version, "valid")[0].1["inputs"];
    // What it answers there is the plug-in's business; the stand-in does not have its code.
    gateway.solve("daylight:0.1.0", &json!({ "inputs": inputs })).await;
    let solves = |node: usize| gateway.nodes[node].log().iter().filter(|entry| entry.path == "/grasshopper").count();
    assert_eq!((solves(0), solves(1)), (0, 1), "it went to the node that has the plug-in");
    gateway.stop().await;
}

#[tokio::test]
async fn running_solves_finish_when_the_gateway_drains() {
    let gateway = with_node(faulty(Fault::Delay { ms: 800 })).await;
    let request =
        gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base)).body(sitefit().to_string()).send();
    let solving = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(300)).await;
    gateway.stop().await;
    let answer = solving.await.unwrap().unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test]
async fn a_caller_that_leaves_neither_stops_the_solve_nor_keeps_the_slot() {
    let node = Config { children: 1, ..faulty(Fault::Delay { ms: 600 }) };
    let gateway = with_node(node).await;
    let target = format!("{}/gh/sitefit:1.0.0/solve", gateway.base);
    let impatient =
        gateway.client.post(&target).body(sitefit().to_string()).timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.is_err());
    // The next caller waits for the slot, because the node is still solving for the one that left.
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    assert_eq!(gateway.nodes[0].state().max_concurrent_solves, 1);
    gateway.until(|health| health.nodes[0].free == 1).await;
    gateway.stop().await;
}
