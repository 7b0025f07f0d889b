//! The sample of one version: the distinct inputs with the least digests.
//!
//! A digest is as good as a die, so those with the least are a fair draw from all distinct inputs that came, whatever their order and
//! however often each came. It needs no memory of what was let go: whatever was let go once has too great a digest for ever, so a
//! full sample costs a busy version one comparison. Samples of several gateways put together are a sample, too.
//!
//! Invariant: of all that came since the start, exactly those below the ceiling are kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use contract::{Digest, Inputs};
use jiff::Timestamp;
use semver::Version;

/// What an input takes beside its bytes: its place in the map, its counts.
const ENTRY_BYTES: usize = 128;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Distinct inputs of one version.
    pub inputs: usize,
    /// Bytes of one version's.
    pub bytes: usize,
    /// Bytes of all versions' together.
    pub bytes_total: usize,
}

/// The samples of all versions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Samples>);

#[derive(Debug)]
struct Samples {
    bounds: Bounds,
    shelves: RwLock<HashMap<String, BTreeMap<Version, Arc<Shelf>>>>,
    bytes: AtomicUsize,
}

/// What is kept of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub since: Timestamp,
    /// By digest.
    pub inputs: Vec<Kept>,
    pub bytes: usize,
    /// How many distinct inputs came: exact while all are kept, an estimate from the ceiling afterwards.
    pub distinct: u64,
    /// Whether all that came are kept.
    pub whole: bool,
    /// Inputs that were larger than all that may be kept of the version.
    pub too_large: u64,
}

/// One distinct set of inputs, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub digest: Digest,
    /// How often it came since it is kept.
    pub calls: u64,
    pub last: Timestamp,
    /// The canonical bytes, JSON.
    pub bytes: Arc<[u8]>,
}

#[derive(Debug)]
struct Shelf {
    /// The first eight bytes of the ceiling: what is above needs no lock.
    ceiling: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    since: Timestamp,
    inputs: BTreeMap<Digest, Entry>,
    bytes: usize,
    /// The least digest that was let go.
    ceiling: Option<Digest>,
    too_large: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: Arc<[u8]>,
    calls: u64,
    last: Timestamp,
}

// === impl Recorder ===

impl Recorder {
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Samples { bounds, shelves: RwLock::default(), bytes: AtomicUsize::new(0) }))
    }

    /// Takes inputs that a version accepted into its sample, if chance will have it.
    pub fn offer(&self, app_id: &str, version: &Version, inputs: &Inputs) {
        let held = self.shelf(app_id, version).unwrap_or_else(|| self.new_shelf(app_id, version));
        held.offer(&inputs.key, &inputs.bytes, &self.0);
    }

    /// The sample of a version; none before its first solve.
    pub fn sample(&self, app_id: &str, version: &Version) -> Option<Sample> {
        self.shelf(app_id, version).map(|shelf| shelf.sample())
    }

    /// Lets go of versions that are not wanted any more.
    pub fn retain(&self, wanted: impl Fn(&str, &Version) -> bool) {
        let mut shelves = self.0.shelves.write().unwrap_or_else(PoisonError::into_inner);
        shelves.retain(|app_id, versions| {
            versions.retain(|version, shelf| {
                let keep = wanted(app_id, version);
                if !keep {
                    shelf.clear(&self.0.bytes);
                }
                keep
            });
            !versions.is_empty()
        });
    }

    /// Bytes that all samples take.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn shelf(&self, app_id: &str, version: &Version) -> Option<Arc<Shelf>> {
        let shelves = self.0.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.get(app_id)?.get(version).cloned()
    }

    /// As many as the registry has versions, at most: only versions that solve come here, and [`retain`](Self::retain) follows it.
    fn new_shelf(&self, app_id: &str, version: &Version) -> Arc<Shelf> {
        let mut shelves = self.0.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let versions = shelves.entry(app_id.to_owned()).or_default();
        Arc::clone(versions.entry(version.clone()).or_insert_with(|| Arc::new(Shelf::new())))
    }
}

// === impl Shelf ===

impl Shelf {
    fn new() -> Self {
        let held = Held { since: Timestamp::now(), inputs: BTreeMap::new(), bytes: 0, ceiling: None, too_large: 0 };
        Self { ceiling: AtomicU64::new(u64::MAX), held: Mutex::new(held) }
    }

    fn offer(&self, key: &Digest, bytes: &[u8], samples: &Samples) {
        if head(key) > self.ceiling.load(Ordering::Relaxed) {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.ceiling.is_some_and(|ceiling| *key >= ceiling) {
            return;
        }
        let now = Timestamp::now();
        if let Some(entry) = held.inputs.get_mut(key) {
            entry.calls += 1;
            entry.last = now;
            return;
        }
        let cost = bytes.len() + ENTRY_BYTES;
        let bounds = samples.bounds;
        if cost > bounds.bytes.min(bounds.bytes_total) {
            held.too_large += 1;
            return;
        }
        held.inputs.insert(*key, Entry { bytes: bytes.into(), calls: 1, last: now });
        held.bytes += cost;
        samples.bytes.fetch_add(cost, Ordering::Relaxed);
        let too_much = |held: &Held| {
            held.inputs.len() > bounds.inputs
                || held.bytes > bounds.bytes
                || samples.bytes.load(Ordering::Relaxed) > bounds.bytes_total
        };
        while too_much(&held) {
            let Some((key, entry)) = held.inputs.pop_last() else { break };
            let cost = entry.bytes.len() + ENTRY_BYTES;
            held.bytes -= cost;
            samples.bytes.fetch_sub(cost, Ordering::Relaxed);
            held.ceiling = Some(key);
            self.ceiling.store(head(&key), Ordering::Relaxed);
        }
    }

    fn sample(&self) -> Sample {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = held.inputs.iter().map(|(digest, entry)| Kept {
            digest: *digest,
            calls: entry.calls,
            last: entry.last,
            bytes: Arc::clone(&entry.bytes),
        });
        Sample {
            since: held.since,
            inputs: kept.collect(),
            bytes: held.bytes,
            distinct: distinct(held.inputs.len() as u64, held.ceiling.as_ref()),
            whole: held.ceiling.is_none(),
            too_large: held.too_large,
        }
    }

    fn clear(&self, total: &AtomicUsize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.inputs.clear();
        total.fetch_sub(std::mem::take(&mut held.bytes), Ordering::Relaxed);
        // A request that still has this shelf in hand adds nothing to what nobody counts any more.
        held.ceiling = Some(Digest([0; 32]));
        self.ceiling.store(0, Ordering::Relaxed);
    }
}

fn head(digest: &Digest) -> u64 {
    digest.0.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}

/// Digests are spread evenly, so `kept` below the ceiling says how many there are in all.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a positive count, good to a few digits"
)]
fn distinct(kept: u64, ceiling: Option<&Digest>) -> u64 {
    let Some(ceiling) = ceiling else { return kept };
    let share = head(ceiling) as f64 / u64::MAX as f64;
    (kept as f64 / share.max(f64::MIN_POSITIVE)).round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    const VERSION: Version = Version::new(1, 0, 0);

    fn inputs(number: usize) -> Inputs {
        let bytes = json!({ "n": number }).to_string().into_bytes();
        Inputs { values: Map::new(), key: Digest::of(&bytes), bytes }
    }

    fn recorder(inputs: usize, bytes: usize, bytes_total: usize) -> Recorder {
        Recorder::new(Bounds { inputs, bytes, bytes_total })
    }

    #[test]
    fn the_sample_is_the_same_in_whatever_order_and_however_often_inputs_come() {
        let (forth, back) = (recorder(10, 1 << 20, 1 << 20), recorder(10, 1 << 20, 1 << 20));
        for number in 0..1000 {
            forth.offer("a", &VERSION, &inputs(number));
            back.offer("a", &VERSION, &inputs(999 - number));
            for _ in 0..number % 3 {
                back.offer("a", &VERSION, &inputs(7));
            }
        }
        let digests = |recorder: &Recorder| {
            let sample = recorder.sample("a", &VERSION).unwrap();
            assert!(!sample.whole && sample.inputs.len() == 10);
            assert!((400..2500).contains(&sample.distinct), "about 1000, not {}", sample.distinct);
            sample.inputs.iter().map(|kept| kept.digest).collect::<Vec<_>>()
        };
        let mut least: Vec<Digest> = (0..1000).map(|number| inputs(number).key).collect();
        least.sort();
        assert_eq!(digests(&forth), least[..10]);
        assert_eq!(digests(&back), least[..10]);
    }

    #[test]
    fn what_comes_again_is_counted_and_what_fits_is_all_there() {
        let recorder = recorder(10, 1 << 20, 1 << 20);
        for number in [1, 2, 1, 1] {
            recorder.offer("a", &VERSION, &inputs(number));
        }
        let sample = recorder.sample("a", &VERSION).unwrap();
        assert!(sample.whole && sample.distinct == 2);
        let once = sample.inputs.iter().find(|kept| kept.digest == inputs(1).key).unwrap();
        assert_eq!((once.calls, &once.bytes[..]), (3, &inputs(1).bytes[..]));
        assert!(recorder.sample("a", &Version::new(2, 0, 0)).is_none());
    }

    #[test]
    fn bytes_are_bounded_per_version_and_in_all_and_what_left_the_registry_frees_them() {
        let recorder = recorder(1_000_000, 20 * ENTRY_BYTES, 30 * ENTRY_BYTES);
        for app in ["a", "b"] {
            for number in 0..500 {
                recorder.offer(app, &VERSION, &inputs(number));
            }
        }
        let (a, b) = (recorder.sample("a", &VERSION).unwrap(), recorder.sample("b", &VERSION).unwrap());
        assert!(a.bytes <= 20 * ENTRY_BYTES && a.bytes + b.bytes <= 30 * ENTRY_BYTES, "{} {}", a.bytes, b.bytes);
        assert_eq!(recorder.bytes(), a.bytes + b.bytes);
        let huge = vec![b'x'; 40 * ENTRY_BYTES];
        recorder.offer("a", &VERSION, &Inputs { values: Map::new(), key: Digest([0; 32]), bytes: huge });
        assert_eq!(recorder.sample("a", &VERSION).unwrap().too_large, 1);
        recorder.retain(|app, _| app == "b");
        assert!(recorder.sample("a", &VERSION).is_none());
        assert_eq!(recorder.bytes(), b.bytes);
    }
}
