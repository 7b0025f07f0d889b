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
use broker::{Broker, Rules};

#[path = "../../../jobs/tests/it/servicebus/broker.rs"]
mod broker;

/// A process with what it wrote, killed when it is dropped.
struct Program {
    child: Child,
    url: String,
    log: PathBuf,
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
    /// The connection string of the broker that tells workers of jobs; none where it is empty.
    bus: String,
}

// === impl Program ===

impl Program {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        for _ in 0..1500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {}", self.said());
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    async fn until_ready(&mut self, client: &reqwest::Client, path: &str) {
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
        let new = Self { folder, issuer, jwks, node, server, database, client, bus: String::new() };
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
        for name in
            ["PORT", "APPSERVER_CONFIG", "APP_ID", "RHINO_COMPUTE_KEY", "LINK_KEY", "QUEUE_NAME", "SERVICEBUS_CONN"]
        {
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
        self.api_at(&free(), gateway).await
    }

    async fn api_at(&self, listen: &str, gateway: &str) -> Program {
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
                ("SERVICEBUS_CONN", &self.bus),
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
                ("SERVICEBUS_CONN", &self.bus),
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
    if let Some(deployment) = Deployment::new().await {
        run_a_job(deployment).await;
    }
}

/// The same with Service Bus, by one setting.
#[tokio::test]
async fn three_programs_over_service_bus_run_a_job_and_the_log_does_not_know_its_key() {
    let (Some(deployment), Some(broker)) = (Deployment::new().await, Broker::start(Rules::default())) else { return };
    let bus = broker.connection("c2VjcmV0");
    run_a_job(Deployment { bus, ..deployment }).await;
    let figure = |name| broker.figure("jobs-sitefit", name);
    assert_eq!((figure("accepted"), figure("completed"), figure("ready"), figure("locked")), (1, 1, 0, 0));
}

async fn run_a_job(deployment: Deployment) {
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
        for word in ["canary", "31.41592", WORKER_KEY, token.as_str(), "c2VjcmV0", "SharedAccessSignature"] {
            assert!(!said.contains(word), "{word} in {}: {said}", program.log.display());
        }
    }
    deployment.node.stop().await;
}

mod slow {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const CLIENTS: u32 = 8;
    const KEYS: u32 = 40;
    const KILLS: u64 = 12;

    /// J1 for the API: it is killed while callers submit, who ask again with the same key until they have an answer.
    #[tokio::test]
    #[ignore = "slow: an API that is killed twelve times, and 320 jobs"]
    async fn j1_kills_of_the_api_lose_no_job_that_was_answered_and_double_none() {
        let Some(deployment) = Deployment::new().await else { return };
        let gateway = deployment.gateway().await;
        let worker = deployment.worker(&gateway.url).await;
        let listen = free();
        let mut api = deployment.api_at(&listen, &gateway.url).await;
        let token = deployment.issuer.token("user-1", "studio", None, 3_600).unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (http, token, url) = (deployment.client.clone(), token.clone(), api.url.clone());
                tokio::spawn(async move {
                    let mut answered = BTreeMap::new();
                    for key in (0..KEYS).map(|key| format!("{client}-{key}")) {
                        // Twice: the second time it is a replay.
                        for _ in 0..2 {
                            let id = submit(&http, &url, &token, &key).await;
                            let before = answered.insert(key.clone(), id.clone());
                            assert!(before.is_none_or(|before| before == id), "{key} is two jobs");
                        }
                    }
                    answered
                })
            })
            .collect();
        for kill in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(150 + 41 * (kill % 5))).await;
            // What was there is killed when it is let go of.
            drop(api);
            api = deployment.api_at(&listen, &gateway.url).await;
        }
        let mut answered = BTreeSet::new();
        for client in clients {
            answered.extend(client.await.unwrap().into_values());
        }
        assert_eq!(answered.len(), (CLIENTS * KEYS) as usize);
        let query = |sql: &'static str| {
            let address = format!("postgres://postgres@{}/{}", deployment.server, deployment.database);
            async move {
                let mut raw = PgConnection::connect(&address).await.unwrap();
                sqlx::query_scalar::<_, String>(sql).fetch_all(&mut raw).await.unwrap()
            }
        };
        let made: BTreeSet<String> = query("SELECT id::text FROM appserver.job").await.into_iter().collect();
        assert_eq!(made, answered, "every job that is there was answered, and the other way round");
        let ends = "SELECT job_id::text FROM appserver.job_event WHERE kind = 'succeeded'";
        for _ in 0..600 {
            if query(ends).await.len() >= answered.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ended = query(ends).await;
        assert_eq!((ended.len(), ended.into_iter().collect::<BTreeSet<_>>()), (answered.len(), answered));
        drop((api, worker, gateway));
        deployment.node.stop().await;
    }

    async fn submit(http: &reqwest::Client, url: &str, token: &str, key: &str) -> String {
        for _ in 0..3000 {
            let request =
                http.post(format!("{url}/sitefit/jobs/run")).bearer_auth(token).header("idempotency-key", key);
            if let Ok(answer) = request.body(small().to_string()).send().await
                && answer.status() == 202
                && let Ok(job) = answer.json::<Value>().await
            {
                return job["job_id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{key} is never answered");
    }
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
fn beside(program: &str) -> PathBuf {
    let found = Path::new(env!("CARGO_BIN_EXE_appserver")).with_file_name(program);
    assert!(found.exists(), "{} is not built: cargo build --workspace", found.display());
    found
}

fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
