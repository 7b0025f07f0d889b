//! Rules, routes, dashboards and the page of operations: that they name what there is, and lead where they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::Parser as _;
use serde_json::Value;

use crate::support::repository;

mod live;
pub(crate) mod prometheus;
mod rules;
pub(crate) mod traffic;

/// What is read of an alert in the rules.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    expr: String,
    severity: String,
    runbook: String,
}

fn folder() -> PathBuf {
    repository().join("infra/monitoring")
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn alerts_text() -> String {
    text("infra/monitoring/prometheus/alerts.rules.yml")
}

/// The alerts, read by their indentation: as much of YAML as the file uses.
fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut within = false;
    for line in alerts_text().lines() {
        if let Some(name) = line.strip_prefix("      - alert: ") {
            alerts.push(Alert { name: name.to_owned(), ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        if let Some(expr) = line.strip_prefix("        expr: ") {
            within = expr == "|-";
            alert.expr.push_str(if within { "" } else { expr });
        } else if within && line.starts_with("          ") {
            alert.expr.push_str(line.trim());
            alert.expr.push('\n');
        } else {
            within = false;
        }
        if let Some(labels) = line.strip_prefix("        labels: {severity: ") {
            alert.severity = labels.split([',', '}']).next().unwrap().to_owned();
        }
        if let Some(link) = line.strip_prefix("          runbook_url: ") {
            alert.runbook = link.trim_matches('\'').to_owned();
        }
    }
    assert!(alerts.len() > 20, "{} alerts", alerts.len());
    alerts
}

/// The headings of a page with what stands below each, by the anchor that a browser jumps to.
fn paragraphs(page: &str) -> BTreeMap<String, (usize, String)> {
    let (mut paragraphs, mut here): (BTreeMap<String, (usize, String)>, _) = (BTreeMap::new(), None);
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if !fenced && level > 0 && line.as_bytes().get(level) == Some(&b' ') {
            let kept = |letter: char| letter.is_alphanumeric() || letter == ' ' || letter == '-';
            let anchor: String = line[level + 1..].chars().filter(|letter| kept(*letter)).collect();
            let anchor = anchor.to_lowercase().replace(' ', "-");
            assert!(!paragraphs.contains_key(&anchor), "two headings have the anchor {anchor}");
            paragraphs.insert(anchor.clone(), (level, String::new()));
            here = Some(anchor);
        } else if let Some((_, text)) = here.as_ref().and_then(|anchor| paragraphs.get_mut(anchor)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    paragraphs
}

/// The words of a text that begin so: names of metrics.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    text.split(|letter: char| !inside(letter)).filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

/// A metric's labels by its name, from the tables of docs/metrics.md; histograms by the names of their series.
fn told() -> BTreeMap<String, BTreeSet<String>> {
    let mut told = BTreeMap::new();
    for line in text("docs/metrics.md").lines().filter(|line| line.starts_with("| `appserver_")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells[0].trim_matches(['|', ' ', '`']).to_owned();
        let labels: BTreeSet<String> =
            cells[2].split('`').filter(|word| !word.trim().is_empty()).map(str::to_owned).collect();
        if cells[1] == "histogram" {
            let with_le = labels.iter().cloned().chain(["le".to_owned()]).collect();
            told.insert(format!("{name}_bucket"), with_le);
            told.extend(["sum", "count"].map(|end| (format!("{name}_{end}"), labels.clone())));
        }
        told.insert(name, labels);
    }
    told
}

/// The selectors of a text, as name and labels: `name{label="…"}`.
fn selectors(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('{') {
        let name: String = text[..at]
            .chars()
            .rev()
            .take_while(|letter| letter.is_ascii_alphanumeric() || "_:".contains(*letter))
            .collect();
        let name: String = name.chars().rev().collect();
        let Some(inside) = text[at + 1..].split('}').next() else { continue };
        if name.starts_with("appserver") {
            // No value in these files holds a comma.
            let labels = inside.split(',').filter_map(|pair| Some(pair.split(['=', '!']).next()?.trim().to_owned()));
            found.push((name, labels.filter(|label| !label.is_empty()).collect()));
        }
    }
    found
}

/// One query of a dashboard.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) query: String,
    /// What its lines are called.
    pub(crate) legend: String,
}

pub(crate) fn panels(board: &str) -> Vec<Panel> {
    let board: Value = serde_json::from_str(&text(&format!("infra/monitoring/grafana/{board}.json"))).unwrap();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert_eq!(panel["datasource"]["uid"], "${ds}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let word = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
            queries.push(Panel { title: title.to_owned(), query: word("expr"), legend: word("legendFormat") });
        }
    }
    assert!(queries.len() > 15, "{} queries", queries.len());
    assert!(queries.iter().all(|panel| !panel.query.is_empty()));
    queries
}

/// The names of what rules record.
pub(crate) fn recorded() -> Vec<String> {
    let rules = text("infra/monitoring/prometheus/slo.rules.yml");
    let names: Vec<String> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned).collect();
    assert!(names.len() > 20, "{names:?}");
    names
}

/// The program, if it is installed; nothing where CI does not ask for it.
pub(crate) fn tool(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must not pass without {names:?}");
        eprintln!("SKIPPED: none of {names:?} is installed; ./test installs them");
    }
    found
}

#[test]
fn every_alert_leads_to_its_paragraph_and_every_paragraph_has_its_alert() {
    let page = text("docs/operations.md");
    let paragraphs = paragraphs(&page);
    let mut documented: BTreeSet<_> =
        paragraphs.iter().filter(|(_, (level, _))| *level == 4).map(|(anchor, _)| anchor.clone()).collect();
    for alert in alerts() {
        let anchor = alert.name.to_lowercase();
        assert_eq!(alert.runbook, format!("{{{{ $externalLabels.docs }}}}/operations.md#{anchor}"), "{}", alert.name);
        let Some((_, paragraph)) = paragraphs.get(&anchor) else { panic!("docs/operations.md has no #{anchor}") };
        assert!(paragraph.trim().len() > 80, "{}: {paragraph}", alert.name);
        assert!(page.contains(&format!("#### {}\n", alert.name)), "{} is spelt otherwise", alert.name);
        let pages = paragraph.trim_start().starts_with("A page.");
        assert_eq!((pages, alert.severity.as_str()), (pages, if pages { "page" } else { "ticket" }), "{}", alert.name);
        // The paragraph names what is measured, unless it is what Prometheus itself, or a rule of ours, makes.
        let metrics = names(&alert.expr, "appserver_");
        let named = metrics.is_empty() || metrics.iter().any(|metric| paragraph.contains(metric.as_str()));
        assert!(named, "the paragraph of {} names none of {metrics:?}", alert.name);
        documented.remove(&anchor);
    }
    assert!(documented.is_empty(), "paragraphs of alerts that are not there: {documented:?}");
    let links = page.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in links {
        assert!(paragraphs.contains_key(link), "docs/operations.md leads to #{link}, which is not there");
    }
}

#[test]
fn rules_dashboards_and_pages_name_metrics_and_labels_that_there_are() {
    let told = told();
    let slo = text("infra/monitoring/prometheus/slo.rules.yml");
    let recorded: BTreeSet<_> = recorded().into_iter().collect();
    let tests = fs::read_dir(folder().join("prometheus/tests")).unwrap();
    let tests = tests.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let boards =
        ["fleet", "app"].map(|board| panels(board).into_iter().map(|panel| panel.query + "\n").collect::<String>());
    let files =
        [slo.clone(), alerts_text(), text("docs/operations.md"), text("docs/metrics.md"), text("src/cli/slo.rs")];
    for text in files.into_iter().chain(tests).chain(boards) {
        for name in names(&text, "appserver_").iter().filter(|name| !name.ends_with("_ms")) {
            assert!(told.contains_key(name), "docs/metrics.md has no row for {name}");
        }
        for name in names(&text, "appserver:").iter().filter(|name| name.len() > "appserver:slo_errors".len() + 2) {
            let known = recorded.contains(name)
                || ["appserver:slo_burn:", "appserver:slo_errors:ratio"].contains(&name.as_str());
            assert!(known, "no rule records {name}");
        }
        for (name, labels) in selectors(&text) {
            // Labels of what rules record are those that they keep.
            let kept = ["app_id", "slo", "job", "instance"].map(str::to_owned).into();
            let known: BTreeSet<String> = told.get(&name).map_or(kept, |labels| {
                labels.iter().cloned().chain(["job".to_owned(), "instance".to_owned()]).collect()
            });
            let strange: Vec<_> = labels.iter().filter(|label| !known.contains(*label)).collect();
            assert!(strange.is_empty(), "{name} has no label {strange:?}");
        }
    }
}

#[test]
fn dashboards_name_no_app_so_that_a_new_one_is_in_them() {
    for board in ["fleet", "app"] {
        let text = text(&format!("infra/monitoring/grafana/{board}.json"));
        for app in fs::read_dir(repository().join("registry/contracts")).unwrap() {
            let app = app.unwrap().file_name().into_string().unwrap();
            assert!(!text.contains(&app), "{board}.json names {app}");
            assert!(!alerts_text().contains(&app));
        }
    }
    let board: Value = serde_json::from_str(&text("infra/monitoring/grafana/app.json")).unwrap();
    let variable = board["templating"]["list"].as_array().unwrap().iter().find(|variable| variable["name"] == "app_id");
    assert_eq!(variable.unwrap()["query"], "label_values(appserver_versions, app_id)");
    assert!(panels("app").iter().all(|panel| panel.query.contains("app_id=\"$app_id\"")));
}

#[test]
fn every_command_of_the_operations_page_is_one() {
    let page = text("docs/operations.md");
    let lines = page.lines().filter_map(|line| line.strip_prefix("$ ").filter(|line| line.contains("appserver ")));
    let spans = page.split('`').skip(1).step_by(2).filter(|span| span.starts_with("appserver "));
    let commands: BTreeSet<&str> = lines.chain(spans).collect();
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands {
        // What stands before a command is its environment; the one setting that these need has an argument, too.
        let (environment, command) = command.split_at(command.find("appserver ").unwrap());
        let database = environment.trim().strip_prefix("DATABASE_URL=").map(|url| ["--database", url]);
        assert_eq!(environment.is_empty(), database.is_none(), "{environment}{command}");
        let words = command.split_whitespace().chain(database.into_iter().flatten());
        let parsed = appserver::cli::Cli::try_parse_from(words);
        assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
    }
}

#[test]
fn pages_and_tickets_go_to_whom_they_are_for() {
    let Some(amtool) = tool(&["amtool"]) else { return };
    let config = folder().join("alertmanager/alertmanager.yml");
    let route = |labels: &[&str]| {
        let output = Command::new(&amtool)
            .args(["config", "routes", "test", "--config.file"])
            .arg(&config)
            .args(labels)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for alert in alerts() {
        let to = if alert.severity == "page" { "on-call" } else { "tickets" };
        let (name, severity) = (format!("alertname={}", alert.name), format!("severity={}", alert.severity));
        assert_eq!(route(&[&name, &severity, "app_id=sitefit"]), to, "{}", alert.name);
    }
    assert_eq!(route(&["alertname=WhatNobodyThoughtOf"]), "tickets", "nothing is lost");
    let checked = Command::new(&amtool).arg("check-config").arg(&config).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
