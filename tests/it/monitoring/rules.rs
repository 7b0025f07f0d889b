//! The rules in Prometheus' own unit tests, and that those tests would notice a rule that is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{alerts_text, folder, tool};
use crate::support::copy;

/// The tests in the order in which a mutant is most quickly found.
const SUITES: [&str; 7] = ["jobs", "nodes", "registry", "processes", "slo-windows", "slo", "slo-long"];

/// Rules that were spoilt in one place.
struct Mutant {
    what: String,
    file: &'static str,
    text: String,
    /// The alert that it is about; none for what is recorded.
    alert: Option<String>,
}

fn promtool_accepts(promtool: &Path, tests: &Path, suite: &str) -> Result<(), String> {
    let output = Command::new(promtool)
        .args(["test", "rules"])
        .arg(format!("{suite}.test.yml"))
        .current_dir(tests)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or(said)
}

#[test]
fn the_rules_do_in_prometheus_own_tests_what_they_are_for() {
    let Some(promtool) = tool(&["promtool"]) else { return };
    let tests = folder().join("prometheus/tests");
    let listed = fs::read_dir(&tests).unwrap().count();
    assert_eq!(listed, SUITES.len(), "every file of tests is run");
    for suite in SUITES {
        promtool_accepts(&promtool, &tests, suite).unwrap_or_else(|said| panic!("{suite}: {said}"));
    }
    let checked = Command::new(&promtool)
        .args(["check", "config"])
        .arg(folder().join("prometheus/prometheus.yml"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// The text with the line at `index` replaced.
fn with_line(text: &str, index: usize, line: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines[index] = line;
    lines.join("\n") + "\n"
}

/// What may be wrong in a line of an expression: an operator turned round, a threshold twice or half as high, a wrong join or window.
fn spoilt(line: &str) -> Vec<String> {
    let mut spoilt = Vec::new();
    let turned = [
        (" > ", " < "),
        (" >= ", " < "),
        (" == 0", " != 0"),
        (" == 1", " != 1"),
        (" unless ", " and "),
        ("ready", "loading"),
    ];
    spoilt.extend(turned.iter().filter(|(from, _)| line.contains(from)).map(|(from, to)| line.replacen(from, to, 1)));
    for operator in ["> ", ">= ", "> on (app_id, slo) ("] {
        let Some((before, after)) = line.split_once(operator) else { continue };
        let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(after.len());
        let Ok(threshold) = after[..end].parse::<f64>() else { continue };
        let others = if threshold == 0.0 { vec![1e9] } else { vec![threshold * 2.0, threshold / 2.0] };
        spoilt.extend(others.iter().map(|other| format!("{before}{operator}{other}{}", &after[end..])));
    }
    spoilt
}

fn mutants() -> Vec<Mutant> {
    let (text, mut mutants, mut alert, mut within) = (alerts_text(), Vec::new(), None, false);
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("      - alert: ") {
            alert = Some(name.to_owned());
        }
        within = line.starts_with("        expr: ") || (within && line.starts_with("          "));
        let mut lines = if within { spoilt(line) } else { Vec::new() };
        if line.starts_with("        labels: {severity: page") {
            lines.push(line.replace("page", "ticket"));
        }
        if let Some(wait) = line.strip_prefix("        for: ") {
            lines.push(format!("        for: {}", if wait == "0m" { "45m" } else { "0m" }));
        }
        mutants.extend(lines.into_iter().map(|line| Mutant {
            what: format!("{}: {}", alert.as_deref().unwrap_or_default(), line.trim()),
            file: "alerts.rules.yml",
            text: with_line(&text, index, &line),
            alert: alert.clone(),
        }));
    }
    let slo = fs::read_to_string(folder().join("prometheus/slo.rules.yml")).unwrap();
    let recorded = [
        (
            "expr: max by (app_id, slo) (appserver_slo_objective)",
            "expr: 2 * max by (app_id, slo) (appserver_slo_objective)",
        ),
        ("expr: 1 - max by", "expr: 1.001 - max by"),
        (
            " - sum by (app_id, slo) (rate(appserver_slo_good_total[1h]))",
            " + sum by (app_id, slo) (rate(appserver_slo_good_total[1h]))",
        ),
        (
            "sum by (app_id, slo) (rate(appserver_slo_events_total[1h]))",
            "max by (app_id, slo) (rate(appserver_slo_events_total[1h]))",
        ),
        ("rate(appserver_slo_good_total[5m])", "rate(appserver_slo_good_total[1h])"),
        (
            "1 - sum by (app_id, slo) (increase(appserver_slo_good_total[28d]))",
            "sum by (app_id, slo) (increase(appserver_slo_good_total[28d]))",
        ),
        (
            "expr: 1 - appserver:slo_errors:ratio28d / on (app_id, slo)",
            "expr: 1 - appserver:slo_errors:ratio28d * on (app_id, slo)",
        ),
        (
            "appserver:slo_errors:ratio_rate1h / on (app_id, slo)",
            "appserver:slo_errors:ratio_rate1h * on (app_id, slo)",
        ),
    ];
    for (from, to) in recorded {
        assert!(slo.contains(from), "{from}");
        mutants.push(Mutant { what: to.to_owned(), file: "slo.rules.yml", text: slo.replace(from, to), alert: None });
    }
    mutants
}

/// Which of the mutants no test notices.
fn survivors(promtool: &Path, mutants: &[Mutant]) -> Vec<String> {
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let tests = folder().join("prometheus/tests");
    let about = |suite: &&str, mutant: &Mutant| {
        let text = fs::read_to_string(tests.join(format!("{suite}.test.yml"))).unwrap();
        mutant.alert.as_ref().map_or(suite.starts_with("slo"), |alert| text.contains(alert.as_str()))
    };
    let work = || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let spoilt = tempfile::tempdir().unwrap();
            copy(&folder().join("prometheus"), spoilt.path());
            fs::write(spoilt.path().join(mutant.file), &mutant.text).unwrap();
            let tests: PathBuf = spoilt.path().join("tests");
            let mut suites = SUITES.iter().filter(|suite| about(suite, mutant));
            if suites.all(|suite| promtool_accepts(promtool, &tests, suite).is_ok()) {
                survivors.lock().unwrap().push(mutant.what.clone());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    survivors.into_inner().unwrap()
}

#[test]
fn a_spoilt_rule_fails_its_tests() {
    let Some(promtool) = tool(&["promtool"]) else { return };
    // One of each alert here, the first; all of them, and those of what is recorded, with the slow suites.
    let mut quick = mutants();
    quick.retain(|mutant| mutant.alert.as_ref().is_some_and(|alert| !alert.starts_with("AppBudget")));
    quick.dedup_by(|one, before| one.alert == before.alert);
    assert!(quick.len() > 18, "{} mutants", quick.len());
    let survivors = survivors(&promtool, &quick);
    assert!(survivors.is_empty(), "no test notices: {survivors:#?}");
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: a minute or two of promtool"]
    fn a_spoilt_rule_of_promises_fails_its_tests() {
        let Some(promtool) = tool(&["promtool"]) else { return };
        let all = mutants();
        assert!(all.len() > 90, "{} mutants", all.len());
        let survivors = survivors(&promtool, &all);
        assert!(survivors.is_empty(), "no test notices: {survivors:#?}");
    }
}
