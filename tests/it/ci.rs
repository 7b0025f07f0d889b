//! The CI templates, run step by step on a repository of contracts as the service would run them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{copy, repository};

/// One step of a workflow.
#[derive(Debug, Default)]
struct Step {
    name: String,
    uses: Option<String>,
    env: BTreeMap<String, String>,
    run: String,
}

fn template() -> String {
    fs::read_to_string(repository().join("infra/ci/github/contracts.yml")).unwrap()
}

/// The steps of the one job, read by their indentation: as much of YAML as the template uses.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut within = "";
    for line in text.lines().skip_while(|line| line.trim() != "steps:").skip(1) {
        let (indent, word) = (line.len() - line.trim_start().len(), line.trim());
        let (word, first) = match word.strip_prefix("- ").filter(|_| indent == 6) {
            Some(rest) => (rest, true),
            None => (word, false),
        };
        if first {
            steps.push(Step::default());
            within = "";
        }
        let Some(step) = steps.last_mut() else { continue };
        if within == "run" && (indent >= 10 || word.is_empty()) && !first {
            step.run.push_str(line.get(10..).unwrap_or_default());
            step.run.push('\n');
        } else if first || indent == 8 {
            let (key, value) = word.split_once(':').unwrap_or((word, ""));
            within = "";
            match (key, value.trim()) {
                ("name", name) => name.clone_into(&mut step.name),
                ("uses", action) => step.uses = Some(action.to_owned()),
                ("env", "") => within = "env",
                ("run", "|") => within = "run",
                ("run", line) => step.run = format!("{line}\n"),
                _ => {}
            }
        } else if within == "env" && indent == 10 {
            let (name, value) = word.split_once(": ").unwrap();
            step.env.insert(name.to_owned(), value.to_owned());
        }
    }
    steps
}

/// A repository with the samples on its target branch, and a place for what a runner keeps.
struct Sample {
    root: tempfile::TempDir,
    base: String,
    /// What steps added to the path, each with its colon.
    path: String,
}

impl Sample {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        copy(&repository().join("registry"), &root.path().join("work"));
        fs::create_dir(root.path().join("temp")).unwrap();
        let mut sample = Self { root, base: String::new(), path: String::new() };
        sample.git(&["init", "--quiet", "--initial-branch", "main"]);
        sample.commit();
        sample.base = sample.git(&["rev-parse", "HEAD"]).trim().to_owned();
        sample.archive();
        sample
    }

    /// The same with a change that publishes sitefit 1.1.1, which is 1.1.0 with edits.
    fn with_next_version(edits: &[(&str, &str, &str)]) -> Self {
        let sample = Self::new();
        let (from, to) = (sample.work().join("contracts/sitefit/1.1.0"), sample.work().join("contracts/sitefit/1.1.1"));
        copy(&from, &to);
        let number =
            ["manifest.json", "inputs.schema.json", "outputs.schema.json"].map(|name| (name, "1.1.0", "1.1.1"));
        for (name, old, new) in number.iter().chain(edits) {
            let text = fs::read_to_string(to.join(name)).unwrap();
            fs::write(to.join(name), text.replacen(old, new, 1)).unwrap();
        }
        sample.commit();
        sample
    }

    /// Runs the steps as a runner does, in order, until one fails: its name, and what it printed.
    fn first_that_fails(&mut self) -> Option<(String, String)> {
        let steps = steps(&template());
        steps.iter().filter(|step| !step.run.is_empty()).find_map(|step| {
            let (code, out) = self.run(step);
            (code != 0).then(|| (step.name.clone(), out))
        })
    }

    fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").current_dir(self.work()).args(identity).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
    }

    /// The programs as a release has them: links, so that no binary is copied; tar follows them.
    fn archive(&self) {
        let programs = self.root.path().join("programs");
        fs::create_dir(&programs).unwrap();
        let appserver = Path::new(env!("CARGO_BIN_EXE_appserver"));
        std::os::unix::fs::symlink(appserver, programs.join("appserver")).unwrap();
        let simnode = appserver.with_file_name("simnode");
        assert!(simnode.exists(), "the template runs the stand-in: `cargo build --bin simnode` makes it");
        std::os::unix::fs::symlink(simnode, programs.join("simnode")).unwrap();
        let archive = self.root.path().join("release.tar.gz");
        // What matters is that the step unpacks it; a fast compression does.
        let status = Command::new("sh")
            .args(["-c", "tar --create --dereference --directory \"$1\" . | gzip -1 > \"$2\"", "sh"])
            .args([&programs, &archive])
            .status();
        assert!(status.unwrap().success());
    }

    fn digest(&self) -> String {
        let digest = contract::Digest::of(fs::read(self.root.path().join("release.tar.gz")).unwrap()).to_string();
        digest.trim_start_matches("sha256:").to_owned()
    }

    /// What stands in `${{ … }}`.
    fn expression(&self, text: &str) -> String {
        let Some(inner) = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")) else {
            return text.to_owned();
        };
        match inner.trim() {
            "vars.APPSERVER_URL" => format!("file://{}/release.tar.gz", self.root.path().display()),
            "vars.APPSERVER_SHA256" => self.digest(),
            other => panic!("the runner of this test knows no `{other}`"),
        }
    }

    /// Runs a step as a runner does. Its exit code, and all that it printed.
    fn run(&mut self, step: &Step) -> (i32, String) {
        assert!(
            !step.run.contains("${{"),
            "{}: an expression in a script lets a pull request run what it likes",
            step.name
        );
        let paths = self.root.path().join("paths");
        fs::write(&paths, "").unwrap();
        let temp = self.root.path().join("temp");
        let script = temp.join("step.sh");
        // What earlier steps added stands before the rest.
        fs::write(&script, format!("export PATH=\"$ADDED$PATH\"\n{}", step.run)).unwrap();
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(&script)
            .current_dir(self.work())
            .envs(step.env.iter().map(|(name, value)| (name, self.expression(value))))
            .env("ADDED", &self.path)
            .env("BASE", &self.base)
            .env("RUNNER_TEMP", &temp)
            .env("GITHUB_PATH", &paths)
            .env("STAND_IN_PORT", free_port().to_string())
            .output()
            .unwrap();
        for path in fs::read_to_string(&paths).unwrap().lines() {
            self.path.insert_str(0, &format!("{path}:"));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn every_step_passes_for_a_new_version() {
    let mut sample = Sample::with_next_version(&[]);
    let steps = steps(&template());
    let scripts: Vec<&Step> = steps.iter().filter(|step| !step.run.is_empty()).collect();
    assert_eq!(scripts.len(), 6, "{steps:#?}");
    for step in scripts {
        let (code, out) = sample.run(step);
        assert_eq!(code, 0, "{}: {out}", step.name);
        if step.name.starts_with("Find") {
            assert_eq!(out, "changed: sitefit/1.1.1\n");
        }
    }
}

#[test]
fn a_published_version_that_changes_stops_the_run_at_its_file() {
    let mut sample = Sample::new();
    let file = sample.work().join("contracts/sitefit/1.0.0/manifest.json");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("\"timeout_sec\": ", "\"timeout_sec\": 1")).unwrap();
    sample.commit();
    let steps = steps(&template());
    let named = |name: &str| steps.iter().find(|step| step.name.starts_with(name)).unwrap();
    assert_eq!(sample.run(named("Find")).0, 0);
    let (code, out) = sample.run(named("Published"));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("::error file=contracts/sitefit/1.0.0/manifest.json::sitefit:1.0.0 is published"), "{out}");
}

#[test]
fn a_faulty_change_is_annotated_where_the_fault_stands() {
    let mut sample = Sample::with_next_version(&[("bindings.json", r#""gh": "site_width""#, r#""gh": "site_widht""#)]);
    let (step, out) = sample.first_that_fails().unwrap();
    assert_eq!(step, "Check", "{out}");
    let at = "::error file=contracts/sitefit/1.1.1/bindings.json,line=4,col=27,";
    assert!(out.contains(at) && out.contains("title=binding_unknown::"), "{out}");
}

#[test]
fn a_change_that_breaks_callers_is_annotated_where_it_does() {
    let mut sample = Sample::with_next_version(&[("inputs.schema.json", r#""maximum": 200"#, r#""maximum": 150"#)]);
    let (step, out) = sample.first_that_fails().unwrap();
    assert_eq!(step, "Tell what breaks callers", "{out}");
    for (file, rule) in [("inputs.schema.json", "input_range_narrowed"), ("manifest.json", "bump_too_small")] {
        let line = out.lines().find(|line| line.contains(&format!("title={rule}::")));
        let begin = format!("::error file=contracts/sitefit/1.1.1/{file},line=");
        assert!(line.is_some_and(|line| line.starts_with(&begin)), "{rule}: {out}");
    }
}

#[test]
fn a_release_with_another_digest_is_not_unpacked() {
    let mut sample = Sample::new();
    let install = steps(&template()).into_iter().find(|step| step.name == "Install").unwrap();
    let wrong = Step {
        env: [
            ("APPSERVER_SHA256".to_owned(), "0".repeat(64)),
            ("APPSERVER_URL".to_owned(), install.env["APPSERVER_URL"].clone()),
        ]
        .into(),
        ..install
    };
    assert_ne!(sample.run(&wrong).0, 0);
    assert!(!sample.root.path().join("temp/appserver").exists());
}

#[test]
fn actions_are_pinned_and_the_run_may_only_read() {
    let text = template();
    assert!(text.contains("\npermissions:\n  contents: read\n") && !text.contains("write"), "least permissions");
    assert!(!text.contains("pull_request_target") && !text.contains("secrets."), "nothing that a fork could use");
    for step in steps(&text) {
        let Some(action) = step.uses else { continue };
        let (_, pin) = action.split_once('@').unwrap();
        let commit = pin.split(' ').next().unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
    }
}
