//! Notices a caller that has left while its request is being handled, also when it sent something ahead.
//!
//! Invariant: a connection on which nothing is handled costs no timer, and neither does a request that is answered at once.

use std::future::poll_fn;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use http::{HeaderValue, Version, header};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{Sleep, sleep};

use crate::gateway::Response;

/// How often the socket of a request in work is looked at. A look is one system call, so 1,000 waiting callers cost 4,000 a second.
const EVERY: Duration = Duration::from_millis(250);

/// What one connection is at, known to its socket and to its requests.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Requests of HTTP/1 in work: 0 or 1.
    busy: AtomicUsize,
    answered: AtomicBool,
    close: AtomicBool,
}

/// A request in work.
#[derive(Debug)]
pub(super) struct Busy(Option<Arc<Exchange>>);

// === impl Exchange ===

impl Exchange {
    /// A request enters. HTTP/2 says itself when a caller has left, so only HTTP/1 counts.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Busy {
        if version > Version::HTTP_11 {
            return Busy(None);
        }
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Some(Arc::clone(self)))
    }

    /// The socket gives a new request to the parser.
    pub(super) fn asked(&self) {
        self.answered.store(false, Ordering::Release);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// The caller has sent what will not be parsed.
    pub(super) fn close_after_answer(&self) {
        self.close.store(true, Ordering::Release);
    }

    pub(super) fn closes_after_answer(&self) -> bool {
        self.close.load(Ordering::Acquire)
    }

    /// Ends when the caller has closed its side, or the whole, while a request of it is in work. A caller that closes its sending
    /// side only, and still reads, counts as gone: nothing tells the two apart before it is written to.
    ///
    /// To be polled whenever the connection was, and after it, by the same task: a request begins there, and nothing else tells of it.
    pub(super) fn peer_is_gone(&self, socket: &impl AsFd) -> impl Future<Output = ()> {
        let mut look: Option<Pin<Box<Sleep>>> = None;
        poll_fn(move |context| {
            while self.busy.load(Ordering::Acquire) > 0 {
                ready!(look.get_or_insert_with(|| Box::pin(sleep(EVERY))).as_mut().poll(context));
                look = None;
                if hung_up(socket) {
                    return Poll::Ready(());
                }
            }
            look = None;
            Poll::Pending
        })
    }
}

impl Busy {
    /// The request is answered; tells the caller if nothing more is taken from it.
    pub(super) fn answered(self, response: &mut Response) {
        let Some(exchange) = &self.0 else { return };
        if exchange.closes_after_answer() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        exchange.answered.store(true, Ordering::Release);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// `RDHUP` shows with bytes unread in between, where a read would not come to the end.
fn hung_up(socket: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0) && polled[0].revents().intersects(gone)
}
