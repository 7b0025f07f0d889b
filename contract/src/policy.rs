//! `policy.json`: what an app may use of the gateway and of the nodes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::fault::{self, Fault};
use crate::folder;
use crate::manifest::{SizeLimits, strict_version};
use crate::source::Source;

/// The longest app id: a queue, a container and a DNS label are named after it, with some letters of their own.
pub const APP_ID_BYTES_MAX: usize = 50;

/// Whether a name may be an app's: a letter, then letters, digits and `-`, all of them lower case and ASCII.
pub fn is_app_id(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= APP_ID_BYTES_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The policy of one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub app_id: String,
    /// The definitions that the app may call, its own and other apps'.
    pub allowed_definitions: Vec<String>,
    /// Solves at one time, both lanes together.
    pub max_concurrency: u32,
    pub preview_seats: u32,
    pub batch_seats: u32,
    pub rate_limits: RateLimits,
    #[serde(default)]
    pub manifest_overrides: Overrides,
    #[serde(default)]
    pub aliases: BTreeMap<String, Version>,
    #[serde(default)]
    pub cache: Lanes<Cache>,
    #[serde(default)]
    pub cache_scope: CacheScope,
    #[serde(default)]
    pub queue: Lanes<Queue>,
    /// How many parts of the app's seats a tenant is given while others wait, too; who is not named has one part.
    #[serde(default)]
    pub tenant_weights: BTreeMap<String, NonZeroU32>,
    /// The lower of these and the manifest's holds.
    #[serde(default)]
    pub limits: SizeLimits,
    /// The label of the nodes that solve for the app; none for all.
    #[serde(default)]
    pub node_pool: Option<String>,
    /// Whether versions with script components are refused.
    #[serde(default)]
    pub deny_scripts: bool,
    /// The origins whose pages may call for the app: exact ones, such as `https://studio.example`, or `*` for all.
    #[serde(default)]
    pub cors_origins: Vec<String>,
    /// Who may ask what the app's versions take and give.
    #[serde(default)]
    pub describe: Describe,
    /// Whether limits are only counted, not enforced.
    #[serde(default)]
    pub shadow: bool,
    #[serde(default)]
    pub slo: Slo,
}

/// Admission rates per tenant; both are above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Preview requests a second.
    pub preview_rps: f64,
    /// Batch requests a minute.
    pub batch_jobs_per_min: f64,
}

/// Values that replace the manifest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overrides {
    pub timeout_sec: Option<u32>,
}

/// One value per lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct Lanes<T> {
    pub preview: T,
    pub batch: T,
}

/// What kept answers may take; what is absent is the gateway's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cache {
    pub bytes_max: Option<u64>,
    pub ttl_sec: Option<u64>,
}

/// Who may be given an answer that was kept. Whoever shares answers can tell by their speed that another asked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheScope {
    /// The tenant for whom it was solved.
    #[default]
    Tenant,
    /// Every tenant of the app.
    App,
}

/// Who may read descriptions. Hops sends no key when it asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Describe {
    /// Whoever may use the app.
    #[default]
    Keys,
    /// Everybody.
    Public,
}

/// How many may wait for a seat and how long; what is absent is the gateway's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Queue {
    pub depth_max: Option<u32>,
    pub wait_ms_max: Option<u64>,
}

/// What users are promised; what is absent is not promised.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Slo {
    /// The share of requests answered well, between 0 and 1.
    pub availability: Option<f64>,
    pub preview_p95_ms: Option<u64>,
    pub batch_p95_ms: Option<u64>,
    /// The share of jobs that succeed, of those that did not fail by their caller's own fault.
    pub jobs_success: Option<f64>,
    /// From the moment a job is queued to its end.
    pub jobs_p95_ms: Option<u64>,
}

/// What may be promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    Availability,
    PreviewLatency,
    BatchLatency,
    JobsSuccess,
    JobsLatency,
}

/// One promise in figures: this share of events is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    pub promise: Promise,
    /// Above 0 and below 1.
    pub share: f64,
    /// How long a good one may take, where the promise is about time.
    pub within: Option<Duration>,
}

/// What a 95th percentile promises: so many are at least as fast.
const P95: f64 = 0.95;

// === impl Slo ===

impl Slo {
    /// What is promised, in the order of [`Promise`].
    pub fn objectives(&self) -> impl Iterator<Item = Objective> {
        let share = |promise, share: Option<f64>| share.map(|share| Objective { promise, share, within: None });
        let p95 = |promise, ms: Option<u64>| {
            ms.map(|ms| Objective { promise, share: P95, within: Some(Duration::from_millis(ms)) })
        };
        let all = [
            share(Promise::Availability, self.availability),
            p95(Promise::PreviewLatency, self.preview_p95_ms),
            p95(Promise::BatchLatency, self.batch_p95_ms),
            share(Promise::JobsSuccess, self.jobs_success),
            p95(Promise::JobsLatency, self.jobs_p95_ms),
        ];
        all.into_iter().flatten()
    }
}

// === impl Promise ===

impl Promise {
    /// The word for it in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::PreviewLatency => "preview_latency",
            Self::BatchLatency => "batch_latency",
            Self::JobsSuccess => "jobs_success",
            Self::JobsLatency => "jobs_latency",
        }
    }

    /// Whether it is about jobs, whose ends the gateway does not see.
    pub fn is_of_jobs(self) -> bool {
        matches!(self, Self::JobsSuccess | Self::JobsLatency)
    }
}

// === impl Policy ===

impl Policy {
    /// The part of the app's seats that a tenant is given.
    pub fn weight(&self, tenant: &str) -> NonZeroU32 {
        self.tenant_weights.get(tenant).copied().unwrap_or(NonZeroU32::MIN)
    }

    /// Reads and checks the file; all its faults, which name `file` as it was given.
    pub fn load(file: &Path) -> Result<Self, Vec<Fault>> {
        Self::of(file, &folder::read_file(file).map_err(|fault| vec![fault])?)
    }

    /// Checks a file that was read already; as [`load`](Self::load).
    pub fn of(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        Self::read(&Source::parse(file, bytes).map_err(|fault| vec![fault])?)
    }

    fn read(source: &Source<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = source.check("policy").err().unwrap_or_default();
        faults.extend(alias_faults(source));
        if faults.is_empty() {
            match source.shape::<Self>("policy") {
                Ok(policy) => {
                    policy.check_seats(source, &mut faults);
                    if faults.is_empty() {
                        return Ok(policy);
                    }
                }
                Err(found) => faults.extend(found),
            }
        }
        fault::sort(&mut faults);
        Err(faults)
    }

    /// Seats that add up to more than `max_concurrency` are meant: the lanes share, each up to its own bound.
    /// Refused are numbers that cannot do what they say: a lane larger than the whole, and a whole that the lanes
    /// together cannot reach.
    fn check_seats(&self, source: &Source<'_>, faults: &mut Vec<Fault>) {
        let most = self.max_concurrency;
        for (lane, seats) in [("preview_seats", self.preview_seats), ("batch_seats", self.batch_seats)] {
            if seats > most {
                let message = format!("{lane} is {seats}, but max_concurrency lets only {most} solves run at one time");
                faults.push(source.fault("policy_seats", &format!("/{lane}"), message));
            }
        }
        let all = u64::from(self.preview_seats) + u64::from(self.batch_seats);
        if all < u64::from(most) {
            let message = format!("max_concurrency is {most}, but both lanes together have only {all} seats");
            let help = format!("lower it to {all}, or give a lane more seats");
            faults.push(source.fault("policy_seats", "/max_concurrency", message).help(help));
        }
    }
}

/// Aliases that lead to what is no version.
fn alias_faults(source: &Source<'_>) -> Vec<Fault> {
    let aliases = source.value().get("aliases").and_then(|aliases| aliases.as_object());
    let mut faults = Vec::new();
    for (name, version) in aliases.into_iter().flatten() {
        let unread = version.as_str().and_then(|version| strict_version(version).err());
        let pointer = format!("/aliases/{}", crate::json::spans::escape(name));
        faults.extend(unread.map(|message| source.fault("version_syntax", &pointer, message)));
    }
    faults
}
