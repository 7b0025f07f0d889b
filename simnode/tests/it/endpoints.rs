//! What each endpoint answers, in both profiles.

use crate::support::{
    Draft, GET_NUMBER, PANEL, adder, adder_with, base64, client, get, getter, input, post, send, start, upload,
};
use serde_json::json;
use simnode::{Config, Profile};

#[tokio::test]
async fn a_definition_is_solved_and_answered_as_compute_answers() {
    let node = start(Config::default()).await;
    let algo = adder();
    let answer = post(&node, "/grasshopper", &upload(&algo, &[input("a", &json!(1.5))])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    let members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    for member in ["modelunits", "dataversion", "algo", "pointer", "cachesolve", "values"] {
        assert!(members.contains(&member), "{member} is not in {members:?}");
    }
    assert!(json.get("errors").is_none());
    let item = json!({"type": "System.Double", "data": "6.5"});
    assert_eq!(json["values"], json!([{"ParamName": "RH_OUT:sum", "InnerTree": {"{0}": [item]}}]));
    let pointer = json["pointer"].as_str().unwrap();
    assert!(
        pointer.starts_with("md5_") && pointer.len() == 36 && pointer == pointer.to_uppercase().replace("MD5_", "md5_")
    );
    assert_eq!(answer.header("server-timing"), None, "the proxy drops it");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    node.stop().await;
}

#[tokio::test]
async fn io_lists_inputs_and_outputs_from_the_top_of_the_canvas_in_pascal_case() {
    let node = start(Config::default()).await;
    let answer = post(&node, "/io", &json!({"algo": adder()})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    assert_eq!(json["InputNames"], json!(["a", "b"]));
    assert_eq!(json["OutputNames"], json!(["RH_OUT:sum"]));
    assert!(json["CacheKey"].as_str().unwrap().starts_with("md5_"));
    let first = &json["Inputs"][0];
    assert_eq!(first["Description"], "What is it?");
    assert_eq!((first["AtLeast"].as_i64(), first["AtMost"].as_i64()), (Some(1), Some(1)));
    assert_eq!((first["Minimum"].as_f64(), first["Maximum"].as_f64()), (Some(0.0), Some(100.0)));
    assert_eq!(
        (&first["ParamType"], &first["TreeAccess"], &first["Nickname"]),
        (&json!("Number"), &json!(false), &json!(null))
    );
    assert_eq!(first["Default"]["InnerTree"]["{0}"][0]["data"], "2.0");
    assert_eq!((&json["Warnings"], &json["Errors"]), (&json!([]), &json!([])));
    node.stop().await;
}

#[tokio::test]
async fn gh_and_ghx_are_both_taken_and_any_content_type_is() {
    let node = start(Config::default()).await;
    let archive = adder_with("a", "b");
    let binary = {
        use base64::Engine;
        base64::prelude::BASE64_STANDARD.encode(archive.to_gh())
    };
    for (algo, content_type) in [(binary, "text/plain;charset=UTF-8"), (base64(&archive), "application/octet-stream")] {
        let body = upload(&algo, &[]).to_string();
        let request =
            client().post(format!("{}/grasshopper", node.url())).header("content-type", content_type).body(body);
        let answer = send(request).await.unwrap();
        assert_eq!((answer.status, answer.data("RH_OUT:sum").as_str()), (200, "7.0"));
    }
    node.stop().await;
}

#[tokio::test]
async fn clients_may_send_bare_scalars_paths_without_braces_and_no_type() {
    let node = start(Config::default()).await;
    let tree = json!({"ParamName": "a", "InnerTree": {"0": [{"data": 40.0}]}});
    let body = json!({"Algo": adder(), "VALUES": [tree]});
    assert_eq!(post(&node, "/grasshopper", &body).await.data("RH_OUT:sum"), "45.0");
    node.stop().await;
}

#[tokio::test]
async fn identity_comes_from_the_configuration() {
    let node = start(Config::default()).await;
    let version = get(&node, "/version").await.json();
    assert_eq!(version["rhino"], "8.11.24254.15001");
    assert_eq!(version["git_sha"], json!(null));
    let plugins = get(&node, "/plugins/gh/installed").await.json();
    assert!(plugins.get("LadybugX").is_none() && plugins.as_object().unwrap().len() > 1);
    assert!(get(&node, "/plugins/rhino/installed").await.json().get("Hops").is_some());
    assert!(get(&node, "/servertime").await.json().as_str().unwrap().ends_with('Z'));
    node.stop().await;
}

#[tokio::test]
async fn with_a_key_every_request_needs_it_the_healthcheck_included() {
    let node = start(Config { api_key: Some("secret".into()), ..Config::default() }).await;
    let missing = get(&node, "/healthcheck").await;
    assert_eq!((missing.status, missing.text.as_str()), (401, "Api Key was not provided."));
    let url = format!("{}/healthcheck", node.url());
    let wrong = send(client().get(&url).header("RhinoComputeKey", "other")).await.unwrap();
    assert_eq!((wrong.status, wrong.text.as_str()), (401, "Unauthorized client."));
    let right = send(client().get(&url).header("rhinocomputekey", "secret")).await.unwrap();
    assert_eq!((right.status, right.text.as_str()), (200, "Healthy"));
    node.stop().await;
}

#[tokio::test]
async fn a_failed_get_answers_200_through_the_older_proxy_and_an_unknown_endpoint_wakes_the_children() {
    let node = start(Config::of(Profile::V016)).await;
    let io = get(&node, "/io").await;
    assert_eq!((io.status, io.text.as_str(), io.header("content-type")), (200, "", None));
    // Probing for an endpoint of 0.17 costs a launch here and looks like success.
    let probe = get(&node, "/childrenready").await;
    assert_eq!((probe.status, probe.text.as_str()), (200, ""));
    assert_eq!(node.state().awake_children, 4);
    node.stop().await;
    let node = start(Config::default()).await;
    assert_eq!(get(&node, "/io").await.status, 400);
    assert_eq!(get(&node, "/nothing").await.status, 404);
    node.stop().await;
}

#[tokio::test]
async fn the_endpoints_of_017_report_and_recycle_children() {
    let node = start(Config::default()).await;
    assert_eq!(get(&node, "/childrenready").await.status, 503);
    assert_eq!(get(&node, "/activechildren?initialize=false").await.text, "0");
    assert_eq!(get(&node, "/validate").await.status, 200);
    assert_eq!(node.state().wakes, 0);
    get(&node, "/version").await;
    assert_eq!(get(&node, "/childrenready").await.status, 200);
    let recycled = post(&node, "/recycle-children?port=6001", &json!(null)).await.json();
    assert_eq!(recycled, json!({"shutdown": 1, "spawned": [6005], "active": 4}));
    assert_eq!(post(&node, "/recycle-children?port=80", &json!(null)).await.status, 400);
    node.stop().await;
}

#[tokio::test]
async fn metering_headers_come_with_017_and_echo_the_request_id() {
    let node = start(Config::default()).await;
    let request = client().post(format!("{}/grasshopper", node.url())).body(upload(&adder(), &[]).to_string());
    let answer = send(request.header("Rhino-Compute-Request-Id", "abc-1")).await.unwrap();
    assert_eq!(answer.header("rhino-compute-request-id"), Some("abc-1"));
    assert!(answer.header("rhino-compute-cpu-seconds").unwrap().parse::<f64>().is_ok());
    assert!(answer.header("rhino-compute-pid").is_some());
    assert_eq!(get(&node, "/version").await.header("rhino-compute-cpu-seconds"), None);
    node.stop().await;
    for config in [Config::of(Profile::V016), Config { metering: false, ..Config::default() }] {
        let types = (config.profile == Profile::V017).then_some("application/json; charset=utf-8");
        let node = start(config).await;
        let answer = post(&node, "/grasshopper", &upload(&adder(), &[])).await;
        assert_eq!((answer.header("rhino-compute-pid"), answer.header("content-type")), (None, types));
        node.stop().await;
    }
}

#[tokio::test]
async fn values_that_compute_does_not_know_are_left_out_and_indexes_shift() {
    let mut draft = Draft::default();
    let one = draft.slider("one", 1.0);
    let colour = draft.panel("255,0,0", true);
    let swatch = draft.parameter(crate::support::COLOUR, "c", &[colour], |_container| {});
    let number = draft.parameter(GET_NUMBER, "n", &[one], getter);
    let mixed =
        draft.parameter(uuid::uuid!("8ec86459-bf01-4409-baee-174d0d2b13d0"), "m", &[swatch, number], |_container| {});
    draft.group("RH_OUT:mixed", &[mixed]);
    let shown = draft.parameter(PANEL, "p", &[number], |_container| {});
    draft.group("RH_OUT:text", &[shown]);
    let node = start(Config::default()).await;
    let answer = post(&node, "/grasshopper", &upload(&base64(&draft.archive()), &[])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let items = &answer.json()["values"][0]["InnerTree"]["{0}"];
    assert_eq!(items, &json!([{"type": "System.Double", "data": "1.0"}]));
    node.stop().await;
}
