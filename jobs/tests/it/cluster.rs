//! A Postgres of a test's own, which can be broken and started again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server, gone with this, or with the process however that ends.
#[derive(Debug)]
pub(crate) struct Cluster {
    binaries: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

// === impl Cluster ===

impl Cluster {
    /// A server that runs. None where there are no programs of one, which is an error under `CI`.
    pub(crate) fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(std::env::var_os("CI").is_none(), "CI must not pass without a Postgres");
            eprintln!("SKIPPED: there is no Postgres on this computer");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("jobs-pg-").tempdir().unwrap();
        init(&binaries, folder.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut cluster = Self { binaries, folder, port, server: None };
        cluster.again();
        Some(cluster)
    }

    /// `127.0.0.1:5432`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash does: at once, without a word to whoever is connected.
    pub(crate) fn crash(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        signal(&server, "QUIT");
        server.wait().unwrap();
    }

    /// Starts it again over the same data, and waits until it takes connections.
    pub(crate) fn again(&mut self) {
        let mut server = program(&self.binaries, "postgres");
        server.args(settings(self.folder.path(), self.port));
        self.server = Some(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until_ready(&self.binaries, self.port);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.crash();
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Where the server's programs are: the newest that is installed, or those of `APPSERVER_TEST_POSTGRES_BIN`.
pub(crate) fn binaries() -> Option<PathBuf> {
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
pub(crate) fn program(binaries: &Path, name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg("--").arg(binaries.join(name)).stdin(Stdio::null());
    command
}

/// Makes an empty cluster in `data` of this folder.
pub(crate) fn init(binaries: &Path, folder: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(folder).status().unwrap();
        assert!(given.success());
    }
    let mut init = program(binaries, "initdb");
    init.arg("-D").arg(folder.join("data"));
    init.args(["-A", "trust", "-U", "postgres", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"]);
    let made = init.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// How the server of this folder is started.
pub(crate) fn settings(folder: &Path, port: u16) -> Vec<String> {
    let (data, sockets) = (folder.join("data").display().to_string(), folder.display().to_string());
    let mut words = vec!["-D".to_owned(), data, "-k".to_owned(), sockets, "-p".to_owned(), port.to_string()];
    for setting in
        ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_connections=200", "timezone=UTC"]
    {
        words.extend(["-c".to_owned(), setting.to_owned()]);
    }
    words
}

pub(crate) fn until_ready(binaries: &Path, port: u16) {
    let began = Instant::now();
    while Command::new(binaries.join("pg_isready"))
        .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
        .status()
        .is_ok_and(|ready| !ready.success())
    {
        assert!(began.elapsed() < Duration::from_mins(1), "Postgres does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}
