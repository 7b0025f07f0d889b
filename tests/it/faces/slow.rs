//! What takes long: a real browser, and many clients of all kinds at once.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::clients::installed;
use super::{output, tree};
use crate::support::{KEY, Setup, TestGateway, edit_policy, repository};

#[tokio::test]
#[ignore = "starts a browser"]
async fn a_page_for_the_node_appserver_and_our_own_work_in_a_browser() {
    let (Some(modules), Some(chrome)) =
        (installed("APPSERVER_TEST_NODE_MODULES"), installed("APPSERVER_TEST_CHROMIUM"))
    else {
        return;
    };
    let allow = |root: &std::path::Path| {
        edit_policy(&root.join("contracts/sitefit"), |policy| policy["cors_origins"] = json!(["*"]));
    };
    let nodes = vec![simnode::Config::default()];
    let gateway = TestGateway::with(Setup { nodes, keys: true, edit: Some(allow), ..Setup::default() }).await;
    let mut command = Command::new("node");
    command
        .arg(repository().join("tests/clients/browser.js"))
        .args([&chrome, &gateway.base, KEY])
        .env("NODE_MODULES", modules);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let theirs: Value =
        serde_json::from_str(seen["theirs"].as_str().unwrap()).unwrap_or_else(|error| panic!("{error}: {seen}"));
    assert_eq!((theirs["inputs"].as_u64(), &theirs["found"]["RH_OUT:gfa"]), (Some(11), &json!([1728])), "{seen}");
    assert!(seen["refused"].as_str().unwrap().contains("service key"), "{seen}");
    assert!(seen["gfa"].as_str().unwrap().starts_with("1728"), "{seen}");
    assert!(!seen["wrong"].as_str().unwrap().is_empty(), "{seen}");
    assert_eq!(seen["faults"], json!([]), "the page broke its own policy");
    gateway.stop().await;
}

/// One solve of a site of this width by one of the faces; the floor area that it was told, and the label.
async fn one(gateway: &TestGateway, face: usize, width: f64, name: &str) -> Result<(f64, String), (u16, String)> {
    let trees =
        [tree("site_width", &json!(width)), tree("site_depth", &json!(40)), tree("RH_IN:project_name", &json!(name))];
    let hops =
        |pointer: &str| json!({ "pointer": pointer, "algo": null, "cachesolve": true, "values": trees }).to_string();
    let inputs = json!({ "site_width": width, "site_depth": 40, "project_name": name });
    let answered = match face {
        0 => gateway.post("/grasshopper", json!({ "pointer": "gh/sitefit:1.0.0", "values": trees }).to_string()).await,
        1 => gateway.post("/solve", json!({ "definition": "sitefit:1.0.0", "inputs": inputs }).to_string()).await,
        2 => gateway.get(&format!("/solve/sitefit:1.0.0?site_width={width}&site_depth=40&project_name={name}")).await,
        3 => gateway.post("/solve", hops("gh/sitefit/1.0.0")).await,
        _ => gateway.solve("sitefit:1.0.0", &json!({ "inputs": inputs })).await,
    };
    if answered.status != 200 {
        return Err((answered.status, answered.text));
    }
    let body = answered.json();
    if face > 3 {
        let outputs = &body["outputs"];
        return Ok((outputs["gfa"].as_f64().unwrap(), outputs["label"].as_str().unwrap().to_owned()));
    }
    Ok((output(&body, "RH_OUT:gfa").as_f64().unwrap(), output(&body, "label").as_str().unwrap().to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for half a minute"]
async fn sixty_four_clients_of_all_kinds_each_get_their_own_answer() {
    let roomy = |root: &std::path::Path| {
        edit_policy(&root.join("contracts/sitefit"), |policy| {
            policy["max_concurrency"] = json!(16);
            policy["preview_seats"] = json!(16);
            policy["batch_seats"] = json!(16);
            policy["queue"] = json!({ "preview": { "depth_max": 256, "wait_ms_max": 60_000 }, "batch": { "depth_max": 256, "wait_ms_max": 60_000 } });
        });
        crate::support::set_rates(root, 100_000.0);
    };
    let nodes = (0..2).map(|_| simnode::Config::default()).collect();
    let cached = |config: &mut appserver::config::Config| config.cache.enabled = true;
    let setup = Setup { nodes, edit: Some(roomy), config: Some(cached), ..Setup::default() };
    let gateway = std::sync::Arc::new(TestGateway::with(setup).await);
    let end = Instant::now() + Duration::from_secs(30);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0_usize..64 {
        let gateway = std::sync::Arc::clone(&gateway);
        clients.spawn(async move {
            let mut answers = 0_u64;
            while Instant::now() < end {
                // A few widths only, so that answers are shared, and names that must not be.
                let width = 20.0 + f64::from(u32::try_from((client + usize::try_from(answers).unwrap()) % 40).unwrap());
                let name = format!("C{client}");
                let (gfa, label) = one(&gateway, client % 5, width, &name).await.unwrap_or_else(|(status, text)| {
                    panic!("client {client}: {status} {text}");
                });
                let expected = (width - 6.0) * 18.0 * 4.0;
                assert!(
                    (gfa - expected).abs() < 1e-6 && label.starts_with(&format!("{name}: ")),
                    "{client}: {gfa} {label}"
                );
                answers += 1;
            }
            answers
        });
    }
    let mut answers = 0;
    while let Some(client) = clients.join_next().await {
        answers += client.unwrap();
    }
    // A busy machine gives few; what counts is that each of them was right.
    assert!(answers >= 64, "{answers}");
    let gateway = std::sync::Arc::into_inner(gateway).unwrap();
    gateway.stop().await;
}
