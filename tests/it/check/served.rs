//! The checks that ask somebody: a node for the examples, a gateway for its health.

use std::fs;

use serde_json::Value;

use super::{Bench, places};
use crate::support::{Setup, TestGateway};

/// Runs the command while the runtime serves.
async fn run(bench: &std::sync::Arc<Bench>, args: &[&str]) -> super::Ran {
    let (bench, args) = (std::sync::Arc::clone(bench), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    let run = move || bench.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_solved_on_a_node_and_compared_with_their_goldens() {
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let bench = std::sync::Arc::new(Bench::samples());
    let url = node.url();
    let ran = run(&bench, &["check", "sitefit", "--node", &url]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.talk);
    assert!(ran.talk.contains("9 examples solved"), "{}", ran.talk);

    // A golden that is off, and one that is off within a tolerance of its own.
    let file = "sitefit/1.0.0/examples/valid/high-street.json";
    bench.edit(file, "\"footprint_area\": 441", "\"footprint_area\": 440");
    bench.edit(file, "\"gfa\": 2646", "\"gfa\": 2645.5");
    bench.edit(file, "\"tolerance\": 1e-6", "\"tolerance\": 1e-6,\n  \"tolerances\": { \"gfa\": 0.001 }");
    let ran = run(&bench, &["check", "sitefit:1.0.0", "--node", &url, "--json"]).await;
    assert_eq!(ran.code, 100, "{}", ran.talk);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let (line, column) = bench.find(file, "440");
    assert_eq!(places(findings, "example_drift"), [(file, line, column)], "{findings:#?}");
    assert_eq!((&findings[0]["data"]["given"], &findings[0]["data"]["golden"]), (&441.0.into(), &440.into()));

    // Accepted, the node's outputs are the goldens, and the rest of the file is as it was.
    let ran = run(&bench, &["check", "sitefit:1.0.0", "--node", &url, "--accept"]).await;
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.talk);
    assert!(ran.talk.contains("high-street.json: golden outputs written"), "{}", ran.talk);
    assert!(bench.read(file).contains("\"project_name\": \"Marienhof\"") && !bench.read(file).contains("440,"));
    assert_eq!(run(&bench, &["check", "sitefit:1.0.0", "--node", &url]).await.code, 0);

    // An example without outputs gets all of them.
    let bare = r#"{ "inputs": { "site_width": 30, "site_depth": 40 } }"#;
    bench.write("sitefit/1.0.0/examples/valid/bare.json", bare);
    assert_eq!(run(&bench, &["check", "sitefit:1.0.0", "--node", &url, "--accept"]).await.code, 0);
    let written: Value = serde_json::from_str(&bench.read("sitefit/1.0.0/examples/valid/bare.json")).unwrap();
    assert_eq!(written["outputs"].as_object().unwrap().len(), 9);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lacks_a_plugin_says_nothing_of_the_examples() {
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let bench = std::sync::Arc::new(Bench::samples());
    let ran = run(&bench, &["check", "daylight", "--json", "--node", &node.url()]).await;
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let findings = document["findings"].as_array().unwrap();
    assert_eq!((ran.code, findings.len()), (0, 1), "{findings:#?}");
    assert!(findings[0]["rule"] == "node_unfit" && findings[0]["message"].as_str().unwrap().contains("LadybugX"));
    node.stop().await;
    let gone = run(&bench, &["check", "parking", "--node", "http://127.0.0.1:9"]).await;
    assert_eq!(gone.code, 6, "{}", gone.talk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_checked_in_groups_with_a_hint_for_what_is_not_well() {
    let bench = std::sync::Arc::new(Bench::empty());
    let gateway = TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        edit: Some(|root| {
            let file = root.join("contracts/sitefit/1.0.0/bindings.json");
            fs::write(&file, fs::read_to_string(&file).unwrap().replace("RH_IN:setback", "RH_IN:setbak")).unwrap();
        }),
        ..Setup::default()
    })
    .await;
    gateway
        .until(|health| {
            health.apps.iter().flat_map(|app| &app.versions).filter(|version| version.nodes_ready == 1).count() >= 3
        })
        .await;
    let ran = run(&bench, &["check", "--url", &gateway.base]).await;
    assert_eq!(ran.code, 3, "{} {}", ran.out, ran.talk);
    let wanted = [
        "gateway\n  ✓ reachable in ",
        "registry\n  ✓ follows its folder",
        "nodes\n  ✓ 1 of 1 nodes up",
        "  × sitefit:1.0.0 refused: ",
        "bindings.json:6)",
        "  × daylight:0.1.0 degraded, 0 of 1 nodes",
        "/problems/version_refused\n",
        "\n\nStatus: not healthy (2 failed, ",
    ];
    for part in wanted {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let short = run(&bench, &["check", "--url", &gateway.base, "-o", "short"]).await;
    assert!(short.code == 3 && !short.out.contains('✓') && short.out.contains("× sitefit:1.0.0"), "{}", short.out);

    let ran = run(&bench, &["check", "--url", &gateway.base, "--json"]).await;
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["status"], "fail");
    let checks =
        document["categories"].as_array().unwrap().iter().flat_map(|group| group["checks"].as_array().unwrap());
    let failed: Vec<&Value> = checks.filter(|check| check["result"] == "error").collect();
    assert_eq!(failed.len(), 2);
    for check in failed {
        let page = gateway.get(&format!("/problems/{}", check["id"].as_str().unwrap())).await;
        assert!(page.status == 200 && check["url"].as_str().unwrap().starts_with(&gateway.base), "{check}");
    }
    let base = gateway.base.clone();
    gateway.stop().await;
    let ran = run(&bench, &["check", "--url", &base, "--wait", "1s"]).await;
    assert_eq!(ran.code, 6, "{}", ran.out);
    assert!(ran.out.contains("× cannot reach"), "{}", ran.out);
}

#[test]
fn before_a_gateway_runs_its_settings_address_and_registry_are_checked() {
    let bench = Bench::samples();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let config = |address: &str| format!("[server]\nlisten = \"{address}\"\n");
    fs::write(bench.path("c.toml"), config("127.0.0.1:0")).unwrap();
    let ran = bench.run(&["check", "--pre", "--config", "c.toml"]);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.talk);
    assert!(ran.out.contains("  ✓ nothing found in") && ran.out.contains("none unknown"), "{}", ran.out);

    fs::write(bench.path("c.toml"), config(&address.to_string())).unwrap();
    bench.edit("sitefit/1.1.0/bindings.json", "\"RH_IN:setback\"", "\"RH_IN:setbak\"");
    let ran = bench.run(&["check", "--pre", "--config", "c.toml"]);
    assert_eq!(ran.code, 100);
    assert!(ran.out.contains(&format!("× cannot listen on {address}")) && ran.out.contains("× "), "{}", ran.out);
    fs::write(bench.path("c.toml"), "[server]\nlistn = 1\n").unwrap();
    let ran = bench.run(&["check", "--pre", "--config", "c.toml", "--registry", "registry"]);
    assert!(ran.code == 100 && ran.out.contains("listn"), "{}", ran.out);
}
