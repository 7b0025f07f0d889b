//! The clients that `appserver client` writes, run by their own languages against the gateway.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::clients::installed;
use super::keyed;
use crate::support::{KEY, TestGateway, repository};

/// The file that the command writes.
fn written(language: &str, app: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appserver"));
    let output = command
        .current_dir(repository())
        .args(["client", language, "--app", app, "--registry", "registry"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program to its end, and gives what it printed.
async fn ran(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// What every driver prints: the floor area of a good solve, the code and pointer of a bad one, the stalls of a lot.
fn expect(printed: &str) {
    let found: Value = serde_json::from_str(printed.trim()).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(
        found,
        json!({ "gfa": 1728.0, "code": "invalid_inputs", "pointer": "/site_width", "rows": 4.0 }),
        "{printed}"
    );
}

fn files(folder: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn the_python_client_runs() {
    let Some(python) = installed("APPSERVER_TEST_PYTHON") else { return };
    let gateway = keyed().await;
    let folder = tempfile::tempdir().unwrap();
    let driver = r#"
import json, sys
import parking, sitefit
options = {"base": sys.argv[1], "key": sys.argv[2]}
good = sitefit.solve({"site_width": 30, "site_depth": 40}, **options)
try:
    sitefit.solve({"site_width": 1, "site_depth": 40}, **options)
except sitefit.Problem as problem:
    code, pointer = problem.code, problem.violations[0]["pointer"]
lot = parking.solve({"lot_length": 60, "lot_width": 34, "level_elevations": [0]}, lane="preview", **options)
print(json.dumps({"gfa": good.outputs["gfa"], "code": code, "pointer": pointer, "rows": float(len(lot.outputs["stall_rows"]))}))
"#;
    files(
        folder.path(),
        &[
            ("sitefit.py", written("python", "sitefit:1.0.0")),
            ("parking.py", written("python", "parking")),
            ("driver.py", driver.to_owned()),
        ],
    );
    let mut command = Command::new(python);
    command.arg(folder.path().join("driver.py")).args([&gateway.base, KEY]).env("NO_PROXY", "127.0.0.1");
    expect(&ran(command).await);
    gateway.stop().await;
}

#[tokio::test]
async fn the_typescript_client_compiles_strictly_and_runs() {
    let Some(modules) = installed("APPSERVER_TEST_NODE_MODULES") else { return };
    let gateway = keyed().await;
    let folder = tempfile::tempdir().unwrap();
    let driver = r"
import * as parking from './parking'
import { Problem, solve, type Inputs } from './sitefit'
declare const process: { argv: string[] }
async function main() {
  const options = { base: process.argv[2]!, key: process.argv[3]! }
  const inputs: Inputs = { site_width: 30, site_depth: 40 }
  // @ts-expect-error: a width is no text
  const wrong: Inputs = { site_width: 'wide', site_depth: 40 }
  void wrong
  const good = await solve(inputs, options)
  const problem = await solve({ ...inputs, site_width: 1 }, options).catch(error => error)
  if (!(problem instanceof Problem)) throw new Error('no problem')
  const lot = await parking.solve({ lot_length: 60, lot_width: 34, level_elevations: [0] }, { ...options, lane: 'preview' })
  const rows = Object.keys(lot.outputs.stall_rows).length
  console.log(JSON.stringify({ gfa: good.outputs.gfa, code: problem.code, pointer: problem.violations[0]!.pointer, rows }))
}
main()
";
    files(
        folder.path(),
        &[
            ("sitefit.ts", written("ts", "sitefit:1.0.0")),
            ("parking.ts", written("ts", "parking")),
            ("driver.ts", driver.to_owned()),
        ],
    );
    let mut compile = Command::new("node");
    compile.arg(format!("{modules}/typescript/bin/tsc")).current_dir(folder.path());
    compile.args([
        "--strict",
        "--target",
        "es2022",
        "--module",
        "commonjs",
        "--lib",
        "es2022,dom",
        "--skipLibCheck",
        "driver.ts",
    ]);
    ran(compile).await;
    let mut command = Command::new("node");
    command.arg(folder.path().join("driver.js")).args([&gateway.base, KEY]);
    let printed = ran(command).await;
    let mut found: Value = serde_json::from_str(&printed).unwrap();
    // JavaScript spells a whole number without a point.
    for name in ["gfa", "rows"] {
        found[name] = json!(found[name].as_f64());
    }
    expect(&found.to_string());
    gateway.stop().await;
}

#[tokio::test]
async fn the_rust_client_compiles_without_a_warning_and_runs() {
    let gateway = keyed().await;
    let folder = tempfile::tempdir().unwrap();
    let driver = r#"
mod parking;
mod sitefit;
use std::time::Duration;
fn main() {
    let mut args = std::env::args().skip(1);
    let (host, key) = (args.next().unwrap(), args.next().unwrap());
    let (key, wait) = (Some(key.as_str()), Duration::from_secs(60));
    let mut inputs = sitefit::Inputs::new(30.0, 40.0);
    inputs.project_name = Some("Ä \"quoted\" \u{1f3e0}".to_owned());
    let good = sitefit::solve(&inputs, &host, key, wait).unwrap();
    assert!(good.outputs.label.starts_with("Ä \"quoted\" \u{1f3e0}: "), "{}", good.outputs.label);
    assert_eq!(good.outputs.footprint.x, [0.0, 24.0]);
    let problem = sitefit::solve(&sitefit::Inputs::new(1.0, 40.0), &host, key, wait).unwrap_err();
    let Some(sitefit::Json::List(violations)) = problem.body.get("violations") else { panic!("{problem}") };
    let pointer = violations[0].get("pointer").unwrap();
    let lot = parking::solve(&parking::Inputs::new(60.0, 34.0), &host, key, wait).unwrap();
    let rows = lot.outputs.stall_rows.len() as f64;
    println!("{{\"gfa\":{:?},\"code\":\"{}\",\"pointer\":{pointer},\"rows\":{rows:?}}}", good.outputs.gfa, problem.code);
}
"#;
    files(
        folder.path(),
        &[
            ("sitefit.rs", written("rust", "sitefit:1.0.0")),
            ("parking.rs", written("rust", "parking")),
            ("main.rs", driver.to_owned()),
        ],
    );
    let mut compile = Command::new("rustc");
    compile.args(["--edition", "2024", "-D", "warnings", "main.rs", "-o", "driver"]).current_dir(folder.path());
    ran(compile).await;
    let mut command = Command::new(folder.path().join("driver"));
    command.args([gateway.base.trim_start_matches("http://"), KEY]);
    expect(&ran(command).await);
    gateway.stop().await;
}

#[tokio::test]
async fn the_curl_script_runs_and_names_every_input() {
    let gateway: TestGateway = keyed().await;
    let folder = tempfile::tempdir().unwrap();
    let script = written("curl", "sitefit:1.0.0");
    assert!(script.contains("site_width (number, item, required)") && script.contains("In m. 10 to 200."), "{script}");
    files(folder.path(), &[("call.sh", script)]);
    let mut command = Command::new("sh");
    command.arg(folder.path().join("call.sh")).env("BASE", &gateway.base).env("KEY", KEY).env("NO_PROXY", "127.0.0.1");
    let answer: Value = serde_json::from_str(&ran(command).await).unwrap();
    assert_eq!(answer["outputs"]["gfa"], json!(1728.0), "{answer}");
    gateway.stop().await;
}
