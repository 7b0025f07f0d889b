//! The three programs under load, scraped by a Prometheus with the rules of this repository, beside an Alertmanager with its routes: every panel
//! answers, and when the nodes go, the right people are told and led to the right paragraph.
//!
//! The files are those that are shipped, save for addresses and pace: what is evaluated or waited for in minutes takes a second or two.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use identity::Issuer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::prometheus::{Prometheus, Targets, json as asked, replaced};
use super::traffic::{Traffic, site};
use super::{Panel, alerts, panels, paragraphs, recorded, text, tool};
use crate::auth::publish;
use crate::jobs::deployment::{Program, beside, free};
use crate::support::{WORKER_KEY, copy, repository, set_rates, tenants};

/// Everything that runs.
struct Platform {
    folder: TempDir,
    client: reqwest::Client,
    issuer: Issuer,
    jwks: String,
    gateway: Option<Program>,
    others: Vec<Program>,
    operators: String,
    api: String,
    prometheus: Option<Prometheus>,
    alertmanager: String,
    told: Told,
}

/// What Alertmanager has sent, by the path that it was sent to.
type Told = Arc<Mutex<Vec<(String, Value)>>>;

// === impl Platform ===

impl Platform {
    async fn start(node: &str, prometheus: &Path, alertmanager: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("registry");
        copy(&repository().join("registry"), &root);
        fs::write(root.join("tenants.json"), tenants().to_string()).unwrap();
        set_rates(&root, 100_000.0);
        let issuer = Issuer::new("one", "https://id.example", "authenticated").unwrap();
        let jwks = publish(&issuer).await;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let told = Told::default();
        let hook = listen(Arc::clone(&told)).await;
        let mut platform = Self {
            folder,
            client,
            issuer,
            jwks,
            gateway: None,
            others: Vec::new(),
            operators: free(),
            api: free(),
            prometheus: None,
            alertmanager: free(),
            told,
        };
        platform.programs(node).await;
        platform.watchers(prometheus, alertmanager, hook).await;
        platform
    }

    fn run(&self, program: &Path, args: &[&str], listen: &str, settings: &[(&str, &str)]) -> Program {
        let log = self.folder.path().join(format!("{}.log", program.file_name().unwrap().display()));
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).args(args);
        for name in ["PORT", "APPSERVER_CONFIG", "APP_ID", "RHINO_COMPUTE_KEY", "LINK_KEY", "QUEUE_NAME", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.envs(settings.iter().copied());
        Program::spawn(command, log, listen)
    }

    async fn programs(&mut self, node: &str) {
        let (listen, jobs) = (free(), [("DATABASE_URL", "sqlite:jobs.sqlite")]);
        let migrated = self.run(&beside("appserver"), &["migrate", "--registry", "registry"], "", &jobs);
        assert_eq!({ migrated }.exit_code(), Some(0));
        let args = ["serve", "--registry", "registry", "--listen", &listen];
        let settings = [
            ("RHINO_COMPUTE_URL", node),
            ("APPSERVER_ADMIN_LISTEN", &self.operators),
            ("APPSERVER_PROBE_INTERVAL_SEC", "1"),
        ];
        let mut gateway = self.run(&beside("appserver"), &args, &listen, &settings);
        gateway.until_ready(&self.client, "/readyz").await;
        let shared = [("APP_SERVER_URL", gateway.url.as_str()), ("APP_SERVER_KEY", WORKER_KEY), jobs[0]];
        let issued =
            [("JWT_JWKS_URL", self.jwks.as_str()), ("JWT_ISSUER", "https://id.example"), ("API_LISTEN", &self.api)];
        let mut api = self.run(&beside("appserver-api"), &[], &self.api, &[&shared[..], &issued].concat());
        api.until_ready(&self.client, "/livez").await;
        let listen = free();
        let of_worker = [("WORKER_LISTEN", listen.as_str()), ("APP_ID", "sitefit,parking")];
        let mut worker = self.run(&beside("appserver-worker"), &[], &listen, &[&shared[..], &of_worker].concat());
        worker.until_ready(&self.client, "/readyz").await;
        self.gateway = Some(gateway);
        self.others.extend([api, worker]);
    }

    /// Prometheus and Alertmanager with the shipped files.
    async fn watchers(&mut self, prometheus: &Path, alertmanager: &Path, hook: SocketAddr) {
        let here = self.folder.path();
        let routes =
            replaced(&text("infra/monitoring/alertmanager/alertmanager.yml"), &[("127.0.0.1:9095", &hook.to_string())]);
        let routes = routes
            .replace("group_wait: 30s", "group_wait: 2s")
            .replace("group_wait: 10s", "group_wait: 2s")
            .replace("group_interval: 5m", "group_interval: 2s");
        fs::write(here.join("alertmanager.yml"), routes).unwrap();
        let address = format!("--web.listen-address={}", self.alertmanager);
        let args = ["--config.file=alertmanager.yml", "--storage.path=alerts", &address, "--cluster.listen-address="];
        let mut teller = self.run(alertmanager, &args, &self.alertmanager, &[]);
        teller.until_ready(&self.client, "/-/ready").await;
        let worker = self.others[1].url.trim_start_matches("http://").to_owned();
        let targets = Targets {
            gateways: vec![self.operators.clone()],
            apis: vec![self.api.clone()],
            workers: vec![worker],
            alertmanager: self.alertmanager.clone(),
        };
        self.prometheus = Some(Prometheus::start(prometheus, here, &self.client, &targets).await);
        self.others.push(teller);
    }

    fn prometheus(&self) -> &Prometheus {
        self.prometheus.as_ref().unwrap()
    }

    /// Alerts that fire at Alertmanager: name, pool or slo, severity, and whether a rule keeps them silent.
    async fn firing(&self) -> Vec<(String, String, String, bool)> {
        let base = format!("http://{}", self.alertmanager);
        let answer = asked(&self.client, &base, "/api/v2/alerts", &[("active", "true"), ("inhibited", "true")]).await;
        let word = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
        let alerts = answer.as_array().unwrap().iter().map(|alert| {
            let about = word(alert, "pool") + &word(alert, "slo");
            (word(alert, "alertname"), about, word(alert, "severity"), alert["status"]["state"] == "suppressed")
        });
        alerts.collect()
    }

    fn said(&self) -> String {
        self.gateway
            .iter()
            .chain(&self.others)
            .chain(self.prometheus.as_ref().map(|prometheus| &prometheus.program))
            .map(Program::said)
            .collect::<String>()
            .chars()
            .rev()
            .take(4000)
            .collect::<String>()
            .chars()
            .rev()
            .collect()
    }

    fn appserver(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(beside("appserver")).args(args).current_dir(self.folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

/// Takes what Alertmanager sends.
async fn listen(told: Told) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while connection.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    if let Ok(sent) = serde_json::from_str::<Value>(body) {
                        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                        told.lock().unwrap().push((path, sent));
                        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                        bytes.clear();
                    }
                }
            });
        }
    });
    address
}

/// Callers of both lanes, and one who queues jobs.
fn load(platform: &Platform) -> Traffic {
    let (mut traffic, gateway) = (Traffic::new(&platform.client), &platform.gateway.as_ref().unwrap().url);
    traffic.solve(gateway, "sitefit", "preview", site);
    traffic.solve(gateway, "sitefit", "batch", site);
    traffic.solve(gateway, "yieldcheck", "preview", |_width| json!({}));
    let token = platform.issuer.token("user-1", "studio", None, 600).unwrap();
    traffic.queue(&format!("http://{}", platform.api), "sitefit", token);
    traffic
}

#[tokio::test]
async fn panels_answer_under_load_and_a_pool_that_goes_down_pages_with_the_way_to_its_paragraph() {
    let found = (tool(&["prometheus"]), tool(&["prometheus-alertmanager", "alertmanager"]));
    let (Some(prometheus), Some(alertmanager)) = found else { return };
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let platform = Platform::start(&node.url(), &prometheus, &alertmanager).await;
    let _traffic = load(&platform);

    every_panel_answers(&platform).await;
    budgets_are_told(&platform).await;
    let pages = platform.firing().await.into_iter().filter(|(_, _, severity, _)| severity == "page");
    assert_eq!(pages.collect::<Vec<_>>(), [], "nobody is woken while all is well");

    node.stop().await;
    the_page_arrives(&platform).await;
}

async fn every_panel_answers(platform: &Platform) {
    let mut silent: Vec<Panel> = ["fleet", "app"].into_iter().flat_map(panels).collect();
    silent.extend(recorded().into_iter().map(|name| Panel {
        title: "recorded".to_owned(),
        query: name,
        ..Panel::default()
    }));
    for _ in 0..60 {
        let mut left = Vec::new();
        for panel in silent {
            if platform.prometheus().panel(&panel.query, "sitefit").await.is_empty() {
                left.push(panel);
            }
        }
        silent = left;
        if silent.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(silent.is_empty(), "panels without an answer: {silent:#?}\n{}", platform.said());
    let apps = platform.prometheus().json("/api/v1/label/app_id/values", &[("match[]", "appserver_versions")]).await;
    assert_eq!(apps["data"], json!(["daylight", "parking", "sitefit", "yieldcheck"]), "the variable's choices");
    let groups = platform.prometheus().json("/api/v1/rules", &[]).await.to_string();
    assert!(!groups.contains("\"health\":\"err\""), "{groups}");
    assert!(alerts().iter().all(|alert| groups.contains(&format!("\"name\":\"{}\"", alert.name))));
}

/// `appserver slo` tells the same of a gateway and of Prometheus.
async fn budgets_are_told(platform: &Platform) {
    let gateway = &platform.gateway.as_ref().unwrap().url;
    for from in [["--url", gateway.as_str()], ["--prometheus", platform.prometheus().program.url.as_str()]] {
        let ask = || platform.appserver(&["slo", "--json", "--app", "sitefit", from[0], from[1]]);
        let of_jobs = |said: &str| {
            let rows: Vec<Value> = serde_json::from_str(said).unwrap();
            rows.iter().find(|row| row["slo"] == "jobs_success").map(|row| row["share"].clone())
        };
        let (mut code, mut said) = ask();
        // The rules know a rate of jobs when a second scrape has seen their count grow.
        for _ in 0..60 {
            if from[0] == "--url" || of_jobs(&said).is_some_and(|share| !share.is_null()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            (code, said) = ask();
        }
        let rows: Vec<Value> = serde_json::from_str(&said).unwrap();
        let row = |slo: &str| rows.iter().find(|row| row["slo"] == slo).unwrap_or_else(|| panic!("{slo}: {said}"));
        assert_eq!((code, rows.len()), (Some(0), 5), "{said}");
        assert_eq!(
            (&row("availability")["objective"], &row("availability")["budget_left"]),
            (&json!(0.995), &json!(1.0)),
            "{said}"
        );
        assert_eq!(row("preview_latency")["within_ms"], json!(2000.0));
        let of_jobs = &row("jobs_success")["share"];
        assert_eq!(
            of_jobs,
            &if from[0] == "--url" { Value::Null } else { json!(1.0) },
            "the gateway sees no job: {said}"
        );
        let (_, table) = platform.appserver(&["slo", "--app", "sitefit", from[0], from[1]]);
        assert!(table.starts_with("app_id   slo") && table.contains("99.50 %"), "{table}");
    }
}

async fn the_page_arrives(platform: &Platform) {
    let wanted = |firing: &[(String, String, String, bool)], name: &str, about: &str, silenced: bool| {
        firing.iter().any(|(alert, of, _, hushed)| alert == name && of == about && *hushed == silenced)
    };
    let told = |name: &str| {
        let told = platform.told.lock().unwrap();
        told.iter().find_map(|(path, sent)| {
            let alerts = sent["alerts"].as_array()?;
            let alert = alerts.iter().find(|alert| alert["labels"]["alertname"] == name)?;
            Some((path.clone(), alert.clone()))
        })
    };
    let mut firing = Vec::new();
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        firing = platform.firing().await;
        let all = wanted(&firing, "NodePoolDown", "*", false)
            && wanted(&firing, "NodePoolDown", "default", true)
            && wanted(&firing, "AppBudgetBurnsFast", "availability", false)
            && wanted(&firing, "AppBudgetBurnsSlowly", "availability", true);
        if all && told("NodePoolDown").is_some() && told("AppBudgetBurnsFast").is_some() {
            break;
        }
    }
    let page = text("docs/operations.md");
    for name in ["NodePoolDown", "AppBudgetBurnsFast"] {
        let Some((path, alert)) = told(name) else {
            panic!("nobody was told of {name}: {firing:?}\n{}", platform.said())
        };
        assert_eq!(path, "/page", "{name} goes to who is on call");
        let link = alert["annotations"]["runbook_url"].as_str().unwrap();
        let anchor = link.strip_prefix("https://docs.example/appserver/operations.md#").unwrap();
        let (_, paragraph) = &paragraphs(&page)[anchor];
        assert!(page.contains(&format!("#### {name}\n{paragraph}")), "{link} leads elsewhere");
    }
    let (_, alert) = told("NodePoolDown").unwrap();
    assert_eq!((&alert["labels"]["pool"], &alert["labels"]["severity"]), (&json!("*"), &json!("page")));
    assert!(wanted(&firing, "NodePoolDown", "default", true), "one page for one cause: {firing:?}");
    assert!(wanted(&firing, "AppBudgetBurnsSlowly", "availability", true), "the page silences its ticket: {firing:?}");
    let (code, said) =
        platform.appserver(&["slo", "--app", "sitefit", "--url", &platform.gateway.as_ref().unwrap().url]);
    assert_eq!(code, Some(3), "a broken promise is told by the exit code: {said}");
}
