//! The compat matrix: which version can be solved where, and what is missing, as JSON and as a text table.
//!
//! Invariant: it reads the snapshot and what is known of the nodes; it asks nobody.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use contract::fault::Fault;
use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::promises;
use crate::gateway::slo::{self, Slos};
use crate::nodes::{NodeView, Nodes, Warmth};
use crate::registry::{App, Registry, Release, State};

/// The body of `/health/registry`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// Of the gateway's program; none where it is older than this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appserver: Option<String>,
    pub status: Overall,
    /// The digest of the snapshot.
    pub snapshot: String,
    pub generation: u64,
    pub loaded_at: Timestamp,
    /// Whether the folder cannot be read, or is empty, so that what serves may be old.
    #[serde(default)]
    pub stale: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Timestamp>,
    /// What the last look at the folder failed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_error: Option<String>,
    pub apps: Vec<AppHealth>,
    pub nodes: Vec<NodeView>,
    /// What lies in the registry and is not taken: it should not be there, or what it was before keeps serving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Every version is ready.
    Pass,
    /// Something serves, something does not.
    Warn,
    /// Nothing serves.
    Fail,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppHealth {
    pub app_id: String,
    pub aliases: BTreeMap<String, Version>,
    pub versions: Vec<VersionHealth>,
    /// What the policy promises, and how much of it this gateway has kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<slo::View>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionHealth {
    pub definition: String,
    pub version: Version,
    pub status: Status,
    pub since: Timestamp,
    /// Of the version's files; none where they could not be taken for a contract.
    pub digest: Option<String>,
    pub requires_plugins_hash: Option<String>,
    pub nodes_ready: usize,
    pub nodes_total: usize,
    pub missing_plugins: Vec<String>,
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The contract is right; what the nodes have, or what its examples come to, is not known yet.
    Loading,
    /// At least one node attests, and the version's examples come to what they should.
    Ready,
    /// No node has what the version needs, or it contradicts its own examples.
    Degraded,
    /// The contract is wrong.
    Refused,
}

/// Why something is not ready, and where to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<u32>,
}

// === impl Health ===

impl Health {
    pub fn of(registry: &Registry, nodes: &Nodes) -> Self {
        let (snapshot, followed) = (registry.current(), registry.followed());
        let apps: Vec<AppHealth> = snapshot.apps.values().map(|app| AppHealth::of(app, nodes)).collect();
        let mut health = Self {
            appserver: Some(env!("CARGO_PKG_VERSION").to_owned()),
            status: Overall::Pass,
            snapshot: snapshot.digest.to_string(),
            generation: snapshot.generation,
            loaded_at: snapshot.loaded_at,
            stale: followed.stale_since.is_some(),
            stale_since: followed.stale_since,
            reload_error: followed.error,
            apps,
            nodes: nodes.view(),
            strays: snapshot.faults.iter().chain(&followed.alarms).map(Reason::of_fault).collect(),
        };
        let all_ready = health.versions().all(|version| version.status == Status::Ready)
            && health.strays.is_empty()
            && !health.stale;
        health.status = match (health.serves(), all_ready) {
            (false, _) => Overall::Fail,
            (true, false) => Overall::Warn,
            (true, true) => Overall::Pass,
        };
        health
    }

    /// With what came of the promises.
    #[must_use]
    pub fn with_slos(mut self, slos: &Slos) -> Self {
        let mut views = slos.views();
        for app in &mut self.apps {
            app.slo = views.remove(&app.app_id).unwrap_or_default();
        }
        self
    }

    /// Whether any version can be solved.
    pub fn serves(&self) -> bool {
        self.versions().any(|version| version.status == Status::Ready)
    }

    fn versions(&self) -> impl Iterator<Item = &VersionHealth> {
        self.apps.iter().flat_map(|app| &app.versions)
    }

    /// The matrix for people: one line a version, columns aligned; below it what each app promises and how much of its budget is left.
    pub fn table(&self) -> String {
        let heading = ["app_id", "version", "alias", "requires_plugins_hash", "status", "nodes", "reason"];
        let mut rows = vec![heading.map(str::to_owned)];
        for app in &self.apps {
            rows.extend(app.versions.iter().map(|version| app.row(version)));
        }
        let mut table = columns(&rows);
        if let (Some(since), error) = (self.stale_since, self.reload_error.as_deref().unwrap_or("no reason is known")) {
            let _ = writeln!(table, "\nstale since {since}: {error}");
        }
        for stray in &self.strays {
            let _ = writeln!(table, "\n{}", stray.in_full());
        }
        let promised = promises::rows(&self.apps);
        if !promised.is_empty() {
            let _ = write!(table, "\n{}", promises::table(&promised));
        }
        table
    }
}

// === impl AppHealth ===

impl AppHealth {
    fn of(app: &App, nodes: &Nodes) -> Self {
        let nodes = &nodes.within(app.policy.as_ref().and_then(|policy| policy.node_pool.as_deref()));
        let aliases = app.aliases(|contract| nodes.attestation(contract).is_ready());
        let versions = app.releases.values().map(|release| VersionHealth::of(release, nodes)).collect();
        Self { app_id: app.app_id.clone(), aliases, versions, slo: Vec::new() }
    }

    fn row(&self, version: &VersionHealth) -> [String; 7] {
        let aliases = self.aliases.iter().filter(|(_, target)| **target == version.version);
        let aliases: Vec<&str> = aliases.map(|(alias, _)| alias.as_str()).collect();
        // Enough of the hash to tell two apart at a glance; the JSON has it whole.
        let hash = version.requires_plugins_hash.as_deref().unwrap_or_default();
        let hash: String = hash.trim_start_matches("sha256:").chars().take(8).collect();
        [
            self.app_id.clone(),
            version.version.to_string(),
            aliases.join(","),
            if hash.is_empty() { String::new() } else { format!("{hash}…") },
            version.status.as_str().to_owned(),
            format!("{}/{}", version.nodes_ready, version.nodes_total),
            version.reason.as_ref().map(Reason::in_full).unwrap_or_default(),
        ]
    }
}

// === impl VersionHealth ===

impl VersionHealth {
    fn of(release: &Release, nodes: &Nodes) -> Self {
        let of_version = |status, reason| Self {
            definition: release.definition().to_owned(),
            version: release.version.clone(),
            status,
            since: release.since,
            digest: None,
            requires_plugins_hash: None,
            nodes_ready: 0,
            nodes_total: nodes.len(),
            missing_plugins: Vec::new(),
            reason,
        };
        match &release.state {
            State::Refused(refused) => of_version(Status::Refused, refused.faults.first().map(Reason::of_fault)),
            State::Loaded(contract) => {
                let attestation = nodes.attestation(contract);
                let (status, reason) = if attestation.ready > 0 {
                    of_warmth(&attestation.warmth)
                } else if attestation.total == 0 && !nodes.is_empty() {
                    let message = "no node has the label that the app's policy names as `node_pool`".to_owned();
                    (Status::Degraded, Some(Reason::of_code("pool_empty", message)))
                } else if attestation.known == 0 {
                    (
                        Status::Loading,
                        Some(Reason::of_code("nodes_unknown", "no node has told yet what it has".to_owned())),
                    )
                } else {
                    let message = format!("missing {}", attestation.missing.join(", "));
                    (Status::Degraded, Some(Reason::of_code("plugins_missing", message)))
                };
                Self {
                    digest: Some(contract.digest.to_string()),
                    requires_plugins_hash: Some(contract.requires_plugins_hash.to_string()),
                    nodes_ready: attestation.ready,
                    nodes_total: attestation.total,
                    missing_plugins: attestation.missing,
                    ..of_version(status, reason)
                }
            }
        }
    }
}

/// What a version is where nodes attest it.
fn of_warmth(warmth: &Warmth) -> (Status, Option<Reason>) {
    let reason = |code, message: &str| Some(Reason::of_code(code, message.to_owned()));
    match warmth {
        Warmth::Warm => (Status::Ready, None),
        Warmth::Cold => (Status::Loading, reason("warming", "its examples have not been solved yet")),
        Warmth::Mismatch { message } => (Status::Degraded, reason("golden_mismatch", message)),
        Warmth::Broken { message } => (Status::Degraded, reason("example_failed", message)),
    }
}

// === impl Status ===

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Refused => "refused",
        }
    }
}

// === impl Reason ===

impl Reason {
    fn of_code(code: &str, message: String) -> Self {
        Self { code: code.to_owned(), message, file: None, line: None }
    }

    fn of_fault(fault: &Fault) -> Self {
        Self {
            code: fault.rule.to_owned(),
            message: fault.message.clone(),
            file: Some(fault.file.display().to_string()),
            line: Some(fault.line),
        }
    }

    /// The message, with its place before it where it has one.
    fn in_full(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", self.message),
            (Some(file), None) => format!("{file}: {}", self.message),
            (None, _) => self.message.clone(),
        }
    }
}

/// Rows as columns, each as wide as its widest cell, two spaces apart, nothing at a line's end.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut table = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}
