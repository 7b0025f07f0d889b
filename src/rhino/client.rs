//! HTTP to one node: one connection pool, one key, bounded answers, and failures kept apart.
//!
//! Invariants: the key is in a header marked sensitive and in no log or `Debug`; no proxy and no redirect stands between the gateway and the
//! node, and a request goes out a second time only where not a byte of it was written, so one call reaches the node once at most; no answer
//! takes more memory than the caller allows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use reqwest::Url;
use trace::Context;

use self::door::Door;
use self::pace::PACE_MIN;
use self::pool::{Line, Pool};

mod door;
mod pace;
mod pool;
mod wire;

const KEY: HeaderName = HeaderName::from_static("rhinocomputekey");

/// An API key that never reaches a log.
#[derive(Clone)]
pub struct Key(HeaderValue);

/// What to connect to, and the bounds of doing so.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the node answers, with or without a trailing `/`.
    pub url: Url,
    /// Sent with every request, health checks included: a node with a key asks it of all of them.
    pub key: Option<Key>,
    /// For a TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// The longest silence inside an answer that has begun, and how long it may take before its pace counts.
    pub idle_timeout: Duration,
    /// Connections kept open while nobody uses them.
    pub idle_connections: usize,
}

/// The client of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    node: Arc<Node>,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct Node {
    door: Door,
    /// What stands before each path, with a trailing `/`.
    path: String,
    /// Of every request.
    headers: HeaderMap,
    pool: Pool,
    opened_again: AtomicU64,
}

/// A request without the head of an answer.
enum Unanswered {
    /// Its connection failed; whether the node can have seen any of the request.
    Failed { error: hyper::Error, written: bool },
    /// The head comes in drops.
    Slow,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, if it is text.
    pub content_type: Option<String>,
    /// `Server-Timing`, which only a child that is called directly sends.
    pub server_timing: Option<String>,
    /// Processor time that the request took there, in all its processes: `Rhino-Compute-Cpu-Seconds`, which builds from 0.17 send where they
    /// meter.
    pub cpu: Option<Duration>,
    /// The body.
    pub body: Bytes,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection: nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// No secure connection: nothing was sent.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The connection ended before the first byte of an answer. The node may be solving.
    #[error("closed before an answer: {0}")]
    Reset(String),
    /// The first bytes of the answer are no HTTP.
    #[error("not HTTP: {0}")]
    NotHttp(String),
    /// The connection ended inside the answer.
    #[error("cut off inside the answer: {0}")]
    Cut(String),
    /// The answer began, and then nothing came for too long.
    #[error("silent for {} s inside the answer", .0.as_secs_f32())]
    Idle(Duration),
    /// The answer began, and then came in drops.
    #[error("an answer of less than {PACE_MIN} bytes per second")]
    Slow,
    /// The answer is more than is allowed.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
}

/// Why there can be no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The address cannot be a base of paths, or is neither http nor https.
    #[error("`{0}` is not the address of a node: http or https, a host, no query")]
    Address(String),
    /// The HTTP client refuses to start, most often for want of root certificates.
    #[error("no HTTP client: {0}")]
    Client(String),
}

impl Failure {
    /// Whether the node cannot have seen any of the request, so that another may be asked.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Tls(_) => true,
            Self::Reset(_) | Self::NotHttp(_) | Self::Cut(_) | Self::Idle(_) | Self::Slow | Self::TooLarge(_) => false,
        }
    }
}

impl Client {
    /// Opens no connection yet.
    pub fn new(options: Options) -> Result<Self, BuildError> {
        let address = |url: &Url| BuildError::Address(url.to_string());
        let mut base = options.url;
        let fits = base.host().is_some() && base.query().is_none() && base.fragment().is_none();
        if !matches!(base.scheme(), "http" | "https") || !fits || !base.username().is_empty() {
            return Err(address(&base));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let door = Door::new(&base, options.connect_timeout)?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(HOST, door.host());
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("appserver/", env!("CARGO_PKG_VERSION"))));
        if let Some(Key(key)) = options.key {
            headers.insert(KEY, key);
        }
        let pool = Pool::new(options.idle_connections);
        let node = Node { door, path: base.path().to_owned(), headers, pool, opened_again: AtomicU64::new(0) };
        Ok(Self { node: Arc::new(node), idle_timeout: options.idle_timeout })
    }

    /// Sends a solve and reads its answer, of at most `limit` bytes. Waits for the first byte of the answer without a
    /// bound of its own: a solve is silent until it is done, and the caller holds the clock. `trace` says what caused it.
    ///
    /// Cancel safety: dropping it closes the connection. The node solves on.
    pub async fn solve(&self, body: Bytes, limit: usize, trace: Option<&Context>) -> Result<Reply, Failure> {
        let mut request = self.post("grasshopper", body);
        if let Some(trace) = trace {
            trace.write(request.headers_mut());
        }
        self.call(request, limit).await
    }

    /// Asks what a definition takes and gives; the body is made by [`super::describe::request`].
    ///
    /// Cancel safety: dropping it closes the connection and loses nothing.
    pub async fn describe(&self, body: Bytes, limit: usize) -> Result<Reply, Failure> {
        self.call(self.post("io", body), limit).await
    }

    /// Asks for a small document; `path` without a leading `/`, with its query.
    ///
    /// Cancel safety: dropping it closes the connection and loses nothing.
    pub async fn get(&self, path: &str, limit: usize) -> Result<Reply, Failure> {
        self.call(self.request(Method::GET, path, Bytes::new()), limit).await
    }

    /// How often a connection was found closed by the node before anything of a request was written, and the request went out on a new one.
    pub fn opened_again(&self) -> u64 {
        self.node.opened_again.load(Ordering::Relaxed)
    }

    fn post(&self, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = self.request(Method::POST, path, body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // The paths are ours, and that of the base was parsed as one.
        *request.uri_mut() = Uri::try_from(format!("{}{path}", self.node.path)).unwrap_or_default();
        request.headers_mut().clone_from(&self.node.headers);
        request
    }

    async fn call(&self, request: Request<Full<Bytes>>, limit: usize) -> Result<Reply, Failure> {
        let start = Instant::now();
        let (line, response) = self.node.exchange(request, self.idle_timeout).await?;
        let (head, mut body) = response.into_parts();
        let text = |name: &str| text(&head.headers, name);
        let (content_type, server_timing) = (text("content-type"), text("server-timing"));
        let cpu = text("rhino-compute-cpu-seconds").and_then(|text| cpu(&text));
        // A length that is announced saves the reading.
        if body.size_hint().exact().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge(limit));
        }
        let mut read = BytesMut::new();
        loop {
            let frame = tokio::select! {
                biased;
                frame = tokio::time::timeout(self.idle_timeout, body.frame()) => frame,
                () = line.pace.too_slow(self.idle_timeout) => return Err(Failure::Slow),
            };
            let Ok(frame) = frame else { return Err(Failure::Idle(self.idle_timeout)) };
            let Some(frame) = frame else { break };
            let Ok(chunk) = frame.map_err(|error| Failure::Cut(chain(&error)))?.into_data() else { continue };
            if read.len() + chunk.len() > limit {
                return Err(Failure::TooLarge(limit));
            }
            read.extend_from_slice(&chunk);
        }
        if !says_close(&head.headers) {
            self.node.pool.give(line);
        }
        Ok(Reply {
            status: head.status.as_u16(),
            content_type,
            server_timing,
            cpu,
            body: read.freeze(),
            elapsed: start.elapsed(),
        })
    }
}

// === impl Node ===

impl Node {
    /// The head of the answer, and the connection that it came on. A connection that the node closes while it lies idle is found out before
    /// anything of the request is written, if it can be found out at all, and then the request goes out on a new one, once.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        grace: Duration,
    ) -> Result<(Line, Response<Incoming>), Failure> {
        if let Some(line) = self.pool.take().await {
            match self.send(line, request.clone(), grace).await {
                Err(Unanswered::Failed { written: false, .. }) => self.opened_again.fetch_add(1, Ordering::Relaxed),
                other => return other.map_err(Unanswered::failure),
            };
        }
        // It is large, and rarely needed.
        let line = Box::pin(self.door.open(&self.pool.shown)).await?;
        self.send(line, request, grace).await.map_err(Unanswered::failure)
    }

    async fn send(
        &self,
        mut line: Line,
        request: Request<Full<Bytes>>,
        grace: Duration,
    ) -> Result<(Line, Response<Incoming>), Unanswered> {
        /// A node that closed as the request was under way says so within a round trip.
        const AT_ONCE: Duration = Duration::from_secs(1);
        line.ledger.begin(line.idle.is_some());
        line.pace.begin();
        let start = Instant::now();
        let answer = tokio::select! {
            biased;
            answer = line.sender.send_request(request) => answer,
            () = line.pace.too_slow(grace) => return Err(Unanswered::Slow),
        };
        match answer {
            Ok(response) => Ok((line, response)),
            Err(error) => {
                let written = line.ledger.is_written();
                if let Some(idle) = line.idle.filter(|_| !error.is_parse() && start.elapsed() < AT_ONCE) {
                    self.pool.shown.closed_after(idle, Instant::now());
                }
                Err(Unanswered::Failed { error, written })
            }
        }
    }
}

// === impl Unanswered ===

impl Unanswered {
    fn failure(self) -> Failure {
        let Self::Failed { error, written } = self else { return Failure::Slow };
        let why = chain(&error);
        match written {
            false => Failure::Connect(format!("closed before anything was sent: {why}")),
            true if error.is_parse() => Failure::NotHttp(why),
            true => Failure::Reset(why),
        }
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    let words = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    words.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("close"))
}

/// An error and its causes, innermost last.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |&cause| cause.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a node says of its processor time; nothing where it is no time that a request can have taken.
fn cpu(seconds: &str) -> Option<Duration> {
    /// A day of a large machine.
    const SECONDS_MAX: f64 = 86_400.0 * 128.0;
    let seconds: f64 = seconds.trim().parse().ok().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(value.to_str().ok()?.chars().take(512).collect())
}

// === impl Key ===

impl Key {
    /// A key as it stands in a header: visible ASCII. `None` where it cannot.
    pub fn new(key: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(key).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests;
