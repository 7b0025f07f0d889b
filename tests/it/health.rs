//! What operators see: the matrix, readiness, and that looking costs a node nothing.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Setup, TestGateway, sitefit};

/// A table without the windows of its promises, which grow while the gateway runs.
fn at_any_time(table: &str) -> String {
    let is_window = |cell: &str| cell.split_once(' ').is_some_and(|(number, _)| number.parse::<u64>().is_ok());
    let line = |line: &str| match line.rsplit_once("  ") {
        Some((before, cell)) if is_window(cell) => before.trim_end().to_owned() + "\n",
        Some(_) | None => line.to_owned() + "\n",
    };
    table.lines().map(line).collect()
}

#[tokio::test]
async fn the_matrix_shows_what_is_ready_and_what_is_missing() {
    let gateway = TestGateway::start().await;
    let table = gateway.get("/health/registry?format=text").await;
    assert_eq!(table.status, 200);
    let row = |app: &str, version: &str| {
        let words = |line: &&str| line.split_whitespace().take(2).eq([app, version]);
        table.text.lines().find(words).unwrap_or_else(|| panic!("no {app} {version} in\n{}", table.text)).to_owned()
    };
    assert!(row("sitefit", "1.0.0").contains("ready") && row("sitefit", "1.0.0").contains("1/1"));
    assert!(row("sitefit", "1.1.0").contains("stable") && row("sitefit", "1.1.0").contains("ready"));
    assert!(row("daylight", "0.1.0").contains("degraded") && row("daylight", "0.1.0").contains("missing LadybugX"));
    let accepted = gateway.client.get(format!("{}/health/registry", gateway.base)).header("Accept", "text/plain");
    assert_eq!(at_any_time(&accepted.send().await.unwrap().text().await.unwrap()), at_any_time(&table.text));

    let body = gateway.get("/health/registry").await.json();
    assert_eq!((&body["status"], &body["generation"]), (&json!("warn"), &json!(1)));
    let daylight = &body["apps"][0]["versions"][0];
    assert_eq!((&daylight["status"], &daylight["missing_plugins"]), (&json!("degraded"), &json!(["LadybugX"])));
    assert_eq!(body["apps"].as_array().unwrap().len(), 4);
    assert_eq!(body["nodes"][0]["name"], "node-1");
    gateway.stop().await;
}

#[tokio::test]
async fn a_faulty_version_is_refused_with_its_place_and_harms_no_other() {
    let gateway = TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        edit: Some(|root| {
            let bindings = root.join("contracts/sitefit/1.0.0/bindings.json");
            let text = fs::read_to_string(&bindings).unwrap().replacen("site_width", "site_widht", 1);
            fs::write(bindings, text).unwrap();
            fs::create_dir(root.join("contracts/sitefit/v2")).unwrap();
        }),
        ..Setup::default()
    })
    .await;
    let body = gateway.get("/health/registry").await.json();
    let versions =
        body["apps"].as_array().unwrap().iter().find(|app| app["app_id"] == "sitefit").unwrap()["versions"].clone();
    assert_eq!((&versions[0]["status"], &versions[1]["status"]), (&json!("refused"), &json!("ready")));
    let reason = &versions[0]["reason"];
    assert!(reason["file"].as_str().unwrap().starts_with("contracts/sitefit/1.0.0/"), "{reason}");
    assert!(reason["line"].as_u64().unwrap() >= 1 && reason["code"].is_string(), "{reason}");
    assert_eq!(body["strays"][0]["code"], "version_folder");
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.problem(), (503, "version_refused".into()));
    assert_eq!(gateway.solve("sitefit:1.1.0", &sitefit()).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_node_nothing_is_ready_and_it_says_so() {
    let gateway = TestGateway::with(Setup::default()).await;
    assert_eq!(gateway.get("/livez").await.status, 200);
    assert_eq!(gateway.get("/readyz").await.status, 503);
    let health = gateway.get("/health/registry").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("fail")));
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.problem(), (503, "no_node".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn ready_turns_false_when_the_drain_begins() {
    let gateway = TestGateway::start().await;
    assert_eq!(gateway.get("/readyz").await.status, 200);
    gateway.admin.drain();
    let answer = gateway.get("/readyz").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "draining\n"));
    gateway.stop().await;
}

#[tokio::test]
async fn looking_at_health_wakes_no_child_of_a_node() {
    let gateway = TestGateway::start().await;
    let wakes = || serde_json::to_value(gateway.nodes[0].state()).unwrap()["wakes"].as_u64().unwrap();
    let before = wakes();
    for _ in 0..5 {
        gateway.get("/health/registry").await;
        gateway.get("/readyz").await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(wakes(), before, "two probe rounds and ten looks woke nothing");
    gateway.stop().await;
}

#[tokio::test]
async fn the_command_line_prints_the_same_table() {
    let gateway = TestGateway::start().await;
    let run = async |args: Vec<String>| {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_appserver")).args(args).output().await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let table = gateway.get("/health/registry?format=text").await.text;
    // 3: reached, but not everything is ready.
    let (code, printed) = run(vec!["matrix".into(), "--url".into(), gateway.base.clone()]).await;
    assert_eq!((code, at_any_time(&printed)), (3, at_any_time(&table)));
    let (code, promises) = run(vec!["slo".into(), "--url".into(), gateway.base.clone()]).await;
    assert!(code == 0 && at_any_time(&table).ends_with(&at_any_time(&promises)), "{promises}\n{table}");
    let (code, json) = run(vec!["matrix".into(), "--json".into(), "--url".into(), gateway.base.clone()]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["status"]), (3, &json!("warn")));
    let gone = format!("http://{}", gateway.address);
    gateway.stop().await;
    assert_eq!(run(vec!["matrix".into(), "--url".into(), gone]).await.0, 6);
}
