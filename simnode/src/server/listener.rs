//! Sockets: accepting connections or refusing them, and serving each until it ends or is cut.
//!
//! The port stays this node's while it refuses connections.

use super::{Shared, proxy};
use crate::faults::wire::{Saboteur, Wire, reset};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Kestrel's limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two attempts to listen again on a port that something else has taken.
const REBIND_PAUSE: Duration = Duration::from_millis(20);

const BACKLOG: u32 = 1_024;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections that a fault has cut leave the port in TIME_WAIT.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until the node stops. While a fault refuses them the port is held without listening.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut changed = shared.changed.subscribe();
    let mut listener = Some(listener);
    loop {
        if shared.plan.refuses() {
            listener = None;
        } else if listener.is_none() {
            match listen(address) {
                Ok(open) => listener = Some(open),
                Err(error) => {
                    tracing::warn!(%address, %error, "the port of this node is taken");
                    tokio::select! {
                        () = shared.stopping.cancelled() => return,
                        () = tokio::time::sleep(REBIND_PAUSE) => continue,
                    }
                }
            }
        }
        shared.seen.send_replace(*changed.borrow_and_update());
        // Keeps others from the port; a bound socket that does not listen refuses connections.
        let held = if listener.is_none() { bind(address).ok() } else { None };
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = changed.changed() => {}
            stream = next(listener.as_ref()) => admit(&shared, stream),
        }
        drop(held);
    }
}

/// The next connection; never one while nothing listens.
async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

fn admit(shared: &Arc<Shared>, stream: io::Result<TcpStream>) {
    match stream {
        Ok(stream) if shared.plan.resets_accepted() => reset(&stream),
        Ok(stream) => drop(shared.tracker.spawn(connection(Arc::clone(shared), stream))),
        // The peer is already gone, or descriptors have run out; either passes.
        Err(error) => tracing::debug!(%error, "a connection was lost before it was accepted"),
    }
}

/// Serves one connection. A cut drops it in the middle of whatever it does, with a reset.
async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    drop(stream.set_nodelay(true));
    let cut = shared.connections();
    let saboteur = Saboteur::default();
    let wire = TokioIo::new(Wire::new(stream, saboteur.clone()));
    let service = service_fn(|request| proxy::handle(&shared, &saboteur, &cut, request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut serving = pin!(http.serve_connection(wire, service));
    let mut draining = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = cut.cancelled() => return saboteur.tear(),
            () = shared.stopping.cancelled(), if !draining => {
                draining = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
