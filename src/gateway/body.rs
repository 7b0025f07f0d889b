//! Authorized → Received: takes the body in, within its size, its pace, and the gateway's budget of bytes in flight.
//!
//! Invariant: a body that says it is too large is refused unread, and no caller can hold the gateway by dripping bytes.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::Error;
use super::dialect::Dialect;
use super::shared::Shared;
use super::stage::{Authorized, Body, BoxFuture, Reply};

/// One permit stands for this many bytes: 64 GiB then fit a permit count of 32 bits, and small bodies stay cheap.
const BYTES_PER_PERMIT: u64 = 1024;
/// Of a body that says its size, so much is allocated at once and not while it grows; more is believed when it comes.
const FIRST_BYTES_MAX: u64 = 1 << 20;

/// How much of bodies the gateway takes.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The largest body that any contract may ask for, in bytes.
    pub bytes_max: u64,
    /// All bodies that are being read or checked now.
    pub in_flight: Arc<Semaphore>,
    /// How long a body may take before its pace counts.
    pub grace: Duration,
    /// The least pace after that, in bytes per second; not 0.
    pub rate_min: u32,
}

/// A request whose body is here, whole.
#[derive(Debug)]
pub struct Received {
    authorized: Authorized,
    bytes: Bytes,
    _in_flight: OwnedSemaphorePermit,
}

pub fn layer<S>(bounds: Bounds) -> impl Layer<S, Service = Receive<Shared<S>>> + Clone {
    layer_fn(move |inner| Receive { inner: Shared::new(inner), bounds: bounds.clone() })
}

#[derive(Debug, Clone)]
pub struct Receive<S> {
    inner: S,
    bounds: Bounds,
}

impl<S> Service<Authorized> for Receive<S>
where
    S: Service<Received, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, authorized: Authorized) -> Self::Future {
        let (inner, bounds) = (self.inner.clone(), self.bounds.clone());
        Box::pin(async move { inner.oneshot(bounds.receive(authorized).await?).await })
    }
}

// === impl Bounds ===

impl Bounds {
    /// A budget of `in_flight` bytes, shared by all requests.
    pub fn new(bytes_max: u64, in_flight: u64, grace: Duration, rate_min: u32) -> Self {
        let permits = usize::try_from(in_flight.div_ceil(BYTES_PER_PERMIT)).unwrap_or(usize::MAX);
        let in_flight = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { bytes_max, in_flight, grace, rate_min: rate_min.max(1) }
    }

    /// Cancel safe: a caller that leaves gives its bytes back.
    async fn receive(&self, mut authorized: Authorized) -> Result<Received, Error> {
        let limit = self.limit(&authorized);
        if authorized.dialect().is_some_and(|dialect| dialect.inputs_bytes() > limit) {
            return Err(Error::BodyTooLarge { limit });
        }
        let body = authorized.take_body();
        let (bytes, in_flight) = self.take(authorized.headers(), body, limit).await?;
        let _ = authorized.ticket().ledger.request_bytes.set(bytes.len());
        Ok(Received { authorized, bytes, _in_flight: in_flight })
    }

    /// A body of at most `limit` bytes, and its share of the budget, to be kept for as long as the bytes are.
    ///
    /// Cancel safe: a caller that leaves gives its bytes back.
    pub async fn take(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: u64,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Error> {
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Error::UnsupportedEncoding);
        }
        let limit = limit.min(self.bytes_max);
        let size = body.size_hint();
        if size.lower() > limit {
            return Err(Error::BodyTooLarge { limit });
        }
        // A body of unknown size may grow to its limit, so that is what it takes of the budget.
        let expected = size.exact().unwrap_or(limit);
        let in_flight = self.reserve(expected)?;
        let exact = size.exact().unwrap_or(0).min(FIRST_BYTES_MAX);
        let bytes = BytesMut::with_capacity(usize::try_from(exact).unwrap_or(0));
        Ok((self.read(body, limit, bytes).await?, in_flight))
    }

    fn limit(&self, authorized: &Authorized) -> u64 {
        let of_policy = authorized.policy().limits.request_bytes;
        let of_contract = authorized.contract().manifest.limits.request_bytes;
        [of_policy, of_contract].into_iter().flatten().fold(self.bytes_max, u64::min)
    }

    fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Error> {
        let permits = u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX);
        let budget = Arc::clone(&self.in_flight);
        // Bodies are in flight for moments only, so the shortest wait that `Retry-After` can say is right.
        budget
            .try_acquire_many_owned(permits)
            .map_err(|_full| Error::Overloaded { retry_after: Duration::from_secs(1) })
    }

    async fn read(&self, mut body: Body, limit: u64, mut bytes: BytesMut) -> Result<Bytes, Error> {
        let begin = Instant::now();
        loop {
            let earned = Duration::from_millis(bytes.len() as u64 * 1000 / u64::from(self.rate_min));
            let frame = tokio::time::timeout_at(begin + self.grace + earned, body.frame());
            let frame = match frame.await {
                Err(_elapsed) => return Err(Error::BodyTimeout),
                Ok(None) => return Ok(bytes.freeze()),
                Ok(Some(Err(_broken))) => return Err(Error::BodyBroken),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers carry nothing that a solve takes.
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() as u64 + data.len() as u64 > limit {
                return Err(Error::BodyTooLarge { limit });
            }
            bytes.extend_from_slice(&data);
        }
    }
}

// === impl Received ===

impl Received {
    pub fn authorized(&self) -> &Authorized {
        &self.authorized
    }

    /// Takes out how the request is worded, once.
    pub fn take_dialect(&mut self) -> Option<Box<dyn Dialect>> {
        self.authorized.take_dialect()
    }

    /// Takes the body out, once; its share of the budget stays with the request.
    pub fn take_bytes(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }
}
