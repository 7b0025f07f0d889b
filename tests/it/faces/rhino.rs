//! Rhino.Compute's face.

use serde_json::{Value, json};

use super::{keyed, output, site, tree};
use crate::support::{Answered, KEY, Setup, TestGateway};

#[tokio::test]
async fn a_pointer_is_understood_in_every_spelling() {
    let gateway = TestGateway::start().await;
    let base = &gateway.base;
    let spellings = [
        "gh/sitefit:1.0.0".to_owned(),
        "/gh/sitefit/1.0.0".to_owned(),
        "sitefit:stable".to_owned(),
        "sitefit.gh".to_owned(),
        format!("{base}/gh/sitefit:1.0.0"),
        format!("{base}/sitefit.ghx"),
    ];
    for pointer in spellings {
        let answered = gateway.post("/grasshopper", json!({ "pointer": pointer, "values": site() }).to_string()).await;
        assert_eq!(answered.status, 200, "{pointer}: {}", answered.text);
        assert!(output(&answered.json(), "RH_OUT:gfa").is_number());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn any_shape_of_body_is_read() {
    let gateway = TestGateway::start().await;
    let width = |items: Value| json!({ "ParamName": "site_width", "InnerTree": items });
    let depth = tree("site_depth", &json!("40"));
    let forms = [
        width(json!({ "{0}": [{ "type": "System.Double", "data": "30" }] })),
        width(json!({ "0": [{ "data": 30.0 }] })),
        width(json!({ "{0;0}": [{ "type": "System.Int32", "data": "30.0" }] })),
        width(json!({ "0;1": [{ "data": "\"30\"" }] })),
        width(json!({ "0": [30] })),
        json!({ "paramname": "site_width", "innertree": { "0": [{ "data": 30 }] } }),
    ];
    for form in forms {
        let body = json!({ "pointer": "gh/sitefit:1.0.0", "values": [form, depth] });
        for body in [body.to_string(), format!("[{body}]")] {
            for (target, kind) in
                [("/grasshopper", None), ("/grasshopper/", Some("text/plain")), ("/solve", Some("text/html"))]
            {
                let mut request = gateway.client.post(format!("{}{target}", gateway.base)).body(body.clone());
                if let Some(kind) = kind {
                    request = request.header("content-type", kind);
                }
                let answered = Answered::of(request.send().await.unwrap()).await;
                assert_eq!(answered.status, 200, "{target} {body}: {}", answered.text);
                assert_eq!(output(&answered.json(), "RH_OUT:gfa"), json!(1728.0));
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_asked_before_a_body_is_read() {
    let gateway = keyed().await;
    let url = format!("{}/grasshopper", gateway.base);
    let body = json!({ "pointer": "gh/sitefit:1.0.0", "values": site() }).to_string();
    let compute = gateway.client.post(&url).header("RhinoComputeKey", KEY).body(body.clone()).send().await.unwrap();
    assert_eq!(compute.status(), 200);
    assert_eq!(gateway.post("/grasshopper", body.clone()).await.status, 200);
    let nobody = Answered::of(gateway.client.post(&url).body(body).send().await.unwrap()).await;
    assert_eq!(nobody.problem(), (401, "unauthenticated".into()));
    assert_eq!(nobody.json()["errors"].as_array().unwrap().len(), 1);
    let huge = " ".repeat(2 << 20);
    let nobody =
        Answered::of(gateway.client.post(format!("{}/io", gateway.base)).body(huge).send().await.unwrap()).await;
    assert_eq!(nobody.problem(), (413, "body_too_large".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_not_published_is_denied_and_the_policy_named() {
    let gateway = TestGateway::start().await;
    let node = gateway.nodes[0].log().len();
    for body in [
        json!({ "algo": "UEsDBA==", "values": [] }),
        json!({ "pointer": "http://other.example/x.gh", "values": [] }),
        json!({ "pointer": "C:\\x.gh", "values": [] }),
        json!({ "pointer": "54ea3bf5-5a1e-4a3a-9f40-3f9a2a4f1f6e.x/y/z", "values": [] }),
    ] {
        let answered = gateway.post("/grasshopper", body.to_string()).await;
        assert_eq!(answered.problem(), (403, "policy_denied".into()), "{body}");
        assert!(answered.json()["message"].as_str().unwrap().contains("adhoc: deny"));
    }
    for path in ["/rhino/geometry/mesh/createfrombrep-brep", "/rhino/python/evaluate", "/script/run"] {
        let answered = gateway.post(path, "[]").await;
        assert_eq!(answered.problem(), (403, "policy_denied".into()), "{path}");
        assert!(answered.json()["message"].as_str().unwrap().contains("passthrough: deny"));
    }
    let solves = gateway.nodes[0].log().iter().skip(node).filter(|entry| entry.method == "POST").count();
    assert_eq!(solves, 0, "a denied request reached a node");
    gateway.stop().await;
}

#[tokio::test]
async fn limits_and_lanes_of_the_policy_hold_as_for_our_own_requests() {
    let gateway = TestGateway::start().await;
    let mut body = json!({ "pointer": "gh/sitefit:1.0.0", "values": site(), "note": " ".repeat(70_000) });
    let large = gateway.post("/grasshopper", body.to_string()).await;
    assert_eq!(large.problem(), (413, "body_too_large".into()), "sitefit takes 65536 bytes");
    body["note"] = json!("");
    for (lane, status) in [("preview", 200), ("batch", 200), ("fast", 400), ("a%20b", 400)] {
        let answered = gateway.post(&format!("/grasshopper?lane={lane}"), body.to_string()).await;
        assert_eq!(answered.status, status, "{lane}: {}", answered.text);
    }
    let stale = gateway.post("/grasshopper", json!({ "pointer": "md5_00", "values": [] }).to_string()).await;
    assert_eq!(stale.problem(), (404, "unknown_definition".into()), "only Hops is answered as by a node");
    gateway.stop().await;
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_told_as_texts_and_as_pointers() {
    let gateway = TestGateway::start().await;
    let solve = |values: Vec<Value>| {
        let body = json!({ "pointer": "gh/sitefit:1.0.0", "values": values });
        gateway.post("/grasshopper", body.to_string())
    };
    let narrow = solve(vec![tree("site_width", &json!(1)), tree("site_depth", &json!(40))]).await;
    assert_eq!(narrow.problem(), (422, "invalid_inputs".into()));
    assert_eq!(narrow.pointers(), ["/site_width"]);
    let body = narrow.json();
    let first = body["errors"][0].as_str().unwrap();
    assert!(first.starts_with("site_width: ") && body["message"] == first, "{body}");
    assert_eq!(body["values"], json!([]));
    let mut misspelt = site();
    misspelt.push(tree("RH_IN:setbak", &json!(1)));
    let misspelt = solve(misspelt).await;
    assert_eq!(misspelt.pointers(), ["/RH_IN:setbak"]);
    assert!(misspelt.json()["violations"][0]["help"].as_str().unwrap().contains("RH_IN:setback"), "{}", misspelt.text);
    let twice = solve(vec![json!({ "ParamName": "site_width", "InnerTree": { "0": [1, 2] } })]).await;
    assert_eq!(twice.json()["violations"][0]["rule"], "count");
    gateway.stop().await;
}

#[tokio::test]
async fn a_definitions_own_error_is_told_in_computes_words() {
    let gateway = TestGateway::start().await;
    let errors =
        vec!["1. Solution exception: no: component \"Extrude\" (01234567-89ab-cdef-0123-456789abcdef)".to_owned()];
    let script = simnode::Fault::OkWithErrors { errors: errors.clone() };
    gateway.nodes[0].set_faults(script.at("/grasshopper")).await;
    let body = json!({ "pointer": "gh/sitefit:1.0.0", "values": site() });
    let answered = gateway.post("/grasshopper", body.to_string()).await;
    assert_eq!(answered.problem(), (422, "definition_error".into()));
    assert_eq!(answered.json()["errors"], json!(errors));
    assert_eq!(answered.json()["components"][0]["component"], "Extrude");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_known_of_the_nodes_is_told_and_none_is_woken() {
    let gateway = keyed().await;
    let woken = gateway.nodes[0].state().wakes;
    let asked = |path: &'static str| gateway.get(path);
    assert_eq!(asked("/healthcheck").await.text, "Healthy");
    let version = asked("/version").await.json();
    assert!(
        version["rhino"].is_string() && version["compute"].is_string() && version["appserver"].is_string(),
        "{version}"
    );
    for path in ["/plugins/gh/installed", "/plugins/rhino/installed"] {
        assert!(asked(path).await.json().is_object());
    }
    for path in ["/activechildren", "/idlespan"] {
        asked(path).await.text.parse::<u32>().unwrap();
    }
    assert!(asked("/servertime").await.json().is_string());
    assert_eq!(gateway.nodes[0].state().wakes, woken);
    let nobody = gateway.client.get(format!("{}/version", gateway.base)).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    let nobody = gateway.client.get(format!("{}/healthcheck", gateway.base)).send().await.unwrap();
    assert_eq!(nobody.status(), 200);
    gateway.stop().await;
}

#[tokio::test]
async fn another_tenants_file_looks_like_one_that_was_never_published() {
    let gateway = keyed().await;
    let kiosk = |body: Value| {
        let request = gateway.client.post(format!("{}/grasshopper", gateway.base));
        request.header("RhinoComputeKey", "as_kiosk_key").body(body.to_string()).send()
    };
    let file = crate::support::repository().join("registry/contracts/parking/1.0.0/parking.gh");
    let algo = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, std::fs::read(file).unwrap());
    let answered = Answered::of(kiosk(json!({ "algo": algo, "values": [] })).await.unwrap()).await;
    assert_eq!(answered.problem(), (403, "policy_denied".into()));
    let answered = Answered::of(kiosk(json!({ "pointer": "parking.gh", "values": [] })).await.unwrap()).await;
    assert_eq!(answered.problem(), (404, "unknown_definition".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_no_others() {
    let allow = |root: &std::path::Path| {
        crate::support::edit_policy(&root.join("contracts/sitefit"), |policy| {
            policy["cors_origins"] = json!(["https://studio.example"]);
        });
    };
    let setup = Setup { nodes: vec![simnode::Config::default()], keys: true, edit: Some(allow), ..Setup::default() };
    let gateway = TestGateway::with(setup).await;
    let url = format!("{}/grasshopper", gateway.base);
    let preflight = |origin: &'static str| {
        let request = gateway.client.request(reqwest::Method::OPTIONS, &url).header("origin", origin);
        request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "rhinocomputekey")
            .send()
    };
    let may = Answered::of(preflight("https://studio.example").await.unwrap()).await;
    assert_eq!((may.status, may.header("access-control-allow-origin")), (204, "https://studio.example"));
    assert!(may.header("access-control-allow-headers").contains("rhinocomputekey"));
    let may_not = Answered::of(preflight("https://evil.example").await.unwrap()).await;
    assert_eq!(may_not.header("access-control-allow-origin"), "");
    let solve = |name: &str, origin: &'static str| {
        let body = json!({ "pointer": name, "values": site() });
        gateway.client.post(&url).header("origin", origin).bearer_auth(KEY).body(body.to_string()).send()
    };
    let may = Answered::of(solve("sitefit.gh", "https://studio.example").await.unwrap()).await;
    assert_eq!((may.status, may.header("access-control-allow-origin")), (200, "https://studio.example"));
    assert!(may.header("access-control-allow-credentials").is_empty() && may.header("vary").contains("origin"));
    let may_not = Answered::of(solve("sitefit.gh", "https://evil.example").await.unwrap()).await;
    assert_eq!((may_not.status, may_not.header("access-control-allow-origin")), (200, ""));
    let other_app = gateway.client.post(format!("{}/gh/parking:1.0.0/solve", gateway.base));
    let other_app =
        other_app.header("origin", "https://studio.example").bearer_auth(KEY).body("{}").send().await.unwrap();
    assert!(!other_app.headers().contains_key("access-control-allow-origin"), "the policy is the app's own");
    gateway.stop().await;
}
