//! Warming: what a version's own examples must show before it is called ready, and that callers come first.

use std::fs;

use appserver::admin::Health;
use appserver::admin::health::{Status, VersionHealth};
use serde_json::{Value, json};
use simnode::{Config, Fault};

use crate::support::{Setup, TestGateway, sitefit};

const SOLVE: &str = "/grasshopper";

fn version<'a>(health: &'a Health, app: &str, version: &str) -> &'a VersionHealth {
    let app = health.apps.iter().find(|found| found.app_id == app).unwrap();
    app.versions.iter().find(|found| found.version.to_string() == version).unwrap()
}

fn code(version: &VersionHealth) -> &str {
    version.reason.as_ref().map_or("", |reason| &reason.code)
}

async fn warming(node: Config, edit: Option<fn(&std::path::Path)>) -> TestGateway {
    let config: fn(&mut appserver::config::Config) = |config| config.warm.enabled = true;
    TestGateway::with(Setup { nodes: vec![node], unready: true, edit, config: Some(config), ..Setup::default() }).await
}

fn solves(gateway: &TestGateway) -> usize {
    gateway.nodes[0].log().iter().filter(|entry| entry.path == SOLVE).count()
}

#[tokio::test]
async fn a_version_is_loading_until_its_examples_are_solved_and_then_ready() {
    let gateway = warming(Config { children: 1, ..Config::default() }, None).await;
    gateway.nodes[0].set_faults(Fault::Delay { ms: 300 }.at(SOLVE)).await;
    gateway.until(|health| code(version(health, "sitefit", "1.0.0")) == "warming").await;
    assert_eq!(version(&gateway.admin.health(), "sitefit", "1.0.0").status, Status::Loading);
    gateway.until(|health| version(health, "sitefit", "1.0.0").status == Status::Ready).await;
    let others = [("sitefit", "1.1.0"), ("yieldcheck", "1.0.0"), ("parking", "1.0.0")];
    gateway.nodes[0].set_faults(vec![]).await;
    gateway.until(|health| others.iter().all(|(app, of)| version(health, app, of).status == Status::Ready)).await;
    // What no node attests is not tried.
    assert_eq!(code(version(&gateway.admin.health(), "daylight", "0.1.0")), "plugins_missing");
    let shown = solves(&gateway);
    assert!(shown >= 4, "{shown} examples of four versions");
    assert_eq!(gateway.nodes[0].state().max_concurrent_solves, 1);
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    assert_eq!(solves(&gateway), shown, "what is warm is not tried again");
    gateway.stop().await;
}

#[tokio::test]
async fn a_version_that_contradicts_its_golden_is_degraded_and_harms_no_other() {
    let edit: fn(&std::path::Path) = |root| {
        let folder = root.join("contracts/sitefit/1.1.0/examples/valid");
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let mut example: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            if example["outputs"]["gfa"].is_number() {
                example["outputs"]["gfa"] = json!(12345.5);
                fs::write(path, example.to_string()).unwrap();
            }
        }
        // Without the pin, `stable` is the highest version that is ready.
        let file = root.join("contracts/sitefit/policy.json");
        let mut policy: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        policy.as_object_mut().unwrap().remove("aliases");
        fs::write(file, policy.to_string()).unwrap();
    };
    let gateway = warming(Config::default(), Some(edit)).await;
    gateway.until(|health| code(version(health, "sitefit", "1.1.0")) == "golden_mismatch").await;
    gateway.until(|health| version(health, "sitefit", "1.0.0").status == Status::Ready).await;
    let health = gateway.admin.health();
    let wrong = version(&health, "sitefit", "1.1.0");
    assert_eq!(wrong.status, Status::Degraded);
    let message = &wrong.reason.as_ref().unwrap().message;
    assert!(message.contains("/gfa is") && message.contains("not 12345.5"), "{message}");
    let stable = gateway.solve("sitefit:stable", &sitefit()).await;
    assert_eq!((stable.status, &stable.json()["version"]), (200, &json!("1.0.0")), "the alias stays where all is well");
    assert_eq!(gateway.solve("sitefit:1.1.0", &sitefit()).await.status, 200, "named exactly, it is solved");
    gateway.stop().await;
}

#[tokio::test]
async fn a_definition_that_cannot_solve_its_example_is_degraded_and_a_failing_node_says_nothing() {
    let gateway = warming(Config::default(), None).await;
    gateway.nodes[0].set_faults(Fault::EmptyError.at(SOLVE)).await;
    gateway.until(|health| code(version(health, "sitefit", "1.0.0")) == "warming").await;
    while solves(&gateway) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(code(version(&gateway.admin.health(), "sitefit", "1.0.0")), "warming", "a node failed, not the version");
    let errors = vec!["Nothing fits: component \"Item\" (11111111-2222-3333-4444-555555555555)".to_owned()];
    gateway.nodes[0].set_faults(Fault::OkWithErrors { errors }.at(SOLVE)).await;
    gateway.until(|health| code(version(health, "sitefit", "1.0.0")) == "example_failed").await;
    let health = gateway.admin.health();
    assert_eq!(version(&health, "sitefit", "1.0.0").status, Status::Degraded);
    gateway.nodes[0].set_faults(vec![]).await;
    gateway.stop().await;
}
