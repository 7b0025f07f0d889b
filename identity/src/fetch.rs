//! The issuer's keys, fetched and kept.
//!
//! Invariant: whatever tokens come, the issuer is asked at most once in [`Bounds::ask_every`], by one request at a time, and keys
//! that were good are kept through an outage for [`Bounds::keep`] and no longer.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::KeySet;

/// How the issuer is asked.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Between two requests. A `kid` that is not known cannot become known in between, so this is its negative cache, too.
    pub ask_every: Duration,
    /// Keys of this age are asked for again, so that one that the issuer took back is not believed for long.
    pub refresh_after: Duration,
    /// Keys of this age are not believed any more.
    pub keep: Duration,
    pub timeout: Duration,
    pub bytes_max: usize,
}

/// The keys of one issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jwks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Option<Source>,
    bounds: Bounds,
    held: ArcSwapOption<Held>,
    /// When the issuer was last asked; whoever holds the lock asks.
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Source {
    url: String,
    client: reqwest::Client,
}

#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    fetched: Instant,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ask_every: Duration::from_secs(30),
            refresh_after: Duration::from_mins(5),
            keep: Duration::from_hours(24),
            timeout: Duration::from_secs(5),
            bytes_max: 1 << 20,
        }
    }
}

// === impl Jwks ===

impl Jwks {
    /// Keys that are fetched when the first token comes.
    ///
    /// # Errors
    /// When the address is no http or https one, or the system has no certificates to check servers by.
    pub fn at(url: &str, bounds: Bounds) -> Result<Self, String> {
        let address = reqwest::Url::parse(url).map_err(|error| error.to_string())?;
        if !matches!(address.scheme(), "http" | "https") {
            return Err(format!("`{url}` is no http or https address"));
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(bounds.timeout)
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self::of(Some(Source { url: url.to_owned(), client }), bounds, None))
    }

    /// Keys that are here and stay as they are.
    pub fn fixed(keys: KeySet) -> Self {
        Self::of(None, Bounds::default(), Some(keys))
    }

    fn of(source: Option<Source>, bounds: Bounds, keys: Option<KeySet>) -> Self {
        let held = keys.map(|keys| Arc::new(Held { keys: keys.into(), fetched: Instant::now() }));
        Self { shared: Arc::new(Shared { source, bounds, held: held.into(), asked: Mutex::default() }) }
    }

    /// The keys in force. Old ones are asked for again on the way, and nobody waits for that.
    pub(crate) fn current(&self) -> Option<Arc<KeySet>> {
        let held = self.shared.held.load_full()?;
        if self.shared.source.is_none() {
            return Some(Arc::clone(&held.keys));
        }
        let age = held.fetched.elapsed();
        if age >= self.shared.bounds.refresh_after
            // Someone asks already where the lock is taken.
            && self.shared.asked.try_lock().is_ok_and(|asked| self.shared.may_ask(*asked))
        {
            drop(tokio::spawn(Arc::clone(&self.shared).refresh(None)));
        }
        (age < self.shared.bounds.keep).then(|| Arc::clone(&held.keys))
    }

    /// The keys after the issuer was asked, or without asking where that has just been done.
    ///
    /// The asking is a task of its own: a caller that leaves does not stop it, so nobody can use up the one request by leaving.
    pub(crate) async fn refresh(&self, kid: &str) -> Option<Arc<KeySet>> {
        if self.shared.source.is_some() {
            let asking = tokio::spawn(Arc::clone(&self.shared).refresh(Some(kid.to_owned())));
            let _ = asking.await;
        }
        self.current()
    }
}

// === impl Shared ===

impl Shared {
    fn may_ask(&self, asked: Option<Instant>) -> bool {
        asked.is_none_or(|asked| asked.elapsed() >= self.bounds.ask_every)
    }

    async fn refresh(self: Arc<Self>, kid: Option<String>) {
        let Some(source) = &self.source else { return };
        let mut asked = self.asked.lock().await;
        // Who waited for the lock has the answer that its holder got.
        let known = kid.is_some_and(|kid| self.held.load().as_ref().is_some_and(|held| held.keys.has(&kid)));
        if known || !self.may_ask(*asked) {
            return;
        }
        *asked = Some(Instant::now());
        match source.fetch(self.bounds.bytes_max).await {
            Ok(keys) => self.held.store(Some(Arc::new(Held { keys: keys.into(), fetched: Instant::now() }))),
            Err(reason) => tracing::warn!(url = source.url, reason, "the issuer's keys could not be fetched"),
        }
    }
}

// === impl Source ===

impl Source {
    async fn fetch(&self, bytes_max: usize) -> Result<KeySet, String> {
        let mut response = self.client.get(&self.url).send().await.map_err(|error| error.to_string())?;
        if response.status() != 200 {
            return Err(format!("the issuer answered {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            if bytes.len() + chunk.len() > bytes_max {
                return Err(format!("the answer is larger than {bytes_max} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        KeySet::read(&bytes).map_err(str::to_owned)
    }
}
