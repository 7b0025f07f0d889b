//! A Prometheus with the rules of this repository, at the pace of a test.
//!
//! The files are those that are shipped, save for addresses and pace: what is evaluated or waited for in minutes takes a second or two.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::text;
use crate::jobs::deployment::{Program, free};

/// What it scrapes, as addresses, and whom it tells of alerts.
pub(crate) struct Targets {
    pub(crate) gateways: Vec<String>,
    pub(crate) apis: Vec<String>,
    pub(crate) workers: Vec<String>,
    pub(crate) alertmanager: String,
}

pub(crate) struct Prometheus {
    pub(crate) program: Program,
    client: reqwest::Client,
}

/// The labels of a series.
pub(crate) type Labels = BTreeMap<String, String>;

// === impl Prometheus ===

impl Prometheus {
    /// Started in the folder, where it keeps its files.
    pub(crate) async fn start(program: &Path, folder: &Path, client: &reqwest::Client, targets: &Targets) -> Self {
        let joined = |addresses: &[String]| addresses.join("\", \"");
        let config = text("infra/monitoring/prometheus/prometheus.yml").replace("_interval: 15s", "_interval: 1s");
        let config = replaced(
            &config,
            &[
                ("127.0.0.1:9093", &targets.alertmanager),
                ("127.0.0.1:3001", &joined(&targets.gateways)),
                ("127.0.0.1:3003", &joined(&targets.apis)),
                ("127.0.0.1:3002", &joined(&targets.workers)),
            ],
        );
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        for file in ["slo.rules.yml", "alerts.rules.yml"] {
            fs::write(folder.join(file), hurried(&text(&format!("infra/monitoring/prometheus/{file}")))).unwrap();
        }
        let listen = free();
        let mut command = Command::new(program);
        command.current_dir(folder).arg(format!("--web.listen-address={listen}")).args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=series",
            "--storage.tsdb.retention.time=30d",
        ]);
        let mut program = Program::spawn(command, folder.join("prometheus.log"), &listen);
        program.until_ready(client, "/-/ready").await;
        Self { program, client: client.clone() }
    }

    pub(crate) async fn json(&self, path: &str, query: &[(&str, &str)]) -> Value {
        json(&self.client, &self.program.url, path, query).await
    }

    /// The series that have a finite value for it now.
    pub(crate) async fn rows(&self, query: &str) -> Vec<Labels> {
        let answer = self.json("/api/v1/query", &[("query", query)]).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        let finite = |one: &&Value| one["value"][1].as_str().unwrap().parse::<f64>().unwrap().is_finite();
        series.iter().filter(finite).map(|one| serde_json::from_value(one["metric"].clone()).unwrap()).collect()
    }

    /// The same for the query of a panel, with an app in place of its variable.
    pub(crate) async fn panel(&self, query: &str, app_id: &str) -> Vec<Labels> {
        self.rows(&query.replace("$__rate_interval", "20s").replace("$app_id", app_id)).await
    }
}

pub(super) async fn json(client: &reqwest::Client, base: &str, path: &str, query: &[(&str, &str)]) -> Value {
    let url = reqwest::Url::parse_with_params(&format!("{base}{path}"), query).unwrap();
    client.get(url).send().await.unwrap().json().await.unwrap()
}

pub(super) fn replaced(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// Rules at the pace of a test: looked at each second, and true for two seconds in place of minutes. What they compare stays.
fn hurried(rules: &str) -> String {
    let line = |line: &str| match line.trim_start().split_once(' ') {
        Some(("interval:", _)) => "    interval: 1s".to_owned(),
        Some(("for:", wait)) if wait != "0m" => "        for: 2s".to_owned(),
        _ => line.to_owned(),
    };
    rules.lines().map(|each| line(each) + "\n").collect()
}
