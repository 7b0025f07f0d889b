//! Each row of the table of errors, in both profiles.

use crate::support::{Answer, Draft, GET_INTEGER, NUMBER};
use crate::support::{
    adder, adder_with, base64, client, echo, get, needs_plugin, pointed, post, raw_input, send, start, upload,
};
use serde_json::json;
use simnode::{Config, Fault, Plugins, Profile};
use std::time::Duration;

/// An exception: nothing in 0.16, a word and a message in 0.17.
fn assert_thrown(profile: Profile, answer: &Answer, status_of_017: u16) {
    match profile {
        Profile::V016 => assert_eq!((answer.status, answer.text.as_str()), (500, "")),
        Profile::V017 => {
            assert_eq!(answer.status, status_of_017, "{}", answer.text);
            let json = answer.json();
            assert!(json["error"].is_string() && json["message"].is_string(), "{json}");
        }
    }
}

#[tokio::test]
async fn a_component_error_is_a_500_with_the_full_answer() {
    for profile in [Profile::V016, Profile::V017] {
        let node = start(Config::of(profile)).await;
        let answer = post(&node, "/grasshopper", &upload(&needs_plugin("LadybugX"), &[])).await;
        assert_eq!(answer.status, 500);
        let json = answer.json();
        assert_eq!(json["values"][0]["ParamName"], "RH_OUT:x");
        assert!(json["pointer"].as_str().unwrap().starts_with("md5_"));
        let error = json["errors"][0].as_str().unwrap();
        let (message, rest) = error.split_once(": component \"").unwrap();
        assert!(!message.is_empty() && rest.ends_with(')') && rest.contains("\" ("), "{error}");
        node.stop().await;
    }
}

#[tokio::test]
async fn a_plugin_that_is_installed_does_not_make_its_unknown_component_known() {
    let plugins = Plugins::from([("LadybugX".to_owned(), "1.2.0".to_owned())]);
    let node = start(Config { grasshopper_plugins: plugins, ..Config::default() }).await;
    // The stand-in invents no values for components that it cannot evaluate.
    assert_eq!(post(&node, "/grasshopper", &upload(&needs_plugin("LadybugX"), &[])).await.status, 500);
    node.stop().await;
}

#[tokio::test]
async fn two_parameters_with_one_name_are_a_200_with_errors() {
    for profile in [Profile::V016, Profile::V017] {
        let node = start(Config::of(profile)).await;
        let algo = base64(&adder_with("a", "a"));
        let answer = post(&node, "/grasshopper", &upload(&algo, &[])).await;
        assert_eq!(answer.status, 200);
        let errors = answer.json()["errors"].clone();
        assert!(errors[0].as_str().unwrap().starts_with("Multiple input parameters with the same name"), "{errors}");
        assert_eq!(post(&node, "/io", &json!({"algo": algo})).await.json()["Errors"], errors);
        node.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_found_throws() {
    for profile in [Profile::V016, Profile::V017] {
        let node = start(Config::of(profile)).await;
        let adder = adder();
        let bodies = [
            json!(null),
            json!({}),
            json!({"algo": "no base64!"}),
            json!({"algo": "aGVsbG8="}),
            pointed("md5_D41D8CD98F00B204E9800998ECF8427E", &[]),
            upload(&adder, &[raw_input("a", &json!({"X": 1}))]),
            upload(&adder, &[raw_input("a", &json!("x"))]),
            upload(&adder, &[json!({"ParamName": "a", "InnerTree": {"{x}": [{"data": "1"}]}})]),
            upload(&adder, &[json!({"ParamName": null, "InnerTree": {}})]),
            upload(&echo(GET_INTEGER, true), &[raw_input("x", &json!("3.5"))]),
        ];
        for body in bodies {
            assert_thrown(profile, &post(&node, "/grasshopper", &body).await, 400);
        }
        let request = client().post(format!("{}/grasshopper", node.url())).body("{\"algo\":");
        assert_thrown(profile, &send(request).await.unwrap(), 400);
        assert_thrown(profile, &post(&node, "/io", &json!({"pointer": "nothing"})).await, 400);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_definition_without_outputs_throws_after_it_has_solved() {
    for profile in [Profile::V016, Profile::V017] {
        let node = start(Config::of(profile)).await;
        let mut draft = Draft::default();
        draft.parameter(NUMBER, "RH_OUT:not a group", &[], |_container| {});
        let answer = post(&node, "/grasshopper", &upload(&base64(&draft.archive()), &[])).await;
        assert_thrown(profile, &answer, 500);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413() {
    let node = start(Config { body_bytes_max: 1_000, ..Config::default() }).await;
    let answer = post(&node, "/grasshopper", &json!({"algo": "A".repeat(2_000)})).await;
    assert_eq!((answer.status, answer.text.as_str()), (413, ""));
    node.stop().await;
}

#[tokio::test]
async fn the_proxy_gives_up_and_the_child_works_on_and_keeps_its_lock() {
    for (profile, status) in [(Profile::V016, 500), (Profile::V017, 504)] {
        let config = Config { children: 1, proxy_timeout: Duration::from_millis(500), ..Config::of(profile) };
        let node = start(Config { faults: Fault::Hang.at("/grasshopper").times(1).into(), ..config }).await;
        let first = post(&node, "/grasshopper", &upload(&adder(), &[])).await;
        assert_eq!(first.status, status);
        assert_eq!(first.text.is_empty(), profile == Profile::V016);
        // The second solve has no fault of its own, and waits behind the first for ever.
        assert_eq!(post(&node, "/grasshopper", &upload(&adder(), &[])).await.status, status);
        let child = &node.state().children[0];
        assert_eq!((child.solving, child.queued), (1, 1));
        for (path, text) in [("/healthcheck", "Healthy"), ("/idlespan", "0")] {
            assert_eq!(get(&node, path).await.text, text);
        }
        assert_eq!(get(&node, "/version").await.status, 200);
        assert_eq!(
            post(&node, "/io", &json!({"algo": adder()})).await.status,
            200,
            "the solver hangs, the process lives"
        );
        node.restart();
        assert_eq!(post(&node, "/grasshopper", &upload(&adder(), &[])).await.status, 200);
        node.stop().await;
    }
}
