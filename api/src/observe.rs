//! What is around every request: its id, its access line, its figures, and the one place that writes an error body.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use jobs::AppId;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::Instant;
use trace::{Context, Kind, Span, Step};
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
            metrics::histogram!("appserver_api_request_seconds", "route" => route.to_owned())
                .record(took.as_secs_f64());
        });
    }
}

/// What a handler finds out for the access line, and where its request stands in a trace.
#[derive(Debug)]
pub(crate) struct Ledger {
    step: Step,
    pub(crate) tenant: OnceLock<String>,
    pub(crate) definition: OnceLock<String>,
    pub(crate) version: OnceLock<String>,
    pub(crate) job_id: OnceLock<String>,
}

tokio::task_local! {
    /// Of the request that the task answers.
    static LEDGER: Arc<Ledger>;
}

/// Adds to the access line of the request that is being answered.
pub(crate) fn note(write: impl FnOnce(&Ledger)) {
    let _ = LEDGER.try_with(|ledger| write(ledger));
}

/// Where the request that is being answered stands in its trace.
pub(crate) fn context() -> Option<Context> {
    LEDGER.try_with(|ledger| ledger.step.context.clone()).ok()
}

pub(crate) async fn observe(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut line = AccessLine::open(api, &request);
    let ledger = Arc::clone(&line.ledger);
    let answered = AssertUnwindSafe(LEDGER.scope(ledger, next.run(request))).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_panic| {
        tracing::error!(request_id = line.request_id, "a panic in a handler");
        Error::Internal.into_response()
    });
    let place = line.ledger.step.context.place;
    let error = response.extensions_mut().remove::<Error>();
    let code = error.as_ref().map_or("ok", |error| error.meaning().code);
    if let Some(error) = error {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.response(&line.request_id, &place.trace_id.hex()).map(Body::from);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&line.request_id).ok().map(|id| (REQUEST_ID, id)));
    place.write(headers);
    line.outcome = Some((response.status(), code));
    // The length of a stream of events is not known.
    line.response_bytes = response.body().size_hint().exact();
    response
}

/// Writes the access line when it is dropped: with the outcome, or as `client_gone` when there is none. The request's span ends with it.
struct AccessLine {
    api: Arc<Api>,
    begin: Instant,
    request_id: String,
    method: Method,
    route: String,
    app_id: String,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
    outcome: Option<(StatusCode, &'static str)>,
    ledger: Arc<Ledger>,
    span: Span,
}

// === impl AccessLine ===

impl AccessLine {
    fn open(api: Arc<Api>, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
        let tracer = &api.parts.tracer;
        let step = tracer.step(Context::received(request.headers()));
        let span = tracer.span("API request", Kind::Server, &step);
        let [tenant, definition, version, job_id] = [const { OnceLock::new() }; 4];
        Self {
            begin: Instant::now(),
            request_id: request_id(request),
            method: request.method().clone(),
            app_id: app_of(&route, request.uri().path()),
            route,
            request_bytes: request.body().size_hint().exact(),
            response_bytes: None,
            outcome: None,
            ledger: Arc::new(Ledger { step, tenant, definition, version, job_id }),
            span,
            api,
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        // 499 is the word of proxies for a caller that left before its answer.
        let gone = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
        let (status, code) = self.outcome.unwrap_or((gone, "client_gone"));
        let took = self.begin.elapsed();
        // What an address calls an app becomes a label only where the gateway knows it, so nobody makes series by inventing names.
        let app_id = if self.api.parts.contracts.is_app(&self.app_id) { self.app_id.as_str() } else { "" };
        self.api.metrics.count(&self.route, app_id, status, code, took);
        let Ledger { step, tenant, definition, version, job_id } = &*self.ledger;
        let texts = [
            ("app_id", Some(app_id).filter(|app_id| !app_id.is_empty())),
            ("tenant", tenant.get().map(String::as_str)),
            ("definition", definition.get().map(String::as_str)),
            ("version", version.get().map(String::as_str)),
            ("job_id", job_id.get().map(String::as_str)),
        ];
        if self.span.step().is_some() {
            let span = &mut self.span;
            span.set("request_id", self.request_id.as_str());
            span.set("http.request.method", self.method.as_str());
            span.set("http.route", self.route.as_str());
            span.set("http.response.status_code", u64::from(status.as_u16()));
            span.set("code", code);
            for (name, text) in texts {
                if let Some(text) = text {
                    span.set(name, text);
                }
            }
            if status.is_server_error() {
                span.fail(code);
            }
        }
        let [app_id, tenant, definition, version, job_id] = texts.map(|(_, text)| text);
        // docs/logs.md tells what each means; a test compares the two.
        tracing::info!(
            target: "api::access",
            request_id = self.request_id,
            trace_id = &*step.context.place.trace_id.hex(),
            span_id = &*step.context.place.span_id.hex(),
            parent_span_id = step.parent.map(trace::SpanId::hex).as_deref(),
            method = self.method.as_str(),
            route = self.route,
            status = status.as_u16(),
            code,
            app_id,
            tenant,
            definition,
            version,
            job_id,
            request_bytes = self.request_bytes,
            response_bytes = self.response_bytes,
            duration_ms = milliseconds(took),
            "request"
        );
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
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
    metrics::with_local_recorder(&api.metrics.recorder, || spans(api.parts.tracer.counts()));
    if let Some(broker) = &api.parts.broker {
        metrics::with_local_recorder(&api.metrics.recorder, || {
            for (what, count) in broker.counts().all() {
                metrics::counter!("appserver_job_messages_total", "what" => what).absolute(count);
            }
        });
    }
    api.metrics.handle.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.handle.render()).into_response()
}

/// What became of spans that were kept.
fn spans(trace::Counts { sent, dropped, failed }: trace::Counts) {
    for (outcome, count) in [("sent", sent), ("dropped", dropped), ("failed", failed)] {
        metrics::counter!("appserver_spans_total", "outcome" => outcome).absolute(count);
    }
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
