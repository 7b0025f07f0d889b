//! From two looks at a gateway's counters to what happened between them.
//!
//! Invariant: pure. What nothing happened of has no figure: none is not zero.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scrape::Scrape;
use crate::telemetry::metrics;

/// Codes of requests that went well, or whose caller did not wait.
const WELL: [&str; 3] = ["ok", "not_modified", "client_gone"];
/// Codes that are answered with status 429.
const LIMITED: [&str; 2] = ["rate_limited", "address_limited"];
/// Kinds of failure that are told by name.
const FAILURES: usize = 6;

/// All that is shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Figures {
    pub(super) gateway: Gateway,
    pub(super) apps: Vec<App>,
    pub(super) nodes: Vec<Node>,
    /// The most frequent failures of the window, with their rate.
    pub(super) failures: Vec<Failure>,
}

/// The gateway as a whole. Rates are per second, over `window_sec`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Gateway {
    pub(super) version: Option<String>,
    pub(super) window_sec: f64,
    pub(super) up_sec: Option<f64>,
    pub(super) requests_per_sec: f64,
    /// Solves under way that equal ones join.
    pub(super) flights: f64,
    pub(super) generation: f64,
    pub(super) stale_sec: f64,
    pub(super) panics: f64,
    pub(super) tasks_down: Vec<String>,
    pub(super) resident_bytes: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "`app_id` is what it is called everywhere")]
pub(super) struct App {
    pub(super) app_id: String,
    pub(super) preview: Lane,
    pub(super) batch: Lane,
    pub(super) requests_per_sec: f64,
    /// Of solves that could be kept, the share answered from the cache or by another's solve; none where there were none.
    pub(super) cache_share: Option<f64>,
    pub(super) p50_sec: Option<f64>,
    pub(super) p95_sec: Option<f64>,
    /// Answers that were failures, without those of a limit.
    pub(super) errors_per_sec: f64,
    /// Answers with status 429.
    pub(super) limited_per_sec: f64,
    /// Versions that are not ready.
    pub(super) not_ready: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct Lane {
    pub(super) seats: f64,
    pub(super) in_use: f64,
    pub(super) waiting: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) free: f64,
    pub(super) busy: f64,
    pub(super) wedged: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) per_sec: f64,
}

/// What rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Sort {
    /// Requests per second.
    #[default]
    Rate,
    /// Name.
    App,
    /// Seats in use.
    Seats,
    /// Solves that wait for a seat.
    Queue,
    /// The slowest twentieth.
    P95,
    /// Failures, limits among them.
    Errors,
}

impl Figures {
    /// What happened from `old` to `new`, `seconds` later; `now` is in seconds since 1970.
    pub(super) fn between(old: &Scrape, new: &Scrape, seconds: f64, now: f64) -> Self {
        let window = Window { old, new, seconds: seconds.max(0.001) };
        let of = |name: &str, label: &str| {
            let words = new.of(name).iter().filter_map(|series| series.label(label));
            words.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
        };
        Self {
            gateway: window.gateway(now),
            apps: of(metrics::SEATS_TOTAL_LIMIT.name, "app_id").iter().map(|app_id| window.app(app_id)).collect(),
            nodes: of(metrics::NODE_STATE.name, "node").iter().map(|name| window.node(name)).collect(),
            failures: window.failures(),
        }
    }

    /// Orders the rows; equal ones by name.
    pub(super) fn sort(&mut self, by: Sort) {
        let most = |a: f64, b: f64| b.total_cmp(&a);
        self.apps.sort_by(|a, b| {
            let order = match by {
                Sort::App => std::cmp::Ordering::Equal,
                Sort::Rate => most(a.requests_per_sec, b.requests_per_sec),
                Sort::Seats => most(a.in_use(), b.in_use()),
                Sort::Queue => most(a.waiting(), b.waiting()),
                Sort::P95 => most(a.p95_sec.unwrap_or(-1.0), b.p95_sec.unwrap_or(-1.0)),
                Sort::Errors => most(a.errors_per_sec + a.limited_per_sec, b.errors_per_sec + b.limited_per_sec),
            };
            order.then_with(|| a.app_id.cmp(&b.app_id))
        });
    }
}

impl App {
    pub(super) fn in_use(&self) -> f64 {
        self.preview.in_use + self.batch.in_use
    }

    pub(super) fn waiting(&self) -> f64 {
        self.preview.waiting + self.batch.waiting
    }
}

/// Whether the counters of `new` cannot have come from those of `old`: the gateway began anew in between.
pub(super) fn restarted(old: &Scrape, new: &Scrape) -> bool {
    let begun = |scrape: &Scrape| scrape.value("process_start_time_seconds", &[]);
    let total = |scrape: &Scrape| scrape.sum(metrics::REQUESTS.name, &[]);
    begun(old) != begun(new) || total(new) < total(old)
}

struct Window<'s> {
    old: &'s Scrape,
    new: &'s Scrape,
    seconds: f64,
}

impl Window<'_> {
    fn gateway(&self, now: f64) -> Gateway {
        let new = self.new;
        let gauge = |name| new.value(name, &[]).unwrap_or_default();
        let build = new.of(metrics::BUILD.name).first().and_then(|series| series.label("version"));
        let tasks = new.of(metrics::TASK_UP.name).iter().filter(|series| series.value == 0.0);
        Gateway {
            version: build.map(str::to_owned),
            window_sec: self.seconds,
            up_sec: new.value("process_start_time_seconds", &[]).map(|begun| (now - begun).max(0.0)),
            requests_per_sec: self.rate(metrics::REQUESTS.name, &[]),
            flights: gauge(metrics::FLIGHTS.name),
            generation: gauge(metrics::REGISTRY_GENERATION.name),
            stale_sec: gauge(metrics::REGISTRY_STALE.name),
            panics: gauge(metrics::PANICS.name),
            tasks_down: tasks.filter_map(|series| series.label("task")).map(str::to_owned).collect(),
            resident_bytes: new.value("process_resident_memory_bytes", &[]),
        }
    }

    fn app(&self, app_id: &str) -> App {
        let app = ("app_id", app_id);
        let lane = |lane| {
            let gauge = |name| self.new.value(name, &[app, ("lane", lane)]).unwrap_or_default();
            let (seats, in_use) = (gauge(metrics::SEATS_LIMIT.name), gauge(metrics::SEATS_IN_USE.name));
            Lane { seats, in_use, waiting: gauge(metrics::SEATS_QUEUE.name) }
        };
        let requests = self.rate(metrics::REQUESTS.name, &[app]);
        let of_codes = |codes: &[&str]| -> f64 {
            codes.iter().map(|code| self.rate(metrics::REQUESTS.name, &[app, ("code", code)])).sum()
        };
        let (well, limited) = (of_codes(&WELL), of_codes(&LIMITED));
        let lookups = |outcome| self.delta(metrics::CACHE_LOOKUPS.name, &[app, ("outcome", outcome)]);
        let (kept, misses) = (lookups("hit") + lookups("join"), lookups("miss"));
        let buckets = self.buckets(app);
        App {
            app_id: app_id.to_owned(),
            preview: lane("preview"),
            batch: lane("batch"),
            requests_per_sec: requests,
            cache_share: (kept + misses > 0.0).then(|| kept / (kept + misses)),
            p50_sec: quantile(0.5, &buckets),
            p95_sec: quantile(0.95, &buckets),
            errors_per_sec: (requests - well - limited).max(0.0),
            limited_per_sec: limited,
            not_ready: u32::try_from(
                self.new.of(metrics::VERSION_NOT_READY.name).iter().filter(|series| series.has(&[app])).count(),
            )
            .unwrap_or(u32::MAX),
        }
    }

    fn node(&self, name: &str) -> Node {
        let states = self.new.of(metrics::NODE_STATE.name).iter();
        let mut states = states.filter(|series| series.has(&[("node", name)]) && series.value > 0.0);
        let slots = |state| self.new.value(metrics::NODE_SLOTS.name, &[("node", name), ("state", state)]);
        let [free, busy, wedged] = ["free", "busy", "wedged"].map(|state| slots(state).unwrap_or_default());
        let state = states.find_map(|series| series.label("state")).unwrap_or("unknown").to_owned();
        Node { name: name.to_owned(), state, free, busy, wedged }
    }

    fn failures(&self) -> Vec<Failure> {
        let mut by_code: BTreeMap<&str, f64> = BTreeMap::new();
        for series in self.new.of(metrics::REQUESTS.name) {
            if let Some(code) = series.label("code").filter(|code| !WELL.contains(code)) {
                by_code.entry(code).or_insert_with(|| self.rate(metrics::REQUESTS.name, &[("code", code)]));
            }
        }
        let failures = by_code.into_iter().filter(|(_, per_sec)| *per_sec > 0.0);
        let mut failures: Vec<Failure> =
            failures.map(|(code, per_sec)| Failure { code: code.to_owned(), per_sec }).collect();
        failures.sort_by(|a, b| b.per_sec.total_cmp(&a.per_sec));
        failures.truncate(FAILURES);
        failures
    }

    fn delta(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        (self.new.sum(name, labels) - self.old.sum(name, labels)).max(0.0)
    }

    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.delta(name, labels) / self.seconds
    }

    /// How many solves of the window took at most how long, both lanes together.
    fn buckets(&self, app: (&str, &str)) -> Vec<(f64, f64)> {
        let name = format!("{}_bucket", metrics::REQUEST_SECONDS.name);
        let bounds =
            self.new.of(&name).iter().filter(|series| series.has(&[app])).filter_map(|series| series.label("le"));
        let mut bounds: Vec<&str> = bounds.collect();
        bounds.sort_unstable();
        bounds.dedup();
        let bucket = |le: &&str| Some((le.parse::<f64>().ok()?, self.delta(&name, &[app, ("le", *le)])));
        let mut buckets: Vec<(f64, f64)> = bounds.iter().filter_map(bucket).collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

/// As Prometheus' `histogram_quantile` does: evenly within a bucket; what is beyond the last bound is told as that bound.
fn quantile(share: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let rank = share * all;
    let (mut below, mut before) = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= rank {
            if bound.is_infinite() {
                return Some(below);
            }
            let within = if count > before { (rank - before) / (count - before) } else { 1.0 };
            return Some(below + (bound - below) * within);
        }
        (below, before) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "process_start_time_seconds 100\n\
        appserver_requests_total{app_id=\"sitefit\",lane=\"preview\",code=\"ok\"} 10\n";
    const NEW: &str = "process_start_time_seconds 100\nappserver_build_info{version=\"0.1.0\"} 1\n\
        appserver_requests_total{app_id=\"sitefit\",lane=\"preview\",code=\"ok\"} 28\n\
        appserver_requests_total{app_id=\"sitefit\",lane=\"preview\",code=\"rate_limited\"} 4\n\
        appserver_requests_total{app_id=\"sitefit\",lane=\"batch\",code=\"app_busy\"} 2\n\
        appserver_concurrency_limit{app_id=\"sitefit\"} 2\nappserver_concurrency_limit{app_id=\"parking\"} 1\n\
        appserver_seats_limit{app_id=\"sitefit\",lane=\"preview\"} 1\nappserver_seats_in_use{app_id=\"sitefit\",lane=\"preview\"} 1\n\
        appserver_seats_queue{app_id=\"sitefit\",lane=\"preview\"} 3\n\
        appserver_cache_lookups_total{app_id=\"sitefit\",outcome=\"hit\"} 9\nappserver_cache_lookups_total{app_id=\"sitefit\",outcome=\"miss\"} 3\n\
        appserver_request_duration_seconds_bucket{app_id=\"sitefit\",lane=\"preview\",le=\"1\"} 90\n\
        appserver_request_duration_seconds_bucket{app_id=\"sitefit\",lane=\"preview\",le=\"2\"} 100\n\
        appserver_request_duration_seconds_bucket{app_id=\"sitefit\",lane=\"preview\",le=\"+Inf\"} 100\n\
        appserver_node_state{node=\"a\",state=\"up\"} 0\nappserver_node_state{node=\"a\",state=\"down\"} 1\n\
        appserver_node_slots{node=\"a\",state=\"wedged\"} 1\n";

    #[test]
    fn two_looks_tell_what_happened_between_them() {
        let (old, new) = (Scrape::parse(OLD), Scrape::parse(NEW));
        assert!(!restarted(&old, &new) && restarted(&new, &old));
        let mut figures = Figures::between(&old, &new, 2.0, 160.0);
        figures.sort(Sort::Rate);
        let [sitefit, parking] = &figures.apps[..] else { panic!("{figures:?}") };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(sitefit.requests_per_sec, 12.0) && close(sitefit.limited_per_sec, 2.0), "{sitefit:?}");
        assert!(close(sitefit.errors_per_sec, 1.0) && close(sitefit.cache_share.unwrap(), 0.75), "{sitefit:?}");
        assert!(close(sitefit.p95_sec.unwrap(), 1.5) && close(sitefit.waiting(), 3.0), "{sitefit:?}");
        assert_eq!((parking.app_id.as_str(), parking.cache_share, parking.p95_sec), ("parking", None, None));
        assert_eq!((figures.nodes[0].state.as_str(), figures.gateway.up_sec), ("down", Some(60.0)));
        let codes: Vec<&str> = figures.failures.iter().map(|failure| failure.code.as_str()).collect();
        assert_eq!(codes, ["rate_limited", "app_busy"]);
        figures.sort(Sort::App);
        assert_eq!(figures.apps[0].app_id, "parking");
    }

    #[test]
    fn the_codes_of_status_429_are_those_of_the_docs() {
        let rows = include_str!("../../../docs/errors.md").lines().filter(|line| line.contains("` | 429 |"));
        let codes: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(codes, LIMITED);
    }
}
