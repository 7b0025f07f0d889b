//! The accept loop: connections within their caps and times, each served by hyper with timers set, and a bounded drain.
//!
//! Invariant: every connection is counted while it lives, and one that sends nothing is closed by a timer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::gateway::observe::Peer;
use crate::gateway::{Request as PathRequest, Response};

/// Request heads: at most this many headers, and this many bytes of them.
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Streams of one HTTP/2 connection.
const H2_STREAMS_MAX: u32 = 100;
/// After a failed accept (no file descriptor left, say) the loop rests so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every request is answered by.
pub type Front = BoxCloneSyncService<PathRequest, Response, Infallible>;

/// The bounds of the accept loop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    pub header_timeout: Duration,
    pub drain: Duration,
}

/// Serves until `stop`, then drains: running requests finish within `limits.drain`.
///
/// Returns whether every connection ended by itself.
pub async fn serve(listener: TcpListener, front: Front, limits: Limits, stop: CancellationToken) -> bool {
    let caps = Caps::new(limits);
    let graceful = GracefulShutdown::new();
    let builder = builder(limits);
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let Some(ticket) = caps.admit(peer.ip()) else {
            tracing::debug!(%peer, "connection refused: too many");
            continue;
        };
        let service = TowerToHyperService::new(on_connection(front.clone(), peer));
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop(ticket);
        });
    }
    drop(listener);
    tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_ok()
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole, so waiting to fill a segment only adds delay.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            // The peer was gone before it was accepted: nothing is wrong here.
            Err(error) if is_peer_fault(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_peer_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's timeouts do nothing unless a timer is given.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(16 * 1024)
        .max_pending_accept_reset_streams(20);
    builder
}

/// One connection's service: the front, told who the peer is.
fn on_connection(
    front: Front,
    peer: SocketAddr,
) -> impl tower::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send {
    front.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        request.extensions_mut().insert(Peer(peer));
        request
    })
}

/// How many connections there are, in all and by address.
#[derive(Debug, Clone)]
struct Caps {
    total: Arc<Semaphore>,
    by_ip: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_ip_max: usize,
}

/// One counted connection; dropping it gives its place back.
#[derive(Debug)]
struct Place {
    ip: IpAddr,
    by_ip: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _total: OwnedSemaphorePermit,
}

// === impl Caps ===

impl Caps {
    fn new(limits: Limits) -> Self {
        let total = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
        Self { total, by_ip: Arc::default(), per_ip_max: limits.connections_per_ip_max }
    }

    fn admit(&self, ip: IpAddr) -> Option<Place> {
        let total = Arc::clone(&self.total).try_acquire_owned().ok()?;
        let mut by_ip = self.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_ip.entry(ip).or_insert(0);
        if *count >= self.per_ip_max {
            return None;
        }
        *count += 1;
        drop(by_ip);
        Some(Place { ip, by_ip: Arc::clone(&self.by_ip), _total: total })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_ip = self.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_connection() {
        let second = Duration::from_secs(1);
        let caps =
            Caps::new(Limits { connections_max: 3, connections_per_ip_max: 2, header_timeout: second, drain: second });
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let first = caps.admit(a).unwrap();
        let _second = caps.admit(a).unwrap();
        assert!(caps.admit(a).is_none(), "the cap of one address");
        let _third = caps.admit(b).unwrap();
        assert!(caps.admit(b).is_none(), "the cap of all");
        drop(first);
        assert!(caps.admit(a).is_some(), "a closed connection gives its place back");
        assert!(caps.by_ip.lock().unwrap().contains_key(&b));
    }
}
