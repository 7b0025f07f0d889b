//! A real Postgres for this process: made in a folder of its own on a free port, and gone with the process however that ends.
//!
//! `APPSERVER_TEST_POSTGRES` may name a server that runs already (`postgres://postgres@127.0.0.1:5433`): then that one is used, and thrown
//! away by whoever started it: databases of tests are left on it.
//! Without either, tests say that they were skipped; under `CI` they fail.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use jobs::postgres::{Admin, Settings, migrate};
use jobs::{JobId, Postgres};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::cluster;
use crate::support::{Db, admit_all};

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Without a user and a database.
    host: String,
    port: u16,
    _own: Option<Own>,
}

/// What was started here: a shell that waits on a pipe from this process. However this process ends, the pipe closes, and the shell
/// ends the server and removes its folder.
#[derive(Debug)]
struct Own {
    _watcher: Child,
}

/// One database on it, empty of jobs.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    server: Arc<Server>,
    name: String,
}

/// Whom tests log in as.
const LOGINS: &[(&str, &str)] = &[
    ("test_api", "appserver_api"),
    ("test_worker", "appserver_worker, appserver_reaper"),
    ("test_all", "appserver_api, appserver_worker, appserver_reaper"),
];

impl Server {
    /// This process's server.
    pub(crate) fn get() -> Option<Arc<Self>> {
        static SERVER: OnceLock<Option<Arc<Server>>> = OnceLock::new();
        let found = SERVER.get_or_init(|| {
            if let Some(url) = std::env::var_os("APPSERVER_TEST_POSTGRES") {
                let url = url.into_string().unwrap();
                return Some(Self::at(url.rsplit('@').next().unwrap()));
            }
            cluster::binaries().map(|binaries| Arc::new(start(&binaries)))
        });
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without a Postgres");
            eprintln!("SKIPPED: there is no Postgres on this computer");
        }
        found.clone()
    }

    /// A server that somebody has started, `127.0.0.1:5432`.
    pub(crate) fn at(address: &str) -> Arc<Self> {
        let (host, port) = address.split_once(':').unwrap();
        Arc::new(Self { host: host.to_owned(), port: port.parse().unwrap(), _own: None })
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@{}:{}/{database}", self.host, self.port)
    }

    /// A database of this test's own, out of a template that was migrated once.
    pub(crate) async fn database(self: &Arc<Self>) -> Database {
        let mut admin = PgConnection::connect(&self.url("postgres", "postgres")).await.unwrap();
        run(&mut admin, "SELECT pg_advisory_lock(1)").await;
        let known = "SELECT FROM pg_database WHERE datname = 'jobs_template'";
        if sqlx::query(known).fetch_optional(&mut admin).await.unwrap().is_none() {
            run(&mut admin, "CREATE DATABASE jobs_making").await;
            migrate(&Settings::new(&self.url("postgres", "jobs_making"))).await.unwrap();
            for (login, roles) in LOGINS {
                run(&mut admin, &format!("CREATE ROLE {login} LOGIN IN ROLE {roles}")).await;
            }
            run(&mut admin, "ALTER DATABASE jobs_making RENAME TO jobs_template").await;
        }
        run(&mut admin, "SELECT pg_advisory_unlock(1)").await;
        // Process ids come round again; these do not.
        let name = format!("t_{}", JobId::new().as_uuid().simple());
        run(&mut admin, &format!("CREATE DATABASE {name} TEMPLATE jobs_template")).await;
        admin.close().await.unwrap();
        Database { server: Arc::clone(self), name }
    }

    /// A database with its sides by their roles, as the contract wants it.
    pub(crate) async fn contract(self: &Arc<Self>) -> Db {
        let database = self.database().await;
        admit_all(&database.admin().await).await;
        database.db().await
    }
}

impl Database {
    /// Its sides, by their roles.
    pub(crate) async fn db(&self) -> Db {
        let worker = Arc::new(self.connect("test_worker").await);
        Db {
            store: Arc::new(self.connect("test_api").await),
            queue: worker.clone(),
            tenants: Arc::new(self.admin().await),
            upkeep: worker,
            broker: false,
            _kept: Box::new(self.clone()),
        }
    }

    pub(crate) fn settings(&self, login: &str) -> Settings {
        Settings { connections_max: 8, ..Settings::new(&self.server.url(login, &self.name)) }
    }

    /// The server, `127.0.0.1:5432`.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }

    /// As [`Self::settings`], by another way to the server.
    pub(crate) fn settings_by(&self, address: &str, login: &str) -> Settings {
        Settings { connections_max: 8, ..Settings::new(&format!("postgres://{login}@{address}/{}", self.name)) }
    }

    pub(crate) async fn connect(&self, login: &str) -> Postgres {
        Postgres::connect(&self.settings(login)).await.unwrap()
    }

    pub(crate) async fn admin(&self) -> Admin {
        Admin::connect(&self.settings("postgres")).await.unwrap()
    }

    /// A name on the whole server that no other test uses.
    pub(crate) fn own(&self, word: &str) -> String {
        format!("{}_{word}", self.name)
    }

    /// A connection that is bound by nothing of ours.
    pub(crate) async fn raw(&self, login: &str) -> PgConnection {
        let mut raw = PgConnection::connect(&self.server.url(login, &self.name)).await.unwrap();
        run(&mut raw, "SET search_path = appserver").await;
        raw
    }
}

pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    assert!(done.is_ok(), "{sql}: {done:?}");
}

fn start(binaries: &Path) -> Server {
    let folder = tempfile::Builder::new().prefix("jobs-pg-").tempdir().unwrap().keep();
    cluster::init(binaries, &folder);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap : TERM INT HUP; folder=$1; shift; \"$@\" & pid=$!; read -r _; kill -QUIT $pid; wait $pid; rm -rf \"$folder\"",
        "sh",
    ]);
    command.arg(&folder);
    let server = cluster::program(binaries, "postgres");
    command.arg(server.get_program()).args(server.get_args()).args(cluster::settings(&folder, port));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let own = Own { _watcher: child };
    cluster::until_ready(binaries, port);
    Server { host: "127.0.0.1".to_owned(), port, _own: Some(own) }
}
