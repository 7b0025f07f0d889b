//! The real clients, installed from npm and `PyPI` and unchanged. `./test` installs them and says where; without them these tests
//! say that they were skipped, and fail where `CI` is set.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use appserver::nodes::node::State;
use appserver::rhino::answer::Answer;
use appserver::rhino::protocol::Prepared;
use serde_json::{Value, json};

use crate::support::{KEY, Setup, TestGateway, close, edit_policy, examples, repository};

/// What `./test` has installed, by the variable that tells; none, loudly, where it has not.
pub(super) fn installed(variable: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are told by `./test` what it has installed")]
    let found = std::env::var(variable).ok();
    let strict = std::env::var_os("CI").is_some();
    assert!(found.is_some() || !strict, "{variable} is not set, and CI must not pass without it");
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {variable} is not set; run ./test");
    }
    found
}

/// Runs a client over its calls, and gives what it was answered.
async fn drive(mut command: Command, base: &str, calls: Vec<Value>) -> Vec<Value> {
    let work = json!({ "base": base, "key": KEY, "calls": calls }).to_string();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(work.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The clients that are there, by name.
pub(super) fn clients() -> Vec<(&'static str, Command)> {
    let script = |name: &str| repository().join("tests/clients").join(name);
    let mut found = Vec::new();
    if let Some(modules) = installed("APPSERVER_TEST_NODE_MODULES") {
        let mut node = Command::new("node");
        node.arg(script("compute.js")).env("NODE_MODULES", modules);
        found.push(("compute-rhino3d of npm", node));
    }
    if let Some(python) = installed("APPSERVER_TEST_PYTHON") {
        let mut command = Command::new(python);
        command
            .arg(script("compute.py"))
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy");
        found.push(("compute_rhino3d of PyPI", command));
    }
    found
}

/// A call of the client with the inputs of an example, as the client's users write them.
fn call(gateway: &TestGateway, name: &str, inputs: &Value) -> Value {
    let contract = contract(gateway, name);
    let tree = |binding: &contract::bindings::Binding| {
        let value = inputs.get(&binding.name)?;
        let spelled = |value: &Value| match (value.as_array(), binding.kind) {
            (Some(xyz), contract::bindings::Type::Point) => json!({ "X": xyz[0], "Y": xyz[1], "Z": xyz[2] }),
            _ => value.clone(),
        };
        let items = match (binding.access, value.as_array()) {
            (contract::bindings::Access::List, Some(items)) => items.iter().map(spelled).collect(),
            _ => vec![spelled(value)],
        };
        Some(json!([binding.gh, [0], items]))
    };
    let trees: Vec<Value> = contract.bindings.inputs.iter().filter_map(tree).collect();
    json!({ "pointer": format!("{}/gh/{name}", gateway.base), "inputs": trees })
}

fn contract(gateway: &TestGateway, name: &str) -> std::sync::Arc<contract::Contract> {
    let snapshot = gateway.registry.current();
    let (definition, version) = name.split_once(':').unwrap();
    let release = snapshot.owner(definition).unwrap().resolve(definition, version, |_| true).unwrap();
    std::sync::Arc::clone(release.contract().unwrap())
}

#[tokio::test]
async fn the_clients_of_npm_and_pypi_get_the_goldens() {
    let gateway =
        TestGateway::with(Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() }).await;
    let samples = [("sitefit:1.0.0", "sitefit/1.0.0"), ("parking:1.0.0", "parking/1.0.0")];
    let (mut calls, mut goldens) = (Vec::new(), Vec::new());
    for (name, folder) in samples {
        for (example, text) in examples(&repository().join("registry/contracts").join(folder), "valid") {
            calls.push(call(&gateway, name, &text["inputs"]));
            goldens.push((name, example, text["outputs"].clone()));
        }
    }
    for (client, command) in clients() {
        let answers = drive(command, &gateway.base, calls.clone()).await;
        assert_eq!(answers.len(), goldens.len());
        for (answer, (name, example, golden)) in answers.iter().zip(&goldens) {
            let ports = Prepared::of(&contract(&gateway, name));
            let read =
                Answer::read(&answer["body"]).unwrap_or_else(|error| panic!("{client} {example}: {error}: {answer}"));
            let outputs = Value::Object(
                read.outputs(ports.outputs()).unwrap_or_else(|error| panic!("{client} {example}: {error}: {answer}")),
            );
            assert!(close(&outputs, golden, 1e-6), "{client} {name} {example}: {outputs}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_clients_report_a_definitions_error_and_a_429() {
    let slow_down = |root: &std::path::Path| {
        edit_policy(&root.join("contracts/parking"), |policy| {
            policy["rate_limits"] = json!({ "preview_rps": 0.01, "batch_jobs_per_min": 0.01 });
        });
    };
    let nodes = vec![simnode::Config::default()];
    let gateway = TestGateway::with(Setup { nodes, keys: true, edit: Some(slow_down), ..Setup::default() }).await;
    let text = "no solution: component \"Extrude\" (01234567-89ab-cdef-0123-456789abcdef)";
    gateway.nodes[0]
        .set_faults(simnode::Fault::OkWithErrors { errors: vec![text.to_owned()] }.at("/grasshopper"))
        .await;
    let site = json!({ "site_width": 30, "site_depth": 40 });
    let lot = json!({ "lot_length": 60, "lot_width": 34, "level_elevations": [0] });
    let mut calls = vec![call(&gateway, "sitefit:1.0.0", &site)];
    calls.extend(std::iter::repeat_n(call(&gateway, "parking:1.0.0", &lot), 3));
    for (client, command) in clients() {
        let answers = drive(command, &gateway.base, calls.clone()).await;
        assert_eq!(answers[0]["body"]["errors"], json!([text]), "{client}: {}", answers[0]);
        let last = answers.last().unwrap();
        assert_eq!(last["body"]["code"], "rate_limited", "{client}: {last}");
        assert!(last["body"]["errors"][0].as_str().unwrap().contains("rate limit"));
        if let Some(status) = last.get("status") {
            assert_eq!((status, last["retryAfter"].is_string()), (&json!(429), true), "{client}");
        }
    }
    gateway.stop().await;
}

/// Ends a process when the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_hops_server_as_a_node_is_seen_for_what_it_lacks_and_gets_no_solve() {
    let Some(python) = installed("APPSERVER_TEST_PYTHON") else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(python);
    command.arg(repository().join("tests/clients/hops_node.py")).arg(port.to_string());
    let _server = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let url = format!("http://127.0.0.1:{port}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..600 {
        if client.get(format!("{url}/add")).send().await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // What it can: describe and solve its components, in Hops' own words.
    let body = json!({ "pointer": "add", "values": [
        { "ParamName": "A", "InnerTree": { "{0}": [{ "type": "System.Double", "data": "1.5" }] } },
        { "ParamName": "B", "InnerTree": { "{0}": [{ "type": "System.Double", "data": "2" }] } },
    ] });
    let solved = client.post(format!("{url}/solve")).body(body.to_string()).send().await.unwrap();
    let solved: Value = serde_json::from_str(&solved.text().await.unwrap()).unwrap();
    assert_eq!(solved["values"][0]["InnerTree"]["0"][0]["data"], "3.5", "{solved}");
    // What it lacks, by its own words; then what the gateway makes of it as a node.
    for path in ["healthcheck", "version", "io"] {
        assert_eq!(client.get(format!("{url}/{path}")).send().await.unwrap().status(), 404, "{path}");
    }
    let gateway = TestGateway::with(Setup { nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    let handle = appserver::nodes::Nodes::new(appserver::nodes::Options {
        nodes: vec![appserver::nodes::NodeOptions {
            name: "hops".into(),
            url,
            key: None,
            slots: Some(1),
            pools: Vec::new(),
        }],
        ..appserver::nodes::Options::default()
    });
    let (nodes, driver) = handle.unwrap();
    let end = tokio_util::sync::CancellationToken::new();
    let run = {
        let end = end.clone();
        tokio::spawn(async move { driver.run(end, &appserver::vitals::Vitals::default()).await })
    };
    let mut seen = BTreeMap::new();
    for _ in 0..500 {
        let view = nodes.view().remove(0);
        if let Some(why) = view.why {
            seen.insert(format!("{:?}", view.state), why);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let contract = contract(&gateway, "sitefit:1.0.0");
    let attested = nodes.attestation(&contract);
    assert!(!attested.is_ready() && attested.ready == 0, "{attested:?}");
    assert!(!seen.is_empty() && nodes.view()[0].state != State::Up, "it is named why: {:?}", nodes.view());
    let until = std::time::Instant::now() + std::time::Duration::from_millis(200);
    assert!(nodes.acquire(&contract, until).await.is_err(), "no solve goes to it");
    end.cancel();
    run.await.unwrap();
    gateway.stop().await;
}
