//! How fast an answer comes once it has begun, heard above TLS so that a handshake's bytes are none of it.
//!
//! Invariant: a solve may be silent for as long as its deadline allows; an answer that has begun may not be dripped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The least pace of an answer, in bytes per second. The slowest line to a node has a hundred times as much.
pub(super) const PACE_MIN: u64 = 1024;

/// What has come of the present answer. Shared by the connection and whoever waits.
#[derive(Debug)]
pub(super) struct Pace {
    opened: Instant,
    /// When the answer began, in microseconds since `opened`; 0 before it does.
    began: AtomicU64,
    /// Bytes that have come, the head's included.
    bytes: AtomicU64,
}

/// A connection that counts what it hears.
#[derive(Debug)]
pub(super) struct Heard<T> {
    inner: T,
    pace: Arc<Pace>,
}

// === impl Pace ===

impl Pace {
    /// An answer comes next.
    pub(super) fn begin(&self) {
        self.began.store(0, Ordering::Release);
        self.bytes.store(0, Ordering::Release);
    }

    fn heard(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::AcqRel);
        let now = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let _ = self.began.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
    }

    /// When the answer, as far as it has come, is slower than it may be; none before it begins. `grace` is not counted.
    pub(super) fn too_slow_at(&self, grace: Duration) -> Option<Instant> {
        let began = Some(self.began.load(Ordering::Acquire)).filter(|began| *began > 0)?;
        let earned = self.bytes.load(Ordering::Acquire).saturating_mul(1000) / PACE_MIN;
        Some(self.opened + Duration::from_micros(began) + grace + Duration::from_millis(earned))
    }

    /// Ends when the answer has begun and is too slow. Cancel safe.
    pub(super) async fn too_slow(&self, grace: Duration) {
        loop {
            match self.too_slow_at(grace) {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::time::sleep_until(due).await,
                // Until it begins it is for the caller to say how long that may take.
                None => tokio::time::sleep(grace).await,
            }
        }
    }
}

// === impl Heard ===

impl<T> Heard<T> {
    pub(super) fn new(inner: T) -> (Self, Arc<Pace>) {
        let pace = Arc::new(Pace { opened: Instant::now(), began: AtomicU64::new(0), bytes: AtomicU64::new(0) });
        (Self { inner, pace: Arc::clone(&pace) }, pace)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, into);
        match into.filled().len() - before {
            0 => {}
            bytes => self.pace.heard(bytes),
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn u6_silence_before_an_answer_is_no_matter_and_drops_of_one_are() {
        let (mut node, ours) = tokio::io::duplex(1 << 20);
        let (mut heard, pace) = Heard::new(ours);
        pace.begin();
        let long = tokio::time::timeout(Duration::from_hours(1), pace.too_slow(GRACE)).await;
        assert!(long.is_err(), "a solve may take long");
        let began = Instant::now();
        let dripping = async {
            loop {
                node.write_all(b"x").await.unwrap();
                heard.read_exact(&mut [0]).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = pace.too_slow(GRACE) => {}
            () = dripping => {}
        }
        // What came is worth next to nothing, and the first look is up to one grace late.
        assert!((GRACE..=GRACE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_keeps_its_pace_is_never_too_slow_and_the_next_begins_anew() {
        let (mut node, ours) = tokio::io::duplex(1 << 20);
        let (mut heard, pace) = Heard::new(ours);
        for _ in 0..2 {
            pace.begin();
            assert_eq!(pace.too_slow_at(GRACE), None);
            let steady = async {
                for _ in 0..600 {
                    node.write_all(&[0; 1100]).await.unwrap();
                    heard.read_exact(&mut [0; 1100]).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = pace.too_slow(GRACE) => panic!("it kept its pace"),
                () = steady => {}
            }
        }
    }
}
