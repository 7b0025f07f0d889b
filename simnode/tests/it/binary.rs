//! The program `simnode`: its arguments, the URL that it prints, and that a signal ends it.

use crate::support::{client, send};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// A running program that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simnode"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn it_serves_with_the_key_faults_and_plugins_that_it_is_given_and_ends_at_a_signal() {
    let mut faults = tempfile::NamedTempFile::new().unwrap();
    write!(faults, r#"{{"rules":[{{"fault":{{"kind":"empty_error"}},"when":{{"endpoint":"/servertime"}}}}]}}"#)
        .unwrap();
    let mut plugins = tempfile::NamedTempFile::new().unwrap();
    write!(plugins, r#"{{"rhino":"8.20.1.2","grasshopper":{{"Only":"1.0"}}}}"#).unwrap();
    let mut command = program();
    command.args([
        "--port",
        "0",
        "--control-port",
        "0",
        "--profile",
        "0.16",
        "--children",
        "2",
        "--key-env",
        "NODE_KEY",
    ]);
    command.arg("--faults").arg(faults.path()).arg("--plugins").arg(plugins.path()).env("NODE_KEY", "secret");
    let mut running = Program(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let url = lines.next().unwrap().unwrap();
    let control = lines.next().unwrap().unwrap().replace("control ", "");
    let get = async |path: &str| {
        send(client().get(format!("{url}{path}")).header("RhinoComputeKey", "secret")).await.unwrap()
    };
    assert_eq!(send(client().get(format!("{url}/healthcheck"))).await.unwrap().status, 401);
    assert_eq!(get("/healthcheck").await.text, "Healthy");
    assert_eq!(get("/version").await.json()["rhino"], "8.20.1.2");
    assert_eq!(get("/plugins/gh/installed").await.text, r#"{"Only":"1.0"}"#);
    assert_eq!(get("/servertime").await.status, 500);
    assert_eq!(get("/activechildren").await.text, "2");
    assert!(send(client().get(format!("{control}/state"))).await.unwrap().text.contains("\"awake_children\": 2"));
    if cfg!(unix) {
        let id = running.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(running.0.wait().unwrap().success(), "a signal is an orderly end");
    }
}

#[test]
fn what_it_cannot_use_it_names() {
    let cases = [
        (["--profile", "0.15"], "0.15"),
        (["--faults", "/nowhere.json"], "/nowhere.json"),
        (["--key-env", "NO_SUCH_NAME"], "NO_SUCH_NAME"),
    ];
    for (arguments, named) in cases {
        let output = program().args(["--port", "0"]).args(arguments).output().unwrap();
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains(named), "{output:?}");
    }
}
