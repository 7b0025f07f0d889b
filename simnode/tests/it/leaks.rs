//! What one caller leaves behind for the next, and what a pointer can reach.

use crate::support::{COLOUR, GET_INTEGER, GET_STRING, NUMBER, PANEL, TEXT};
use crate::support::{adder, adder_with, base64, echo, input, needs_plugin, pointed, post, raw_input, start, upload};
use serde_json::{Value, json};
use simnode::{Config, Profile, Running};

const SUM: &str = "RH_OUT:sum";

/// Uploads a definition and gives its pointer.
async fn pointer(node: &Running, algo: &str) -> String {
    let answer = post(node, "/grasshopper", &upload(algo, &[])).await;
    answer.json()["pointer"].as_str().unwrap().to_owned()
}

/// The data of output `RH_OUT:x` after one request.
async fn shown(node: &Running, algo: &str, name: &str, data: &Value) -> Value {
    let answer = post(node, "/grasshopper", &upload(algo, &[raw_input(name, data)])).await;
    if answer.status != 200 {
        return json!(answer.status);
    }
    answer.json()["values"][0]["InnerTree"].clone()
}

fn one(kind: &str, data: &str) -> Value {
    json!({"{0}": [{"type": kind, "data": data}]})
}

#[tokio::test]
async fn an_input_that_is_not_sent_keeps_what_the_last_caller_sent() {
    let node = start(Config::default()).await;
    let pointer = pointer(&node, &adder()).await;
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[input("a", &json!(100))])).await.data(SUM), "105.0");
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[input("b", &json!(1))])).await.data(SUM), "101.0");
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[])).await.data(SUM), "101.0");
    // Uploading again builds another document, with the defaults of the file, and leaves the first behind.
    assert_eq!(post(&node, "/grasshopper", &upload(&adder(), &[])).await.data(SUM), "7.0");
    assert_eq!(node.state().leaked_documents, 2);
    node.stop().await;
}

#[tokio::test]
async fn tolerances_change_only_together_and_stay_and_units_fall_back_to_millimeters() {
    let node = start(Config::default()).await;
    let child = |node: &Running| node.state().children.into_iter().find(|child| child.port == 6_001).unwrap();
    let send = async |extra: Value| {
        let mut body = upload(&adder(), &[]);
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(post(&node, "/grasshopper", &body).await.status, 200);
    };
    send(json!({"absolutetolerance": 0.5, "angletolerance": 2.0, "modelunits": "Meters"})).await;
    assert_eq!((child(&node).absolute_tolerance, child(&node).angle_tolerance_degrees), (0.5, 2.0));
    assert_eq!(child(&node).units, "Meters");
    send(json!({"absolutetolerance": 0.1, "modelunits": null})).await;
    assert_eq!((child(&node).absolute_tolerance, child(&node).units.as_str()), (0.5, "Meters"));
    send(json!({})).await;
    assert_eq!((child(&node).absolute_tolerance, child(&node).units.as_str()), (0.5, "Millimeters"));
    node.stop().await;
}

#[tokio::test]
async fn a_request_that_threw_does_not_throw_again_because_its_input_counts_as_set() {
    let node = start(Config { children: 1, ..Config::default() }).await;
    let pointer = pointer(&node, &echo(GET_INTEGER, true)).await;
    let good = post(&node, "/grasshopper", &pointed(&pointer, &[raw_input("x", &json!("4"))])).await;
    assert_eq!(good.data("RH_OUT:x"), "4");
    let body = pointed(&pointer, &[raw_input("x", &json!("3.5"))]);
    assert_eq!(post(&node, "/grasshopper", &body).await.status, 400);
    let again = post(&node, "/grasshopper", &body).await;
    assert_eq!(
        (again.status, again.data("RH_OUT:x").as_str()),
        (200, "4"),
        "the value before stands in for the bad one"
    );
    node.stop().await;
}

#[tokio::test]
async fn texts_are_decoded_by_the_class_of_their_parameter() {
    let node = start(Config::default()).await;
    let text = |text: &str| one("System.String", text);
    let raw = echo(TEXT, false);
    assert_eq!(shown(&node, &raw, "RH_IN:x", &json!("\"a\"")).await, text(r#""\"a\"""#));
    let panel = echo(PANEL, false);
    assert_eq!(shown(&node, &panel, "RH_IN:x", &json!("\"a\"")).await, text("\"a\""));
    assert_eq!(shown(&node, &panel, "RH_IN:x", &json!("a")).await, json!(400));
    let getter = echo(GET_STRING, true);
    assert_eq!(shown(&node, &getter, "x", &json!("\"a\"")).await, text("\"a\""));
    assert_eq!(shown(&node, &getter, "x", &json!("a")).await, text("\"a\""));
    node.stop().await;
}

#[tokio::test]
async fn a_group_of_an_unlisted_class_takes_nothing_and_is_left_empty() {
    let node = start(Config::default()).await;
    let shown_data = shown(&node, &echo(COLOUR, false), "RH_IN:x", &json!("\"red\"")).await;
    assert!(
        shown_data.as_object().is_some_and(|tree| tree.values().all(|branch| branch == &json!([]))),
        "{shown_data}"
    );
    assert_eq!(shown(&node, &echo(NUMBER, false), "RH_IN:x", &json!("2")).await, one("System.Double", "2.0"));
    node.stop().await;
}

#[tokio::test]
async fn unknown_parameter_names_are_ignored_without_a_word() {
    let node = start(Config::default()).await;
    let answer = post(&node, "/grasshopper", &upload(&adder(), &[input("A", &json!(9)), input("", &json!(9))])).await;
    assert_eq!((answer.status, answer.data(SUM).as_str()), (200, "7.0"));
    node.stop().await;
}

#[tokio::test]
async fn the_shelf_keeps_twenty_definitions_and_a_child_remembers_more() {
    let node = start(Config { children: 2, ..Config::default() }).await;
    let first = pointer(&node, &base64(&adder_with("a", "0"))).await;
    for number in 1..=20 {
        pointer(&node, &base64(&adder_with("a", &number.to_string()))).await;
    }
    assert_eq!(node.state().cached_definitions, 20);
    assert_eq!(post(&node, "/grasshopper", &pointed(&first, &[])).await.status, 200, "this child has it in memory");
    // A component error keeps the child from the front, so the next call goes to the other one.
    assert_eq!(post(&node, "/grasshopper", &upload(&needs_plugin("LadybugX"), &[])).await.status, 500);
    assert_eq!(post(&node, "/grasshopper", &pointed(&first, &[])).await.status, 400, "the other one never had it");
    node.stop().await;
}

#[tokio::test]
async fn children_share_the_shelf_but_not_what_callers_left() {
    let node = start(Config { children: 2, ..Config::default() }).await;
    let pointer = pointer(&node, &adder()).await;
    post(&node, "/grasshopper", &pointed(&pointer, &[input("a", &json!(100))])).await;
    post(&node, "/grasshopper", &upload(&needs_plugin("LadybugX"), &[])).await;
    let elsewhere = post(&node, "/grasshopper", &pointed(&pointer, &[])).await;
    assert_eq!((elsewhere.status, elsewhere.data(SUM).as_str()), (200, "7.0"));
    node.stop().await;
}

#[tokio::test]
async fn a_pointer_to_a_file_url_or_component_is_logged_and_never_followed() {
    let node = start(Config::of(Profile::V016)).await;
    let pointers =
        ["http://127.0.0.1:1/x.gh", "C:\\secret.gh", "7b36b876-9451-46f5-8220-a200d969cc66", "md5_../../etc"];
    for wanted in pointers {
        let answer = post(&node, "/grasshopper", &json!({"Pointer": wanted, "values": []})).await;
        assert_eq!((answer.status, answer.text.as_str()), (500, ""));
        let entry = node.log().pop().unwrap();
        assert_eq!(entry.pointer_dereferenced.as_deref(), Some(wanted));
        assert_eq!(entry.members, ["Pointer", "values"]);
    }
    // A file that is not there falls back to the content, a URL that cannot be fetched does not.
    let with = |wanted: &str| json!({"pointer": wanted, "algo": adder(), "values": []});
    assert_eq!(post(&node, "/grasshopper", &with("C:\\secret.gh")).await.status, 200);
    assert_eq!(post(&node, "/grasshopper", &with("https://localhost/x.gh")).await.status, 500);
    let missed = post(&node, "/grasshopper", &with("md5_D41D8CD98F00B204E9800998ECF8427E")).await;
    assert_eq!((missed.status, node.log().pop().unwrap().pointer_dereferenced), (200, None));
    node.stop().await;
}

#[tokio::test]
async fn the_log_shows_the_members_of_a_request_as_they_were_spelled() {
    let node = start(Config::default()).await;
    let body = format!(r#"{{"algo":"{}","Pointer":null,"pointer":null,"cacheSolve":false,"values":[]}}"#, adder());
    let request = crate::support::client().post(format!("{}/grasshopper", node.url())).body(body);
    assert_eq!(crate::support::send(request).await.unwrap().status, 200);
    let entry = node.log().pop().unwrap();
    assert_eq!(entry.members, ["algo", "Pointer", "pointer", "cacheSolve", "values"]);
    assert!(entry.body.unwrap()["algo"].as_str().unwrap().ends_with("bytes)"));
    assert_eq!((entry.status, entry.peer_left, entry.child), (Some(200), false, Some(6_001)));
    node.stop().await;
}

#[tokio::test]
async fn answers_are_cached_by_the_whole_request_where_it_asks_for_that() {
    let node = start(Config::default()).await;
    let pointer = pointer(&node, &adder()).await;
    let mut asking = pointed(&pointer, &[]);
    asking["cachesolve"] = json!(true);
    assert_eq!(post(&node, "/grasshopper", &asking).await.data(SUM), "7.0");
    post(&node, "/grasshopper", &pointed(&pointer, &[input("a", &json!(100))])).await;
    let solves = |node: &Running| node.state().children.iter().map(|child| child.solves).sum::<u64>();
    let before = solves(&node);
    assert_eq!(
        post(&node, "/grasshopper", &asking).await.data(SUM),
        "7.0",
        "from the cache, though the input has leaked"
    );
    assert_eq!(solves(&node), before);
    assert_eq!(post(&node, "/grasshopper", &pointed(&pointer, &[])).await.data(SUM), "105.0");
    node.stop().await;
}

#[tokio::test]
async fn exceptions_of_one_caller_show_up_in_the_description_that_another_asks_for() {
    let node = start(Config { children: 1, ..Config::default() }).await;
    post(&node, "/grasshopper", &upload(&needs_plugin("LadybugX"), &[])).await;
    let errors = |answer: crate::support::Answer| answer.json()["Errors"].as_array().unwrap().len();
    assert_eq!(errors(post(&node, "/io", &json!({"algo": adder()})).await), 1);
    assert_eq!(errors(post(&node, "/io", &json!({"algo": adder()})).await), 0);
    node.stop().await;
}
