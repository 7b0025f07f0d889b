//! The second app in one copy: the promise of the platform, held by doing it. A script copies an app's two folders under a new id; what runs
//! serves it without a restart, its stack plans to its own resources, dashboards and rules that knew nothing of it tell of it, and nothing
//! outside its folders differs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::deployment::{Deployment, Program, beside, free};
use super::processes::until_said;
use super::small;
use crate::infra::shim;
use crate::monitoring::prometheus::{Labels, Prometheus, Targets};
use crate::monitoring::traffic::{Traffic, site};
use crate::monitoring::{panels, recorded, tool};
use crate::support::{WORKER_KEY, copy, repository, tenants};

const OLD: &str = "sitefit";
const NEW: &str = "stampfit";

fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let identity = [("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@example.org")];
    let committer = [("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@example.org")];
    let output = Command::new(program).current_dir(folder).args(args).envs(identity).envs(committer).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The same id in place of the other, in every text of a value.
fn renamed(value: &Value, from: &str, to: &str) -> Value {
    serde_json::from_str(&value.to_string().replace(from, to)).unwrap()
}

/// The same with every list in one order: those of sets come in the order of hashes.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => {
            let mut values: Vec<Value> = values.iter().map(sorted).collect();
            values.sort_by_key(Value::to_string);
            Value::Array(values)
        }
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// What a plan of the app's stack would make: by address, what is known of it.
fn plan(tools: &Path, live: &Path, app_id: &str, folder: &Path) -> BTreeMap<String, Value> {
    let unit = shim::unit(&live.join("dev/apps").join(app_id));
    assert_eq!(unit.faults(), [] as [String; 0]);
    unit.lay(folder);
    let terraform = |args: &[&str]| {
        let output = Command::new(tools.join("bin/python"))
            .arg(repository().join("tests/infra/terraform.py"))
            .arg(folder)
            .args(args)
            .env("TF_CLI_CONFIG_FILE", tools.join("terraformrc"))
            .envs([("TF_DISABLE_PLUGIN_TLS", "1"), ("CHECKPOINT_DISABLE", "1"), ("TF_IN_AUTOMATION", "1")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    terraform(&["init", "-input=false", "-no-color"]);
    terraform(&["plan", "-input=false", "-no-color", "-out=plan"]);
    let shown: Value = serde_json::from_str(&terraform(&["show", "-json", "plan"])).unwrap();
    let changes = shown["resource_changes"].as_array().unwrap().iter().map(|change| {
        assert_eq!(change["change"]["actions"], json!(["create"]), "{change}");
        (change["address"].as_str().unwrap().to_owned(), sorted(&change["change"]["after"]))
    });
    changes.collect()
}

mod slow {
    use super::*;

    // The stand-in node answers on a thread of its own while this one waits for programs.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "slow: six processes, Postgres and two plans"]
    async fn a_second_app_is_two_folders_and_nothing_else() {
        let Some(tools) = std::env::var_os("APPSERVER_TEST_INFRA").map(std::path::PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without Terraform");
            eprintln!("SKIPPED: APPSERVER_TEST_INFRA is not set; ./test sets it");
            return;
        };
        let Some(watcher) = tool(&["prometheus"]) else { return };
        // Who may call an app is decided apart from it, and may be decided before.
        let mut granted = tenants();
        granted["tenants"]["studio"]["apps"].as_array_mut().unwrap().push(json!(NEW));
        let Some(mut deployment) = Deployment::with(&granted, simnode::Config::default()).await else { return };
        let operators = free();
        deployment.more.push(("appserver", "APPSERVER_ADMIN_LISTEN", operators.clone()));
        let root = deployment.folder.path().to_owned();
        let root = root.as_path();
        copy(&repository().join("infra"), &root.join("infra"));
        run(root, "git", &["init", "--quiet"]);
        run(root, "git", &["add", "registry", "infra"]);
        run(root, "git", &["commit", "--quiet", "--message", "before"]);

        // The platform serves what it had, and is watched, with targets for what its discovery will find; then somebody copies two folders.
        let mut gateway = deployment.gateway().await;
        let stacks = [OLD, NEW].map(|app| (app, free(), free()));
        let targets = Targets {
            gateways: vec![operators.clone()],
            apis: stacks.iter().map(|(_, api, _)| api.clone()).collect(),
            workers: stacks.iter().map(|(.., worker)| worker.clone()).collect(),
            alertmanager: free(),
        };
        std::fs::create_dir(root.join("watch")).unwrap();
        let prometheus = Prometheus::start(&watcher, &root.join("watch"), &deployment.client, &targets).await;
        let mut traffic = Traffic::new(&deployment.client);
        let _programs = stack(&mut deployment, &stacks[0], &gateway.url, &mut traffic).await;
        until_counted(&prometheus, OLD).await;
        assert_eq!(prometheus.rows(&format!("{{app_id=\"{NEW}\"}}")).await, [] as [Labels; 0]);
        let before = registry(&deployment, &gateway).await;
        assert!(before.iter().all(|(app, _, _)| app != NEW), "{before:?}");
        run(root, repository().join("tests/infra/stamp").to_str().unwrap(), &[OLD, NEW, "."]);
        let differs = run(root, "git", &["status", "--porcelain", "--", "registry", "infra"]);
        assert_eq!(differs, format!("?? infra/live/dev/apps/{NEW}/\n?? registry/contracts/{NEW}/\n"));

        // The gateway is ready for it, and is the process that it was.
        let now = until_ready(&deployment, &gateway).await;
        assert!(gateway.child.try_wait().unwrap().is_none(), "{}", gateway.said());
        let others = |seen: &[(String, String, String)]| {
            seen.iter().filter(|(app, _, _)| app != NEW).cloned().collect::<Vec<_>>()
        };
        assert_eq!(others(&now), others(&before), "the others are as they were");

        // Its own API and worker, told as its stack tells them.
        let [mut api, mut worker] = stack(&mut deployment, &stacks[1], &gateway.url, &mut traffic).await;
        job(&deployment, &api, &worker).await;
        metrics(&deployment, &operators, &api, &worker).await;
        watched(&prometheus).await;
        drop(traffic);

        // Its stack is the other's with its id, made anew.
        let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let live = root.join("infra/live");
        let mine = plan(&tools, &live, NEW, mine.path());
        let other = plan(&tools, &live, OLD, other.path());
        assert!(mine.len() > 15, "{:?}", mine.keys());
        let expected = other.iter().map(|(address, after)| (address.clone(), sorted(&renamed(after, OLD, NEW))));
        assert_eq!(mine, expected.collect());
        for (address, after) in &mine {
            assert!(!after.to_string().contains(OLD), "{address} is the other app's: {after}");
        }
        assert_eq!(mine["azurerm_servicebus_queue.jobs"]["name"], json!(format!("jobs-{NEW}")));

        health_follows(&mut worker, "appserver-worker", "WORKER_LISTEN");
        health_follows(&mut api, "appserver-api", "API_LISTEN");
        health_follows(&mut gateway, "appserver", "APPSERVER_SERVER_LISTEN");
        deployment.node.stop().await;
    }
}

/// What the gateway says of its versions once both of the new app are ready.
async fn until_ready(deployment: &Deployment, gateway: &Program) -> Vec<(String, String, String)> {
    let mut now = Vec::new();
    for _ in 0..1500 {
        now = registry(deployment, gateway).await;
        let mine: Vec<_> = now.iter().filter(|(app, _, _)| app == NEW).collect();
        if mine.len() == 2 && mine.iter().all(|(_, _, status)| status == "ready") {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{now:?}\n{}", gateway.said());
}

/// The API and the worker of one app, told as its stack tells them, with callers of the app at both lanes and at its API.
async fn stack(
    deployment: &mut Deployment,
    (app, api, worker): &(&str, String, String),
    gateway: &str,
    traffic: &mut Traffic,
) -> [Program; 2] {
    deployment.more.retain(|(_, name, _)| !["APP_ID", "QUEUE_NAME"].contains(name));
    for program in ["appserver-api", "appserver-worker"] {
        deployment.more.push((program, "APP_ID", (*app).to_owned()));
        deployment.more.push((program, "QUEUE_NAME", format!("jobs-{app}")));
    }
    let programs = [deployment.api_at(api, gateway).await, deployment.worker_at(worker, gateway).await];
    for lane in ["preview", "batch"] {
        traffic.solve(gateway, app, lane, site);
    }
    traffic.queue(&programs[0].url, app, deployment.issuer.token("user-1", "studio", None, 600).unwrap());
    programs
}

/// Each promise of the app has been seen to be kept by the rules.
async fn until_counted(prometheus: &Prometheus, app: &str) {
    let mut seen = BTreeSet::new();
    for _ in 0..120 {
        seen = lines(&prometheus.rows("appserver:slo_budget_left:ratio28d").await, Some(app));
        if seen.len() == 5 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{app}: {seen:?}\n{}", prometheus.program.said());
}

/// What a panel draws or a rule records of an app, by lane and promise. Codes and outcomes are left out: they are what callers met.
fn lines(rows: &[Labels], app: Option<&str>) -> BTreeSet<[Option<String>; 2]> {
    let of_app = rows.iter().filter(|row| app.is_none_or(|app| row.get("app_id").is_some_and(|of| of == app)));
    of_app.map(|row| ["lane", "slo"].map(|label| row.get(label).cloned())).collect()
}

/// Every panel and every recorded series tells of the new app what it tells of the other. Prometheus runs as it was started before the copy,
/// and git has said that no file of infra/monitoring differs.
async fn watched(prometheus: &Prometheus) {
    until_counted(prometheus, NEW).await;
    let choices = prometheus.json("/api/v1/label/app_id/values", &[("match[]", "appserver_versions")]).await;
    assert!(choices["data"].as_array().unwrap().contains(&json!(NEW)), "the dashboard's choices: {choices}");
    // Whether the query has the app in place of a variable, or has a line for each app.
    let mut asked: Vec<(String, String, bool)> =
        panels("app").into_iter().map(|panel| (panel.title, panel.query, true)).collect();
    let by_app = |legend: &str| legend.contains("{{app_id}}");
    let of_fleet = panels("fleet").into_iter().filter(|panel| by_app(&panel.legend));
    asked.extend(of_fleet.map(|panel| (panel.title, panel.query, false)));
    asked.extend(recorded().into_iter().map(|name| ("recorded".to_owned(), name, false)));
    let all = asked.len();
    let mut left = Vec::new();
    for _ in 0..120 {
        left.clear();
        for (title, query, variable) in asked {
            let rows = [prometheus.panel(&query, OLD).await, prometheus.panel(&query, NEW).await];
            let [old, new] = if variable {
                rows.map(|rows| lines(&rows, None))
            } else {
                [OLD, NEW].map(|app| lines(&rows[1], Some(app)))
            };
            if old.is_empty() || new.is_empty() || !old.is_subset(&new) {
                left.push((title, query, variable, format!("{OLD}: {old:?}; {NEW}: {new:?}")));
            }
        }
        if left.is_empty() {
            break;
        }
        asked = left.iter().map(|(title, query, variable, _)| (title.clone(), query.clone(), *variable)).collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(left.is_empty(), "they tell of {OLD} and not of {NEW}: {left:#?}\n{}", prometheus.program.said());
    assert!(all > 29 + 8 + 24, "{all} queries");
    println!("{all} queries of panels and rules tell of {NEW} what they tell of {OLD}");
}

/// A job of the new app, from its API through its queue and worker to a result.
async fn job(deployment: &Deployment, api: &Program, worker: &Program) {
    let token = deployment.issuer.token("user-1", "studio", None, 600).unwrap();
    let mut body = small();
    body["definition"] = json!(NEW);
    let (status, now) = deployment.run(api, NEW, &body, &token).await;
    assert_eq!(status, 202, "{now}");
    assert_eq!(now["status"], "succeeded", "{now}\n{}", worker.said());
    let (status, result) = deployment.get(now["result_url"].as_str().unwrap(), &token).await;
    assert_eq!((status, result["outputs"].is_object()), (200, true), "{result}");
}

/// The new app's own series, where rules and dashboards look for them.
async fn metrics(deployment: &Deployment, operators: &str, api: &Program, worker: &Program) {
    let app = format!("app_id=\"{NEW}\"");
    until_said(deployment, worker, &format!("appserver_job_attempts_total{{{app}")).await;
    until_said(deployment, api, &format!("appserver_queue_jobs{{{app}")).await;
    let answer = deployment.client.get(format!("http://{operators}/metrics")).send().await.unwrap();
    let text = answer.text().await.unwrap();
    for series in ["appserver_requests_total", "appserver_seats_limit", "appserver_node_solve_seconds_count"] {
        let mine = text.lines().any(|line| line.starts_with(&format!("{series}{{")) && line.contains(&app));
        assert!(mine, "{series} of {NEW}: {text}");
    }
    assert!(!text.contains(WORKER_KEY));
}

/// `health` of the same binary says what becomes of the program: well while it runs, not when it has gone.
fn health_follows(program: &mut Program, name: &str, listen: &str) {
    let asked = |program: &Program| {
        let mut health = Command::new(beside(name));
        health.arg("health").env_remove("PORT").env_remove("APPSERVER_CONFIG");
        let address = program.url.trim_start_matches("http://");
        health.env(listen, address).output().unwrap().status.code()
    };
    assert_eq!(asked(program), Some(0), "{name}: {}", program.said());
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0), "{}", program.said());
    assert!(asked(program).is_some_and(|code| code != 0));
}

/// What a gateway says of its versions: app, version, status.
async fn registry(deployment: &Deployment, gateway: &Program) -> Vec<(String, String, String)> {
    let health = deployment.get(&format!("{}/health/registry", gateway.url), WORKER_KEY).await.1;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    for app in health["apps"].as_array().unwrap() {
        for version in app["versions"].as_array().unwrap() {
            seen.push((text(&app["app_id"]), text(&version["version"]), text(&version["status"])));
        }
    }
    seen
}
