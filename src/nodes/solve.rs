//! One solve on one node, from the request to the mapped outputs.
//!
//! Invariant: the exchange runs in its own tracked task and holds the slot. Whoever waits may leave, and at the
//! deadline must; the slot is free again when the node has answered, and is never freed on hope. A solve is sent to
//! another node once at most, only where the first cannot have seen any of it, and only within the budget.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use contract::{Contract, Inputs};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use trace::Context;

use super::budget::Budget;
use super::roster::Peer;
use super::state::{Grant, Shared};
use super::table::Want;
use crate::rhino::answer::{self, Mismatch};
use crate::rhino::classify::{self, ComponentError, Fault, Nonsense, Outcome, Sent};
use crate::rhino::client;
use crate::rhino::protocol::{InputError, Prepared, Source};

/// A taken slot of a node that fits the contract. Dropping it unused gives it back.
#[derive(Debug)]
pub struct Slot {
    pub(super) grant: Grant,
    pub(super) want: Want,
    /// In which trace the node is told to stand.
    pub(super) trace: Option<Context>,
    /// Who is told of processor time.
    pub(super) meter: Option<Meter>,
}

/// Is told what processor time a node says that a solve took.
#[derive(Clone)]
pub struct Meter(Arc<dyn Fn(Duration) + Send + Sync>);

/// A solve under way. Dropping it stops nothing: the answer is then dropped with a line in the log.
#[derive(Debug)]
pub struct Running {
    node: Arc<str>,
    deadline: Instant,
    answer: oneshot::Receiver<Result<Solved, Failure>>,
    late: oneshot::Receiver<Result<Solved, Failure>>,
}

/// A solve that went well: every declared output, in its declared shape.
#[derive(Clone, Debug)]
pub struct Solved {
    /// Data trees of the declared outputs as the node spelled them, where they were asked for.
    pub trees: Option<Box<RawValue>>,
    /// Declared outputs by the callers' names. Not yet checked against the outputs' schema.
    pub outputs: Map<String, Value>,
    /// What components had to say without failing.
    pub warnings: Vec<String>,
    /// The node's name.
    pub node: Arc<str>,
    /// Rhino's version there, as it last said.
    pub rhino: Option<String>,
    /// From the first byte sent to the last byte read, a second sending included.
    pub elapsed: Duration,
    /// What the node itself reports, where nothing in between drops it.
    pub server_timing: Option<String>,
    /// How the definition was named in the request that was answered.
    pub source: Source,
    /// Size of the node's answer.
    pub answer_bytes: usize,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// An input has no form on the wire. Nothing was sent.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Components failed; the same inputs will fail again.
    #[error("the definition failed: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Definition {
        /// At least one.
        errors: Vec<ComponentError>,
        /// Beside them.
        warnings: Vec<String>,
    },
    /// The answer does not keep the contract.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The outputs have more bytes than the contract allows.
    #[error("the outputs have more than the {0} bytes that the contract allows")]
    AnswerTooLarge(usize),
    /// The node refuses a request that the contract allows.
    #[error("the node refused the request: {0}")]
    Refused(String),
    /// The node does not take the gateway's key.
    #[error("the node does not take the gateway's key")]
    Unauthorised,
    /// The request is more than the node takes.
    #[error("the request is more than the node takes")]
    RequestTooLarge,
    /// No answer by the deadline.
    #[error("no answer by the deadline")]
    Deadline,
    /// The node's own proxy gave up before the deadline.
    #[error("the node gave up on its own solver")]
    NodeTimeout,
    /// No connection. Nothing was sent, so another node may be asked.
    #[error("the node cannot be reached: {0}")]
    Unreachable(client::Failure),
    /// The connection was lost; the node may have solved.
    #[error("the node was lost: {0}")]
    Lost(client::Failure),
    /// An answer that means nothing.
    #[error("the node answered with {0}")]
    Nonsense(Nonsense),
    /// The task of the exchange is gone, which only a defect can cause.
    #[error("the exchange ended without a word")]
    Vanished,
}

impl Failure {
    /// What the log may say of it: nothing of what callers send, which a node's and a component's own words may repeat.
    pub fn cause(&self) -> String {
        let component = |error: &ComponentError| {
            let name = error.component.as_deref().unwrap_or("a component");
            error.guid.as_ref().map_or(name.to_owned(), |guid| format!("{name} ({guid})"))
        };
        match self {
            Self::Definition { errors, .. } => {
                let shown: Vec<String> = errors.iter().take(8).map(component).collect();
                format!("the definition failed, {} errors: {}", errors.len(), shown.join(", "))
            }
            Self::Refused(words) => format!("the node refused the request: {}", masked(words)),
            Self::Input(_)
            | Self::Mismatch(_)
            | Self::AnswerTooLarge(_)
            | Self::Unauthorised
            | Self::RequestTooLarge
            | Self::Deadline
            | Self::NodeTimeout
            | Self::Unreachable(_)
            | Self::Lost(_)
            | Self::Nonsense(_)
            | Self::Vanished => self.to_string(),
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Input(_) | Self::RequestTooLarge => Fault::Client,
            Self::Definition { .. } | Self::Mismatch(_) | Self::AnswerTooLarge(_) => Fault::Definition,
            Self::Refused(_) | Self::Unauthorised | Self::Vanished => Fault::Gateway,
            Self::Deadline | Self::NodeTimeout | Self::Unreachable(_) | Self::Lost(_) | Self::Nonsense(_) => {
                Fault::Node
            }
        }
    }

    /// Whether no byte of the request can have been acted on, so that another node may be asked.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Input(_) => true,
            Self::Definition { .. }
            | Self::Mismatch(_)
            | Self::AnswerTooLarge(_)
            | Self::Refused(_)
            | Self::Unauthorised
            | Self::RequestTooLarge
            | Self::Deadline
            | Self::NodeTimeout
            | Self::Lost(_)
            | Self::Nonsense(_)
            | Self::Vanished => false,
        }
    }
}

/// A node's words without what stands in quotes and without figures: those may be a caller's.
fn masked(words: &str) -> String {
    /// What tells an operator what is wrong.
    const CHARS_MAX: usize = 300;
    let mut kept = String::new();
    let mut rest = words.chars().take(CHARS_MAX);
    let mut last = ' ';
    while let Some(next) = rest.next() {
        let opens = matches!(next, '"' | '`') || (next == '\'' && !last.is_alphanumeric());
        if opens {
            // A quote that is not closed hides all that follows.
            rest.by_ref().find(|closing| *closing == next);
            kept.push('…');
        } else if !next.is_numeric() {
            kept.push(next);
        } else if !last.is_numeric() {
            kept.push('#');
        }
        last = next;
    }
    kept
}

// === impl Meter ===

impl Meter {
    pub fn new(told: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meter")
    }
}

// === impl Slot ===

impl Slot {
    /// The node's name.
    pub fn node(&self) -> Arc<str> {
        Arc::clone(&self.grant.peer.name)
    }

    /// Whoever pays for the solve is told what processor time it took, as often as a node says so: a failed and a late answer count, too.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// The node is told that this caused the solve.
    #[must_use]
    pub fn within(self, trace: Context) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// Solves, and waits for the answer until the deadline. The exchange goes on after it, and when dropped.
    pub async fn solve(self, contract: &Arc<Contract>, inputs: &Inputs, deadline: Instant) -> Result<Solved, Failure> {
        self.start(contract, inputs, deadline)?.answer().await
    }

    /// Starts the exchange. Must be called on a runtime.
    pub fn start(self, contract: &Arc<Contract>, inputs: &Inputs, deadline: Instant) -> Result<Running, InputError> {
        let shared = Arc::clone(&self.grant.shared);
        let prepared = shared.prepared(contract);
        // Built here so that an input without a form costs no task.
        let pointer_request = prepared.request(&inputs.values, Source::Pointer)?;
        let node = self.node();
        let (answered, answer) = oneshot::channel();
        let (late_tx, late) = oneshot::channel();
        let exchange = Exchange {
            shared: Arc::clone(&shared),
            peer: Arc::clone(&self.grant.peer),
            want: self.want,
            trace: self.trace,
            meter: self.meter,
            outputs_bytes_max: outputs_bytes_max(contract),
            prepared,
            inputs: inputs.values.clone(),
            pointer_request,
            deadline,
        };
        shared.budget(Budget::admitted);
        shared.solves.spawn(run(self.grant, exchange, answered, late_tx));
        Ok(Running { node, deadline, answer, late })
    }
}

impl Running {
    /// The node's name.
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// The answer, or [`Failure::Deadline`] when the deadline has passed. To be called once.
    pub async fn answer(&mut self) -> Result<Solved, Failure> {
        // The task keeps the same deadline; a second of grace lets it be the one that says so.
        let patience = (self.deadline + Duration::from_secs(1)).into();
        match tokio::time::timeout_at(patience, &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_closed)) => Err(Failure::Vanished),
            Err(_elapsed) => Err(Failure::Deadline),
        }
    }

    /// After the deadline: the answer when it comes, `None` if it never does. Whoever keeps results may still want it.
    pub async fn late(self) -> Option<Result<Solved, Failure>> {
        self.late.await.ok()
    }
}

/// Larger requests are not kept to try a node with.
const CANARY_BYTES_MAX: usize = 64 << 10;

/// The most bytes that a contract's outputs may have.
fn outputs_bytes_max(contract: &Contract) -> usize {
    /// Where the contract sets no bound.
    const DEFAULT: u64 = 16 << 20;
    usize::try_from(contract.manifest.limits.response_bytes.unwrap_or(DEFAULT)).unwrap_or(usize::MAX)
}

/// The most bytes that a node's answer may have to outputs of so many: it is text inside text, whose escapes may
/// double it, each leaf carries its type, and what is not declared comes along.
fn answer_bytes_max(outputs: usize) -> usize {
    outputs.saturating_mul(4).saturating_add(64 << 10)
}

/// The size of a value's JSON, without making it.
fn json_bytes(outputs: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, outputs).expect("a map of JSON values always has a JSON form");
    count.0
}

/// The task that owns the slot.
async fn run(
    mut grant: Grant,
    mut exchange: Exchange,
    answered: oneshot::Sender<Result<Solved, Failure>>,
    late: oneshot::Sender<Result<Solved, Failure>>,
) {
    for may_retry in [true, false] {
        let mut sending = Box::pin(exchange.run());
        let Ok(end) = tokio::time::timeout_at(exchange.deadline.into(), &mut sending).await else {
            return outlive(grant, &exchange, sending, answered, late).await;
        };
        drop(sending);
        settle(grant, &end);
        let other = if may_retry { exchange.another_slot(&end).await } else { None };
        let Some(other) = other else {
            // A caller who has left loses nothing but the answer.
            let _ = answered.send(end.result);
            return;
        };
        exchange.peer.again.node.fetch_add(1, Ordering::Relaxed);
        tracing::info!(from = &*exchange.peer.name, to = &*other.peer.name, "a solve goes to another node");
        exchange.peer = Arc::clone(&other.peer);
        grant = other;
    }
}

/// The deadline has passed: the caller is told, and the solve keeps its slot until it ends or nobody listens any more.
async fn outlive(
    mut grant: Grant,
    exchange: &Exchange,
    sending: impl Future<Output = End>,
    answered: oneshot::Sender<Result<Solved, Failure>>,
    late: oneshot::Sender<Result<Solved, Failure>>,
) {
    let (shared, peer) = (&exchange.shared, &exchange.peer);
    grant.wedge();
    tracing::warn!(node = &*peer.name, "a solve goes on past its deadline and keeps its slot");
    let _ = answered.send(Err(Failure::Deadline));
    if let Ok(end) = tokio::time::timeout(shared.options.abandon_after, sending).await {
        settle(grant, &end);
        if late.send(end.result).is_err() {
            tracing::info!(node = &*peer.name, "a late answer was dropped: nobody waits for it");
        }
    } else {
        tracing::error!(node = &*peer.name, "a solve never ended: its slot stays closed until the node proves itself");
        shared.strike(peer, "a solve never ended".to_owned());
        grant.abandon();
    }
}

/// Gives the slot back, unless the solve may still be running.
fn settle(grant: Grant, end: &End) {
    if end.may_still_solve { grant.abandon() } else { drop(grant) }
}

/// What an exchange came to.
struct End {
    result: Result<Solved, Failure>,
    may_still_solve: bool,
}

/// A request, and all that its answer is judged by.
struct Exchange {
    shared: Arc<Shared>,
    /// The node that it is sent to.
    peer: Arc<Peer>,
    want: Want,
    trace: Option<Context>,
    meter: Option<Meter>,
    prepared: Arc<Prepared>,
    inputs: Map<String, Value>,
    pointer_request: bytes::Bytes,
    outputs_bytes_max: usize,
    deadline: Instant,
}

impl Exchange {
    /// A slot on another node, where this one has seen nothing of the request and the budget allows a second try.
    async fn another_slot(&self, end: &End) -> Option<Grant> {
        let unseen = end.result.as_ref().is_err_and(Failure::nothing_was_sent);
        if !unseen || !self.shared.budget(Budget::take) {
            return None;
        }
        let want = Want { not: Some(self.peer.id), ..self.want.clone() };
        // Why there is none says less than why the first node failed.
        self.shared.slot(&want, self.deadline).await.ok()
    }

    /// Sends by key where the node is believed to hold the definition, else whole; and whole once more where the
    /// belief was wrong.
    async fn run(&self) -> End {
        let start = Instant::now();
        let pointer = self.prepared.pointer();
        if self.shared.read(|table| table.entry(self.peer.id).holds(pointer)) {
            let first = self.send(Source::Pointer).await;
            let stale = matches!(&first, Ok((outcome, _)) if outcome.resend_with_algo());
            if !stale {
                return self.end(Source::Pointer, first, start);
            }
            self.shared.update(self.peer.id, |entry| entry.forget(pointer));
            // Nobody waits any more: a second sending would only keep the node busy.
            if Instant::now() >= self.deadline {
                return End { result: Err(Failure::Deadline), may_still_solve: false };
            }
            self.peer.again.definition.fetch_add(1, Ordering::Relaxed);
        }
        let second = self.send(Source::Algo).await;
        self.end(Source::Algo, second, start)
    }

    async fn send(&self, source: Source) -> Result<(Outcome, client::Reply), client::Failure> {
        let body = match source {
            Source::Pointer => self.pointer_request.clone(),
            Source::Algo => self.prepared.request(&self.inputs, source).expect("the same inputs had a form before"),
        };
        let reply = self.peer.client.solve(body, answer_bytes_max(self.outputs_bytes_max), self.trace.as_ref()).await?;
        if let (Some(Meter(told)), Some(cpu)) = (&self.meter, reply.cpu) {
            told(cpu);
        }
        let sent = Sent { source, elapsed: reply.elapsed, proxy_timeout: self.shared.options.proxy_timeout };
        let read =
            classify::Reply { status: reply.status, content_type: reply.content_type.as_deref(), body: &reply.body };
        Ok((classify::classify(read, sent), reply))
    }

    /// Tells the node's health what happened, and the caller what came of it.
    fn end(&self, source: Source, sent: Result<(Outcome, client::Reply), client::Failure>, start: Instant) -> End {
        match sent {
            Err(failure) => self.lost(failure),
            Ok((outcome, reply)) => {
                self.report(&outcome, reply.elapsed);
                let may_still_solve = outcome.may_still_solve();
                End { result: self.result(outcome, source, &reply, start.elapsed()), may_still_solve }
            }
        }
    }

    fn lost(&self, failure: client::Failure) -> End {
        // The contract's own bound says nothing against the node, and by then it has solved.
        if let client::Failure::TooLarge(_) = failure {
            self.shared.update(self.peer.id, super::entry::Entry::answered);
            return End { result: Err(Failure::AnswerTooLarge(self.outputs_bytes_max)), may_still_solve: false };
        }
        tracing::warn!(node = &*self.peer.name, %failure, "a solve was lost");
        self.shared.strike(&self.peer, failure.to_string());
        // An answer that has begun means that the solve is over; before, it may be going on.
        let may_still_solve = match failure {
            client::Failure::Reset(_) | client::Failure::NotHttp(_) => true,
            client::Failure::Connect(_)
            | client::Failure::Tls(_)
            | client::Failure::Cut(_)
            | client::Failure::Idle(_)
            | client::Failure::Slow
            | client::Failure::TooLarge(_) => false,
        };
        let nothing_was_sent = failure.nothing_was_sent();
        let failure = if nothing_was_sent { Failure::Unreachable(failure) } else { Failure::Lost(failure) };
        End { result: Err(failure), may_still_solve }
    }

    fn report(&self, outcome: &Outcome, elapsed: Duration) {
        if outcome.counts_against_node() {
            let why = match outcome {
                Outcome::Nonsense(what) => what.to_string(),
                Outcome::Unauthorised => "does not take our key".to_owned(),
                Outcome::Timeout => "gave up on its own solver".to_owned(),
                Outcome::Solved(_)
                | Outcome::DefinitionError { .. }
                | Outcome::StalePointer
                | Outcome::Refused { .. }
                | Outcome::TooLarge => String::new(),
            };
            tracing::warn!(node = &*self.peer.name, why, "a node failed a solve");
            self.shared.strike(&self.peer, why);
            return;
        }
        let solved = matches!(outcome, Outcome::Solved(_));
        if solved {
            self.shared.pace.solved(self.want.contract.digest, elapsed);
        }
        self.shared.update(self.peer.id, |entry| {
            entry.answered();
            if outcome.definition_is_held() {
                entry.hold(self.prepared.pointer());
            }
            if solved && self.pointer_request.len() <= CANARY_BYTES_MAX {
                entry.remember(elapsed, &self.prepared, &self.inputs);
            }
        });
    }

    fn result(
        &self,
        outcome: Outcome,
        source: Source,
        reply: &client::Reply,
        elapsed: Duration,
    ) -> Result<Solved, Failure> {
        match outcome {
            Outcome::Solved(answer) => {
                let outputs = answer.outputs(self.prepared.outputs())?;
                if json_bytes(&outputs) > self.outputs_bytes_max {
                    return Err(Failure::AnswerTooLarge(self.outputs_bytes_max));
                }
                let rhino = self.shared.read(|table| {
                    table.entry(self.peer.id).installed.as_ref().map(|(_, installed)| installed.set.rhino.clone())
                });
                let keep = self.shared.options.keep_trees;
                let trees = keep.then(|| answer::worded(&answer.trees, self.prepared.outputs()));
                Ok(Solved {
                    trees,
                    outputs,
                    warnings: answer.warnings,
                    node: Arc::clone(&self.peer.name),
                    rhino,
                    elapsed,
                    server_timing: reply.server_timing.clone(),
                    source,
                    answer_bytes: reply.body.len(),
                })
            }
            Outcome::DefinitionError { errors, warnings } => Err(Failure::Definition { errors, warnings }),
            // Only a request by key is answered so, and that was sent again.
            Outcome::StalePointer => Err(Failure::Nonsense(Nonsense::Empty500)),
            Outcome::Refused { message } => Err(Failure::Refused(message)),
            Outcome::Unauthorised => Err(Failure::Unauthorised),
            Outcome::TooLarge => Err(Failure::RequestTooLarge),
            Outcome::Timeout => Err(Failure::NodeTimeout),
            Outcome::Nonsense(what) => Err(Failure::Nonsense(what)),
        }
    }
}

impl Shared {
    /// A solve failed by the node's fault: it counts, and the node is looked at soon.
    pub(super) fn strike(self: &Arc<Self>, peer: &Peer, why: String) {
        let may_eject = self.read(|table| table.may_eject());
        self.update(peer.id, |entry| entry.health.struck(why, may_eject, Instant::now()));
        peer.nudge.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_what_a_node_says_without_what_a_caller_sent() {
        let refused = Failure::Refused("Can't convert value \"secret\" 'other' at 31.4: line 1, `x".to_owned());
        assert_eq!(refused.cause(), "the node refused the request: Can't convert value … … at #.#: line #, …");
        let error = ComponentError { message: "secret".into(), component: Some("Panel".into()), guid: None };
        let failed = Failure::Definition { errors: vec![error], warnings: vec!["secret".into()] };
        assert_eq!(failed.cause(), "the definition failed, 1 errors: Panel");
        assert_eq!(Failure::Deadline.cause(), Failure::Deadline.to_string());
    }
}
