//! What the broker says of settlements, read off the wire.
//!
//! A message is settled by asking, and the broker answers whether it did: a lock that was lost is a refusal. The AMQP library takes the
//! answer for itself and tells nobody, so the stream is tapped beneath it: whole frames are looked at, and dispositions of the
//! broker's side are given to whoever waits for them. Everything passes on as it came.
//!
//! Invariant: at most [`FRAME_BYTES_MAX`] bytes are kept, and only of a frame that may be a disposition.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use fe2o3_amqp::types::definitions::Role;
use fe2o3_amqp::types::messaging::DeliveryState;
use fe2o3_amqp::types::performatives::Disposition;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A frame's size, data offset, type and channel; a protocol's header is as long.
const HEAD_BYTES: usize = 8;
/// A disposition with a reason and a description is far smaller.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// One disposition may speak of a range of deliveries; more than a link has of ours is no answer to us.
const RANGE_MAX: u32 = 4096;

/// Who waits for which delivery's answer. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<HashMap<u32, oneshot::Sender<Option<DeliveryState>>>>>);

/// A stream that is listened to.
#[derive(Debug)]
pub(super) struct Tap<S> {
    stream: S,
    reader: Reader,
    answers: Answers,
}

/// Cuts what is read into frames.
#[derive(Debug, Default)]
struct Reader {
    /// The head of the frame that is being read, or all of it while it may be a disposition.
    kept: Vec<u8>,
    /// Bytes of this frame that are passed over.
    skip: usize,
}

// === impl Answers ===

impl Answers {
    /// To be had before the question is sent.
    pub(super) fn of(&self, delivery: u32) -> oneshot::Receiver<Option<DeliveryState>> {
        let (tell, answer) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that gave up waiting.
        waiting.retain(|_, tell| !tell.is_closed());
        waiting.insert(delivery, tell);
        answer
    }

    fn tell(&self, disposition: &Disposition) {
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if disposition.role != Role::Sender || !disposition.settled || last.wrapping_sub(first) > RANGE_MAX {
            return;
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in 0..=last.wrapping_sub(first) {
            if let Some(tell) = waiting.remove(&first.wrapping_add(id)) {
                // Who waited may have gone.
                let _ = tell.send(disposition.state.clone());
            }
        }
    }
}

// === impl Reader ===

impl Reader {
    fn read(&mut self, mut bytes: &[u8], answers: &Answers) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let wanted = self.wanted();
            let taken = wanted.saturating_sub(self.kept.len()).min(bytes.len());
            self.kept.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.kept.len() == HEAD_BYTES {
                self.judge();
            } else if self.kept.len() > HEAD_BYTES && self.kept.len() == self.wanted() {
                self.whole(answers);
            }
        }
    }

    /// How many bytes are kept before they are looked at.
    fn wanted(&self) -> usize {
        if self.kept.len() < HEAD_BYTES { HEAD_BYTES } else { self.size() }
    }

    fn size(&self) -> usize {
        let [a, b, c, d, ..] = self.kept[..] else { return 0 };
        u32::from_be_bytes([a, b, c, d]) as usize
    }

    /// After a head: whether the rest is kept or passed over.
    fn judge(&mut self) {
        let size = self.size();
        if self.kept.starts_with(b"AMQP") || size <= HEAD_BYTES {
            // A protocol's header, or a frame that only says that its sender lives.
            self.kept.clear();
        } else if size > FRAME_BYTES_MAX || self.kept[5] != 0 {
            self.kept.clear();
            self.skip = size - HEAD_BYTES;
        }
    }

    fn whole(&mut self, answers: &Answers) {
        let offset = usize::from(self.kept[4]) * 4;
        if let Some(body) = self.kept.get(offset..).filter(|body| is_disposition(body))
            && let Ok(disposition) = serde_amqp::from_slice::<Disposition>(body)
        {
            answers.tell(&disposition);
        }
        self.kept.clear();
    }
}

/// By its descriptor, in each way that a number can be written.
fn is_disposition(body: &[u8]) -> bool {
    body.starts_with(&[0x00, 0x53, 0x15]) || body.starts_with(&[0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x15])
}

// === impl Tap ===

impl<S> Tap<S> {
    pub(super) fn new(stream: S, answers: Answers) -> Self {
        Self { stream, reader: Reader::default(), answers }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(ctx, buffer);
        if let Poll::Ready(Ok(())) = read {
            this.reader.read(&buffer.filled()[before..], &this.answers);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(ctx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(ctx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp::types::messaging::Accepted;
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(HEAD_BYTES + body.len()).unwrap();
        [&size.to_be_bytes()[..], &[2, kind, 0, 0], body].concat()
    }

    fn disposition(role: Role, first: u32, last: Option<u32>, settled: bool) -> Vec<u8> {
        let state = Some(DeliveryState::Accepted(Accepted {}));
        let body = serde_amqp::to_vec(&Disposition { role, first, last, settled, state, batchable: false }).unwrap();
        frame(0, &body)
    }

    proptest! {
        /// However the bytes come, answers are heard, and only those of the broker's side that are final.
        #[test]
        fn answers_are_heard_in_whatever_pieces_they_come(piece in 1_usize..40) {
            let answers = Answers::default();
            let mut waiting: Vec<_> = (0..6).map(|id| answers.of(id)).collect();
            let long = vec![0x15; FRAME_BYTES_MAX + 5];
            let bytes = [
                b"AMQP\x03\x01\x00\x00".to_vec(),
                frame(1, &[0x00, 0x53, 0x15, 0x45]),
                frame(0, &[]),
                frame(0, &long),
                disposition(Role::Receiver, 0, None, true),
                disposition(Role::Sender, 1, None, false),
                disposition(Role::Sender, 2, Some(3), true),
                frame(0, &[0x00, 0x53, 0x15, 0xff]),
                disposition(Role::Sender, 5, None, true),
                disposition(Role::Sender, 4, Some(3), true),
            ]
            .concat();
            let mut reader = Reader::default();
            for part in bytes.chunks(piece) {
                reader.read(part, &answers);
                prop_assert!(reader.kept.len() <= FRAME_BYTES_MAX);
            }
            let heard: Vec<bool> = waiting.iter_mut().map(|answer| answer.try_recv().is_ok()).collect();
            prop_assert_eq!(heard, [false, false, true, true, false, true]);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..100) {
            let (answers, mut reader) = (Answers::default(), Reader::default());
            for part in bytes.chunks(piece) {
                reader.read(part, &answers);
            }
        }
    }
}
