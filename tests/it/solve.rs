//! A solve over real sockets: registry, gateway and stand-in node, as a caller sees them.

use serde_json::{Value, json};

use crate::support::{Setup, TestGateway, close, examples, sitefit, versions};

#[tokio::test]
async fn every_valid_example_of_every_ready_version_solves_to_its_golden() {
    let gateway = TestGateway::start().await;
    let mut solved = 0;
    for (name, folder) in versions() {
        if name.starts_with("daylight:") {
            continue;
        }
        for (file, example) in examples(&folder, "valid") {
            let answer = gateway.solve(&name, &json!({ "inputs": example["inputs"] })).await;
            assert_eq!(answer.status, 200, "{name} {file}: {}", answer.text);
            let outputs = &answer.json()["outputs"];
            let tolerance = example["tolerance"].as_f64().unwrap_or(1e-9);
            assert!(
                close(outputs, &example["outputs"], tolerance),
                "{name} {file}: {outputs} is not {}",
                example["outputs"]
            );
            solved += 1;
        }
    }
    assert!(solved >= 12, "{solved} examples only");
    gateway.stop().await;
}

#[tokio::test]
async fn every_invalid_example_answers_422_with_the_pointers_that_it_names() {
    let gateway = TestGateway::start().await;
    let mut refused = 0;
    for (name, folder) in versions() {
        for (file, example) in examples(&folder, "invalid") {
            let answer = gateway.solve(&name, &json!({ "inputs": example["inputs"] })).await;
            assert_eq!(answer.problem(), (422, "invalid_inputs".into()), "{name} {file}: {}", answer.text);
            let pointers = answer.pointers();
            for pointer in example["violations"].as_array().unwrap() {
                assert!(pointers.iter().any(|found| pointer == found), "{name} {file}: {pointers:?} lacks {pointer}");
            }
            refused += 1;
        }
    }
    assert!(refused >= 12, "{refused} examples only");
    gateway.stop().await;
}

#[tokio::test]
async fn an_address_may_name_a_version_or_an_alias() {
    let gateway = TestGateway::start().await;
    let answer = gateway.solve("sitefit:stable", &sitefit()).await;
    assert_eq!((answer.status, &answer.json()["version"]), (200, &json!("1.1.0")), "{}", answer.text);
    let mut named = sitefit();
    for (member, word) in [("app_id", "sitefit"), ("definition", "sitefit"), ("version", "1.0.0")] {
        named[member] = json!(word);
    }
    let answer = gateway.solve("sitefit:1.0.0", &named).await;
    assert_eq!((answer.status, &answer.json()["version"]), (200, &json!("1.0.0")), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.header("server-timing").contains("total;dur="));
    let receipt = &answer.json()["receipt"];
    assert!(receipt["digest"].as_str().unwrap().starts_with("sha256:"), "{receipt}");
    assert_eq!(receipt["node"], "node-1");

    assert_eq!(gateway.solve("sitefit:9.9.9", &json!({})).await.problem(), (404, "unknown_version".into()));
    assert_eq!(gateway.solve("nosuch:1.0.0", &json!({})).await.problem(), (404, "unknown_definition".into()));
    let near = gateway.solve("sitefitt:1.0.0", &json!({})).await;
    assert!(near.text.contains("did you mean `sitefit`"), "{}", near.text);
    gateway.stop().await;
}

#[tokio::test]
async fn a_version_that_no_node_attests_is_degraded_and_says_what_is_missing() {
    let gateway = TestGateway::start().await;
    let example = &examples(&crate::support::repository().join("registry/contracts/daylight/0.1.0"), "valid")[0].1;
    let answer = gateway.solve("daylight:0.1.0", &json!({ "inputs": example["inputs"] })).await;
    assert_eq!(answer.problem(), (503, "version_degraded".into()));
    assert!(answer.text.contains("LadybugX"), "{}", answer.text);
    assert_eq!(answer.json()["origin"], "gateway");
    gateway.stop().await;
}

#[tokio::test]
async fn what_steers_a_node_cannot_be_sent_in_any_spelling() {
    let gateway = TestGateway::start().await;
    let evil = [
        "pointer",
        "Pointer",
        "algo",
        "Algo",
        "ALGO",
        "recursionlevel",
        "RecursionLevel",
        "cachesolve",
        "CacheSolve",
        "values",
    ];
    for name in evil {
        let (mut beside, mut among) = (sitefit(), sitefit());
        beside[name] = json!("http://127.0.0.1:9/evil-marker");
        among["inputs"][name] = json!("evil-marker");
        let beside = gateway.solve("sitefit:1.0.0", &beside).await;
        assert_eq!(beside.problem(), (400, "unknown_member".into()), "{name}");
        let among = gateway.solve("sitefit:1.0.0", &among).await;
        assert_eq!(among.problem(), (422, "invalid_inputs".into()), "{name}");
        assert_eq!(among.pointers(), [format!("/{name}")]);
    }
    // An escaped twin is the same key twice.
    let twice = gateway.post("/gh/sitefit:1.0.0/solve", r#"{"inputs":{},"\u0069nputs":{}}"#).await;
    assert_eq!(twice.problem(), (400, "bad_json".into()));
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);

    let log = serde_json::to_string(&gateway.nodes[0].log()).unwrap();
    assert!(!log.contains("evil-marker"), "{log}");
    let solves = gateway.nodes[0].log().into_iter().filter(|entry| entry.path == "/grasshopper").count();
    assert_eq!(solves, 1, "one solve reached the node: {log}");
    gateway.stop().await;
}

#[tokio::test]
async fn an_input_that_is_left_out_has_its_default_whatever_the_last_caller_sent() {
    // One child, so that both calls meet the same leaking state.
    let node = simnode::Config { children: 1, ..simnode::Config::default() };
    let gateway = TestGateway::with(Setup { nodes: vec![node], ..Setup::default() }).await;
    let with_defaults = gateway.solve("sitefit:1.0.0", &sitefit()).await.json()["outputs"].clone();
    let inputs = gateway.get("/gh/sitefit:1.0.0").await.json()["inputs"]["properties"].clone();
    let mut changed = 0;
    for (name, schema) in inputs.as_object().unwrap() {
        let (Some(default), Some(least)) = (schema.get("default"), schema.get("minimum")) else { continue };
        if default == least {
            continue;
        }
        let mut other = sitefit();
        other["inputs"][name] = least.clone();
        let other = gateway.solve("sitefit:1.0.0", &other).await;
        assert_eq!(other.status, 200, "{}", other.text);
        changed += usize::from(other.json()["outputs"] != with_defaults);
        let again = gateway.solve("sitefit:1.0.0", &sitefit()).await.json()["outputs"].clone();
        assert_eq!(again, with_defaults, "{name} leaked");
    }
    assert!(changed >= 3, "the inputs must matter for this to prove anything");
    gateway.stop().await;
}

#[tokio::test]
async fn the_definition_travels_once_and_its_pointer_from_then_on() {
    let gateway = TestGateway::start().await;
    for _ in 0..3 {
        assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    }
    let sent = |name: &str| {
        let log = gateway.nodes[0].log();
        log.iter()
            .filter(|entry| entry.path == "/grasshopper" && entry.members.iter().any(|member| member == name))
            .count()
    };
    assert_eq!((sent("algo"), sent("pointer")), (1, 2));

    // A node that has forgotten it gets it once more, and the caller notices nothing.
    gateway.nodes[0].forget();
    assert_eq!(gateway.solve("sitefit:1.0.0", &sitefit()).await.status, 200);
    assert_eq!((sent("algo"), sent("pointer")), (2, 3));
    gateway.stop().await;
}

#[tokio::test]
async fn a_definition_error_names_the_component_and_is_not_the_nodes_fault() {
    let gateway = TestGateway::start().await;
    let answer = gateway.solve("yieldcheck:1.0.0", &json!({ "inputs": { "gfa": 0 } })).await;
    assert_eq!(answer.problem(), (422, "definition_error".into()), "{}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["retryable"], false);
    let error = &problem["errors"][0];
    assert!(error["component"].is_string() && error["guid"].is_string(), "{problem}");
    assert_eq!(gateway.solve("yieldcheck:1.0.0", &json!({ "inputs": { "gfa": 9000 } })).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn callers_need_a_key_and_reach_what_it_opens() {
    let gateway =
        TestGateway::with(Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() }).await;
    let target = format!("{}/gh/parking:1.0.0/solve", gateway.base);
    let call = |key: Option<&'static str>, name: &'static str, app: Option<&'static str>| {
        let target = target.replace("parking:1.0.0", name);
        let mut request = gateway.client.post(target).body(sitefit().to_string());
        request = if let Some(key) = key { request.header("RhinoComputeKey", key) } else { request };
        request = if let Some(app) = app { request.header("X-App-Id", app) } else { request };
        async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body: Value = response.json().await.unwrap();
            (status, body["code"].as_str().unwrap_or("ok").to_owned())
        }
    };
    let all = Some(crate::support::KEY);
    let kiosk = Some("as_kiosk_key");
    assert_eq!(call(all, "parking:1.0.0", None).await, (422, "invalid_inputs".into()));
    assert_eq!(call(kiosk, "sitefit:1.0.0", None).await, (200, "ok".into()));
    // Whether it exists or not, a stranger learns the same.
    for name in ["parking:1.0.0", "nosuch:1.0.0"] {
        assert_eq!(call(None, name, None).await, (401, "unauthenticated".into()));
        assert_eq!(call(Some("wrong"), name, None).await, (401, "unauthenticated".into()));
    }
    // What the tenant may not use looks as if it were not there.
    assert_eq!(call(kiosk, "parking:1.0.0", None).await, (404, "unknown_definition".into()));
    assert_eq!(call(kiosk, "sitefit:1.0.0", Some("parking")).await, (403, "app_forbidden".into()));
    assert_eq!(call(all, "sitefit:1.0.0", Some("nosuch")).await, (403, "app_forbidden".into()));
    assert_eq!(call(all, "sitefit:1.0.0", Some("parking")).await, (403, "definition_forbidden".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn a_version_is_described_with_its_schemas_and_an_etag() {
    let gateway = TestGateway::start().await;
    let answer = gateway.get("/gh/sitefit:stable").await;
    let body = answer.json();
    assert_eq!((answer.status, &body["version"], &body["status"]), (200, &json!("1.1.0"), &json!("ready")));
    assert!(body["inputs"]["properties"].is_object() && body["examples"].as_array().unwrap().len() >= 3);
    let again = gateway
        .client
        .get(format!("{}/gh/sitefit:stable", gateway.base))
        .header("If-None-Match", answer.header("etag"));
    let again = again.send().await.unwrap();
    assert_eq!(again.status().as_u16(), 304);
    assert_eq!(gateway.get("/gh/daylight:0.1.0").await.json()["status"], "degraded");
    gateway.stop().await;
}

#[tokio::test]
async fn a_bad_body_is_told_where_it_is_bad() {
    let gateway = TestGateway::start().await;
    let post = |body: &'static str| gateway.post("/gh/sitefit:1.0.0/solve", body);
    assert_eq!(post("").await.problem(), (400, "bad_json".into()));
    assert_eq!(post("[]").await.problem(), (400, "bad_json".into()));
    assert_eq!(post("{\"inputs\": {}} x").await.problem(), (400, "bad_json".into()));
    assert_eq!(post("{\"inputs\": []}").await.problem().0, 422);
    assert_eq!(post("{\"app_id\": \"parking\"}").await.problem(), (400, "app_mismatch".into()));
    assert_eq!(post("{\"version\": \"1.1.0\"}").await.problem(), (400, "definition_mismatch".into()));
    let large = format!("{{\"inputs\": {{\"site_width\": \"{}\"}}}}", "x".repeat(4 << 20));
    assert_eq!(gateway.post("/gh/sitefit:1.0.0/solve", large).await.problem(), (413, "body_too_large".into()));
    let answer = post("{\"inputs\": {\"site_width\": 1e400}}").await;
    assert!(answer.status == 400 || answer.status == 422, "{}", answer.text);
    let unknown = post("{\"inputs\": {\"site_widht\": 4}}").await;
    assert_eq!(unknown.pointers(), ["/site_depth", "/site_widht", "/site_width"]);
    assert!(unknown.text.contains("site_width"), "{}", unknown.text);
    gateway.stop().await;
}
