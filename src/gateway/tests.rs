//! The path in memory: the order of its refusals, its headers, its panics. The node is a closure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json, value::to_raw_value};
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use super::authorize::{APP_ID, Access};
use super::body::Bounds;
use super::stage::{Timings, full};
use super::*;
use crate::registry::Registry;

pub(super) const KEY: &str = "as_path_test";
/// Of another tenant that may use `sitefit`, too.
pub(super) const OTHER_KEY: &str = "as_other_test";
const RIGHT: &str = r#"{"inputs":{"site_width":30,"site_depth":40}}"#;

/// The sample registry with two tenants that may use `sitefit`, as often as they like, and hold [`KEY`] and [`OTHER_KEY`].
fn registry() -> Registry {
    let folder = tempfile::tempdir().unwrap();
    let (samples, contracts) =
        (concat!(env!("CARGO_MANIFEST_DIR"), "/registry/contracts"), folder.path().join("contracts"));
    assert!(std::process::Command::new("cp").args(["-r", samples]).arg(&contracts).status().unwrap().success());
    let file = contracts.join("sitefit/policy.json");
    let mut policy: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    policy["rate_limits"] = json!({ "preview_rps": 100_000, "batch_jobs_per_min": 1_000_000 });
    std::fs::write(file, policy.to_string()).unwrap();
    let tenant = |key: &str| {
        let digest = contract::Digest::of(key).to_string();
        json!({ "apps": ["sitefit"], "keys": [{ "id": "test", "sha256": digest }] })
    };
    let tenants = json!({ "tenants": { "studio": tenant(KEY), "rival": tenant(OTHER_KEY) } });
    std::fs::write(folder.path().join("tenants.json"), tenants.to_string()).unwrap();
    Registry::open(folder.path()).unwrap()
}

pub(super) fn parts() -> Parts {
    let (nodes, _driver) = Nodes::new(crate::nodes::Options::default()).unwrap();
    let body = Bounds::new(1 << 20, 1 << 20, Duration::from_secs(5), 1024);
    let (registry, seats) = (registry(), Seats::new());
    super::seats::apply(&seats, &registry.current());
    Parts {
        metrics: Metrics::default(),
        tracer: trace::Tracer::default(),
        registry,
        nodes,
        seats,
        access: Access::Keys(None),
        flood: flood::Guard::new(100, 100, Vec::new()),
        buckets: ratelimit::Buckets::default(),
        outcomes: outcomes::Outcomes::default(),
        slos: super::slo::Slos::default(),
        body,
        uri_bytes_max: 4096,
        interpreter: None,
        cache: None,
        recorder: None,
        timeout_max: Duration::from_mins(1),
    }
}

pub(super) fn answer() -> Answer {
    Answer {
        outputs: to_raw_value(&json!({ "gfa": 1.0 })).unwrap().into(),
        warnings: Arc::new([]),
        node: "closure".into(),
        rhino: None,
        timings: Timings::default(),
        trees: None,
        solved_in: None,
    }
}

/// A path whose node gives what the closure gives.
fn ending<F, T>(node: F) -> BoxCloneSyncService<super::Request, Response, Infallible>
where
    F: Fn(Seated) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    path(parts(), service_fn(node))
}

/// A request that is right in every way.
pub(super) fn right() -> Request<String> {
    Request::builder()
        .method(Method::POST)
        .uri("/gh/sitefit:1.0.0/solve")
        .header(header::HOST, "gateway.test")
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .body(RIGHT.to_owned())
        .unwrap()
}

pub(super) fn send(
    path: &BoxCloneSyncService<super::Request, Response, Infallible>,
    request: Request<String>,
) -> impl Future<Output = (u16, http::HeaderMap, Value)> + Send + use<> {
    // Always ready.
    let response = path.clone().call(request.map(full));
    async move {
        let (parts, body) = response.await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

/// Takes the first fault out of a request.
type Mend = fn(&mut Request<String>);

/// One request with every fault at once, mended in the order in which the path finds them.
#[tokio::test(start_paused = true)]
async fn faults_are_found_in_the_order_of_what_they_cost() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let path = ending(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => Err(Error::VersionDegraded { definition: "x".into(), version: "1".into(), missing: vec![] }),
                1 => {
                    tokio::time::sleep(Duration::from_hours(1)).await;
                    Ok(answer())
                }
                _ => Ok(answer()),
            }
        }
    });
    let mut request = Request::new("{".to_owned());
    *request.uri_mut() = "/gh/nosuch/solve?x=1".parse().unwrap();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert("x-timeout-sec", HeaderValue::from_static("never"));
    headers.insert(APP_ID, HeaderValue::from_static("parking"));

    let steps: &[(&str, u16, Mend)] = &[
        ("bad_request", 400, |r| drop(r.headers_mut().insert(header::HOST, HeaderValue::from_static("gateway.test")))),
        ("unknown_route", 404, |r| *r.uri_mut() = "/gh/nosuch:8.8.8/solve?x=1".parse().unwrap()),
        ("method_not_allowed", 405, |r| *r.method_mut() = Method::POST),
        ("bad_query", 400, |r| *r.uri_mut() = "/gh/nosuch:8.8.8/solve?lane=batch".parse().unwrap()),
        ("unauthenticated", 401, |r| {
            r.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {KEY}")).unwrap());
        }),
        ("app_forbidden", 403, |r| drop(r.headers_mut().remove(APP_ID))),
        ("unknown_definition", 404, |r| *r.uri_mut() = "/gh/sitefit:8.8.8/solve".parse().unwrap()),
        ("unknown_version", 404, |r| *r.uri_mut() = "/gh/sitefit:1.0.0/solve".parse().unwrap()),
        ("unsupported_encoding", 415, |r| {
            r.headers_mut().remove(header::CONTENT_ENCODING);
            *r.body_mut() = " ".repeat(2 << 20);
        }),
        ("body_too_large", 413, |r| *r.body_mut() = "{".into()),
        ("bad_json", 400, |r| *r.body_mut() = r#"{"Pointer":1,"app_id":"parking","inputs":{"nosuch":1}}"#.into()),
        ("unknown_member", 400, |r| *r.body_mut() = r#"{"app_id":"parking","inputs":{"nosuch":1}}"#.into()),
        ("app_mismatch", 400, |r| *r.body_mut() = r#"{"version":"1.1.0","inputs":{"nosuch":1}}"#.into()),
        ("definition_mismatch", 400, |r| *r.body_mut() = r#"{"inputs":{"nosuch":1}}"#.into()),
        ("invalid_inputs", 422, |r| *r.body_mut() = RIGHT.into()),
        ("bad_request", 400, |r| drop(r.headers_mut().insert("x-timeout-sec", HeaderValue::from_static("0.5")))),
        ("version_degraded", 503, |_| ()),
        ("deadline_exceeded", 504, |_| ()),
    ];
    for (code, status, mend) in steps {
        let (found, _, body) = send(&path, request.clone()).await;
        assert_eq!((found, body["code"].as_str()), (*status, Some(*code)), "{body}");
        mend(&mut request);
    }
    let (status, _, body) = send(&path, request).await;
    assert_eq!((status, &body["outputs"]), (200, &json!({ "gfa": 1.0 })));
    assert_eq!(calls.load(Ordering::SeqCst), 3, "nothing that was refused reached the node");
}

#[tokio::test]
async fn a_panic_is_one_500_with_the_request_id_and_no_cause() {
    let path = ending(|_| async { panic!("secret of the inside") });
    let mut request = right();
    request.headers_mut().insert("x-request-id", HeaderValue::from_static("mine-1"));
    let (status, headers, body) = send(&path, request).await;
    assert_eq!((status, body["code"].as_str()), (500, Some("internal")));
    assert_eq!(
        (&headers["x-request-id"], &body["request_id"]),
        (&HeaderValue::from_static("mine-1"), &json!("mine-1"))
    );
    assert!(!body.to_string().contains("secret"));
    let path = ending(|_| async { Ok(answer()) });
    assert_eq!(send(&path, right()).await.0, 200);
}

#[tokio::test]
async fn s4_a_panic_at_any_depth_costs_one_request_and_no_seat() {
    for cached in [false, true] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let bounds = cache::LaneBounds { bytes_max: 1 << 20, ttl: Duration::from_mins(1) };
        let bounds = cache::Bounds {
            preview: bounds,
            batch: bounds,
            failure_ttl: Duration::from_mins(1),
            followers_max: 8,
            bodies_bytes_max: 1 << 20,
            timeout_max: Duration::from_mins(1),
        };
        let parts = Parts { cache: cached.then(|| cache::Cache::new(bounds)), ..parts() };
        let (seats, outcomes) = (parts.seats.clone(), parts.outcomes.clone());
        let path = path(
            parts,
            service_fn(move |_| {
                let call = counted.fetch_add(1, Ordering::SeqCst);
                // In the call itself, and in its future.
                assert!(call != 0, "a defect");
                async move {
                    tokio::task::yield_now().await;
                    assert!(call > 3, "a defect");
                    Ok(answer())
                }
            }),
        );
        for call in 0..6 {
            let (status, _, body) = send(&path, right()).await;
            assert_eq!(status, if call < 4 { 500 } else { 200 }, "{body}");
        }
        let view = seats.view("sitefit").unwrap();
        assert_eq!(view.in_use, 0);
        assert!(view.lanes.iter().all(|lane| lane.queued == 0));
        let counts = outcomes.counts();
        assert_eq!((counts.received, counts.under_way), (6, 0));
        assert_eq!((counts.ended["internal"], counts.ended["ok"]), (4, 2));
    }
}

#[tokio::test]
async fn a_request_id_that_could_forge_a_log_line_is_replaced() {
    let path = ending(|_| async { Ok(answer()) });
    for evil in ["a b", "x;y", "\u{e9}", ""] {
        let mut request = right();
        request.headers_mut().insert("x-request-id", HeaderValue::from_bytes(evil.as_bytes()).unwrap());
        let (_, headers, _) = send(&path, request).await;
        let id = headers["x-request-id"].to_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_least_of_all_patiences_is_the_deadline() {
    let path = ending(|seated: Seated| async move {
        let allowed = seated.due().by().saturating_duration_since(seated.due().solve().ticket().arrived);
        let outputs = to_raw_value(&json!({ "allowed": allowed.as_secs_f64() })).unwrap().into();
        Ok(Answer { outputs, ..answer() })
    });
    let allowed = |request| async {
        let (_, _, body) = send(&path, request).await;
        body["outputs"]["allowed"].as_f64().unwrap()
    };
    let of_contract = allowed(right()).await;
    assert!(of_contract > 0.0 && of_contract <= 60.0, "{of_contract}");
    let mut hasty = right();
    hasty.headers_mut().insert("x-timeout-sec", HeaderValue::from_static("0.25"));
    assert!((allowed(hasty).await - 0.25).abs() < 1e-9);
    let mut patient = right();
    patient.headers_mut().insert("x-timeout-sec", HeaderValue::from_static("86400"));
    assert!((allowed(patient).await - of_contract).abs() < 1e-9, "a caller cannot grant itself more");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut_and_gives_its_budget_back() {
    let parts = parts();
    let budget = Arc::clone(&parts.body.in_flight);
    let before = budget.available_permits();
    let path = path(parts, service_fn(|_: Seated| async { Ok(answer()) }));
    let drip = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Some((
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(http_body::Frame::data(bytes::Bytes::from_static(b" "))),
            (),
        ))
    });
    let request = right().map(|_| http_body_util::StreamBody::new(drip).boxed_unsync());
    let response = path.oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 408);
    assert_eq!(budget.available_permits(), before);
}

#[tokio::test]
async fn bodies_over_the_budget_in_flight_are_told_to_come_back() {
    let mut parts = parts();
    parts.body = Bounds::new(1 << 20, 0, Duration::from_secs(5), 1024);
    let path = path(parts, service_fn(|_: Seated| async { Ok(answer()) }));
    let (status, headers, body) = send(&path, right()).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("overloaded")));
    assert_eq!(headers[header::RETRY_AFTER], "1");
}

#[test]
fn every_code_is_one_word_and_one_meaning() {
    // A code that two errors shared would tell callers less than it says; the compiler holds the rest of the table.
    let source = include_str!("error.rs");
    let mut codes: Vec<&str> = source.split("say(").skip(1).filter_map(|call| call.split('"').nth(1)).collect();
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
