//! What workers write is told to other processes by one transaction for many, not by each one's own.
//!
//! Transactions that notify are committed one after the other in the whole server, so that ends which were told by theirs would wait for each
//! other, and share no write to the disk. [`super::Postgres::held`] writes without a word and leaves it here.
//!
//! Invariant: a word is a hint, as all telling is. One that is lost, with a process that dies or a database that is away, costs a poll.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::listen::{channel, word};
use super::pool::{Pool, within};
use crate::Error;
use crate::bell::Ring;

/// The words that may wait. A database that does not take them while so many gather is not one that somebody hears anything of.
const WAITING_MAX: usize = 4096;
/// The words of one transaction.
const TOGETHER_MAX: usize = 512;
/// Between two of them. The first word after a silence is told at once.
const PAUSE: Duration = Duration::from_millis(10);

/// Where words are left. The task that tells them ends when this is dropped, with the last word.
#[derive(Debug)]
pub(super) struct Teller(mpsc::Sender<Ring>);

impl Teller {
    pub(super) fn start(pool: Pool, schema: &str) -> Self {
        let channel = channel(schema);
        let (leave, mut words) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut together = Vec::with_capacity(TOGETHER_MAX);
            while words.recv_many(&mut together, TOGETHER_MAX).await > 0 {
                if let Err(error) = within(tell(&pool, &channel, &together)).await {
                    tracing::debug!(%error, "what workers wrote is not told; whoever waits for it polls");
                }
                together.clear();
                sleep(PAUSE).await;
            }
        });
        Self(leave)
    }

    pub(super) fn tell(&self, ring: Ring) {
        // No room: whoever waits polls.
        let _ = self.0.try_send(ring);
    }
}

async fn tell(pool: &Pool, channel: &str, rings: &[Ring]) -> Result<(), Error> {
    let words: Vec<String> = rings.iter().map(word).collect();
    let mut kept = pool.acquire().await?;
    let query = sqlx::query("SELECT pg_notify($1, word) FROM unnest($2::text[]) AS told (word)");
    query.bind(channel).bind(&words).execute(&mut *kept).await?;
    kept.done();
    Ok(())
}
