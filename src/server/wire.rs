//! A caller's socket as the HTTP library sees it: heads checked before they are parsed, one request at a time, and no reader
//! that stops can hold an answer.
//!
//! Invariant: on HTTP/1 the parser is given a request's bytes and no more until that request is answered, so what a caller
//! sends ahead of its answer is never parsed: the connection closes after the answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::framing::{self, Follows};
use super::watch::Exchange;

/// How HTTP/2 begins (RFC 9113, 3.4); what differs is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the parser is given in place of a head that is refused: it answers 400 and closes.
const NO_HEAD: &[u8] = b"\0";
/// What is read of a caller who has been answered for good, so that closing does not tear its answer away, and for how long.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);
const CHUNK: usize = 8 * 1024;

/// How long a caller may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For its first head; the parser's own clock begins when it is given that.
    pub(super) opening: Duration,
    /// For taking `write_bytes_min` of an answer.
    pub(super) write: Duration,
    pub(super) write_bytes_min: usize,
    /// The longest head.
    pub(super) head_bytes_max: usize,
}

#[derive(Debug)]
pub(super) struct Wire {
    socket: Arc<TcpStream>,
    exchange: Arc<Exchange>,
    patience: Patience,
    mode: Mode,
    /// Read from the socket and not yet given to the parser.
    held: BytesMut,
    /// Runs while the first bytes, a stalled write, or the end of a closing connection is awaited.
    timer: Option<Pin<Box<Sleep>>>,
    /// Taken by the caller since the write timer was started.
    taken: usize,
    /// Whether the caller may still have bytes under way that nobody will parse.
    unread: bool,
    lingered: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    /// HTTP/1 or HTTP/2 is not known yet.
    Opening,
    /// Collecting a head; so many bytes of it were looked at.
    Head { seen: usize },
    /// Giving this many bytes of `held` to the parser, a head, before what follows it.
    Giving { left: usize, follows: Follows },
    /// Giving a body of known length.
    Body { left: u64 },
    /// The request is there, and its answer is not.
    Answering,
    /// Everything is the parser's: HTTP/2, a body in chunks, a head that it will refuse.
    Open,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(socket: Arc<TcpStream>, exchange: Arc<Exchange>, patience: Patience) -> Self {
        let timer = Some(Box::pin(sleep(patience.opening)));
        Self {
            socket,
            exchange,
            patience,
            mode: Mode::Opening,
            held: BytesMut::new(),
            timer,
            taken: 0,
            unread: false,
            lingered: None,
        }
    }

    /// Reads into `held`. 0 is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.held.reserve(CHUNK);
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            let (held, mut drained) = (&mut self.held, None);
            let read = self.socket.try_io(Interest::READABLE, || {
                let room = held.capacity() - held.len();
                match self.socket.try_read_buf(held)? {
                    // There was no more, so that it is not readable until more comes: without a second call that would say so.
                    count if (1..room).contains(&count) => {
                        drained = Some(count);
                        Err(io::ErrorKind::WouldBlock.into())
                    }
                    count => Ok(count),
                }
            });
            match (read, drained) {
                (_, Some(count)) => return Poll::Ready(Ok(count)),
                (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => {}
                (done, None) => return Poll::Ready(done),
            }
        }
    }

    /// Gives bytes of `held` to the parser; says how many.
    fn give(&mut self, most: usize, buf: &mut ReadBuf<'_>) -> usize {
        let count = most.min(self.held.len()).min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        count
    }

    fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let common = self.held.len().min(PREFACE.len());
        if self.held[..common] != PREFACE[..common] {
            self.mode = Mode::Head { seen: 0 };
        } else if common == PREFACE.len() {
            self.timer = None;
            self.mode = Mode::Open;
        } else {
            self.poll_timer(cx)?;
            if ready!(self.poll_fill(cx))? == 0 {
                self.mode = Mode::Open;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head(&mut self, seen: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut seen = seen;
        // Empty lines before a request are the habit of old clients (RFC 9112, 2.2).
        while seen == 0 && self.held.starts_with(b"\r\n") {
            self.held.advance(2);
        }
        let checked = framing::end(&self.held, seen);
        let found =
            checked.and_then(|end| end.map(|end| framing::check(&self.held[..end]).map(|f| (end, f))).transpose());
        match found {
            Ok(Some((left, follows))) if left <= self.patience.head_bytes_max => {
                self.exchange.asked();
                self.timer = None;
                self.mode = Mode::Giving { left, follows };
            }
            Ok(None) if self.held.len() <= self.patience.head_bytes_max => {
                seen = self.held.len();
                self.mode = Mode::Head { seen };
                // Of the first head only: the parser's clock counts for those after it.
                self.poll_timer(cx)?;
                if ready!(self.poll_fill(cx))? == 0 {
                    self.mode = Mode::Open;
                }
            }
            // Over the limit: the parser, which has the same, says so.
            Ok(_) => (self.mode, self.unread) = (Mode::Open, true),
            Err(framing::Refused) => {
                self.held = BytesMut::from(NO_HEAD);
                (self.mode, self.unread) = (Mode::Open, true);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What comes after a head or body that was given whole.
    fn request_is_there(&mut self) {
        self.mode = Mode::Answering;
        if !self.held.is_empty() {
            self.sent_ahead();
        }
    }

    fn sent_ahead(&mut self) {
        self.unread = true;
        self.exchange.close_after_answer();
    }

    /// Waits for the answer; meanwhile nothing but the end of the connection is for the parser.
    fn poll_answering(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Ended>>> {
        if self.exchange.is_answered() {
            if self.exchange.closes_after_answer() {
                return Poll::Ready(Ok(Some(Ended)));
            }
            self.mode = Mode::Head { seen: 0 };
            return Poll::Ready(Ok(None));
        }
        if self.exchange.closes_after_answer() {
            // Nothing is read any more: `watch` notices a caller that goes.
            return Poll::Pending;
        }
        if ready!(self.poll_fill(cx))? == 0 {
            return Poll::Ready(Ok(Some(Ended)));
        }
        self.sent_ahead();
        Poll::Pending
    }

    /// Gives a body from what is held, then straight from the socket, and never a byte more than it has.
    fn poll_body(&mut self, left: u64, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let mut count = self.give(most, buf);
        if count == 0 {
            count = ready!(poll_read_socket(&self.socket, cx, buf, most))?;
        }
        if count == 0 {
            return Poll::Ready(Ok(()));
        }
        self.mode = Mode::Body { left: left - count as u64 };
        if left == count as u64 {
            self.request_is_there();
        }
        Poll::Ready(Ok(()))
    }

    /// An error when the timer has run out; never waits.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let over = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn poll_write_by(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.socket.poll_write_ready(cx)?.is_pending() {
                if self.timer.is_none() {
                    (self.timer, self.taken) = (Some(Box::pin(sleep(self.patience.write))), 0);
                }
                self.poll_timer(cx)?;
                return Poll::Pending;
            }
            match write(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.taken += count;
                    if self.taken >= self.patience.write_bytes_min {
                        self.timer = None;
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The parser is told that nothing more comes.
#[derive(Debug)]
struct Ended;

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match this.mode {
                Mode::Opening => ready!(this.poll_opening(cx))?,
                Mode::Head { seen } => ready!(this.poll_head(seen, cx))?,
                Mode::Giving { left, follows } => {
                    let left = left - this.give(left, buf);
                    match follows {
                        _ if left > 0 => this.mode = Mode::Giving { left, follows },
                        Follows::Length(0) => this.request_is_there(),
                        Follows::Length(left) => this.mode = Mode::Body { left },
                        Follows::Chunks => {
                            this.mode = Mode::Open;
                            this.sent_ahead();
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                Mode::Body { left } => return this.poll_body(left, cx, buf),
                Mode::Answering => {
                    if let Some(Ended) = ready!(this.poll_answering(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Mode::Open if this.held.is_empty() => {
                    return poll_read_socket(&this.socket, cx, buf, usize::MAX).map_ok(|_count| ());
                }
                Mode::Open => {
                    this.give(usize::MAX, buf);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

/// Reads at most `most` bytes into the parser's buffer; 0 is the end.
fn poll_read_socket(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<usize>> {
    let room = most.min(buf.remaining());
    loop {
        ready!(socket.poll_read_ready(cx))?;
        match socket.try_read(buf.initialize_unfilled_to(room)) {
            Ok(count) => {
                buf.advance(count);
                return Poll::Ready(Ok(count));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_by(cx, |socket| socket.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_by(cx, |socket| socket.try_write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Comes when all is written, so what was slow is over.
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.timer = None;
        Poll::Ready(Ok(()))
    }

    /// Says that no more comes from here. Where the caller may still be sending, its bytes are read and dropped for a moment:
    /// a socket that is closed with bytes unread is reset, and the reset would overtake the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingered.is_none() {
            // The kernel's own send buffer is flushed whatever becomes of this.
            let _ = rustix::net::shutdown(&this.socket, rustix::net::Shutdown::Write);
            (this.lingered, this.timer) = (Some(0), Some(Box::pin(sleep(LINGER))));
        }
        let sending = this.unread || matches!(this.mode, Mode::Body { .. } | Mode::Giving { .. });
        while sending && this.lingered.is_some_and(|bytes| bytes < LINGER_BYTES) && this.poll_timer(cx).is_ok() {
            this.held.clear();
            match ready!(this.poll_fill(cx)) {
                Ok(count) if count > 0 => this.lingered = this.lingered.map(|bytes| bytes + count),
                Ok(_) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
