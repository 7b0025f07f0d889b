//! The `appserver` command as a person runs it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::repository;

fn appserver(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
    command.current_dir(repository()).args(args).stdin(Stdio::null());
    for name in ["PORT", "RHINO_COMPUTE_URL", "RHINO_COMPUTE_KEY", "APPSERVER_CONFIG", "APPSERVER_URL"] {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    let output = appserver(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Ends a child that a failed test left behind.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Guard {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts `appserver` bare, and returns it with its banner.
fn dev(port: u16) -> (Guard, String) {
    let child =
        appserver(&[]).env("PORT", port.to_string()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut guard = Guard(child);
    let mut lines = BufReader::new(guard.0.stdout.take().unwrap()).lines();
    let mut banner = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        banner.push_str(&line);
        banner.push('\n');
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    (guard, banner)
}

#[test]
fn bare_it_prints_a_curl_that_works_when_pasted() {
    let port = free_port();
    let (mut guard, banner) = dev(port);
    let curl = banner.lines().find(|line| line.trim_start().starts_with("curl")).expect("a curl in the banner");
    assert!(curl.contains(&format!("localhost:{port}/gh/")), "{curl}");
    let output = Command::new("sh").args(["-c", curl.trim()]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["outputs"].is_object(), "{answer}");

    // The lines of the job, pasted whole; the result is asked for again while it is not there.
    let lines: Vec<&str> =
        banner.lines().map(str::trim).skip_while(|line| !line.starts_with("TOKEN=")).take(4).collect();
    let [token, run, status, result] = lines[..] else { panic!("{banner}") };
    let script = format!(
        "{token}\n{run}\n{status} >&2\nfor i in $(seq 100); do R=$({result}); case $R in *outputs*) break;; esac; sleep 0.1; done\necho \"$R\""
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stderr).unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["job_id"], result["job_id"]);
    assert_eq!(result["status"], "succeeded", "{result}");
    assert_eq!(result["outputs"], answer["outputs"]);
    let artifact = Command::new("curl").args(["-s", result["artifacts"][0]["url"].as_str().unwrap()]).output().unwrap();
    let artifact: Value = serde_json::from_slice(&artifact.stdout).unwrap();
    assert_eq!(artifact["outputs"], answer["outputs"]);

    // The operator's line, with each of its actions in place of the first.
    let line =
        banner.lines().map(str::trim).find(|line| line.starts_with("DATABASE_URL=")).expect("an operator's line");
    let operator = |action: &str| {
        let script = line.replace(" appserver ", &format!(" {} --json ", env!("CARGO_BIN_EXE_appserver")));
        let script = script.strip_suffix("list").map(|line| format!("{line}{action}")).expect("a list comes first");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let job_id = result["job_id"].as_str().unwrap();
    let (code, listed) = operator("list");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((code, &listed["id"], &listed["state"]), (0, &result["job_id"], &Value::from("succeeded")), "{listed}");
    assert_eq!(operator("dead"), (0, String::new()));
    let (code, shown) = operator(&format!("show {job_id}"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["job"]["id"]), (0, &result["job_id"]));
    let (code, watched) = operator(&format!("watch {job_id}"));
    assert_eq!((code, watched.lines().count()), (0, shown["events"].as_array().unwrap().len()), "{watched}");
    // What is over is neither cancelled nor, as it went well, queued again; and nobody knows of what never was.
    assert_eq!((operator(&format!("cancel {job_id}")).0, operator(&format!("replay {job_id}")).0), (1, 1));
    assert_eq!(operator("show 01900000-0000-7000-8000-000000000000").0, 4);

    guard.signal("TERM");
    assert_eq!(guard.exit_code(), Some(0));
}

#[test]
fn an_interrupt_is_told_apart_by_its_exit_code() {
    let (mut guard, _) = dev(free_port());
    guard.signal("INT");
    assert_eq!(guard.exit_code(), Some(130));
}

#[test]
fn a_port_asked_for_and_taken_is_an_error_that_names_the_way_out() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let mut child = appserver(&["serve"]).env("PORT", port.to_string()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(talk.contains(&port.to_string()) && talk.contains("PORT"), "{talk}");
}

#[test]
fn an_open_gateway_refuses_to_listen_beyond_this_computer() {
    let (code, _, talk) = run(&["dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, 1);
    assert!(talk.contains("--insecure-no-auth") && talk.contains("auth.mode"), "{talk}");
}

#[test]
fn wrong_usage_is_2_and_help_lists_the_exit_codes() {
    assert_eq!(run(&["nosuch"]).0, 2);
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("Exit codes") && help.contains("130"), "{help}");
}

#[test]
fn schemas_are_printed_and_a_near_miss_is_answered() {
    let (code, names, _) = run(&["schema"]);
    assert_eq!(code, 0);
    for name in names.lines() {
        let (code, text, _) = run(&["schema", name]);
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (code, &schema["$schema"]),
            (0, &Value::from("https://json-schema.org/draft/2020-12/schema")),
            "{name}"
        );
    }
    let (code, _, talk) = run(&["schema", "manifets"]);
    assert_eq!(code, 4);
    assert!(talk.contains("did you mean `manifest`?"), "{talk}");
}

#[test]
fn config_shows_each_value_and_its_source_but_no_secret() {
    let output =
        appserver(&["config", "--json"]).env("PORT", "4711").env("RHINO_COMPUTE_KEY", "s3cret-key").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}")).clone();
    assert_eq!(row("server.listen")["value"], "127.0.0.1:4711");
    assert_eq!(row("server.listen")["source"], "environment PORT");
    assert_eq!(row("registry.root")["source"], "default");
    assert!(!text.contains("s3cret-key"), "{text}");
}

#[test]
fn a_made_key_has_the_digest_that_the_registry_holds() {
    let (code, text, _) = run(&["key", "--id", "kiosk", "--app", "sitefit", "--json"]);
    let made: Value = serde_json::from_str(&text).unwrap();
    let digest = contract::Digest::of(made["key"].as_str().unwrap()).to_string();
    assert_eq!((code, made["entry"]["sha256"].as_str()), (0, Some(digest.as_str())));
    assert_eq!(made["entry"]["app_id"], "sitefit");
    let (code, text, _) = run(&["key", "--id", "worker", "--worker", "--json"]);
    let made: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &made["entry"]["role"]), (0, &Value::from("worker")));
    let (code, _, _) = run(&["key", "--id", "worker", "--worker", "--user"]);
    assert_eq!(code, 2, "one role at a time");
}

#[test]
fn inspect_tells_what_compute_will_see() {
    let file = "registry/contracts/sitefit/1.0.0/sitefit.ghx";
    let (code, text, _) = run(&["inspect", file, "--json"]);
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &seen["format"]), (0, &Value::from("ghx")));
    for key in ["inputs", "outputs", "libraries", "scripts", "problems"] {
        assert!(seen[key].is_array(), "{key}");
    }
    for key in ["name", "type", "at_least", "at_most", "tree", "default", "minimum", "maximum"] {
        assert!(seen["inputs"][0].get(key).is_some(), "{key}: {}", seen["inputs"][0]);
    }
    let (code, _, talk) = run(&["inspect", "README.md"]);
    assert_eq!(code, 100);
    assert!(talk.contains("README.md"), "{talk}");
    assert_eq!(run(&["inspect", "no-such-file.ghx"]).0, 1);
}

#[test]
fn the_matrix_of_a_folder_needs_no_gateway() {
    let (code, table, talk) = run(&["matrix", "--registry", "registry"]);
    assert_eq!(code, 0, "{talk}");
    assert!(table.lines().count() >= 6 && !table.contains("refused"), "{table}");
}
