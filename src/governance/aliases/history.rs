//! What moved in an app: a line of JSON a move, in `.alias-history.jsonl` beside the policy.
//!
//! It lies with the registry, so that it goes where the policy goes and every gateway and shell tells the same; the dot keeps it out of what
//! is loaded. Invariant: at most [`KEPT`] moves are kept, and a line that cannot be read is passed over, never a reason to stop.

use std::io;
use std::path::Path;

use contract::folder;
use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::governance::place;

const FILE: &str = ".alias-history.jsonl";
/// Moves that are kept, of all aliases of an app together.
const KEPT: usize = 200;

/// One move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub time: Timestamp,
    pub kind: Kind,
    pub alias: String,
    /// None where the alias was not there.
    pub from: Option<Version>,
    /// None where the alias was taken away.
    pub to: Option<Version>,
    pub reason: String,
    pub by: String,
    /// The digest of the policy after the move.
    pub policy: String,
}

/// What sort of move it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Set,
    Undo,
}

/// Reads what is kept, oldest first.
pub(super) fn read(app: &Path) -> io::Result<Vec<Entry>> {
    let file = app.join(FILE);
    let bytes = match folder::read_file(&file) {
        Ok(bytes) => bytes,
        Err(fault) if fault.rule == "file_missing" => return Ok(Vec::new()),
        Err(fault) => return Err(io::Error::other(fault.to_string())),
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(lines.collect())
}

/// Adds a move to those that were read.
pub(super) fn add(app: &Path, past: Vec<Entry>, entry: Entry) -> io::Result<()> {
    let over = (past.len() + 1).saturating_sub(KEPT);
    let mut text = String::new();
    for entry in past.into_iter().skip(over).chain([entry]) {
        text.push_str(&serde_json::to_string(&entry)?);
        text.push('\n');
    }
    place::file(&app.join(FILE), &text)
}

/// Where an alias led before its last move that was not taken back. Undoing again goes further back.
pub(super) fn before(past: &[Entry], alias: &str, now: Option<&Version>) -> Result<Option<Version>, Error> {
    let mut standing: Vec<&Entry> = Vec::new();
    for entry in past.iter().filter(|entry| entry.alias == alias) {
        match entry.kind {
            Kind::Set => standing.push(entry),
            Kind::Undo => drop(standing.pop()),
        }
    }
    let last = standing.last().ok_or_else(|| Error::NothingToUndo(alias.to_owned()))?;
    if last.to.as_ref() != now {
        let spell = |version: Option<&Version>| version.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let (found, recorded) = (spell(now), spell(last.to.as_ref()));
        return Err(Error::EditedByHand { alias: alias.to_owned(), found, recorded });
    }
    Ok(last.from.clone())
}
