//! What the faces answer, byte by byte, beside what a stand-in node answers to the same request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answered, TestGateway, examples, versions};

/// The inputs of an example as trees in the node's own words, in which every declared input must be: a node has no defaults of ours.
fn trees(gateway: &TestGateway, name: &str, inputs: &Value) -> Value {
    let snapshot = gateway.registry.current();
    let (definition, version) = name.split_once(':').unwrap();
    let release = snapshot.owner(definition).unwrap().resolve(definition, version, |_| true).unwrap();
    let contract = release.contract().unwrap();
    let values = contract.check_inputs(inputs).unwrap().values;
    let prepared = appserver::rhino::protocol::Prepared::of(contract);
    let request = prepared.request(&values, appserver::rhino::protocol::Source::Pointer).unwrap();
    let request: Value = serde_json::from_slice(&request).unwrap();
    request["values"].clone()
}

async fn post(gateway: &TestGateway, url: &str, body: &Value) -> Answered {
    Answered::of(gateway.client.post(url).body(body.to_string()).send().await.unwrap()).await
}

#[tokio::test]
async fn a_solve_is_answered_with_the_bytes_that_a_node_answers() {
    let gateway = TestGateway::start().await;
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let (mut compared, url) = (0, node.url());
    for (name, folder) in versions() {
        let file = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let file =
            file.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "gh" || kind == "ghx")).unwrap();
        let algo = STANDARD.encode(std::fs::read(file).unwrap());
        for (example, example_json) in examples(&folder, "valid") {
            let values = trees(&gateway, &name, &example_json["inputs"]);
            let units = json!({ "absolutetolerance": 0.001, "angletolerance": 1.0, "modelunits": "Meters" });
            let mut body = json!({ "algo": algo, "pointer": null, "values": values });
            body.as_object_mut().unwrap().extend(units.as_object().unwrap().clone());
            let theirs = post(&gateway, &format!("{url}/grasshopper"), &body).await;
            if theirs.status != 200 {
                // Daylight needs a plug-in that the plain stand-in has not.
                assert!(name.starts_with("daylight"), "{name} {example}: {}", theirs.text);
                continue;
            }
            let named = json!({ "algo": null, "pointer": format!("gh/{name}"), "values": values });
            for request in [body, named] {
                let ours = post(&gateway, &format!("{}/grasshopper", gateway.base), &request).await;
                assert_eq!((ours.status, &ours.text), (200, &theirs.text), "{name} {example}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 17, "{compared}");
    gateway.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn a_description_is_answered_with_the_bytes_that_a_node_answers() {
    let gateway = TestGateway::start().await;
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    for (name, folder) in versions() {
        let file = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let file =
            file.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "gh" || kind == "ghx")).unwrap();
        let algo = STANDARD.encode(std::fs::read(file).unwrap());
        let theirs = post(&gateway, &format!("{}/io", node.url()), &json!({ "algo": algo })).await;
        for body in [json!({ "algo": algo }), json!({ "pointer": format!("gh/{name}") })] {
            let ours = post(&gateway, &format!("{}/io", gateway.base), &body).await;
            assert_eq!((ours.status, &ours.text), (200, &theirs.text), "{name}");
        }
        let ours = gateway.get(&format!("/io?pointer=gh%2F{}", name.replace(':', "%3A"))).await;
        assert_eq!((ours.status, &ours.text), (200, &theirs.text), "{name}");
    }
    gateway.stop().await;
    node.stop().await;
}
