//! What a new listing of the registry asks to change: a pure function of what is held and what was seen.
//!
//! Invariants: no clock and no file system in here. A version that serves is never replaced, unless versions are mutable. What is
//! empty or gone as a whole removes nothing. What has not been seen twice alike, [`Settling`] long apart, is not acted upon.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use contract::Digest;
use semver::Version;

/// A thing in the registry that is loaded, kept and replaced as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Tenants,
    Policy { app_id: String },
    Version { app_id: String, version: Version },
}

/// What is known of a place that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// Of the content in force; of the refused content where none is in force.
    pub(super) digest: Digest,
    /// Whether good content is in force.
    pub(super) good: bool,
    /// The sight that was dealt with last: what is in force, or a content (or its absence) that was not taken.
    pub(super) dealt_with: Option<Digest>,
    /// Refused only for its name, which differs from another version's by case alone.
    pub(super) twin: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Read it, and take it if the content still has this digest and is free of faults.
    Take {
        place: Place,
        digest: Digest,
    },
    Remove {
        place: Place,
    },
    /// Keep what is in force, and say that `seen` is not taken.
    Decline {
        place: Place,
        seen: Option<Digest>,
    },
    /// What is in force is there again.
    Clear {
        place: Place,
    },
    /// Hold it as refused: its name differs from that of `other` by case alone.
    Twin {
        place: Place,
        digest: Digest,
        other: Version,
    },
}

/// All of it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    Steps(Vec<Step>),
    /// No version is left at all: that is a lost mount or a slip, and unloads nothing.
    Emptied,
}

pub(super) type Listing = BTreeMap<Place, Digest>;
pub(super) type Holding = BTreeMap<Place, Kept>;

/// What to do so that what is held follows what was seen. `settled` says whether a sight (none: the place is not there) may be
/// acted upon; `mutable` whether a version that serves may change.
pub(super) fn plan(
    held: &Holding,
    seen: &Listing,
    mutable: bool,
    mut settled: impl FnMut(&Place, Option<Digest>) -> bool,
) -> Plan {
    let is_version = |place: &Place| matches!(place, Place::Version { .. });
    if held.keys().any(is_version) && !seen.keys().any(is_version) {
        return Plan::Emptied;
    }
    let mut steps = Vec::new();
    let mut names = Names::of(held);
    for (place, &digest) in seen {
        let kept = held.get(place);
        if kept.is_some_and(|kept| kept.is_settled(Some(digest), names.twin(place).is_some()))
            || !settled(place, Some(digest))
        {
            continue;
        }
        steps.push(step(place.clone(), digest, kept, mutable, &mut names));
    }
    for (place, kept) in held.iter().filter(|(place, _)| !seen.contains_key(place)) {
        // Who may call is not forgotten because a file has gone.
        let stays = *place == Place::Tenants;
        if (stays && kept.dealt_with.is_none()) || !settled(place, None) {
            continue;
        }
        let place = place.clone();
        steps.push(if stays { Step::Decline { place, seen: None } } else { Step::Remove { place } });
    }
    Plan::Steps(steps)
}

fn step(place: Place, digest: Digest, kept: Option<&Kept>, mutable: bool, names: &mut Names) -> Step {
    if kept.is_some_and(|kept| kept.good && kept.digest == digest) {
        return Step::Clear { place };
    }
    let is_version = matches!(place, Place::Version { .. });
    if is_version && !mutable && kept.is_some_and(|kept| kept.good) {
        return Step::Decline { place, seen: Some(digest) };
    }
    if let Some(other) = names.twin(&place) {
        return Step::Twin { place, digest, other };
    }
    names.add(&place);
    Step::Take { place, digest }
}

/// The versions that are held or taken, by app and name in lower case: file systems differ in whether case tells names apart.
struct Names(BTreeMap<(String, String), Version>);

// === impl Names ===

impl Names {
    fn of(held: &Holding) -> Self {
        let mut names = Self(BTreeMap::new());
        for (place, _) in held.iter().filter(|(_, kept)| !kept.twin) {
            names.add(place);
        }
        names
    }

    fn key(place: &Place) -> Option<(String, String)> {
        match place {
            Place::Version { app_id, version } => Some((app_id.clone(), version.to_string().to_lowercase())),
            Place::Tenants | Place::Policy { .. } => None,
        }
    }

    fn add(&mut self, place: &Place) {
        if let (Some(key), Place::Version { version, .. }) = (Self::key(place), place) {
            self.0.entry(key).or_insert_with(|| version.clone());
        }
    }

    /// The other version that this one differs from by case alone.
    fn twin(&self, place: &Place) -> Option<Version> {
        let Place::Version { version, .. } = place else { return None };
        self.0.get(&Self::key(place)?).filter(|other| *other != version).cloned()
    }
}

// === impl Kept ===

impl Kept {
    /// Whether a sight asks for nothing new; `twin` says whether another version still has this one's name.
    fn is_settled(&self, seen: Option<Digest>, twin: bool) -> bool {
        self.dealt_with == seen && (!self.twin || twin)
    }
}

/// Which sights wait for a second, equal one. A copy that is under way looks different each time, or is too young.
#[derive(Debug, Default)]
pub(super) struct Settling {
    first: BTreeMap<Place, (Option<Digest>, Duration)>,
}

// === impl Settling ===

impl Settling {
    /// Notes a sight at the time `now` (on any clock that only goes forward); whether it has been the same for `span`.
    pub(super) fn note(&mut self, place: &Place, seen: Option<Digest>, now: Duration, span: Duration) -> bool {
        match self.first.get_mut(place) {
            Some((before, since)) if *before == seen => now.saturating_sub(*since) >= span,
            Some(first) => {
                *first = (seen, now);
                span.is_zero()
            }
            None => {
                self.first.insert(place.clone(), (seen, now));
                span.is_zero()
            }
        }
    }

    /// Whether [`Self::note`] would say yes.
    pub(super) fn would_settle(&self, place: &Place, seen: Option<Digest>, now: Duration, span: Duration) -> bool {
        let same = self.first.get(place).filter(|(before, _)| *before == seen);
        span.is_zero() || same.is_some_and(|(_, since)| now.saturating_sub(*since) >= span)
    }

    /// Forgets what was not noted in the scan that has just ended, or was acted upon.
    pub(super) fn keep(&mut self, waiting: impl Fn(&Place) -> bool) {
        self.first.retain(|place, _| waiting(place));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

// === impl Place ===

impl Place {
    /// Where it lies, from the registry's root.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Tenants => PathBuf::from("tenants.json"),
            Self::Policy { app_id } => ["contracts", app_id, "policy.json"].iter().collect(),
            Self::Version { app_id, version } => ["contracts", app_id, &version.to_string()].iter().collect(),
        }
    }

    pub(super) fn app_id(&self) -> Option<&str> {
        match self {
            Self::Tenants => None,
            Self::Policy { app_id } | Self::Version { app_id, .. } => Some(app_id),
        }
    }

    pub(super) fn version(&self) -> Option<&Version> {
        match self {
            Self::Version { version, .. } => Some(version),
            Self::Tenants | Self::Policy { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())
    }
}
