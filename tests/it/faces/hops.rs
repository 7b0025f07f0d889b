//! Hops: requests as its public source builds them, and the traps of its reading, one test each.
//!
//! Its solves carry every member of its schema; its descriptions are asked for without a key and without `Accept`.

use std::time::Duration;

use appserver::gateway::authorize::Access;
use appserver::gateway::body::Bounds;
use appserver::nodes::{Nodes, Options};
use appserver::registry::Registry;
use appserver::seats::Seats;
use appserver::{faces, gateway};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{keyed, output};
use crate::support::{Answered, KEY, Setup, TestGateway, edit_policy, repository};

/// A body as Hops serialises its `Schema`.
fn schema(pointer: &str, values: &[Value]) -> Value {
    json!({
        "absolutetolerance": 0.001, "angletolerance": 1.0, "modelunits": "Meters", "dataversion": 8, "algo": null,
        "pointer": pointer, "cachesolve": true, "recursionlevel": 0, "values": values, "warnings": [], "errors": [],
    })
}

/// A tree as Hops fills one: every value encoded, a type beside it.
fn tree(name: &str, kind: &str, data: &Value) -> Value {
    json!({ "ParamName": name, "InnerTree": { "{0}": [{ "type": kind, "data": data.to_string() }] } })
}

/// Every input that the description lists, the site's size among them.
fn filled(description: &Value) -> Vec<Value> {
    let inputs = description["inputs"].as_array().unwrap();
    let value = |input: &Value| {
        let name = input["name"].as_str().unwrap();
        match name {
            "site_width" | "site_depth" => tree(name, "System.Double", &json!(30.0)),
            _ => json!({ "ParamName": name, "InnerTree": input["default"]["innerTree"] }),
        }
    };
    inputs.iter().map(value).collect()
}

/// A request of `HttpClient`: HTTP/1.1, a host, and what it is given.
async fn raw(gateway: &TestGateway, method: &str, target: &str, headers: &[&str], body: &str) -> Answered {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let more = headers.iter().fold(String::new(), |more, line| more + line + "\r\n");
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{more}{length}Connection: close\r\n\r\n", gateway.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = reqwest::header::HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(reqwest::header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    Answered { status, headers, text: body.to_owned() }
}

async fn described(gateway: &TestGateway, target: &str) -> Answered {
    raw(gateway, "GET", target, &[], "").await
}

async fn solved(gateway: &TestGateway, target: &str, body: &Value) -> Answered {
    let key = format!("RhinoComputeKey: {KEY}");
    raw(gateway, "POST", target, &["Content-Type: application/json; charset=utf-8", &key], &body.to_string()).await
}

/// A gateway with keys, whose descriptions of `sitefit` are for all.
async fn public() -> TestGateway {
    let open = |root: &std::path::Path| {
        edit_policy(&root.join("contracts/sitefit"), |policy| policy["describe"] = json!("public"));
    };
    let nodes = vec![simnode::Config::default()];
    TestGateway::with(Setup { nodes, keys: true, edit: Some(open), ..Setup::default() }).await
}

#[tokio::test]
async fn trap_1_every_answer_to_a_get_says_that_it_is_json() {
    let gateway = keyed().await;
    for target in ["/gh/sitefit:1.0.0", "/gh/nosuch:1.0.0", "/gh/sitefit/1.0.0", "/sitefit.gh", "/", "/nowhere"] {
        let answered = described(&gateway, target).await;
        assert!(answered.header("content-type").contains("json"), "{target}: {}", answered.header("content-type"));
        assert!(answered.json().is_object() || answered.json().is_array());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_2_and_3_a_solve_goes_to_the_root_with_the_path_as_its_pointer() {
    let gateway = public().await;
    for path in ["gh/sitefit:1.0.0", "gh/sitefit/1.0.0", "sitefit.gh"] {
        let description = described(&gateway, &format!("/{path}")).await.json();
        let body = schema(path, &filled(&description));
        // Older builds replace the last part of the path in place of the whole.
        for target in ["/solve", "/gh/solve", "/gh/sitefit/solve"] {
            let answered = solved(&gateway, target, &body).await;
            assert_eq!(answered.status, 200, "{path} at {target}: {}", answered.text);
            assert!(output(&answered.json(), "RH_OUT:gfa").is_number());
            let label = output(&answered.json(), "label");
            assert!(label.as_str().unwrap().starts_with("Untitled site: "), "Hops encodes its texts: {label}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_4_a_description_needs_no_key_where_the_policy_says_so() {
    let gateway = public().await;
    for target in ["/gh/sitefit:1.0.0", "/gh/sitefit/stable", "/sitefit.gh", "/io?pointer=sitefit.gh"] {
        assert_eq!(described(&gateway, target).await.status, 200, "{target}");
    }
    let list = described(&gateway, "/").await.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["name"]), (1, &json!("sitefit.ghx")));
    // Nothing else is told to somebody without a key, nor to somebody with a wrong one.
    for target in ["/gh/parking:1.0.0", "/gh/nosuch:1.0.0", "/openapi.json"] {
        assert_eq!(described(&gateway, target).await.problem(), (401, "unauthenticated".into()), "{target}");
    }
    let wrong = raw(&gateway, "GET", "/gh/sitefit:1.0.0", &["RhinoComputeKey: wrong"], "").await;
    assert_eq!(wrong.status, 401);
    let solve = schema("gh/sitefit:1.0.0", &[]).to_string();
    assert_eq!(raw(&gateway, "POST", "/solve", &[], &solve).await.status, 401);
    gateway.stop().await;
}

#[tokio::test]
async fn trap_5_every_answer_to_a_get_has_the_lists_of_a_description() {
    let gateway = public().await;
    for target in [
        "/gh/sitefit:1.0.0",
        "/gh/sitefit/1.0.0",
        "/gh/sitefit:9.9.9",
        "/gh/nosuch/1",
        "/gh/parking:1.0.0",
        "/nosuch.gh",
    ] {
        let body = described(&gateway, target).await.json();
        for list in ["inputs", "outputs", "inputNames", "outputNames", "warnings", "errors"] {
            assert!(body[list].is_array(), "{target} has no {list}: {body}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_6_errors_are_texts() {
    let gateway = public().await;
    let mut bodies = vec![
        described(&gateway, "/gh/nosuch:1.0.0").await,
        solved(&gateway, "/solve", &schema("nosuch.gh", &[])).await,
        solved(&gateway, "/solve", &schema("gh/sitefit:1.0.0", &[tree("site_width", "System.Double", &json!(1))]))
            .await,
        raw(&gateway, "POST", "/solve", &[&format!("RhinoComputeKey: {KEY}")], "no json").await,
    ];
    let broken = simnode::Fault::OkWithErrors {
        errors: vec!["no: component \"A\" (01234567-89ab-cdef-0123-456789abcdef)".into()],
    };
    gateway.nodes[0].set_faults(broken.at("/grasshopper")).await;
    let description = described(&gateway, "/gh/sitefit/1.0.0").await.json();
    bodies.push(solved(&gateway, "/solve", &schema("gh/sitefit:1.0.0", &filled(&description))).await);
    for answered in bodies {
        let body = answered.json();
        let errors = body["errors"].as_array().unwrap();
        assert!(answered.status >= 400 && !errors.is_empty() && errors.iter().all(Value::is_string), "{body}");
        assert!(body["message"].is_string());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trap_7_every_described_output_is_in_every_answer() {
    let gateway = public().await;
    let description = described(&gateway, "/gh/sitefit/1.1.0").await.json();
    let answered = solved(&gateway, "/solve", &schema("gh/sitefit/1.1.0", &filled(&description))).await.json();
    let mut named: Vec<_> = description["outputNames"].as_array().unwrap().clone();
    let mut answers: Vec<_> =
        answered["values"].as_array().unwrap().iter().map(|tree| tree["ParamName"].clone()).collect();
    named.sort_by_key(Value::to_string);
    answers.sort_by_key(Value::to_string);
    assert_eq!(answers, named);
    gateway.stop().await;
}

#[tokio::test]
async fn trap_8_inputs_of_another_version_make_the_sheet_mend_itself() {
    let gateway = public().await;
    let older = described(&gateway, "/gh/sitefit/1.1.0").await.json();
    // The alias now leads to a version without `coverage_max`.
    let stale = filled(&older);
    let answered = solved(&gateway, "/solve", &schema("gh/sitefit:1.0.0", &stale)).await;
    assert_eq!((answered.status, &answered.json()["errors"][0]), (500, &json!("Bad inputs")));
    let newer = described(&gateway, "/gh/sitefit/1.0.0").await.json();
    assert_eq!(solved(&gateway, "/solve", &schema("gh/sitefit:1.0.0", &filled(&newer))).await.status, 200);
    // A value out of range would be so in a rebuilt sheet as well.
    let mut narrow = filled(&newer);
    narrow.retain(|tree| tree["ParamName"] != "site_width");
    narrow.push(tree("site_width", "System.Double", &json!(1.0)));
    let answered = solved(&gateway, "/solve", &schema("gh/sitefit:1.0.0", &narrow)).await;
    assert_eq!(answered.problem(), (422, "invalid_inputs".into()));
    // And only Hops is told so.
    let other = json!({ "pointer": "gh/sitefit:1.0.0", "values": stale });
    assert_eq!(solved(&gateway, "/solve", &other).await.status, 422);
    gateway.stop().await;
}

/// How many seconds a solve of `sitefit` is given, asked for by Hops or by somebody else.
async fn given(hops: bool) -> f64 {
    let (nodes, _driver) = Nodes::new(Options::default()).unwrap();
    let registry = Registry::open(repository().join("registry")).unwrap();
    let (access, body) = (Access::Open, Bounds::new(1 << 20, 1 << 20, Duration::from_secs(5), 1024));
    let seats = Seats::new();
    gateway::seats::apply(&seats, &registry.current());
    let uri_bytes_max = 4096;
    let faces = faces::Parts {
        registry: registry.clone(),
        nodes: nodes.clone(),
        access: access.clone(),
        body: body.clone(),
        uri_bytes_max,
    };
    let parts = gateway::Parts {
        metrics: appserver::telemetry::metrics::Metrics::default(),
        tracer: trace::Tracer::default(),
        outcomes: gateway::outcomes::Outcomes::default(),
        registry,
        nodes,
        seats,
        access,
        flood: gateway::flood::Guard::new(100, 100, Vec::new()),
        buckets: gateway::ratelimit::Buckets::default(),
        body,
        uri_bytes_max,
        interpreter: Some(faces::Faces::interpreter(faces)),
        cache: None,
        recorder: None,
        timeout_max: Duration::from_mins(10),
    };
    let node = tower::service_fn(|seated: gateway::Seated| async move {
        let given = seated.due().by() - seated.due().solve().ticket().arrived;
        Ok::<_, gateway::Error>(gateway::Answer {
            outputs: to_raw_value(&json!({})).unwrap().into(),
            warnings: vec![given.as_secs_f64().to_string()].into(),
            node: "closure".into(),
            rhino: None,
            timings: gateway::stage::Timings::default(),
            trees: Some(to_raw_value(&json!([])).unwrap().into()),
            solved_in: None,
        })
    });
    let size = |name: &str| tree(name, "System.Double", &json!(30.0));
    let mut sent = schema("gh/sitefit:1.0.0", &[size("site_width"), size("site_depth")]);
    if !hops {
        sent.as_object_mut().unwrap().remove("cachesolve");
    }
    let request =
        http::Request::post("/solve").header("host", "gw.test").body(gateway::stage::full(sent.to_string())).unwrap();
    let response = tower::ServiceExt::oneshot(gateway::path(parts, node), request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    body["warnings"][0].as_str().unwrap_or_else(|| panic!("{body}")).parse().unwrap()
}

#[tokio::test]
async fn trap_9_a_solve_is_answered_before_hops_gives_up() {
    // Its default is 100 s; the policy of sitefit allows 120 s to others.
    assert!((given(true).await - 95.0).abs() < 0.5);
    assert!((given(false).await - 120.0).abs() < 0.5);
    let gateway = public().await;
    let slow = simnode::Fault::Hang;
    gateway.nodes[0].set_faults(slow.at("/grasshopper")).await;
    let description = described(&gateway, "/gh/sitefit/1.0.0").await.json();
    let key = format!("RhinoComputeKey: {KEY}");
    let body = schema("gh/sitefit:1.0.0", &filled(&description)).to_string();
    let answered = raw(&gateway, "POST", "/solve", &[&key, "X-Timeout-Sec: 0.3"], &body).await;
    assert_eq!(answered.status, 504);
    assert!(answered.json()["errors"][0].is_string());
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_that_a_description_gave_names_the_definition_and_an_old_one_is_answered_as_a_node_does() {
    let gateway = public().await;
    let description = described(&gateway, "/gh/sitefit/1.0.0").await.json();
    let key = description["cacheKey"].as_str().unwrap().to_owned();
    assert!(key.starts_with("md5_"), "{key}");
    let values = filled(&description);
    let answered = solved(&gateway, "/grasshopper", &schema(&key, &values)).await;
    assert_eq!((answered.status, &answered.json()["pointer"]), (200, &json!(key)));
    // Hops sends the file when it cannot read a 500; a file that was published is known by its bytes.
    let stale = solved(&gateway, "/grasshopper", &schema("md5_00000000000000000000000000000000", &values)).await;
    assert_eq!((stale.status, stale.text.as_str()), (500, ""));
    let file = crate::support::repository().join("registry/contracts/sitefit/1.0.0/sitefit.ghx");
    let algo = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, std::fs::read(file).unwrap());
    let mut whole = schema("md5_00000000000000000000000000000000", &values);
    whole["algo"] = json!(algo);
    assert_eq!(solved(&gateway, "/grasshopper", &whole).await.status, 200);
    // A sheet that names another server's file.
    let wrong = solved(&gateway, "/grasshopper", &schema("http://other.example/gh/sitefit:1.0.0", &values)).await;
    assert_eq!(wrong.problem(), (403, "policy_denied".into()));
    gateway.stop().await;
}
