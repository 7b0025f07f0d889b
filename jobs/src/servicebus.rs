//! The queue in Azure Service Bus, in front of rows in Postgres: `jobs-<app_id>` for each app.
//!
//! The row is the truth: its lease, its fencing token and its state decide, and a message only says that there is a job to look at. So
//! the two agree by these rules:
//! - Whatever makes a row queued leaves a line in the outbox, in the same transaction; [`ServiceBus::relay`] gives it to the broker,
//!   at least once. Messages carry names only.
//! - A message whose row is over or gone is completed, and counted. One whose row is not due, or held by somebody, is sent again for
//!   later: while a job is not over there is a message for it, which an autoscaler that goes by messages needs.
//! - A row that waits and of which the broker was told long ago is told of again.
//! - While a job runs its message stays locked; a lock that is lost is counted and costs nothing, because the row's lease is not.
//!
//! Invariant: a message is settled after the row was written, never before.

mod address;
mod fault;
mod inbox;
mod line;
mod lock;
mod post;
mod tap;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::bell::{Bell, Ring};
use crate::postgres::Named;
use crate::{
    Abandon, AppId, Claimed, Error, Failure, JobId, Lease, Message, Outcome, Postgres, Queue, Reaped, Renewed, State,
    Stats, Store as _, Watch,
};
pub use address::Address;
pub use fault::Fault;
pub use inbox::{Inbox, Received, Settle};
pub use post::{Letter, Post};

/// How long a claim waits for a message.
const CLAIM_WAIT: Duration = Duration::from_secs(1);
/// The messages of one turn of the relay.
const RELAY_MAX: u32 = 100;
/// Pauses of a relay that fails: doubled from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LAST: Duration = Duration::from_secs(30);
/// The rows that are told of again in one turn.
const AGAIN_MAX: u32 = 100;
/// A lock lasts between five seconds and five minutes; a clock that differs from the broker's makes nothing else of it.
const LOCK_RANGE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// How to reach the broker.
#[derive(Debug, Clone)]
pub struct Settings {
    pub address: Address,
    /// How long a row waits before the broker is told of it again.
    pub again_after: Duration,
}

/// What became of messages, since this was opened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Given to the broker.
    pub sent: AtomicU64,
    /// Done with, after their row was written.
    pub settled: AtomicU64,
    /// Completed at once, because their row was over or gone.
    pub stale: AtomicU64,
    /// Sent again for later.
    pub postponed: AtomicU64,
    /// To the queue of the dead: their job is dead, or they could not be read.
    pub dead_lettered: AtomicU64,
    /// Given back, because their row could not be asked for.
    pub abandoned: AtomicU64,
    /// Not settled, because their lock was lost. They come again and are found stale.
    pub lock_lost: AtomicU64,
    /// Not settled, because the broker did not answer or refused. They come again.
    pub unsettled: AtomicU64,
    /// Rows that the broker was told of again.
    pub told_again: AtomicU64,
}

/// A queue in Service Bus.
pub struct ServiceBus {
    rows: Arc<Postgres>,
    address: Arc<Address>,
    again_after: Duration,
    post: Post,
    inboxes: Mutex<HashMap<AppId, Arc<Inbox>>>,
    /// By job and fencing token.
    held: Arc<Mutex<HashMap<(JobId, i64), Held>>>,
    /// Whether the rows could not be asked the last time: then no message is taken before they answer.
    rows_failed: AtomicBool,
    bell: Bell,
    counts: Counts,
}

/// The message of a job that is worked on here.
#[derive(Debug)]
struct Held {
    received: Received,
    inbox: Arc<Inbox>,
    /// What the worker trusts. An entry whose worker went without a word goes when it has passed.
    until: Instant,
    /// When the lock was last had, and for how long.
    locked: (Instant, Duration),
}

impl std::fmt::Debug for ServiceBus {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ServiceBus").field("address", &self.address).finish_non_exhaustive()
    }
}

// === impl Settings ===

impl Settings {
    pub fn new(address: Address) -> Self {
        Self { address, again_after: Duration::from_mins(10) }
    }
}

// === impl Counts ===

impl Counts {
    /// Every figure with its name.
    pub fn all(&self) -> [(&'static str, u64); 9] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("sent", of(&self.sent)),
            ("settled", of(&self.settled)),
            ("stale", of(&self.stale)),
            ("postponed", of(&self.postponed)),
            ("dead_lettered", of(&self.dead_lettered)),
            ("abandoned", of(&self.abandoned)),
            ("lock_lost", of(&self.lock_lost)),
            ("unsettled", of(&self.unsettled)),
            ("told_again", of(&self.told_again)),
        ]
    }
}

fn one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

// === impl ServiceBus ===

impl ServiceBus {
    /// A queue before these rows, whose outbox has to be kept. Nothing is connected yet: a broker that is away keeps nobody from starting.
    pub fn new(rows: Arc<Postgres>, settings: Settings) -> Self {
        let address = Arc::new(settings.address);
        Self {
            rows,
            post: Post::new(Arc::clone(&address)),
            address,
            again_after: settings.again_after,
            inboxes: Mutex::default(),
            held: Arc::default(),
            rows_failed: AtomicBool::new(false),
            bell: Bell::new(),
            counts: Counts::default(),
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Gives the broker what the outbox has, again and again, until it is dropped. A panic or a failure ends a turn, never this.
    pub async fn relay(&self) {
        let mut pause = PAUSE_FIRST;
        loop {
            let mut watch = self.rows.watch_queues();
            let turn = AssertUnwindSafe(self.rows.relay(self, RELAY_MAX)).catch_unwind().await;
            match turn {
                Ok(Ok(taken)) => {
                    pause = PAUSE_FIRST;
                    // A full turn may not have been all.
                    if taken < RELAY_MAX {
                        watch.changed(Duration::MAX).await;
                    }
                    continue;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the broker is not told of jobs; trying again"),
                Err(_panic) => tracing::error!("a panic while the broker was told of jobs; trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    /// Refuses a role of the database's that may not see the outbox.
    ///
    /// # Errors
    /// When it may not, or the database does not answer.
    pub async fn check_relay(&self) -> Result<(), Error> {
        self.rows.check_relay().await
    }

    fn inbox(&self, app: &AppId) -> Arc<Inbox> {
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || Arc::new(Inbox::open(Arc::clone(&self.address), &app.queue_name()));
        Arc::clone(inboxes.entry(app.clone()).or_insert_with(open))
    }

    /// One message: a job to work on, or nothing where there is none in it.
    async fn take(
        &self,
        inbox: &Arc<Inbox>,
        received: Received,
        app: &AppId,
        (worker, lease): (&str, Duration),
    ) -> Result<Option<Claimed>, Error> {
        let Some(message) = read(&received.body).filter(|message| message.scope.app == *app) else {
            let description = "It is no message of this queue's.".to_owned();
            let how = Settle::DeadLetter { reason: "unreadable".to_owned(), description };
            self.settle(inbox, received, how, &self.counts.dead_lettered).await;
            return Ok(None);
        };
        match self.rows.claim_named(&message.scope, message.job, worker, lease).await {
            Ok(Named::Claimed(claimed)) => {
                self.hold(inbox, received, &claimed.lease);
                Ok(Some(claimed))
            }
            Ok(Named::Later(wait)) => {
                self.postpone(inbox, received, &message, wait).await;
                Ok(None)
            }
            Ok(Named::Over) => {
                self.settle(inbox, received, Settle::Complete, &self.counts.stale).await;
                Ok(None)
            }
            Err(error) => {
                self.rows_failed.store(true, Ordering::Relaxed);
                self.settle(inbox, received, Settle::Abandon, &self.counts.abandoned).await;
                Err(error)
            }
        }
    }

    /// Sends the message again for later, and then completes it: what fails between the two leaves one too many.
    async fn postpone(&self, inbox: &Arc<Inbox>, received: Received, message: &Message, wait: Duration) {
        // A name of its own: it is not the same message to a broker that drops duplicates.
        match self.send(message, Uuid::now_v7().to_string(), wait).await {
            Ok(()) => self.settle(inbox, received, Settle::Complete, &self.counts.postponed).await,
            Err(fault) => {
                tracing::warn!(%fault, job_id = %message.job, "a message cannot be sent for later; it is given back");
                self.settle(inbox, received, Settle::Abandon, &self.counts.abandoned).await;
            }
        }
    }

    async fn send(&self, message: &Message, id: String, after: Duration) -> Result<(), Fault> {
        let body = serde_json::to_vec(message).map_err(|error| Fault::Refused(error.to_string()))?;
        self.post.send(&message.scope.app.queue_name(), Letter { id, body, after }).await?;
        one(&self.counts.sent);
        Ok(())
    }

    fn hold(&self, inbox: &Arc<Inbox>, received: Received, lease: &Lease) {
        let locked = (Instant::now(), lock_length(received.locked_until_ms));
        let held = Held { received, inbox: Arc::clone(inbox), until: lease.until, locked };
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // A worker whose lease was lost says nothing more of it.
        let now = Instant::now();
        all.retain(|_, held| now < held.until + LOCK_RANGE.1);
        all.insert((lease.job, lease.token), held);
    }

    fn let_go(&self, lease: &Lease) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&(lease.job, lease.token))
    }

    /// Settles a message, and counts what came of it. The row is written already, so a failure is no failure of the job's.
    async fn settle(&self, inbox: &Inbox, received: Received, how: Settle, count: &AtomicU64) {
        match inbox.settle(received, how).await {
            Ok(()) => one(count),
            Err(Fault::LockLost) => {
                one(&self.counts.lock_lost);
                tracing::warn!(
                    "the lock of a message was lost before it was settled; it comes again and is found stale"
                );
            }
            Err(fault @ (Fault::Gone(_) | Fault::Refused(_))) => {
                one(&self.counts.unsettled);
                tracing::warn!(%fault, "a message is not settled; it comes again and is found stale");
            }
        }
    }

    /// Settles the message of a job by what became of its row.
    async fn settle_by(&self, lease: &Lease, row: &Result<State, Error>, why: Option<&Failure>) {
        let dead = match row {
            Ok(state) => *state == State::Dead,
            Err(Error::Fenced) => false,
            // The row may be written yet.
            Err(_) => return,
        };
        let Some(held) = self.let_go(lease) else { return };
        if dead {
            // The word only: what a failure says may come from a tenant's definition.
            let reason = why.map_or_else(|| "dead".to_owned(), |why| why.code.clone());
            let description = format!("Job {} of app {} is dead: see its row.", lease.job, lease.scope.app);
            let how = Settle::DeadLetter { reason, description };
            self.settle(&held.inbox, held.received, how, &self.counts.dead_lettered).await;
        } else {
            // Where the row is queued again, the outbox has a message of its own for it.
            self.settle(&held.inbox, held.received, Settle::Complete, &self.counts.settled).await;
        }
    }

    /// Renews the lock of a job's message, when a third of it has gone. The worker does not wait for it: its lease is the row's.
    fn renew_lock(&self, lease: &Lease) {
        let name = (lease.job, lease.token);
        let due = {
            let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(held) = all.get_mut(&name) else { return };
            held.until = lease.until;
            let (since, length) = held.locked;
            if since.elapsed() < length / 3 {
                return;
            }
            // Not asked for again before another third.
            held.locked.0 = Instant::now();
            (Arc::clone(&held.inbox), held.received.lock)
        };
        let all = Arc::clone(&self.held);
        tokio::spawn(async move {
            let ((inbox, lock), before) = (due, Instant::now());
            match inbox.renew(lock).await {
                Ok(until) => {
                    if let Some(held) = all.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&name) {
                        held.locked = (before, lock_length(Some(until)));
                    }
                }
                // Counted where the message is settled.
                Err(fault) => {
                    tracing::warn!(%fault, job_id = %name.0, "the lock of a message is not renewed; its job's lease is");
                }
            }
        });
    }
}

/// How long a lock lasts from now, as far as this machine's clock can tell.
fn lock_length(until_ms: Option<i64>) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = until_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis).unwrap_or_default();
    until.saturating_sub(now).clamp(LOCK_RANGE.0, LOCK_RANGE.1)
}

fn read(body: &[u8]) -> Option<Message> {
    serde_json::from_slice(body).ok()
}

#[async_trait]
impl Queue for ServiceBus {
    /// Gives the broker a message. One of the same turn is the same one to a queue that drops duplicates.
    async fn enqueue(&self, message: &Message) -> Result<(), Error> {
        let id = format!("{}.{}", message.job, message.turn);
        Ok(self.send(message, id, message.wait).await?)
    }

    /// In the order of the broker, whichever tenant's they are.
    async fn claim(&self, app: &AppId, worker: &str, lease: Duration) -> Result<Option<Claimed>, Error> {
        if self.rows_failed.load(Ordering::Relaxed) {
            // Messages that are taken and given back would count as failed, and be dead before the database is back.
            self.rows.ping().await?;
            self.rows_failed.store(false, Ordering::Relaxed);
        }
        let inbox = self.inbox(app);
        let end = Instant::now() + CLAIM_WAIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let Some(received) = inbox.next(left).await? else { return Ok(None) };
            if let Some(claimed) = self.take(&inbox, received, app, (worker, lease)).await? {
                return Ok(Some(claimed));
            }
        }
    }

    async fn start(&self, lease: &Lease) -> Result<(), Error> {
        self.rows.start(lease).await
    }

    /// The row's lease, and the message's lock with it. A lock that is lost is no lease that is lost.
    async fn renew(&self, lease: &Lease, extend: Duration) -> Result<Renewed, Error> {
        let renewed = self.rows.renew(lease, extend).await?;
        self.renew_lock(&renewed.lease);
        Ok(renewed)
    }

    async fn complete(&self, lease: &Lease, outcome: Outcome) -> Result<State, Error> {
        let row = self.rows.complete(lease, outcome).await;
        self.settle_by(lease, &row, None).await;
        row
    }

    async fn abandon(&self, lease: &Lease, how: Abandon) -> Result<State, Error> {
        let why = match &how {
            Abandon::Retry { failure, .. } => Some(failure.clone()),
            Abandon::Return => None,
        };
        let row = self.rows.abandon(lease, how).await;
        self.settle_by(lease, &row, why.as_ref()).await;
        row
    }

    async fn dead_letter(&self, lease: &Lease, why: Failure) -> Result<State, Error> {
        let row = self.rows.dead_letter(lease, why.clone()).await;
        self.settle_by(lease, &row, Some(&why)).await;
        row
    }

    /// A claim waits for itself, so whoever looks again may do so at once.
    fn watch_queue(&self, app: &AppId) -> Watch {
        let watch = self.bell.watch(Ring::Queue(app.clone()));
        self.bell.ring(Ring::Queue(app.clone()));
        watch
    }

    /// What the rows say; and the broker is told again of rows that have waited long.
    async fn reap(&self, limit: u32) -> Result<Reaped, Error> {
        let reaped = self.rows.reap(limit).await?;
        let apps: Vec<AppId> = {
            let inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
            inboxes.keys().cloned().collect()
        };
        for app in apps {
            let again = self.rows.tell_again(&app, self.again_after, AGAIN_MAX).await?;
            self.counts.told_again.fetch_add(u64::from(again), Ordering::Relaxed);
            if again > 0 {
                tracing::warn!(jobs = again, app_id = %app, "the broker is told again of jobs that have waited long");
            }
        }
        Ok(reaped)
    }

    async fn stats(&self, app: &AppId) -> Result<Stats, Error> {
        self.rows.stats(app).await
    }
}
