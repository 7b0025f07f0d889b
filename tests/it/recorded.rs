//! Recorded inputs: kept where the operator asked for it, given to who holds the key, and replayed by `can-roll`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use appserver::config::{AdminListen, Config};
use contract::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answered, Setup, TestGateway, copy, repository};

const ADMIN_KEY: &str = "as_operator_key";

fn operated(config: &mut Config) {
    config.admin.listen = AdminListen::At(([127, 0, 0, 1], 0).into());
    config.admin.key_sha256 = Digest::of(ADMIN_KEY).to_string();
}

async fn gateway(config: fn(&mut Config)) -> TestGateway {
    let setup = Setup { nodes: vec![simnode::Config::default()], config: Some(config), ..Setup::default() };
    TestGateway::with(setup).await
}

async fn read(gateway: &TestGateway, path: &str, key: Option<&str>) -> Answered {
    let request = gateway.client.get(format!("{}/admin/inputs/{path}", gateway.operators.clone().unwrap()));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    Answered::of(request.send().await.unwrap()).await
}

/// A copy of the samples in which `sitefit:1.1.1` takes no site wider than 150.
fn narrowed() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("registry");
    copy(&repository().join("registry"), &registry);
    next(&registry, "inputs.schema.json", r#""maximum": 200"#, r#""maximum": 150"#);
    (folder, registry)
}

/// Makes `sitefit:1.1.1` of `1.1.0` with one edit.
fn next(registry: &Path, file: &str, from: &str, to: &str) {
    let (old, new) = (registry.join("contracts/sitefit/1.1.0"), registry.join("contracts/sitefit/1.1.1"));
    if !new.exists() {
        copy(&old, &new);
        edit(&new.join("manifest.json"), r#""version": "1.1.0""#, r#""version": "1.1.1""#);
    }
    edit(&new.join(file), from, to);
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// Runs `can-roll sitefit 1.1.1` with more words, and gives its exit code and its check of inputs.
async fn can_roll(registry: &Path, more: &[&str], key: &str) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
    command.args(["--json", "can-roll", "sitefit", "1.1.1", "--registry"]).arg(registry).args(more);
    for name in ["APPSERVER_CONFIG", "APPSERVER_URL"] {
        command.env_remove(name);
    }
    command.env("APPSERVER_ADMIN_KEY", key).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let checks = verdict["checks"].as_array().unwrap().iter();
    let inputs = checks.into_iter().find(|check| check["name"] == "inputs").cloned().unwrap_or_default();
    (output.status.code().unwrap(), inputs)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_sent_is_replayed_and_refusals_are_named() {
    let gateway = gateway(|config| {
        operated(config);
        config.record.inputs_per_version = 50;
        config.cache.enabled = true;
    })
    .await;
    let body = |width: f64| json!({ "inputs": { "site_width": width, "site_depth": 40 } });
    for width in [30.0, 187.125, 187.125, -1.0] {
        let status = gateway.solve("sitefit:1.1.0", &body(width)).await.status;
        assert_eq!(status, if width > 0.0 { 200 } else { 422 });
    }
    let unkept = gateway.client.post(format!("{}/gh/sitefit:1.1.0/solve", gateway.base)).body(body(55.0).to_string());
    assert_eq!(unkept.header("cache-control", "no-store").send().await.unwrap().status().as_u16(), 200);

    for key in [None, Some("as_other_key"), Some("")] {
        let refused = read(&gateway, "sitefit/1.1.0", key).await;
        assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("unauthenticated")), "{}", refused.text);
    }
    let answer = read(&gateway, "sitefit/1.1.0", Some(ADMIN_KEY)).await;
    let recorded = answer.json();
    assert_eq!((answer.status, &recorded["whole"], &recorded["distinct"]), (200, &json!(true), &json!(2)));
    let inputs = recorded["inputs"].as_array().unwrap();
    let wide = inputs.iter().find(|input| input["inputs"]["site_width"] == 187.125).unwrap();
    // A miss, then a hit.
    assert_eq!((wide["calls"].as_u64(), inputs.len()), (Some(2), 2), "{recorded:#}");
    let other = read(&gateway, "sitefit/1.0.0", Some(ADMIN_KEY)).await.json();
    assert_eq!((&other["inputs"], &other["distinct"]), (&json!([]), &json!(0)));
    for (path, status, error) in [
        ("nosuch/1.0.0", 404, "no_such_app"),
        ("sitefit/7.0.0", 404, "no_such_version"),
        ("sitefit/..%2f1.0.0", 404, "no_such_version"),
        ("sitefit", 404, "address"),
    ] {
        let answer = read(&gateway, path, Some(ADMIN_KEY)).await;
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{path}");
    }
    // Callers have no such address, and no series or matrix has a value of theirs.
    assert_eq!(gateway.get("/admin/inputs/sitefit/1.1.0").await.status, 404);
    let operators = gateway.operators.clone().unwrap();
    for path in ["/metrics", "/admin/traffic", "/health/registry", "/admin/events"] {
        let text = gateway.client.get(format!("{operators}{path}")).send().await.unwrap().text().await.unwrap();
        assert!(!text.contains("187.125"), "{path}");
    }

    let (folder, registry) = narrowed();
    let (code, check) = can_roll(&registry, &["--url", &operators], ADMIN_KEY).await;
    assert_eq!((code, &check["result"]), (1, &json!("fail")), "{check:#}");
    assert_eq!(check["refused"].as_array().unwrap().len(), 1);
    assert_eq!(check["refused"][0]["digest"], wide["digest"]);
    let violation = &check["refused"][0]["violations"][0];
    assert_eq!((&violation["pointer"], &violation["rule"]), (&json!("/site_width"), &json!("maximum")));
    let file = folder.path().join("inputs.json");
    fs::write(&file, &answer.text).unwrap();
    let (_, of_file) = can_roll(&registry, &["--recorded", file.to_str().unwrap()], "").await;
    assert_eq!(of_file, check, "a file says what the gateway says");
    // What is asked of nobody is no reason, and says why.
    for (key, url, why) in
        [("", &operators, "not set"), ("as_other", &operators, "key"), (ADMIN_KEY, &gateway.base, "listener")]
    {
        let (_, check) = can_roll(&registry, &["--url", url], key).await;
        assert_eq!(check["result"], "unknown", "{check:#}");
        assert!(check["detail"].as_str().unwrap().contains(why), "{check:#}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_recorded_unless_it_was_asked_for() {
    let gateway = gateway(operated).await;
    assert_eq!(gateway.solve("sitefit:1.1.0", &crate::support::sitefit()).await.status, 200);
    let answer = read(&gateway, "sitefit/1.1.0", Some(ADMIN_KEY)).await;
    assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("not_recorded")));
    gateway.stop().await;
}

#[tokio::test]
async fn files_are_replayed_and_what_only_a_spelled_out_default_breaks_is_told_apart() {
    let (folder, registry) = narrowed();
    let valid = registry.join("contracts/sitefit/1.1.0/examples/valid");
    // Examples are such files; none of them is wider than 150.
    let (_, check) = can_roll(&registry, &["--recorded", valid.to_str().unwrap()], "").await;
    assert_eq!(check["result"], "pass", "{check:#}");
    let file = folder.path().join("one.json");
    let replay = async |text: &str| {
        fs::write(&file, text).unwrap();
        can_roll(&registry, &["--recorded", file.to_str().unwrap()], "").await.1
    };
    let check = replay(r#"{"inputs": {"site_width": 160, "site_depth": 40}}"#).await;
    assert_eq!((&check["result"], check["refused"][0]["only_if_spelled_out"].as_bool()), (&json!("fail"), Some(false)));
    // What 1.1.0 refuses itself was never taken by it.
    let check = replay(r#"{"inputs": {"site_width": -1, "site_depth": 40}}"#).await;
    assert!(check["result"] == "unknown" && check["detail"].as_str().unwrap().contains("were no inputs"), "{check:#}");
    // Whoever left the name out is taken by 1.1.1, whoever wrote the old default is not: the canonical form does not tell them apart.
    let (from, to) = (r#""default": "Untitled site""#, r#""pattern": "^[^U]", "default": "A site""#);
    next(&registry, "inputs.schema.json", from, to);
    let check = replay(r#"{"inputs": {"site_width": 100, "site_depth": 40}}"#).await;
    assert_eq!(
        (&check["result"], check["refused"][0]["only_if_spelled_out"].as_bool()),
        (&json!("unknown"), Some(true)),
        "{check:#}"
    );
}
