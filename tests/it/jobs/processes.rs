//! The three programs as processes of their own, over a Postgres, as a deployment runs them: `appserver migrate` makes the schema,
//! each program logs in as itself, and a signal ends it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use identity::Issuer;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::small;
use crate::auth::publish;
use crate::support::{WORKER_KEY, copy, repository, set_rates, tenants};

/// A process with what it wrote, killed when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) log: PathBuf,
}

/// A deployment in a folder.
struct Deployment {
    folder: TempDir,
    issuer: Issuer,
    jwks: String,
    node: simnode::Running,
    /// Without a user: `127.0.0.1:5432`.
    server: String,
    database: String,
    client: reqwest::Client,
}

// === impl Program ===

impl Program {
    fn signal(&self, name: &str) {
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
    async fn new() -> Option<Self> {
        let Some(url) = std::env::var_os("APPSERVER_TEST_POSTGRES") else {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without a Postgres");
            eprintln!("SKIPPED: APPSERVER_TEST_POSTGRES is not set; ./test sets it");
            return None;
        };
        let server = url.into_string().unwrap().rsplit('@').next().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("registry");
        copy(&repository().join("registry"), &root);
        fs::write(root.join("tenants.json"), tenants().to_string()).unwrap();
        set_rates(&root, 100_000.0);
        let issuer = Issuer::new("one", "https://id.example", "authenticated").unwrap();
        let jwks = publish(&issuer).await;
        let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
        let database = format!("p_{}", uuid::Uuid::new_v4().simple());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        let new = Self { folder, issuer, jwks, node, server, database, client };
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
        new.sql(&new.database, &format!("CREATE ROLE {}_api LOGIN IN ROLE appserver_api", new.database)).await;
        let roles = "appserver_worker, appserver_reaper";
        new.sql(&new.database, &format!("CREATE ROLE {}_worker LOGIN IN ROLE {roles}", new.database)).await;
        Some(new)
    }

    async fn sql(&self, database: &str, text: &str) {
        let mut admin =
            PgConnection::connect(&format!("postgres://postgres@{}/{database}", self.server)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
    }

    fn url(&self, user: &str) -> String {
        format!("postgres://{user}@{}/{}", self.server, self.database)
    }

    fn start(&self, program: &str, args: &[&str], listen: &str, settings: &[(&str, &str)]) -> Program {
        let log = self.folder.path().join(format!("{program}.log"));
        let (mut command, url) = (Command::new(beside(program)), format!("http://{listen}"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        for name in ["PORT", "APPSERVER_CONFIG", "APP_ID", "RHINO_COMPUTE_KEY", "LINK_KEY", "QUEUE_NAME"] {
            command.env_remove(name);
        }
        let (out, err) = (File::create(&log).unwrap(), File::options().append(true).open(&log).unwrap());
        let shared =
            [("JWT_JWKS_URL", self.jwks.as_str()), ("JWT_ISSUER", "https://id.example"), ("RUST_LOG", "debug")];
        let child = command.envs(shared).envs(settings.iter().copied()).stdout(out).stderr(err).spawn().unwrap();
        Program { child, url, log }
    }

    async fn gateway(&self) -> Program {
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

    async fn api(&self, gateway: &str) -> Program {
        let listen = free();
        let public = format!("http://{listen}");
        let database = self.url(&format!("{}_api", self.database));
        let mut api = self.start(
            "appserver-api",
            &[],
            &listen,
            &[
                ("API_LISTEN", &listen),
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

    async fn worker(&self, gateway: &str) -> Program {
        let listen = free();
        let database = self.url(&format!("{}_worker", self.database));
        let mut worker = self.start(
            "appserver-worker",
            &[],
            &listen,
            &[
                ("WORKER_LISTEN", &listen),
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

    async fn get(&self, url: &str, token: &str) -> (u16, Value) {
        let answer = self.client.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

#[tokio::test]
async fn three_programs_over_postgres_run_a_job_say_nothing_of_its_inputs_and_end_when_told_to() {
    let Some(deployment) = Deployment::new().await else { return };
    let mut gateway = deployment.gateway().await;
    let mut api = deployment.api(&gateway.url).await;
    let mut worker = deployment.worker(&gateway.url).await;
    let token = deployment.issuer.token("user-1", "studio", None, 600).unwrap();
    let run = async |body: &Value| {
        let request = deployment.client.post(format!("{}/sitefit/jobs/run", api.url)).bearer_auth(&token);
        let answer = request.header("idempotency-key", "canary-key").body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    // Words and figures that are to be in no log.
    let mut body = small();
    body["inputs"]["site_width"] = json!("canary-text");
    assert_eq!(run(&body).await.0, 422);
    body["inputs"]["site_width"] = json!(31.415_926_535);
    let (status, job) = run(&body).await;
    assert_eq!(status, 202, "{job}");
    let status_url = job["status_url"].as_str().unwrap();
    let mut now = Value::Null;
    for _ in 0..1500 {
        now = deployment.get(status_url, &token).await.1;
        if ["succeeded", "failed", "dead"].iter().any(|ended| now["status"] == *ended) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(now["status"], "succeeded", "{now}\n{}", worker.said());
    let (status, result) = deployment.get(job["result_url"].as_str().unwrap(), &token).await;
    assert_eq!((status, result["outputs"].is_object()), (200, true), "{result}");
    let artifact = result["artifacts"][0]["url"].as_str().unwrap();
    let fetched = deployment.client.get(artifact).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(fetched["outputs"], result["outputs"]);
    // Each is ready with all that it stands on, and has tidied up with its own rights.
    assert_eq!(deployment.get(&format!("{}/readyz", api.url), &token).await.0, 200);
    let figures = until_said(&deployment, &worker, "appserver_job_upkeep_total{what=\"swept\"}").await;
    assert!(!figures.contains("what=\"failed\""), "{figures}\n{}", worker.said());
    for program in [&mut worker, &mut api, &mut gateway] {
        program.signal("TERM");
        assert_eq!(program.exit_code(), Some(0), "{}", program.said());
    }
    for (program, own) in [(&gateway, "sitefit"), (&api, "jobs/run"), (&worker, "succeeded")] {
        let said = program.said();
        assert!(said.contains(own), "a log that is none shows nothing: {said}");
        for word in ["canary", "31.41592", WORKER_KEY, token.as_str()] {
            assert!(!said.contains(word), "{word} in {}: {said}", program.log.display());
        }
    }
    deployment.node.stop().await;
}

async fn until_said(deployment: &Deployment, program: &Program, wanted: &str) -> String {
    for _ in 0..1500 {
        let answer = deployment.client.get(format!("{}/metrics", program.url)).send().await.unwrap();
        let text = answer.text().await.unwrap();
        if text.contains(wanted) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {wanted} within 30 s: {}", program.said());
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
