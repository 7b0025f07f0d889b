//! HTTP to one node: one connection pool, one key, bounded answers, and failures kept apart.
//!
//! Invariants: the key is in a header marked sensitive and in no log or `Debug`; no proxy, redirect, referrer or
//! policy retry stands between the gateway and the node, so one call is one request; no answer takes more memory
//! than the caller allows.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use trace::Context;

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
    /// The longest silence inside an answer that has begun.
    pub idle_timeout: Duration,
    /// Connections kept open while nobody uses them.
    pub idle_connections: usize,
}

/// The client of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<Key>,
    idle_timeout: Duration,
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
            Self::Reset(_) | Self::NotHttp(_) | Self::Cut(_) | Self::Idle(_) | Self::TooLarge(_) => false,
        }
    }
}

impl Client {
    /// Opens no connection yet.
    pub fn new(options: Options) -> Result<Self, BuildError> {
        let address = |url: &Url| BuildError::Address(url.to_string());
        let mut base = options.url;
        let plain = base.scheme() == "http";
        let fits = base.host().is_some() && base.query().is_none() && base.fragment().is_none();
        if !(plain || base.scheme() == "https") || !fits || !base.username().is_empty() {
            return Err(address(&base));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            // The node's server closes idle connections after about two minutes; be first, with a margin.
            .pool_idle_timeout(Duration::from_secs(45))
            .pool_max_idle_per_host(options.idle_connections)
            // Solves are silent for minutes; a peer that is gone must not look like one that computes.
            .tcp_keepalive(Duration::from_secs(30))
            .tcp_keepalive_interval(Duration::from_secs(10))
            .tcp_keepalive_retries(3)
            .user_agent(concat!("appserver/", env!("CARGO_PKG_VERSION")));
        if plain {
            // Images without root certificates fail to build a client even where none are needed.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| BuildError::Client(chain(&error)))?;
        Ok(Self { http, base, key: options.key, idle_timeout: options.idle_timeout })
    }

    /// Sends a solve and reads its answer, of at most `limit` bytes. Waits for the first byte of the answer without a
    /// bound of its own: a solve is silent until it is done, and the caller holds the clock. `trace` says what caused it.
    ///
    /// Cancel safety: dropping it closes the connection. The node solves on.
    pub async fn solve(&self, body: Bytes, limit: usize, trace: Option<&Context>) -> Result<Reply, Failure> {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(trace) = trace {
            trace.write(&mut headers);
        }
        self.call(self.http.post(self.at("grasshopper")).headers(headers).body(body), limit).await
    }

    /// Asks what a definition takes and gives; the body is made by [`super::describe::request`].
    ///
    /// Cancel safety: dropping it closes the connection and loses nothing.
    pub async fn describe(&self, body: Bytes, limit: usize) -> Result<Reply, Failure> {
        let request = self.http.post(self.at("io")).header(CONTENT_TYPE, "application/json").body(body);
        self.call(request, limit).await
    }

    /// Asks for a small document; `path` without a leading `/`, with its query.
    ///
    /// Cancel safety: dropping it closes the connection and loses nothing.
    pub async fn get(&self, path: &str, limit: usize) -> Result<Reply, Failure> {
        self.call(self.http.get(self.at(path)), limit).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn call(&self, request: reqwest::RequestBuilder, limit: usize) -> Result<Reply, Failure> {
        let request = match &self.key {
            Some(Key(key)) => request.header(KEY, key.clone()),
            None => request,
        };
        let start = Instant::now();
        let mut response = request.send().await.map_err(|error| unsent(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers());
        let text = |name: &str| text(headers, name);
        let (content_type, server_timing) = (text("content-type"), text("server-timing"));
        let cpu = text("rhino-compute-cpu-seconds").and_then(|text| cpu(&text));
        // A length that is announced saves the reading.
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        loop {
            let chunk = tokio::time::timeout(self.idle_timeout, response.chunk()).await;
            let Ok(chunk) = chunk else { return Err(Failure::Idle(self.idle_timeout)) };
            let Some(chunk) = chunk.map_err(|error| Failure::Cut(chain(&error)))? else { break };
            if body.len() + chunk.len() > limit {
                return Err(Failure::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        let elapsed = start.elapsed();
        Ok(Reply { status, content_type, server_timing, cpu, body: body.freeze(), elapsed })
    }
}

/// Which failure it is that no answer began.
fn unsent(error: &reqwest::Error) -> Failure {
    let why = chain(error);
    if error.is_connect() {
        let tls = causes(error).filter_map(|cause| cause.downcast_ref()).any(is_tls);
        return if tls { Failure::Tls(why) } else { Failure::Connect(why) };
    }
    let garbage = causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse);
    if garbage { Failure::NotHttp(why) } else { Failure::Reset(why) }
}

/// TLS reports through I/O errors of a kind that the operating system does not use for sockets, and the connector
/// wraps them once more.
fn is_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == io::ErrorKind::InvalidData || inner.is_some_and(is_tls)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The causes of an error, innermost last. Without the outermost, which is the URL.
fn chain(error: &reqwest::Error) -> String {
    let words = causes(error).map(ToString::to_string).collect::<Vec<_>>();
    if words.is_empty() { error.to_string() } else { words.join(": ") }
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
