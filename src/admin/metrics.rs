//! `/metrics`: what Prometheus is told, read off the parts at the moment it asks.
//!
//! Invariant: a scrape changes nothing and waits for nobody, and what has gone from registry and nodes is gone from it, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::health::Status;
use super::{Admin, Health};
use crate::gateway::cache::{self, Cache};
use crate::gateway::slo::Slos;
use crate::nodes::NodeView;
use crate::nodes::node::State;
use crate::registry::Registry;
use crate::seats::{LaneView, View};
use crate::telemetry;
use crate::telemetry::metrics::{self as names, Scrape};
use crate::vitals::{self, TaskState};

const STATES: [State; 6] = [State::Unknown, State::Up, State::Asleep, State::Suspect, State::Down, State::Draining];
/// The pool that every node is in; no label is spelt so.
const ALL_NODES: &str = "*";
const STATUSES: [Status; 4] = [Status::Loading, Status::Ready, Status::Degraded, Status::Refused];

/// All of it, in Prometheus' text format.
pub(super) fn text(admin: &Admin) -> String {
    let sources = &admin.sources;
    let scrape = Scrape::default();
    scrape.gauge(&names::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
    for (app_id, view) in sources.seats.views() {
        seats(&scrape, &app_id, &view);
    }
    if let Some(view) = admin.cache.as_ref().map(Cache::view) {
        cache(&scrape, &view);
    }
    let health = admin.health();
    health.nodes.iter().for_each(|view| node(&scrape, view));
    pools(&scrape, &health, &admin.registry);
    slos(&scrape, &sources.slos);
    versions(&scrape, &health);
    registry(&scrape, &admin.registry);
    let (_refused, shadowed) = sources.buckets.counts();
    scrape.gauge(&names::RATE_BUCKETS, &[], count(sources.buckets.len()));
    scrape.counter(&names::RATE_SHADOWED, &[], shadowed);
    for task in sources.vitals.view() {
        scrape.gauge(&names::TASK_UP, &[&task.name], flag(task.state == TaskState::Running));
    }
    scrape.counter(&names::PANICS, &[], vitals::panics());
    scrape.counter(&names::LOG_LINES_DROPPED, &[], telemetry::dropped_lines());
    let trace::Counts { sent, dropped, failed } = sources.tracer.counts();
    for (outcome, spans) in [("sent", sent), ("dropped", dropped), ("failed", failed)] {
        scrape.counter(&names::SPANS, &[outcome], spans);
    }
    scrape.process();
    // A metric is in one of the two, so the texts can stand one after the other.
    sources.metrics.text() + &scrape.text()
}

fn seats(scrape: &Scrape, app_id: &str, view: &View) {
    scrape.gauge(&names::SEATS_TOTAL_LIMIT, &[app_id], f64::from(view.limit));
    for LaneView { lane, limit, in_use, queued, oldest_wait, tally, .. } in &view.lanes {
        let labels = [app_id, lane.name()];
        scrape.gauge(&names::SEATS_LIMIT, &labels, f64::from(*limit));
        scrape.gauge(&names::SEATS_IN_USE, &labels, f64::from(*in_use));
        scrape.gauge(&names::SEATS_QUEUE, &labels, count(*queued));
        scrape.gauge(&names::SEATS_OLDEST, &labels, oldest_wait.unwrap_or(Duration::ZERO).as_secs_f64());
        let outcomes = [
            ("granted", tally.granted),
            ("refused", tally.refused),
            ("superseded", tally.superseded),
            ("expired", tally.expired),
            ("closed", tally.closed),
            ("shed", tally.shed),
            ("displaced", tally.displaced),
            ("left", tally.left),
        ];
        for (outcome, value) in outcomes {
            scrape.counter(&names::SEATS_ASKED, &[app_id, lane.name(), outcome], value);
        }
    }
}

fn cache(scrape: &Scrape, view: &cache::View) {
    scrape.gauge(&names::FLIGHTS, &[], count(view.flights));
    scrape.gauge(&names::FLIGHTS_WAITING, &[], count(view.waiting));
    for app in &view.apps {
        let app_id = app.app_id.as_str();
        for (outcome, value) in [("hit", app.hits), ("miss", app.misses), ("join", app.joins)] {
            scrape.counter(&names::CACHE_LOOKUPS, &[app_id, outcome], value);
        }
        let shelves = [("preview", app.preview), ("batch", app.batch), ("definition_errors", app.definition_errors)];
        for (shelf, view) in shelves {
            let labels = [app_id, shelf];
            scrape.gauge(&names::CACHE_BYTES, &labels, size(view.bytes));
            scrape.gauge(&names::CACHE_BYTES_LIMIT, &labels, size(view.bytes_max));
            scrape.gauge(&names::CACHE_ENTRIES, &labels, size(view.entries));
            scrape.counter(&names::CACHE_EVICTIONS, &labels, view.evictions);
            scrape.counter(&names::CACHE_CORRUPT, &labels, view.corrupt);
        }
    }
}

fn node(scrape: &Scrape, view: &NodeView) {
    for state in STATES {
        scrape.gauge(&names::NODE_STATE, &[&view.name, state.as_str()], flag(view.state == state));
    }
    let busy = view.slots.saturating_sub(view.free + view.wedged);
    scrape.counter(&names::NODE_EJECTIONS, &[&view.name], view.ejections);
    let again = view.sent_again;
    let whys = [
        ("connection", again.connection),
        ("node", again.node),
        ("definition", again.definition),
        ("canary", again.canary),
    ];
    for (why, sent) in whys {
        scrape.counter(&names::NODE_SENT_AGAIN, &[&view.name, why], sent);
    }
    for (state, slots) in [("free", view.free), ("busy", busy), ("wedged", view.wedged)] {
        scrape.gauge(&names::NODE_SLOTS, &[&view.name, state], f64::from(slots));
    }
}

/// Each pool, so that one without a node that works can be told from one whose nodes are merely busy.
fn pools(scrape: &Scrape, health: &Health, registry: &Registry) {
    let snapshot = registry.current();
    let named = snapshot.apps.values().filter_map(|app| app.policy.as_ref()?.node_pool.as_deref());
    let labelled = health.nodes.iter().flat_map(|node| node.pools.iter().map(String::as_str));
    let pools: BTreeSet<&str> = named.chain(labelled).chain([ALL_NODES]).collect();
    for pool in pools {
        let within = |node: &&NodeView| pool == ALL_NODES || node.pools.iter().any(|label| label == pool);
        for state in STATES {
            let nodes = health.nodes.iter().filter(within).filter(|node| node.state == state).count();
            scrape.gauge(&names::POOL_NODES, &[pool, state.as_str()], count(nodes));
        }
    }
}

fn slos(scrape: &Scrape, slos: &Slos) {
    for (app_id, objective, tally) in slos.tallies() {
        let labels = [app_id.as_str(), objective.promise.as_str()];
        scrape.gauge(&names::SLO_OBJECTIVE, &labels, objective.share);
        if let Some(within) = objective.within {
            scrape.gauge(&names::SLO_WITHIN, &labels, within.as_secs_f64());
        }
        if let Some(tally) = tally {
            scrape.counter(&names::SLO_EVENTS, &labels, tally.events);
            scrape.counter(&names::SLO_GOOD, &labels, tally.good);
        }
    }
}

fn versions(scrape: &Scrape, health: &Health) {
    for app in &health.apps {
        let mut counts: BTreeMap<&str, usize> = STATUSES.iter().map(|status| (status.as_str(), 0)).collect();
        for version in &app.versions {
            *counts.entry(version.status.as_str()).or_default() += 1;
            if version.status != Status::Ready {
                let reason = version.reason.as_ref().map_or("", |reason| reason.code.as_str());
                let labels = [app.app_id.as_str(), &version.version.to_string(), reason];
                scrape.gauge(&names::VERSION_NOT_READY, &labels, 1.0);
            }
        }
        for (status, versions) in counts {
            scrape.gauge(&names::VERSIONS, &[&app.app_id, status], count(versions));
        }
    }
}

fn registry(scrape: &Scrape, registry: &Registry) {
    let (snapshot, followed) = (registry.current(), registry.followed());
    scrape.gauge(&names::REGISTRY_GENERATION, &[], size(snapshot.generation));
    scrape.gauge(&names::REGISTRY_LOADED, &[], snapshot.loaded_at.as_duration().as_secs_f64());
    let stale = followed.stale_since.map_or(0.0, |since| Timestamp::now().duration_since(since).as_secs_f64());
    scrape.gauge(&names::REGISTRY_STALE, &[], stale);
    scrape.gauge(&names::REGISTRY_WATCHED, &[], flag(followed.watched));
    scrape.gauge(&names::REGISTRY_ALARMS, &[], count(snapshot.faults.len() + followed.alarms.len()));
    for (kind, events) in registry.events().counts() {
        scrape.counter(&names::REGISTRY_EVENTS, &[kind.as_str()], events);
    }
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn count(items: usize) -> f64 {
    size(items as u64)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are f64, exact up to 2^53")]
fn size(value: u64) -> f64 {
    value as f64
}
