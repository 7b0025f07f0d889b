//! The socket as hyper sees it, with faults below it.
//!
//! hyper writes correct HTTP into a [`Wire`]; what leaves the machine is that, cut, stalled, slowed or replaced. A fault
//! is armed for one answer and stays in force until the connection ends, since no connection survives one in use.

use super::Fault;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// The tick of a slow answer.
const DRIP_TICK: Duration = Duration::from_millis(20);

/// What the bytes of an answer meet.
#[derive(Debug, Default)]
enum Damage {
    #[default]
    None,
    /// Reset once this many more bytes are out.
    Reset(u64),
    /// Swallow everything once this many more bytes are out.
    Stall(u64),
    /// At most so many bytes from now on in each tick.
    Drip { per_tick: usize, left: usize },
    /// Send these bytes instead of the answer, then close.
    Replace { bytes: Vec<u8>, sent: usize },
}

/// Arms the faults of one connection from where its requests are handled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Saboteur {
    damage: Arc<Mutex<Damage>>,
    torn: Arc<AtomicBool>,
}

/// A connection with a [`Saboteur`] in it.
pub(crate) struct Wire {
    stream: TcpStream,
    saboteur: Saboteur,
    /// The next tick of a slow answer.
    tick: Option<Pin<Box<Sleep>>>,
}

// === impl Saboteur ===

impl Saboteur {
    /// Arms a fault of the wire for the answer `head` + `body` that is about to be written.
    pub(crate) fn arm(&self, fault: &Fault, status: u16, body: &[u8]) {
        let damage = match fault {
            Fault::Reset { byte } => Damage::Reset(*byte),
            Fault::Stall { byte } => Damage::Stall(*byte),
            Fault::Drip { bytes_per_second } => {
                let per_second =
                    u64::from(*bytes_per_second).max(1) * u64::try_from(DRIP_TICK.as_millis()).unwrap_or(1);
                let per_tick = usize::try_from(per_second.div_ceil(1_000)).unwrap_or(1);
                Damage::Drip { per_tick, left: per_tick }
            }
            Fault::Garbage => Damage::Replace { bytes: garbage(), sent: 0 },
            Fault::WrongContentLength { off_by } => {
                let claimed = i64::try_from(body.len()).unwrap_or(i64::MAX).saturating_add(*off_by).max(0);
                let mut bytes = format!("HTTP/1.1 {status} \r\nContent-Length: {claimed}\r\n\r\n").into_bytes();
                bytes.extend_from_slice(body);
                Damage::Replace { bytes, sent: 0 }
            }
            Fault::Delay { .. }
            | Fault::Hang
            | Fault::Refuse
            | Fault::ResetOnAccept
            | Fault::EndlessChunked
            | Fault::TruncatedJson { .. }
            | Fault::EmptyError
            | Fault::BadGatewayPage
            | Fault::OkWithErrors { .. }
            | Fault::OkWithText { .. }
            | Fault::Huge { .. }
            | Fault::WrongPlugins { .. }
            | Fault::StalePointer
            | Fault::Restart => return,
        };
        *self.damage() = damage;
    }

    /// Makes the end of the connection a reset, however it comes.
    pub(crate) fn tear(&self) {
        self.torn.store(true, Ordering::Relaxed);
    }

    fn damage(&self) -> std::sync::MutexGuard<'_, Damage> {
        self.damage.lock().expect("nothing panics while it holds this lock")
    }
}

/// A fixed run of bytes in which no HTTP client can see a status line.
fn garbage() -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..64).flat_map(next).map(|byte| byte | 0x80).collect()
}

/// Closes with RST instead of FIN.
pub(crate) fn reset(stream: &TcpStream) {
    // Linger zero is all that this needs; where it fails, the peer sees a plain close.
    drop(stream.set_zero_linger());
}

/// Ready when the peer has closed its side; what it sends before that is lost.
fn ended(stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
    let mut scratch = [0; 512];
    loop {
        let mut buffer = ReadBuf::new(&mut scratch);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
            Ok(()) if !buffer.filled().is_empty() => {}
            _ => return Poll::Ready(()),
        }
    }
}

// === impl Wire ===

impl Wire {
    pub(crate) fn new(stream: TcpStream, saboteur: Saboteur) -> Self {
        Self { stream, saboteur, tick: None }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.saboteur.torn.load(Ordering::Relaxed) {
            reset(&self.stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let saboteur = this.saboteur.clone();
        let mut damage = saboteur.damage();
        match &mut *damage {
            Damage::None => Pin::new(&mut this.stream).poll_write(cx, bytes),
            // What is left is swallowed; the flush that follows is where a reset happens.
            Damage::Reset(0) | Damage::Stall(0) => Poll::Ready(Ok(bytes.len())),
            Damage::Reset(left) | Damage::Stall(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &bytes[..most]))?;
                *left -= written as u64;
                Poll::Ready(Ok(written))
            }
            Damage::Drip { per_tick, left } => {
                if *left == 0 {
                    let tick = this.tick.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + DRIP_TICK)));
                    ready!(tick.as_mut().poll(cx));
                    this.tick = None;
                    *left = *per_tick;
                }
                let most = (*left).min(bytes.len());
                let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &bytes[..most]))?;
                *left -= written;
                Poll::Ready(Ok(written))
            }
            Damage::Replace { bytes: instead, sent } => {
                while *sent < instead.len() {
                    *sent += ready!(Pin::new(&mut this.stream).poll_write(cx, &instead[*sent..]))?;
                }
                // hyper believes that its own bytes went out and asks for the shutdown that the answer asked for.
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(*this.saboteur.damage(), Damage::Reset(0)) {
            reset(&this.stream);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(*this.saboteur.damage(), Damage::Stall(_)) {
            // Open until the peer has had enough of it.
            ready!(ended(&mut this.stream, cx));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
