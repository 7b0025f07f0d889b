//! Connections to one node that nobody uses just now.
//!
//! Invariant: the one that was used last is taken first, and none is taken that has lain idle for longer than half of what this node has been
//! seen to close one after: a request that is written as the node closes is lost, and nobody can tell whether it was seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

use super::pace::Pace;
use super::wire::Ledger;

/// Rhino.Compute's server closes idle connections after 130 s; be first, with a margin.
const IDLE_MAX: Duration = Duration::from_secs(45);
/// What a node has shown is believed for so long; then for twice as long a time may a connection lie idle, and so on.
const BELIEVED: Duration = Duration::from_mins(1);
/// What may lie idle for less than this is not used again: on a busy machine an answer is on its way for as long, and the node counts from when it
/// sent it.
const WORTH_IT: Duration = Duration::from_millis(100);
/// A connection is free a moment after its answer was read, when its task has come round.
const ROUND: Duration = Duration::from_millis(50);

/// An open connection.
#[derive(Debug)]
pub(super) struct Line {
    pub sender: SendRequest<Full<Bytes>>,
    pub ledger: Arc<Ledger>,
    pub pace: Arc<Pace>,
    /// How long it lay idle before it was taken; `None` for a new one.
    pub idle: Option<Duration>,
    /// Since when it lies idle: told to the task that drives it, which sees it end.
    pub rests: Arc<Rests>,
}

/// Since when a connection lies idle, if it does.
#[derive(Debug, Default)]
pub(super) struct Rests(Mutex<Option<Instant>>);

/// The idle ones, oldest first.
#[derive(Debug)]
pub(super) struct Pool {
    lines: Mutex<Vec<Line>>,
    most: usize,
    pub(super) shown: Arc<Shown>,
}

/// How long the node keeps a connection that nobody uses, as far as it has shown.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Option<(Duration, Instant)>>);

// === impl Pool ===

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { lines: Mutex::default(), most, shown: Arc::default() }
    }

    /// One that can be written to at once, for all that can be known before it is tried.
    ///
    /// Cancel safety: dropping it loses a connection at most.
    pub(super) async fn take(&self) -> Option<Line> {
        loop {
            let mut line = self.newest()?;
            line.idle = line.rests.end();
            if let Ok(Ok(())) = tokio::time::timeout(ROUND, line.sender.ready()).await {
                return Some(line);
            }
        }
    }

    fn newest(&self) -> Option<Line> {
        let mut lines = locked(&self.lines);
        self.sweep(&mut lines);
        lines.pop()
    }

    /// Takes back one whose answer was read whole.
    pub(super) fn give(&self, line: Line) {
        if line.sender.is_closed() {
            return;
        }
        line.rests.begin();
        let mut lines = locked(&self.lines);
        lines.push(line);
        self.sweep(&mut lines);
    }

    /// Closes those that are too old or too many. Whoever is probed every few seconds is swept as often.
    fn sweep(&self, lines: &mut Vec<Line>) {
        let (limit, now) = (self.shown.limit(Instant::now()), Instant::now());
        let excess = lines.len().saturating_sub(self.most);
        let old = lines.iter().take_while(|line| line.rests.for_how_long(now) > limit).count();
        for line in lines.drain(..old.max(excess)) {
            // That it ends is our doing.
            line.rests.end();
        }
    }
}

// === impl Rests ===

impl Rests {
    fn begin(&self) {
        *locked(&self.0) = Some(Instant::now());
    }

    /// How long it has lain idle, if it did.
    pub(super) fn end(&self) -> Option<Duration> {
        locked(&self.0).take().map(|since| since.elapsed())
    }

    fn for_how_long(&self, now: Instant) -> Duration {
        locked(&self.0).map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

// === impl Shown ===

impl Shown {
    /// The node has closed a connection that had lain idle for so long.
    pub(super) fn closed_after(&self, idle: Duration, now: Instant) {
        let mut shown = locked(&self.0);
        let known = shown.map_or(Duration::MAX, |(least, since)| grown(least, since, now));
        if idle <= known {
            // So that it grows again.
            *shown = Some((idle.max(Duration::from_millis(1)), now));
        }
    }

    /// How long a connection may lie idle and still be used; nothing where the node closes too soon.
    fn limit(&self, now: Instant) -> Duration {
        let shown = *locked(&self.0);
        let limit = shown.map_or(IDLE_MAX, |(least, since)| (grown(least, since, now) / 2).min(IDLE_MAX));
        if limit < WORTH_IT { Duration::ZERO } else { limit }
    }
}

/// What was seen once may have been a restart, so it is believed less and less.
fn grown(least: Duration, since: Instant, now: Instant) -> Duration {
    let times = now.saturating_duration_since(since).as_secs() / BELIEVED.as_secs();
    least.saturating_mul(1 << times.min(30))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_has_shown_bounds_how_long_connections_are_kept_and_is_forgotten_in_steps() {
        let (shown, start) = (Shown::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(shown.limit(start), IDLE_MAX);
        shown.closed_after(Duration::from_secs(5), start);
        shown.closed_after(Duration::from_secs(9), start);
        assert_eq!(shown.limit(after(59)), Duration::from_millis(2500));
        assert_eq!(shown.limit(after(60)), Duration::from_secs(5));
        // Twice as long is believed by then, so this is news.
        shown.closed_after(Duration::from_secs(9), after(60));
        assert_eq!(shown.limit(after(60)), Duration::from_millis(4500));
        assert_eq!(shown.limit(after(3600)), IDLE_MAX);
        shown.closed_after(Duration::ZERO, after(3600));
        assert_eq!(shown.limit(after(3600)), Duration::ZERO);
        assert_eq!(shown.limit(after(3600 + 8 * 60)), Duration::from_millis(128));
        assert_eq!(shown.limit(after(3600 + 17 * 60)), IDLE_MAX, "a restart is forgotten after a quarter of an hour");
    }
}
