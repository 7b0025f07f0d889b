//! Tenants know nothing of each other: every route by the list that the documents are made from.

use api::ROUTES;
use serde_json::{Value, json};

use super::{Bench, small};
use crate::support::Setup;

fn idle() -> Setup {
    Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }
}

/// A body without what names the one request.
fn anonymous(mut body: Value) -> Value {
    let members = body.as_object_mut().unwrap();
    members.remove("request_id");
    members.remove("trace_id");
    body
}

#[tokio::test]
async fn a5_a_job_of_another_tenant_is_the_same_as_none_on_every_route() {
    let bench = Bench::idle(idle()).await;
    let job_id = bench.queue("studio").await;
    let absent = jobs::JobId::new().to_string();
    let mut tried = 0;
    for route in ROUTES.iter().filter(|route| route.path.contains("{job_id}")) {
        let path = |id: &str| route.path.replace("{app_id}", "sitefit").replace("{job_id}", id);
        let theirs = bench.ask(route.method, &path(&job_id), "kiosk", &[], None).await;
        let none = bench.ask(route.method, &path(&absent), "kiosk", &[], None).await;
        let nonsense = bench.ask(route.method, &path("x'--"), "kiosk", &[], None).await;
        assert_eq!(theirs.problem(), (404, "unknown_job".into()), "{} {}", route.method, route.path);
        assert_eq!(anonymous(theirs.json()), anonymous(none.json()));
        assert_eq!(anonymous(theirs.json()), anonymous(nonsense.json()));
        tried += 1;
    }
    assert_eq!(tried, 4, "a route by job that is not tried here");
    let still = bench.get(&format!("/sitefit/jobs/status/{job_id}"), "studio").await.json();
    assert_eq!(still["status"], "queued", "nothing of it had an effect");
    assert_eq!(bench.get("/sitefit/jobs", "kiosk").await.json()["jobs"], json!([]));
    bench.stop().await;
}

#[tokio::test]
async fn a5_without_a_good_token_every_route_that_asks_for_one_says_the_same() {
    let bench = Bench::idle(idle()).await;
    for route in &ROUTES {
        let path = route.path.replace("{app_id}", "sitefit").replace("{job_id}", &jobs::JobId::new().to_string());
        let method: reqwest::Method = route.method.to_uppercase().parse().unwrap();
        let request = bench.gateway.client.request(method, format!("{}{path}", bench.base));
        let answer = crate::support::Answered::of(request.bearer_auth("a.b.c").send().await.unwrap()).await;
        let asks = route.path.starts_with("/{app_id}");
        assert_eq!(answer.status == 401, asks, "{} {}: {}", route.method, route.path, answer.status);
        assert!(answer.status < 500, "{}", answer.text);
        assert_ne!(answer.status, 405, "{} is no route of the router", route.path);
    }
    bench.stop().await;
}

#[tokio::test]
async fn an_app_that_the_tenant_or_the_token_does_not_reach_is_refused() {
    let bench = Bench::idle(idle()).await;
    let body = json!({ "definition": "parking", "inputs": {} });
    let other = bench.ask("post", "/parking/jobs/run", "kiosk", &[], Some(&body)).await;
    assert_eq!(other.problem(), (403, "app_forbidden".into()));
    let narrow = bench.issuer.token("user-1", "studio", Some(&["parking"]), 60).unwrap();
    let request = bench.gateway.client.get(format!("{}/sitefit/jobs", bench.base)).bearer_auth(narrow);
    assert_eq!(request.send().await.unwrap().status(), 403);
    bench.stop().await;
}

#[tokio::test]
async fn a6_nobody_assigns_what_is_not_theirs_to_assign() {
    let bench = Bench::idle(idle()).await;
    for member in ["tenant_id", "tenant", "status", "state", "lease", "priority", "attempts", "job_id", "due_at"] {
        let mut body = small();
        body[member] = json!("studio");
        let answer = bench.ask("post", "/sitefit/jobs/run", "kiosk", &[], Some(&body)).await;
        assert_eq!(answer.problem(), (400, "unknown_member".into()), "{member}");
        assert_eq!(answer.pointers(), [format!("/{member}")]);
    }
    let mut body = small();
    body["app_id"] = json!("parking");
    let answer = bench.ask("post", "/sitefit/jobs/run", "kiosk", &[], Some(&body)).await;
    assert_eq!(answer.problem(), (400, "app_mismatch".into()));
    bench.stop().await;
}

#[tokio::test]
async fn a12_a_link_opens_one_blob_as_it_was_signed() {
    let bench = Bench::start().await;
    let wait = [("prefer", "wait=30")];
    let mut urls = Vec::new();
    for tenant in ["studio", "kiosk"] {
        let result = bench.ask("post", "/sitefit/jobs/run", tenant, &wait, Some(&small())).await.json();
        urls.push(result["artifacts"][0]["url"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned());
    }
    let status = async |url: &str| bench.gateway.client.get(url).send().await.unwrap().status().as_u16();
    assert_eq!(status(&urls[0]).await, 200);
    let (path, query) = urls[0].split_once('?').unwrap();
    let (others, _) = urls[1].split_once('?').unwrap();
    for wrong in [
        format!("{others}?{query}"),
        format!("{path}/../{query}"),
        format!("{path}?{}", query.replace("until=", "until=9")),
        format!("{path}?{}", query.replace("json", "html")),
        format!("{path}?{}A", &query[..query.len() - 1]),
    ] {
        let status = status(&wrong).await;
        assert!([400, 403, 404].contains(&status), "{status} {wrong}");
    }
    assert_eq!(status(path).await, 400);
    bench.stop().await;
}

#[tokio::test]
async fn a13_figures_and_lists_hold_nothing_of_what_tenants_sent() {
    let bench = Bench::start().await;
    let canary = "canary-7f3a";
    let headers = [("prefer", "wait=30"), ("idempotency-key", canary)];
    let mut body = small();
    body["inputs"]["site_width"] = json!(31.415_926_53);
    assert_eq!(bench.ask("post", "/sitefit/jobs/run", "studio", &headers, Some(&body)).await.status, 200);
    assert_eq!(bench.get(&format!("/{canary}/jobs"), "studio").await.status, 200, "an app of no jobs");
    let seen = [
        bench.get("/metrics", "kiosk").await.text,
        bench.metrics.render(&bench.work).await,
        bench.get("/sitefit/jobs", "kiosk").await.text,
        bench.get("/openapi.json", "kiosk").await.text,
    ];
    for text in &seen {
        for word in ["31.4159", "studio", canary] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    assert!(seen[1].contains("appserver_job_attempts_total{app_id=\"sitefit\",state=\"succeeded\"} 1"), "{}", seen[1]);
    bench.stop().await;
}

#[tokio::test]
async fn the_documents_hold_the_apps_own_schemas() {
    let bench = Bench::idle(idle()).await;
    let all = bench.get("/openapi.json", "studio").await.json();
    assert_eq!((all["openapi"].as_str(), all["paths"].as_object().unwrap().len()), (Some("3.1.0"), ROUTES.len()));
    let app = bench.get("/sitefit/openapi.json?definition=sitefit&version=1.0.0", "studio").await.json();
    let run = &app["components"]["schemas"]["Run"]["properties"];
    assert!(run["inputs"]["properties"]["site_width"].is_object(), "{run}");
    assert!(app["paths"]["/sitefit/jobs/run"]["post"].is_object());
    let stable = bench.get("/sitefit/openapi.json", "studio").await;
    assert_eq!(stable.status, 200, "{}", stable.text);
    assert_eq!(bench.get("/parking/openapi.json", "kiosk").await.problem().0, 403);
    bench.stop().await;
}
