//! `appserver doctor` on set-ups that are broken one way each, and on one that is well.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;
use simnode::Running;
use tempfile::TempDir;

use crate::support::{copy, repository};

/// A folder with the sample registry, and a configuration to be written.
struct Place {
    folder: TempDir,
    node: Option<Running>,
}

impl Place {
    async fn with_node(config: simnode::Config) -> Self {
        Self { node: Some(simnode::Node::start(config).await.unwrap()), ..Self::new() }
    }

    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&repository().join("registry"), &folder.path().join("registry"));
        Self { folder, node: None }
    }

    /// Runs it with a configuration: what is given, a free port, and the node.
    async fn doctor(&self, config: &str, variables: &[(&str, &str)]) -> Told {
        let node = self.node.as_ref().map(|node| format!("[[node]]\nname = \"win-1\"\nurl = \"{}\"\n", node.url()));
        let text = format!("{config}\n{}", node.unwrap_or_default());
        fs::write(self.folder.path().join("a.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
        self.run(command.args(["doctor", "--json", "--config", "a.toml"]), variables).await
    }

    async fn run(&self, command: &mut Command, variables: &[(&str, &str)]) -> Told {
        let names = ["PORT", "RHINO_COMPUTE_URL", "RHINO_COMPUTE_KEY", "DATABASE_URL", "ARTIFACTS_DIR", "JWT_JWKS_URL"];
        for name in names {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).envs(variables.iter().copied()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let talk = String::from_utf8(output.stderr).unwrap();
        let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{talk}"));
        Told { code: output.status.code().unwrap(), report, all: text + &talk }
    }
}

/// What it said.
struct Told {
    code: i32,
    report: Value,
    /// Both streams.
    all: String,
}

impl Told {
    fn checks(&self) -> impl Iterator<Item = &Value> {
        self.report["categories"].as_array().unwrap().iter().flat_map(|category| category["checks"].as_array().unwrap())
    }

    /// The checks that ended so.
    fn ids(&self, result: &str) -> Vec<&str> {
        let ended = self.checks().filter(|check| check["result"] == result);
        ended.map(|check| check["id"].as_str().unwrap()).collect()
    }

    /// That this one fails, says what to do and has a page, and the command says no.
    fn fails(&self, id: &str) {
        let failed = self.checks().find(|check| check["id"] == id && check["result"] == "error");
        let failed = failed.unwrap_or_else(|| panic!("{id}: {:#}", self.report));
        assert!(failed["hint"].is_string() && appserver::explain::page(id).is_some(), "{failed:#}");
        assert_eq!(self.code, 1, "{:#}", self.report);
    }

    fn warns(&self, id: &str) {
        assert!(self.ids("warning").contains(&id), "{id}: {:#}", self.report);
    }
}

const FREE: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_is_well_is_told_so_and_nothing_is_left_behind() {
    let place = Place::with_node(simnode::Config::default()).await;
    let before: Vec<_> = fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let config = format!("{FREE}[registry]\nstate_dir = \"state\"\n");
    let told = place.doctor(&config, &[("ARTIFACTS_DIR", "artifacts")]).await;
    assert_eq!((told.ids("error"), told.code), (vec![], 0), "{:#}", told.report);
    for id in [
        "config_invalid",
        "descriptor_limit",
        "memory_short",
        "address_taken",
        "node_down",
        "node_clock",
        "watch_limit",
    ] {
        assert!(told.ids("success").contains(&id) || told.ids("warning").contains(&id), "{id}: {:#}", told.report);
    }
    let after: Vec<_> = fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before.len() + 1, after.len(), "a.toml alone is new: {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_end_the_look_there() {
    let place = Place::new();
    let told = place.doctor("[server]\ndrain_secs = 3\n", &[]).await;
    told.fails("config_invalid");
    assert!(told.all.contains("drain_secs") && told.checks().count() == 1, "{}", told.all);
    let told = place.doctor(FREE, &[("APPSERVER_SERVER_DRAIN_SECS", "3")]).await;
    told.warns("variable_unknown");
    assert!(told.all.contains("APPSERVER_SERVER_DRAIN_SEC`"), "{}", told.all);
    let told = place.doctor("[server]\nlisten = \"0.0.0.0:0\"\n[auth]\nmode = \"open\"\n", &[]).await;
    told.fails("open_to_all");
    told.warns("no_operators");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_answer_or_refuse_the_key_are_told_apart() {
    let place = Place::new();
    place.doctor(FREE, &[]).await.fails("no_node");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    place.doctor(FREE, &[("RHINO_COMPUTE_URL", &url)]).await.fails("node_down");
    let locked =
        Place::with_node(simnode::Config { api_key: Some("node-secret".to_owned()), ..Default::default() }).await;
    locked.doctor(FREE, &[]).await.fails("node_refused_key");
    let told = locked.doctor(FREE, &[("RHINO_COMPUTE_KEY", "wrong-secret")]).await;
    told.fails("node_refused_key");
    assert!(!told.all.contains("wrong-secret"), "{}", told.all);
    let told = locked.doctor(FREE, &[("RHINO_COMPUTE_KEY", "node-secret")]).await;
    assert_eq!(told.ids("error"), [""; 0], "{:#}", told.report);
    assert!(!told.all.contains("node-secret"), "{}", told.all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_computer_does_not_give_is_told() {
    let place = Place::with_node(simnode::Config::default()).await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("[server]\nlisten = \"{}\"\n", held.local_addr().unwrap());
    place.doctor(&taken, &[]).await.fails("address_taken");
    fs::write(place.folder.path().join("file"), "").unwrap();
    let state = format!("{FREE}[registry]\nstate_dir = \"file\"\n");
    place.doctor(&state, &[]).await.fails("folder_unwritable");
    place.doctor(&format!("{FREE}[registry]\nroot = \"nowhere\"\n"), &[]).await.fails("registry_stale");
    place.doctor(&format!("{FREE}[nodes_file]\npath = \"none.toml\"\n"), &[]).await.fails("nodes_file");
    // A shell lowers the limit for what it starts.
    fs::write(place.folder.path().join("a.toml"), FREE).unwrap();
    let line = format!("ulimit -n 256 && exec {} doctor --json --config a.toml", env!("CARGO_BIN_EXE_appserver"));
    let told = place.run(Command::new("sh").args(["-c", &line]), &[]).await;
    told.fails("descriptor_limit");
}

/// Answers every request so, until the test ends.
async fn answering(body: &'static str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_reached_or_of_no_use_and_a_clock_that_is_off_is_seen() {
    let place = Place::with_node(simnode::Config::default()).await;
    let auth = "[auth]\nissuer = \"https://issuer.example\"\n";
    let with = async |url: &str| place.doctor(&format!("{FREE}{auth}"), &[("JWT_JWKS_URL", url)]).await;
    with("http://127.0.0.1:9/").await.fails("issuer_unreachable");
    let told = with(&answering("<html>").await).await;
    told.fails("issuer_keys");
    told.warns("gateway_clock");
    with(&answering("{\"keys\": []}").await).await.fails("issuer_keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_and_its_password_is_not() {
    let place = Place::with_node(simnode::Config::default()).await;
    let told = place.doctor(FREE, &[("DATABASE_URL", "postgres://ann:pass-word@127.0.0.1:9/jobs")]).await;
    told.fails("database_unfit");
    assert!(!told.all.contains("pass-word"), "{}", told.all);
    let told = place.doctor(FREE, &[("DATABASE_URL", "mysql://ann:pass-word@127.0.0.1/jobs")]).await;
    told.fails("database_unfit");
    assert!(!told.all.contains("pass-word"), "{}", told.all);
    let told = place.doctor(FREE, &[("DATABASE_URL", "sqlite:jobs.sqlite")]).await;
    told.warns("database_unfit");
    assert!(!place.folder.path().join("jobs.sqlite").exists(), "looking makes nothing");
    jobs::open(&jobs::Where::new(&format!("sqlite:{}", place.folder.path().join("jobs.sqlite").display())))
        .await
        .unwrap();
    let told = place.doctor(FREE, &[("DATABASE_URL", "sqlite:jobs.sqlite")]).await;
    assert!(told.ids("success").contains(&"queue_unreachable"), "{:#}", told.report);
    // A superuser is bound by no row level security.
    let server = std::env::var_os("APPSERVER_TEST_POSTGRES").and_then(|server| server.into_string().ok());
    let Some(url) = server.map(|server| format!("{server}/postgres")) else {
        println!("SKIPPED: APPSERVER_TEST_POSTGRES names no Postgres");
        return;
    };
    place.doctor(FREE, &[("DATABASE_URL", &url)]).await.fails("database_unfit");
}
