//! What is kept of answers: per app a shelf for each lane and one for definition errors, each bounded in bytes.
//!
//! Invariant: what is read is what was written, or it is not found: every value is checked against its checksum, and one that
//! fails is purged with an alarm. moka is the store only; who solves for whom is decided in `flight`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contract::digest::Digest;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use serde::Serialize;

use crate::gateway::stage::Answer;
use crate::rhino::classify::ComponentError;

/// What an entry takes beside its bytes: key, timers, queues and counters of the store, and the answer's own struct.
const OVERHEAD_BYTES: u64 = 512;
/// One value takes at most a twentieth of its shelf, so that no single answer sweeps it clean.
const SHARE_OF_ONE: u64 = 20;

/// The part of an app's space that definition errors may take: a twentieth.
pub(super) const SHARE_OF_FAILURES: u64 = 20;

/// What can be kept on a shelf.
pub(super) trait Keep: Clone + Send + Sync + 'static {
    /// The memory that its content takes, in bytes.
    fn bytes(&self) -> u64;
    /// Of its whole content.
    fn fingerprint(&self) -> Digest;
}

/// A value with the moment from which it is stale.
#[derive(Debug, Clone)]
struct Kept<V> {
    value: V,
    checksum: Digest,
    until: Instant,
}

/// What was found: the value, its checksum, and how long it stays fresh.
#[derive(Debug, Clone)]
pub(super) struct Found<V> {
    pub value: V,
    pub fingerprint: Digest,
    pub ttl: Duration,
}

/// One bounded store.
pub(super) struct Shelf<V> {
    store: moka::sync::Cache<Digest, Arc<Kept<V>>>,
    bytes_max: u64,
    evictions: Arc<AtomicU64>,
    corrupt: AtomicU64,
}

/// The figures of one shelf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ShelfView {
    pub entries: u64,
    pub bytes: u64,
    pub bytes_max: u64,
    /// Pushed out for want of space.
    pub evictions: u64,
    /// Dropped because their bytes had changed. Anything but 0 means bad memory or a defect.
    pub corrupt: u64,
}

/// How a shelf that is full chooses what goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// What was used longest ago. Previews move on: the last slider position is worth more than an old favourite.
    LeastRecent,
    /// What is used least, and a newcomer only enters over a rarer one: a scan of many inputs does not push out what is hot.
    LeastFrequent,
}

// === impl Shelf ===

impl<V: Keep> Shelf<V> {
    pub(super) fn new(bytes_max: u64, eviction: Eviction) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&evictions);
        let policy = match eviction {
            Eviction::LeastRecent => EvictionPolicy::lru(),
            Eviction::LeastFrequent => EvictionPolicy::tiny_lfu(),
        };
        let store = moka::sync::Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, kept: &Arc<Kept<V>>| u32::try_from(weight(&kept.value)).unwrap_or(u32::MAX))
            .eviction_policy(policy)
            .expire_after(Until)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self { store, bytes_max, evictions, corrupt: AtomicU64::new(0) }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Keeps a value whose fingerprint is known, until `now + ttl`. False where it is too large to be kept.
    pub(super) fn put(&self, key: Digest, value: V, fingerprint: Digest, ttl: Duration, now: Instant) -> bool {
        let fits = weight(&value) <= self.bytes_max / SHARE_OF_ONE;
        if fits {
            self.store.insert(key, Arc::new(Kept { value, checksum: fingerprint, until: now + ttl }));
        }
        fits
    }

    /// The value, if it is there, fresh, and as it was written.
    pub(super) fn get(&self, key: &Digest, now: Instant) -> Option<Found<V>> {
        let kept = self.store.get(key)?;
        let ttl = kept.until.saturating_duration_since(now);
        if ttl.is_zero() {
            return None;
        }
        let fingerprint = kept.value.fingerprint();
        if fingerprint != kept.checksum {
            self.store.invalidate(key);
            self.corrupt.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%key, "a kept answer does not match its checksum and was dropped: is the memory sound?");
            return None;
        }
        Some(Found { value: kept.value.clone(), fingerprint, ttl })
    }

    pub(super) fn view(&self) -> ShelfView {
        // Counts and evictions are settled now and then; a page that shows them wants them settled now.
        self.store.run_pending_tasks();
        ShelfView {
            entries: self.store.entry_count(),
            bytes: self.store.weighted_size(),
            bytes_max: self.bytes_max,
            evictions: self.evictions.load(Ordering::Relaxed),
            corrupt: self.corrupt.load(Ordering::Relaxed),
        }
    }
}

impl<V> fmt::Debug for Shelf<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

fn weight(value: &impl Keep) -> u64 {
    value.bytes() + OVERHEAD_BYTES
}

/// Tells the store when an entry's time is over, so that it is dropped also when nobody asks for it.
#[derive(Debug)]
struct Until;

impl<V> moka::Expiry<Digest, Arc<Kept<V>>> for Until {
    fn expire_after_create(&self, _: &Digest, kept: &Arc<Kept<V>>, created: Instant) -> Option<Duration> {
        Some(kept.until.saturating_duration_since(created))
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        kept: &Arc<Kept<V>>,
        updated: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.until.saturating_duration_since(updated))
    }
}

// === what is kept ===

impl Keep for Answer {
    fn bytes(&self) -> u64 {
        let warnings = self.warnings.iter().map(|warning| warning.len() + size_of::<String>());
        let trees = self.trees.as_ref().map_or(0, |trees| trees.get().len());
        (trees + self.outputs.get().len() + warnings.sum::<usize>()) as u64
    }

    fn fingerprint(&self) -> Digest {
        Answer::fingerprint(self)
    }
}

/// What components said of inputs that a definition cannot solve.
pub(super) type Complaint = Arc<[ComponentError]>;

impl Keep for Complaint {
    fn bytes(&self) -> u64 {
        let texts = |error: &ComponentError| {
            let more = [&error.component, &error.guid].into_iter().flatten().map(String::len).sum::<usize>();
            size_of::<ComponentError>() + error.message.len() + more
        };
        self.iter().map(texts).sum::<usize>() as u64
    }

    fn fingerprint(&self) -> Digest {
        let json = serde_json::to_vec(&**self).expect("component errors are texts, which always have a JSON form");
        Digest::of(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::stage::Timings;

    fn answer(text: &str) -> Answer {
        Answer {
            outputs: serde_json::value::to_raw_value(text).unwrap().into(),
            warnings: Arc::new([]),
            node: "test".into(),
            rhino: None,
            timings: Timings::default(),
            trees: None,
            solved_in: None,
        }
    }

    fn put(shelf: &Shelf<Answer>, key: u64, value: Answer, now: Instant) -> bool {
        let fingerprint = value.fingerprint();
        shelf.put(Digest::of(key.to_be_bytes()), value, fingerprint, Duration::from_mins(1), now)
    }

    #[test]
    fn what_was_written_is_found_until_its_time_is_over() {
        let (shelf, now) = (Shelf::new(1 << 20, Eviction::LeastRecent), Instant::now());
        assert!(put(&shelf, 1, answer("a"), now));
        let key = Digest::of(1u64.to_be_bytes());
        let found = shelf.get(&key, now + Duration::from_secs(59)).unwrap();
        assert_eq!((found.value.outputs.get(), found.ttl), ("\"a\"", Duration::from_secs(1)));
        assert!(shelf.get(&key, now + Duration::from_mins(1)).is_none());
        assert!(shelf.get(&Digest::of("other"), now).is_none());
    }

    #[test]
    fn k12_a_value_whose_bytes_changed_is_a_miss_and_is_purged() {
        let (shelf, now, key) = (Shelf::new(1 << 20, Eviction::LeastRecent), Instant::now(), Digest::of("k"));
        let (written, flipped) = (answer("written").fingerprint(), answer("flipped"));
        assert!(shelf.put(key, flipped, written, Duration::from_mins(1), now));
        assert!(shelf.get(&key, now).is_none());
        let view = shelf.view();
        assert_eq!((view.corrupt, view.entries), (1, 0));
    }

    #[test]
    fn no_value_takes_more_than_a_twentieth() {
        let (shelf, now) = (Shelf::new(100_000, Eviction::LeastRecent), Instant::now());
        assert!(!put(&shelf, 1, answer(&"x".repeat(5_000)), now));
        assert!(put(&shelf, 2, answer(&"x".repeat(4_000)), now));
        assert_eq!(shelf.view().entries, 1);
    }

    #[test]
    fn k11_many_values_stay_within_the_bytes() {
        for eviction in [Eviction::LeastRecent, Eviction::LeastFrequent] {
            let (shelf, now) = (Shelf::new(1 << 20, eviction), Instant::now());
            for key in 0..5_000 {
                put(&shelf, key, answer(&"x".repeat(1_000)), now);
            }
            let view = shelf.view();
            assert!(view.bytes <= view.bytes_max && view.evictions > 3_000, "{eviction:?}: {view:?}");
        }
    }

    #[test]
    fn k11_a_scan_does_not_push_out_what_is_hot() {
        let (shelf, now) = (Shelf::new(1 << 20, Eviction::LeastFrequent), Instant::now());
        let value = || answer(&"x".repeat(1_000));
        // Half of the space is hot.
        for key in 0..300 {
            put(&shelf, key, value(), now);
        }
        shelf.view();
        let hits = || (0..300u64).filter(|key| shelf.get(&Digest::of(key.to_be_bytes()), now).is_some()).count();
        for _ in 0..5 {
            assert_eq!(hits(), 300);
            shelf.view();
        }
        for key in 1_000..6_000 {
            put(&shelf, key, value(), now);
            if key % 100 == 0 {
                hits();
            }
        }
        shelf.view();
        assert!(hits() >= 270, "{} of 300 left", hits());
    }

    mod slow {
        use super::*;

        /// Memory of this process that is in use now, in bytes.
        fn resident() -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        }

        #[test]
        #[ignore = "pushes 10 GiB of answers through a shelf of 128 MiB, half a GiB in a build that is not optimised"]
        fn k11_a_storm_of_evictions_keeps_real_memory_within_the_cap_and_a_fifth() {
            const CAP: u64 = 128 << 20;
            const PUSHED: u64 = if cfg!(debug_assertions) { 512 << 20 } else { 10 << 30 };
            for (eviction, bytes) in
                [(Eviction::LeastRecent, 8_000), (Eviction::LeastFrequent, 8_000), (Eviction::LeastRecent, 600)]
            {
                let before = resident();
                let (shelf, now) = (Shelf::new(CAP, eviction), Instant::now());
                let (mut most, mut heaviest) = (0, 0);
                for key in 0..PUSHED / (bytes + OVERHEAD_BYTES) {
                    let text = "x".repeat(usize::try_from(bytes + key % 64).unwrap());
                    put(&shelf, key, answer(&text), now);
                    if key % 1_000 == 0 {
                        most = most.max(resident().saturating_sub(before));
                        heaviest = heaviest.max(shelf.view().bytes);
                    }
                }
                println!(
                    "{eviction:?}, answers of {bytes} bytes: {} MiB resident for {} MiB, weighed at {} MiB",
                    most >> 20,
                    CAP >> 20,
                    heaviest >> 20
                );
                assert!(heaviest <= CAP, "{heaviest}");
                assert!(most <= CAP + CAP / 5, "{} MiB", most >> 20);
            }
        }
    }
}
