//! The registry changes while the gateway serves: live in time, one generation a request, and told as it happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use appserver::admin::Health;
use appserver::config::Config;
use serde_json::{Value, json};

use crate::support::{Answered, Setup, TestGateway, copy, repository, sitefit};

fn node() -> Vec<simnode::Config> {
    vec![simnode::Config::default()]
}

/// A gateway that settles in a quarter of a second, over a registry that the test may change.
async fn gateway(config: fn(&mut Config)) -> TestGateway {
    TestGateway::with(Setup { nodes: node(), config: Some(config), ..Setup::default() }).await
}

fn quick(config: &mut Config) {
    config.registry.settle_ms = 250;
}

/// Puts version `to` of `sitefit` beside 1.1.0, of which it is a copy: written aside, then renamed in.
fn publish(root: &Path, to: &str) {
    let app = root.join("contracts/sitefit");
    let aside = app.join(format!(".{to}"));
    copy(&app.join("1.1.0"), &aside);
    edit(&aside.join("manifest.json"), "\"version\": \"1.1.0\"", &format!("\"version\": \"{to}\""));
    fs::rename(aside, app.join(to)).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} does not hold {from}", path.display());
    // Written aside: no look finds half of it.
    let aside = path.with_extension("aside.tmp");
    fs::write(&aside, text.replace(from, to)).unwrap();
    fs::rename(aside, path).unwrap();
}

/// Points the alias `stable` of a policy.
fn pin(policy: &Path, version: &str) {
    let mut text: Value = serde_json::from_str(&fs::read_to_string(policy).unwrap()).unwrap();
    text["aliases"]["stable"] = json!(version);
    let aside = policy.with_extension("aside.tmp");
    fs::write(&aside, text.to_string()).unwrap();
    fs::rename(aside, policy).unwrap();
}

fn has(health: &Health, app_id: &str, version: &str) -> bool {
    let app = health.apps.iter().find(|app| app.app_id == app_id);
    app.is_some_and(|app| app.versions.iter().any(|found| found.version.to_string() == version))
}

async fn events(gateway: &TestGateway) -> Vec<Value> {
    gateway.get("/admin/events").await.json()["events"].as_array().unwrap().clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_version_dropped_in_is_solved_within_two_seconds() {
    // As shipped: nothing is tuned for the test.
    let gateway = gateway(|_| {}).await;
    let before = gateway.solve("sitefit:1.1.0", &sitefit()).await;
    publish(&gateway.root(), "1.2.0");
    let begin = Instant::now();
    gateway.until(|health| has(health, "sitefit", "1.2.0")).await;
    let took = begin.elapsed();
    assert!(took <= Duration::from_secs(2), "{took:?}");
    let after = gateway.solve("sitefit:1.2.0", &sitefit()).await;
    assert_eq!((after.status, &after.json()["outputs"]), (200, &before.json()["outputs"]));
    assert_eq!(gateway.get("/health/registry").await.json()["generation"], 2);
    let events = events(&gateway).await;
    assert_eq!(kinds(&events), ["loaded", "version_added"]);
    assert_eq!((&events[1]["app_id"], &events[1]["version"]), (&json!("sitefit"), &json!("1.2.0")));
    assert!(events[1]["to"].as_str().unwrap().starts_with("sha256:"));
    gateway.stop().await;
}

#[tokio::test]
async fn an_app_dropped_in_is_solved_within_its_seats() {
    let gateway = gateway(quick).await;
    let (contracts, aside) = (gateway.root().join("contracts"), gateway.root().join("aside"));
    copy(&contracts.join("sitefit"), &aside);
    fs::remove_dir_all(aside.join("1.0.0")).unwrap();
    for file in ["policy.json", "1.1.0/manifest.json"] {
        edit(&aside.join(file), "\"sitefit\"", "\"tower\"");
    }
    fs::rename(aside, contracts.join("tower")).unwrap();
    gateway.until(|health| has(health, "tower", "1.1.0")).await;
    assert_eq!(gateway.solve("tower:stable", &sitefit()).await.status, 200);
    fs::remove_dir_all(contracts.join("tower")).unwrap();
    gateway.until(|health| !has(health, "tower", "1.1.0")).await;
    assert_eq!(gateway.solve("tower:stable", &sitefit()).await.problem(), (404, "unknown_definition".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn g3_without_a_watch_the_poll_finds_it() {
    let gateway = gateway(|config| {
        quick(config);
        (config.registry.watch, config.registry.poll_sec) = (false, 1);
    })
    .await;
    publish(&gateway.root(), "1.2.0");
    let begin = Instant::now();
    gateway.until(|health| has(health, "sitefit", "1.2.0")).await;
    // One poll, a fifth more, a second for settling and loading.
    assert!(begin.elapsed() <= Duration::from_millis(2200), "{:?}", begin.elapsed());
    fs::remove_dir_all(gateway.root().join("contracts/sitefit/1.2.0")).unwrap();
    let begin = Instant::now();
    gateway.until(|health| !has(health, "sitefit", "1.2.0")).await;
    assert!(begin.elapsed() <= Duration::from_millis(2200), "{:?}", begin.elapsed());
    gateway.stop().await;
}

#[tokio::test]
async fn g14_a_solve_ends_under_the_version_that_it_began_with() {
    let gateway = gateway(quick).await;
    publish(&gateway.root(), "1.2.0");
    gateway.until(|health| has(health, "sitefit", "1.2.0")).await;
    let slow = simnode::Fault::Delay { ms: 3000 }.at("/grasshopper");
    gateway.nodes[0].set_faults(simnode::Faults { seed: 1, rules: vec![slow] }).await;
    let slow = {
        let (client, url) = (gateway.client.clone(), format!("{}/gh/sitefit:1.2.0/solve", gateway.base));
        tokio::spawn(async move { client.post(url).body(sitefit().to_string()).send().await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::remove_dir_all(gateway.root().join("contracts/sitefit/1.2.0")).unwrap();
    gateway.until(|health| !has(health, "sitefit", "1.2.0")).await;
    assert!(!slow.is_finished(), "the version went while the solve ran");
    assert_eq!(gateway.solve("sitefit:1.2.0", &sitefit()).await.problem(), (404, "unknown_version".into()));
    let answer = slow.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["version"], "1.2.0");
    gateway.nodes[0].set_faults(simnode::Faults::default()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn tenants_and_policies_change_live() {
    let gateway = TestGateway::with(Setup { nodes: node(), keys: true, config: Some(quick), ..Setup::default() }).await;
    let describe = || async { gateway.get("/gh/sitefit:1.0.0").await.status };
    assert_eq!(describe().await, 200);
    let (tenants, policy) = (gateway.root().join("tenants.json"), gateway.root().join("contracts/sitefit/policy.json"));
    let text = fs::read_to_string(&tenants).unwrap();
    fs::write(&tenants, r#"{"tenants":{}}"#).unwrap();
    until(|| async { describe().await == 401 }).await;
    fs::write(&tenants, "{").unwrap();
    until(|| async { kinds(&events(&gateway).await).contains(&"tenants_refused") }).await;
    assert_eq!(describe().await, 401, "a fault lets nobody in again");
    fs::write(&tenants, text).unwrap();
    until(|| async { describe().await == 200 }).await;
    let stable = || async { gateway.get("/gh/sitefit:stable").await.json()["version"].clone() };
    assert_eq!(stable().await, "1.1.0");
    pin(&policy, "1.0.0");
    until(|| async { stable().await == "1.0.0" }).await;
    assert!(kinds(&events(&gateway).await).ends_with(&["policy_changed", "alias_moved"]));
    gateway.stop().await;
}

#[tokio::test]
async fn an_alias_is_held_while_its_target_lacks_a_plugin() {
    let gateway = gateway(quick).await;
    let app = gateway.root().join("contracts/sitefit");
    publish(&gateway.root(), "1.2.0");
    gateway.until(|health| has(health, "sitefit", "1.2.0")).await;
    let plugins = "{\"rhino\": \"8\", \"plugins\": [{\"name\": \"Nowhere\", \"version\": \"1.0.0\"}]}";
    copy(&app.join("1.1.0"), &app.join(".1.3.0"));
    fs::write(app.join(".1.3.0/plugins.json"), plugins).unwrap();
    edit(&app.join(".1.3.0/manifest.json"), "\"version\": \"1.1.0\"", "\"version\": \"1.3.0\"");
    fs::rename(app.join(".1.3.0"), app.join("1.3.0")).unwrap();
    let stable = || async { gateway.get("/gh/sitefit:stable").await.json()["version"].clone() };
    pin(&app.join("policy.json"), "1.3.0");
    until(|| async { kinds(&events(&gateway).await).contains(&"alias_held") }).await;
    assert_eq!(stable().await, "1.1.0");
    let table = gateway.get("/health/registry?format=text").await.text;
    assert!(table.contains("`stable` should lead to 1.3.0, which is not ready: it stays at 1.1.0"), "{table}");
    pin(&app.join("policy.json"), "1.2.0");
    until(|| async { stable().await == "1.2.0" }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_vanished_registry_serves_on_and_shows_as_stale() {
    let gateway = gateway(quick).await;
    fs::rename(gateway.root().join("contracts"), gateway.root().join("away")).unwrap();
    gateway.until(|health| health.stale).await;
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    assert_eq!(gateway.get("/readyz").await.status, 200);
    let health = gateway.get("/health/registry").await.json();
    assert_eq!((&health["stale"], &health["status"], &health["generation"]), (&json!(true), &json!("warn"), &json!(1)));
    assert!(health["reload_error"].as_str().unwrap().contains("contracts"), "{health}");
    assert!(gateway.get("/health/registry?format=text").await.text.contains("stale since"));
    fs::rename(gateway.root().join("away"), gateway.root().join("contracts")).unwrap();
    gateway.until(|health| !health.stale).await;
    assert_eq!(kinds(&events(&gateway).await), ["loaded", "stale", "fresh"]);
    gateway.stop().await;
}

#[tokio::test]
async fn watch_prints_a_line_an_event() {
    let gateway = gateway(quick).await;
    publish(&gateway.root(), "1.2.0");
    gateway.until(|health| has(health, "sitefit", "1.2.0")).await;
    let run = |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_appserver"));
        command.args(["watch", "--once", "--url", &gateway.base]).args(args);
        async move { String::from_utf8(command.output().await.unwrap().stdout).unwrap() }
    };
    let told = run(&[]).await;
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.lines().nth(1).unwrap().contains("version_added sitefit 1.2.0 "), "{told}");
    let told: Value = serde_json::from_str(&run(&["--json", "--after", "1"]).await).unwrap();
    assert_eq!((&told["number"], &told["kind"]), (&json!(2), &json!("version_added")));
    let page = gateway.get("/admin/events?after=2").await.json();
    assert_eq!(page, json!({ "events": [], "last": 2, "missed": 0 }));
    let text = gateway.get("/admin/events?after=1&format=text").await.text;
    assert!(text.starts_with("2 ") && text.lines().count() == 1, "{text}");
    assert_eq!(gateway.get("/admin/events?after=x").await.status, 400);
    gateway.stop().await;
}

/// A registry behind a link, as git-sync and Kubernetes lay it out: `registry → ..data → generation`.
fn behind_links(root: &Path) {
    let (parent, real) = (root.parent().unwrap(), root.parent().unwrap().join("generation-0"));
    fs::rename(root, &real).unwrap();
    std::os::unix::fs::symlink("generation-0", parent.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data", root).unwrap();
}

/// Makes the generation a copy of the one before with all versions and the policy changed together, and points `..data` to it.
fn swap(parent: &Path, generation: u32) {
    let (old, new) =
        (parent.join(format!("generation-{}", generation - 1)), parent.join(format!("generation-{generation}")));
    copy(&old, &new);
    let app = new.join("contracts/sitefit");
    edit_limits(&app, generation);
    let link = parent.join("..data_tmp");
    std::os::unix::fs::symlink(new.file_name().unwrap(), &link).unwrap();
    fs::rename(link, parent.join("..data")).unwrap();
    if generation > 2 {
        fs::remove_dir_all(parent.join(format!("generation-{}", generation - 2))).unwrap();
    }
}

/// Writes the generation's number into both versions' descriptions.
fn edit_limits(app: &Path, generation: u32) {
    for version in ["1.0.0", "1.1.0"] {
        let manifest = app.join(version).join("manifest.json");
        let mut text: Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
        text["description"] = json!(format!("generation {generation}"));
        fs::write(manifest, text.to_string()).unwrap();
    }
}

async fn until<F: Future<Output = bool>>(wanted: impl Fn() -> F) {
    for _ in 0..500 {
        if wanted().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not as wanted within 10 s");
}

#[tokio::test]
async fn g13_a_restart_from_the_state_folder_serves_at_once() {
    let state = tempfile::tempdir().unwrap();
    let root = state.path().join("registry");
    copy(&repository().join("registry"), &root);
    let start = || {
        let mut config = Config::default();
        config.server.listen.set_port(0);
        config.auth.mode = appserver::config::AuthMode::Open;
        (config.registry.root, config.registry.state_dir) = (root.clone(), state.path().join("kept"));
        let setup = Setup { nodes: node(), ..Setup::default() };
        TestGateway::over(config, setup, tempfile::tempdir().unwrap())
    };
    let first = start().await;
    assert_eq!(first.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    first.stop().await;
    fs::remove_dir_all(&root).unwrap();
    let begin = Instant::now();
    let second = start().await;
    assert_eq!(second.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(second.admin.health().stale);
    second.stop().await;
}

mod slow {
    use super::*;

    /// The generation that an answer's description names; 0 for the samples' own words.
    fn generation(answer: &Answered) -> u32 {
        number_in(answer.json()["description"].as_str())
    }

    fn number_in(description: Option<&str>) -> u32 {
        let number = description.and_then(|text| text.strip_prefix("generation "));
        number.map_or(0, |number| number.parse().unwrap())
    }

    #[tokio::test]
    #[ignore = "slow: swaps links for two minutes"]
    async fn g2_registries_swapped_by_links_under_load_fail_nobody_and_never_mix() {
        let gateway = TestGateway::with(Setup {
            nodes: node(),
            edit: Some(behind_links),
            config: Some(|config| {
                (config.registry.settle_ms, config.registry.mutable_versions) = (20, true);
            }),
            ..Setup::default()
        })
        .await;
        let parent: PathBuf = gateway.root().parent().unwrap().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let callers = (0..2).map(|_| {
            let (client, base, stop) = (gateway.client.clone(), gateway.base.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let solve = client.post(format!("{base}/gh/sitefit:1.0.0/solve")).body(sitefit().to_string());
                    let answer = solve.send().await.unwrap();
                    let (status, text) = (answer.status(), answer.text().await.unwrap());
                    assert_eq!(status, 200, "{text}");
                    answered += 1;
                }
                answered
            })
        });
        let callers: Vec<_> = callers.collect();
        let swaps = if cfg!(debug_assertions) { 200 } else { 1000 };
        let mut newest = 0;
        for number in 1..=swaps {
            let parent = parent.clone();
            tokio::task::spawn_blocking(move || swap(&parent, number)).await.unwrap();
            // One snapshot never holds versions of two swaps: both carry the number of theirs.
            let snapshot = gateway.registry.current();
            let mut numbers = snapshot.apps["sitefit"].releases.values().map(|release| {
                let contract = release.contract().expect("a whole version was refused");
                number_in(contract.manifest.description.as_deref())
            });
            let first = numbers.next().unwrap();
            assert!(numbers.all(|number| number == first), "mixed at swap {number}");
            let seen = generation(&gateway.get("/gh/sitefit:1.0.0").await);
            assert!(seen >= newest, "it went back from {newest} to {seen}");
            newest = seen;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Everything has changed for the reader, and a build for tests hashes slowly: no figure here, only that it comes.
        until(|| async { generation(&gateway.get("/gh/sitefit:1.0.0").await) == swaps }).await;
        stop.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for caller in callers {
            answered += caller.await.unwrap();
        }
        assert!(answered >= 200, "{answered} answers are no load");
        println!("{swaps} swaps, {answered} answers");
        assert!(!gateway.admin.health().stale);
        let kinds_seen = events(&gateway).await;
        assert!(!kinds(&kinds_seen).contains(&"version_refused") && !kinds(&kinds_seen).contains(&"version_removed"));
        gateway.stop().await;
    }
}
