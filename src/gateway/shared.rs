//! A layer below, held by many at once.
//!
//! Each layer hands a clone of what is below it to the future that it returns. Were that a clone of the layers themselves, a request
//! would copy the whole path once for every layer that it passes; this copies a count.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

/// A service that is cheap to clone whatever it is made of. It must be ready at all times, as every layer of the path is: what bounds
/// a solve is waited for inside its call, where the caller is known.
#[derive(Debug)]
pub struct Shared<S>(Arc<S>);

// === impl Shared ===

impl<S> Shared<S> {
    pub fn new(service: S) -> Self {
        Self(Arc::new(service))
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, R> Service<R> for Shared<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> S::Future {
        S::clone(&self.0).call(request)
    }
}
