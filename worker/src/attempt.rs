//! One attempt at a job, from its claim to what is written of it.
//!
//! Invariant: artifacts are stored before the row that names them, and the result is recorded once, with the lease's token; a lease
//! that is not trusted any more writes nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contract::Digest;
use jiff::Timestamp;
use jobs::artifacts::Error as Unread;
use jobs::{Abandon, Claimed, Error, Failure, Inputs, Job, Outcome, ResultRef, State};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Parts;
use crate::gateway::Answer;
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
        let word = self.work(&job, &keeper).await;
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
        tracing::info!(
            app_id = %job.scope.app, tenant = %job.scope.tenant, job_id = %job.id, definition = job.definition,
            version = job.version, attempt = job.attempts, state, ms = begin.elapsed().as_secs_f64() * 1e3, "attempt"
        );
    }

    async fn work(&self, job: &Job, keeper: &Keeper) -> Word {
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
            solved = tokio::time::timeout(timeout, self.solve(job)) => {
                solved.unwrap_or_else(|_late| {
                    let message = format!("it took longer than {} s", timeout.as_secs());
                    retry(job, Failure { code: "job_timeout".to_owned(), message, retryable: true }, Duration::ZERO)
                })
            }
        }
    }

    async fn solve(&self, job: &Job) -> Word {
        let inputs = match self.inputs(job).await {
            Ok(inputs) => inputs,
            Err(word) => return word,
        };
        let bounds = self.parts.bounds;
        loop {
            match self.parts.gateway.solve(job, &inputs, bounds.job_timeout, bounds.answer_bytes_max).await {
                Ok(answer) => return self.keep(job, answer).await,
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
    async fn keep(&self, job: &Job, answer: Answer) -> Word {
        let solved = Solved { outputs: &answer.outputs, warnings: &answer.warnings };
        let content = match serde_json::to_vec(&solved) {
            Ok(content) => Bytes::from(content),
            Err(error) => return undone(&error),
        };
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
                    Unread::Name | Unread::Missing | Unread::Altered(_) | Unread::TooLarge { .. } => {
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
