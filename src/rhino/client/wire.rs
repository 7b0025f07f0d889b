//! The socket of a connection to a node, which knows whether anything of the present request has left it.
//!
//! Invariant: the first byte of a request is written to a connection that was used before only if, one system call earlier, the node had
//! not closed it. What the ledger calls unwritten, no node has seen a byte of.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A request is about to be written, the first on this connection.
const FIRST: u8 = 1;
/// A request is about to be written, and the connection has lain idle before.
const REUSED: u8 = 2;
/// Some of the request was written.
const WRITTEN: u8 = 3;
/// The node had closed it before anything was written; nothing will be.
const DEAD: u8 = 4;

/// How far the present request is, 0 before the first: bytes of the handshake may pass. Shared by the socket and whoever sends.
#[derive(Debug, Default)]
pub(super) struct Ledger(AtomicU8);

/// The socket.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    ledger: Arc<Ledger>,
}

// === impl Ledger ===

impl Ledger {
    /// A request comes next.
    pub(super) fn begin(&self, reused: bool) {
        let next = if reused { REUSED } else { FIRST };
        // What is dead stays so.
        let _ = self.0.try_update(Ordering::AcqRel, Ordering::Acquire, |now| (now != DEAD).then_some(next));
    }

    /// Whether the node can have seen anything of the request that was begun last.
    pub(super) fn is_written(&self) -> bool {
        self.0.load(Ordering::Acquire) == WRITTEN
    }
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(socket: TcpStream) -> (Self, Arc<Ledger>) {
        let ledger = Arc::<Ledger>::default();
        (Self { socket, ledger: Arc::clone(&ledger) }, ledger)
    }

    /// Asked before each write.
    fn may_write(&self) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the node had closed the connection");
        match self.ledger.0.load(Ordering::Acquire) {
            DEAD => Err(gone()),
            REUSED if readable(&self.socket) => {
                self.ledger.0.store(DEAD, Ordering::Release);
                Err(gone())
            }
            _ => Ok(()),
        }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = written {
            let begun = |now| matches!(now, FIRST | REUSED).then_some(WRITTEN);
            let _ = self.ledger.0.try_update(Ordering::AcqRel, Ordering::Acquire, begun);
        }
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.may_write()?;
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_write()?;
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Whether there is anything to read, or the end. On a connection that lies idle either means that it is of no more use. Asked of the system
/// itself: what the runtime knows of a socket is from its last turn.
fn readable(socket: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::IN | PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Wire, Arc<Ledger>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (wire, ledger) = Wire::new(socket);
        (wire, ledger, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_connection_that_the_node_closed_while_it_lay_idle() {
        let (mut wire, ledger, mut node) = pair().await;
        ledger.begin(false);
        wire.write_all(b"first").await.unwrap();
        assert!(ledger.is_written());
        node.read_exact(&mut [0; 5]).await.unwrap();
        drop(node);
        ledger.begin(true);
        // The runtime has not been asked in between, so it does not know yet.
        assert_eq!(wire.write(b"second").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(!ledger.is_written());
        ledger.begin(true);
        assert!(wire.write(b"third").await.is_err() && !ledger.is_written(), "it stays dead");
    }

    #[tokio::test]
    async fn a_first_request_may_follow_what_the_node_says_unasked_and_a_later_one_may_not() {
        let (mut wire, ledger, mut node) = pair().await;
        node.write_all(b"a ticket of TLS").await.unwrap();
        ledger.begin(false);
        wire.write_all(b"first").await.unwrap();
        ledger.begin(true);
        assert!(wire.write(b"second").await.is_err() && !ledger.is_written());
    }
}
