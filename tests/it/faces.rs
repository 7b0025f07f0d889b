//! Faces for clients that exist: what they send, what they get, and that it runs on the one path.

mod bytes;
mod clients;
mod generated;
mod hops;
mod node_appserver;
mod rhino;
mod slow;

use serde_json::{Value, json};

use crate::support::{Setup, TestGateway};

/// A gateway whose callers need keys.
async fn keyed() -> TestGateway {
    TestGateway::with(Setup { nodes: vec![simnode::Config::default()], keys: true, ..Setup::default() }).await
}

/// A tree as the clients of npm and `PyPI` spell it.
fn tree(name: &str, data: &Value) -> Value {
    json!({ "ParamName": name, "InnerTree": { "0": [{ "data": data }] } })
}

/// A small site.
fn site() -> Vec<Value> {
    vec![tree("site_width", &json!(30)), tree("site_depth", &json!(40))]
}

/// The data of the only item of an output.
fn output(answer: &Value, name: &str) -> Value {
    let trees = answer["values"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let tree = trees.iter().find(|tree| tree["ParamName"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"));
    let items: Vec<&Value> =
        tree["InnerTree"].as_object().unwrap().values().flat_map(|items| items.as_array().unwrap()).collect();
    assert_eq!(items.len(), 1, "{tree}");
    serde_json::from_str(items[0]["data"].as_str().unwrap()).unwrap()
}
