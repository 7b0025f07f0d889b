//! Versions to be compared, wherever they lie: in the registry, in a folder, in a commit.
//!
//! A word that leads nowhere is told with what there is instead; a version with faults is told by its faults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::manifest::strict_version;
use contract::policy::Policy;
use contract::{Contract, Fault, Folder};
use semver::Version;

use super::git::{self, Tree};
use super::render::{Disk, Sources};

/// A version that was read.
#[derive(Debug)]
pub struct Revision {
    /// For people: `sitefit:1.0.0`, `sitefit:1.0.0 at git:main`.
    pub name: String,
    /// What the files' names are shown below.
    pub base: PathBuf,
    pub folder: Folder,
    pub contract: Contract,
}

/// Why a word leads to no version.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    NoSuchThing(String),
    #[error("{name} does not load")]
    Faulty { name: String, base: PathBuf, faults: Vec<Fault> },
    #[error(transparent)]
    Git(#[from] git::Error),
}

/// An app's folder in a registry, and the version in it that a word names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub app: PathBuf,
    pub folder: PathBuf,
}

/// What `app`, `app:version`, `app:alias` or the path of a version folder leads to; `app` alone is its highest version.
pub fn named(word: &str, root: &Path) -> Result<Named, Error> {
    let path = Path::new(word);
    if path.join("manifest.json").is_file() {
        let app = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
        return Ok(Named { app: app.unwrap_or_default(), folder: path.to_owned() });
    }
    let (app, version) = word.split_once(':').map_or((word, None), |(app, version)| (app, Some(version)));
    let contracts = root.join("contracts");
    let folder = contracts.join(app);
    if app.contains(['/', '\\']) || app.starts_with('.') || !folder.is_dir() {
        let apps = folders(&contracts);
        let help = hint(app, apps.iter().map(String::as_str), "apps");
        return Err(Error::NoSuchThing(format!("there is no app `{app}` in {}; {help}", contracts.display())));
    }
    let version = if let Some(version) = version {
        of_app(&folder, app, version)?
    } else {
        let highest = versions(&folder).pop();
        highest.ok_or_else(|| Error::NoSuchThing(format!("`{app}` has no version")))?
    };
    Ok(Named { folder: folder.join(version.to_string()), app: folder })
}

/// The version that `1.0.0`, `stable` or `alias:stable` is in an app's folder.
pub fn of_app(folder: &Path, app: &str, word: &str) -> Result<Version, Error> {
    let all = versions(folder);
    let aliases = aliases(folder);
    let alias = word.strip_prefix("alias:");
    let version = match (alias, strict_version(word)) {
        (None, Ok(version)) => Some(version),
        (alias, _) => aliases.get(alias.unwrap_or(word)).cloned().or_else(|| {
            // An unpinned `stable` is the highest release.
            let is_stable = alias.unwrap_or(word) == "stable";
            all.iter().rfind(|version| version.pre.is_empty()).filter(|_| is_stable).cloned()
        }),
    };
    version.filter(|version| all.contains(version)).ok_or_else(|| {
        let words: Vec<String> = all.iter().map(ToString::to_string).chain(aliases.keys().cloned()).collect();
        let help = hint(alias.unwrap_or(word), words.iter().map(String::as_str), "versions and aliases");
        Error::NoSuchThing(format!("`{app}` has no version or alias `{word}`; {help}"))
    })
}

fn hint<'w>(word: &str, known: impl Iterator<Item = &'w str> + Clone, noun: &str) -> String {
    contract::fault::did_you_mean(word, known.clone())
        .unwrap_or_else(|| format!("there are these {noun}: {}", known.take(12).collect::<Vec<_>>().join(", ")))
}

/// The versions of an app's folder, in order.
pub fn versions(folder: &Path) -> Vec<Version> {
    let mut versions: Vec<_> = folders(folder).iter().filter_map(|name| strict_version(name).ok()).collect();
    versions.sort();
    versions
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn aliases(folder: &Path) -> BTreeMap<String, Version> {
    Policy::load(&folder.join("policy.json")).map(|policy| policy.aliases).unwrap_or_default()
}

/// What a version is compared with.
///
/// `word` is a version, an alias, `git:REV` or a folder. In a commit or an app's folder it is the same version if that is there,
/// because a published version never changes; else the highest that is lower.
pub fn against(word: &str, named: &Named, new: &Version) -> Result<Revision, Error> {
    if let Some(revision) = word.strip_prefix("git:") {
        let tree = Tree::open(&named.app, revision)?;
        let all = tree.folders().into_iter().filter_map(|name| strict_version(name).ok());
        let at = format!("git:{revision}");
        let version = before(all, new).ok_or_else(|| {
            Error::NoSuchThing(format!("{at} holds no version of {} up to {new}", named.app.display()))
        })?;
        let folder = Folder::of(tree.files(&version.to_string())?);
        let short = tree.commit().get(..12).unwrap_or_default();
        let base = PathBuf::from(format!("git:{short}")).join(app_name(&named.app)).join(version.to_string());
        return of(
            Folder { parent: Some(app_name(&named.app)), name: Some(version.to_string()), ..folder },
            base,
            Some(&at),
        );
    }
    let path = Path::new(word);
    if path.join("manifest.json").is_file() {
        return read(path);
    }
    let app = app_name(&named.app);
    if path.is_dir() && !versions(path).is_empty() {
        let version = before(versions(path).into_iter(), new);
        let version = version.ok_or_else(|| Error::NoSuchThing(format!("{word} holds no version up to {new}")))?;
        return read(&path.join(version.to_string()));
    }
    let version = of_app(&named.app, &app, word)?;
    read(&shown(&named.app).join(version.to_string()))
}

/// The highest version of the app before this one.
pub fn previous(named: &Named, new: &Version) -> Option<Version> {
    versions(&named.app).into_iter().rfind(|version| version < new)
}

/// The same version if it is there, else the highest lower one.
fn before(all: impl Iterator<Item = Version>, new: &Version) -> Option<Version> {
    all.filter(|version| version <= new).max()
}

fn app_name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A path from where the command runs, where it is below.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    path.strip_prefix(&here).map_or_else(|_| path.to_owned(), Path::to_owned)
}

/// Reads a version folder on disk.
pub fn read(path: &Path) -> Result<Revision, Error> {
    let faulty = |faults| Error::Faulty { name: path.display().to_string(), base: path.to_owned(), faults };
    of(Folder::read(path).map_err(faulty)?, path.to_owned(), None)
}

fn of(folder: Folder, base: PathBuf, at: Option<&str>) -> Result<Revision, Error> {
    match Contract::of(&folder) {
        Ok(contract) => {
            let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
            let name = format!("{}:{}{at}", contract.app_id, contract.version);
            Ok(Revision { name, base, folder, contract })
        }
        Err(faults) => Err(Error::Faulty { name: base.display().to_string(), base, faults }),
    }
}

// === impl Revision ===

impl Revision {
    pub fn side(&self) -> contract::compat::Side<'_> {
        contract::compat::Side::new(&self.folder, &self.contract)
    }
}

/// The texts of revisions, of which some are on no disk.
#[derive(Debug)]
pub struct Texts<'r>(pub &'r [&'r Revision]);

// === impl Texts ===

impl Sources for Texts<'_> {
    fn text(&self, file: &Path) -> Option<Vec<u8>> {
        let held = self.0.iter().find_map(|revision| {
            let inner = file.strip_prefix(&revision.base).ok()?.to_str()?;
            revision.folder.files.get(inner).map(|bytes| bytes.to_vec())
        });
        held.or_else(|| Disk.text(file))
    }
}
