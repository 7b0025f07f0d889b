//! Sending: one line for each queue, made when it is needed and given up when it is not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fe2o3_amqp::Sender;
use fe2o3_amqp::link::delivery::Sendable;
use fe2o3_amqp::types::messaging::{Data, Header, Message as Envelope, MessageAnnotations, Outcome, Properties};
use fe2o3_amqp::types::primitives::{Timestamp, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::line::{Line, PATIENCE, gone};
use super::tap::Answers;
use super::{Address, Fault};

/// The queues that are sent to at one time; beyond it, the one that was least lately used makes room.
const LINES_MAX: usize = 64;
/// The broker ends links that are idle for ten minutes; they are ended here before.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// Sends messages to queues. Cheap to clone.
#[derive(Clone)]
pub struct Post {
    address: Arc<Address>,
    lines: Arc<Mutex<HashMap<String, Open>>>,
}

struct Open {
    sender: Sender,
    used: Instant,
    line: Line,
}

/// One message, as the broker carries it.
#[derive(Debug, Clone)]
pub struct Letter {
    /// A second one of the same id is dropped by a queue that looks for duplicates.
    pub id: String,
    pub body: Vec<u8>,
    /// Not given to anybody before so long.
    pub after: Duration,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Post").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Letter {
    fn sendable(self) -> Sendable<Data> {
        let properties = Properties::builder().message_id(self.id).content_type("application/json").build();
        let header = Header { durable: true, ..Header::default() };
        let annotations = (!self.after.is_zero()).then(|| {
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.after;
            let at = Timestamp::from_milliseconds(i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
            MessageAnnotations::builder().insert("x-opt-scheduled-enqueue-time", Value::Timestamp(at)).build()
        });
        let envelope = Envelope::builder().header(header).message_annotations(annotations).properties(properties);
        Sendable::from(envelope.data(self.body).build())
    }
}

impl Post {
    pub fn new(address: Arc<Address>) -> Self {
        Self { address, lines: Arc::default() }
    }

    /// Sends, and waits until the broker has it. A line that broke is made anew once: the broker may have ended one that was idle.
    pub async fn send(&self, queue: &str, letter: Letter) -> Result<(), Fault> {
        match self.attempt(queue, letter.clone()).await {
            Err(Fault::Gone(why)) => {
                tracing::debug!(why, queue, "the line to a queue is made anew");
                self.lines.lock().await.remove(queue);
                self.attempt(queue, letter).await
            }
            done => done,
        }
    }

    async fn attempt(&self, queue: &str, letter: Letter) -> Result<(), Fault> {
        let late = |_elapsed| Fault::Gone("it did not answer in time".to_owned());
        let sent = {
            let mut lines = self.lines.lock().await;
            let open = self.line(&mut lines, queue).await?;
            open.used = Instant::now();
            timeout(PATIENCE, open.sender.send_batchable(letter.sendable())).await.map_err(late)?.map_err(gone)?
        };
        // Others send while the answer is on its way.
        match timeout(PATIENCE, sent).await.map_err(late)?.map_err(gone)? {
            Outcome::Accepted(_) => Ok(()),
            Outcome::Rejected(rejected) => {
                Err(Fault::Refused(rejected.error.map_or_else(|| "a message".to_owned(), |error| error.to_string())))
            }
            Outcome::Released(_) | Outcome::Modified(_) => Err(Fault::Refused("a message".to_owned())),
        }
    }

    async fn line<'l>(&self, lines: &'l mut HashMap<String, Open>, queue: &str) -> Result<&'l mut Open, Fault> {
        lines.retain(|_, open| open.used.elapsed() < IDLE_MAX && !open.line.session.is_ended());
        if !lines.contains_key(queue) {
            if lines.len() >= LINES_MAX
                && let Some(oldest) = lines.iter().min_by_key(|(_, open)| open.used).map(|(name, _)| name.clone())
            {
                lines.remove(&oldest);
            }
            let mut line = Line::open(&self.address, queue, Answers::default()).await?;
            let name = format!("post-{}", uuid::Uuid::now_v7());
            let attached = timeout(PATIENCE, Sender::attach(&mut line.session, name, queue)).await;
            let sender =
                attached.map_err(|_late| Fault::Gone("it did not answer in time".to_owned()))?.map_err(gone)?;
            lines.insert(queue.to_owned(), Open { sender, used: Instant::now(), line });
        }
        lines.get_mut(queue).ok_or_else(|| Fault::Gone("the line is not there".to_owned()))
    }
}
