//! What a worker tells of itself: whether it lives, whether it can work, and figures.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::{Parts, level};

/// From a hit in the cache to the longest job.
const BUCKETS: [f64; 10] = [0.05, 0.2, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0];

/// The figures of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let named = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(named, &BUCKETS);
        // Only an empty list of buckets is refused.
        let recorder = builder.unwrap_or_else(|_empty| PrometheusBuilder::new()).build_recorder();
        let handle = recorder.handle();
        Self { recorder: Arc::new(recorder), handle }
    }
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn ended(&self, app_id: &str, state: &'static str, took: Duration) {
        metrics::with_local_recorder(&*self.recorder, || {
            let app = || ("app_id", app_id.to_owned());
            metrics::counter!("appserver_job_attempts_total", &[app(), ("state", state.to_owned())]).increment(1);
            metrics::histogram!("appserver_job_attempt_seconds", &[app()]).record(took.as_secs_f64());
        });
    }

    pub(crate) fn fenced(&self, app_id: &str) {
        metrics::with_local_recorder(&*self.recorder, || {
            metrics::counter!("appserver_job_fenced_writes_total", "app_id" => app_id.to_owned()).increment(1);
        });
    }

    /// What upkeep has done: so many of one kind.
    pub(crate) fn kept_up(&self, what: &'static str, count: u64) {
        metrics::with_local_recorder(&*self.recorder, || {
            metrics::counter!("appserver_job_upkeep_total", "what" => what).increment(count);
        });
    }

    /// Everything, as Prometheus reads it, with the queues as they are now.
    pub async fn render(&self, parts: &Parts) -> String {
        for app in &parts.apps {
            let Ok(stats) = parts.queue.stats(app).await else { continue };
            metrics::with_local_recorder(&*self.recorder, || gauges(app.as_str(), &stats));
        }
        metrics::with_local_recorder(&*self.recorder, || spans(parts.tracer.counts()));
        if let Some(broker) = &parts.broker {
            metrics::with_local_recorder(&*self.recorder, || {
                for (what, count) in broker.counts().all() {
                    metrics::counter!("appserver_job_messages_total", "what" => what).absolute(count);
                }
            });
        }
        self.handle.run_upkeep();
        self.handle.render()
    }
}

/// What became of spans that were kept.
fn spans(trace::Counts { sent, dropped, failed }: trace::Counts) {
    for (outcome, count) in [("sent", sent), ("dropped", dropped), ("failed", failed)] {
        metrics::counter!("appserver_spans_total", "outcome" => outcome).absolute(count);
    }
}

/// What an autoscaler goes by: how many wait, and for how long the first of them.
#[expect(clippy::cast_precision_loss, reason = "a queue of 2^53 jobs is none")]
fn gauges(app_id: &str, stats: &jobs::Stats) {
    let counts = [("ready", stats.ready), ("scheduled", stats.scheduled), ("held", stats.held), ("dead", stats.dead)];
    for (state, count) in counts {
        metrics::gauge!("appserver_queue_jobs", "app_id" => app_id.to_owned(), "state" => state).set(count as f64);
    }
    let oldest = stats.oldest_age.unwrap_or_default().as_secs_f64();
    metrics::gauge!("appserver_queue_oldest_seconds", "app_id" => app_id.to_owned()).set(oldest);
}

/// `/livez`, `/readyz` and `/metrics`, for a listener of the operators.
pub fn router(parts: Parts, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .merge(level::router())
        .with_state((parts, metrics))
}

async fn readyz(State((parts, _)): State<(Parts, Metrics)>) -> Response {
    let mut queue = true;
    for app in &parts.apps {
        queue = queue && parts.queue.stats(app).await.is_ok();
    }
    let gateway = parts.gateway.ping().await;
    let say = |good: bool| if good { "pass" } else { "fail" };
    let status = if queue && gateway { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("queue {}\ngateway {}\n", say(queue), say(gateway))).into_response()
}

async fn render(State((parts, metrics)): State<(Parts, Metrics)>) -> Response {
    let text = metrics.render(&parts).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
