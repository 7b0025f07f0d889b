//! Changes told between processes by NOTIFY. A hint only: whoever waits polls as well, so a listener that is lost costs a poll.
//!
//! The telling is a trigger of the histories' table, so that no statement can forget it; but for what workers write, which
//! [`super::tell`] tells.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::task::JoinHandle;
use tokio::time;

use crate::bell::{Bell, Ring};
use crate::{AppId, JobId};

/// Before a listener that was lost is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// A listener that was told nothing for so long asks whether the server is there, and waits so long for its answer.
const QUIET: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(5);

/// A task that rings this process's bell. Ends when dropped.
#[derive(Debug)]
pub(super) struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    pub(super) fn start(options: PgConnectOptions, schema: &str, bell: Bell) -> Self {
        let channel = channel(schema);
        Self(tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&options, &channel, &bell).await {
                    tracing::warn!(%error, "the listener for changes was lost; changes are polled for until it is back");
                }
                time::sleep(AGAIN).await;
            }
        }))
    }
}

pub(super) fn channel(schema: &str) -> String {
    format!("{schema}_changes")
}

async fn listen(options: &PgConnectOptions, channel: &str, bell: &Bell) -> Result<(), sqlx::Error> {
    // Not of the pool: it would keep a connection from callers for good.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    loop {
        match time::timeout(QUIET, listener.recv()).await {
            // What is no word of ours is no harm.
            Ok(told) => {
                if let Some(ring) = read(told?.payload()) {
                    bell.ring(ring);
                }
            }
            // A connection that was lost without a word is as quiet as one on which nothing is told.
            Err(_quiet) => {
                let asked = time::timeout(ANSWER, sqlx::query("SELECT 1").execute(&mut listener)).await;
                asked.unwrap_or_else(|_late| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
            }
        }
    }
}

/// What is told, as the trigger tells it.
pub(super) fn word(ring: &Ring) -> String {
    match ring {
        Ring::Job(id) => format!("job {id}"),
        Ring::Queue(app) => format!("queue {app}"),
    }
}

fn read(payload: &str) -> Option<Ring> {
    let (kind, name) = payload.split_once(' ')?;
    match kind {
        "job" => name.parse::<JobId>().ok().map(Ring::Job),
        "queue" => AppId::new(name).ok().map(Ring::Queue),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_told_and_others_are_passed_over() {
        let id = JobId::new();
        assert_eq!(read(&format!("job {id}")), Some(Ring::Job(id)));
        assert_eq!(read("queue sitefit"), Some(Ring::Queue(AppId::new("sitefit").unwrap())));
        for ring in [Ring::Job(id), Ring::Queue(AppId::new("sitefit").unwrap())] {
            assert_eq!(read(&word(&ring)), Some(ring));
        }
        for other in ["", "job", "job x", "queue ", "queue a/b", "tenant ann", "\0"] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}
