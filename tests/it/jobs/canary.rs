//! Marked secrets and inputs go through the three programs with every line on, and are looked for in all that comes out: lines, metrics,
//! spans, pages for operators, problem documents. The same run shows that docs/logs.md has the access lines' fields.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use contract::Digest;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use simnode::Fault;

use super::deployment::{Deployment, Program, beside, free};
use super::small;
use crate::receiver::Receiver;
use crate::support::{edit_policy, repository, sitefit};

const KEY: &str = "as_canary_studio_key";
const WORKER_KEY: &str = "as_canary_worker_key";
const NODE_KEY: &str = "canary-node-key";
/// 64 digits.
const LINK_KEY: &str = "ca11ab1ee15ecca11ab1ee15ecca11ab1ee15ecca11ab1ee15ecca11ab1ee15ec";
/// What nobody but its owner and its judge may see.
const SECRETS: [&str; 12] = [
    KEY,
    WORKER_KEY,
    NODE_KEY,
    "ca11ab1e",
    "canary-wrong-key",
    "canary-db-password",
    "canary-otel-header",
    "canary-cookie",
    "canary-query",
    "canary-sas",
    "canary-connection",
    "canary-token",
];
/// What a tenant sends and a node says of it: for that tenant only.
const INPUTS: [&str; 6] =
    ["canary-text", "canary-member", "canary-json", "31.41592", "canary-said", "canary-idempotency"];

/// All that came out, by where.
#[derive(Default)]
struct Out(Vec<(String, String)>);

impl Out {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Where each marked word stands.
    fn hits(&self, words: &[&str]) -> Vec<String> {
        let mut hits = Vec::new();
        for (place, text) in &self.0 {
            for line in text.lines() {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    hits.push(format!("{word} in {place}: {}", line.chars().take(600).collect::<String>()));
                }
            }
        }
        hits
    }
}

#[tokio::test]
async fn a13_no_secret_and_no_input_is_in_anything_that_the_programs_tell_of_themselves() {
    let receiver = Receiver::start().await;
    let Some(deployment) = deployment(&receiver).await else { return };
    let mut out = Out::default();
    let mut gateway = deployment.gateway().await;
    let mut api = deployment.api(&gateway.url).await;
    let mut worker = deployment.worker(&gateway.url).await;
    let operators = deployment.more.iter().find(|(_, name, _)| *name == "APPSERVER_ADMIN_LISTEN").unwrap().2.clone();

    let signature = traffic(&deployment, &gateway, &api, &mut out).await;
    for path in ["/metrics", "/admin/traffic", "/admin/events", "/admin/caches", "/admin/nodes", "/health/registry"] {
        out.add(path, text_of(&deployment, &format!("http://{operators}{path}")).await);
    }
    for program in [&api, &worker] {
        out.add(format!("{}/metrics", program.url), text_of(&deployment, &format!("{}/metrics", program.url)).await);
    }
    let said = refusals(&deployment);
    for program in [&mut worker, &mut api, &mut gateway] {
        program.signal("TERM");
        assert_eq!(program.exit_code(), Some(0), "{}", program.said());
        out.add(program.log.display().to_string(), program.said());
    }
    out.add("programs that do not start", said);
    out.add("spans", String::from_utf8_lossy(&receiver.bytes()).into_owned());
    assert!(receiver.spans().len() > 20, "spans of all that was asked");
    for (place, text) in &out.0 {
        assert!(!text.is_empty(), "nothing came out of {place}");
    }
    let trace_lines = [&gateway, &api, &worker].map(|program| program.said().matches("\"level\":\"TRACE\"").count());
    assert!(trace_lines.iter().all(|lines| *lines > 10), "every line is on: {trace_lines:?}");

    let token = deployment.issuer.token("canary-token", "studio", None, 600).unwrap();
    let mut words: Vec<&str> = SECRETS.iter().chain(&INPUTS).copied().collect();
    words.extend([signature.as_str(), token.split('.').next().unwrap()]);
    let hits = out.hits(&words);
    let bytes: usize = out.0.iter().map(|(_, text)| text.len()).sum();
    println!("{} words in {bytes} bytes of {} outputs: {} hits", words.len(), out.0.len(), hits.len());
    assert!(hits.is_empty(), "{} hits:\n{}", hits.len(), hits.join("\n"));
    for (program, target, heading) in [
        (&gateway, "appserver::access", "## The access line of the gateway"),
        (&api, "appserver::access", "## The access line of the job API"),
        (&worker, "worker::access", "## The line of an attempt"),
    ] {
        assert_eq!(fields_seen(program, target), fields_documented(heading), "{heading}, as seen and as documented");
    }
    deployment.node.stop().await;
}

/// Marked secrets wherever there is one; a policy in shadow; all lines on.
async fn deployment(receiver: &Receiver) -> Option<Deployment> {
    let key = |id: &str, key: &str| json!({ "id": id, "sha256": Digest::of(key).to_string() });
    let mut worker = key("worker", WORKER_KEY);
    worker["role"] = json!("worker");
    let tenants = json!({ "tenants": {
        "studio": { "apps": ["sitefit", "yieldcheck", "parking"], "keys": [key("all", KEY)] },
        "platform": { "apps": [], "keys": [worker] },
    } });
    let node = simnode::Config { api_key: Some(NODE_KEY.to_owned()), ..simnode::Config::default() };
    let mut deployment = Deployment::with(&tenants, node).await?;
    edit_policy(&deployment.folder.path().join("registry/contracts/parking"), |policy| {
        policy["shadow"] = json!(true);
        policy["rate_limits"] = json!({ "preview_rps": 1, "batch_jobs_per_min": 1 });
    });
    let (server, name) = (deployment.server.clone(), deployment.database.clone());
    // It trusts everybody, whatever the password.
    let database = |role: &str| format!("postgres://{name}_{role}:canary-db-password@{server}/{name}");
    for program in ["appserver", "appserver-api", "appserver-worker"] {
        let mut set = |name, value: &str| deployment.more.push((program, name, value.to_owned()));
        set("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint);
        set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary-otel-header");
        set("APP_SERVER_KEY", WORKER_KEY);
        set("LINK_KEY", LINK_KEY);
        set("RUST_LOG", "trace");
        set("RHINO_COMPUTE_KEY", NODE_KEY);
        set("APPSERVER_LOG_FILTER", "trace");
        set("APPSERVER_CACHE_ENABLED", "true");
    }
    deployment.more.push(("appserver", "APPSERVER_ADMIN_LISTEN", free()));
    deployment.more.push(("appserver-api", "DATABASE_URL", database("api")));
    deployment.more.push(("appserver-worker", "DATABASE_URL", database("worker")));
    Some(deployment)
}

/// Asks for everything that can go well or badly with something marked in it. Gives the signature of a link that was followed.
async fn traffic(deployment: &Deployment, gateway: &Program, api: &Program, out: &mut Out) -> String {
    let marked = |request: RequestBuilder| {
        let request = request.header("cookie", "session=canary-cookie").header("proxy-authorization", "canary-token");
        request.header("idempotency-key", "canary-idempotency").header("traceparent", "canary-token")
    };
    let solve = |target: &str| marked(deployment.client.post(format!("{}/gh/{target}", gateway.url)));
    let token = deployment.issuer.token("canary-token", "studio", None, 600).unwrap();
    let mut good = sitefit();
    good["inputs"]["site_width"] = json!(31.415_926_535);
    let with = |name: &str, value: Value| {
        let mut body = sitefit();
        body["inputs"][name] = value;
        body.to_string()
    };
    let asked = [
        (200, solve("sitefit:1.0.0/solve").bearer_auth(KEY).body(good.to_string())),
        (200, solve("sitefit:1.0.0/solve").bearer_auth(KEY).body(good.to_string())),
        (200, solve("sitefit:1.0.0/solve").header("rhinocomputekey", KEY).body(with("site_width", json!(31.415_927)))),
        (200, solve("sitefit:stable/solve?lane=batch").bearer_auth(&token).body(good.to_string())),
        (401, solve("sitefit:1.0.0/solve").bearer_auth("canary-wrong-key").body(good.to_string())),
        (401, solve("sitefit:1.0.0/solve").bearer_auth(format!("{token}canary-token")).body(good.to_string())),
        (400, solve("sitefit:1.0.0/solve?key=canary-query").bearer_auth(KEY).body(good.to_string())),
        (422, solve("sitefit:1.0.0/solve").bearer_auth(KEY).body(with("site_width", json!("canary-text")))),
        (422, solve("sitefit:1.0.0/solve").bearer_auth(KEY).body(with("canary-member", json!(1)))),
        (400, solve("sitefit:1.0.0/solve").bearer_auth(KEY).body("{\"inputs\": canary-json")),
        (404, solve("nosuch:1.0.0/solve").bearer_auth(KEY).body(good.to_string())),
    ];
    for (index, (status, request)) in asked.into_iter().enumerate() {
        ask(out, &format!("request {index}"), request, status).await;
    }
    // A policy in shadow would have refused the third.
    let parking = json!({ "inputs": example("parking") }).to_string();
    for _ in 0..3 {
        ask(out, "shadow", solve("parking:stable/solve").bearer_auth(KEY).body(parking.clone()), 200).await;
    }
    // What a node says of inputs is its tenant's only.
    let errors = vec!["1. Solution exception: canary-said is no number".to_owned()];
    for (fault, status) in [(Fault::OkWithErrors { errors }, 422), (Fault::BadGatewayPage, 502)] {
        deployment.node.set_faults(fault.at("/grasshopper")).await;
        let body = with("site_depth", json!(f64::from(status)));
        ask(out, "the node fails", solve("sitefit:1.0.0/solve").bearer_auth(KEY).body(body), status).await;
    }
    deployment.node.set_faults(Fault::Delay { ms: 1500 }.at("/grasshopper")).await;
    let left = solve("sitefit:1.0.0/solve").bearer_auth(KEY).body(with("site_depth", json!(33.25)));
    assert!(left.timeout(Duration::from_millis(300)).send().await.is_err(), "this caller leaves");
    deployment.node.set_faults(simnode::Faults::default()).await;
    job(deployment, api, &token, out).await
}

/// One job from its making to its artifact; and one that is refused.
async fn job(deployment: &Deployment, api: &Program, token: &str, out: &mut Out) -> String {
    let run = |body: &Value| {
        let request = deployment.client.post(format!("{}/sitefit/jobs/run", api.url)).body(body.to_string());
        request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    };
    let mut body = small();
    body["inputs"]["site_width"] = json!("canary-text");
    ask(out, "job", run(&body).bearer_auth(token), 422).await;
    ask(out, "job", run(&body).bearer_auth("canary-wrong-key"), 401).await;
    body["inputs"]["site_width"] = json!(31.415_926);
    let job: Value =
        ask(out, "job", run(&body).bearer_auth(token).header("idempotency-key", "canary-idempotency"), 202).await;
    let mut now = Value::Null;
    for _ in 0..1500 {
        now = deployment.get(job["status_url"].as_str().unwrap(), token).await.1;
        if now["status"] == "succeeded" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(now["status"], "succeeded", "{now}");
    let result = deployment.get(job["result_url"].as_str().unwrap(), token).await.1;
    let link = result["artifacts"][0]["url"].as_str().unwrap();
    assert_eq!(deployment.client.get(link).send().await.unwrap().status(), 200);
    let longest = link.split(['=', '&', '?']).max_by_key(|part| if part.starts_with("http") { 0 } else { part.len() });
    let signature = longest.unwrap().to_owned();
    assert!(signature.len() >= 32, "{link}");
    let forged = link.replace(&signature, &"0".repeat(signature.len()));
    assert!(deployment.client.get(forged).send().await.unwrap().status().is_client_error());
    signature
}

/// The answer, which is kept where it is a problem document.
async fn ask(out: &mut Out, what: &str, request: RequestBuilder, status: u16) -> Value {
    let answer = request.send().await.unwrap();
    let (told, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert_eq!(told, status, "{what}: {text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    if told >= 400 {
        assert_eq!(document["trace_id"].as_str().map(str::len), Some(32), "{text}");
        out.add(format!("a problem document ({what})"), text);
    }
    document
}

/// What programs say that are set up so that they cannot start.
fn refusals(deployment: &Deployment) -> String {
    let nowhere = "postgres://me:canary-db-password@127.0.0.1:1/none";
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("appserver-api", &[("DATABASE_URL", nowhere)]),
        ("appserver-worker", &[("DATABASE_URL", nowhere)]),
        ("appserver-api", &[("DATABASE_URL", "canary-db-password")]),
        ("appserver-api", &[("DATABASE_URL", "sqlite::memory:"), ("LINK_KEY", "canary-token")]),
        (
            "appserver-api",
            &[("DATABASE_URL", "sqlite:a"), ("ARTIFACTS_URL", "https://x.example/c?sv=1&sig=canary-sas")],
        ),
        (
            "appserver-worker",
            &[
                ("DATABASE_URL", "sqlite:a"),
                ("SERVICEBUS_CONN", "Endpoint=sb://127.0.0.1:1/;SharedAccessKey=canary-connection"),
            ],
        ),
        (
            "appserver-worker",
            &[
                ("DATABASE_URL", "sqlite:a"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "canary-otel-header"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:canary-token@x"),
            ],
        ),
    ];
    let mut said = String::new();
    for (program, settings) in cases {
        let mut command = Command::new(beside(program));
        command.current_dir(deployment.folder.path()).env("RUST_LOG", "trace").env("APP_ID", "sitefit");
        command.envs([("JWT_JWKS_URL", "http://127.0.0.1:1/"), ("JWT_ISSUER", "x"), ("APP_SERVER_KEY", WORKER_KEY)]);
        command.envs([("API_LISTEN", "127.0.0.1:0"), ("WORKER_LISTEN", "127.0.0.1:0")]);
        let output = command.envs(settings.iter().copied()).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success(), "{program} {settings:?}");
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    said
}

/// The fields of all lines of a target.
fn fields_seen(program: &Program, target: &str) -> BTreeSet<String> {
    let said = program.said();
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line["target"] == target).collect();
    assert!(!lines.is_empty(), "no line of {target}: {said}");
    let fields = lines.iter().flat_map(|line| line.as_object().unwrap().keys().cloned());
    fields.filter(|field| !["timestamp", "level", "target", "message"].contains(&field.as_str())).collect()
}

/// The fields that the first table below a heading of docs/logs.md names.
fn fields_documented(heading: &str) -> BTreeSet<String> {
    let docs = fs::read_to_string(repository().join("docs/logs.md")).unwrap();
    let section = docs.split(&format!("{heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap());
    rows.flat_map(|names| names.split(',').map(|name| name.trim().trim_matches('`').to_owned())).collect()
}

/// The inputs of an app's first example.
fn example(app: &str) -> Value {
    let versions = repository().join("registry/contracts").join(app);
    let version =
        fs::read_dir(versions).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    crate::support::examples(&version, "valid")[0].1["inputs"].clone()
}

async fn text_of(deployment: &Deployment, url: &str) -> String {
    deployment.client.get(url).send().await.unwrap().text().await.unwrap()
}
