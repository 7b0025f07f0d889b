//! The versions of an app on disk, and the next one.
//!
//! Invariant: a version that is there is not changed; the next one is a copy of the latest, with what has to differ, made in memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contract::compat::{self, Change, Comparison, Side};
use contract::manifest::strict_version;
use contract::{Contract, Fault, Folder};
use semver::{Prerelease, Version};
use serde_json::Value;

use super::json::{self, Node};
use super::scaffold::files;
use super::scaffold::{DefinitionFile, Files, Refused};

mod adapt;

/// How far a version goes beyond the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Bump {
    /// Nothing that callers see.
    Patch,
    /// Something more that callers may use.
    Minor,
    /// Something that callers must know.
    Major,
}

/// The next version of an app, made and not yet written.
#[derive(Debug)]
pub struct Next {
    pub from: Version,
    pub to: Version,
    pub files: Files,
    /// What was changed beside the number, for people.
    pub changes: Vec<String>,
    /// Where nobody said how far to go: how it stands to the latest version, which decided it. None where it has faults.
    pub compared: Option<Comparison>,
    /// The contract, or what is still wrong with it.
    pub contract: Result<Box<Contract>, Vec<Fault>>,
}

/// Why there is no next version.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("there is no app {0}")]
    NoSuchApp(String),
    #[error("{0} has no version yet")]
    NoVersion(String),
    #[error("the latest version has faults itself:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Latest(Vec<Fault>),
    #[error("the definition cannot be the next version's")]
    Refused(Refused),
    #[error("{0} is written in a way that cannot be edited")]
    Edit(String),
}

/// Folders that are looked into, in an app and in a registry.
const FOLDERS: usize = 20_000;

/// The versions of an app, lowest first.
pub fn list(app: &Path) -> io::Result<Vec<Version>> {
    let mut versions: Vec<Version> = folders(app)?.into_iter().filter_map(|name| strict_version(&name).ok()).collect();
    versions.sort();
    Ok(versions)
}

/// App, version folder and manifest of every version of a registry whose manifest is JSON.
pub fn manifests(contracts: &Path) -> io::Result<Vec<(String, String, Value)>> {
    let mut found = Vec::new();
    for app_id in folders(contracts)? {
        for version in folders(&contracts.join(&app_id))? {
            let path = contracts.join(&app_id).join(&version).join("manifest.json");
            let manifest =
                contract::folder::read_file(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            found.extend(manifest.map(|manifest| (app_id.clone(), version, manifest)));
        }
    }
    Ok(found)
}

/// The names of the folders in a folder, sorted; none where it is not there.
fn folders(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries.take(FOLDERS) {
        let entry = entry?;
        let name = entry.file_name().to_str().map(str::to_owned).filter(|name| !contract::folder::is_junk(name));
        if entry.file_type()?.is_dir() {
            names.extend(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Makes the version after the latest one of an app, with a new definition file where there is one.
///
/// Without a `bump` it goes as far as the changes need. What cannot be compared, because it has faults, counts as breaking.
pub fn next(app: &Path, bump: Option<Bump>, definition: Option<&DefinitionFile>) -> Result<Next, Error> {
    let app_id = app.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if !app.is_dir() {
        return Err(Error::NoSuchApp(app_id));
    }
    let from = list(app)?.pop().ok_or_else(|| Error::NoVersion(app_id.clone()))?;
    let folder = Folder::read(&app.join(from.to_string())).map_err(Error::Latest)?;
    let latest = Contract::of(&folder).map_err(Error::Latest)?;
    let make = |to: Version| make(&folder, &latest, to, definition);
    if let Some(bump) = bump {
        return make(bump.after(&from));
    }
    let least = make(Bump::Patch.after(&from))?;
    let Some((candidate, contract)) = comparable(&least, &app_id) else { return make(compat::Bump::Major.next(&from)) };
    let comparison = compat::compare(&Side::new(&folder, &latest), &Side::new(&candidate, &contract));
    let needed = comparison.least_version();
    let next = if needed > least.to { make(needed)? } else { least };
    Ok(Next { compared: Some(comparison), ..next })
}

/// What can be compared of a version: all of it, or without the examples that do not fit it, whose goldens are still the old ones.
fn comparable(next: &Next, app_id: &str) -> Option<(Folder, Contract)> {
    let mut files = next.files.clone();
    for fault in next.contract.as_ref().err().into_iter().flatten() {
        files.remove(fault.file.to_str().filter(|file| file.starts_with("examples/"))?);
    }
    let contract = files::load(&files, app_id, &next.to).ok()?;
    Some((Folder::of(files), contract))
}

/// Makes one version of the latest.
fn make(folder: &Folder, latest: &Contract, to: Version, definition: Option<&DefinitionFile>) -> Result<Next, Error> {
    let (app_id, from) = (&latest.app_id, latest.version.clone());
    let mut files = folder.files.clone();
    edit(&mut files, "manifest.json", |text| json::set(text, "", "version", &Node::from(to.to_string().as_str())))?;
    for name in ["inputs.schema.json", "outputs.schema.json"] {
        retitle(&mut files, name, &from, &to)?;
    }
    let mut changes = Vec::new();
    if let Some(definition) = definition {
        changes = adapt::to(&mut files, latest, definition)?;
    }
    let contract = files::load(&files, app_id, &to).map(Box::new);
    Ok(Next { from, to, files, changes, compared: None, contract })
}

/// Where a version of an app lies.
pub fn path(app: &Path, version: &Version) -> PathBuf {
    app.join(version.to_string())
}

/// Changes one JSON file by its text.
fn edit(files: &mut Files, name: &str, change: impl FnOnce(&str) -> Option<String>) -> Result<(), Error> {
    let text = files.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let changed = text.and_then(change).ok_or_else(|| Error::Edit(name.to_owned()))?;
    files.insert(name.to_owned(), changed.into_bytes().into());
    Ok(())
}

/// A title such as `Inputs of sitefit 1.0.0` names the version that it stands in.
fn retitle(files: &mut Files, name: &str, from: &Version, to: &Version) -> Result<(), Error> {
    let value: Option<Value> = files.get(name).and_then(|bytes| serde_json::from_slice(bytes).ok());
    let title = value.as_ref().and_then(|schema| schema.get("title")?.as_str()).unwrap_or_default();
    let from = from.to_string();
    let Some(words) = title.strip_suffix(from.as_str()).filter(|words| words.ends_with(' ')) else { return Ok(()) };
    let title = format!("{words}{to}");
    edit(files, name, |text| json::set(text, "", "title", &Node::from(title.as_str())))
}

// === impl Next ===

impl Next {
    /// The changes that decided how far it goes; none where they are nothing that callers see.
    pub fn reasons(&self) -> impl Iterator<Item = &Change> {
        let all =
            self.compared.iter().flat_map(|compared| compared.changes.iter().map(move |change| (compared, change)));
        all.filter(|(compared, change)| Some(change.rule.needs) == compared.needed).map(|(_, change)| change)
    }
}

// === impl Bump ===

impl Bump {
    /// The next version: a pre-release becomes the release that it prepares, where that is far enough.
    pub fn after(self, version: &Version) -> Version {
        let Version { major, minor, patch, .. } = *version;
        let prepares = match self {
            Self::Patch => true,
            Self::Minor => patch == 0,
            Self::Major => minor == 0 && patch == 0,
        };
        if !version.pre.is_empty() && prepares {
            return Version { pre: Prerelease::EMPTY, ..version.clone() };
        }
        match self {
            Self::Patch => Version::new(major, minor, patch.saturating_add(1)),
            Self::Minor => Version::new(major, minor.saturating_add(1), 0),
            Self::Major => Version::new(major.saturating_add(1), 0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_gives_the_next_version_of_its_size() {
        for (from, patch, minor, major) in [
            ("0.1.0", "0.1.1", "0.2.0", "1.0.0"),
            ("1.4.2", "1.4.3", "1.5.0", "2.0.0"),
            ("1.2.0-rc.1", "1.2.0", "1.2.0", "2.0.0"),
            ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0"),
            ("1.2.3-a", "1.2.3", "1.3.0", "2.0.0"),
        ] {
            let version = Version::parse(from).unwrap();
            let after = [Bump::Patch, Bump::Minor, Bump::Major].map(|bump| bump.after(&version).to_string());
            assert_eq!(after, [patch, minor, major], "{from}");
        }
    }
}
