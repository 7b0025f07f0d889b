//! What Prometheus is told: after real requests, on the operators' listener.

use std::collections::BTreeSet;

use appserver::config::{AdminListen, Config};
use serde_json::json;

use crate::support::{Answered, Setup, TestGateway, sitefit};

mod strangers;

/// With a listener for operators, and a cache.
fn watched(config: &mut Config) {
    config.admin.listen = AdminListen::At("127.0.0.1:0".parse().unwrap());
    config.cache.enabled = true;
}

async fn gateway() -> TestGateway {
    TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        keys: true,
        config: Some(watched),
        ..Setup::default()
    })
    .await
}

async fn scrape(gateway: &TestGateway) -> String {
    let target = format!("{}/metrics", gateway.operators.as_deref().unwrap());
    let answered = Answered::of(gateway.client.get(target).send().await.unwrap()).await;
    assert_eq!(answered.status, 200);
    assert!(answered.header("content-type").starts_with("text/plain; version=0.0.4"), "{answered:?}");
    answered.text
}

/// The value of the series whose line begins so.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// The series, without the names' values of one program run: `name{labels}`.
fn series(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

#[tokio::test]
async fn a_scrape_tells_what_the_requests_before_it_came_to() {
    let gateway = gateway().await;
    for _ in 0..3 {
        assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    }
    assert_eq!(gateway.solve("sitefit:1.0.0", &json!({ "inputs": { "site_width": -1 } })).await.status, 422);
    assert_eq!(gateway.solve("sitefit:9.9.9", &sitefit()).await.status, 404);
    let text = scrape(&gateway).await;
    let expected = [
        ("appserver_requests_total{app_id=\"sitefit\",lane=\"batch\",code=\"ok\"}", 3.0),
        ("appserver_requests_total{app_id=\"sitefit\",lane=\"batch\",code=\"invalid_inputs\"}", 1.0),
        ("appserver_requests_total{code=\"unknown_version\"}", 1.0),
        ("appserver_request_duration_seconds_count{app_id=\"sitefit\",lane=\"batch\"}", 3.0),
        // One solve, kept for the other two.
        ("appserver_seat_wait_seconds_count{app_id=\"sitefit\",lane=\"batch\"}", 1.0),
        ("appserver_node_solve_seconds_count{app_id=\"sitefit\",lane=\"batch\"}", 1.0),
        ("appserver_cache_lookups_total{app_id=\"sitefit\",outcome=\"hit\"}", 2.0),
        ("appserver_cache_lookups_total{app_id=\"sitefit\",outcome=\"miss\"}", 1.0),
        ("appserver_seats_limit{app_id=\"sitefit\",lane=\"batch\"}", 1.0),
        ("appserver_seats_in_use{app_id=\"sitefit\",lane=\"batch\"}", 0.0),
        ("appserver_seats_asked_total{app_id=\"sitefit\",lane=\"batch\",outcome=\"granted\"}", 1.0),
        ("appserver_node_state{node=\"node-1\",state=\"up\"}", 1.0),
        ("appserver_node_slots{node=\"node-1\",state=\"wedged\"}", 0.0),
        ("appserver_node_ejections_total{node=\"node-1\"}", 0.0),
        ("appserver_pool_nodes{pool=\"*\",state=\"up\"}", 1.0),
        ("appserver_pool_nodes{pool=\"default\",state=\"down\"}", 0.0),
        // The 422 and the 404 are their callers' own.
        ("appserver_slo_events_total{app_id=\"sitefit\",slo=\"availability\"}", 3.0),
        ("appserver_slo_good_total{app_id=\"sitefit\",slo=\"availability\"}", 3.0),
        ("appserver_slo_events_total{app_id=\"sitefit\",slo=\"batch_latency\"}", 3.0),
        ("appserver_slo_events_total{app_id=\"sitefit\",slo=\"preview_latency\"}", 0.0),
        ("appserver_slo_objective{app_id=\"sitefit\",slo=\"availability\"}", 0.995),
        ("appserver_slo_objective{app_id=\"sitefit\",slo=\"jobs_latency\"}", 0.95),
        ("appserver_slo_within_seconds{app_id=\"sitefit\",slo=\"jobs_latency\"}", 300.0),
        ("appserver_versions{app_id=\"sitefit\",status=\"ready\"}", 2.0),
        ("appserver_versions{app_id=\"daylight\",status=\"degraded\"}", 1.0),
        ("appserver_registry_stale_seconds", 0.0),
        ("appserver_registry_events_total{kind=\"loaded\"}", 1.0),
    ];
    for (series, expected) in expected {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
    assert!(value(&text, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{text}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_the_platform_fails_spends_the_budget_and_a_new_policy_holds_at_once() {
    let mut gateway = gateway().await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    gateway.nodes.remove(0).stop().await;
    let other = json!({ "inputs": { "site_width": 31, "site_depth": 41 } });
    for _ in 0..3 {
        assert!(gateway.solve("sitefit:1.0.0", &other).await.status >= 502);
    }
    assert_eq!(gateway.solve("sitefit:1.0.0", &json!({ "inputs": 1 })).await.status, 422);
    let text = scrape(&gateway).await;
    let count =
        |name: &str| value(&text, &format!("appserver_slo_{name}_total{{app_id=\"sitefit\",slo=\"availability\"}}"));
    assert_eq!((count("events"), count("good")), (Some(4.0), Some(1.0)), "{text}");
    let health = gateway.get("/health/registry").await.json();
    let app = health["apps"].as_array().unwrap().iter().find(|app| app["app_id"] == "sitefit").unwrap();
    let promised = app["slo"].as_array().unwrap();
    let counted = &promised[0]["counted"];
    // Three of four failed, where one of two hundred may: the budget is spent 150 times over.
    assert!((counted["budget_left"].as_f64().unwrap() + 149.0).abs() < 1e-6, "{counted}");
    assert!((counted["burn_5m"].as_f64().unwrap() - 150.0).abs() < 1e-6, "{counted}");
    assert_eq!((&promised[3]["slo"], &promised[3]["counted"]), (&json!("jobs_success"), &serde_json::Value::Null));
    // People are told the same, each figure below its heading.
    let table = gateway.get("/health/registry?format=text").await.text;
    let heading = table.lines().find(|line| line.starts_with("app_id") && line.contains("budget_left")).unwrap();
    let cell = |slo: &str, column: &str| {
        let words = |line: &&str| line.split_whitespace().take(2).eq(["sitefit", slo]);
        let line = table.lines().find(words).unwrap_or_else(|| panic!("{slo}: {table}"));
        line[heading.find(column).unwrap()..].split("  ").next().unwrap().to_owned()
    };
    assert_eq!(cell("availability", "objective"), "99.50 %");
    assert_eq!(cell("availability", "good"), "25.00 %");
    assert_eq!(
        (cell("availability", "budget_left"), cell("availability", "burn_5m")),
        ("-14900 %".into(), "150.0x".into())
    );
    assert_eq!(
        (cell("jobs_success", "budget_left"), cell("jobs_success", "good")),
        ("-".into(), "-".into()),
        "unknown here"
    );
    crate::support::edit_policy(&gateway.root().join("contracts/sitefit"), |policy| {
        policy["slo"] = json!({ "availability": 0.5 });
    });
    gateway.until(|health| health.apps.iter().any(|app| app.app_id == "sitefit" && app.slo.len() == 1)).await;
    let text = scrape(&gateway).await;
    assert_eq!(value(&text, "appserver_slo_objective{app_id=\"sitefit\",slo=\"availability\"}"), Some(0.5));
    assert_eq!(
        value(&text, "appserver_slo_objective{app_id=\"sitefit\",slo=\"jobs_latency\"}"),
        None,
        "promised no more"
    );
}

#[tokio::test]
async fn processor_time_is_counted_where_a_node_tells_of_it() {
    use simnode::Profile;
    for (profile, metering, told) in
        [(Profile::V017, true, true), (Profile::V017, false, false), (Profile::V016, true, false)]
    {
        let node = simnode::Config { metering, ..simnode::Config::of(profile) };
        let gateway = TestGateway::with(Setup { nodes: vec![node], config: Some(watched), ..Setup::default() }).await;
        let asked = |width: f64| json!({ "inputs": { "site_width": width, "site_depth": 40 } });
        for width in [30.0, 31.0, 31.0, -1.0] {
            gateway.solve("sitefit:1.0.0", &asked(width)).await;
        }
        let text = scrape(&gateway).await;
        let figure = |name: &str| value(&text, &format!("{name}{{app_id=\"sitefit\",lane=\"preview\"}}"));
        assert_eq!(figure("appserver_node_solve_seconds_count"), Some(2.0), "one of the cache, one refused: {text}");
        // The stand-in says how long it worked, which is less than what the gateway waited for it.
        let [count, sum] = ["count", "sum"].map(|end| figure(&format!("appserver_node_cpu_seconds_{end}")));
        assert_eq!(count, told.then_some(2.0), "{profile:?} {metering}: {text}");
        assert!(
            sum.is_none_or(|sum| (0.0..figure("appserver_node_solve_seconds_sum").unwrap() + 0.001).contains(&sum))
        );
        gateway.stop().await;
    }
}

#[tokio::test]
async fn no_caller_can_add_a_series() {
    let gateway = gateway().await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    // Every kind of refusal that a name can meet has its series once.
    let stranger = |number: u32| {
        let gateway = &gateway;
        async move {
            let (app, name) = (format!("app-{number}"), format!("name-{number}:{number}.0.0"));
            let target = format!("{}/gh/{name}/solve", gateway.base);
            let ask = |request: reqwest::RequestBuilder| async { request.body("{}").send().await.unwrap().status() };
            assert_eq!(ask(gateway.client.post(&target).bearer_auth(crate::support::KEY)).await, 404);
            let named = gateway.client.post(&target).bearer_auth(crate::support::KEY).header("X-App-Id", app);
            assert_eq!(ask(named).await, 403);
            assert_eq!(ask(gateway.client.post(&target).bearer_auth(format!("as_{number}"))).await, 401);
            assert_eq!(ask(gateway.client.post(format!("{}/x{number}", gateway.base))).await, 404);
        }
    };
    stranger(0).await;
    let before = scrape(&gateway).await;
    for number in 1..200 {
        stranger(number).await;
    }
    let after = scrape(&gateway).await;
    assert_eq!(series(&before), series(&after));
    assert!(!after.contains("name-7") && !after.contains("app-7"), "{after}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_left_the_registry_leaves_the_scrape() {
    let gateway = gateway().await;
    let gauge = "appserver_versions{app_id=\"parking\",status=\"ready\"}";
    assert!(value(&scrape(&gateway).await, gauge).is_some());
    std::fs::remove_dir_all(gateway.root().join("contracts/parking")).unwrap();
    gateway.until(|health| health.apps.iter().all(|app| app.app_id != "parking")).await;
    assert_eq!(value(&scrape(&gateway).await, gauge), None);
    gateway.stop().await;
}
