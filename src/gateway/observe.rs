//! Request → Seen: names the request, opens its span, and writes its one access line when it is answered or its caller left.
//!
//! Invariant: exactly one access line and one counted outcome per request, also when the caller goes away first.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{self, Poll};

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;
use tokio::time::Instant;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};
use trace::{Context, Kind, Span, Tracer};
use tracing::Instrument as _;

use super::answer::milliseconds;
use super::dialect::{Dialect, Reading};
use super::error::Origin;
use super::outcomes::Outcomes;
use super::shared::Shared;
use super::slo::{Fate, Slos};
use super::stage::{BoxFuture, Lane, Ledger, Reply, Request, Response, Ticket, Trace};
use crate::registry::Snapshot;
use crate::telemetry::metrics::{self as names, Metrics};

/// The header that names a request, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The address of the peer, put into the request's extensions by the server.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A request that has a name and a start.
#[derive(Debug)]
pub struct Seen {
    http: Request,
    ticket: Ticket,
    reading: Reading,
}

pub fn layer<S>(
    outcomes: Outcomes,
    metrics: Metrics,
    slos: Slos,
    tracer: Tracer,
) -> impl Layer<S, Service = Observe<Shared<S>>> + Clone {
    let counts = Counts { outcomes, metrics, slos };
    layer_fn(move |inner| Observe { inner: Shared::new(inner), counts: counts.clone(), tracer: tracer.clone() })
}

#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    counts: Counts,
    tracer: Tracer,
}

/// Where a request that ended is counted.
#[derive(Debug, Clone)]
struct Counts {
    outcomes: Outcomes,
    metrics: Metrics,
    slos: Slos,
}

impl<S> Service<Request> for Observe<S>
where
    S: Service<Seen, Response = Reply, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, http: Request) -> Self::Future {
        let id: Arc<str> = request_id(http.headers()).into();
        let tracer = self.tracer.clone();
        let trace = Arc::new(Trace { step: tracer.step(Context::received(http.headers())), tracer });
        let ticket = Ticket { id, arrived: Instant::now(), trace, ledger: Arc::default() };
        let span = tracing::info_span!("request", request_id = &*ticket.id);
        let line = AccessLine::open(&http, &ticket, self.counts.clone());
        let id = HeaderValue::from_str(&ticket.id).expect("a request id holds header characters only");
        let answer = self.inner.clone().oneshot(Seen { http, ticket, reading: Reading::default() }).instrument(span);
        Box::pin(async move {
            // Bound here so that it lives, and is dropped, with the request: a mere field use would copy the field.
            let mut line = line;
            let Ok(Reply { mut response, code, fault }) = answer.await;
            line.status = response.status().as_u16();
            line.outcome = Some((code, fault));
            line.response_bytes = response.body().size_hint().exact();
            response.headers_mut().insert(REQUEST_ID, id);
            line.ticket.place().write(response.headers_mut());
            Ok(response)
        })
    }
}

// === impl Seen ===

impl Seen {
    pub fn into_parts(self) -> (Request, Ticket, Reading) {
        (self.http, self.ticket, self.reading)
    }

    /// Serves the request from this snapshot to its end, because names were looked up in it already.
    pub fn pin(&mut self, snapshot: Arc<Snapshot>) {
        self.reading.snapshot = Some(snapshot);
    }

    /// From here on the request is this one of ours, worded in `dialect`.
    pub fn say(&mut self, http: Request, dialect: Box<dyn Dialect>) {
        self.http = http;
        self.reading.dialect = Some(dialect);
    }

    pub fn http_mut(&mut self) -> &mut Request {
        &mut self.http
    }

    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    pub fn http(&self) -> &Request {
        &self.http
    }
}

/// The caller's name for the request if it is one that may stand in a log, else a new one that sorts by time.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fit = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given.filter(fit).map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// As much of an address as a line tells.
fn shortened(path: &str) -> String {
    const BYTES_MAX: usize = 256;
    path[..path.floor_char_boundary(BYTES_MAX)].to_owned()
}

/// Writes the access line when it is dropped: with the outcome, or as `client_gone` when there is none. The request's span ends with it.
#[derive(Debug)]
struct AccessLine {
    method: http::Method,
    path: String,
    peer: Option<SocketAddr>,
    ticket: Ticket,
    counts: Counts,
    status: u16,
    /// The code, and whose fault it is; none while there is no answer.
    outcome: Option<(&'static str, Option<Origin>)>,
    response_bytes: Option<u64>,
    span: Span,
}

// === impl AccessLine ===

impl AccessLine {
    fn open(http: &Request, ticket: &Ticket, counts: Counts) -> Self {
        counts.outcomes.begin();
        let peer = http.extensions().get::<Peer>().map(|peer| peer.0);
        let path = shortened(http.uri().path());
        let span = ticket.trace.tracer.span("gateway request", Kind::Server, &ticket.trace.step);
        let (method, ticket) = (http.method().clone(), ticket.clone());
        // 499 is the word of proxies for a caller that left before its answer.
        Self { method, path, peer, ticket, counts, status: 499, outcome: None, response_bytes: None, span }
    }

    /// The outcome, counted.
    fn count(&self, code: &'static str) {
        let Counts { outcomes, metrics, slos } = &self.counts;
        outcomes.end(code);
        let Ledger { app_id, lane, slo, .. } = &*self.ticket.ledger;
        let app_id = app_id.get().map_or("", String::as_str);
        let lane = lane.get().copied();
        let labels = [app_id, lane.map_or("", Lane::name)];
        metrics.count(&names::REQUESTS, &[labels[0], labels[1], code]);
        let took = self.ticket.arrived.elapsed();
        if lane.is_some() && matches!(code, "ok" | "not_modified") {
            metrics.took(&names::REQUEST_SECONDS, &labels, took);
        }
        if let (Some(lane), Some(slo)) = (lane, slo.get()) {
            let fate = match self.outcome {
                Some((_, None)) => Fate::Answered,
                Some((_, Some(Origin::Client))) => Fate::CallersFault,
                Some((_, Some(Origin::Gateway | Origin::Node))) => Fate::Failed,
                None => Fate::CallerGone,
            };
            slos.ended(app_id, slo, lane, fate, took);
        }
    }

    /// What the span says of the request: what the line does, but for the caller's own words.
    fn tell(&mut self, status: u16, code: &'static str) {
        if self.span.step().is_none() {
            return;
        }
        let (span, ticket) = (&mut self.span, &self.ticket);
        let ledger = &*ticket.ledger;
        span.set("request_id", &*ticket.id);
        span.set("http.request.method", self.method.as_str());
        span.set("http.response.status_code", u64::from(status));
        span.set("code", code);
        let texts = [
            ("app_id", ledger.app_id.get().map(String::as_str)),
            ("tenant", ledger.tenant.get().map(String::as_str)),
            ("definition", ledger.definition.get().map(String::as_str)),
            ("version", ledger.version.get().map(String::as_str)),
            ("lane", ledger.lane.get().map(|lane| lane.name())),
            ("node", ledger.node.get().map(|node| &**node)),
            ("cache", ledger.cache.get().copied()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                span.set(name, text);
            }
        }
        if let Some(place) = ledger.solved_in.get() {
            span.link(*place);
        }
        if status >= 500 {
            span.fail(code);
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let code = self.outcome.map_or("client_gone", |(code, _)| code);
        self.count(code);
        self.tell(self.status, code);
        let step = &self.ticket.trace.step;
        let ledger = &*self.ticket.ledger;
        // docs/logs.md tells what each means; a test compares the two.
        tracing::info!(
            target: "appserver::access",
            request_id = &*self.ticket.id,
            trace_id = &*step.context.place.trace_id.hex(),
            span_id = &*step.context.place.span_id.hex(),
            parent_span_id = step.parent.map(trace::SpanId::hex).as_deref(),
            solved_in_trace_id = ledger.solved_in.get().map(|place| place.trace_id.hex()).as_deref(),
            method = self.method.as_str(),
            path = &*self.path,
            peer = self.peer.map(tracing::field::display),
            status = self.status,
            code,
            app_id = ledger.app_id.get(),
            tenant = ledger.tenant.get(),
            definition = ledger.definition.get(),
            version = ledger.version.get(),
            lane = ledger.lane.get().map(|lane| lane.name()),
            node = ledger.node.get().map(|node| &**node),
            cache = ledger.cache.get(),
            request_bytes = ledger.request_bytes.get(),
            response_bytes = self.response_bytes,
            duration_ms = milliseconds(self.ticket.arrived.elapsed()),
            seat_wait_ms = ledger.seat_wait.get().copied().map(milliseconds),
            node_wait_ms = ledger.slot_wait.get().copied().map(milliseconds),
            solve_ms = ledger.solve.get().copied().map(milliseconds),
            would_refuse = ledger.would_refuse.get(),
            cause = ledger.cause.get(),
            "request"
        );
    }
}
