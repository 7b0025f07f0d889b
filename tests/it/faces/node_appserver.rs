//! The Node AppServer's face.

use serde_json::json;

use super::{keyed, output};
use crate::support::{Answered, TestGateway};

#[tokio::test]
async fn definitions_are_listed_and_described_in_camel_case() {
    let gateway = keyed().await;
    let list = gateway.get("/").await.json();
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["daylight.ghx", "parking.gh", "sitefit.ghx", "yieldcheck.ghx"]);
    for (entry, name) in list.as_array().unwrap().iter().zip(&names) {
        for address in [format!("/{name}"), entry["uri"].as_str().unwrap().to_owned()] {
            let described = gateway.get(&address).await;
            let body = described.json();
            assert_eq!((described.status, body["name"].as_str()), (200, Some(name.as_str())), "{address}");
            assert!(body["inputs"][0]["paramType"].is_string() && body["view"].is_string(), "{body}");
        }
    }
    let kiosk = gateway.client.get(format!("{}/", gateway.base)).bearer_auth("as_kiosk_key").send().await.unwrap();
    assert_eq!(Answered::of(kiosk).await.json().as_array().unwrap().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_solve_takes_plain_inputs_by_body_and_by_query() {
    let gateway = TestGateway::start().await;
    let inputs =
        json!({ "site_width": 30, "site_depth": "40", "RH_IN:setback": 3, "project_name": "A & B", "floors": [4] });
    for definition in ["sitefit.gh", "sitefit.ghx", "sitefit:1.0.0"] {
        let body = json!({ "definition": definition, "inputs": inputs });
        let answered = gateway.post("/solve", body.to_string()).await;
        assert_eq!(answered.status, 200, "{definition}: {}", answered.text);
        assert_eq!(output(&answered.json(), "RH_OUT:gfa"), json!(1728.0));
        assert!(output(&answered.json(), "label").as_str().unwrap().starts_with("A & B: "));
    }
    let query = "site_width=30&site_depth=40&active_ground_floor=true&project_name=A+%26+B";
    let answered = gateway.get(&format!("/solve/sitefit:1.0.0?{query}")).await;
    assert_eq!(answered.status, 200, "{}", answered.text);
    assert!(output(&answered.json(), "label").as_str().unwrap().starts_with("A & B: "));
    let levels = "level_elevations=0&level_elevations=3.5&lot_length=60&lot_width=34&origin=[0,0,0]"
        .replace('[', "%5B")
        .replace(']', "%5D");
    let answered = gateway.get(&format!("/solve/parking.gh?{levels}")).await;
    assert_eq!(answered.status, 200, "lists by repeating: {}", answered.text);
    let wrong = gateway.get("/solve/sitefit.gh?site_width=wide&site_depth=40").await;
    assert_eq!(wrong.problem(), (422, "invalid_inputs".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn head_solves_nothing_and_holes_stay_closed() {
    let gateway = TestGateway::start().await;
    let solves = || gateway.nodes[0].log().iter().filter(|entry| entry.path == "/grasshopper").count();
    let before = solves();
    let head = |target: &str| gateway.client.head(format!("{}{target}", gateway.base)).send();
    assert_eq!(head("/solve/sitefit.gh?site_width=30&site_depth=40").await.unwrap().status(), 200);
    assert_eq!(head("/solve/nosuch.gh").await.unwrap().status(), 404);
    assert_eq!(solves(), before);
    let hole = gateway.get("/definition_description?path=/etc/passwd").await;
    assert_eq!(hole.problem(), (410, "gone".into()));
    for target in ["/definition/0123456789abcdef", "/examples/", "/..%2f..%2fetc/passwd", "/solve/..%2fetc"] {
        assert_eq!(gateway.get(target).await.status, 404, "{target}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn views_lead_to_our_page_which_loads_nothing_from_elsewhere() {
    let gateway = keyed().await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let browse =
        |target: &str| client.get(format!("{}{target}", gateway.base)).header("accept", "text/html,*/*;q=0.8").send();
    let view = browse("/view/sitefit.gh").await.unwrap();
    assert_eq!((view.status().as_u16(), view.headers()["location"].to_str().unwrap()), (302, "/gh/sitefit:stable"));
    for target in ["/gh/sitefit:1.0.0", "/gh/sitefit/1.0.0", "/gh/nosuch:1", "/"] {
        let page = Answered::of(browse(target).await.unwrap()).await;
        assert_eq!(page.status, 200, "the page is the same whatever there is: {target}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.text.contains("http://") && !page.text.contains("https://"));
    }
    for asset in ["/page.js", "/page.css"] {
        assert_eq!(browse(asset).await.unwrap().status(), 200);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn openapi_documents_promise_what_the_path_checks() {
    let gateway = keyed().await;
    let whole = gateway.get("/openapi.json").await.json();
    let one = gateway.get("/gh/parking:1.0.0/openapi.json").await.json();
    assert_eq!(whole["openapi"], "3.1.0");
    assert_eq!(whole["paths"].as_object().unwrap().len(), 5);
    assert_eq!(one["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/gh/parking:1.0.0/solve"]);
    for document in [&whole, &one] {
        assert_eq!(dangling(document, document), Vec::<String>::new());
    }
    let nobody = gateway.client.get(format!("{}/openapi.json", gateway.base)).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    gateway.stop().await;
}

/// References that lead nowhere.
fn dangling(value: &serde_json::Value, root: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match value.as_str().filter(|_| key == "$ref") {
                Some(text) if root.pointer(text.trim_start_matches('#')).is_none() => vec![text.to_owned()],
                _ => dangling(value, root),
            })
            .collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(|item| dangling(item, root)).collect(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => Vec::new(),
    }
}
