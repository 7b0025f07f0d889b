//! Programs read what people are told: every command says its data as JSON when it is asked to, and a command that nobody wrote a
//! call for is refused here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use appserver::cli::Cli;
use appserver::config::{AdminListen, Config};
use clap::CommandFactory as _;
use jobs::{AppId, Inputs, JobId, NewJob, Opened, Scope, Tenant};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scaffold::appserver;
use crate::support::{Setup, TestGateway, copy, repository, sitefit};

/// Commands that give no data, and what they give instead.
const SILENT: [(&str, &str); 6] = [
    ("dev", "runs until it is stopped, and logs"),
    ("serve", "runs until it is stopped, and logs"),
    ("health", "says it by its exit code"),
    ("client", "writes source text in another language"),
    ("completions", "writes a shell's script"),
    ("man", "writes manual pages"),
];

/// A command, more words, how it ends, and a member that tells.
type Call = (&'static str, &'static [&'static str], i32, &'static str);

/// In a folder with a copy of the sample registry, in this order. `1.1.1` of sitefit is there, too.
const OFFLINE: [Call; 20] = [
    ("check", &[], 0, "/subjects/0/name"),
    ("check", &["sitefit:1.1.1"], 0, "/findings"),
    ("check", &["--pre", "--registry", "registry"], 0, "/categories/0/checks/0/id"),
    ("breaking", &["sitefit:1.1.1"], 0, "/subjects/0/name"),
    ("diff", &["sitefit:1.0.0", "sitefit:1.1.0"], 0, "/contract/needed"),
    ("can-roll", &["sitefit", "1.1.1"], 0, "/checks/0/name"),
    ("explain", &["input_removed"], 0, "/fix"),
    ("inspect", &["plot.ghx"], 0, "/inputs/0/name"),
    ("matrix", &["--registry", "registry"], 0, "/apps/0/app_id"),
    ("new-app", &["plot", "--from", "plot.ghx"], 0, "/open/0/line"),
    ("new-version", &["sitefit"], 0, "/version"),
    ("import appserver", &["files"], 100, "/0/file"),
    ("alias set", &["sitefit", "stable", "1.1.1", "--registry", "registry"], 0, "/to"),
    ("alias undo", &["sitefit", "stable", "--registry", "registry"], 0, "/to"),
    ("alias list", &["sitefit", "--registry", "registry"], 0, "/aliases/stable"),
    ("alias history", &["sitefit", "--registry", "registry"], 0, "/1/kind"),
    ("schema", &["manifest"], 0, "/properties"),
    ("config", &[], 0, "/0/key"),
    ("key", &["--id", "kiosk"], 0, "/key"),
    ("doctor", &["--registry", "registry"], 1, "/categories/0/checks/0/id"),
];

/// On a database; `JOB` is a job's id.
const JOBS: [Call; 7] = [
    ("migrate", &["--database", "sqlite:jobs.sqlite"], 0, "/tenants"),
    ("job list", &[], 0, "/id"),
    ("job dead", &[], 0, ""),
    ("job show", &["JOB"], 0, "/job/id"),
    ("job cancel", &["JOB"], 0, "/id"),
    ("job watch", &["JOB"], 1, "/seq"),
    ("job replay", &["JOB"], 1, "/id"),
];

/// What goes on, or may be long, is told a line each: a document a line, and none where there is nothing.
const LINES: [&str; 4] = ["watch", "job list", "job dead", "job watch"];

/// At a running gateway; `OPERATORS` and `CALLERS` are its two addresses.
const LIVE: [Call; 9] = [
    ("check", &["--url", "CALLERS"], 3, "/categories/0/checks/0/id"),
    ("matrix", &["--url", "CALLERS"], 3, "/apps/0/app_id"),
    ("slo", &["--url", "CALLERS"], 0, "/0/app_id"),
    ("watch", &["--once", "--after", "0", "--url", "CALLERS"], 0, "/number"),
    ("node list", &["--url", "OPERATORS"], 0, "/0/state"),
    ("node drain", &["node-1", "--url", "OPERATORS"], 0, "/0/state"),
    ("node resume", &["node-1", "--url", "OPERATORS"], 0, "/0/state"),
    ("top", &["--once", "--interval", "200ms", "--url", "OPERATORS"], 0, "/apps/0/preview/seats"),
    ("load", &["--url", "CALLERS", "--rate", "20", "--duration", "1"], 0, ""),
];

/// At a gateway that is a process of its own, and so has a log.
const PROCESS: [Call; 1] = [("log-level", &["--url", "OPERATORS"], 0, "/filter")];

/// Every command that has no commands of its own, as it is typed.
fn leaves(command: &clap::Command, above: &str, found: &mut BTreeSet<String>) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let name = format!("{above} {}", inner.get_name()).trim().to_owned();
        if inner.has_subcommands() {
            leaves(inner, &name, found);
        } else {
            found.insert(name);
        }
    }
}

#[test]
fn every_command_is_called_for_json_here_or_says_why_not() {
    let mut commands = BTreeSet::new();
    leaves(&Cli::command(), "", &mut commands);
    let called = OFFLINE.iter().chain(&JOBS).chain(&LIVE).chain(&PROCESS).map(|(name, ..)| *name);
    let known: BTreeSet<String> = called.chain(SILENT.map(|(name, _)| name)).map(str::to_owned).collect();
    let silent: Vec<_> = commands.difference(&known).collect();
    assert!(silent.is_empty(), "no call in tests/it/json.rs parses `--json` of {silent:?}");
    let gone: Vec<_> = known.difference(&commands).collect();
    assert!(gone.is_empty(), "there is no such command: {gone:?}");
}

/// Runs it with `--json`, and holds what it prints against what was said.
fn call(folder: &Path, (command, words, ends, member): Call, names: &[(&str, &str)]) {
    let filled = |word: &&str| names.iter().find(|(name, _)| name == word).map_or(*word, |(_, is)| *is).to_owned();
    let mut words: Vec<String> = command.split(' ').map(str::to_owned).chain(words.iter().map(filled)).collect();
    if words[0] == "job" {
        // Whose jobs stands before what is done with them.
        let whose = ["--database", "sqlite:jobs.sqlite", "--tenant", "studio", "--app", "sitefit"];
        words.splice(1..1, whose.map(str::to_owned));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--json"]).collect();
    let (code, out, talk) = appserver(folder, &words);
    let documents: Vec<&str> = if LINES.contains(&command) { out.lines().collect() } else { vec![&out] };
    assert!(code == ends && (!documents.is_empty() || command == "job dead"), "{words:?} {code}: {out}{talk}");
    for text in documents {
        let document: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{words:?} {code} {error}: {out}{talk}"));
        assert!(document.pointer(member).is_some(), "{words:?}: {document:#} {talk}");
    }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&repository().join("registry"), &folder.path().join("registry"));
    let app = folder.path().join("registry/contracts/sitefit");
    let (old, new) = (app.join("1.1.0"), app.join("1.1.1"));
    copy(&old, &new);
    let manifest = fs::read_to_string(new.join("manifest.json")).unwrap();
    fs::write(new.join("manifest.json"), manifest.replace(r#""version": "1.1.0""#, r#""version": "1.1.1""#)).unwrap();
    fs::copy(new.join("sitefit.ghx"), folder.path().join("plot.ghx")).unwrap();
    fs::create_dir(folder.path().join("files")).unwrap();
    fs::copy(new.join("sitefit.ghx"), folder.path().join("files/plot.ghx")).unwrap();
    folder
}

#[test]
fn commands_on_files_answer_in_json() {
    let folder = folder();
    for of in OFFLINE {
        call(folder.path(), of, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_jobs_answer_in_json() {
    let folder = folder();
    let path = folder.path().to_owned();
    let in_folder = move |of: Call, job: String| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || call(&path, of, &[("JOB", &job)]))
    };
    in_folder(JOBS[0], String::new()).await.unwrap();
    let scope = Scope::new(Tenant::new("studio").unwrap(), AppId::new("sitefit").unwrap());
    let job = {
        let Opened { store, .. } =
            jobs::open(&jobs::Where::new(&format!("sqlite:{}", folder.path().join("jobs.sqlite").display())))
                .await
                .unwrap();
        let new = NewJob {
            id: JobId::new(),
            definition: "sitefit".to_owned(),
            version: "1.1.0".to_owned(),
            digest: contract::Digest::of("x").to_string(),
            inputs: Inputs::inline(json!({ "site_width": 30 }).to_string()).unwrap(),
            idempotency: None,
            attempts_max: 1,
            traceparent: None,
            tracestate: None,
        };
        let id = new.id;
        store.submit(&scope, new).await.unwrap();
        id
    };
    for (name, words, ends, member) in JOBS.into_iter().skip(1) {
        in_folder((name, words, ends, member), job.to_string()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_a_gateway_answer_in_json() {
    let operated = |config: &mut Config| config.admin.listen = AdminListen::At(([127, 0, 0, 1], 0).into());
    let setup = Setup { nodes: vec![simnode::Config::default()], config: Some(operated), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    gateway.solve("sitefit:1.1.0", &sitefit()).await;
    for of in LIVE {
        let (callers, operators) = (gateway.base.clone(), gateway.operators.clone().unwrap());
        let called = move || call(Path::new("."), of, &[("CALLERS", &callers), ("OPERATORS", &operators)]);
        tokio::task::spawn_blocking(called).await.unwrap();
    }
    gateway.stop().await;
}

/// Ends the process, also where the test fails.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_a_process_answer_in_json() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = repository().join("registry").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--registry", &registry]);
    command.env("APPSERVER_ADMIN_LISTEN", address.to_string()).env_remove("PORT").env_remove("APPSERVER_CONFIG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _served = Served(command.spawn().unwrap());
    let operators = format!("http://{address}");
    for _ in 0..300 {
        if reqwest::get(format!("{operators}/livez")).await.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for of in PROCESS {
        let operators = operators.clone();
        let called = move || call(Path::new("."), of, &[("OPERATORS", &operators)]);
        tokio::task::spawn_blocking(called).await.unwrap();
    }
}
