//! A stub of the gateway, a store in a folder, and worker processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use jobs::postgres::{Admin, Settings, migrate};
use jobs::{
    AppId, Error, Idempotency, Inputs, Job, JobId, NewJob, Postgres, Scope, Sqlite, Store, Submitted, Tenant,
    Tenants as _,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::broker::Broker;

/// What the stub has been asked, and who may have an answer.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    pub(crate) asked: Arc<AtomicUsize>,
    /// How many who asked have left before they were answered.
    pub(crate) left: Arc<AtomicUsize>,
    /// The first solve is answered only when this has a place.
    pub(crate) first: Arc<Semaphore>,
}

impl Stub {
    pub(crate) async fn start(hold_first: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let first = Arc::new(Semaphore::new(usize::from(!hold_first)));
        let stub = Self { url, asked: Arc::default(), left: Arc::default(), first };
        let router = Router::new()
            .route("/gh/{name}/solve", post(solve))
            .route("/livez", get(async || "alive"))
            .with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stub
    }
}

/// Counts a caller that leaves.
struct Leaves(Option<Arc<AtomicUsize>>);

impl Drop for Leaves {
    fn drop(&mut self) {
        if let Some(left) = &self.0 {
            left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn solve(State(stub): State<Stub>) -> String {
    let mut leaves = Leaves(Some(Arc::clone(&stub.left)));
    let number = stub.asked.fetch_add(1, Ordering::SeqCst) + 1;
    if number == 1 {
        let _ = stub.first.acquire().await.unwrap();
    }
    leaves.0 = None;
    format!(r#"{{"outputs":{{"by":{number}}},"warnings":[],"receipt":null}}"#)
}

/// A store with one tenant in one app, and a folder for artifacts.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scope: Scope,
    folder: TempDir,
    /// What workers are told, so that they work on this store.
    settings: Vec<(&'static str, String)>,
}

/// Where the Postgres is that is named: `127.0.0.1:5432`. None where none is.
pub(crate) fn postgres() -> Option<String> {
    let Some(server) = std::env::var_os("APPSERVER_TEST_POSTGRES").and_then(|server| server.into_string().ok()) else {
        assert!(std::env::var_os("CI").is_none(), "CI must not pass without a Postgres");
        eprintln!("SKIPPED: APPSERVER_TEST_POSTGRES is not set; ./test sets it");
        return None;
    };
    Some(server.rsplit('@').next().unwrap().to_owned())
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("jobs.sqlite")).await.unwrap());
        let scope = Scope::new(Tenant::new("acme").unwrap(), AppId::new("sitefit").unwrap());
        store.admit(&scope.tenant, std::slice::from_ref(&scope.app)).await.unwrap();
        let url = format!("sqlite:{}", folder.path().join("jobs.sqlite").display());
        Self { store, scope, folder, settings: vec![("DATABASE_URL", url)] }
    }

    /// A database of its own on the server that is named, in a schema of the app's own, with a login for workers; and a broker before it, where there is one. None
    /// where there is no server.
    pub(crate) async fn on_postgres(broker: Option<&Broker>) -> Option<Self> {
        let host = postgres()?;
        Some(Self::on(&host, &host, broker).await)
    }

    /// The same on the server at `host`, which workers reach by `way`.
    pub(crate) async fn on(host: &str, way: &str, broker: Option<&Broker>) -> Self {
        let name = format!("w_{}", JobId::new().as_uuid().simple());
        let url = |user: &str, database: &str| format!("postgres://{user}@{host}/{database}");
        let by_way = format!("postgres://{name}_worker@{way}/{name}");
        let mut raw = PgConnection::connect(&url("postgres", "postgres")).await.unwrap();
        let mut run = async |sql: String| {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
        };
        run(format!("CREATE DATABASE {name}")).await;
        let schema = "sitefit_jobs".to_owned();
        let admin = Settings { schema: schema.clone(), ..Settings::new(&url("postgres", &name)) };
        migrate(&admin).await.unwrap();
        run(format!("CREATE ROLE {name}_api LOGIN IN ROLE appserver_api, appserver_relay")).await;
        run(format!("CREATE ROLE {name}_worker LOGIN IN ROLE appserver_worker, appserver_reaper")).await;
        let scope = Scope::new(Tenant::new("acme").unwrap(), AppId::new("sitefit").unwrap());
        let admin = Admin::connect(&admin).await.unwrap();
        admin.admit(&scope.tenant, std::slice::from_ref(&scope.app)).await.unwrap();
        let mut settings = vec![("DATABASE_URL", by_way), ("DATABASE_SCHEMA", schema.clone())];
        settings.extend(broker.map(|broker| ("SERVICEBUS_CONN", broker.connection("c2VjcmV0"))));
        let api = Settings { outbox: broker.is_some(), schema, ..Settings::new(&url(&format!("{name}_api"), &name)) };
        let store = Arc::new(Postgres::connect(&api).await.unwrap());
        Self { store, scope, folder: tempfile::tempdir().unwrap(), settings }
    }

    /// What workers are told of the database: its address and its schema.
    pub(crate) fn database(&self) -> (&str, &str) {
        (&self.settings[0].1, &self.settings[1].1)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn submit(&self) -> JobId {
        self.submit_as(None).await.unwrap()
    }

    /// Submits with a key: again is the same job.
    pub(crate) async fn submit_keyed(&self, key: &str) -> Result<JobId, Error> {
        self.submit_as(Some(Idempotency { key: key.to_owned(), request_digest: "digest".to_owned() })).await
    }

    async fn submit_as(&self, idempotency: Option<Idempotency>) -> Result<JobId, Error> {
        let new = NewJob {
            id: JobId::new(),
            definition: "sitefit".into(),
            version: "1.0.0".into(),
            digest: "sha256:0".into(),
            inputs: Inputs::inline("{}".into()).unwrap(),
            idempotency,
            attempts_max: 50,
            traceparent: None,
            tracestate: None,
        };
        match self.store.submit(&self.scope, new).await? {
            Submitted::Created(job) | Submitted::Existing(job) => Ok(job.id),
            Submitted::Conflict => panic!("a conflict with itself"),
        }
    }

    pub(crate) async fn until(&self, id: JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        for _ in 0..1500 {
            let job = self.store.get(&self.scope, id).await.unwrap().unwrap();
            if wanted(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not as wanted within 30 s: {:?}", self.store.get(&self.scope, id).await);
    }

    /// Waits until the store has forgotten the job.
    pub(crate) async fn until_gone(&self, id: JobId) {
        for _ in 0..1500 {
            if self.store.get(&self.scope, id).await.unwrap().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("still there after 30 s");
    }

    /// Makes the job's end longer ago.
    pub(crate) async fn age(&self, id: JobId, by: Duration) {
        let options = SqliteConnectOptions::new().filename(self.folder().join("jobs.sqlite"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let older = sqlx::query("UPDATE job SET finished_at = finished_at - $1 WHERE id = $2");
        let micros = i64::try_from(by.as_micros()).unwrap();
        let done = older.bind(micros).bind(id.as_uuid()).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        connection.close().await.unwrap();
    }

    /// Starts a worker process whose leases last 4 s.
    pub(crate) fn employ(&self, gateway: &str) -> Worker {
        self.employ_with(gateway, &[])
    }

    /// The same, told some things more.
    pub(crate) fn employ_with(&self, gateway: &str, settings: &[(&str, &str)]) -> Worker {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_appserver-worker"))
            .env("APP_ID", "sitefit")
            .env("APP_SERVER_URL", gateway)
            .env_remove("SERVICEBUS_CONN")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("ARTIFACTS_DIR", self.folder().join("artifacts"))
            .env("LOCK_RENEW_SEC", "1")
            .env("WORKER_LISTEN", listen.to_string())
            .env("DRAIN_SEC", "5")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Worker { child, url: format!("http://{listen}") }
    }
}

/// A process, killed when it is dropped.
pub(crate) struct Worker {
    child: Child,
    pub(crate) url: String,
}

impl Worker {
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Its figures, once all of these are in them.
    pub(crate) async fn figures(&self, wanted: &[&str]) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut figures = String::new();
        for _ in 0..500 {
            figures = client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
            if wanted.iter().all(|wanted| figures.contains(wanted)) {
                return figures;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not all of {wanted:?} within 10 s: {figures}");
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
