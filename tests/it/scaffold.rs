//! From a Grasshopper file to an app, by the command as a person runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use contract::Contract;
use serde_json::Value;

use crate::support::{Setup, TestGateway, repository};

/// Runs `appserver` in a folder of its own.
pub(crate) fn appserver(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_appserver"))
        .current_dir(folder)
        .args(args)
        .env_remove("APPSERVER_ADMIN_URL")
        .env_remove("APPSERVER_CONFIG")
        .env("USER", "tester")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn sample(version: &str, file: &str) -> String {
    repository().join("registry/contracts").join(version).join(file).display().to_string()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What is written by hand about the samples, held against what the file alone tells.
#[test]
fn every_sample_definition_becomes_an_app_that_says_what_its_author_said() {
    let folder = tempfile::tempdir().unwrap();
    for (version, file) in [
        ("sitefit/1.1.0", "sitefit.ghx"),
        ("parking/1.0.0", "parking.gh"),
        ("yieldcheck/1.0.0", "yieldcheck.ghx"),
        ("daylight/0.1.0", "daylight.ghx"),
    ] {
        let app = version.split('/').next().unwrap();
        let (code, out, talk) =
            appserver(folder.path(), &["new-app", app, "--from", &sample(version, file), "--units", "Meters"]);
        assert_eq!(code, 0, "{app}: {out}{talk}");
        let made = folder.path().join("registry/contracts").join(app).join("0.1.0");
        let ours = Contract::load(&made).unwrap_or_else(|faults| panic!("{app}: {faults:?}"));
        let theirs = Contract::load(&repository().join("registry/contracts").join(version)).unwrap();
        assert_eq!(ours.definition_digest, theirs.definition_digest, "{app}: byte for byte");
        // The file has the assembly's version, which may spell one more part.
        let plugins =
            |contract: &Contract| contract.plugins.plugins.iter().map(|plugin| plugin.name.clone()).collect::<Vec<_>>();
        assert_eq!((&ours.plugins.rhino, plugins(&ours)), (&theirs.plugins.rhino, plugins(&theirs)), "{app}");
        for (a, b) in
            [(&ours.bindings.inputs, &theirs.bindings.inputs), (&ours.bindings.outputs, &theirs.bindings.outputs)]
        {
            for theirs in b {
                let ours =
                    a.iter().find(|ours| ours.gh == theirs.gh).unwrap_or_else(|| panic!("{app}: no {}", theirs.gh));
                assert_eq!(ours.name, theirs.name, "{app}");
                // Whether a number counts is the author's to say, and what a plug-in gives only a node knows.
                let numeric =
                    [ours.kind.word(), theirs.kind.word()].iter().all(|word| ["number", "integer"].contains(word));
                assert!(ours.kind == theirs.kind || numeric || app == "daylight", "{app} {ours:?} {theirs:?}");
            }
        }
        assert!(!ours.examples.valid.is_empty() && ours.examples.invalid.len() >= 4, "{app}");
    }
}

/// What it writes passes; what only a person can say is told as that, each at its place.
#[test]
fn what_is_written_passes_check_and_names_what_a_person_has_to_decide() {
    let folder = tempfile::tempdir().unwrap();
    let daylight = sample("daylight/0.1.0", "daylight.ghx");
    assert_eq!(appserver(folder.path(), &["new-app", "rooms", "--from", &daylight]).0, 0);
    let (code, text, talk) =
        appserver(folder.path(), &["check", "rooms", "--registry", "registry", "--json", "--deny-warnings"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 0, "{report:#} {talk}");
    let findings = report["findings"].as_array().unwrap();
    let made = folder.path().join("registry/contracts/rooms/0.1.0");
    let open = findings.iter().filter(|finding| finding["rule"] == "todo_open");
    assert!(open.clone().count() > 2 && open.clone().count() == findings.len(), "{report:#}");
    for finding in open {
        assert_eq!(finding["severity"], "note");
        let file = finding["file"].as_str().unwrap().strip_prefix("registry/contracts/rooms/0.1.0/").unwrap();
        let message = json(&made.join(file)).pointer(finding["pointer"].as_str().unwrap()).unwrap().clone();
        assert_eq!(finding["message"], format!("left open: {}", message.as_str().unwrap()), "{finding}");
        assert!(finding["line"].as_u64().unwrap() > 1, "{finding}");
    }
}

#[test]
fn without_a_bump_the_next_version_goes_as_far_as_what_changed_needs() {
    let registry = || {
        let folder = tempfile::tempdir().unwrap();
        crate::support::copy(&repository().join("registry"), &folder.path().join("registry"));
        // Only the first version is there.
        fs::remove_dir_all(folder.path().join("registry/contracts/sitefit/1.1.0")).unwrap();
        folder
    };
    let cases = [
        // Definition, version, step, a reason.
        (None, "1.0.1", Value::Null, None),
        (Some(sample("sitefit/1.1.0", "sitefit.ghx")), "1.1.0", "minor".into(), Some("input_added")),
        (Some(sample("yieldcheck/1.0.0", "yieldcheck.ghx")), "2.0.0", "major".into(), Some("input_removed")),
    ];
    for (definition, version, needed, reason) in cases {
        let words: Vec<&str> = ["new-version", "sitefit"]
            .into_iter()
            .chain(definition.iter().flat_map(|path| ["--from", path.as_str()]))
            .collect();
        let folder = registry();
        let (code, text, talk) = appserver(folder.path(), &[&words[..], &["--json"]].concat());
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{talk}"));
        // The goldens of another definition are still the old one's, which is told as a fault.
        let ends = if definition.is_some() { 100 } else { 0 };
        assert_eq!((code, &told["version"], &told["needed"]), (ends, &version.into(), &needed), "{told:#}");
        let reasons: Vec<&str> =
            told["reasons"].as_array().unwrap().iter().map(|reason| reason["rule"].as_str().unwrap()).collect();
        assert!(reason.is_none_or(|reason| reasons.contains(&reason)), "{told:#}");
        let folder = registry();
        let (_, out, _) = appserver(folder.path(), &words);
        let why = if needed.is_null() {
            "callers see no change".to_owned()
        } else {
            format!("a {} one:", needed.as_str().unwrap())
        };
        assert!(out.contains(&why) && reason.is_none_or(|reason| out.contains(&format!("    {reason}: "))), "{out}");
    }
}

#[test]
fn limits_defaults_groups_and_prompts_come_from_the_canvas() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, talk) =
        appserver(folder.path(), &["new-app", "rooms", "--from", &sample("daylight/0.1.0", "daylight.ghx")]);
    assert_eq!(code, 0, "{talk}");
    let made = folder.path().join("registry/contracts/rooms/0.1.0");
    let schema = json(&made.join("inputs.schema.json"));
    let width = &schema["properties"]["room_width"];
    assert_eq!((&width["minimum"], &width["maximum"], &width["default"]), (&2.into(), &30.into(), &4.into()));
    assert_eq!((&width["x-group"], &width["x-widget"]), (&"Room".into(), &"slider".into()));
    assert_eq!(width["description"], "Along the window, in metres");
    assert!(width["$comment"].as_str().unwrap().contains("Number Slider"), "{width}");
    let plugins = json(&made.join("plugins.json"));
    assert_eq!(plugins["plugins"][0]["name"], "LadybugX");
    assert!(json(&made.join("manifest.json"))["x-todo"][0].is_string());
    // No other app may take the name, nor the folder be written over.
    let before = fs::read(made.join("manifest.json")).unwrap();
    let (code, _, talk) = appserver(folder.path(), &["new-app", "rooms", "--blank"]);
    assert_eq!((code, fs::read(made.join("manifest.json")).unwrap()), (1, before));
    assert!(talk.contains("already"), "{talk}");
}

#[test]
fn what_compute_would_not_see_is_refused_with_what_to_group_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(sample("sitefit/1.0.0", "sitefit.ghx")).unwrap();
    // The marks gone, its sliders feed on and its results are nobody's.
    let text = text
        .replace("RH_OUT:", "result ")
        .replace("RH_IN:", "")
        .replace("ae2531b4-bab2-4bb1-b5bf-f2143d10c132", "ae2531b4-bab2-4bb1-b5bf-f2143d10c133")
        .replace("73215ec5-0eb5-4f85-9e07-b09c4590ce2b", "73215ec5-0eb5-4f85-9e07-b09c4590ce2c");
    fs::write(folder.path().join("lost.ghx"), text).unwrap();
    let (code, _, talk) = appserver(folder.path(), &["new-app", "lost", "--from", "lost.ghx"]);
    assert_eq!(code, 100, "{talk}");
    assert!(talk.contains("RH_OUT:name") && talk.contains("nothing was written"), "{talk}");
    assert!(!folder.path().join("registry").exists());
    let (code, text, _) = appserver(folder.path(), &["new-app", "lost", "--from", "lost.ghx", "--json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &told["refused"][0]["code"]), (100, &"no_outputs".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_app_and_its_next_versions_are_served() {
    let mut gateway = TestGateway::with(Setup {
        nodes: vec![simnode::Config::default()],
        config: Some(|config| (config.registry.settle_ms, config.registry.poll_sec) = (200, 1)),
        ..Setup::default()
    })
    .await;
    // The command that makes an app solves on the node itself.
    gateway.alone = false;
    let root = gateway.root();
    let root = root.to_str().unwrap();
    let node = gateway.nodes[0].url();
    let run = |args: &[&str]| appserver(Path::new(root), args);
    let (code, out, talk) = run(&["new-app", "shed", "--blank", "--registry", root, "--from-url", &node]);
    assert_eq!(code, 0, "{out}{talk}");
    let ready = |version: &'static str| {
        move |health: &appserver::admin::Health| {
            let text = health.table();
            text.lines().any(|line| line.starts_with("shed") && line.contains(version) && line.contains("ready"))
        }
    };
    gateway.until(ready("0.1.0")).await;
    let answer = gateway.solve("shed:0.1.0", &serde_json::json!({ "inputs": { "width": 5 } })).await;
    assert_eq!(answer.json()["outputs"]["area"], 15.0, "{}", answer.text);

    let (code, out, _) = run(&["new-version", "shed", "--bump", "minor", "--registry", root]);
    assert_eq!(code, 0, "{out}");
    gateway.until(ready("0.2.0")).await;
    // Another definition: what it takes and gives is bound anew, and what is gone goes.
    let other = sample("yieldcheck/1.0.0", "yieldcheck.ghx");
    let (code, out, talk) = run(&["new-version", "shed", "--bump", "major", "--from", &other, "--registry", root]);
    assert_eq!(code, 0, "{out}{talk}");
    assert!(out.contains("width taken away") && out.contains("gfa added"), "{out}");
    gateway.until(ready("1.0.0")).await;
    assert_eq!(run(&["new-version", "nosuch", "--bump", "patch", "--registry", root]).0, 4);
    gateway.stop().await;
}

#[test]
fn a_folder_of_definitions_is_adopted_and_the_rest_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::copy(sample("parking/1.0.0", "parking.gh"), files.join("ParkingLot.gh")).unwrap();
    fs::copy(sample("sitefit/1.0.0", "sitefit.ghx"), files.join("site fit.ghx")).unwrap();
    fs::write(files.join("torn.gh"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n").unwrap();
    fs::write(files.join("old.gh.bak"), "").unwrap();
    fs::write(files.join("notes.txt"), "").unwrap();
    let (code, out, talk) = appserver(folder.path(), &["import", "appserver", "files"]);
    assert_eq!(code, 100, "{out}{talk}");
    assert!(out.contains("4 files: 2 adopted, 2 refused"), "{out}");
    let mut apps: Vec<_> =
        fs::read_dir(folder.path().join("registry/contracts")).unwrap().map(|app| app.unwrap().file_name()).collect();
    apps.sort();
    assert_eq!(apps, ["parking-lot", "site-fit"]);
    // Again: what is there stays, and is told.
    let (code, text, _) = appserver(folder.path(), &["import", "appserver", "files", "--json"]);
    let rows: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len()), (100, 4));
    assert!(rows.as_array().unwrap().iter().all(|row| row["refused"].is_string()), "{text}");
}
