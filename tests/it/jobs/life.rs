//! A job's life as its caller sees it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Bench, small};
use crate::support::Setup;

#[tokio::test]
async fn a_job_is_queued_solved_and_its_artifact_is_the_solves_own_outputs() {
    let bench = Bench::start().await;
    let queued = bench.ask("post", "/sitefit/jobs/run", "studio", &[("x-request-id", "mine")], Some(&small())).await;
    assert_eq!((queued.status, queued.header("x-request-id")), (202, "mine"));
    let job = queued.json();
    assert_eq!(queued.header("location"), job["status_url"].as_str().unwrap());
    assert_eq!(job["version"], "1.1.0", "the alias is pinned: {job}");
    let job_id = job["job_id"].as_str().unwrap();
    let ended = bench.until("studio", job_id, &["succeeded", "failed", "dead"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("succeeded"), &json!(1)), "{ended}");
    let result = bench.get(&format!("/sitefit/jobs/result/{job_id}"), "studio").await;
    let direct = bench.gateway.solve("sitefit:1.1.0", &crate::support::sitefit()).await.json();
    assert_eq!((result.status, &result.json()["outputs"]), (200, &direct["outputs"]));
    assert_eq!(result.json()["receipt"]["digest"], direct["receipt"]["digest"]);
    let artifact = &result.json()["artifacts"][0];
    let fetched = bench.gateway.client.get(artifact["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(fetched.headers()["x-content-type-options"], "nosniff");
    assert!(fetched.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let bytes = fetched.bytes().await.unwrap();
    assert_eq!(contract::Digest::of(&bytes).to_string(), artifact["digest"].as_str().unwrap());
    bench.stop().await;
}

#[tokio::test]
async fn who_waits_gets_the_result_and_who_waits_in_vain_is_told_where_to_look() {
    let bench = Bench::start().await;
    let wait = [("prefer", "wait=30")];
    let waited = bench.ask("post", "/sitefit/jobs/run", "studio", &wait, Some(&small())).await;
    assert_eq!((waited.status, waited.header("preference-applied")), (200, "wait=30"), "{}", waited.text);
    assert!(waited.json()["outputs"].is_object());
    bench.stop().await;
    let idle = Bench::idle(Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    let waited = idle.ask("post", "/sitefit/jobs/run", "studio", &[("prefer", "wait=1")], Some(&small())).await;
    assert_eq!((waited.status, &waited.json()["status"]), (202, &json!("queued")));
    idle.stop().await;
}

#[tokio::test]
async fn events_are_followed_to_the_end_and_resumed_where_they_broke_off() {
    let bench = Bench::start().await;
    let job_id = bench.queue("studio").await;
    let path = format!("/sitefit/jobs/{job_id}/events");
    // The stream ends with the job.
    let all = bench.get(&path, "studio").await;
    assert!(all.header("content-type").starts_with("text/event-stream"), "{}", all.text);
    let kinds: Vec<&str> = all.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"submitted"), Some(&"succeeded")), "{}", all.text);
    let rest = bench.ask("get", &path, "studio", &[("last-event-id", "1")], None).await;
    assert_eq!(rest.text.matches("event: ").count(), kinds.len() - 1);
    let last = kinds.len().to_string();
    assert_eq!(bench.ask("get", &path, "studio", &[("last-event-id", &last)], None).await.text, "");
    assert_eq!(bench.ask("get", &path, "studio", &[("last-event-id", "x")], None).await.problem().0, 400);
    bench.stop().await;
}

#[tokio::test]
async fn j5_a_hundred_submissions_of_one_key_are_one_job() {
    let bench = Bench::idle(Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    let key = [("idempotency-key", "order-7")];
    let body = small();
    let submit = || bench.ask("post", "/sitefit/jobs/run", "studio", &key, Some(&body));
    let answers = join_all((0..100).map(|_| submit())).await;
    let ids: std::collections::BTreeSet<String> =
        answers.iter().map(|answer| answer.json()["job_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!(first, 1);
    let mut other = small();
    other["inputs"]["site_width"] = json!(31);
    let conflict = bench.ask("post", "/sitefit/jobs/run", "studio", &key, Some(&other)).await;
    assert_eq!(conflict.problem(), (422, "idempotency_conflict".into()));
    let another = bench.ask("post", "/sitefit/jobs/run", "kiosk", &key, Some(&body)).await;
    assert!(another.status == 202 && !ids.contains(&another.json()["job_id"].to_string()));
    bench.stop().await;
}

#[tokio::test]
async fn j6_what_would_fail_again_fails_once_and_what_cannot_be_solved_is_not_queued() {
    let bench = Bench::start().await;
    // The inputs fit the schema, and the definition cannot solve them: the stand-in says so.
    let run = async |body: Value| bench.ask("post", "/sitefit/jobs/run", "studio", &[], Some(&body)).await;
    let wrong = json!({ "definition": "sitefit", "inputs": { "site_width": "wide" } });
    let refused = run(wrong).await;
    assert_eq!(refused.problem(), (422, "invalid_inputs".into()));
    assert!(refused.pointers().contains(&"/site_width".to_owned()));
    let direct = bench.gateway.solve("sitefit:stable", &json!({ "inputs": { "site_width": "wide" } })).await;
    assert_eq!(refused.json()["violations"], direct.json()["violations"], "the same words");
    assert_eq!(refused.json()["title"], direct.json()["title"]);
    assert_eq!(
        run(json!({ "definition": "sitefit", "version": "9.9.9" })).await.problem(),
        (404, "unknown_version".into())
    );
    assert_eq!(run(json!({ "definition": "sitefti" })).await.problem(), (404, "unknown_definition".into()));
    assert_eq!(run(json!({ "inputs": {} })).await.problem(), (400, "bad_json".into()));
    bench.stop().await;
}

#[tokio::test]
async fn j7_a_cancel_is_final_and_comes_too_late_only_after_the_end() {
    let mut bench =
        Bench::idle(Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    let (cancelled, done) = (bench.queue("studio").await, bench.queue("studio").await);
    let path = format!("/sitefit/jobs/{cancelled}");
    for _ in 0..2 {
        let answer = bench.ask("delete", &path, "studio", &[], None).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("cancelled")), "{}", answer.text);
    }
    bench.employ();
    bench.until("studio", &done, &["succeeded"]).await;
    let late = bench.ask("delete", &format!("/sitefit/jobs/{done}"), "studio", &[], None).await;
    assert_eq!(late.problem(), (409, "job_over".into()));
    let result = bench.get(&format!("/sitefit/jobs/result/{cancelled}"), "studio").await;
    assert_eq!(result.problem(), (410, "job_cancelled".into()));
    bench.stop().await;
}

#[tokio::test]
async fn pages_follow_one_another_and_a_cursor_that_is_none_is_refused() {
    let bench = Bench::idle(Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    let mut queued = Vec::new();
    for _ in 0..5 {
        queued.push(bench.queue("studio").await);
    }
    queued.reverse();
    let (mut listed, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = bench.get(&format!("/sitefit/jobs?{query}"), "studio").await.json();
        listed.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&cursor={next}");
    }
    assert_eq!(listed, queued);
    for bad in ["cursor=x", "limit=0", "limit=201", "limit=x", "status=done", "nosuch=1"] {
        assert_eq!(
            bench.get(&format!("/sitefit/jobs?{bad}"), "studio").await.problem(),
            (400, "bad_query".into()),
            "{bad}"
        );
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_tenant_that_queues_more_than_its_policy_allows_is_told_when_to_come_back() {
    let setup = Setup { keys: true, rates: true, nodes: vec![simnode::Config::default()], ..Setup::default() };
    let bench = Bench::idle(setup).await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = bench.ask("post", "/sitefit/jobs/run", "studio", &[], Some(&small())).await;
        if answer.status != 202 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!(refused.problem(), (429, "rate_limited".into()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(
        bench.ask("post", "/sitefit/jobs/run", "kiosk", &[], Some(&small())).await.status,
        202,
        "its own bucket"
    );
    bench.stop().await;
}
