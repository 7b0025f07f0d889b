//! A deployment of the three programs in a folder, over a Postgres.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use identity::Issuer;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::auth::publish;
use crate::support::{WORKER_KEY, copy, repository, set_rates, tenants};

/// A process with what it wrote, killed when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) log: PathBuf,
}

/// A deployment in a folder.
pub(super) struct Deployment {
    pub(super) folder: TempDir,
    pub(super) issuer: Issuer,
    pub(super) jwks: String,
    pub(super) node: simnode::Running,
    /// Without a user: `127.0.0.1:5432`.
    pub(super) server: String,
    pub(super) database: String,
    pub(super) client: reqwest::Client,
    /// What a test sets beyond the usual: the program, the variable, its value.
    pub(super) more: Vec<(&'static str, &'static str, String)>,
}

// === impl Program ===

impl Program {
    /// Starts it, with all that it writes in this file.
    pub(crate) fn spawn(mut command: Command, log: PathBuf, listen: &str) -> Self {
        let (out, err) = (File::create(&log).unwrap(), File::options().append(true).open(&log).unwrap());
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        Self { child, url: format!("http://{listen}"), log }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        for _ in 0..1500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {}", self.said());
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) async fn until_ready(&mut self, client: &reqwest::Client, path: &str) {
        for _ in 0..1500 {
            if let Ok(answer) = client.get(format!("{}{path}", self.url)).send().await
                && answer.status().is_success()
            {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not ready within 30 s: {}", self.said());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Deployment ===

impl Deployment {
    /// A database of its own with the schema and two logins; a registry; an issuer; a node. None where there is no Postgres.
    pub(super) async fn new() -> Option<Self> {
        Self::with(&tenants(), simnode::Config::default()).await
    }

    /// With these tenants and this node.
    pub(super) async fn with(tenants: &Value, node: simnode::Config) -> Option<Self> {
        let Some(url) = std::env::var_os("APPSERVER_TEST_POSTGRES") else {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without a Postgres");
            eprintln!("SKIPPED: APPSERVER_TEST_POSTGRES is not set; ./test sets it");
            return None;
        };
        let server = url.into_string().unwrap().rsplit('@').next().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("registry");
        copy(&repository().join("registry"), &root);
        fs::write(root.join("tenants.json"), tenants.to_string()).unwrap();
        set_rates(&root, 100_000.0);
        let issuer = Issuer::new("one", "https://id.example", "authenticated").unwrap();
        let jwks = publish(&issuer).await;
        let node = simnode::Node::start(node).await.unwrap();
        let database = format!("p_{}", uuid::Uuid::new_v4().simple());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        let new = Self { folder, issuer, jwks, node, server, database, client, more: Vec::new() };
        new.sql("postgres", &format!("CREATE DATABASE {}", new.database)).await;
        for _ in 0..2 {
            // The second time there is nothing to do.
            let migrated = Command::new(env!("CARGO_BIN_EXE_appserver"))
                .args(["migrate", "--registry"])
                .arg(&root)
                .env("DATABASE_URL", new.url("postgres"))
                .output()
                .unwrap();
            assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        }
        let roles = "appserver_api, appserver_relay";
        new.sql(&new.database, &format!("CREATE ROLE {}_api LOGIN IN ROLE {roles}", new.database)).await;
        let roles = "appserver_worker, appserver_reaper";
        new.sql(&new.database, &format!("CREATE ROLE {}_worker LOGIN IN ROLE {roles}", new.database)).await;
        Some(new)
    }

    pub(super) async fn sql(&self, database: &str, text: &str) {
        sql(&self.server, database, text).await;
    }

    pub(super) fn url(&self, user: &str) -> String {
        format!("postgres://{user}@{}/{}", self.server, self.database)
    }

    pub(super) fn start(&self, program: &str, args: &[&str], listen: &str, settings: &[(&str, &str)]) -> Program {
        // One program may run twice, at two addresses.
        let log = self.folder.path().join(format!("{program}-{}.log", listen.replace(':', "-")));
        let mut command = Command::new(beside(program));
        command.current_dir(self.folder.path()).args(args);
        for name in
            ["PORT", "APPSERVER_CONFIG", "APP_ID", "RHINO_COMPUTE_KEY", "LINK_KEY", "QUEUE_NAME", "SERVICEBUS_CONN"]
        {
            command.env_remove(name);
        }
        let shared =
            [("JWT_JWKS_URL", self.jwks.as_str()), ("JWT_ISSUER", "https://id.example"), ("RUST_LOG", "debug")];
        let more = self.more.iter().filter(|(of, ..)| *of == program).map(|(_, name, value)| (*name, value));
        command.envs(shared).envs(settings.iter().copied()).envs(more);
        Program::spawn(command, log, listen)
    }

    pub(super) async fn gateway(&self) -> Program {
        let listen = free();
        let mut gateway = self.start(
            "appserver",
            &["serve", "--registry", "registry", "--listen", &listen],
            &listen,
            &[
                ("RHINO_COMPUTE_URL", &self.node.url()),
                ("APPSERVER_AUTH_ISSUER", "https://id.example"),
                ("APPSERVER_WARM_ENABLED", "false"),
            ],
        );
        gateway.until_ready(&self.client, "/readyz").await;
        gateway
    }

    pub(super) async fn api(&self, gateway: &str) -> Program {
        self.api_at(&free(), gateway).await
    }

    pub(super) async fn api_at(&self, listen: &str, gateway: &str) -> Program {
        let public = format!("http://{listen}");
        let database = self.url(&format!("{}_api", self.database));
        let mut api = self.start(
            "appserver-api",
            &[],
            listen,
            &[
                ("API_LISTEN", listen),
                ("PUBLIC_URL", &public),
                ("APP_SERVER_URL", gateway),
                ("APP_SERVER_KEY", WORKER_KEY),
                ("DATABASE_URL", &database),
            ],
        );
        // Keys are fetched with the first token.
        api.until_ready(&self.client, "/livez").await;
        api
    }

    pub(super) async fn worker(&self, gateway: &str) -> Program {
        self.worker_at(&free(), gateway).await
    }

    pub(super) async fn worker_at(&self, listen: &str, gateway: &str) -> Program {
        let database = self.url(&format!("{}_worker", self.database));
        let mut worker = self.start(
            "appserver-worker",
            &[],
            listen,
            &[
                ("WORKER_LISTEN", listen),
                ("APP_ID", "sitefit,parking"),
                ("APP_SERVER_URL", gateway),
                ("APP_SERVER_KEY", WORKER_KEY),
                ("DATABASE_URL", &database),
                ("LOCK_RENEW_SEC", "1"),
                ("UPKEEP_SEC", "1"),
            ],
        );
        worker.until_ready(&self.client, "/readyz").await;
        worker
    }

    /// Has an app's API run a job, and waits for its end: what it answered first, and what it says of the job then.
    pub(super) async fn run(&self, api: &Program, app: &str, body: &Value, token: &str) -> (u16, Value) {
        let request = self.client.post(format!("{}/{app}/jobs/run", api.url)).bearer_auth(token);
        let answer = request.body(body.to_string()).send().await.unwrap();
        let (status, mut job) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        let Some(url) = job["status_url"].as_str().map(str::to_owned) else { return (status, job) };
        for _ in 0..1500 {
            job = self.get(&url, token).await.1;
            if ["succeeded", "failed", "dead"].iter().any(|ended| job["status"] == *ended) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (status, job)
    }

    pub(super) async fn get(&self, url: &str, token: &str) -> (u16, Value) {
        let answer = self.client.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

/// As the server's owner.
pub(crate) async fn sql(server: &str, database: &str, text: &str) {
    let mut admin = PgConnection::connect(&format!("postgres://postgres@{server}/{database}")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
}

/// A program of the workspace: they are built into one folder.
pub(crate) fn beside(program: &str) -> PathBuf {
    let found = Path::new(env!("CARGO_BIN_EXE_appserver")).with_file_name(program);
    assert!(found.exists(), "{} is not built: cargo build --workspace", found.display());
    found
}

pub(crate) fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
