//! What a run found, as JSON and as tables for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::histogram::Percentiles;
use super::schedule::Spacing;
use super::tally::Line;
use crate::admin::health::columns;

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) solve: String,
    /// The inputs that differ from request to request.
    pub(super) varied: Vec<String>,
    pub(super) hit_ratio: f64,
    #[serde(flatten)]
    pub(super) arrivals: Arrivals,
    /// How long it sent, in seconds: less than was asked for where it was interrupted.
    pub(super) duration_sec: f64,
    pub(super) seed: u64,
    pub(super) connections_opened: u64,
    pub(super) interrupted: bool,
    pub(super) tenants: BTreeMap<String, Line>,
    pub(super) all: Line,
    /// Jain's index over the tenants' goodput; none for one tenant.
    pub(super) fairness: Option<f64>,
    pub(super) cpu: Option<Cpu>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arrivals {
    Open { rate: f64, spacing: Spacing },
    Closed { callers: usize },
}

/// User and system time of a process during the run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Cpu {
    pub(super) pid: u32,
    pub(super) seconds: f64,
    /// None where nothing was answered.
    pub(super) ms_per_answer: Option<f64>,
}

// === impl Report ===

impl Report {
    pub(super) fn text(&self) -> String {
        let heading = [
            "tenant", "sent", "answered", "2xx", "2xx/s", "p50 ms", "p90", "p99", "max", "wait p50", "p99", "node p50",
            "p99", "codes",
        ];
        let mut rows = vec![heading.map(str::to_owned)];
        rows.extend(self.tenants.iter().map(|(name, line)| row(name, line)));
        if self.tenants.len() > 1 {
            rows.push(row("all", &self.all));
        }
        let mut text = columns(&rows);
        text.push('\n');
        for (name, said) in self.notes() {
            let _ = writeln!(text, "{name:<11}{said}");
        }
        text
    }

    /// What stands below the table: only what there is to say.
    fn notes(&self) -> Vec<(&'static str, String)> {
        let mut notes = Vec::new();
        if let Some(refusal) = &self.all.refusal_ms {
            notes.push(("refusals", percentiles(refusal)));
        }
        if !self.all.cache.is_empty() {
            notes.push(("cache", counts(&self.all.cache)));
        }
        if let Some(fairness) = self.fairness {
            notes.push(("fairness", format!("{fairness:.3} (Jain's index over the tenants' 2xx/s)")));
        }
        if let Some(Cpu { pid, seconds, ms_per_answer }) = self.cpu {
            let each = ms_per_answer.map(|each| format!("{each:.3} ms an answer, ")).unwrap_or_default();
            notes.push(("cpu", format!("{each}{seconds:.2} s in all, of process {pid}")));
        }
        if let (Arrivals::Open { .. }, Some(late)) = (self.arrivals, &self.all.late_ms) {
            notes.push(("sent late", percentiles(late)));
        }
        if self.all.unsent > 0 {
            let unsent = self.all.unsent;
            notes.push((
                "unsent",
                format!("{unsent} that were due: no connection was free. The latencies say too little"),
            ));
        }
        notes
    }
}

fn row(name: &str, line: &Line) -> [String; 14] {
    let cell = |told: &Option<Percentiles>, of: fn(&Percentiles) -> f64| {
        told.as_ref().map_or_else(|| "-".to_owned(), |told| format!("{:.1}", of(told)))
    };
    let latency = &line.latency_ms;
    [
        name.to_owned(),
        line.sent.to_string(),
        line.answered.to_string(),
        line.good.to_string(),
        format!("{:.1}", line.goodput_per_sec),
        cell(latency, |told| told.p50),
        cell(latency, |told| told.p90),
        cell(latency, |told| told.p99),
        cell(latency, |told| told.max),
        cell(&line.wait_ms, |told| told.p50),
        cell(&line.wait_ms, |told| told.p99),
        cell(&line.service_ms, |told| told.p50),
        cell(&line.service_ms, |told| told.p99),
        counts(&line.codes),
    ]
}

fn percentiles(told: &Percentiles) -> String {
    let Percentiles { count, p50, p90, p99, max } = told;
    format!("p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, max {max:.2}, of {count}")
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}
