//! Connections to the gateway: HTTP/1.1, a bounded number, the one used last taken first.
//!
//! Invariant: an exchange that is dropped closes its connection at once, as a caller who leaves does.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::NoRun;
use crate::cli::Exit;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any gateway here lets a solve take, its default being 95 s.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// A description with its schemas and examples fits, and so does any problem.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The gateway, and the connections to it that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Wire {
    address: SocketAddr,
    authority: HeaderValue,
    /// What stands before every path, without a slash at its end.
    prefix: String,
    idle: Mutex<Vec<Connection>>,
    opened: AtomicU64,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) body: Bytes,
}

/// An answer. The body is kept where `keep` said so or the status is no success.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NoConnection,
    /// The connection ended before the answer did.
    CutOff,
    /// None within [`ANSWER_TIMEOUT`].
    NoAnswer,
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

// === impl Wire ===

impl Wire {
    /// Finds the gateway and connects once. Without `allow_remote` its address must be of this computer.
    pub(super) async fn find(url: &str, allow_remote: bool) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is not an address"))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http") && uri.query().is_none());
        let authority: &Authority = authority.with_context(|| {
            format!(
                "`{url}` is not the address of a gateway: http://HOST:PORT, because the gateway itself speaks no TLS"
            )
        })?;
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(80);
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((host, port)).await.with_context(|| format!("cannot find {host}"))?.collect();
        if let Some(remote) = addresses.iter().find(|address| !address.ip().is_loopback() && !allow_remote) {
            anyhow::bail!(
                "{remote} is another computer: load on what others use is an attack, and the network would be measured \
                 with it. --allow-remote if it is yours to load"
            );
        }
        let mut last = anyhow::anyhow!("{host} has no address");
        // `localhost` may be two addresses of which one listens.
        for address in addresses {
            let wire = Self {
                address,
                authority: HeaderValue::from_str(authority.as_str())?,
                prefix: uri.path().trim_end_matches('/').to_owned(),
                idle: Mutex::default(),
                opened: AtomicU64::new(0),
            };
            match wire.open().await {
                Ok(connection) => {
                    wire.give_back(connection);
                    return Ok(wire);
                }
                Err(error) => last = error,
            }
        }
        Err(NoRun::new(Exit::Unreachable, format!("cannot reach {url}: {last:#}")))
    }

    /// How many connections have been opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Sends and waits for the whole answer.
    ///
    /// Cancel safety: dropping it closes the connection that it uses.
    pub(super) async fn exchange(&self, call: &Call<'_>, keep: bool) -> Result<Answered, Failure> {
        let exchanged = tokio::time::timeout(ANSWER_TIMEOUT, async {
            loop {
                let idle = self.take();
                let reused = idle.is_some();
                let mut connection = match idle {
                    Some(connection) => connection,
                    None => self.open().await.map_err(|_refused| Failure::NoConnection)?,
                };
                match connection.exchange(self.request(call)?, keep).await {
                    Ok(answered) => {
                        self.give_back(connection);
                        return Ok(answered);
                    }
                    // The gateway had closed an idle connection, and nothing was sent. There are finitely many.
                    Err(error) if reused && (error.is_canceled() || error.is_closed()) => {}
                    Err(_) => return Err(Failure::CutOff),
                }
            }
        });
        exchanged.await.unwrap_or(Err(Failure::NoAnswer))
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.prefix, call.target))
            .header(header::HOST, &self.authority)
            // Without one the gateway takes a reader of descriptions for Hops.
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("appserver-load/", env!("CARGO_PKG_VERSION")));
        if call.method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = call.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        // The target was put together from a checked name, so that this does not happen once a run has begun.
        request.body(Full::new(call.body.clone())).map_err(|_not_a_target| Failure::NoConnection)
    }

    async fn open(&self) -> anyhow::Result<Connection> {
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await??;
        // Small requests must not wait for the acknowledgement of those before them.
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        // Its errors reach the exchange that they end.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, task })
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().expect("nothing panics while it holds this lock");
        while let Some(connection) = idle.pop() {
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().expect("nothing panics while it holds this lock").push(connection);
    }
}

// === impl Connection ===

impl Connection {
    async fn exchange(&mut self, request: Request<Full<Bytes>>, keep: bool) -> Result<Answered, hyper::Error> {
        self.sender.ready().await?;
        let (parts, mut body) = self.sender.send_request(request).await?.into_parts();
        let keep = keep || !parts.status.is_success();
        let mut kept = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data()
                && keep
                && kept.len() + data.len() <= KEPT_BYTES_MAX
            {
                kept.extend_from_slice(&data);
            }
        }
        Ok(Answered { status: parts.status.as_u16(), headers: parts.headers, body: kept.freeze() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
