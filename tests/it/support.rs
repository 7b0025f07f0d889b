//! The real gateway on a free port, with stand-in nodes behind it: `App::build` and `App::run`, exactly what `serve` runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use appserver::admin::{Admin, Health};
use appserver::app::{App, Consent};
use appserver::config::{AuthMode, Config, Node, Secrets};
use appserver::registry::Registry;
use serde_json::{Value, json};
use simnode::Running;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::invariants;

/// The key that tests call with.
pub(crate) const KEY: &str = "as_test_key";
/// The key of the role `worker`.
pub(crate) const WORKER_KEY: &str = "as_worker_key";

/// A gateway that runs until it is dropped or stopped.
pub(crate) struct TestGateway {
    pub(crate) base: String,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) admin: Admin,
    /// The operators' own listener, where there is one.
    pub(crate) operators: Option<String>,
    pub(crate) registry: Registry,
    root: PathBuf,
    pub(crate) nodes: Vec<Running>,
    /// How many solves each node may be given at once.
    pub(crate) slots: Vec<usize>,
    pub(crate) client: reqwest::Client,
    /// When it was started.
    pub(crate) since: Instant,
    /// Whether its nodes solve for it alone, and for its callers alone.
    pub(crate) alone: bool,
    stop: CancellationToken,
    served: Option<JoinHandle<bool>>,
    _folder: TempDir,
    _counted: invariants::Counted,
}

/// What a test changes of the usual.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) nodes: Vec<simnode::Config>,
    pub(crate) keys: bool,
    /// Do not wait until something is ready.
    pub(crate) unready: bool,
    /// Keep the samples' own rate limits; else a test may call as often as it likes.
    pub(crate) rates: bool,
    /// Works on a copy of the registry before it is loaded.
    pub(crate) edit: Option<fn(&Path)>,
    pub(crate) config: Option<fn(&mut Config)>,
}

impl TestGateway {
    /// One stand-in node, open, the registry as it is.
    pub(crate) async fn start() -> Self {
        Self::with(Setup { nodes: vec![simnode::Config::default()], ..Setup::default() }).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        Self::telling(setup, |_| {}).await
    }

    /// With a change of the configuration that knows what a test has made.
    pub(crate) async fn telling(setup: Setup, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("registry");
        copy(&repository().join("registry"), &root);
        if setup.keys {
            fs::write(root.join("tenants.json"), tenants().to_string()).unwrap();
        }
        if !setup.rates {
            set_rates(&root, 100_000.0);
        }
        if let Some(edit) = setup.edit {
            edit(&root);
        }
        let mut config = Config::default();
        config.server.listen.set_port(0);
        config.registry.root = root;
        config.auth.mode = if setup.keys { AuthMode::Keys } else { AuthMode::Open };
        config.probe.interval_sec = 1;
        Self::changed(config, setup, folder, change).await
    }

    /// Over a configuration that says where the registry is; `folder` lives as long as the gateway.
    pub(crate) async fn over(config: Config, setup: Setup, folder: TempDir) -> Self {
        Self::changed(config, setup, folder, |_| {}).await
    }

    async fn changed(mut config: Config, setup: Setup, folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let (since, counted) = (Instant::now(), invariants::Counted::new());
        let root = config.registry.root.clone();
        // Tests count what reaches a node; those of warming and of the cache turn theirs on.
        config.warm.enabled = false;
        (config.address.requests_per_sec_max, config.address.burst) = (1_000_000, 1_000_000);
        config.cache.enabled = false;
        let (mut nodes, mut children) = (Vec::new(), Vec::new());
        for (index, node) in setup.nodes.into_iter().enumerate() {
            children.push(node.children);
            let slots = u32::try_from(node.children).ok();
            let running = simnode::Node::start(node).await.unwrap();
            config.nodes.push(Node {
                name: format!("node-{}", index + 1),
                url: running.url(),
                slots,
                pools: Vec::new(),
            });
            nodes.push(running);
        }
        if let Some(edit) = setup.config {
            edit(&mut config);
        }
        change(&mut config);
        let app = App::build(&config, Secrets::default(), Consent::default()).await.unwrap();
        let operators = app.admin_address().map(|address| format!("http://{address}"));
        let (address, admin, stop) = (app.address(), app.admin(), CancellationToken::new());
        let registry = app.registry();
        let served = tokio::spawn(app.run(stop.clone()));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        let base = format!("http://{address}");
        let gateway = Self {
            base,
            address,
            admin,
            operators,
            registry,
            root,
            nodes,
            slots: children,
            client,
            since,
            alone: !config.warm.enabled,
            stop,
            served: Some(served),
            _folder: folder,
            _counted: counted,
        };
        if !gateway.nodes.is_empty() && !setup.unready {
            gateway.until(Health::serves).await;
        }
        gateway
    }

    /// The registry's folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// Waits, within a bound, until the health is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Health) -> bool) {
        for _ in 0..500 {
            if wanted(&self.admin.health()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not as wanted within 10 s: {}", self.admin.health().table());
    }

    /// Waits until a solve goes well again.
    pub(crate) async fn until_solved(&self) {
        for _ in 0..500 {
            if self.solve("sitefit:1.0.0", &sitefit()).await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no solve within 10 s: {}", self.admin.health().table());
    }

    /// `POST /gh/<name>/solve` with the test key.
    pub(crate) async fn solve(&self, name: &str, body: &Value) -> Answered {
        self.post(&format!("/gh/{name}/solve"), body.to_string()).await
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<reqwest::Body>) -> Answered {
        let request = self.client.post(format!("{}{target}", self.base)).bearer_auth(KEY).body(body);
        Answered::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answered {
        let request = self.client.get(format!("{}{target}", self.base)).bearer_auth(KEY);
        Answered::of(request.send().await.unwrap()).await
    }

    /// Stops it, and asserts that everything ended by itself, and that the invariants hold.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let served = self.served.take().unwrap();
        assert!(served.await.unwrap(), "the drain left something behind");
        invariants::hold(&self).await;
        for node in self.nodes.drain(..) {
            node.stop().await;
        }
        invariants::nothing_stays_open().await;
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The status and the code of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The pointers of the violations.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let violations = self.json()["violations"].as_array().cloned().unwrap_or_default();
        violations.iter().map(|violation| violation["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

/// Tenants of the tests: `studio` may use every sample app, `kiosk` holds a key that is bound to `sitefit`.
pub(crate) fn tenants() -> Value {
    let digest = |key: &str| contract::Digest::of(key).to_string();
    json!({ "tenants": {
        "studio": { "apps": ["sitefit", "yieldcheck", "parking", "daylight"], "keys": [{ "id": "all", "sha256": digest(KEY) }] },
        "kiosk": { "apps": ["sitefit"],
                   "keys": [{ "id": "bound", "sha256": digest("as_kiosk_key"), "app_id": "sitefit", "role": "user" }] },
        "platform": { "apps": [], "keys": [{ "id": "worker", "sha256": digest(WORKER_KEY), "role": "worker" }] },
    } })
}

/// Sets the rates of every app: `rate` previews a second, and as many batch solves a minute.
pub(crate) fn set_rates(root: &Path, rate: f64) {
    for app in fs::read_dir(root.join("contracts")).unwrap() {
        edit_policy(&app.unwrap().path(), |policy| {
            policy["rate_limits"] = json!({ "preview_rps": rate, "batch_jobs_per_min": rate });
        });
    }
}

/// Changes the `policy.json` of an app's folder.
pub(crate) fn edit_policy(app: &Path, edit: impl Fn(&mut Value)) {
    let file = app.join("policy.json");
    let mut policy = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    edit(&mut policy);
    fs::write(file, policy.to_string()).unwrap();
}

/// The body of a small solve of `sitefit`.
pub(crate) fn sitefit() -> Value {
    json!({ "inputs": { "site_width": 30, "site_depth": 40 } })
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The examples of a kind in a version folder, by file name.
pub(crate) fn examples(version: &Path, kind: &str) -> Vec<(String, Value)> {
    let folder = version.join("examples").join(kind);
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Every version folder of the registry: (`definition:version`, folder).
pub(crate) fn versions() -> Vec<(String, PathBuf)> {
    let contracts = repository().join("registry/contracts");
    let mut found = Vec::new();
    for app in fs::read_dir(contracts).unwrap() {
        for version in fs::read_dir(app.unwrap().path()).unwrap() {
            let folder = version.unwrap().path();
            let Ok(text) = fs::read_to_string(folder.join("manifest.json")) else { continue };
            let manifest: Value = serde_json::from_str(&text).unwrap();
            let name =
                format!("{}:{}", manifest["definition"].as_str().unwrap(), manifest["version"].as_str().unwrap());
            found.push((name, folder));
        }
    }
    found.sort();
    found
}

/// Whether two JSON values are equal with every number within `tolerance`.
pub(crate) fn close(a: &Value, b: &Value, tolerance: f64) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= tolerance * b.as_f64().unwrap().abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b, tolerance))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| close(a, b, tolerance)))
        }
        _ => a == b,
    }
}
