//! Spans on their way to a collector: a bounded queue, and one task that sends many at a time.
//!
//! Invariant: to keep a span takes one attempt to put it into the queue, and no waiting; every span that was kept is counted once, as sent, or
//! as dropped for want of room, or as refused by the collector or lost on the way.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::otlp::{Resource, encode};
use crate::settings::{Bounds, Error, Sampler, Settings};
use crate::span::{Done, Tracer};

/// How often a batch is sent that may fare better the next time, and how long is waited before the second time; doubled for each.
const SENDINGS_MAX: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that a collector's word on when to come back is taken for.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A collector that is away is told of in the log so often.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// What tracers and the exporter share.
pub(crate) struct Shared {
    queue: mpsc::Sender<Done>,
    pub(crate) sampler: Sampler,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// What became of spans that were kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    /// The queue was full.
    pub dropped: u64,
    /// The collector refused them, or was away for too long.
    pub failed: u64,
}

/// Sends what is in the queue, while it runs.
pub struct Exporter {
    queue: mpsc::Receiver<Done>,
    shared: Arc<Shared>,
    client: reqwest::Client,
    settings: Settings,
    resource: Resource,
    complained: Option<Instant>,
}

/// Why a batch was not taken.
enum Refused {
    /// It may fare better later, perhaps by the collector's own word on when.
    Later(String, Option<Duration>),
    Never(String),
}

/// A tracer, and what sends its spans and has to be run for it. Nothing but a tracer that keeps no span where there are no settings.
///
/// # Errors
/// When the system has no certificates to check a collector by.
pub fn start(settings: Option<Settings>) -> Result<(Tracer, Option<Exporter>), Error> {
    let Some(settings) = settings else { return Ok((Tracer::default(), None)) };
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(settings.bounds.timeout)
        .user_agent(concat!("appserver/", env!("CARGO_PKG_VERSION")));
    if settings.endpoint.scheme() == "http" {
        // Images without root certificates fail to build a client even where none are needed.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|error| Error::Client(error.to_string()))?;
    let (sender, queue) = mpsc::channel(settings.bounds.queue_max);
    let [sent, dropped, failed] = [0; 3].map(AtomicU64::new);
    let shared = Arc::new(Shared { queue: sender, sampler: settings.sampler, sent, dropped, failed });
    let resource = Resource::new(settings.resource.iter().cloned());
    let exporter = Exporter { queue, shared: Arc::clone(&shared), client, settings, resource, complained: None };
    Ok((Tracer::of(shared), Some(exporter)))
}

// === impl Shared ===

impl Shared {
    /// Puts a span into the queue, or counts it as dropped.
    pub(crate) fn keep(&self, done: Done) {
        if self.queue.try_send(done).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { sent: count(&self.sent), dropped: count(&self.dropped), failed: count(&self.failed) }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sampler", &self.sampler).field("counts", &self.counts()).finish_non_exhaustive()
    }
}

// === impl Exporter ===

impl Exporter {
    /// Sends until `stop`, then what is left, within the time for it. What comes after that is dropped and counted.
    ///
    /// To be run to its end: what was taken out of the queue is lost with it.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let Bounds { batch_max, flush, .. } = self.settings.bounds;
        loop {
            let mut batch = Vec::with_capacity(batch_max);
            let stopped = self.gather(&mut batch, &mut stop).await;
            if stopped {
                self.queue.close();
                return self.flush(batch, Instant::now() + flush).await;
            }
            let spans = batch.len();
            let mut sending = Box::pin(self.send(batch));
            tokio::select! {
                biased;
                () = &mut sending => {}
                () = &mut stop => {
                    let end = Instant::now() + flush;
                    let sent = timeout_at(end, sending).await.is_ok();
                    self.fail(if sent { 0 } else { spans });
                    self.queue.close();
                    return self.flush(Vec::new(), end).await;
                }
            }
        }
    }

    /// Waits for a span, and for those that come soon after it. Whether it is time to stop.
    async fn gather(&mut self, batch: &mut Vec<Done>, stop: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        let Bounds { batch_max, linger, .. } = self.settings.bounds;
        let mut until = None;
        while batch.len() < batch_max {
            // Before the first one there is no haste.
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut *stop => return true,
                taken = self.queue.recv_many(batch, batch_max - batch.len()) => if taken == 0 { return true },
                () = over => return false,
            }
            until.get_or_insert_with(|| Instant::now() + linger);
        }
        false
    }

    /// Sends this and what is left in the queue, which takes nothing any more, until `end`.
    async fn flush(&mut self, mut batch: Vec<Done>, end: Instant) {
        loop {
            while batch.len() < self.settings.bounds.batch_max
                && let Ok(done) = self.queue.try_recv()
            {
                batch.push(done);
            }
            let spans = batch.len();
            if spans == 0 {
                return;
            }
            if timeout_at(end, self.send(std::mem::take(&mut batch))).await.is_err() {
                let left = std::iter::from_fn(|| self.queue.try_recv().ok()).count();
                self.fail(spans + left);
                tracing::warn!(spans = spans + left, "the time to tell the last spans is over; they are lost");
                return;
            }
        }
    }

    fn fail(&self, spans: usize) {
        self.shared.failed.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Sends a batch, again where that may help, and counts what became of it.
    async fn send(&mut self, batch: Vec<Done>) {
        let count = batch.len();
        let body = Bytes::from(encode(&self.resource, batch));
        let mut pause = PAUSE;
        for sending in 1..=SENDINGS_MAX {
            match self.post(body.clone()).await {
                Ok(()) => {
                    self.shared.sent.fetch_add(count as u64, Ordering::Relaxed);
                    self.complained = None;
                    return;
                }
                Err(Refused::Later(why, asked)) if sending < SENDINGS_MAX => {
                    self.complain(&why);
                    tokio::time::sleep(asked.unwrap_or(pause).min(PAUSE_MAX)).await;
                    pause *= 2;
                }
                Err(Refused::Later(why, _) | Refused::Never(why)) => {
                    self.complain(&why);
                    break;
                }
            }
        }
        self.fail(count);
    }

    fn complain(&mut self, why: &str) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            tracing::warn!(why, "the collector does not take spans");
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), Refused> {
        let request = self.client.post(self.settings.endpoint.clone()).headers(self.settings.headers.clone());
        let request = request.header(header::CONTENT_TYPE, "application/x-protobuf").body(body);
        // The address may have a key in its query, and is known to who set it.
        let answer = request.send().await.map_err(|error| Refused::Later(cause(&error.without_url()), None))?;
        let status = answer.status();
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Err(Refused::Later(status.to_string(), retry_after.map(Duration::from_secs)))
            }
            _ => Err(Refused::Never(status.to_string())),
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("endpoint", &self.settings.endpoint.host_str()).finish_non_exhaustive()
    }
}

/// The causes of an error, innermost last; without the outermost, which says only that sending failed.
fn cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}
