//! Every metric: its name, its labels and what it counts, and the two ways in which values reach a scrape.
//!
//! Invariant: label values come from the registry, the nodes and closed enums of ours, never from a request, so that no caller can
//! add a series. `docs/metrics.md` has a row for each metric; a test compares the two.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Seconds. From what a kept answer takes to the longest solve; 2 s and 5 s are what objectives are usually about.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 100.0];

/// What kind of series it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// The labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it counts, in which unit.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// Declares the metrics, and the list of them all.
macro_rules! table {
    ($($constant:ident = $metric:expr;)*) => {
        $(pub const $constant: Metric = $metric;)*
        /// Every metric of the gateway.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

table! {
    BUILD = gauge("appserver_build_info", &["version"], "1, with the version of the program.");

    REQUESTS = counter(
        "appserver_requests_total",
        &["app_id", "lane", "code"],
        "Requests that ended, by the code of their access line: `ok`, `not_modified`, a code of docs/errors.md, or `client_gone`. \
         What was refused before its app was known has no app_id."
    );
    REQUEST_SECONDS = histogram(
        "appserver_request_duration_seconds",
        &["app_id", "lane"],
        "Seconds from a solve's arrival to its answer, of solves that were answered with outputs."
    );
    SEAT_WAIT_SECONDS = histogram(
        "appserver_seat_wait_seconds",
        &["app_id", "lane"],
        "Seconds that solves waited for a seat which they got."
    );
    NODE_SECONDS = histogram(
        "appserver_node_solve_seconds",
        &["app_id", "lane"],
        "Seconds from the first byte to a node to the last byte from it, of solves that were answered in time. Its sum is what an app \
         cost in node time, late and failed solves aside."
    );

    NODE_CPU_SECONDS = histogram(
        "appserver_node_cpu_seconds",
        &["app_id", "lane"],
        "Processor seconds that nodes say a solve took, where they meter (Rhino-Compute-Cpu-Seconds): one for each answer of a node, late and \
         failed ones among them. Its sum is what an app cost in processor time."
    );

    SLO_OBJECTIVE = gauge(
        "appserver_slo_objective",
        &["app_id", "slo"],
        "The share of good events that the policy's `slo` promises: availability, preview_latency, batch_latency, jobs_success, jobs_latency."
    );
    SLO_WITHIN = gauge("appserver_slo_within_seconds", &["app_id", "slo"], "Seconds within which an event is good, where the promise is about time.");
    SLO_EVENTS = counter(
        "appserver_slo_events_total",
        &["app_id", "slo"],
        "What a promise is about, counted once when its outcome was known: solves here, jobs at the workers. What failed by its caller's own fault is not in it."
    );
    SLO_GOOD = counter("appserver_slo_good_total", &["app_id", "slo"], "Those of them that were as promised, by the threshold that held for each.");

    SEATS_LIMIT = gauge("appserver_seats_limit", &["app_id", "lane"], "Seats that the policy gives the lane.");
    SEATS_IN_USE = gauge("appserver_seats_in_use", &["app_id", "lane"], "Seats that are taken.");
    SEATS_TOTAL_LIMIT =
        gauge("appserver_concurrency_limit", &["app_id"], "Solves that the policy lets the app run at once, both lanes together.");
    SEATS_QUEUE = gauge("appserver_seats_queue", &["app_id", "lane"], "Solves that wait for a seat.");
    SEATS_OLDEST =
        gauge("appserver_seats_oldest_wait_seconds", &["app_id", "lane"], "Seconds that the longest waiter has waited; 0 where none waits.");
    SEATS_ASKED = counter(
        "appserver_seats_asked_total",
        &["app_id", "lane", "outcome"],
        "Solves that asked for a seat, by how that ended: granted, refused, superseded, expired, closed, shed, displaced, left."
    );

    CACHE_LOOKUPS = counter(
        "appserver_cache_lookups_total",
        &["app_id", "outcome"],
        "Solves that could be kept: answered by a `hit`, solved as a `miss`, or answered by another's solve as a `join`."
    );
    CACHE_BYTES = gauge("appserver_cache_bytes", &["app_id", "shelf"], "Bytes that kept answers take, by shelf: preview, batch, definition_errors.");
    CACHE_BYTES_LIMIT = gauge("appserver_cache_bytes_limit", &["app_id", "shelf"], "Bytes that they may take.");
    CACHE_ENTRIES = gauge("appserver_cache_entries", &["app_id", "shelf"], "Answers that are kept.");
    CACHE_EVICTIONS = counter("appserver_cache_evictions_total", &["app_id", "shelf"], "Answers that were pushed out for want of space.");
    CACHE_CORRUPT =
        counter("appserver_cache_corrupt_total", &["app_id", "shelf"], "Answers that did not match their checksum. Anything but 0 means bad memory or a defect.");
    FLIGHTS = gauge("appserver_flights", &[], "Solves under way that equal ones join.");
    FLIGHTS_WAITING = gauge("appserver_flights_waiting", &[], "Callers that wait for them.");

    NODE_STATE = gauge("appserver_node_state", &["node", "state"], "1 for the state that the node is in: unknown, up, asleep, suspect, down, draining.");
    NODE_SLOTS =
        gauge("appserver_node_slots", &["node", "state"], "Slots of the node: `free` ones may be taken now, `wedged` ones are held past a deadline, `busy` are the rest.");

    NODE_EJECTIONS = counter("appserver_node_ejections_total", &["node"], "Times that the node was taken out of service for failed solves.");
    NODE_SENT_AGAIN = counter(
        "appserver_node_sent_again_total",
        &["node", "why"],
        "Requests that were sent once more, by what made it necessary: `connection`, the node had closed an idle one before anything was \
         written; `node`, nothing could reach this one, so another was asked; `definition`, the node did not hold it; `canary`, a solve that \
         went well before, to see whether the node solves."
    );
    POOL_NODES = gauge(
        "appserver_pool_nodes",
        &["pool", "state"],
        "Nodes with the label, by their state; the pool `*` is all nodes. A pool that a policy names is told where no node has the label, too."
    );

    VERSIONS = gauge("appserver_versions", &["app_id", "status"], "Versions of the app, by status: loading, ready, degraded, refused.");
    VERSION_NOT_READY = gauge(
        "appserver_version_not_ready",
        &["app_id", "version", "reason"],
        "1 for a version that is not ready, with the code of the reason. There is no series for those that are."
    );
    REGISTRY_GENERATION = gauge("appserver_registry_generation", &[], "The number of the snapshot that serves, from 1.");
    REGISTRY_LOADED = gauge("appserver_registry_loaded_timestamp_seconds", &[], "When that snapshot came into force, in seconds since 1970.");
    REGISTRY_STALE = gauge("appserver_registry_stale_seconds", &[], "Seconds since when the registry's folder cannot be read; 0 while it can.");
    REGISTRY_WATCHED = gauge("appserver_registry_watched", &[], "1 while the file system tells of changes; 0 where the poll alone finds them.");
    REGISTRY_ALARMS = gauge("appserver_registry_alarms", &[], "Things that lie in the registry and are not taken.");
    REGISTRY_EVENTS = counter("appserver_registry_events_total", &["kind"], "Events of the registry, by kind: docs/reload.md.");

    TASK_UP = gauge("appserver_task_up", &["task"], "1 while a task that lives as long as the gateway runs; 0 while it has fallen and waits for its next start, or stays down.");
    PANICS = counter("appserver_panics_total", &[], "Panics since the start. Anything but 0 is a defect of the gateway.");

    LOG_LINES_DROPPED = counter(
        "appserver_log_lines_dropped_total",
        &[],
        "Log lines that standard error took too slowly or not at all. No request waits for them."
    );

    SPANS = counter(
        "appserver_spans_total",
        &["outcome"],
        "Spans that were kept, by what became of them: `sent`, `dropped` for want of room in the queue, or `failed` where the collector \
         refused them or was away. No request waits for any of it."
    );

    RATE_BUCKETS = gauge("appserver_rate_limit_buckets", &[], "Callers whose rate limit is not whole.");
    RATE_SHADOWED = counter("appserver_rate_limit_shadowed_total", &[], "Requests that a policy which is not in `shadow` would have refused.");
}

/// The values that the path reports as things happen. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    counters: Arc<Series<Counter>>,
    histograms: Arc<Series<Histogram>>,
}

/// The series that were written to, found again by name and label values without making their key anew for each request. As many
/// as the recorder has.
struct Series<H> {
    hasher: RandomState,
    found: RwLock<HashMap<u64, Vec<Found<H>>>>,
}

struct Found<H> {
    name: &'static str,
    labels: Box<[Box<str>]>,
    handle: H,
}

/// The values that are read off the parts when somebody asks. Nothing of an earlier scrape is in it.
pub struct Scrape {
    recorder: PrometheusRecorder,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let recorder = recorder();
        let handle = recorder.handle();
        Self { recorder: Arc::new(recorder), handle, counters: Arc::default(), histograms: Arc::default() }
    }
}

impl Metrics {
    /// Counts one.
    pub fn count(&self, metric: &Metric, labels: &[&str]) {
        let make = || self.recorder.register_counter(&key(metric, labels), &METADATA);
        self.counters.with(metric, labels, make, |counter| counter.increment(1));
    }

    /// Notes how long something took.
    pub fn took(&self, metric: &Metric, labels: &[&str], time: Duration) {
        let make = || self.recorder.register_histogram(&key(metric, labels), &METADATA);
        self.histograms.with(metric, labels, make, |histogram| histogram.record(time.as_secs_f64()));
    }

    /// Folds the values noted since into their buckets. Called now and then by one task, so that they do not pile up where
    /// nobody asks.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// All of it, in Prometheus' text format.
    pub fn text(&self) -> String {
        self.handle.render()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

// === impl Series ===

impl<H> Default for Series<H> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), found: RwLock::default() }
    }
}

impl<H> Series<H> {
    fn with(&self, metric: &Metric, labels: &[&str], make: impl FnOnce() -> H, write: impl FnOnce(&H)) {
        let hash = self.hasher.hash_one((metric.name, labels));
        let same = |found: &&Found<H>| {
            found.name == metric.name && found.labels.iter().map(|label| &**label).eq(labels.iter().copied())
        };
        let known = self.found.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&hash).and_then(|few| few.iter().find(same)) {
            return write(&found.handle);
        }
        drop(known);
        // Two that come here at once are given the same series by the recorder.
        let handle = make();
        write(&handle);
        let owned = labels.iter().map(|label| Box::from(*label)).collect();
        let mut known = self.found.write().unwrap_or_else(PoisonError::into_inner);
        let few = known.entry(hash).or_default();
        if !few.iter().any(|found| same(&found)) {
            few.push(Found { name: metric.name, labels: owned, handle });
        }
    }
}

// === impl Scrape ===

impl Default for Scrape {
    fn default() -> Self {
        Self { recorder: recorder() }
    }
}

impl Scrape {
    pub fn gauge(&self, metric: &Metric, labels: &[&str], value: f64) {
        self.recorder.register_gauge(&key(metric, labels), &METADATA).set(value);
    }

    /// A count that is kept elsewhere.
    pub fn counter(&self, metric: &Metric, labels: &[&str], value: u64) {
        self.recorder.register_counter(&key(metric, labels), &METADATA).absolute(value);
    }

    /// What this process takes: processor seconds, memory, file descriptors, when it started.
    pub fn process(&self) {
        metrics::with_local_recorder(&self.recorder, || {
            let collector = metrics_process::Collector::default();
            collector.describe();
            collector.collect();
        });
    }

    pub fn text(&self) -> String {
        self.recorder.handle().render()
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

const METADATA: Metadata<'static> = Metadata::new("appserver", Level::INFO, None);

/// A label without a value is left out: Prometheus takes the two for the same.
fn key(metric: &Metric, values: &[&str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "{} has its labels", metric.name);
    let labels = metric.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let labels: Vec<Label> = labels.map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(metric.name, labels)
}

fn recorder() -> PrometheusRecorder {
    let recorder = builder().expect("the buckets are not empty").build_recorder();
    for metric in ALL {
        let (name, help) = (metric.name.into(), metric.help.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
    recorder
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let histograms = ALL.iter().filter(|metric| metric.kind == Kind::Histogram);
    histograms.into_iter().try_fold(PrometheusBuilder::new(), |builder, metric| {
        builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), &SECONDS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_says_what_it_was_told_and_nothing_of_the_last_one() {
        let scrape = Scrape::default();
        scrape.gauge(&SEATS_IN_USE, &["sitefit", "batch"], 2.0);
        scrape.counter(&CACHE_LOOKUPS, &["sitefit", "hit"], 7);
        let text = scrape.text();
        assert!(text.contains("appserver_seats_in_use{app_id=\"sitefit\",lane=\"batch\"} 2"), "{text}");
        assert!(text.contains("appserver_cache_lookups_total{app_id=\"sitefit\",outcome=\"hit\"} 7"), "{text}");
        assert!(text.contains("# HELP appserver_cache_lookups_total "), "{text}");
        assert!(!Scrape::default().text().contains("sitefit"));
    }

    #[test]
    fn times_go_into_buckets_that_can_be_added_up() {
        let metrics = Metrics::default();
        metrics.took(&REQUEST_SECONDS, &["sitefit", "preview"], Duration::from_millis(1500));
        metrics.count(&REQUESTS, &["", "", "unauthenticated"]);
        metrics.upkeep();
        let text = metrics.text();
        let bucket = |le| {
            format!("appserver_request_duration_seconds_bucket{{app_id=\"sitefit\",lane=\"preview\",le=\"{le}\"}}")
        };
        assert!(text.contains(&format!("{} 0", bucket("1"))) && text.contains(&format!("{} 1", bucket("2"))), "{text}");
        assert!(text.contains("appserver_requests_total{code=\"unauthenticated\"} 1"), "{text}");
    }

    #[test]
    fn names_say_their_unit_and_kind() {
        for Metric { name, kind, help, .. } in ALL {
            assert!(name.starts_with("appserver_") && help.ends_with('.'), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        }
    }
}
