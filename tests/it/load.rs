//! `appserver load` against the real gateway, as a person runs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{KEY, Setup, TestGateway};

/// A gateway whose policies stand in nobody's way, in front of a stub that takes `ms`.
async fn gateway(ms: u64, children: usize) -> TestGateway {
    let stub = Some(Duration::from_millis(ms));
    let nodes = vec![simnode::Config { stub, children, ..simnode::Config::default() }];
    TestGateway::with(Setup { nodes, keys: true, edit: Some(generous), ..Setup::default() }).await
}

fn generous(root: &Path) {
    let file = root.join("contracts/sitefit/policy.json");
    let mut policy: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    policy["max_concurrency"] = json!(64);
    policy["preview_seats"] = json!(32);
    policy["batch_seats"] = json!(32);
    policy["rate_limits"] = json!({ "preview_rps": 100_000, "batch_jobs_per_min": 100_000 });
    fs::write(file, policy.to_string()).unwrap();
}

pub(crate) fn command(url: &str, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
    command.args(["load", "--json", "--url", url]).args(words.split_whitespace());
    command.env_remove("APPSERVER_URL").env("STUDIO_KEY", KEY).env("KIOSK_KEY", "as_kiosk_key");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The exit code, the report, and the talk.
pub(crate) fn read(output: &Output) -> (i32, Value, String) {
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(!talk.contains(KEY) && !String::from_utf8_lossy(&output.stdout).contains(KEY), "a key was shown");
    (output.status.code().unwrap_or(-1), report, talk)
}

async fn load(gateway: &TestGateway, words: &str) -> (i32, Value, String) {
    read(&command(&gateway.base, words).output().await.unwrap())
}

/// Every request is under one code.
fn assert_counted(line: &Value) {
    let codes = line["codes"].as_object().unwrap();
    assert_eq!(codes.values().filter_map(Value::as_u64).sum::<u64>(), line["sent"].as_u64().unwrap(), "{line}");
}

/// The inputs that reached the node, one for each solve.
fn solved(gateway: &TestGateway) -> Vec<String> {
    let log = gateway.nodes[0].log();
    log.iter()
        .filter(|entry| entry.path == "/grasshopper")
        .map(|entry| entry.body.clone().unwrap_or_default()["values"].to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_sends_at_its_rate_with_inputs_of_their_own_for_each_tenant() {
    let gateway = gateway(2, 4).await;
    let words =
        "--rate 80 --spacing constant --duration 1 --tenant studio:env:STUDIO_KEY --tenant kiosk:env:KIOSK_KEY:3";
    let (code, report, talk) =
        load(&gateway, &format!("{words} --solve sitefit:1.0.0 --pid {}", std::process::id())).await;
    let all = &report["all"];
    assert_eq!((code, all["sent"].as_u64(), all["good"].as_u64()), (0, Some(80), Some(80)), "{report} {talk}");
    assert_counted(all);
    let sent = |tenant: &str| report["tenants"][tenant]["sent"].as_u64().unwrap();
    assert_eq!(sent("studio") + sent("kiosk"), 80);
    assert!(sent("kiosk") > sent("studio"), "{report}");
    assert!(report["fairness"].as_f64().unwrap() < 1.0);
    assert!(all["service_ms"]["p50"].as_f64().unwrap() >= 2.0 && all["wait_ms"]["count"] == 80, "{all}");
    assert!(report["cpu"]["ms_per_answer"].as_f64().unwrap() > 0.0);
    assert_eq!(report["varied"].as_array().unwrap().len(), 1);
    let solved = solved(&gateway);
    assert_eq!((solved.len(), solved.iter().collect::<BTreeSet<_>>().len()), (80, 80));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_connection_is_as_slow_as_its_caller_finds_it() {
    let gateway = gateway(200, 1).await;
    let words = "--rate 20 --spacing constant --duration 1 --connections 1 --tenant studio:env:STUDIO_KEY";
    let (code, report, _) = load(&gateway, &format!("{words} --solve sitefit:1.0.0")).await;
    let all = &report["all"];
    let number = |pointer: &str| all.pointer(pointer).and_then(Value::as_f64).unwrap();
    // Each answer takes a little more than 200 ms, but the third was due at 100 ms and sent after 400 ms.
    assert!(number("/latency_ms/max") > 500.0 && number("/late_ms/max") > 250.0, "{report}");
    assert!(number("/service_ms/p50") < 400.0, "{report}");
    assert!((number("/sent") + number("/unsent") - 20.0).abs() < 0.1, "{report}");
    assert!(code == 1 && number("/unsent") >= 10.0, "what was due and not sent is told: {report}");
    assert_eq!(report["connections_opened"], 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_in_a_closed_loop_are_never_more_than_there_are() {
    let gateway = gateway(20, 4).await;
    let words = "--callers 4 --duration 1 --tenant studio:env:STUDIO_KEY:3 --tenant kiosk:env:KIOSK_KEY:1";
    let (code, report, talk) =
        load(&gateway, &format!("{words} --solve sitefit:1.0.0 --lane preview --hit-ratio 1")).await;
    assert_eq!(code, 0, "{report} {talk}");
    assert_counted(&report["all"]);
    assert!(report["all"]["good"].as_u64().unwrap() > 20, "{report}");
    assert!(report["connections_opened"].as_u64().unwrap() <= 4, "{report}");
    assert!(gateway.nodes[0].state().max_concurrent_solves <= 4);
    // Of so many requests, all send one of 16 inputs.
    let different = solved(&gateway).into_iter().collect::<BTreeSet<_>>().len();
    assert!((2..=16).contains(&different), "{different}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_are_counted_and_are_no_failure() {
    let gateway = gateway(400, 4).await;
    let words = "--callers 2 --duration 0.5 --hang-up-after 60 --tenant studio:env:STUDIO_KEY --solve sitefit:1.0.0";
    let (code, report, talk) = load(&gateway, words).await;
    let all = &report["all"];
    assert_eq!((code, all["answered"].as_u64()), (0, Some(0)), "{report} {talk}");
    assert_eq!(all["codes"]["hung_up"], all["sent"]);
    assert!(
        report["connections_opened"].as_u64().unwrap() >= all["sent"].as_u64().unwrap(),
        "leaving closes: {report}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_by_their_code_and_fail_the_run() {
    let gateway = gateway(1, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inputs.json");
    fs::write(&file, "{}").unwrap();
    let words = format!("--rate 50 --duration 0.5 --tenant studio:env:STUDIO_KEY --inputs {}", file.display());
    let (code, report, _) = load(&gateway, &format!("{words} --solve nosuch:1.0.0")).await;
    assert_eq!((code, &report["all"]["codes"]["unknown_definition"]), (1, &report["all"]["sent"]), "{report}");
    assert_eq!(report["all"]["latency_ms"], Value::Null);
    assert_eq!(report["all"]["refusal_ms"]["count"], report["all"]["sent"]);
    let (code, report, _) = load(&gateway, &format!("{words} --solve sitefit:1.0.0")).await;
    assert_eq!((code, &report["all"]["codes"]["invalid_inputs"]), (1, &report["all"]["sent"]), "{report}");
    assert!(solved(&gateway).is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_is_told_by_the_exit_code() {
    let gateway = gateway(1, 1).await;
    let tenant = "--duration 0.2 --tenant studio:env:STUDIO_KEY";
    let (code, _, talk) = load(&gateway, &format!("{tenant} --solve sitefit:9.9.9")).await;
    assert!(code == 4 && talk.contains("sitefit:9.9.9"), "{code} {talk}");
    let (code, _, talk) = load(&gateway, "--tenant studio:as_wrong --solve sitefit:1.0.0").await;
    assert!(code == 1 && talk.contains("401") && !talk.contains("as_wrong"), "{code} {talk}");
    let (code, report, talk) = load(&gateway, &format!("{tenant} --callers 1")).await;
    assert!(code == 0 && report["solve"].as_str().is_some_and(|name| name.contains(':')), "found by itself: {talk}");
    gateway.stop().await;

    let of = async |url: &str, words: &str| read(&command(url, words).output().await.unwrap());
    let (code, _, talk) = of("http://127.0.0.1:1", "").await;
    assert!(code == 6 && talk.contains("cannot reach"), "{code} {talk}");
    // An address that is reserved for documentation: it is refused before anything is sent.
    let (code, _, talk) = of("http://192.0.2.1:3000", "").await;
    assert!(code == 1 && talk.contains("--allow-remote"), "{code} {talk}");
    assert_eq!(of("http://127.0.0.1:1", "--callers 0").await.0, 2);
    assert_eq!(of("http://127.0.0.1:1", "--rate 5 --callers 5").await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_prints_what_there_is() {
    let gateway = gateway(5, 4).await;
    let words = "--rate 50 --duration 60 --tenant studio:env:STUDIO_KEY --solve sitefit:1.0.0";
    let child = command(&gateway.base, words).spawn().unwrap();
    let id = child.id().unwrap().to_string();
    for _ in 0..500 {
        if solved(&gateway).len() > 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let output = tokio::time::timeout(Duration::from_secs(10), child.wait_with_output()).await.unwrap().unwrap();
    let (code, report, talk) = read(&output);
    assert_eq!((code, &report["interrupted"]), (130, &Value::from(true)), "{report} {talk}");
    // Of the solves that the node has seen, as many may be under way as it has children.
    assert!(report["all"]["good"].as_u64().unwrap() > 0 && report["duration_sec"].as_f64().unwrap() < 30.0, "{report}");
    assert_counted(&report["all"]);
    gateway.stop().await;
}
