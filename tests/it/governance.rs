//! `breaking`, `diff` and `can-roll` as a person or a CI system runs them, on copies of the sample registry.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Setup, TestGateway, repository};

/// A copy of the sample registry, in which `1.1.1` of sitefit is `1.1.0` with edits.
struct Copy {
    root: TempDir,
}

impl Copy {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        copy(&repository().join("registry"), &root.path().join("registry"));
        Self { root }
    }

    fn registry(&self) -> PathBuf {
        self.root.path().join("registry")
    }

    fn sitefit(&self, version: &str) -> PathBuf {
        self.registry().join("contracts/sitefit").join(version)
    }

    /// Makes a version of another.
    fn add(&self, from: &str, to: &str, edits: &[(&str, &str, &str)]) {
        copy(&self.sitefit(from), &self.sitefit(to));
        let version = (format!(r#""version": "{from}""#), format!(r#""version": "{to}""#));
        edit(&self.sitefit(to).join("manifest.json"), &version.0, &version.1);
        for (file, from, new) in edits {
            edit(&self.sitefit(to).join(file), from, new);
        }
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
        command.current_dir(self.root.path()).args(args).stdin(Stdio::null());
        for name in ["APPSERVER_CONFIG", "APPSERVER_URL", "APPSERVER_REGISTRY_ROOT"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, args: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.run(&[args, &["--json"]].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}")))
    }

    fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        command.current_dir(self.root.path()).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        let output = command.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn rules(report: &Value, severity: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let found = findings.filter(|finding| finding["severity"] == severity);
    found.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

const NARROWED: &[(&str, &str, &str)] = &[("inputs.schema.json", r#""maximum": 200"#, r#""maximum": 150"#)];

#[test]
fn a_step_that_says_too_little_is_an_error_with_a_value_that_shows_it() {
    let copy = Copy::new();
    copy.add("1.1.0", "1.1.1", NARROWED);
    let (code, report) = copy.json(&["breaking", "sitefit:1.1.1", "--against", "1.1.0"]);
    assert_eq!(code, 100, "{report:#}");
    assert_eq!(rules(&report, "error"), ["input_range_narrowed", "bump_too_small"]);
    let finding = &report["findings"][0];
    assert_eq!(finding["data"]["needs"], "major");
    let witness = finding["data"]["witness"].as_f64().unwrap();
    assert!(witness > 150.0 && witness <= 200.0, "{witness}");
    assert_eq!(finding["pointer"], "/properties/site_width/maximum");
    assert!(finding["file"].as_str().unwrap().ends_with("1.1.1/inputs.schema.json"), "{finding}");
    assert!(finding["related"][0]["file"].as_str().unwrap().ends_with("1.1.0/inputs.schema.json"), "{finding}");
    assert_eq!(report["findings"][1]["data"]["least_version"], "2.0.0");

    copy.add("1.1.1", "2.0.0", &[]);
    let (code, report) = copy.json(&["breaking", "sitefit:2.0.0", "--against", "1.1.0"]);
    assert_eq!((code, rules(&report, "error").len()), (0, 0), "{report:#}");
}

#[test]
fn a_version_is_compared_with_the_one_before_an_alias_a_folder_and_a_commit() {
    let copy = Copy::new();
    for against in [None, Some("1.0.0"), Some("registry/contracts/sitefit/1.0.0")] {
        let against = against.map(|against| vec!["--against", against]).unwrap_or_default();
        let (code, report) = copy.json(&[&["breaking", "sitefit:1.1.0"][..], &against].concat());
        let mut notes = rules(&report, "note");
        notes.retain(|rule| ["input_added", "output_added"].contains(&rule.as_str()));
        assert_eq!((code, notes.len()), (0, 2), "{report:#}");
    }
    let (code, _) = copy.json(&["breaking", "sitefit:1.1.0", "--against", "alias:stable"]);
    assert_eq!(code, 0);

    copy.git(&["init", "-q", "-b", "main"]);
    copy.git(&["add", "."]);
    copy.git(&["commit", "-q", "-m", "all"]);
    // A published version that was changed in the work tree, and one that the commit does not have.
    edit(&copy.sitefit("1.1.0").join("manifest.json"), r#""timeout_sec": 30"#, r#""timeout_sec": 10"#);
    let (code, report) = copy.json(&["breaking", "sitefit:1.1.0", "--against", "git:main"]);
    let errors = rules(&report, "error");
    assert_eq!(code, 100, "{report:#}");
    assert!(["version_changed", "timeout_lowered"].iter().all(|rule| errors.iter().any(|found| found == rule)));
    copy.add("1.0.0", "1.0.1", &[]);
    let (code, report) = copy.json(&["breaking", "sitefit:1.0.1", "--against", "git:HEAD"]);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["subjects"][0]["name"].as_str().unwrap().contains("1.0.0 at git:HEAD"), "{report:#}");
}

#[test]
fn what_is_not_there_is_told_and_no_word_becomes_an_option_of_git() {
    let copy = Copy::new();
    copy.git(&["init", "-q", "-b", "main"]);
    for against in ["9.9.9", "alias:nope", "git:nope", "git:--output=made", "git:-h"] {
        let (code, _, err) = copy.run(&["breaking", "sitefit", "--against", against]);
        assert_eq!(code, 4, "{against}: {err}");
    }
    assert!(!copy.root.path().join("made").exists());
    let (code, _, err) = copy.run(&["breaking", "sitefti"]);
    assert_eq!(code, 4);
    assert!(err.contains("did you mean `sitefit`?"), "{err}");
    let (code, report) = copy.json(&["breaking", "daylight"]);
    assert_eq!((code, rules(&report, "error").len()), (0, 0));
    let (code, ..) = copy.run(&["breaking"]);
    assert_eq!(code, 2);
}

#[test]
fn every_form_of_a_report_names_the_rule() {
    let copy = Copy::new();
    copy.add("1.1.0", "1.1.1", NARROWED);
    for form in ["human", "plain", "json", "github", "sarif", "junit"] {
        let (code, out, _) = copy.run(&["breaking", "sitefit:1.1.1", "--format", form]);
        assert_eq!(code, 100, "{form}");
        assert!(out.contains("input_range_narrowed"), "{form}: {out}");
    }
}

#[test]
fn a_version_that_does_not_load_is_told_by_its_faults() {
    let copy = Copy::new();
    copy.add("1.1.0", "1.1.1", &[("bindings.json", r#""gh": "site_width""#, r#""gh": "site_widht""#)]);
    let (code, report) = copy.json(&["breaking", "sitefit:1.1.1"]);
    assert_eq!((code, rules(&report, "error")), (100, vec!["binding_unknown".to_owned()]));
    let (code, verdict) = copy.json(&["can-roll", "sitefit", "1.1.1"]);
    assert_eq!((code, &verdict["may"]), (1, &Value::Bool(false)));
    let (code, _, err) = copy.run(&["diff", "sitefit:1.1.0", "sitefit:1.1.1"]);
    assert!(code == 100 && err.contains("site_widht"), "{code} {err}");
}

#[test]
fn a_difference_is_told_in_meaning() {
    let copy = Copy::new();
    let (code, difference) = copy.json(&["diff", "sitefit:1.0.0", "sitefit:1.1.0"]);
    assert_eq!(code, 0);
    let added = difference["definition"]["added"].as_array().unwrap();
    assert!(added.iter().any(|spot| spot["nickname"] == "coverage_max"), "{added:#?}");
    assert!(!difference["definition"]["rewired"].as_array().unwrap().is_empty());
    assert_eq!(difference["contract"]["needed"], "minor");
    let (_, same) = copy.json(&["diff", "sitefit:1.1.0", "registry/contracts/sitefit/1.1.0"]);
    assert_eq!(same["equal"], true, "{same:#}");

    // The same file with another slider.
    let old = copy.sitefit("1.1.0").join("sitefit.ghx");
    let new = copy.root.path().join("moved.ghx");
    let text = std::fs::read_to_string(&old).unwrap();
    let at = text.find(r#"<item name="Max" "#).unwrap();
    let (from, to) = (at + text[at..].find('>').unwrap() + 1, at + text[at..].find("</item>").unwrap());
    std::fs::write(&new, format!("{}77{}", &text[..from], &text[to..])).unwrap();
    let words = ["diff", old.to_str().unwrap(), new.to_str().unwrap()];
    let (_, difference) = copy.json(&words);
    let sliders = difference["definition"]["sliders"].as_array().unwrap();
    assert_eq!((sliders.len(), &sliders[0]["what"], &sliders[0]["is"]), (1, &"maximum".into(), &"77".into()));
    assert_eq!(difference["contract"], Value::Null);
    assert!(copy.run(&words).1.contains("maximum was"));
}

#[test]
fn an_alias_rolls_where_no_caller_breaks() {
    let copy = Copy::new();
    copy.add("1.1.0", "1.1.1", &[]);
    copy.add("1.1.0", "1.2.0", NARROWED);
    let (code, verdict) = copy.json(&["can-roll", "sitefit", "1.1.1"]);
    assert_eq!((code, &verdict["may"], &verdict["from"]), (0, &true.into(), &"1.1.0".into()), "{verdict:#}");
    assert!(verdict["checks"].as_array().unwrap().iter().any(|check| check["result"] == "unknown"), "{verdict:#}");
    let (code, out, _) = copy.run(&["can-roll", "sitefit", "1.2.0", "--alias", "stable"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("No: sitefit stable must not move from 1.1.0 to 1.2.0"), "{out}");
    assert!(out.contains("input_range_narrowed") && out.contains("no recorded inputs were given"), "{out}");
    assert_eq!(copy.run(&["can-roll", "sitefit", "7.0.0"]).0, 4);
    assert_eq!(copy.run(&["can-roll", "sitefit", "1.1.1", "--url", "http://127.0.0.1:9"]).0, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_tells_where_the_alias_leads_who_attests_and_whether_it_serves_the_same() {
    let gateway = TestGateway::with(Setup { nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    let copy = Copy::new();
    copy.add("1.1.0", "1.1.1", &[]);
    let (url, copy) = (gateway.base.clone(), std::sync::Arc::new(copy));
    let roll = |app: &'static str, version: &'static str| {
        let (url, copy) = (url.clone(), std::sync::Arc::clone(&copy));
        tokio::task::spawn_blocking(move || copy.json(&["can-roll", app, version, "--alias", "stable", "--url", &url]))
    };
    let nodes = |verdict: &Value| {
        let checks = verdict["checks"].as_array().unwrap().iter();
        let check = checks.clone().find(|check| check["name"] == "nodes").unwrap();
        (check["result"].as_str().unwrap().to_owned(), check["detail"].as_str().unwrap().to_owned())
    };
    let (code, verdict) = roll("sitefit", "1.1.0").await.unwrap();
    assert_eq!((code, &verdict["from"]), (0, &"1.1.0".into()), "{verdict:#}");
    assert_eq!(nodes(&verdict), ("pass".to_owned(), "1 of 1 nodes attest it".to_owned()));
    // What was made here and not published yet.
    let (code, verdict) = roll("sitefit", "1.1.1").await.unwrap();
    assert_eq!((code, nodes(&verdict).0.as_str()), (1, "fail"), "{verdict:#}");
    assert!(nodes(&verdict).1.contains("the gateway has no sitefit:1.1.1"), "{verdict:#}");
    // A plug-in that no node has.
    let (code, verdict) = roll("daylight", "0.1.0").await.unwrap();
    assert_eq!((code, nodes(&verdict)), (1, ("fail".to_owned(), "0 of 1 nodes attest it; it is not ready".to_owned())));
    // The same number, other content.
    edit(&copy.sitefit("1.1.0").join("manifest.json"), r#""timeout_sec": 30"#, r#""timeout_sec": 31"#);
    let (code, verdict) = roll("sitefit", "1.1.0").await.unwrap();
    assert_eq!((code, nodes(&verdict).0.as_str()), (1, "fail"), "{verdict:#}");
    assert!(nodes(&verdict).1.contains("other content"), "{verdict:#}");
    gateway.stop().await;
}
