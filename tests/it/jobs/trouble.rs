//! Jobs whose node fails, hangs or is away: what they end as, after how many attempts.

use std::time::Duration;

use serde_json::json;
use simnode::Fault;

use super::Bench;
use crate::support::Setup;

const SOLVE: &str = "/grasshopper";

async fn bench(edit: impl FnOnce(&mut worker::Bounds)) -> Bench {
    let mut bench =
        Bench::idle(Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    edit(&mut bench.work.bounds);
    bench.employ();
    bench
}

#[tokio::test]
async fn j6_what_the_definition_itself_refuses_fails_at_once_and_is_not_tried_again() {
    let bench = bench(|_| {}).await;
    let errors = vec!["Nothing fits: component \"Item\" (11111111-2222-3333-4444-555555555555)".to_owned()];
    bench.gateway.nodes[0].set_faults(Fault::OkWithErrors { errors }.at(SOLVE)).await;
    let (ended, result) = bench.fate("studio", &["succeeded", "failed", "dead"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("failed"), &json!(1)), "{ended}");
    assert_eq!(
        (&ended["failure"]["code"], &ended["failure"]["retryable"]),
        (&json!("definition_error"), &json!(false))
    );
    assert_eq!(result.problem(), (422, "job_failed".into()), "{}", result.text);
    assert!(result.json()["detail"].as_str().unwrap().starts_with("definition_error: "), "{}", result.text);
    // Nobody else's job is worse off for it.
    bench.gateway.nodes[0].set_faults(vec![]).await;
    assert_eq!(bench.fate("kiosk", &["succeeded", "failed", "dead"]).await.0["status"], "succeeded");
    bench.stop().await;
}

#[tokio::test]
async fn j6_what_the_node_breaks_every_time_is_tried_again_with_a_pause_and_is_dead_then() {
    let bench = bench(|_| {}).await;
    bench.gateway.nodes[0].set_faults(Fault::Reset { byte: 0 }.at(SOLVE)).await;
    let (ended, result) = bench.fate("studio", &["succeeded", "failed", "dead"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("dead"), &json!(2)), "{ended}");
    assert_eq!(ended["failure"]["retryable"], json!(true), "{ended}");
    assert_eq!(result.problem().1, "job_dead", "{}", result.text);
    let time = |name: &str| ended[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let took = time("finished_at").duration_since(time("created_at"));
    assert!(took.as_millis() >= 500, "half a second at least before the second attempt: {took:?}");
    bench.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_longer_than_it_may_is_tried_again_and_is_dead_then() {
    let bench = bench(|bounds| bounds.job_timeout = Duration::from_secs(1)).await;
    bench.gateway.nodes[0].set_faults(Fault::Delay { ms: 5_000 }.at(SOLVE)).await;
    let (ended, _) = bench.fate("studio", &["succeeded", "failed", "dead"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("dead"), &json!(2)), "{ended}");
    let code = ended["failure"]["code"].as_str().unwrap();
    assert!(["job_timeout", "node_timeout"].contains(&code), "{ended}");
    bench.stop().await;
}

#[tokio::test]
async fn j7_a_job_that_runs_is_cancelled_through_its_worker() {
    let bench = bench(|_| {}).await;
    bench.gateway.nodes[0].set_faults(Fault::Delay { ms: 5_000 }.at(SOLVE)).await;
    let job_id = bench.queue("studio").await;
    bench.until("studio", &job_id, &["running"]).await;
    let asked = bench.ask("delete", &format!("/sitefit/jobs/{job_id}"), "studio", &[], None).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let ended = bench.until("studio", &job_id, &["succeeded", "failed", "dead", "cancelled"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("cancelled"), &json!(1)), "{ended}");
    bench.stop().await;
}

#[tokio::test]
async fn queues_are_counted_for_every_app_that_is_used() {
    let bench = Bench::idle(Setup { keys: true, nodes: vec![simnode::Config::default()], ..Setup::default() }).await;
    bench.queue("studio").await;
    let parking = json!({ "definition": "parking", "inputs": {} });
    let refused = bench.ask("post", "/parking/jobs/run", "studio", &[], Some(&parking)).await;
    assert!([202, 422].contains(&refused.status), "{}", refused.text);
    for text in [bench.get("/metrics", "studio").await.text, bench.metrics.render(&bench.work).await] {
        assert!(text.contains("appserver_queue_jobs{app_id=\"sitefit\",state=\"ready\"} 1"), "{text}");
        assert!(text.contains("appserver_queue_jobs{app_id=\"parking\",state=\"ready\"}"), "{text}");
    }
    let ready = bench.get("/readyz", "studio").await;
    assert_eq!((ready.status, ready.text.contains("store pass")), (200, true), "{}", ready.text);
    bench.stop().await;
}
