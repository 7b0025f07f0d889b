//! What ships the product, as far as text can be judged: shims against the variables of their modules, and that nothing outside an app's own
//! folders names an app. Terraform's own checks are in tests/infra/check, which `./test` runs.

mod composed;
pub(crate) mod shim;

use std::fs;
use std::path::PathBuf;

use self::shim::{Unit, apps, unit, unit_of};
use crate::support::repository;

#[test]
fn every_unit_gives_its_module_what_it_wants() {
    let live = repository().join("infra/live/dev");
    let mut units: Vec<PathBuf> = ["core", "rhino-nodes", "appserver"].map(|name| live.join(name)).into();
    units.extend(apps(&live));
    assert!(units.len() >= 5, "two apps at least: {units:#?}");
    for folder in units {
        let unit = unit(&folder);
        assert_eq!(unit.faults(), [] as [String; 0], "{}", folder.display());
    }
}

#[test]
fn an_apps_shim_is_what_new_app_writes_and_names_its_folder() {
    let template = fs::read_to_string(repository().join("src/governance/deploy/terragrunt.hcl")).unwrap();
    for folder in apps(&repository().join("infra/live/dev")) {
        let app_id = folder.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(fs::read_to_string(folder.join("terragrunt.hcl")).unwrap(), template.replace("APP_ID", &app_id));
        assert_eq!(unit(&folder).inputs["app_id"], hcl::Value::from(app_id));
    }
}

#[test]
fn a_shim_that_is_wrong_is_told_what_is_wrong_with_it() {
    let folder = repository().join("infra/live/dev/apps/sitefit");
    let text = fs::read_to_string(folder.join("terragrunt.hcl")).unwrap();
    for (from, to, expected) in [
        ("jobs_at_once ", "jobs_at_one ", &["`jobs_at_one` is no variable of app-stack; `jobs_at_once` is"] as &[_]),
        ("  app_id          = \"sitefit\"\n", "", &["app-stack has no default for `app_id`, and nothing gives it"]),
        ("jobs_at_once    = 4", "jobs_at_once    = \"4\"", &["`jobs_at_once` is to be a number"]),
        ("{ min = 0, max = 5 }", "{ min = 0 }", &["`worker_replicas` is to have `max`"]),
        ("job_timeout_sec = 600", "job_timeout_sec = local.env.jwt", &["`job_timeout_sec` is to be a number"]),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(unit_of(&folder, &text.replace(from, to)).faults(), expected, "{to}");
    }
}

#[test]
fn what_a_unit_takes_of_another_is_told_by_it() {
    let live = repository().join("infra/live/dev");
    let mut units: Vec<PathBuf> = ["rhino-nodes", "appserver"].map(|name| live.join(name)).into();
    units.extend(apps(&live));
    let mut seen = 0;
    for Unit { dependencies, .. } in units.iter().map(|folder| unit(folder)) {
        for (name, (module, outputs)) in dependencies {
            let told = shim::outputs(&module);
            for output in outputs {
                assert!(told.contains(&output), "{name}: {} has no output `{output}`: {told:?}", module.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

/// What a second app must not have to change: rules, dashboards, modules, what all apps are told alike.
#[test]
fn nothing_that_watches_or_deploys_names_an_app() {
    let apps: Vec<String> = fs::read_dir(repository().join("registry/contracts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut files = Vec::new();
    for folder in ["infra/modules", "infra/monitoring", "infra/ci", "infra/policies"] {
        collect(&repository().join(folder), &mut files);
    }
    files.extend(["root.hcl", "app.hcl", "dev/env.hcl"].map(|name| repository().join("infra/live").join(name)));
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let words: Vec<&str> = text.split(|char: char| !char.is_alphanumeric()).collect();
        let named: Vec<_> = apps.iter().filter(|app| words.contains(&app.as_str())).collect();
        assert!(named.is_empty(), "{} names {named:?}", file.display());
    }
    assert!(files.len() > 15, "{files:#?}");
}

/// Files below, without those of tests, which have apps of their own.
fn collect(folder: &std::path::Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            collect(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// What is left out of the context cannot be built: each crate of the workspace is let in.
#[test]
fn an_image_is_built_of_every_crate() {
    let text = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let members = text.lines().find_map(|line| line.strip_prefix("members = [")).unwrap().trim_end_matches(']');
    let ignore = fs::read_to_string(repository().join(".dockerignore")).unwrap();
    let lets_in = |name: &str| ignore.lines().any(|line| line.strip_prefix('!') == Some(name));
    for member in members.split(", ").map(|member| member.trim_matches('"')).filter(|member| *member != ".") {
        assert!(lets_in(member), "{member}");
    }
    assert!(lets_in("src") && lets_in("Cargo.lock") && !lets_in(".git"));
}
