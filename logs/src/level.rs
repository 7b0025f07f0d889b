//! The filter of a running program: changed by whoever operates it, for good or for a while.
//!
//! Invariant: a change for a while ends by itself, at what the program was started with; a later change takes its place.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber, callsite};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::Filter;

/// The filter that is in force. Cheap to clone.
#[derive(Clone)]
pub struct Level {
    usual: Arc<Filter>,
    now: Arc<ArcSwap<Filter>>,
    /// One change at a time, so that what it says it has changed is true.
    changing: Arc<Mutex<()>>,
    /// When the change for a while ends.
    until: Arc<watch::Sender<Option<Instant>>>,
}

/// How the filter stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// In force now.
    pub filter: String,
    /// What the program was started with.
    pub usual: String,
    /// Seconds until the usual one is in force again; none where that is not to come by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts_in_sec: Option<u64>,
}

/// What an operator wants written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A level, or `target=level`, with commas between them.
    pub filter: String,
    /// For how many seconds; until the next change or restart, if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_sec: Option<u64>,
}

/// Why an order is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Filter(#[from] crate::filter::Error),
    #[error("`for_sec` is from 1 to {FOR_SEC_MAX}")]
    Time,
}

/// A change as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub from: String,
    pub to: String,
    /// Why, in words for a log of events.
    pub reason: String,
}

/// The longest "while": what is needed for longer belongs in the configuration.
pub const FOR_SEC_MAX: u64 = 86_400;

/// Stands before the lines, and lets those through that the filter names. It is asked once for each place in the code, and again after a
/// change; not for each line.
pub(crate) struct Gate(Arc<ArcSwap<Filter>>);

// === impl Level ===

impl Level {
    pub(crate) fn new(usual: Filter) -> (Self, Gate) {
        let usual = Arc::new(usual);
        let now = Arc::new(ArcSwap::new(Arc::clone(&usual)));
        let level =
            Self { usual, now: Arc::clone(&now), changing: Arc::default(), until: Arc::new(watch::Sender::new(None)) };
        (level, Gate(now))
    }

    /// A level that no lines go by, for programs and tests that do not log.
    pub fn detached(usual: Filter) -> Self {
        Self::new(usual).0
    }

    pub fn view(&self) -> View {
        let until = *self.until.borrow();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        View {
            filter: self.now.load().to_string(),
            usual: self.usual.to_string(),
            reverts_in_sec: left.map(|left| left.as_secs() + u64::from(left.subsec_nanos() > 0)),
        }
    }

    /// From now on this one is in force, for so long or until the next change. Gives the one that was.
    pub fn set(&self, filter: Filter, lasts: Option<Duration>) -> Filter {
        let _one = self.lock();
        let before = self.swap(filter);
        self.until.send_replace(lasts.and_then(|lasts| Instant::now().checked_add(lasts)));
        before
    }

    /// Does what an operator wants.
    ///
    /// # Errors
    /// For what is no filter, or no time; nothing is changed then.
    pub fn obey(&self, order: &Order) -> Result<Changed, Refused> {
        let filter: Filter = order.filter.parse()?;
        if order.for_sec.is_some_and(|sec| !(1..=FOR_SEC_MAX).contains(&sec)) {
            return Err(Refused::Time);
        }
        let to = filter.to_string();
        let from = self.set(filter, order.for_sec.map(Duration::from_secs)).to_string();
        let reason = order.for_sec.map_or("by an operator".to_owned(), |sec| format!("by an operator, for {sec} s"));
        Ok(Changed { from, to, reason })
    }

    /// The usual one is in force again.
    pub fn reset(&self) -> Changed {
        let from = self.set((*self.usual).clone(), None).to_string();
        Changed { from, to: self.usual.to_string(), reason: "reset by an operator".to_owned() }
    }

    /// Ends changes that were made for a while, and tells of each by the filter that was in force. To be run as long as the program.
    ///
    /// Cancel safe.
    pub async fn keep(&self, reverted: impl Fn(&Changed)) {
        let mut until = self.until.subscribe();
        loop {
            let end = *until.borrow_and_update();
            let ended = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = until.changed() => if changed.is_err() { return },
                () = ended => {
                    let one = self.lock();
                    // Somebody may have changed it at the same moment.
                    let due = *self.until.borrow() == end;
                    let before = due.then(|| self.swap((*self.usual).clone()));
                    self.until.send_if_modified(|until| due && until.take().is_some());
                    drop(one);
                    if let Some(from) = before.map(|before| before.to_string()) {
                        reverted(&Changed { from, to: self.usual.to_string(), reason: "the time of a change is over".to_owned() });
                    }
                }
            }
        }
    }

    fn swap(&self, filter: Filter) -> Filter {
        let before = self.now.swap(Arc::new(filter));
        callsite::rebuild_interest_cache();
        (*before).clone()
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.view()).finish()
    }
}

// === impl Gate ===

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&self.0.load().targets, metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.load().targets.would_enable(metadata.target(), metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0.load().targets)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn filter(text: &str) -> Filter {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_in_force_at_once_and_one_for_a_while_ends_by_itself() {
        let (level, gate) = Level::new(filter("warn"));
        let said = Said::default();
        let out = said.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || out.clone());
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(gate).with(layer));
        let reverted = Arc::new(Mutex::new(Vec::new()));
        let (keeper, told) = (level.clone(), Arc::clone(&reverted));
        tokio::spawn(async move { keeper.keep(|changed| told.lock().unwrap().push(changed.from.clone())).await });
        // The same place in the code each time, so that what it was told before does not stick to it.
        let heard = || {
            said.0.lock().unwrap().clear();
            tracing::debug!("said");
            !said.0.lock().unwrap().is_empty()
        };
        assert!(!heard());
        assert_eq!(level.set(filter("debug"), Some(Duration::from_secs(60))).as_str(), "warn");
        assert!(heard());
        assert_eq!(level.view(), View { filter: "debug".into(), usual: "warn".into(), reverts_in_sec: Some(60) });
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(heard());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!heard());
        assert_eq!(*reverted.lock().unwrap(), ["debug"]);
        // A later change for good takes the place of one for a while.
        level.set(filter("debug"), Some(Duration::from_secs(60)));
        level.set(filter("trace"), None);
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(level.view(), View { filter: "trace".into(), usual: "warn".into(), reverts_in_sec: None });
        assert_eq!(level.reset().from, "trace");
        assert!(!heard());
    }

    #[test]
    fn an_order_is_obeyed_whole_or_refused_whole() {
        let level = Level::detached(filter("info"));
        let order = |filter: &str, for_sec| Order { filter: filter.to_owned(), for_sec };
        let changed = level.obey(&order("a::b=debug", Some(5))).unwrap();
        assert_eq!(
            (changed.from.as_str(), changed.to.as_str(), changed.reason.as_str()),
            ("info", "a::b=debug", "by an operator, for 5 s")
        );
        for bad in [order("loud", None), order("debug", Some(0)), order("debug", Some(FOR_SEC_MAX + 1))] {
            assert!(level.obey(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(level.view().filter, "a::b=debug");
    }
}
