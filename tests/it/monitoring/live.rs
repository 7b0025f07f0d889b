//! The three programs under load, scraped by a Prometheus with the rules of this repository, beside an Alertmanager with its routes: every panel
//! answers, and when the nodes go, the right people are told and led to the right paragraph.
//!
//! The files are those that are shipped, save for addresses and pace: what is evaluated or waited for in minutes takes a second or two.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use identity::Issuer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{alerts, folder, panels, paragraphs, text, tool};
use crate::auth::publish;
use crate::jobs::deployment::{Program, beside, free};
use crate::support::{KEY, WORKER_KEY, copy, repository, set_rates, tenants};

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
    prometheus: String,
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
            prometheus: free(),
            alertmanager: free(),
            told,
        };
        platform.programs(node).await;
        platform.watchers(prometheus, alertmanager, hook).await;
        platform
    }

    fn run(&self, program: &Path, args: &[&str], listen: &str, settings: &[(&str, &str)]) -> Program {
        let log = self.folder.path().join(format!("{}.log", program.file_name().unwrap().display()));
        let (out, err) = (File::create(&log).unwrap(), File::options().append(true).open(&log).unwrap());
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null()).stdout(out).stderr(err);
        for name in ["PORT", "APPSERVER_CONFIG", "APP_ID", "RHINO_COMPUTE_KEY", "LINK_KEY", "QUEUE_NAME", "RUST_LOG"] {
            command.env_remove(name);
        }
        let child = command.envs(settings.iter().copied()).spawn().unwrap();
        Program { child, url: format!("http://{listen}"), log }
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
        let worker = self.others[1].url.trim_start_matches("http://").to_owned();
        let config = text("infra/monitoring/prometheus/prometheus.yml").replace("_interval: 15s", "_interval: 1s");
        let config = replaced(
            &config,
            &[
                ("127.0.0.1:9093", &self.alertmanager),
                ("127.0.0.1:3001", &self.operators),
                ("127.0.0.1:3003", &self.api),
                ("127.0.0.1:3002", &worker),
            ],
        );
        fs::write(here.join("prometheus.yml"), config).unwrap();
        for file in ["slo.rules.yml", "alerts.rules.yml"] {
            fs::write(here.join(file), hurried(&text(&format!("infra/monitoring/prometheus/{file}")))).unwrap();
        }
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
        let address = format!("--web.listen-address={}", self.prometheus);
        let args = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=series",
            "--storage.tsdb.retention.time=30d",
            &address,
        ];
        let mut watcher = self.run(prometheus, &args, &self.prometheus, &[]);
        watcher.until_ready(&self.client, "/-/ready").await;
        self.others.extend([teller, watcher]);
    }

    async fn json(&self, base: &str, path: &str, query: &[(&str, &str)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("http://{base}{path}"), query).unwrap();
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Whether Prometheus has a finite value for it.
    async fn answers(&self, query: &str) -> bool {
        let answer = self.json(&self.prometheus, "/api/v1/query", &[("query", query)]).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().any(|one| one["value"][1].as_str().unwrap().parse::<f64>().unwrap().is_finite())
    }

    /// Alerts that fire at Alertmanager: name, pool or slo, severity, and whether a rule keeps them silent.
    async fn firing(&self) -> Vec<(String, String, String, bool)> {
        let answer =
            self.json(&self.alertmanager, "/api/v2/alerts", &[("active", "true"), ("inhibited", "true")]).await;
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

fn replaced(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// Rules at the pace of a test: looked at each second, and true for two seconds in place of minutes. What they compare stays.
fn hurried(rules: &str) -> String {
    let line = |line: &str| match line.trim_start().split_once(' ') {
        Some(("interval:", _)) => "    interval: 1s".to_owned(),
        Some(("for:", wait)) if wait != "0m" => "        for: 2s".to_owned(),
        _ => line.to_owned(),
    };
    rules.lines().map(|each| line(each) + "\n").collect()
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

/// Callers of both lanes, one of whom errs now and then, and one who queues jobs.
fn load(platform: &Platform, stop: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
    let (client, gateway) = (platform.client.clone(), platform.gateway.as_ref().unwrap().url.clone());
    let solving = |lane: &'static str, app: &'static str| {
        let (client, gateway) = (client.clone(), gateway.clone());
        async move {
            for turn in 0_u32.. {
                // Every third asks what was asked before, every fifth what the contract does not allow.
                let width = if turn % 3 == 0 { 30.0 } else { 30.0 + f64::from(turn % 500) / 100.0 };
                let width = if turn % 5 == 4 { -1.0 } else { width };
                let inputs =
                    if app == "sitefit" { json!({ "site_width": width, "site_depth": 40 }) } else { json!({}) };
                let url = format!("{gateway}/gh/{app}:stable/solve?lane={lane}");
                let _ = client.post(url).bearer_auth(KEY).body(json!({ "inputs": inputs }).to_string()).send().await;
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
        }
    };
    let token = platform.issuer.token("user-1", "studio", None, 600).unwrap();
    let (client, api) = (platform.client.clone(), platform.api.clone());
    let queueing = async move {
        for turn in 0_u32.. {
            let inputs = json!({ "site_width": 30.0 + f64::from(turn % 500) / 50.0, "site_depth": 41 });
            let body = json!({ "definition": "sitefit", "version": "stable", "inputs": inputs });
            let _ = client
                .post(format!("http://{api}/sitefit/jobs/run"))
                .bearer_auth(&token)
                .body(body.to_string())
                .send()
                .await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let mut tasks = Vec::new();
    for (lane, app) in [("preview", "sitefit"), ("batch", "sitefit"), ("preview", "yieldcheck")] {
        tasks.push(tokio::spawn(stop.clone().run_until_cancelled_owned(solving(lane, app))));
    }
    tasks.push(tokio::spawn(stop.clone().run_until_cancelled_owned(queueing)));
    tasks.into_iter().map(|task| tokio::spawn(async move { drop(task.await) })).collect()
}

#[tokio::test]
async fn panels_answer_under_load_and_a_pool_that_goes_down_pages_with_the_way_to_its_paragraph() {
    let found = (tool(&["prometheus"]), tool(&["prometheus-alertmanager", "alertmanager"]));
    let (Some(prometheus), Some(alertmanager)) = found else { return };
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let platform = Platform::start(&node.url(), &prometheus, &alertmanager).await;
    let stop = CancellationToken::new();
    let tasks = load(&platform, &stop);

    every_panel_answers(&platform).await;
    budgets_are_told(&platform).await;
    let pages = platform.firing().await.into_iter().filter(|(_, _, severity, _)| severity == "page");
    assert_eq!(pages.collect::<Vec<_>>(), [], "nobody is woken while all is well");

    node.stop().await;
    the_page_arrives(&platform).await;
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn every_panel_answers(platform: &Platform) {
    let mut silent: Vec<(String, String)> = ["fleet", "app"].into_iter().flat_map(panels).collect();
    let rules = folder().join("prometheus/slo.rules.yml");
    let recorded = fs::read_to_string(rules).unwrap();
    let recorded = recorded.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    silent.extend(recorded.map(|name| ("recorded".to_owned(), name.to_owned())));
    for _ in 0..60 {
        let mut left = Vec::new();
        for (title, query) in silent {
            let asked = query.replace("$__rate_interval", "20s").replace("$app_id", "sitefit");
            if !platform.answers(&asked).await {
                left.push((title, query));
            }
        }
        silent = left;
        if silent.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(silent.is_empty(), "panels without an answer: {silent:#?}\n{}", platform.said());
    let apps =
        platform.json(&platform.prometheus, "/api/v1/label/app_id/values", &[("match[]", "appserver_versions")]).await;
    assert_eq!(apps["data"], json!(["daylight", "parking", "sitefit", "yieldcheck"]), "the variable's choices");
    let groups = platform.json(&platform.prometheus, "/api/v1/rules", &[]).await.to_string();
    assert!(!groups.contains("\"health\":\"err\""), "{groups}");
    assert!(alerts().iter().all(|alert| groups.contains(&format!("\"name\":\"{}\"", alert.name))));
}

/// `appserver slo` tells the same of a gateway and of Prometheus.
async fn budgets_are_told(platform: &Platform) {
    let gateway = &platform.gateway.as_ref().unwrap().url;
    let prometheus = format!("http://{}", platform.prometheus);
    for from in [["--url", gateway], ["--prometheus", prometheus.as_str()]] {
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
