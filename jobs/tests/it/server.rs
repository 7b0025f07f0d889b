//! A real Postgres for this process: made in a folder of its own on a free port, and gone with the process however that ends.
//!
//! `APPSERVER_TEST_POSTGRES` may name a server that runs already (`postgres://postgres@127.0.0.1:5433`): then that one is used, and thrown
//! away by whoever started it: databases of tests are left on it.
//! Without either, tests say that they were skipped; under `CI` they fail.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jobs::postgres::{Admin, Settings, migrate};
use jobs::{JobId, Postgres};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

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
                let (host, port) = url.rsplit('@').next().unwrap().split_once(':').unwrap();
                return Some(Arc::new(Self { host: host.to_owned(), port: port.parse().unwrap(), _own: None }));
            }
            binaries().map(|binaries| Arc::new(start(&binaries)))
        });
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without a Postgres");
            eprintln!("SKIPPED: there is no Postgres on this computer");
        }
        found.clone()
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

/// Where the server's programs are: the newest that is installed, or those of `APPSERVER_TEST_POSTGRES_BIN`.
fn binaries() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("APPSERVER_TEST_POSTGRES_BIN") {
        return Some(PathBuf::from(named));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.filter_map(|version| {
        let version = version.ok()?;
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let bin = version.path().join("bin");
        bin.join("initdb").exists().then_some((number, bin))
    });
    found.max().map(|(_, bin)| bin)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of the server's. It refuses to run as root, and it ends with who started it.
fn program(binaries: &Path, name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg("--").arg(binaries.join(name)).stdin(Stdio::null());
    command
}

fn start(binaries: &Path) -> Server {
    let folder = tempfile::Builder::new().prefix("jobs-pg-").tempdir().unwrap().keep();
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(&folder).status().unwrap();
        assert!(given.success());
    }
    let data = folder.join("data");
    let mut init = program(binaries, "initdb");
    init.arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"]);
    let made = init.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap : TERM INT HUP; folder=$1; shift; \"$@\" & pid=$!; read -r _; kill -QUIT $pid; wait $pid; rm -rf \"$folder\"",
        "sh",
    ]);
    command.arg(&folder);
    let server = program(binaries, "postgres");
    command.arg(server.get_program()).args(server.get_args());
    command.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-p", &port.to_string()]);
    for setting in
        ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_connections=200", "timezone=UTC"]
    {
        command.args(["-c", setting]);
    }
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let own = Own { _watcher: child };
    let began = Instant::now();
    while Command::new(binaries.join("pg_isready"))
        .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
        .status()
        .is_ok_and(|ready| !ready.success())
    {
        assert!(began.elapsed() < Duration::from_mins(1), "Postgres does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Server { host: "127.0.0.1".to_owned(), port, _own: Some(own) }
}
