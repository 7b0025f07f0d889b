//! I8: nothing that one tenant sends is in what another is answered, nor in a log line, a metric or a page of the operators'.

use reqwest::Client;
use serde_json::json;
use simnode::{Fault, Faults};

use crate::logs::Gateway;

const TENANTS: [&str; 2] = ["studio", "kiosk"];

/// Requests with the word at each place where a caller may put one, well-formed and not, in each dialect.
fn requests(client: &Client, base: &str, word: &str) -> Vec<reqwest::RequestBuilder> {
    let solve = || client.post(format!("{base}/gh/sitefit:1.0.0/solve"));
    let inputs = json!({ "site_width": 30, "site_depth": 40, "project_name": word });
    let rhino =
        json!({ "pointer": word, "values": [{ "ParamName": word, "InnerTree": { "{0}": [{ "data": word }] } }] });
    vec![
        solve().body(json!({ "inputs": inputs }).to_string()),
        // Again, for an answer that is kept.
        solve().body(json!({ "inputs": inputs }).to_string()),
        solve().body(json!({ "inputs": { "site_width": word, "site_depth": 40 } }).to_string()),
        solve().body(json!({ "inputs": { "site_width": 30, "site_depth": 40, word: 1 } }).to_string()),
        solve().body(json!({ "inputs": inputs, "app_id": word }).to_string()),
        solve().body(json!({ "inputs": inputs, word: word }).to_string()),
        solve().body(format!("{{\"inputs\": {{\"project_name\": \"{word}\"")),
        solve().body(format!("{{\"inputs\": {{}}}} {word}")),
        solve().header("X-App-Id", word).body(json!({ "inputs": inputs }).to_string()),
        solve().header("Content-Type", word).body(json!({ "inputs": inputs }).to_string()),
        solve().header("X-Timeout-Sec", word).body(json!({ "inputs": inputs }).to_string()),
        solve().header("traceparent", word).body(json!({ "inputs": inputs }).to_string()),
        solve().header("Cookie", word).header("X-Own", word).body(json!({ "inputs": inputs }).to_string()),
        client.post(format!("{base}/gh/sitefit:1.0.0/solve?lane={word}")).body(json!({ "inputs": inputs }).to_string()),
        client.get(format!("{base}/gh/sitefit:1.0.0")).header("If-None-Match", word),
        client.post(format!("{base}/grasshopper")).body(rhino.to_string()),
        client.post(format!("{base}/solve")).body(json!({ "definition": "sitefit", "inputs": inputs }).to_string()),
        client.get(format!("{base}/solve/sitefit?project_name={word}&site_width={word}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_nothing_of_one_tenant_is_in_what_another_or_the_operator_reads() {
    let node = simnode::Node::start(simnode::Config::default()).await.unwrap();
    let gateway = Gateway::start(&node.url(), "debug").await;
    let client = Client::builder().no_proxy().build().unwrap();
    let faults = [
        Faults::default(),
        Fault::OkWithErrors { errors: vec!["it failed".into()] }.at("/grasshopper").into(),
        Faults::default(),
        Fault::TruncatedJson { keep: 300 }.at("/grasshopper").into(),
        Faults::default(),
    ];
    let (mut answers, mut served) = ([String::new(), String::new()], 0);
    for (round, faults) in faults.into_iter().enumerate() {
        node.set_faults(faults).await;
        for (answers, tenant) in answers.iter_mut().zip(TENANTS) {
            for request in requests(&client, &gateway.url, &format!("canary-{tenant}-{round}")) {
                let answer = request.header("X-Tenant-Id", tenant).send().await.unwrap();
                served += usize::from(answer.status() == 200);
                answers.extend([format!("{:?}", answer.headers()), answer.text().await.unwrap()]);
            }
        }
    }
    let [studio, kiosk] = &answers;
    assert!(served > 20 && studio.contains("canary-studio-0") && kiosk.contains("canary-kiosk-4"), "{served}");
    assert!(!studio.contains("canary-kiosk") && !kiosk.contains("canary-studio"), "one reads of the other");

    let mut read = Vec::new();
    for page in
        ["metrics", "health/registry?format=json", "admin/events", "admin/traffic", "admin/caches", "admin/nodes"]
    {
        let answer = client.get(format!("{}/{page}", gateway.operators)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{page}");
        read.push((page, answer.text().await.unwrap()));
    }
    read.push(("the log", gateway.said()));
    for (what, text) in read {
        let shown = text.lines().find(|line| line.contains("canary-"));
        assert_eq!(shown, None, "in {what}");
    }
    drop(gateway);
    node.stop().await;
}
