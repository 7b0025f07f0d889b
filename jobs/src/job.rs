//! What a job is: a solve to be made once, later, for one tenant in one app.
//!
//! Invariant: what is to be solved never changes after the job was made: its version is exact and its inputs are complete.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Scope, State};

/// The most bytes of inputs that a row carries; more goes into an artifact.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The most artifacts that one result refers to.
pub const ARTIFACTS_MAX: usize = 256;

/// A job's name: a version 7 UUID, so that ids made later sort later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) Uuid);

/// One job, as its tenant may see it.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    pub id: JobId,
    pub scope: Scope,
    pub definition: String,
    /// Exact: an alias was resolved when the job was made.
    pub version: String,
    /// Of the contract that the inputs were checked by.
    pub digest: String,
    pub inputs: Inputs,
    pub state: State,
    /// Claims so far, this one included. What was given back is not counted.
    pub attempts: u32,
    pub attempts_max: u32,
    /// Somebody cancelled it while a worker had it: it ends as `cancelled`.
    pub cancel_requested: bool,
    pub created_at: Timestamp,
    /// Not claimed before this time.
    pub due_at: Timestamp,
    /// When the newest attempt's solve was started.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub result: Option<ResultRef>,
    /// Of the newest attempt that failed.
    pub failure: Option<Failure>,
    /// W3C `traceparent` of the request that made it.
    pub traceparent: Option<String>,
    /// And its `tracestate`.
    pub tracestate: Option<String>,
    pub idempotency_key: Option<String>,
}

/// What is needed to make a job.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Made by the caller, so that inputs by reference can be stored under it before the row is.
    pub id: JobId,
    pub definition: String,
    pub version: String,
    pub digest: String,
    pub inputs: Inputs,
    pub idempotency: Option<Idempotency>,
    pub attempts_max: u32,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

/// A caller's word for "the same request", scoped by tenant and app, and kept as long as the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// Of everything in the request that decides what the job is.
    pub request_digest: String,
}

/// The inputs of a solve, defaults filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inputs {
    /// Kept byte by byte: numbers are not parsed on their way.
    Inline(Box<RawValue>),
    /// In an artifact, because they are large.
    Artifact(Artifact),
}

/// A blob that a job refers to. It is stored before the row that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// `artifacts/<app_id>/<job_id>/…`
    pub path: String,
    /// `sha256:` and the hexadecimal digest of the content.
    pub digest: String,
    pub bytes: u64,
    pub media_type: String,
}

/// Where the result of a job lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResultRef {
    pub artifacts: Vec<Artifact>,
    /// Of the whole answer.
    pub digest: String,
    /// The gateway's receipt, as it was.
    pub receipt: Option<Box<RawValue>>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A word of `docs/errors.md`.
    pub code: String,
    pub message: String,
    /// Whether another attempt may fare better.
    pub retryable: bool,
}

// === impl JobId ===

impl JobId {
    /// A new name.
    #[expect(clippy::new_without_default, reason = "a name that is new each time is no default")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(out)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    /// Reads the hyphenated form only, so that a job has one spelling in addresses.
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        let hyphenated: uuid::fmt::Hyphenated = text.parse()?;
        Ok(Self(hyphenated.into_uuid()))
    }
}

// === impl Inputs ===

impl Inputs {
    /// Inputs from JSON text; refuses what is no JSON.
    pub fn inline(json: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(json).map(Self::Inline)
    }
}
