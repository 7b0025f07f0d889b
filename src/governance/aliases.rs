//! Aliases of an app: where they lead, moving one, and taking the last move back.
//!
//! Invariant: of two operators who saw the same policy only one moves an alias, and every move says who, when and why. The policy
//! keeps its formatting; it and its history are put in place by rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contract::policy::Policy;
use contract::{Digest, Fault, fault, folder};
use rustix::fs::FlockOperation;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::json::{self, Node};
use super::{place, versions};

mod history;

pub use history::{Entry, Kind};

/// The aliases of an app, as its policy has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    pub app_id: String,
    pub aliases: BTreeMap<String, Version>,
    /// The digest of the policy's bytes: what a later change is based on.
    pub etag: String,
}

/// A move that somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Change<'c> {
    pub alias: &'c str,
    pub wanted: Wanted<'c>,
    /// The policy that the decision was made on; any where none is given.
    pub based_on: Option<&'c str>,
    pub reason: &'c str,
    /// Who moves it.
    pub by: &'c str,
}

/// Where an alias is to lead.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'c> {
    To(&'c Version),
    /// Where it led before its last move.
    Back,
}

/// A move that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub alias: String,
    pub from: Option<Version>,
    /// None where the alias is gone.
    pub to: Option<Version>,
    /// Of the policy as it is now.
    pub etag: String,
}

/// Why an alias does not move.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no app {0}")]
    NoSuchApp(String),
    #[error("{app_id} has no version {version}{}", .similar.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    NoSuchVersion { app_id: String, version: Version, similar: Option<String> },
    #[error("{app_id}:{version} is not ready: {why}")]
    NotReady { app_id: String, version: Version, why: String },
    #[error("the policy was changed since you looked: it is {found} now")]
    Changed { found: String },
    #[error("somebody else is changing the policy at this moment")]
    Busy,
    #[error("{0} was never moved, as far as the history goes")]
    NothingToUndo(String),
    #[error(
        "{alias} leads to {found}, but its last move led to {recorded}: the policy was edited by hand, so there is nothing to undo"
    )]
    EditedByHand { alias: String, found: String, recorded: String },
    #[error("the policy would not be valid:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
    #[error("the alias was moved, but its history could not be written: {0}")]
    Unrecorded(io::Error),
    #[error("the policy cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// How long a change waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(25);
/// The longest reason that is kept, in characters.
pub const REASON: usize = 500;

/// The aliases of the app in this folder.
pub fn read(app: &Path) -> Result<Aliases, Error> {
    let (_, policy, etag) = policy(app)?;
    Ok(Aliases { app_id: name(app), aliases: policy.aliases, etag })
}

/// What moved, oldest first.
pub fn history(app: &Path) -> Result<Vec<Entry>, Error> {
    if !app.is_dir() {
        return Err(Error::NoSuchApp(name(app)));
    }
    Ok(history::read(app)?)
}

/// Moves an alias. `ready` says why a version that is there may not be led to, if it may not. Blocks, on files and for at most
/// `PATIENCE` on another change.
pub fn change(app: &Path, change: Change<'_>, ready: impl Fn(&Version) -> Result<(), String>) -> Result<Moved, Error> {
    if !app.is_dir() {
        return Err(Error::NoSuchApp(name(app)));
    }
    let _lock = lock(app)?;
    let (text, before, etag) = policy(app)?;
    if change.based_on.is_some_and(|seen| seen != etag) {
        return Err(Error::Changed { found: etag });
    }
    let past = history::read(app)?;
    let from = before.aliases.get(change.alias).cloned();
    let (kind, to) = match change.wanted {
        Wanted::To(version) => (Kind::Set, Some(version.clone())),
        Wanted::Back => (Kind::Undo, history::before(&past, change.alias, from.as_ref())?),
    };
    if let Some(to) = &to {
        allowed(app, to, ready)?;
    }
    if from == to {
        return Ok(Moved { alias: change.alias.to_owned(), from, to, etag });
    }
    let edited = edited(&text, change.alias, to.as_ref()).ok_or_else(|| {
        Error::Io(io::Error::new(io::ErrorKind::InvalidData, "its aliases are written in a way that cannot be edited"))
    })?;
    let file = app.join("policy.json");
    let after = Policy::of(&file, edited.as_bytes()).map_err(Error::Faults)?;
    debug_assert_eq!(after.aliases.get(change.alias), to.as_ref(), "the edit did what was wanted");
    // Whoever changes the file without our lock is seen here, up to the moment of the rename.
    if policy(app)?.2 != etag {
        return Err(Error::Busy);
    }
    place::file(&file, &edited)?;
    let etag = Digest::of(&edited).to_string();
    let entry = Entry {
        time: jiff::Timestamp::now(),
        kind,
        alias: change.alias.to_owned(),
        from: from.clone(),
        to: to.clone(),
        reason: change.reason.chars().filter(|char| !char.is_control()).take(REASON).collect(),
        by: change.by.chars().filter(|char| !char.is_control()).take(100).collect(),
        policy: etag.clone(),
    };
    history::add(app, past, entry).map_err(Error::Unrecorded)?;
    Ok(Moved { alias: change.alias.to_owned(), from, to, etag })
}

/// Whether a version is there and may be led to.
fn allowed(app: &Path, version: &Version, ready: impl Fn(&Version) -> Result<(), String>) -> Result<(), Error> {
    let there = versions::list(app)?;
    if !there.contains(version) {
        let names: Vec<String> = there.iter().map(ToString::to_string).collect();
        let similar = fault::closest(&version.to_string(), names.iter().map(String::as_str)).map(str::to_owned);
        return Err(Error::NoSuchVersion { app_id: name(app), version: version.clone(), similar });
    }
    ready(version).map_err(|why| Error::NotReady { app_id: name(app), version: version.clone(), why })
}

/// A version of a folder is ready when it loads: whether a node can solve it is known where a gateway runs.
pub fn loads(app: &Path, version: &Version) -> Result<(), String> {
    match contract::Contract::load(&versions::path(app, version)) {
        Ok(_) => Ok(()),
        Err(faults) => Err(faults.first().map(ToString::to_string).unwrap_or_default()),
    }
}

/// The policy with the alias led elsewhere, or without it.
fn edited(text: &str, alias: &str, to: Option<&Version>) -> Option<String> {
    let Some(to) = to else { return json::remove(text, "/aliases", alias) };
    let version = Node::from(to.to_string().as_str());
    let member = Node::Object(vec![(alias.to_owned(), version.clone())]);
    json::set(text, "/aliases", alias, &version).or_else(|| json::set(text, "", "aliases", &member))
}

/// The policy of an app: text, meaning and digest.
fn policy(app: &Path) -> Result<(String, Policy, String), Error> {
    if !app.is_dir() {
        return Err(Error::NoSuchApp(name(app)));
    }
    let file: PathBuf = app.join("policy.json");
    let bytes = folder::read_file(&file).map_err(|fault| Error::Faults(vec![fault]))?;
    let policy = Policy::of(&file, &bytes).map_err(Error::Faults)?;
    let etag = Digest::of(&bytes).to_string();
    let text = String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((text, policy, etag))
}

fn name(app: &Path) -> String {
    app.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Holds off other changes by this program until it is dropped: the lock is the folder's own, so nothing is left behind by it.
fn lock(app: &Path) -> Result<File, Error> {
    let folder = fs::File::open(app)?;
    let begin = Instant::now();
    loop {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy),
            // On a share that knows no locks the digest that is looked at twice has to do.
            Ok(()) | Err(_) => return Ok(folder),
        }
    }
}

#[cfg(test)]
mod tests;
