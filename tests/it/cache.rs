//! The cache and the single flight over real sockets, with a stand-in node behind the gateway.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use appserver::config::AdminListen;
use serde_json::{Value, json};
use simnode::{Config, Fault, Faults, Rule, When};

use crate::support::{KEY, Setup, TestGateway, sitefit};

/// A node with one child that takes its time, the first `times` times.
fn slow(ms: u64, times: Option<u64>) -> Config {
    let when = When { endpoint: Some("/grasshopper".into()), times, ..When::default() };
    let faults = Faults { seed: 1, rules: vec![Rule { fault: Fault::Delay { ms }, when }] };
    Config { children: 1, faults, ..Config::default() }
}

fn caching(node: Config) -> Setup {
    Setup { nodes: vec![node], config: Some(|config| config.cache.enabled = true), ..Setup::default() }
}

fn solves(gateway: &TestGateway) -> usize {
    gateway.nodes[0].log().iter().filter(|entry| entry.path == "/grasshopper").count()
}

fn caches(gateway: &TestGateway) -> Value {
    serde_json::to_value(gateway.admin.caches()).unwrap()
}

/// Changes the policy of `sitefit`.
fn edit_policy(root: &Path, edit: impl Fn(&mut Value)) {
    let file = root.join("contracts/sitefit/policy.json");
    let mut policy = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    edit(&mut policy);
    std::fs::write(file, policy.to_string()).unwrap();
}

#[tokio::test]
async fn k7_five_hundred_equal_requests_at_once_are_one_solve_and_five_hundred_equal_answers() {
    let many: fn(&mut appserver::config::Config) = |config| {
        config.cache.enabled = true;
        config.server.connections_per_ip_max = 1000;
        config.admin.listen = AdminListen::At("127.0.0.1:0".parse().unwrap());
    };
    let setup = Setup { config: Some(many), ..caching(slow(500, None)) };
    let gateway = TestGateway::with(setup).await;
    let asked: Vec<_> = (0..500)
        .map(|_| {
            let request = gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base));
            let request = request.body(sitefit().to_string()).send();
            tokio::spawn(async move {
                let response = request.await.unwrap();
                (
                    response.status().as_u16(),
                    response.headers()["etag"].clone(),
                    response.json::<Value>().await.unwrap(),
                )
            })
        })
        .collect();
    let (mut tags, mut outputs, mut words) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for answer in asked {
        let (status, etag, body) = answer.await.unwrap();
        assert_eq!(status, 200, "{body}");
        tags.insert(etag.to_str().unwrap().to_owned());
        outputs.insert(body["outputs"].to_string());
        words.insert(body["receipt"]["cache"].as_str().unwrap().to_owned());
    }
    assert_eq!((tags.len(), outputs.len(), solves(&gateway)), (1, 1, 1), "{words:?}");
    let operators = gateway.operators.clone().unwrap();
    let view = gateway.client.get(format!("{operators}/admin/caches")).send().await.unwrap();
    let view: Value = view.json().await.unwrap();
    assert_eq!(view, caches(&gateway));
    assert_eq!((&view["flights"], &view["waiting"]), (&json!(0), &json!(0)), "{view}");
    assert_eq!(gateway.get("/admin/caches").await.status, 404, "callers are not told");
    let app = &view["apps"][0];
    assert_eq!(app["misses"], 1, "{app}");
    assert_eq!(app["hits"].as_u64().unwrap() + app["joins"].as_u64().unwrap(), 499, "{app}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_late_answer_is_kept_for_those_who_ask_again() {
    let setup = Setup {
        config: Some(|config| (config.cache.enabled, config.solve.timeout_sec_max) = (true, 1)),
        ..caching(slow(1800, Some(1)))
    };
    let gateway = TestGateway::with(setup).await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.problem(), (504, "node_timeout".into()));
    gateway.until(|health| health.nodes[0].wedged == 1).await;
    gateway.until(|health| health.nodes[0].wedged == 0).await;
    let mut word = Value::Null;
    for _ in 0..50 {
        word = gateway.solve("sitefit:1.0.0", &sitefit()).await.json()["receipt"]["cache"].clone();
        if word == "hit" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((word, solves(&gateway)), (json!("hit"), 1));
    gateway.stop().await;
}

#[tokio::test]
async fn callers_that_hang_up_leave_an_answer_behind_if_a_node_had_begun_and_nothing_otherwise() {
    let gateway = TestGateway::with(caching(slow(600, None))).await;
    let hasty = |width: u32| {
        let body = json!({ "inputs": { "site_width": width, "site_depth": 40 } }).to_string();
        let request = gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve", gateway.base)).body(body);
        request.timeout(Duration::from_millis(200)).send()
    };
    // The first is at the node; the second waits for the only slot when its caller goes.
    let (first, second) = tokio::join!(hasty(30), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        hasty(31).await
    });
    assert!(first.is_err() && second.is_err());
    let answer = gateway.solve("sitefit:1.0.0", &sitefit()).await;
    assert_eq!((answer.status, &answer.json()["receipt"]["cache"]), (200, &json!("joined")));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(solves(&gateway), 1, "the second was dropped unrun");
    gateway.until(|health| health.nodes[0].free == 1).await;
    let view = caches(&gateway);
    assert_eq!((&view["flights"], &view["waiting"]), (&json!(0), &json!(0)), "{view}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_policy_may_share_answers_among_tenants_and_nothing_else_does() {
    let ask = async |gateway: &TestGateway, key: &str| {
        let request = gateway.client.post(format!("{}/gh/sitefit:1.0.0/solve?lane=batch", gateway.base));
        let response = request.bearer_auth(key).body(sitefit().to_string()).send().await.unwrap();
        response.json::<Value>().await.unwrap()["receipt"]["cache"].clone()
    };
    let gateway = TestGateway::with(Setup { keys: true, ..caching(Config::default()) }).await;
    assert_eq!((ask(&gateway, KEY).await, ask(&gateway, "as_kiosk_key").await), (json!("miss"), json!("miss")));
    gateway.stop().await;
    let edit = |root: &Path| edit_policy(root, |policy| policy["cache_scope"] = json!("app"));
    let gateway = TestGateway::with(Setup { keys: true, edit: Some(edit), ..caching(Config::default()) }).await;
    assert_eq!((ask(&gateway, KEY).await, ask(&gateway, "as_kiosk_key").await), (json!("miss"), json!("hit")));
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_deterministic_or_has_no_space_is_solved_every_time() {
    let not_deterministic = |root: &Path| {
        let file = root.join("contracts/sitefit/1.0.0/manifest.json");
        let mut manifest: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        manifest["deterministic"] = json!(false);
        std::fs::write(file, manifest.to_string()).unwrap();
    };
    let no_space = |root: &Path| edit_policy(root, |policy| policy["cache"] = json!({ "preview": { "bytes_max": 0 } }));
    let no_time = |root: &Path| edit_policy(root, |policy| policy["cache"] = json!({ "preview": { "ttl_sec": 0 } }));
    for edit in [not_deterministic as fn(&Path), no_space, no_time] {
        let gateway = TestGateway::with(Setup { edit: Some(edit), ..caching(Config::default()) }).await;
        for _ in 0..2 {
            let answer = gateway.solve("sitefit:1.0.0", &sitefit()).await;
            assert_eq!(
                (answer.status, answer.header("cache-status")),
                (200, "appserver; fwd=bypass"),
                "{}",
                answer.text
            );
            assert_eq!(
                (answer.header("cache-control"), &answer.json()["receipt"]["cache"]),
                ("no-store", &json!("bypass"))
            );
        }
        assert_eq!(solves(&gateway), 2);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn the_lesser_time_of_policy_and_manifest_holds() {
    let edit = |root: &Path| edit_policy(root, |policy| policy["cache"] = json!({ "preview": { "ttl_sec": 7 } }));
    let gateway = TestGateway::with(Setup { edit: Some(edit), ..caching(Config::default()) }).await;
    let preview = gateway.solve("sitefit:1.0.0", &sitefit()).await;
    assert_eq!(preview.header("cache-control"), "private, max-age=7");
    let batch = gateway.post("/gh/sitefit:1.0.0/solve?lane=batch", sitefit().to_string()).await;
    assert_eq!(batch.header("cache-status"), "appserver; fwd=miss; stored", "the lanes are kept apart");
    let max_age: u64 = batch.header("cache-control").strip_prefix("private, max-age=").unwrap().parse().unwrap();
    assert!(max_age > 7, "{max_age}");
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_cache_there_is_no_layer_and_no_view() {
    let gateway = TestGateway::start().await;
    for _ in 0..2 {
        assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.header("cache-status"), "appserver; fwd=bypass");
    }
    assert_eq!((solves(&gateway), caches(&gateway)), (2, Value::Null));
    gateway.stop().await;
}
