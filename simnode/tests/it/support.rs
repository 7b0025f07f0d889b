//! Small definitions, a node to send them to, and the requests that a gateway would send.

#[path = "../../src/solve/draft.rs"]
#[allow(dead_code, reason = "the evaluator's own tests use the rest of it")]
mod draft;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use contract::definition::Archive;
use contract::definition::archive::{Chunk, Value as Stored};
pub(crate) use draft::{Draft, NUMBER, PANEL, item};
use serde_json::{Value, json};
use simnode::{Config, Node, Running};
use std::time::{Duration, Instant};
use uuid::{Uuid, uuid};

pub(crate) const GET_NUMBER: Uuid = uuid!("7b36b876-9451-46f5-8220-a200d969cc66");
pub(crate) const GET_INTEGER: Uuid = uuid!("b228887e-0852-4d9f-bd46-2591646e0d7c");
pub(crate) const GET_STRING: Uuid = uuid!("fed87bdd-8327-49cd-949c-09d70f3c345c");
pub(crate) const GET_GEOMETRY: Uuid = uuid!("41dd7ba9-1f53-49d9-af42-a9270b0e9454");
pub(crate) const POINT: Uuid = uuid!("fbac3e32-f100-4292-8692-77240a42fd1a");
pub(crate) const CURVE: Uuid = uuid!("d5967b9f-e8ee-436b-a8ad-29fdcecf32d5");
pub(crate) const TEXT: Uuid = uuid!("3ede854e-c753-40eb-84cb-b48008f14fd4");
pub(crate) const COLOUR: Uuid = uuid!("203a91c3-287a-43b6-a9c5-ebb96240a650");
pub(crate) const ADDITION: Uuid = uuid!("a0d62394-a118-422d-abb3-6af115c75b25");

/// Longer than anything here takes; a test that waits for it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back, or how the exchange failed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    /// The first datum of an output.
    pub(crate) fn data(&self, output: &str) -> String {
        let answer = self.json();
        let values = answer["values"].as_array().unwrap();
        let tree =
            values.iter().find(|tree| tree["ParamName"] == output).unwrap_or_else(|| panic!("no {output} in {answer}"));
        let branch = tree["InnerTree"].as_object().unwrap().values().next().unwrap();
        branch[0]["data"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(crate) async fn start(config: Config) -> Running {
    Node::start(config).await.unwrap()
}

/// Waits until something is so; fails after a few seconds.
pub(crate) async fn until(node: &Running, what: &str, so: impl Fn(&Running) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !so(node) {
        assert!(Instant::now() < deadline, "{what}: {:?}", node.state());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client without a pool, so that a test sees one connection per request.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub(crate) async fn get(node: &Running, path: &str) -> Answer {
    send(client().get(format!("{}{path}", node.url()))).await.unwrap()
}

pub(crate) async fn post(node: &Running, path: &str, body: &Value) -> Answer {
    try_post(node, path, body).await.unwrap()
}

pub(crate) async fn try_post(node: &Running, path: &str, body: &Value) -> reqwest::Result<Answer> {
    send(client().post(format!("{}{path}", node.url())).body(body.to_string())).await
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

/// One input tree with one item, whose `data` is the given JSON value as text.
pub(crate) fn input(name: &str, value: &Value) -> Value {
    raw_input(name, &json!(value.to_string()))
}

/// One input tree with one item, whose `data` is exactly this.
pub(crate) fn raw_input(name: &str, data: &Value) -> Value {
    json!({"ParamName": name, "InnerTree": {"{0}": [{"type": "System.Object", "data": data}]}})
}

pub(crate) fn upload(algo: &str, values: &[Value]) -> Value {
    json!({"algo": algo, "pointer": null, "values": values})
}

pub(crate) fn pointed(pointer: &str, values: &[Value]) -> Value {
    json!({"algo": null, "pointer": pointer, "values": values})
}

pub(crate) fn base64(archive: &Archive) -> String {
    BASE64_STANDARD.encode(archive.to_ghx())
}

/// The pointer under which an upload is cached, worked out as a gateway works it out.
pub(crate) fn cache_key(algo: &str) -> String {
    use md5::{Digest, Md5};
    Md5::digest(algo).iter().fold("md5_".to_owned(), |key, byte| format!("{key}{byte:02X}"))
}

/// Adds what makes a floating parameter a getter.
pub(crate) fn getter(container: &mut Chunk) {
    container.items.push(item("AtLeast", Stored::Int32(1)));
    container.items.push(item("AtMost", Stored::Int32(1)));
    container.items.push(item("TreeAccess", Stored::Bool(false)));
    container.items.push(item("Prompt", Stored::Text("What is it?".to_owned())));
}

/// `a` (2 unless sent) plus `b` (5 unless sent) is `RH_OUT:sum`.
pub(crate) fn adder() -> String {
    base64(&adder_with("a", "b"))
}

pub(crate) fn adder_with(first: &str, second: &str) -> Archive {
    let mut draft = Draft::default();
    let (two, five) = (draft.slider("two", 2.0), draft.slider("five", 5.0));
    let a = draft.parameter(GET_NUMBER, first, &[two], getter);
    let b = draft.parameter(GET_NUMBER, second, &[five], getter);
    let sum = draft.component(ADDITION, &[("A", &[a]), ("B", &[b])], &["Result"]);
    draft.output("sum", sum.outputs[0]);
    draft.archive()
}

/// Shows what a parameter of this component holds after the request: input `RH_IN:x` or `x`, output `RH_OUT:x`.
pub(crate) fn echo(component: Uuid, contextual: bool) -> String {
    let mut draft = Draft::default();
    let id = if contextual {
        draft.parameter(component, "x", &[], getter)
    } else {
        draft.parameter(component, "x", &[], |_container| {})
    };
    if !contextual {
        draft.group("RH_IN:x", &[id]);
    }
    draft.output("x", id);
    base64(&draft.archive())
}

/// A definition with a component of a plug-in that is not installed.
pub(crate) fn needs_plugin(library: &str) -> String {
    let mut draft = Draft::default();
    let guid = uuid!("0badc0de-0000-4000-8000-000000000001");
    let stranger = draft.component_with(guid, Some(library), &[], &["Out"], |_container| {});
    draft.output("x", stranger.outputs[0]);
    base64(&draft.archive())
}
