//! Solve → Solve: keeps a bounded sample of the distinct inputs of each version, where the operator asked for one.
//!
//! Invariants: where nobody asked, this step is not on the path. Nothing that is kept reaches a log or a metric: inputs are the
//! customers'. Who says `no-store` is not recorded. What is kept is bounded in number and in bytes, per version and in all.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::stage::Solve;
use super::validate::CacheUse;

mod sample;

pub use sample::{Bounds, Kept, Recorder, Sample};

/// Before the cache, so that what is answered from it counts like what is solved: a sample is of what callers send.
pub fn layer(recorder: Recorder) -> RecordLayer {
    RecordLayer(recorder)
}

#[derive(Debug, Clone)]
pub struct RecordLayer(Recorder);

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record { inner, recorder: self.0.clone() }
    }
}

#[derive(Debug, Clone)]
pub struct Record<S> {
    inner: S,
    recorder: Recorder,
}

impl<S: Service<Solve>> Service<Solve> for Record<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, solve: Solve) -> S::Future {
        if solve.cache_use() != CacheUse::Neither {
            let contract = solve.contract();
            self.recorder.offer(&contract.app_id, &contract.version, solve.inputs());
        }
        self.inner.call(solve)
    }
}
