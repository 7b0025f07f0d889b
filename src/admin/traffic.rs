//! `/admin/traffic`: what became of requests, who runs and who waits, and whether the gateway's own tasks are well.
//!
//! Invariant: it reads counters, and asks nobody.

use std::fmt::Write as _;

use serde::Serialize;
use trace::Tracer;

use super::health::columns;
use crate::gateway::cache::Cache;
use crate::gateway::outcomes::{Counts, Outcomes};
use crate::gateway::ratelimit::Buckets;
use crate::gateway::record::Recorder;
use crate::nodes::Nodes;
use crate::seats::{Lane, LaneView, Seats};
use crate::telemetry::metrics::Metrics;
use crate::vitals::{self, TaskView, Vitals};

/// Where the counts are.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub tracer: Tracer,
    pub outcomes: Outcomes,
    pub metrics: Metrics,
    pub seats: Seats,
    pub buckets: Buckets,
    pub vitals: Vitals,
    /// The sample of inputs, where one is kept.
    pub recorder: Option<Recorder>,
}

/// The body of `/admin/traffic`. Counts are since the start.
#[derive(Debug, Clone, Serialize)]
pub struct Traffic {
    pub requests: Counts,
    pub apps: Vec<AppTraffic>,
    /// Solves that wait for a node's slot.
    pub slots_waiting: LaneCounts,
    /// Solves under way that others may join, and callers that wait for them; none where there is no cache.
    pub flights: Option<Flights>,
    pub tasks: Vec<TaskView>,
    pub panics: u64,
}

/// An app's seats.
#[derive(Debug, Clone, Serialize)]
pub struct AppTraffic {
    pub app_id: String,
    pub seats: u32,
    pub in_use: u32,
    pub preview: LaneTraffic,
    pub batch: LaneTraffic,
}

/// A lane's seats, and how asks for one have ended: `asked` is the sum of the others and of those who wait.
#[derive(Debug, Clone, Serialize)]
pub struct LaneTraffic {
    pub seats: u32,
    pub in_use: u32,
    pub waiting: usize,
    /// So slow that the newest go first.
    pub newest_first: bool,
    pub oldest_wait_ms: Option<u64>,
    pub mean_service_ms: Option<u64>,
    pub asked: u64,
    pub granted: u64,
    pub refused: u64,
    pub superseded: u64,
    pub expired: u64,
    pub closed: u64,
    /// The longest waiters of a line that had become too slow.
    pub shed: u64,
    /// Another tenant with fewer waiters got the place.
    pub displaced: u64,
    /// Callers that went away while they waited.
    pub left: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LaneCounts {
    pub preview: usize,
    pub batch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flights {
    pub solves: usize,
    pub callers: usize,
}

// === impl Traffic ===

impl Traffic {
    pub(super) fn of(sources: &Sources, nodes: &Nodes, cache: Option<&Cache>) -> Self {
        let apps = sources.seats.views().into_iter().map(|(app_id, view)| {
            let [preview, batch] = view.lanes.map(|lane| LaneTraffic::of(&lane));
            AppTraffic { app_id, seats: view.limit, in_use: view.in_use, preview, batch }
        });
        let [preview, batch] = nodes.waiting();
        Self {
            requests: sources.outcomes.counts(),
            apps: apps.collect(),
            slots_waiting: LaneCounts { preview, batch },
            flights: cache.map(|cache| {
                let view = cache.view();
                Flights { solves: view.flights, callers: view.waiting }
            }),
            tasks: sources.vitals.view(),
            panics: vitals::panics(),
        }
    }

    /// For people: the apps as a table, then the rest in lines.
    pub(super) fn table(&self) -> String {
        let heading = ["app_id", "lane", "seats", "in_use", "waiting", "granted", "refused", "expired", "left"];
        let mut rows = vec![heading.map(str::to_owned)];
        for app in &self.apps {
            for (lane, of) in [(Lane::Preview, &app.preview), (Lane::Batch, &app.batch)] {
                let counts = [of.granted, of.refused, of.expired + of.superseded + of.closed + of.shed, of.left];
                let [granted, refused, expired, left] = counts.map(|count| count.to_string());
                let (seats, in_use, waiting) = (of.seats.to_string(), of.in_use.to_string(), of.waiting.to_string());
                let (app, lane) = (app.app_id.clone(), lane.name().to_owned());
                rows.push([app, lane, seats, in_use, waiting, granted, refused, expired, left]);
            }
        }
        let mut table = columns(&rows);
        let Counts { received, under_way, ended } = &self.requests;
        let _ = writeln!(table, "\nrequests: {received} received, {under_way} under way");
        for (code, count) in ended {
            let _ = writeln!(table, "  {code} {count}");
        }
        let LaneCounts { preview, batch } = self.slots_waiting;
        let _ = writeln!(table, "waiting for a slot: {preview} preview, {batch} batch");
        for task in self.tasks.iter().filter(|task| task.falls > 0) {
            let _ = writeln!(table, "task {}: {:?}, has panicked {} times", task.name, task.state, task.falls);
        }
        let _ = writeln!(table, "panics: {}", self.panics);
        table
    }
}

// === impl LaneTraffic ===

impl LaneTraffic {
    fn of(lane: &LaneView) -> Self {
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let tally = lane.tally;
        Self {
            seats: lane.limit,
            in_use: lane.in_use,
            waiting: lane.queued,
            newest_first: lane.newest_first,
            oldest_wait_ms: lane.oldest_wait.map(ms),
            mean_service_ms: lane.mean_service.map(ms),
            asked: tally.asked,
            granted: tally.granted,
            refused: tally.refused,
            superseded: tally.superseded,
            expired: tally.expired,
            closed: tally.closed,
            shed: tally.shed,
            displaced: tally.displaced,
            left: tally.left,
        }
    }
}
