//! Who waits for a change, and who tells of one, within this process.
//!
//! A bell is a hint: it may ring for nothing, and what happens in another process may not ring it. So a [`Watch`] ends its wait after
//! a poll interval at the latest, and whoever waits looks again.

use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time;

use crate::{AppId, JobId};

/// How many rings a slow watcher may be behind; beyond it, it just looks.
const BACKLOG: usize = 1024;

/// The longest that a watcher sleeps without looking.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ring {
    Job(JobId),
    Queue(AppId),
}

/// The teller's side.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    rings: broadcast::Sender<Ring>,
}

/// The waiter's side. What rings after it was made is not missed, so: watch, look, wait, look again.
#[derive(Debug)]
pub struct Watch {
    rings: broadcast::Receiver<Ring>,
    of: Of,
}

/// What is watched.
#[derive(Debug)]
enum Of {
    One(Ring),
    /// Every app's queue.
    Queues,
}

impl Of {
    fn is(&self, ring: &Ring) -> bool {
        match self {
            Self::One(of) => of == ring,
            Self::Queues => matches!(ring, Ring::Queue(_)),
        }
    }
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { rings: broadcast::Sender::new(BACKLOG) }
    }

    pub(crate) fn ring(&self, ring: Ring) {
        // Nobody listens: nobody is missed.
        let _ = self.rings.send(ring);
    }

    pub(crate) fn watch(&self, of: Ring) -> Watch {
        Watch { rings: self.rings.subscribe(), of: Of::One(of) }
    }

    pub(crate) fn watch_queues(&self) -> Watch {
        Watch { rings: self.rings.subscribe(), of: Of::Queues }
    }
}

impl Watch {
    /// Waits until there may be something new, at most so long and never longer than the poll interval. Cancel safe.
    pub async fn changed(&mut self, patience: Duration) {
        let heard = async {
            loop {
                match self.rings.recv().await {
                    Ok(ring) if self.of.is(&ring) => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    // The store is gone; the poll interval keeps a loop of ours from spinning.
                    Err(RecvError::Closed) => std::future::pending::<()>().await,
                }
            }
        };
        let _ = time::timeout(patience.min(POLL), heard).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_hears_what_rang_since_it_was_made_and_polls_otherwise() {
        let bell = Bell::new();
        let (mine, other) = (JobId::new(), JobId::new());
        let mut watch = bell.watch(Ring::Job(mine));
        bell.ring(Ring::Job(other));
        bell.ring(Ring::Job(mine));
        let before = time::Instant::now();
        watch.changed(Duration::from_mins(1)).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        watch.changed(Duration::from_mins(1)).await;
        assert_eq!(before.elapsed(), POLL, "a ring that is lost costs one poll");
    }
}
