//! Seated → Answer: a slot on an attested node, the exchange with it, and its outputs mapped to the contract and checked.
//!
//! Invariant: what leaves here fits the contract's output schema; what does not is an error that says so.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use contract::Contract;
use serde_json::value::to_raw_value;
use tower::Service;
use trace::{Kind, Place, Span};
use tracing::Instrument as _;

use super::Error;
use super::stage::{Answer, BoxFuture, Due, Seated, Timings};
use crate::nodes::{Failure, Meter, Nodes, Refusal, Running, Solved};
use crate::telemetry::metrics::{self, Metrics};

/// A node that is away comes back within a probe or two.
const NODE_RETRY: Duration = Duration::from_secs(10);
/// A slot is free again when a solve ends, which takes seconds.
const SLOT_RETRY: Duration = Duration::from_secs(2);

/// The end of the path: the nodes.
pub fn service(nodes: Nodes, metrics: Metrics) -> Forward {
    Forward { nodes, metrics }
}

#[derive(Debug, Clone)]
pub struct Forward {
    nodes: Nodes,
    metrics: Metrics,
}

impl Service<Seated> for Forward {
    type Response = Answer;
    type Error = Error;
    type Future = BoxFuture<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, seated: Seated) -> Self::Future {
        let Self { nodes, metrics } = self.clone();
        Box::pin(async move { forward(&nodes, metrics, seated).await })
    }
}

/// Cancel safe: a caller that leaves gives a slot that it waits for back. A solve under way goes on without it, and holds the
/// app's seat for as long as it costs the app something.
async fn forward(nodes: &Nodes, metrics: Metrics, seated: Seated) -> Result<Answer, Error> {
    let due = seated.due();
    let solve = due.solve();
    let contract = solve.contract();
    let queued = Instant::now();
    let nodes = nodes.within(solve.policy().node_pool.as_deref()).on_behalf(&solve.caller().app_id, solve.lane());
    let ticket = solve.ticket();
    let mut span = ticket.span("wait for node", Kind::Internal);
    let slot = nodes.acquire(contract, due.by().into_std()).await.map_err(|refusal| refused(refusal, contract));
    let queue = queued.elapsed();
    let _ = ticket.ledger.slot_wait.set(queue);
    let slot = slot.inspect_err(|error| span.fail(error.meaning().code))?;
    drop(span);
    let node_by = due.node_by().into_std();
    if let Some(needs) = nodes.pace().unreachable(contract, node_by.min(due.wanted_until().into_std())) {
        return Err(Error::DeadlineUnreachable { needs });
    }
    // The last moment at which a solve that nobody waits for can be dropped unrun, and its slot given back.
    if !solve.course().send() {
        return Err(Error::DeadlineExceeded);
    }
    let _ = ticket.ledger.node.set(slot.node());
    let mut span = ticket.span("solve", Kind::Client);
    span.set("node", &*slot.node());
    // Where no span is kept, what the node does is below the request.
    let context = span.step().unwrap_or(&ticket.trace.step).context.clone();
    let labels = (Arc::clone(&solve.caller().app_id), solve.lane());
    let told = metrics.clone();
    let meter = Meter::new(move |cpu| told.took(&metrics::NODE_CPU_SECONDS, &[&labels.0, labels.1.name()], cpu));
    let running = slot.within(context).metered(meter).start(contract, solve.inputs(), node_by);
    let running =
        running.map_err(|error| blame(due, error.into())).inspect_err(|error| span.fail(error.meaning().code))?;
    // A task of its own, which ends at the deadline: whoever waits here may leave, and the seat must not leave with it.
    let exchange = tokio::spawn(exchange(seated, running, queue, metrics, span).in_current_span());
    exchange.await.unwrap_or(Err(Error::Internal))
}

/// The answer, by the deadline or not at all; the span ends with it.
async fn exchange(
    seated: Seated,
    mut running: Running,
    queue: Duration,
    metrics: Metrics,
    mut span: Span,
) -> Result<Answer, Error> {
    let due = seated.due();
    let solve = due.solve();
    let ledger = &solve.ticket().ledger;
    let contract = Arc::clone(solve.contract());
    let place = span.step().unwrap_or(&solve.ticket().trace.step).context.place;
    let began = Instant::now();
    let answered = running.answer().await;
    let _ = ledger.solve.set(began.elapsed());
    let answered = match answered {
        Ok(solved) => {
            let labels = [&*solve.caller().app_id, solve.lane().name()];
            metrics.took(&metrics::NODE_SECONDS, &labels, solved.elapsed);
            let answer = answer(&contract, solved, queue, place);
            answer.inspect_err(|error| {
                // Where it fails, not with which value.
                let place = error.to_string().split(": ").next().unwrap_or_default().to_owned();
                let _ = ledger.cause.set(format!("an output does not keep its schema: {place}"));
            })
        }
        Err(failure) => {
            if failure == Failure::Deadline {
                solve.course().late(async move { answer(&contract, running.late().await?.ok()?, queue, place).ok() });
            }
            Err(blame(due, failure))
        }
    };
    answered.inspect_err(|error| span.fail(error.meaning().code))
}

/// Puts the cause into the ledger, and the failure into the caller's terms.
fn blame(due: &Due, failure: Failure) -> Error {
    let ticket = due.solve().ticket();
    let _ = ticket.ledger.cause.set(failure.cause());
    failed(failure, due.by().saturating_duration_since(ticket.arrived))
}

/// The answer, if its outputs keep what the contract promises.
fn answer(contract: &Contract, solved: Solved, queue: Duration, place: Place) -> Result<Answer, Error> {
    if let Err(violations) = contract.check_outputs(&solved.outputs) {
        let message = violations.first().map(|first| format!("{}: {}", first.pointer, first.message));
        return Err(Error::OutputMismatch { message: message.unwrap_or_default() });
    }
    // A map of JSON values always has a JSON form.
    let outputs = to_raw_value(&solved.outputs).map_err(|_never| Error::Internal)?;
    Ok(Answer {
        outputs: outputs.into(),
        warnings: solved.warnings.into(),
        node: solved.node,
        rhino: solved.rhino.map(Into::into),
        timings: Timings { queue, node: solved.elapsed },
        trees: solved.trees.map(Into::into),
        solved_in: Some(place),
    })
}

/// Why no node takes the solve, in the caller's terms.
fn refused(refusal: Refusal, contract: &Contract) -> Error {
    match refusal {
        Refusal::NoNodes | Refusal::NoneHealthy { .. } => Error::NoNode { retry_after: NODE_RETRY },
        Refusal::NoneAttested { missing } if missing.is_empty() => Error::NoNode { retry_after: NODE_RETRY },
        Refusal::NoneAttested { missing } => Error::VersionDegraded {
            definition: contract.manifest.definition.clone(),
            version: contract.version.to_string(),
            missing,
        },
        Refusal::AllBusy { .. } => Error::NoFreeSlot { retry_after: SLOT_RETRY },
    }
}

/// Why the exchange gave no outputs, in the caller's terms. What the node said stays in the log.
fn failed(failure: Failure, allowed: Duration) -> Error {
    match failure {
        Failure::Definition { errors, .. } => Error::DefinitionError { errors },
        Failure::Mismatch(mismatch) => Error::OutputMismatch { message: mismatch.to_string() },
        Failure::AnswerTooLarge(limit) => Error::AnswerTooLarge { limit: limit as u64 },
        Failure::Refused(_) => Error::NodeRefused,
        Failure::Unauthorised => Error::NodeRefusedKey,
        Failure::RequestTooLarge => Error::NodeRefusedSize,
        Failure::Deadline | Failure::NodeTimeout => Error::NodeTimeout { allowed },
        Failure::Unreachable(_) | Failure::Lost(_) => Error::NodeUnreachable,
        Failure::Nonsense(_) => Error::NodeInvalidAnswer,
        // The contract's check lets only values through that have a form on the wire.
        Failure::Input(_) | Failure::Vanished => Error::Internal,
    }
}
