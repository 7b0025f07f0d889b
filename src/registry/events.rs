//! What happened to the registry, in order, for as far back as the bound reaches.
//!
//! Invariant: numbers only grow, and one that was passed over (the ring is bounded) can be told from one that never was.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use logs::Changed;
use serde::{Deserialize, Serialize};

/// How many events are kept: 1,024 of about 500 bytes are half a megabyte, and a deploy of all samples writes ten.
pub const KEPT: usize = 1024;

/// One change, or one refusal to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without gaps, for this process.
    pub number: u64,
    pub time: Timestamp,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The version, or the alias, that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest, or the alias's version, that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What came, or what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What kind of event it is. Those that [`Kind::is_alarm`] are for somebody to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The process started with this registry.
    Loaded,
    VersionAdded,
    /// Allowed only where versions are mutable, or where the old content was refused.
    VersionChanged,
    VersionRemoved,
    /// A version that is there is not served, or a change of one is not taken.
    VersionRefused,
    PolicyChanged,
    /// A policy is faulty, or has gone: the last good one holds.
    PolicyRefused,
    TenantsChanged,
    /// `tenants.json` is faulty, or has gone: the last good one holds.
    TenantsRefused,
    AliasMoved,
    /// The alias should lead to a version that is not ready: it stays where it was.
    AliasHeld,
    /// The registry cannot be read, or is empty: the last good one holds.
    Stale,
    /// The registry can be read again.
    Fresh,
    /// The file system cannot be watched: changes are found by the poll alone.
    PollOnly,
    /// The last good registry could not be written to, or read from, the state folder.
    StateFault,
    /// An operator changed which log lines are written, or such a change came to its end.
    LogLevelChanged,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub events: Vec<Event>,
    /// Ask for what comes after this. Smaller than what was asked for: the process is another one.
    pub last: u64,
    /// How many of those asked for are no longer kept.
    pub missed: u64,
}

/// The bounded log. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    kept: VecDeque<Event>,
    counts: BTreeMap<Kind, u64>,
}

// === impl Events ===

impl Events {
    /// Writes an event down, and to the log: alarms as warnings.
    pub(super) fn add(&self, draft: Draft) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.last += 1;
        *ring.counts.entry(draft.kind).or_default() += 1;
        let Draft { kind, app_id, version, from, to, reason } = draft;
        let event = Event { number: ring.last, time: Timestamp::now(), kind, app_id, version, from, to, reason };
        let app_id = event.app_id.as_deref();
        if kind.is_alarm() {
            tracing::warn!(target: "appserver::registry", kind = kind.as_str(), app_id, "{event}");
        } else {
            tracing::info!(target: "appserver::registry", kind = kind.as_str(), app_id, "{event}");
        }
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(event);
    }

    /// Writes down that other log lines are written now.
    pub fn log_level(&self, Changed { from, to, reason }: Changed) {
        self.add(Draft { from: Some(from), to: Some(to), ..Draft::of(Kind::LogLevelChanged).because(reason) });
    }

    /// How many events there were of each kind that there was one of, those included that are no longer kept.
    pub fn counts(&self) -> BTreeMap<Kind, u64> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }

    /// What came after the event numbered `after`, oldest first. A number that was never given is taken for 0: it is one
    /// of an earlier process.
    pub fn after(&self, after: u64) -> Page {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let after = if after > ring.last { 0 } else { after };
        let events: Vec<Event> = ring.kept.iter().filter(|event| event.number > after).cloned().collect();
        let missed = ring.last - after - events.len() as u64;
        Page { events, last: ring.last, missed }
    }
}

/// An event that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) app_id: Option<String>,
    pub(super) version: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) reason: Option<String>,
}

// === impl Draft ===

impl Draft {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, app_id: None, version: None, from: None, to: None, reason: None }
    }

    pub(super) fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

// === impl Kind ===

impl Kind {
    /// Whether something is not as its author wanted it.
    pub fn is_alarm(self) -> bool {
        match self {
            Self::VersionRefused
            | Self::PolicyRefused
            | Self::TenantsRefused
            | Self::AliasHeld
            | Self::Stale
            | Self::PollOnly
            | Self::StateFault => true,
            Self::Loaded
            | Self::VersionAdded
            | Self::VersionChanged
            | Self::VersionRemoved
            | Self::PolicyChanged
            | Self::TenantsChanged
            | Self::AliasMoved
            | Self::LogLevelChanged
            | Self::Fresh => false,
        }
    }

    /// The word that stands in JSON and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::VersionAdded => "version_added",
            Self::VersionChanged => "version_changed",
            Self::VersionRemoved => "version_removed",
            Self::VersionRefused => "version_refused",
            Self::PolicyChanged => "policy_changed",
            Self::PolicyRefused => "policy_refused",
            Self::TenantsChanged => "tenants_changed",
            Self::TenantsRefused => "tenants_refused",
            Self::AliasMoved => "alias_moved",
            Self::AliasHeld => "alias_held",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
            Self::PollOnly => "poll_only",
            Self::StateFault => "state_fault",
            Self::LogLevelChanged => "log_level_changed",
        }
    }
}

impl fmt::Display for Event {
    /// One line for people; digests are cut to what tells two apart at a glance.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| match text.strip_prefix("sha256:") {
            Some(hex) => hex.chars().take(8).chain(['…']).collect(),
            None => text.to_owned(),
        };
        write!(f, "{}", self.kind.as_str())?;
        if let Some(app_id) = &self.app_id {
            write!(f, " {app_id}")?;
        }
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, " {} → {}", short(from), short(to))?,
            (Some(only), None) | (None, Some(only)) => write!(f, " {}", short(only))?,
            (None, None) => {}
        }
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_after_the_number_and_tells_what_was_missed() {
        let events = Events::default();
        let add = |count: usize| (0..count).for_each(|_| events.add(Draft::of(Kind::Fresh)));
        assert_eq!(events.after(0), Page { events: vec![], last: 0, missed: 0 });
        add(3);
        let page = events.after(1);
        assert_eq!((page.events.len(), page.events[0].number, page.last, page.missed), (2, 2, 3, 0));
        assert_eq!(events.after(3).events, []);
        assert_eq!(events.after(99).events.len(), 3, "a number of another process");
        add(KEPT);
        let page = events.after(1);
        assert_eq!((page.events.len(), page.last, page.missed), (KEPT, 3 + KEPT as u64, 2));
    }

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            number: 1,
            time: Timestamp::UNIX_EPOCH,
            kind: Kind::VersionChanged,
            app_id: Some("sitefit".into()),
            version: Some("1.0.0".into()),
            from: Some(format!("sha256:{}", "ab".repeat(32))),
            to: Some(format!("sha256:{}", "cd".repeat(32))),
            reason: Some("edited".into()),
        };
        assert_eq!(event.to_string(), "version_changed sitefit 1.0.0 abababab… → cdcdcdcd…: edited");
        let words = |kind: Kind| serde_json::to_value(kind).unwrap() == kind.as_str();
        assert!([Kind::Loaded, Kind::PollOnly, Kind::StateFault, Kind::VersionRefused].into_iter().all(words));
    }
}
