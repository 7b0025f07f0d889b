//! What a worker tells of itself: whether it lives, whether it can work, and figures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use jobs::{AppId, State as JobState};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use program::operators::Operators;

use crate::gateway::Promises;
use crate::{Parts, level};

/// From a hit in the cache to the longest job.
const BUCKETS: [f64; 12] = [0.05, 0.2, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 300.0, 600.0, 1800.0, 3600.0];

/// The promises about jobs, by the gateway's words.
const SUCCESS: &str = "jobs_success";
const LATENCY: &str = "jobs_latency";

/// The figures of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// What the apps' policies promise of jobs, as the gateway said last.
    promises: Arc<Mutex<BTreeMap<String, Promises>>>,
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
        Self { recorder: Arc::new(recorder), handle, promises: Arc::default() }
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

    /// From now on jobs are held to these promises. Those of the worker's apps are told at once, so that a silent app is seen to be silent.
    pub(crate) fn promise(&self, apps: &[AppId], promises: BTreeMap<String, Promises>) {
        for app in apps {
            let Promises { success, within } = promises.get(app.as_str()).copied().unwrap_or_default();
            let slos = [(success, SUCCESS), (within.is_some(), LATENCY)];
            slos.iter().filter(|(is, _)| *is).for_each(|(_, slo)| self.slo(app.as_str(), slo, 0, 0));
        }
        *self.promises.lock().unwrap_or_else(PoisonError::into_inner) = promises;
    }

    /// A job has come to its end, so long after it was queued.
    pub(crate) fn job_ended(&self, app_id: &str, state: JobState, callers_fault: bool, took: Duration) {
        if matches!(state, JobState::Succeeded | JobState::Failed | JobState::Dead | JobState::Cancelled) {
            let labels = [("app_id", app_id.to_owned()), ("state", state.as_str().to_owned())];
            metrics::with_local_recorder(&*self.recorder, || {
                metrics::histogram!("appserver_job_duration_seconds", &labels).record(took.as_secs_f64());
            });
        }
        let promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner).get(app_id).copied();
        let Some(Promises { success, within }) = promises else { return };
        let succeeded = state == JobState::Succeeded;
        if success && (succeeded || state == JobState::Dead || (state == JobState::Failed && !callers_fault)) {
            self.slo(app_id, SUCCESS, 1, succeeded.into());
        }
        if let Some(within) = within.filter(|_| succeeded) {
            self.slo(app_id, LATENCY, 1, (took <= within).into());
        }
    }

    fn slo(&self, app_id: &str, slo: &'static str, events: u64, good: u64) {
        let labels = [("app_id", app_id.to_owned()), ("slo", slo.to_owned())];
        metrics::with_local_recorder(&*self.recorder, || {
            metrics::counter!("appserver_slo_events_total", &labels).increment(events);
            metrics::counter!("appserver_slo_good_total", &labels).increment(good);
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

/// `/livez`, `/readyz`, `/metrics` and the log level, for a listener of the operators.
pub fn router(parts: Parts, metrics: Metrics, operators: Operators) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .merge(level::router(operators))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_held_to_what_their_app_promises_once_it_is_known() {
        let (metrics, apps) = (Metrics::default(), [AppId::new("roof").unwrap(), AppId::new("shed").unwrap()]);
        let second = Duration::from_secs(1);
        metrics.job_ended("roof", JobState::Succeeded, false, second);
        assert!(!metrics.handle.render().contains("appserver_slo"), "nothing is known to be promised");
        let promises = Promises { success: true, within: Some(second) };
        metrics.promise(&apps, [("roof".to_owned(), promises), ("other".to_owned(), promises)].into());
        let told = |slo: &str| {
            let text = metrics.handle.render();
            let value = |name: &str| {
                let series = format!("appserver_slo_{name}_total{{app_id=\"roof\",slo=\"{slo}\"}} ");
                text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
            };
            assert!(!text.contains("other") && !text.contains("app_id=\"shed\",slo"), "{text}");
            (value("events"), value("good"))
        };
        assert_eq!((told(SUCCESS), told(LATENCY)), ((Some(0), Some(0)), (Some(0), Some(0))), "silence is seen");
        metrics.job_ended("roof", JobState::Succeeded, false, second);
        metrics.job_ended("roof", JobState::Succeeded, false, second * 2);
        metrics.job_ended("roof", JobState::Failed, true, second);
        metrics.job_ended("roof", JobState::Cancelled, false, second);
        metrics.job_ended("roof", JobState::Queued, false, second);
        assert_eq!((told(SUCCESS), told(LATENCY)), ((Some(2), Some(2)), (Some(2), Some(1))));
        metrics.job_ended("roof", JobState::Failed, false, second);
        metrics.job_ended("roof", JobState::Dead, false, second);
        assert_eq!(
            (told(SUCCESS), told(LATENCY)),
            ((Some(4), Some(2)), (Some(2), Some(1))),
            "a failure is no slow job"
        );
    }
}
