//! The log of a gateway that runs: other lines for a while, by an operator's word.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{copy, repository, set_rates, sitefit};

/// A gateway as a process, ended when it is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) url: String,
    pub(crate) operators: String,
    folder: tempfile::TempDir,
}

impl Gateway {
    /// Over the sample registry, with nobody's rate in the way.
    pub(crate) async fn start(node: &str, filter: &str) -> Self {
        Self::start_in(node, filter, &[], true).await
    }

    /// The same in this environment, until it is ready, or until it lives.
    pub(crate) async fn start_in(node: &str, filter: &str, environment: &[(&str, &str)], ready: bool) -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (listen, admin, folder) = (free(), free(), tempfile::tempdir().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
        let registry = folder.path().join("registry");
        copy(&repository().join("registry"), &registry);
        set_rates(&registry, 100_000.0);
        command.args(["serve", "--listen", &listen, "--registry"]).arg(&registry);
        for name in ["PORT", "APPSERVER_CONFIG", "RHINO_COMPUTE_KEY"] {
            command.env_remove(name);
        }
        command.env("RHINO_COMPUTE_URL", node).env("APPSERVER_AUTH_MODE", "open").env("APPSERVER_ADMIN_LISTEN", &admin);
        command.env("APPSERVER_LOG_FILTER", filter).env("APPSERVER_WARM_ENABLED", "false").current_dir(folder.path());
        command.envs(environment.iter().copied());
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let gateway = Self { child, url: format!("http://{listen}"), operators: format!("http://{admin}"), folder };
        for _ in 0..1500 {
            let page = if ready { "readyz" } else { "livez" };
            let answer = reqwest::get(format!("{}/{page}", gateway.url)).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return gateway;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not ready within 30 s: {}", gateway.said());
    }

    /// All that it logged.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The access lines so far.
    fn access(&self) -> Vec<Value> {
        let said = self.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "appserver::access").collect()
    }

    async fn solve(&self) -> String {
        let request = reqwest::Client::new().post(format!("{}/gh/sitefit:1.0.0/solve", self.url));
        let answer = request.body(sitefit().to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers()["traceparent"].to_str().unwrap().to_owned()
    }

    /// `appserver log-level …`: exit code, data, talk.
    fn log_level(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
        command.arg("log-level").args(words).args(["--url", &self.operators]);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_operator_has_other_lines_written_for_a_while_and_that_is_an_event() {
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let gateway = Gateway::start(&node.url(), "warn").await;
    gateway.solve().await;
    assert_eq!(gateway.log_level(&[]), (0, "warn".into(), String::new()));

    let (code, data, _) = gateway.log_level(&["info", "--for", "2s"]);
    assert_eq!((code, data.as_str()), (0, "info  (for 2 s more, then warn)"));
    let traceparent = gateway.solve().await;
    let mut lines = Vec::new();
    for _ in 0..100 {
        lines = gateway.access();
        if !lines.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(lines.len(), 1, "one line for one request, and none from before");
    let place = format!("00-{}-{}-02", lines[0]["trace_id"].as_str().unwrap(), lines[0]["span_id"].as_str().unwrap());
    assert_eq!(place, traceparent, "the line and the answer name the same place");
    assert_eq!((&lines[0]["code"], &lines[0]["cache"]), (&json!("ok"), &json!("hit")));

    for _ in 0..200 {
        if gateway.log_level(&[]).1 == "warn" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(gateway.log_level(&[]).1, "warn", "the time is over");
    gateway.solve().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(gateway.access().len(), 1);

    let (code, _, talk) = gateway.log_level(&["inof"]);
    assert!(code == 1 && talk.starts_with("error: `inof` is no level: off, error, warn"), "{code} {talk}");
    let (code, _, talk) = gateway.log_level(&["info", "--for", "48h"]);
    assert!(code == 1 && talk.contains("`for_sec` is from 1 to 86400"), "{code} {talk}");
    assert_eq!(gateway.log_level(&["off"]).1, "off  (until the next change or restart; started with warn)");
    assert_eq!(gateway.log_level(&["--reset"]).1, "warn");

    let events =
        reqwest::get(format!("{}/admin/events", gateway.operators)).await.unwrap().json::<Value>().await.unwrap();
    let events = events["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "log_level_changed");
    let told: Vec<_> =
        events.map(|event| [&event["from"], &event["to"], &event["reason"]].map(Value::as_str)).collect();
    let told: Vec<_> = told.iter().map(|told| told.map(Option::unwrap)).collect();
    assert_eq!(
        told,
        [
            ["warn", "info", "by an operator, for 2 s"],
            ["info", "warn", "the time of a change is over"],
            ["warn", "off", "by an operator"],
            ["off", "warn", "reset by an operator"],
        ]
    );

    // A page in a browser on the same computer may not.
    let forged = reqwest::Client::new().put(format!("{}/admin/log-level", gateway.operators));
    let forged = forged.header("origin", "http://evil.example").body(r#"{"filter":"off"}"#).send().await.unwrap();
    assert_eq!(forged.status(), 403);
    drop(gateway);
    node.stop().await;
}
