//! The accept loop: connections within their caps and times, each served by hyper with timers set, and a bounded drain.
//!
//! Invariant: every connection is counted while it lives, and one that sends nothing, takes nothing, or is gone is closed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::gateway::observe::Peer;
use crate::gateway::{Request as PathRequest, Response};

mod framing;
mod watch;
mod wire;

use watch::Exchange;
use wire::{Patience, Wire};

/// Streams of one HTTP/2 connection.
const H2_STREAMS_MAX: u32 = 100;
/// After a failed accept (no file descriptor left, say) the loop rests so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every request is answered by.
pub type Front = BoxCloneSyncService<PathRequest, Response, Infallible>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The bounds of the accept loop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    pub header_timeout: Duration,
    /// Headers of one request, and the bytes of its whole head; at least 8 KiB.
    pub headers_max: usize,
    pub head_bytes_max: usize,
    /// A caller that has not taken `write_bytes_min` of its answer in this time is cut.
    pub write_timeout: Duration,
    pub write_bytes_min: usize,
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
        let (socket, exchange) = (Arc::new(stream), Arc::new(Exchange::default()));
        let wire = Wire::new(Arc::clone(&socket), Arc::clone(&exchange), limits.patience());
        let service = on_connection(front.clone(), peer, Arc::clone(&exchange));
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(wire), service).into_owned());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                }
                // Dropping the connection drops what its request holds.
                () = exchange.peer_is_gone(&socket) => tracing::debug!(%peer, "the caller has left"),
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
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20);
    builder
}

/// One connection's service: the front, told who the peer is, and its socket told when a request begins and is answered.
fn on_connection(
    front: Front,
    peer: SocketAddr,
    exchange: Arc<Exchange>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> {
    service_fn(move |request: Request<Incoming>| {
        let busy = exchange.begin(request.version());
        let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        request.extensions_mut().insert(Peer(peer));
        let answer: BoxFuture<Result<Response, Infallible>> = Box::pin(front.clone().oneshot(request));
        async move {
            let Ok(mut response) = answer.await;
            busy.answered(&mut response);
            Ok(response)
        }
    })
}

impl Limits {
    fn patience(&self) -> Patience {
        Patience {
            opening: self.header_timeout,
            write: self.write_timeout,
            write_bytes_min: self.write_bytes_min,
            head_bytes_max: self.head_bytes_max,
        }
    }
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, timeout};

    use super::*;

    fn limits() -> Limits {
        Limits {
            connections_max: 100,
            connections_per_ip_max: 100,
            header_timeout: Duration::from_secs(1),
            headers_max: 64,
            head_bytes_max: 16 * 1024,
            write_timeout: Duration::from_millis(500),
            write_bytes_min: 1 << 20,
            drain: Duration::from_secs(5),
        }
    }

    /// A server whose every answer is as large as given.
    async fn server(answer: usize) -> (SocketAddr, CancellationToken, JoinHandle<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let body = bytes::Bytes::from(vec![b'x'; answer]);
        let front = tower::service_fn(move |_| std::future::ready(Ok(Response::new(body.clone().into()))));
        (address, stop.clone(), tokio::spawn(serve(listener, Front::new(front), limits(), stop)))
    }

    #[tokio::test]
    async fn o6_a_caller_that_stops_reading_is_cut() {
        let (address, stop, served) = server(64 << 20).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut little = [0; 1024];
        stream.read_exact(&mut little).await.unwrap();
        // Nothing is read for four times the limit; then what the kernel holds is all there is.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.len() < 63 << 20, "{} bytes came", rest.len());
        stop.cancel();
        assert!(served.await.unwrap());
    }

    #[tokio::test]
    async fn o6_a_caller_that_reads_steadily_gets_the_whole() {
        let (address, stop, served) = server(16 << 20).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let (mut all, mut part) = (0, vec![0; 1 << 20]);
        loop {
            match stream.read(&mut part).await.unwrap() {
                0 => break,
                count => all += count,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(all > 16 << 20, "{all}");
        stop.cancel();
        assert!(served.await.unwrap());
    }

    #[tokio::test]
    async fn c1_a_caller_that_says_nothing_or_begins_http2_only_is_cut() {
        let (address, stop, served) = server(1).await;
        for opening in ["", "P", "PRI * HTTP/2.0\r\n", "G"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(opening.as_bytes()).await.unwrap();
            let (begin, mut rest) = (Instant::now(), Vec::new());
            let _ = timeout(Duration::from_secs(4), stream.read_to_end(&mut rest)).await.expect("it stays open");
            assert!(begin.elapsed() < Duration::from_secs(3), "{opening:?}");
        }
        stop.cancel();
        assert!(served.await.unwrap());
    }

    #[test]
    fn one_address_cannot_take_every_connection() {
        let caps = Caps::new(Limits { connections_max: 3, connections_per_ip_max: 2, ..limits() });
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
