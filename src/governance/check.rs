//! `check`: everything that is wrong with a registry, an app, or one version, in one report.
//!
//! Invariant: the registry is read by the code that the gateway reads it with. What is added here judges only what loading accepts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::fault::Fault;
use contract::folder::{self, Folder};
use contract::json::spans::Spans;
use contract::policy::Policy;
use contract::{Contract, Position};
use semver::Version;
use serde_json::Value;

use super::finding::Subject;
use super::lint::{self, At, Lint, Salvage, View, policy};
use super::{Finding, Place, Report, todo};
use crate::registry::{self, App, Registry, Release, Snapshot, State};

/// What is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All of a registry.
    Registry(PathBuf),
    /// An app within its registry, or one version of it.
    Within { root: PathBuf, app_id: String, version: Option<Version> },
    /// A version's folder that lies in no registry.
    Folder(PathBuf),
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("{} is neither a registry (with contracts/), nor an app or a version within one", .0.display())]
    NotARegistry(PathBuf),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{what}{}", .similar.as_deref().map(|word| format!("; did you mean `{word}`?")).unwrap_or_default())]
    NoSuchThing { what: String, similar: Option<String> },
}

/// Checks it. Blocks.
///
/// # Errors
/// When there is nothing to check, or it cannot be read as a whole. What is wrong with files is no error but a finding.
pub fn check(target: &Target) -> Result<Report, Error> {
    let mut report = Report { command: "check", ..Report::default() };
    match target {
        Target::Folder(path) => version_alone(path, &mut report),
        Target::Registry(root) => {
            let snapshot = Registry::inspect(root)?;
            whole(root, &snapshot, &mut report);
        }
        Target::Within { root, app_id, version } => {
            let snapshot = Registry::inspect(root)?;
            let app = snapshot.apps.get(app_id).ok_or_else(|| no_app(app_id, &snapshot))?;
            match version {
                None => check_app(root, app, &snapshot, &mut report),
                Some(version) => {
                    let release = app.releases.get(version).ok_or_else(|| no_version(app, version))?;
                    check_release(root, release, &mut report);
                }
            }
        }
    }
    report.sort();
    Ok(report)
}

// === impl Target ===

impl Target {
    /// What a word at the prompt means: a path if there is one, else `app`, `app:version` or `app:alias` within `root`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn of(word: &str, root: &Path) -> Result<Self, Error> {
        let path = Path::new(word);
        if path.exists() { Self::of_path(path) } else { Self::of_name(word, root) }
    }

    fn of_path(path: &Path) -> Result<Self, Error> {
        if path.join("contracts").is_dir() {
            return Ok(Self::Registry(path.to_owned()));
        }
        let real = path.canonicalize().map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        if !real.is_dir() {
            return Err(Error::NotARegistry(path.to_owned()));
        }
        // …/contracts, …/contracts/<app>, …/contracts/<app>/<version>
        let above: Vec<&Path> = real.ancestors().take(3).collect();
        let depth = above.iter().position(|folder| folder.ends_with("contracts"));
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // The root is named as the path was, so that findings are.
        let root = |up: usize| (0..up).fold(path.to_owned(), |path, _| parent(&path));
        match depth {
            Some(0) => Ok(Self::Registry(root(1))),
            Some(1) => Ok(Self::Within { root: root(2), app_id: name(&real), version: None }),
            Some(2) if real.join("manifest.json").is_file() || Version::parse(&name(&real)).is_ok() => {
                let app_id = name(above[1]);
                match Version::parse(&name(&real)) {
                    Ok(version) => Ok(Self::Within { root: root(3), app_id, version: Some(version) }),
                    Err(_no_version) => Ok(Self::Folder(path.to_owned())),
                }
            }
            _ if real.join("manifest.json").is_file() => Ok(Self::Folder(path.to_owned())),
            _ => Err(Error::NotARegistry(path.to_owned())),
        }
    }

    fn of_name(word: &str, root: &Path) -> Result<Self, Error> {
        let (app_id, version) = match word.split_once(':') {
            Some((app_id, version)) => (app_id, Some(version)),
            None => (word, None),
        };
        let snapshot = Registry::inspect(root)?;
        let app = snapshot.apps.get(app_id).ok_or_else(|| no_app(app_id, &snapshot))?;
        let pinned = |word: &str| app.aliases.get(word).cloned().or_else(|| Version::parse(word).ok());
        let version = match version {
            None => None,
            Some(word) => Some(pinned(word).ok_or_else(|| Error::NoSuchThing {
                what: format!("`{app_id}` has no version or alias `{word}`"),
                similar: similar(word, app.aliases.keys().map(String::as_str)),
            })?),
        };
        Ok(Self::Within { root: root.to_owned(), app_id: app_id.to_owned(), version })
    }

    /// Where relative files of the report begin.
    pub fn root(&self) -> &Path {
        match self {
            Self::Registry(root) | Self::Within { root, .. } | Self::Folder(root) => root,
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        // `a/b` → `a`, `a` → `.`; what ends in `..` or is `.` goes further up.
        Some(above) if path.file_name().is_some() => {
            if above.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                above.to_owned()
            }
        }
        _ => path.join(".."),
    }
}

fn similar<'n>(word: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    contract::fault::closest(word, known).map(str::to_owned)
}

fn no_app(app_id: &str, snapshot: &Snapshot) -> Error {
    let similar = similar(app_id, snapshot.apps.keys().map(String::as_str));
    Error::NoSuchThing { what: format!("there is no app and no path `{app_id}`"), similar }
}

fn no_version(app: &App, version: &Version) -> Error {
    let known: Vec<String> = app.releases.keys().map(ToString::to_string).collect();
    let similar = similar(&version.to_string(), known.iter().map(String::as_str));
    Error::NoSuchThing { what: format!("`{}` has no version {version}", app.app_id), similar }
}

fn whole(root: &Path, snapshot: &Snapshot, report: &mut Report) {
    report.findings.extend(snapshot.faults.iter().cloned().map(|fault| Finding::of_fault(fault, root)));
    report.subjects.push(Subject { name: "registry".to_owned(), path: root.to_owned() });
    for app in snapshot.apps.values() {
        check_policy(root, app, snapshot, report);
    }
    check_releases(root, snapshot.apps.values().flat_map(|app| app.releases.values()), report);
    let tenants = root.join("tenants.json");
    if let Some(value) = std::fs::read(&tenants).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) {
        report.findings.extend(locate(root, policy::tenants(&value, snapshot)));
    }
}

fn check_app(root: &Path, app: &App, snapshot: &Snapshot, report: &mut Report) {
    check_policy(root, app, snapshot, report);
    check_releases(root, app.releases.values(), report);
}

/// Each by itself, so all cores take part.
fn check_releases<'r>(root: &Path, releases: impl Iterator<Item = &'r Arc<Release>>, report: &mut Report) {
    let releases: Vec<(usize, &Arc<Release>)> = releases.enumerate().collect();
    let check = |(index, release): &(usize, &Arc<Release>)| {
        let mut part = Report::default();
        check_release(root, release, &mut part);
        (*index, part)
    };
    let mut parts = registry::on_threads(registry::start_threads(), &releases, check);
    parts.sort_by_key(|(index, _)| *index);
    for (_, part) in parts {
        report.subjects.extend(part.subjects);
        report.findings.extend(part.findings);
    }
}

fn check_policy(root: &Path, app: &App, snapshot: &Snapshot, report: &mut Report) {
    let folder = root.join("contracts").join(&app.app_id);
    report.subjects.push(Subject { name: app.app_id.clone(), path: folder.clone() });
    match &app.policy {
        Some(found) => report.findings.extend(locate(&folder, policy::lint(app, found, snapshot))),
        // The faults of a policy are told by its versions, where there are any.
        None if app.releases.is_empty() => {
            let faults = Policy::load(&folder.join("policy.json")).err().unwrap_or_default();
            report.findings.extend(faults.into_iter().map(|fault| Finding::of_fault(fault, Path::new(""))));
        }
        None => {}
    }
}

fn check_release(root: &Path, release: &Release, report: &mut Report) {
    let folder = root.join("contracts").join(&release.app_id).join(release.version.to_string());
    let name = format!("{}:{}", release.app_id, release.version);
    report.subjects.push(Subject { name, path: folder.clone() });
    report.findings.extend(todo::findings(&folder));
    match &release.state {
        State::Loaded(contract) => report.findings.extend(locate(&folder, lint::lint(&View::of(contract)))),
        State::Refused(refused) => {
            let faults = refused.faults.iter().cloned().map(|fault| of_registry(fault, root));
            let salvaged = Folder::read(&folder).map(|folder| Salvage::of(&folder)).unwrap_or_default();
            add(faults.collect(), locate(&folder, lint::lint(&salvaged.view())), report);
        }
    }
}

fn version_alone(path: &Path, report: &mut Report) {
    report.subjects.push(Subject { name: path.display().to_string(), path: path.to_owned() });
    report.findings.extend(todo::findings(path));
    match Folder::read(path).and_then(|folder| Contract::of(&folder)) {
        Ok(contract) => report.findings.extend(locate(path, lint::lint(&View::of(&contract)))),
        Err(faults) => {
            let faults = faults.into_iter().map(|fault| Finding::of_fault(fault, path));
            let salvaged = Folder::read(path).map(|folder| Salvage::of(&folder)).unwrap_or_default();
            add(faults.collect(), locate(path, lint::lint(&salvaged.view())), report);
        }
    }
}

/// Faults, and what the lints say beside: an object that a binding looks for in vain is told there, not once more.
fn add(faults: Vec<Finding>, lints: Vec<Finding>, report: &mut Report) {
    let told = |lint: &Finding| {
        faults.iter().any(|fault| fault.rule == "binding_invisible" && fault.message.contains(&lint.message))
    };
    let lints: Vec<Finding> = lints.into_iter().filter(|lint| !told(lint)).collect();
    report.findings.extend(faults);
    report.findings.extend(lints);
}

/// A fault that the registry found between versions has no place in its file yet: it is what the rule is about.
fn of_registry(fault: Fault, root: &Path) -> Finding {
    let pointer = match fault.rule {
        "definition_taken" => "/definition",
        "policy_app_id" => "/app_id",
        _ => return Finding::of_fault(fault, root),
    };
    let mut finding = Finding::of_fault(fault, root).pointer(pointer);
    if let Ok(bytes) = folder::read_file(&finding.place.file) {
        finding.place = Place::new(finding.place.file, Spans::index(&bytes).value(pointer));
    }
    finding
}

/// Gives each lint its line and column; files are read once each, and only those that something is said of.
fn locate(folder: &Path, lints: Vec<Lint>) -> Vec<Finding> {
    let mut by_file: BTreeMap<PathBuf, Vec<Lint>> = BTreeMap::new();
    for lint in lints {
        by_file.entry(lint.finding.place.file.clone()).or_default().push(lint);
    }
    let mut findings = Vec::new();
    for (file, lints) in by_file {
        let path = folder.join(file);
        let bytes = folder::read_file(&path).unwrap_or_default();
        let spans = Spans::index(&bytes);
        for Lint { mut finding, at } in lints {
            let pointer = finding.pointer.as_deref().unwrap_or_default();
            let position = match at {
                At::Value => spans.value(pointer),
                At::Key => spans.key(pointer),
                At::Object(id) => object(&bytes, &id.to_string()),
            };
            finding.place = Place::new(path.clone(), position);
            findings.push(finding);
        }
    }
    findings
}

/// Where an object says its own id, in a file that is text. Ids of others stand in wires and groups.
fn object(bytes: &[u8], id: &str) -> Position {
    let is_text = bytes.iter().take(64).any(|byte| *byte == b'<');
    let ids = || bytes.windows(id.len()).enumerate().filter(|(_, window)| window.eq_ignore_ascii_case(id.as_bytes()));
    let own = |(at, _): &(usize, &[u8])| {
        let line = bytes[..*at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        bytes[line..*at].windows(12).any(|window| window == b"InstanceGuid")
    };
    let found = if is_text { ids().find(own).or_else(|| ids().next()) } else { None };
    found.map_or(Position::START, |(at, _)| Position::of(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_above_a_path_is_found_however_it_is_written() {
        for (path, above) in [("a/b", "a"), ("a", "."), (".", "./.."), ("..", "../.."), ("/a/b", "/a"), ("./a", ".")] {
            assert_eq!(parent(Path::new(path)), Path::new(above), "{path}");
        }
    }

    #[test]
    fn an_object_is_found_where_it_names_itself() {
        let text = b"<a>\n <item name=\"ID\">0b1e</item>\n <item name=\"InstanceGuid\">0B1E</item>\n</a>";
        assert_eq!(object(text, "0b1e"), Position { line: 3, column: 28 });
        assert_eq!(object(b"\x00\x01", "0b1e"), Position::START);
    }
}
