//! Receiving: one queue's messages, one at a time, each under a lock until it is settled.
//!
//! A task of its own holds the link, because the library wants it for receiving and for settling at once. It asks the broker for a
//! message only when somebody waits for one. What was asked for is not taken back, as it may be on its way: it is kept for whoever asks
//! within [`SPARE_MAX`], and given back then.
//!
//! Invariant: a message that nobody takes is given back, and a settlement is done when the broker has said so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp::Receiver;
use fe2o3_amqp::link::RecvError;
use fe2o3_amqp::link::delivery::{Delivery, DeliveryInfo};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::types::definitions::{self, ErrorCondition, Fields, ReceiverSettleMode};
use fe2o3_amqp::types::messaging::annotations::OwnedKey;
use fe2o3_amqp::types::messaging::{ApplicationProperties, Body, DeliveryState, Modified, Rejected};
use fe2o3_amqp::types::primitives::{SimpleValue, Symbol, Value};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::line::{Line, PATIENCE, gone};
use super::lock::{self, Locks};
use super::tap::Answers;
use super::{Address, Fault};

/// Questions that wait for the task: more than a worker has places.
const QUESTIONS_MAX: usize = 256;
/// How long a message is kept for which nobody waits any more.
const SPARE_MAX: Duration = Duration::from_millis(500);
/// Pauses between two tries to reach the broker: doubled from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(30);

/// A message, locked for whoever has this.
#[derive(Debug)]
pub struct Received {
    /// Its bytes; empty where it has none.
    pub body: Vec<u8>,
    /// How often it was given out before.
    pub deliveries: u32,
    /// What its lock is called.
    pub lock: Uuid,
    /// When the lock ends by the broker's clock, in milliseconds since 1970; nothing where it does not say.
    pub locked_until_ms: Option<i64>,
    properties: Option<ApplicationProperties>,
    delivery: DeliveryInfo,
    /// Of the link that it came by. Another one cannot settle it.
    link: Uuid,
}

/// How a message is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// It is done with.
    Complete,
    /// To be given out again, and this time counted as one that failed.
    Abandon,
    /// To the queue of the dead, with a word and a sentence for operators.
    DeadLetter { reason: String, description: String },
}

#[expect(clippy::large_enum_variant, reason = "as many as there are workers")]
enum Ask {
    Next(oneshot::Sender<Received>),
    Settle(Received, Settle, oneshot::Sender<Result<Answer, Fault>>),
    /// The line is of no more use.
    Broken(Fault),
}

type Answer = oneshot::Receiver<Option<DeliveryState>>;

/// One queue of the broker. Its line ends when this is dropped.
#[derive(Debug)]
pub struct Inbox {
    asks: mpsc::Sender<Ask>,
    locks: Arc<Mutex<Option<Locks>>>,
    task: JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Received ===

impl Received {
    /// What was written on it beside its body, such as why it is dead.
    pub fn property(&self, name: &str) -> Option<String> {
        let SimpleValue::String(text) = self.properties.as_ref()?.get(name)? else { return None };
        Some(text.clone())
    }
}

// === impl Inbox ===

impl Inbox {
    /// Starts to reach for the queue.
    pub fn open(address: Arc<Address>, queue: &str) -> Self {
        let (asks, asked) = mpsc::channel(QUESTIONS_MAX);
        let locks = Arc::default();
        let task = tokio::spawn(hold(address, queue.to_owned(), asked, Arc::clone(&locks)));
        Self { asks, locks, task }
    }

    /// The next message, if one comes in time. Dropped, it leaves none locked.
    pub async fn next(&self, patience: Duration) -> Result<Option<Received>, Fault> {
        let (tell, told) = oneshot::channel();
        let waited = async {
            let asked = self.asks.send(Ask::Next(tell)).await;
            asked.map_err(|_closed| Fault::Gone("its task has ended".to_owned()))?;
            // The task drops the question where it has no line.
            told.await.map_err(|_dropped| Fault::Gone("there is no line to it yet".to_owned()))
        };
        timeout(patience, waited).await.map_or(Ok(None), |received| received.map(Some))
    }

    /// Settles a message, and waits until the broker has said that it did.
    ///
    /// # Errors
    /// [`Fault::LockLost`] where somebody else has it by now; [`Fault::Gone`] where that cannot be known.
    pub async fn settle(&self, received: Received, how: Settle) -> Result<(), Fault> {
        let late = |_elapsed| Fault::Gone("it did not say whether a message is settled".to_owned());
        let dead = matches!(how, Settle::DeadLetter { .. });
        let whole = async {
            let (tell, told) = oneshot::channel();
            let ended = || Fault::Gone("its task has ended".to_owned());
            self.asks.send(Ask::Settle(received, how, tell)).await.map_err(|_closed| ended())?;
            let answer = told.await.map_err(|_dropped| ended())??;
            answer.await.map_err(|_dropped| Fault::Gone("the line broke before it answered".to_owned()))
        };
        verdict(timeout(PATIENCE, whole).await.map_err(late)??, dead)
    }

    /// Holds the lock for as long again as the queue grants it. Gives when it ends by the broker's clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Fault::LockLost`] where it had ended before.
    pub async fn renew(&self, lock: Uuid) -> Result<i64, Fault> {
        let mut locks = self.locks.lock().await;
        let Some(open) = locks.as_mut() else { return Err(Fault::Gone("there is no line to it yet".to_owned())) };
        let renewed = open.renew(lock).await;
        if let Err(fault @ Fault::Gone(_)) = &renewed {
            // An answer that comes late would be taken for the next one's.
            *locks = None;
            let _ = self.asks.send(Ask::Broken(fault.clone())).await;
        }
        renewed
    }
}

/// What the broker's answer to a settlement means.
fn verdict(state: Option<DeliveryState>, dead: bool) -> Result<(), Fault> {
    let Some(DeliveryState::Rejected(Rejected { error })) = state else { return Ok(()) };
    let condition = error.as_ref().map(|error| lock::condition(&error.condition)).unwrap_or_default();
    match condition.as_str() {
        lock::LOST => Err(Fault::LockLost),
        // It repeats what was asked for.
        "" | DEAD_LETTER if dead => Ok(()),
        other => Err(Fault::Refused(format!("to settle a message: {other}"))),
    }
}

const DEAD_LETTER: &str = "com.microsoft:dead-letter";

// === the task ===

/// Holds a link, and makes a new one whenever it breaks.
async fn hold(address: Arc<Address>, queue: String, mut asked: mpsc::Receiver<Ask>, locks: Arc<Mutex<Option<Locks>>>) {
    let mut pause = PAUSE_FIRST;
    loop {
        // Who asks for a message while the line is made waits for it, as for a message.
        let mut waiting = VecDeque::new();
        let opened = tokio::select! {
            opened = Link::open(&address, &queue) => opened,
            () = refuse(&mut asked, Some(&mut waiting)) => return,
        };
        match opened {
            Ok(mut link) => {
                pause = PAUSE_FIRST;
                link.wanted = waiting;
                match lock::Locks::attach(&mut link.line.session, &queue).await {
                    Ok(attached) => *locks.lock().await = Some(attached),
                    Err(fault) => tracing::warn!(%fault, queue, "locks of messages cannot be renewed"),
                }
                let ended = link.serve(&mut asked).await;
                *locks.lock().await = None;
                let Err(fault) = ended else { return };
                tracing::warn!(%fault, queue, "the line to a queue of Service Bus broke; making it anew");
            }
            Err(fault) => tracing::warn!(%fault, queue, "a queue of Service Bus is not reached; trying again"),
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = refuse(&mut asked, None) => return,
        }
        pause = (pause * 2).min(PAUSE_LAST);
    }
}

/// Answers that there is no line, for as long as it is polled. Ends when nobody can ask any more.
async fn refuse(asked: &mut mpsc::Receiver<Ask>, mut waiting: Option<&mut VecDeque<oneshot::Sender<Received>>>) {
    while let Some(ask) = asked.recv().await {
        match ask {
            Ask::Next(tell) => match waiting.as_mut() {
                Some(waiting) => waiting.push_back(tell),
                None => drop(tell),
            },
            Ask::Broken(_) => {}
            Ask::Settle(_, _, tell) => {
                let _ = tell.send(Err(Fault::Gone("the line that the message came by has ended".to_owned())));
            }
        }
    }
}

struct Link {
    receiver: Receiver,
    answers: Answers,
    id: Uuid,
    /// Who waits for a message, the longest first. The broker is asked for as many.
    wanted: VecDeque<oneshot::Sender<Received>>,
    /// What came when nobody waited, and until when it is kept: the oldest first, at most as many as once were asked for.
    spare: VecDeque<(Received, Instant)>,
    line: Line,
}

// === impl Link ===

impl Link {
    async fn open(address: &Address, queue: &str) -> Result<Self, Fault> {
        let answers = Answers::default();
        let mut line = Line::open(address, queue, answers.clone()).await?;
        let id = Uuid::now_v7();
        let attached = Receiver::builder()
            .name(format!("inbox-{id}"))
            .source(queue)
            .receiver_settle_mode(ReceiverSettleMode::Second)
            .credit_mode(CreditMode::Manual)
            .attach(&mut line.session);
        let receiver = timeout(PATIENCE, attached)
            .await
            .map_err(|_late| Fault::Gone("it did not answer in time".to_owned()))?
            .map_err(gone)?;
        Ok(Self { receiver, answers, id, wanted: VecDeque::new(), spare: VecDeque::new(), line })
    }

    /// Until nobody can ask any more, or the link breaks.
    async fn serve(mut self, asked: &mut mpsc::Receiver<Ask>) -> Result<(), Fault> {
        self.ask().await?;
        loop {
            let oldest = self.spare.front().map(|(_, until)| *until);
            let kept = async {
                match oldest {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ask = asked.recv() => match ask {
                    None => return Ok(()),
                    Some(Ask::Broken(fault)) => return Err(fault),
                    Some(Ask::Next(tell)) => {
                        self.wanted.push_back(tell);
                        self.give_out();
                        self.ask().await?;
                    }
                    Some(Ask::Settle(received, how, tell)) => {
                        let settled = self.settle(received, how).await;
                        let broke = matches!(settled, Err(Fault::Gone(_)));
                        let _ = tell.send(settled);
                        if broke && self.line.session.is_ended() {
                            return Err(Fault::Gone("its session has ended".to_owned()));
                        }
                    }
                },
                () = kept => self.give_back().await?,
                delivery = self.receiver.recv::<Body<Value>>() => self.arrived(delivery)?,
            }
        }
    }

    fn arrived(&mut self, delivery: Result<Delivery<Body<Value>>, RecvError>) -> Result<(), Fault> {
        let received = self.received(delivery.map_err(gone)?);
        self.spare.push_back((received, Instant::now() + SPARE_MAX));
        self.give_out();
        Ok(())
    }

    /// What came, to those that wait for it.
    fn give_out(&mut self) {
        while let Some((received, until)) = self.spare.pop_front() {
            let Some(wanted) = self.wanted.pop_front() else {
                self.spare.push_front((received, until));
                return;
            };
            if let Err(received) = wanted.send(received) {
                self.spare.push_front((received, until));
            }
        }
    }

    /// Asks the broker for as many messages as are waited for, and never for fewer than it was asked for before.
    async fn ask(&mut self) -> Result<(), Fault> {
        self.wanted.retain(|wanted| !wanted.is_closed());
        let wanted = u32::try_from(self.wanted.len()).unwrap_or(u32::MAX);
        if wanted > self.receiver.credit() {
            self.receiver.set_credit(wanted).await.map_err(gone)?;
        }
        Ok(())
    }

    /// Gives back what nobody wants, uncounted.
    async fn give_back(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        while self.spare.front().is_some_and(|(_, until)| *until <= now) {
            if let Some((received, _)) = self.spare.pop_front() {
                // Nobody waits for the answer: at worst it comes again when its lock ends.
                self.receiver.release(received.delivery).await.map_err(gone)?;
            }
        }
        Ok(())
    }

    fn received(&self, delivery: Delivery<Body<Value>>) -> Received {
        let (delivery, message) = delivery.into_parts();
        let annotation = |name: &str| {
            let annotations = message.message_annotations.as_ref()?;
            annotations
                .0
                .iter()
                .find(|(key, _)| matches!(key, OwnedKey::Symbol(key) if key.0 == name))
                .map(|(_, value)| value)
        };
        let locked_until_ms = match annotation("x-opt-locked-until") {
            Some(Value::Timestamp(at)) => Some(at.milliseconds()),
            Some(_) | None => None,
        };
        // The tag is the lock's token, a GUID with its first groups turned round.
        let lock = delivery.delivery_tag().as_ref().try_into().map_or_else(|_| Uuid::nil(), Uuid::from_bytes_le);
        let body = match message.body {
            Body::Data(parts) => parts.into_iter().flat_map(|part| part.0.into_vec()).collect(),
            Body::Value(_) | Body::Sequence(_) | Body::Empty => Vec::new(),
        };
        let deliveries = message.header.map(|header| header.delivery_count).unwrap_or_default();
        let properties = message.application_properties;
        Received { body, deliveries, lock, locked_until_ms, properties, delivery, link: self.id }
    }

    async fn settle(&self, received: Received, how: Settle) -> Result<Answer, Fault> {
        if received.link != self.id {
            return Err(Fault::Gone("the line that the message came by has ended".to_owned()));
        }
        let delivery = received.delivery;
        let answer = self.answers.of(delivery.delivery_id());
        let asked = match how {
            Settle::Complete => self.receiver.accept(delivery).await,
            Settle::Abandon => {
                let (failed, here) = (Some(true), Some(false));
                let state = Modified { delivery_failed: failed, undeliverable_here: here, message_annotations: None };
                self.receiver.modify(delivery, state).await
            }
            Settle::DeadLetter { reason, description } => {
                let mut info = Fields::new();
                info.insert(Symbol::from("DeadLetterReason"), Value::String(reason));
                info.insert(Symbol::from("DeadLetterErrorDescription"), Value::String(description.clone()));
                let condition = ErrorCondition::Custom(Symbol::from(DEAD_LETTER));
                self.receiver.reject(delivery, definitions::Error::new(condition, Some(description), Some(info))).await
            }
        };
        asked.map_err(gone)?;
        Ok(answer)
    }
}
