//! What the registry holds: the content in force of every place, and what was last refused beside it.
//!
//! Invariant: good content is replaced by good content only, so a faulty file changes nothing but what is said about it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::policy::Policy;
use contract::{Contract, Digest, Fault, Position};
use jiff::Timestamp;
use semver::Version;

use super::events::{Draft, Kind};
use super::look::Meaning;
use super::plan::{Holding, Kept, Place};
use super::scan::{Content, Read};
use super::tenants::{self, Tenants};

/// Everything that is held.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) entries: BTreeMap<Place, Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Of what is in force, or of what is refused where nothing is.
    pub(super) digest: Digest,
    pub(super) since: Timestamp,
    pub(super) thing: Thing,
    /// The files of what is in force: path within the place, and digest of the content.
    pub(super) files: Vec<(String, Digest)>,
    /// What was seen last and is not taken.
    pub(super) declined: Option<Declined>,
    /// Refused only for its name, see `plan`.
    pub(super) twin: bool,
}

#[derive(Debug)]
pub(super) enum Thing {
    Tenants(Arc<Tenants>),
    Policy(Arc<Policy>),
    Contract(Arc<Contract>),
    /// Nothing is in force. The faults name files from the registry's root.
    Refused(Vec<Fault>),
}

/// Content that is there and not in force.
#[derive(Debug, Clone)]
pub(super) struct Declined {
    pub(super) seen: Option<Digest>,
    /// Why, never empty; files are named from the registry's root.
    pub(super) faults: Vec<Fault>,
}

const TENANTS_BYTES_MAX: usize = 16 * 1024 * 1024;

// === impl Held ===

impl Held {
    pub(super) fn holding(&self) -> Holding {
        self.entries.iter().map(|(place, entry)| (place.clone(), entry.kept())).collect()
    }

    /// What is not taken, of all places.
    pub(super) fn alarms(&self) -> impl Iterator<Item = &Fault> {
        self.entries.values().filter_map(|entry| entry.declined.as_ref()).flat_map(|declined| &declined.faults)
    }

    /// Takes what was read if it is free of faults; else it is only noted. Returns what to tell.
    pub(super) fn take(&mut self, place: &Place, digest: Digest, meaning: Meaning, now: Timestamp) -> Draft {
        match meaning.thing {
            Ok(thing) => self.put(place, Entry { files: meaning.files, ..Entry::new(digest, now, thing) }),
            Err(faults) => self.refuse(place, digest, faults, now),
        }
    }

    /// Puts good content in force.
    pub(super) fn put(&mut self, place: &Place, entry: Entry) -> Draft {
        let to = entry.digest.to_string();
        let before = self.entries.insert(place.clone(), entry);
        let from = before.as_ref().map(|before| before.digest.to_string());
        let kind = match (place, &before) {
            (Place::Tenants, _) => Kind::TenantsChanged,
            (Place::Policy { .. }, _) => Kind::PolicyChanged,
            (Place::Version { .. }, None) => Kind::VersionAdded,
            (Place::Version { .. }, Some(_)) => Kind::VersionChanged,
        };
        Draft { from, to: Some(to), ..about(kind, place) }
    }

    /// Keeps good content in force; where there is none, holds the place as refused.
    fn refuse(&mut self, place: &Place, digest: Digest, faults: Vec<Fault>, now: Timestamp) -> Draft {
        let draft = declined(place, Some(digest), &faults);
        if let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.is_good()) {
            entry.declined = Some(Declined { seen: Some(digest), faults });
            return Draft { from: Some(entry.digest.to_string()), ..draft };
        }
        self.entries.insert(place.clone(), Entry::new(digest, now, Thing::Refused(faults)));
        draft
    }

    /// Notes that what was seen is not taken, because what is in force must not change.
    pub(super) fn decline(&mut self, place: &Place, seen: Option<Digest>) -> Draft {
        let fault = match seen {
            Some(_) => fault(
                place,
                "version_changed",
                "a version never changes, and this one did: the old content keeps serving",
            )
            .help("put the old files back, and publish the change as a new version".to_owned()),
            None => fault(place, "file_missing", "the file has gone: what it said last still holds"),
        };
        let draft = declined(place, seen, std::slice::from_ref(&fault));
        let Some(entry) = self.entries.get_mut(place) else { return draft };
        entry.declined = Some(Declined { seen, faults: vec![fault] });
        Draft { from: Some(entry.digest.to_string()), ..draft }
    }

    /// What is in force is there again.
    pub(super) fn clear(&mut self, place: &Place) -> Option<Draft> {
        let entry = self.entries.get_mut(place)?;
        entry.declined.take()?;
        Some(
            Draft { to: Some(entry.digest.to_string()), ..about(Kind::Fresh, place) }
                .because("the old content is back"),
        )
    }

    pub(super) fn twin(&mut self, place: &Place, digest: Digest, other: &Version, now: Timestamp) -> Draft {
        let fault = fault(place, "version_twin", &format!("the name differs from `{other}` by case alone"));
        let draft = declined(place, Some(digest), std::slice::from_ref(&fault));
        let entry = Entry { twin: true, ..Entry::new(digest, now, Thing::Refused(vec![fault])) };
        self.entries.insert(place.clone(), entry);
        draft
    }

    /// Removes a place. What runs on it keeps its snapshot.
    pub(super) fn remove(&mut self, place: &Place) -> Option<Draft> {
        let entry = self.entries.remove(place)?;
        let kind = match place {
            Place::Version { .. } => Kind::VersionRemoved,
            Place::Policy { .. } => Kind::PolicyChanged,
            Place::Tenants => Kind::TenantsChanged,
        };
        Some(Draft { from: Some(entry.digest.to_string()), ..about(kind, place) }.because("it has gone"))
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(digest: Digest, since: Timestamp, thing: Thing) -> Self {
        Self { digest, since, thing, files: Vec::new(), declined: None, twin: false }
    }

    pub(super) fn is_good(&self) -> bool {
        !matches!(self.thing, Thing::Refused(_))
    }

    /// Why nothing is in force.
    pub(super) fn faults(&self) -> Option<&[Fault]> {
        match &self.thing {
            Thing::Refused(faults) => Some(faults),
            Thing::Tenants(_) | Thing::Policy(_) | Thing::Contract(_) => None,
        }
    }

    /// What a plan needs to know.
    pub(super) fn kept(&self) -> Kept {
        let dealt_with = self.declined.as_ref().map_or(Some(self.digest), |declined| declined.seen);
        Kept { digest: self.digest, good: self.is_good(), dealt_with, twin: self.twin }
    }
}

/// What the bytes mean, or all that is wrong with them.
pub(super) fn interpret(place: &Place, read: &Read) -> Result<Thing, Vec<Fault>> {
    let content = read.content.as_ref().map_err(|faults| below(place, faults.clone()))?;
    match (place, content) {
        (Place::Tenants, Content::File(bytes)) if bytes.len() > TENANTS_BYTES_MAX => {
            Err(vec![fault(place, "file_size", &format!("more than {TENANTS_BYTES_MAX} bytes"))])
        }
        (Place::Tenants, Content::File(bytes)) => {
            tenants::read(&place.path(), bytes).map(|tenants| Thing::Tenants(Arc::new(tenants)))
        }
        (Place::Policy { app_id }, Content::File(bytes)) => {
            let policy = Policy::of(&place.path(), bytes)?;
            if policy.app_id != *app_id {
                let message = format!("the policy is for `{}`, but lies in the folder of `{app_id}`", policy.app_id);
                return Err(vec![fault(place, "policy_app_id", &message)]);
            }
            Ok(Thing::Policy(Arc::new(policy)))
        }
        (Place::Version { .. }, Content::Folder(folder)) => Contract::of(folder)
            .map(|contract| Thing::Contract(Arc::new(contract)))
            .map_err(|faults| below(place, faults)),
        (Place::Tenants | Place::Policy { .. }, Content::Folder(_)) | (Place::Version { .. }, Content::File(_)) => {
            Err(vec![fault(place, "file_kind", "a file is a folder, or the other way round")])
        }
    }
}

/// The files of a place with the digests of their contents; a file that is the place itself has no name.
pub(super) fn files(read: &Read) -> Vec<(String, Digest)> {
    match &read.content {
        Ok(Content::Folder(folder)) => folder.digests.iter().map(|(path, digest)| (path.clone(), *digest)).collect(),
        Ok(Content::File(_)) => vec![(String::new(), read.digest)],
        Err(_) => Vec::new(),
    }
}

fn about(kind: Kind, place: &Place) -> Draft {
    let version = place.version().map(Version::to_string);
    Draft { app_id: place.app_id().map(str::to_owned), version, ..Draft::of(kind) }
}

fn declined(place: &Place, seen: Option<Digest>, faults: &[Fault]) -> Draft {
    let kind = match place {
        Place::Tenants => Kind::TenantsRefused,
        Place::Policy { .. } => Kind::PolicyRefused,
        Place::Version { .. } => Kind::VersionRefused,
    };
    let reason = match faults {
        [first, _, ..] => format!("{first} (and {} more)", faults.len() - 1),
        [only] => only.to_string(),
        [] => "no reason is known".to_owned(),
    };
    Draft { to: seen.map(|seen| seen.to_string()), ..about(kind, place) }.because(reason.replace('\n', ";"))
}

fn fault(place: &Place, rule: &'static str, message: &str) -> Fault {
    Fault::new(rule, &place.path(), Position::START, message)
}

/// Faults of one place, with their files named from the registry's root.
fn below(place: &Place, faults: Vec<Fault>) -> Vec<Fault> {
    let named = |fault: &Fault| match fault.file.as_path() {
        file if file == Path::new("") => place.path(),
        file => place.path().join(file),
    };
    faults.into_iter().map(|fault| Fault { file: named(&fault), ..fault }).collect()
}
