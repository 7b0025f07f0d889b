//! What is around every request: its id, its access line, its figures, and the one place that writes an error body.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jobs::AppId;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Api, Error};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;
/// From a look-up to a `Prefer: wait` of a minute.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// The figures of one API.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new() -> Self {
        let named = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new();
        // Only an empty list of buckets is refused.
        let builder = builder.set_buckets_for_metric(named, &BUCKETS).unwrap_or_else(|_empty| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    fn count(&self, route: &str, app_id: &str, status: StatusCode, code: &'static str, took: Duration) {
        metrics::with_local_recorder(&self.recorder, || {
            let labels = [
                ("route", route.to_owned()),
                ("app_id", app_id.to_owned()),
                ("status", status.as_u16().to_string()),
                ("code", code.to_owned()),
            ];
            metrics::counter!("appserver_api_requests_total", &labels).increment(1);
            let labels = [("route", route.to_owned()), ("app_id", app_id.to_owned())];
            metrics::histogram!("appserver_api_request_seconds", &labels).record(took.as_secs_f64());
        });
    }
}

pub(crate) async fn observe(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // What an address calls an app becomes a label only where the gateway knows it, so nobody makes series by inventing names.
    let app_id = app_of(&route, request.uri().path());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_panic| {
        tracing::error!(request_id = id, "a panic in a handler");
        Error::Internal.into_response()
    });
    let error = response.extensions_mut().remove::<Error>();
    let code = error.as_ref().map_or("ok", |error| error.meaning().code);
    if let Some(error) = error {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.response(&id).map(Body::from);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    response.headers_mut().extend(HeaderValue::from_str(&id).ok().map(|id| (REQUEST_ID, id)));
    let (status, took) = (response.status(), begin.elapsed());
    let app_id = if api.parts.contracts.is_app(&app_id) { app_id } else { String::new() };
    api.metrics.count(&route, &app_id, status, code, took);
    tracing::info!(request_id = id, %method, route, app_id, status = status.as_u16(), code, ms = took.as_secs_f64() * 1e3, "request");
    response
}

/// The caller's own id, if it is one that may stand in a log, else a new one.
fn request_id(request: &Request) -> String {
    let fits = |text: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=REQUEST_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
    };
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(fits);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn app_of(route: &str, path: &str) -> String {
    let first = path.split('/').nth(1).unwrap_or_default();
    if route.starts_with("/{app_id}") { first.chars().take(64).collect() } else { String::new() }
}

pub(crate) async fn livez() -> &'static str {
    "alive\n"
}

/// Whether jobs can be taken: the store answers, and tokens can be checked. The gateway may be away for a while.
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> Response {
    let (store, keys, gateway) =
        tokio::join!(api.parts.store.ping(), api.parts.verifier.is_ready(), api.parts.contracts.ping());
    let say = |good: bool| if good { "pass" } else { "fail" };
    let (store, ready) = (store.is_ok(), keys);
    let status = if store && ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = format!("store {}\nkeys {}\ngateway {}\n", say(store), say(ready), say(gateway));
    (status, text).into_response()
}

pub(crate) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let known = || api.parts.contracts.known_apps().iter().filter_map(|app| AppId::new(app).ok()).collect();
    let apps: Vec<AppId> = api.parts.only.as_ref().map_or_else(known, |only| vec![only.clone()]);
    for app in &apps {
        let Ok(stats) = api.parts.queue.stats(app).await else { continue };
        metrics::with_local_recorder(&api.metrics.recorder, || jobs_gauges(app.as_str(), &stats));
    }
    api.metrics.handle.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.handle.render()).into_response()
}

#[expect(clippy::cast_precision_loss, reason = "a queue of 2^53 jobs is none")]
fn jobs_gauges(app_id: &str, stats: &jobs::Stats) {
    let counts = [("ready", stats.ready), ("scheduled", stats.scheduled), ("held", stats.held), ("dead", stats.dead)];
    for (state, count) in counts {
        metrics::gauge!("appserver_queue_jobs", "app_id" => app_id.to_owned(), "state" => state).set(count as f64);
    }
    let oldest = stats.oldest_age.unwrap_or_default().as_secs_f64();
    metrics::gauge!("appserver_queue_oldest_seconds", "app_id" => app_id.to_owned()).set(oldest);
}
