//! The rules of the house that a test can hold. Each names what breaks it and where.

use std::fs;
use std::path::{Path, PathBuf};

use appserver::telemetry::metrics;

/// Files that may be long, each with its reason.
const LONG: &[(&str, &str)] = &[];
const LINES_MAX: usize = 600;

/// Modules that only tests compile, outside a file named `tests`.
const TEST_SUPPORT: &[&str] = &["simnode/src/solve/draft.rs"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in [
        "src", "api", "contract", "identity", "jobs", "logs", "problem", "program", "simnode", "trace", "worker",
        "tests", "benches",
    ] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the walk found {} files only", files.len());
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// What stands before a file's tests: rules for the product do not bind them.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// Every Rust file without its tests.
pub(crate) fn product_sources() -> Vec<(String, String)> {
    sources().into_iter().map(|(name, text)| (name, product(&text).to_owned())).collect()
}

fn is_test(name: &str) -> bool {
    name.contains("tests/")
        || name.ends_with("tests.rs")
        || TEST_SUPPORT.contains(&name)
        || name.contains("/examples/")
        || name.contains("benches/")
}

/// Lines that break a rule, as `file:line: text`.
fn offenders(applies: impl Fn(&str) -> bool, breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let files = sources();
    let product = files.iter().filter(|(name, _)| applies(name)).flat_map(|(name, text)| {
        let lines = product(text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines
            .filter(|(_, line)| breaks(line))
            .map(move |(index, line)| format!("{name}:{}: {}", index + 1, line.trim()))
    });
    product.collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "without `//!` at the top: {silent:#?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    let allowed = |name: &str| LONG.iter().any(|(long, _)| *long == name);
    let long = sources().into_iter().filter(|(name, text)| text.lines().count() > LINES_MAX && !allowed(name));
    let long: Vec<_> = long.map(|(name, text)| format!("{name}: {} lines", text.lines().count())).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn imports_point_one_way() {
    // Who may not know whom.
    let absences: &[(&str, &[&str])] = &[
        ("contract/src/", &["simnode::", "appserver::", "tokio::", "hyper::", "reqwest::", "std::net::"]),
        ("jobs/src/", &["simnode::", "appserver::", "hyper::", "http::", "reqwest::"]),
        ("simnode/src/", &["appserver::"]),
        ("identity/src/", &["appserver::", "jobs::", "axum::"]),
        ("api/src/", &["appserver::", "worker::", "simnode::", "sqlx::"]),
        ("worker/src/", &["appserver::", "api::", "identity::", "simnode::", "sqlx::"]),
        ("src/rhino", &["crate::nodes", "crate::gateway", "crate::registry", "crate::app", "crate::admin"]),
        ("src/nodes", &["crate::gateway", "crate::registry", "crate::app", "crate::admin", "crate::cli"]),
        ("src/seats", &["crate::"]),
        ("src/registry", &["crate::gateway", "crate::nodes", "crate::rhino", "crate::app", "crate::admin", "http::"]),
        (
            "src/gateway",
            &["crate::faces", "crate::app", "crate::admin", "crate::cli", "crate::server", "crate::config"],
        ),
        (
            "src/faces",
            &["crate::app", "crate::admin", "crate::cli", "crate::server", "crate::config", "crate::nodes::solve"],
        ),
        ("src/admin", &["crate::app", "crate::cli"]),
        ("src/governance", &["crate::app", "crate::cli", "crate::gateway", "crate::server"]),
        ("src/explain", &["crate::"]),
    ];
    for (place, unknown) in absences {
        let found = offenders(
            |name| name.starts_with(place) && !is_test(name),
            // The target of a log line is a word for whoever reads it.
            |line| !line.trim_start().starts_with("target: \"") && unknown.iter().any(|word| mentions(line, word)),
        );
        assert!(found.is_empty(), "`{place}` must not know {unknown:?}: {found:#?}");
    }
}

/// Whether a line names a path, as a whole first segment.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
}

#[test]
fn only_rescue_writes_error_bodies() {
    let found = offenders(
        // Each process has one place that writes them, and the form is written down once; the OpenAPI document tells what type an
        // error's body has, and writes none.
        |name| {
            let writers = ["src/gateway/rescue.rs", "src/faces/openapi.rs", "api/src/error.rs", "problem/src/lib.rs"];
            !is_test(name) && !writers.contains(&name)
        },
        |line| line.contains("problem+json") || line.contains("problem::Problem"),
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_config_reads_the_environment() {
    let found = offenders(
        // The stand-in is a program of its own, with one variable to read; files of secrets are named by variables.
        |name| !is_test(name) && !["src/config/load.rs", "simnode/src/main.rs", "program/src/lib.rs"].contains(&name),
        |line| line.contains("env::var") || line.contains("env::vars"),
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_step_past_validate_sees_http() {
    let past = [
        "src/gateway/record",
        "src/gateway/cache",
        "src/gateway/deadline.rs",
        "src/gateway/seats.rs",
        "src/gateway/forward.rs",
    ];
    let applies = |name: &str| !is_test(name) && past.iter().any(|past| name.starts_with(past));
    let found = offenders(applies, |line| mentions(line, "http::") || line.contains("HeaderMap"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_request_reads_the_registry_once() {
    let found = offenders(
        |name| (name.starts_with("src/gateway/") || name.starts_with("src/faces")) && !is_test(name),
        |line| line.contains(".current()") && line.contains("registry"),
    );
    // Once in the path, and once in the faces, which pin for the path what they have read.
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn unwrap_stands_in_tests_only() {
    let found = offenders(|name| !is_test(name), |line| line.contains(".unwrap()"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_error_code_has_its_row_in_the_docs() {
    // The job API's own enum says the same of a code that both have.
    let tables =
        ["src/gateway/error.rs", "api/src/error.rs"].map(|file| fs::read_to_string(root().join(file)).unwrap());
    let table = tables.concat();
    let docs = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut codes = std::collections::BTreeMap::new();
    for call in table.split("say(").skip(1) {
        let words: Vec<&str> = call.splitn(5, ',').map(str::trim).collect();
        let [status, code, origin, retryable, title] = words[..] else { continue };
        let Some(code) = code.strip_prefix('"').and_then(|code| code.strip_suffix('"')) else { continue };
        let retry = if retryable == "true" { "yes" } else { "no" };
        let row = format!("| `{code}` | {status} | {origin} | {retry} |");
        assert!(docs.contains(&row), "docs/errors.md lacks the row that begins {row}");
        let title = title.split('"').nth(1).unwrap_or_default().to_owned();
        let known = codes.entry(code.to_owned()).or_insert_with(|| title.clone());
        assert_eq!(*known, title, "`{code}` has two titles");
    }
    let rows = docs.lines().filter(|line| line.starts_with("| `")).count();
    assert!(codes.len() > 20 && codes.len() == rows, "{} codes, {rows} rows", codes.len());
}

#[test]
fn every_metric_has_its_row_in_the_docs() {
    let docs = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows: Vec<_> = docs.lines().filter(|line| line.starts_with("| `appserver_")).collect();
    for metric in metrics::ALL {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let row = format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(" "), metric.help);
        assert!(rows.contains(&row.as_str()), "docs/metrics.md lacks the row\n{row}");
    }
    assert_eq!(rows.len(), metrics::ALL.len());
}

#[test]
fn only_one_table_names_metrics() {
    let found = offenders(
        |name| name.starts_with("src/") && !is_test(name) && name != "src/telemetry/metrics.rs",
        |line| line.contains("\"appserver_"),
    );
    assert!(found.is_empty(), "{found:#?}");
}
