//! `appserver check` as a person and as a CI system run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{copy, repository};

mod forms;
mod lints;
mod repairs;
mod seeds;
mod served;

/// A folder to work in, with a registry of its own.
pub(crate) struct Bench {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) talk: String,
}

// === impl Bench ===

impl Bench {
    /// The sample registry.
    pub(crate) fn samples() -> Self {
        let bench = Self::empty();
        copy(&repository().join("registry"), &bench.path("registry"));
        bench
    }

    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A sound version `bridge:<version>`, with the policy of its app.
    pub(crate) fn bridge(&self, version: &str) {
        let app = self.path("registry/contracts/bridge");
        copy(&repository().join("contract/tests/good/bridge/1.0.0"), &app.join(version));
        let policy = include_str!("../../registry/contracts/sitefit/policy.json");
        let policy = policy.replace("sitefit", "bridge").replace("{ \"stable\": \"1.1.0\" }", "{}");
        fs::write(app.join("policy.json"), policy).unwrap();
        self.edit(&format!("bridge/{version}/manifest.json"), "\"1.0.0\"", &format!("\"{version}\""));
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Replaces the first `old` in a file below contracts/; it must be there.
    pub(crate) fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.path("registry/contracts").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        fs::write(path, text.replacen(old, new, 1)).unwrap();
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path("registry/contracts").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path("registry/contracts").join(file)).unwrap()
    }

    /// Line and column of the first `needle` in a file below contracts/.
    pub(crate) fn find(&self, file: &str, needle: &str) -> (u64, u64) {
        let text = self.read(file);
        let at = text.find(needle).unwrap_or_else(|| panic!("{file} has no {needle}"));
        let line = text[..at].matches('\n').count() + 1;
        let column = text[..at].rsplit('\n').next().unwrap().chars().count() + 1;
        (line as u64, column as u64)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        for name in ["PORT", "RHINO_COMPUTE_URL", "RHINO_COMPUTE_KEY", "APPSERVER_CONFIG", "APPSERVER_URL", "NO_COLOR"]
        {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), talk: text(output.stderr) }
    }

    /// What `check --json` finds, and its exit code.
    pub(crate) fn check(&self, args: &[&str]) -> (i32, Vec<Value>) {
        let ran = self.run(&[&["check", "--json"], args].concat());
        let document: Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.talk));
        (ran.code, document["findings"].as_array().unwrap().clone())
    }
}

/// The findings of a rule, as `(file, line, column)`; files from the folder of contracts.
pub(crate) fn places<'f>(findings: &'f [Value], rule: &str) -> Vec<(&'f str, u64, u64)> {
    let of_rule = findings.iter().filter(|finding| finding["rule"] == rule);
    let place = |finding: &'f Value| {
        let file = finding["file"].as_str().unwrap();
        let file = file.strip_prefix("registry/contracts/").unwrap_or(file);
        (file, finding["line"].as_u64().unwrap(), finding["column"].as_u64().unwrap())
    };
    of_rule.map(place).collect()
}

#[test]
fn the_shipped_registry_has_nothing_to_mend() {
    let bench = Bench::samples();
    let (code, findings) = bench.check(&["--deny-warnings"]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
    let ran = bench.run(&["check"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.talk);
    assert!(ran.talk.contains("nothing found in"), "{}", ran.talk);
}

#[test]
fn a_target_is_a_path_or_a_name() {
    let bench = Bench::samples();
    let subjects = |args: &[&str]| {
        let ran = bench.run(&[&["check", "--json"], args].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.talk);
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        let names =
            document["subjects"].as_array().unwrap().iter().map(|subject| subject["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(subjects(&["registry/contracts/sitefit/1.0.0"]), ["sitefit:1.0.0"]);
    assert_eq!(subjects(&["sitefit:1.0.0"]), ["sitefit:1.0.0"]);
    assert_eq!(subjects(&["sitefit:stable"]), ["sitefit:1.1.0"]);
    assert_eq!(subjects(&["parking"]), ["parking", "parking:1.0.0"]);
    assert_eq!(subjects(&["registry/contracts/parking/"]), ["parking", "parking:1.0.0"]);
    assert!(subjects(&["registry/contracts"]).len() > 6);
    assert_eq!(subjects(&["registry"]), subjects(&[]));
    // A version that lies in no registry.
    copy(&repository().join("contract/tests/good/bridge/1.0.0"), &bench.path("bridge/1.0.0"));
    assert_eq!(subjects(&["bridge/1.0.0"]), ["bridge/1.0.0"]);

    for (word, near) in [("sitefti", "`sitefit`"), ("sitefit:1.0.1", "`1.0.0`"), ("sitefit:stabel", "`stable`")] {
        let ran = bench.run(&["check", word]);
        assert_eq!(ran.code, 4, "{}", ran.talk);
        assert!(ran.talk.contains(&format!("did you mean {near}?")), "{}", ran.talk);
    }
    fs::create_dir(bench.path("empty")).unwrap();
    assert_eq!(bench.run(&["check", "empty"]).code, 4);
    assert_eq!(bench.run(&["check", "--registry", "nowhere"]).code, 1);
    assert_eq!(bench.run(&["check", "--format", "nonsense"]).code, 2);
}

/// Figures on a busy machine mean nothing, so the bound is far above what it takes alone.
mod slow {
    use super::*;

    #[test]
    #[ignore = "writes 500 versions; takes a minute in a debug build"]
    fn five_hundred_versions_are_checked_in_one_run() {
        let bench = Bench::empty();
        for number in 0..500 {
            bench.bridge(&format!("1.{number}.0"));
        }
        fs::write(bench.path("registry/tenants.json"), r#"{"tenants":{}}"#).unwrap();
        let begin = std::time::Instant::now();
        let (code, findings) = bench.check(&[]);
        let taken = begin.elapsed();
        assert_eq!((code, findings.iter().filter(|finding| finding["severity"] == "error").count()), (0, 0));
        println!("500 versions in {taken:?}");
        assert!(taken.as_secs() < 60, "{taken:?}");
    }
}
