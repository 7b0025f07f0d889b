//! One attempt at a job, from its claim to what is written of it.
//!
//! Invariant: artifacts are stored before the row that names them, and the result is recorded once, with the lease's token; a lease
//! that is not trusted any more writes nothing.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use contract::Digest;
use jiff::Timestamp;
use jobs::artifacts::Error as Unread;
use jobs::{Abandon, Claimed, Error, Failure, Inputs, Job, Outcome, ResultRef, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trace::{Context, Kind, Span, Step, Tracer};

use crate::Parts;
use crate::gateway::{Answer, request_id};
use crate::health::Metrics;
use crate::lease::{Keeper, Stop};
use crate::verdict::{self, Verdict, backoff, jittered};

/// The artifact that holds what a solve gave.
const OUTPUTS: &str = "outputs.json";
/// Inputs come through the API, which takes less.
const INPUTS_BYTES_MAX: u64 = 64 << 20;
/// How often a last word is said to a store that does not answer, with pauses from 100 ms doubled: 3 s in all.
const WRITES_MAX: u32 = 5;

/// What makes attempts.
pub(crate) struct Attempt {
    pub(crate) parts: Arc<Parts>,
    pub(crate) metrics: Metrics,
    /// The process cannot wait any longer.
    pub(crate) give_up: CancellationToken,
}

/// What is to be written of the job.
#[derive(Debug)]
enum Word {
    Complete(Outcome),
    /// It would fail the same way again; whether by its caller's own fault.
    Fail {
        failure: Failure,
        callers_fault: bool,
    },
    Abandon(Abandon),
    Bury(Failure),
    /// The lease is lost, and with it the right to say anything.
    Nothing,
}

/// What the line of an attempt tells that is found out on its way.
#[derive(Debug, Default)]
struct Ledger {
    /// How long the gateway took for its answer.
    gateway: OnceLock<Duration>,
    told: OnceLock<Told>,
    result_bytes: OnceLock<usize>,
}

/// What the gateway's receipt says of how the answer came to be.
#[derive(Debug, Deserialize)]
struct Told {
    node: Option<String>,
    cache: Option<String>,
}

/// Where an attempt stands in the trace of the request that made its job.
struct Trace {
    step: Step,
    waited: Duration,
    span: Span,
}

#[derive(Debug, Serialize)]
struct Solved<'s> {
    outputs: &'s RawValue,
    warnings: &'s RawValue,
}

// === impl Attempt ===

impl Attempt {
    /// Makes the attempt and writes what came of it.
    pub(crate) async fn make(self, claimed: Claimed) {
        let begin = Instant::now();
        let bounds = self.parts.bounds;
        let Claimed { job, lease } = claimed;
        let keeper = Keeper::start(Arc::clone(&self.parts.queue), lease, bounds.lease, bounds.renew_every);
        let mut trace = Trace::begin(&self.parts.tracer, &job);
        let ledger = Ledger::default();
        let word = self.work(&job, &keeper, &trace.step.context, &ledger).await;
        let code = word.code();
        let said = self.say(&keeper, &word).await;
        let state = match &said {
            Ok(Some(state)) => state.as_str(),
            Ok(None) | Err(Error::Fenced) => "lost",
            Err(_) => "unwritten",
        };
        if matches!(said, Err(Error::Fenced)) {
            self.metrics.fenced(job.scope.app.as_str());
        }
        if let Ok(Some(state)) = said {
            let callers_fault = matches!(word, Word::Fail { callers_fault: true, .. });
            let queued_for = Timestamp::now().duration_since(job.created_at).unsigned_abs();
            self.metrics.job_ended(job.scope.app.as_str(), state, callers_fault, queued_for);
        }
        self.metrics.ended(job.scope.app.as_str(), state, begin.elapsed());
        trace.end(&job, state, &code);
        // docs/logs.md tells what each means; a test compares the two.
        tracing::info!(
            target: "worker::access",
            request_id = request_id(&job),
            trace_id = &*trace.step.context.place.trace_id.hex(),
            span_id = &*trace.step.context.place.span_id.hex(),
            parent_span_id = trace.step.parent.map(trace::SpanId::hex).as_deref(),
            app_id = job.scope.app.as_str(),
            tenant = job.scope.tenant.as_str(),
            job_id = %job.id,
            definition = job.definition,
            version = job.version,
            attempt = job.attempts,
            state,
            code,
            node = ledger.told.get().and_then(|told| told.node.as_deref()),
            cache = ledger.told.get().and_then(|told| told.cache.as_deref()),
            result_bytes = ledger.result_bytes.get(),
            duration_ms = milliseconds(begin.elapsed()),
            queue_wait_ms = milliseconds(trace.waited),
            gateway_ms = ledger.gateway.get().copied().map(milliseconds),
            "attempt"
        );
    }

    async fn work(&self, job: &Job, keeper: &Keeper, trace: &Context, ledger: &Ledger) -> Word {
        match self.parts.queue.start(&keeper.lease()).await {
            Ok(()) => {}
            Err(Error::Fenced) => return Word::Nothing,
            Err(error) => return undone(&error),
        }
        let timeout = self.parts.bounds.job_timeout;
        tokio::select! {
            // A stop is seen before an answer that came at the same moment.
            biased;
            stop = keeper.stopped() => match stop {
                Stop::Cancelled => Word::Complete(Outcome::Cancelled),
                Stop::Lost => Word::Nothing,
            },
            () = self.give_up.cancelled() => Word::Abandon(Abandon::Return),
            solved = tokio::time::timeout(timeout, self.solve(job, trace, ledger)) => {
                solved.unwrap_or_else(|_late| {
                    let message = format!("it took longer than {} s", timeout.as_secs());
                    retry(job, Failure { code: "job_timeout".to_owned(), message, retryable: true }, Duration::ZERO)
                })
            }
        }
    }

    async fn solve(&self, job: &Job, trace: &Context, ledger: &Ledger) -> Word {
        let inputs = match self.inputs(job).await {
            Ok(inputs) => inputs,
            Err(word) => return word,
        };
        let bounds = self.parts.bounds;
        loop {
            let (gateway, begin) = (&self.parts.gateway, Instant::now());
            match gateway.solve(job, &inputs, bounds.job_timeout, bounds.answer_bytes_max, trace).await {
                Ok(answer) => {
                    let _ = ledger.gateway.set(begin.elapsed());
                    let told = answer.receipt.as_ref().and_then(|receipt| serde_json::from_str(receipt.get()).ok());
                    let _ = told.map(|told| ledger.told.set(told));
                    return self.keep(job, answer, ledger).await;
                }
                Err(refusal) => match verdict::of(refusal) {
                    Verdict::Wait(wait) => tokio::time::sleep(wait + jittered(wait / 4)).await,
                    Verdict::Retry { failure, at_least } => return retry(job, failure, at_least),
                    Verdict::Fail { failure, callers_fault } => return Word::Fail { failure, callers_fault },
                    Verdict::Bury(failure) => return Word::Bury(failure),
                },
            }
        }
    }

    /// Stores the answer; what the row will say of it.
    async fn keep(&self, job: &Job, answer: Answer, ledger: &Ledger) -> Word {
        let solved = Solved { outputs: &answer.outputs, warnings: &answer.warnings };
        let content = match serde_json::to_vec(&solved) {
            Ok(content) => Bytes::from(content),
            Err(error) => return undone(&error),
        };
        let _ = ledger.result_bytes.set(content.len());
        let digest = Digest::of(&content).to_string();
        match self.parts.artifacts.put(&job.scope.app, job.id, OUTPUTS, "application/json", content).await {
            Ok(artifact) => {
                let result = ResultRef { artifacts: vec![artifact], digest, receipt: answer.receipt };
                Word::Complete(Outcome::Succeeded(result))
            }
            Err(error) => undone(&error),
        }
    }

    async fn inputs(&self, job: &Job) -> Result<Box<RawValue>, Word> {
        match &job.inputs {
            Inputs::Inline(inputs) => Ok(inputs.clone()),
            Inputs::Artifact(artifact) => {
                let content = self.parts.artifacts.get(artifact, INPUTS_BYTES_MAX).await;
                let content = content.map_err(|error| match error {
                    Unread::Store(_) | Unread::Database(_) => undone(&error),
                    Unread::Name | Unread::Address | Unread::Missing | Unread::Altered(_) | Unread::TooLarge { .. } => {
                        unreadable("the inputs that were stored are gone or altered")
                    }
                })?;
                serde_json::from_slice(&content)
                    .map_err(|_no_json| unreadable("the inputs that were stored are no JSON"))
            }
        }
    }

    /// Writes the word, again where the store does not answer, for as long as the lease is trusted.
    async fn say(&self, keeper: &Keeper, word: &Word) -> Result<Option<State>, Error> {
        let mut pause = Duration::from_millis(100);
        let mut writes = 0;
        loop {
            let lease = keeper.lease();
            if matches!(word, Word::Nothing) || !keeper.is_trusted() {
                return Ok(None);
            }
            let queue = &self.parts.queue;
            let said = match word {
                Word::Fail { failure, .. } => queue.complete(&lease, Outcome::Failed(failure.clone())).await,
                Word::Complete(outcome) => queue.complete(&lease, outcome.clone()).await,
                Word::Abandon(how) => queue.abandon(&lease, how.clone()).await,
                Word::Bury(why) => queue.dead_letter(&lease, why.clone()).await,
                Word::Nothing => return Ok(None),
            };
            writes += 1;
            match said {
                Ok(state) => return Ok(Some(state)),
                // The outcome of a write that broke off is not known: the token tells, as the second one is fenced then.
                Err(error) if error.is_transient() && writes < WRITES_MAX => {
                    tracing::warn!(%error, job_id = %lease.job, "what came of a job cannot be written; trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => {
                    tracing::warn!(%error, job_id = %lease.job, "what came of a job is not written");
                    return Err(error);
                }
            }
        }
    }
}

// === impl Trace ===

impl Trace {
    /// The wait in the queue is over, and the attempt begins.
    fn begin(tracer: &Tracer, job: &Job) -> Self {
        let since_1970 = Duration::try_from(job.due_at.as_duration()).unwrap_or_default();
        let due = SystemTime::UNIX_EPOCH.checked_add(since_1970).unwrap_or(SystemTime::UNIX_EPOCH);
        let caller = job.traceparent.as_deref().and_then(|parent| Context::kept(parent, job.tracestate.as_deref()));
        let mut step = tracer.step(caller);
        let mut wait = tracer.span("queue wait", Kind::Internal, &step);
        wait.since(due);
        wait.set("app_id", job.scope.app.as_str());
        wait.set("job_id", job.id.to_string());
        if wait.step().is_some() {
            // The attempt comes of the wait.
            step = step.next();
        }
        let waited = SystemTime::now().duration_since(due).unwrap_or_default();
        Self { span: tracer.span("worker attempt", Kind::Consumer, &step), step, waited }
    }

    fn end(&mut self, job: &Job, state: &str, code: &str) {
        let span = &mut self.span;
        if span.step().is_none() {
            return;
        }
        span.set("app_id", job.scope.app.as_str());
        span.set("tenant", job.scope.tenant.as_str());
        span.set("job_id", job.id.to_string());
        span.set("definition", job.definition.as_str());
        span.set("version", job.version.as_str());
        span.set("attempt", u64::from(job.attempts));
        span.set("state", state);
        span.set("code", code);
        if code != "ok" {
            span.fail(code.to_owned());
        }
    }
}

// === impl Word ===

impl Word {
    /// The word for what came of the attempt, as in docs/errors.md.
    fn code(&self) -> String {
        match self {
            Self::Complete(Outcome::Succeeded(_)) => "ok".to_owned(),
            Self::Complete(Outcome::Cancelled) => "cancelled".to_owned(),
            Self::Complete(Outcome::Failed(failure))
            | Self::Fail { failure, .. }
            | Self::Abandon(Abandon::Retry { failure, .. })
            | Self::Bury(failure) => failure.code.clone(),
            Self::Abandon(Abandon::Return) => "returned".to_owned(),
            Self::Nothing => "lost".to_owned(),
        }
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A failure of the stores, before or after the solve: it is tried again soon.
fn undone(error: &(dyn std::error::Error + 'static)) -> Word {
    tracing::warn!(error = ?error, "an attempt is given back");
    let failure = Failure {
        code: "store_unreachable".to_owned(),
        message: "the store did not answer".to_owned(),
        retryable: true,
    };
    Word::Abandon(Abandon::Retry { failure, after: jittered(Duration::from_secs(5)) })
}

fn unreadable(message: &str) -> Word {
    Word::Bury(Failure { code: "inputs_unreadable".to_owned(), message: message.to_owned(), retryable: false })
}

fn retry(job: &Job, failure: Failure, at_least: Duration) -> Word {
    Word::Abandon(Abandon::Retry { failure, after: backoff(job.attempts, at_least) })
}
