//! Seen → Seen: where a request that is worded for another server becomes one of ours. What that wording is, is not known here.
//!
//! Invariant: an interpreter can only put another request on the same path, pinned to one snapshot. Tenancy, limits, seats and
//! caches are those of the steps below; it has no other way to a node.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};

use contract::Contract;
use serde_json::Value;
use tower::layer::layer_fn;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};

use super::Error;
use super::stage::{Answer, BoxFuture, Reply, Seen};
use crate::registry::Snapshot;

/// What the rest of the path is to an interpreter.
pub type Onward = BoxCloneSyncService<Seen, Reply, Error>;
pub type Interpreter = Arc<dyn Interpret>;
/// What an interpreter makes of a request, in the end.
pub type Interpreted = BoxFuture<Reply>;

/// What an interpreter has added to a request.
#[derive(Debug, Default)]
pub struct Reading {
    /// The snapshot in which names were looked up already.
    pub snapshot: Option<Arc<Snapshot>>,
    /// How the request is worded; none where it is as we word it.
    pub dialect: Option<Box<dyn Dialect>>,
}

/// Whoever knows the addresses and bodies of other servers.
pub trait Interpret: Debug + Send + Sync {
    /// Answers a request from what is known, or sends it on as one of ours, perhaps in a [`Dialect`].
    fn interpret(&self, seen: Seen, onward: Onward) -> Interpreted;
}

/// How one request is worded.
pub trait Dialect: Debug + Send + Sync {
    /// The inputs that it holds, by the contract's names. Asked once, and only when the caller may use the contract.
    fn inputs(&mut self, contract: &Contract) -> Result<Value, Error>;

    /// How many bytes they take, so that the limits of policy and contract hold for them as for a body of ours.
    fn inputs_bytes(&self) -> u64;

    /// The answer in the same wording, as JSON.
    fn answer(&self, contract: &Contract, answer: &Answer) -> Vec<u8>;

    /// The description in the same wording, as JSON; none where it is ours.
    fn describe(&self, contract: &Contract) -> Option<Vec<u8>>;

    /// Tells this wording's answers from ours in an entity tag.
    fn tag(&self) -> &'static str;
}

/// Without an interpreter there is no layer.
pub fn layer<S>(interpreter: Option<Interpreter>) -> impl Layer<S, Service = Onward> + Clone
where
    S: Service<Seen, Response = Reply, Error = Error, Future: Send> + Clone + Send + Sync + 'static,
{
    layer_fn(move |inner: S| match interpreter.clone() {
        Some(interpreter) => Onward::new(Interpreting { inner: Onward::new(inner), interpreter }),
        None => Onward::new(inner),
    })
}

#[derive(Debug, Clone)]
struct Interpreting {
    inner: Onward,
    interpreter: Interpreter,
}

impl Service<Seen> for Interpreting {
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, seen: Seen) -> Self::Future {
        let onward = self.inner.clone();
        let interpreter = Arc::clone(&self.interpreter);
        Box::pin(async move { interpreter.interpret(seen, onward).await })
    }
}
