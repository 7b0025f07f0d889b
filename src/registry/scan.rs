//! What lies in the registry's folder: names first, then the content of each, read once and hashed as it was read.
//!
//! Invariants: a scan sees one registry. Links in front of `contracts/` and `tenants.json` may be re-pointed at any time (that is how
//! whole registries are swapped): they are resolved once at the beginning, all is read below what they led to, and a scan during
//! which they moved is void. Nothing behind any other link is read, and no pipe or device makes the scan wait.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use contract::policy::{APP_ID_BYTES_MAX, is_app_id};
use contract::{Digest, Fault, Folder, Position, folder};
use semver::Version;

use super::plan::Place;

/// Entries of one folder of the registry, and versions in all.
const ENTRIES_MAX: usize = 10_000;
const VERSIONS_MAX: usize = 100_000;

/// Why there is no scan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} leads out of the registry, to {}", path.display(), to.display())]
    Outside { path: PathBuf, to: PathBuf },
    #[error("{} has more than {most} entries", path.display())]
    TooMany { path: PathBuf, most: usize },
    #[error("the registry was re-pointed while it was read")]
    Moved,
    #[error("it was broken off for something newer")]
    BrokenOff,
}

/// Where the registry really is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) root: PathBuf,
    pub(super) contracts: PathBuf,
    /// None where the file does not exist.
    pub(super) tenants: Option<PathBuf>,
}

/// What there is, by name.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// With the path from the resolved root.
    pub(super) places: BTreeMap<Place, PathBuf>,
    /// What should not be there; files are named from the root.
    pub(super) strays: Vec<Fault>,
}

/// The content of a place.
#[derive(Debug)]
pub(super) enum Content {
    File(Vec<u8>),
    Folder(Folder),
}

/// A place as it was read.
#[derive(Debug)]
pub(super) struct Read {
    /// Of the content, or of what keeps it from being read.
    pub(super) digest: Digest,
    /// The faults name files relative to the place.
    pub(super) content: Result<Content, Vec<Fault>>,
    /// See [`contract::marks`]; from before the content was read.
    pub(super) marks: Option<Digest>,
}

// === impl Resolved ===

impl Resolved {
    pub(super) fn of(root: &Path) -> Result<Self, Error> {
        let real =
            |path: &Path| path.canonicalize().map_err(|source| Error::Unreadable { path: path.to_owned(), source });
        let real_root = real(root)?;
        let below = |name: &str| {
            let path = real_root.join(name);
            let to = real(&path)?;
            if to.starts_with(&real_root) { Ok(to) } else { Err(Error::Outside { path, to }) }
        };
        let contracts = below("contracts")?;
        let tenants = match below("tenants.json") {
            Err(Error::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        Ok(Self { root: real_root, contracts, tenants })
    }

    pub(super) fn walk(&self) -> Result<Walk, Error> {
        let mut walk = Walk::default();
        if let Some(tenants) = &self.tenants {
            walk.places.insert(Place::Tenants, self.relative(tenants));
        }
        let below = Path::new("contracts");
        for name in folders(&self.contracts, below, &mut walk.strays)? {
            if is_app_id(&name) {
                self.walk_app(&name, &mut walk)?;
            } else {
                let message = format!("`{name}` is not an app id: a-z, 0-9 and -, at most {APP_ID_BYTES_MAX}");
                walk.strays.push(Fault::new("app_id", &below.join(&name), Position::START, message));
            }
        }
        Ok(walk)
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    fn walk_app(&self, app_id: &str, walk: &mut Walk) -> Result<(), Error> {
        let path = self.contracts.join(app_id);
        let below = Path::new("contracts").join(app_id);
        walk.places.insert(Place::Policy { app_id: app_id.to_owned() }, self.relative(&path).join("policy.json"));
        for name in folders(&path, &below, &mut walk.strays)? {
            match Version::parse(&name) {
                Ok(version) if version.build.is_empty() => {
                    walk.places
                        .insert(Place::Version { app_id: app_id.to_owned(), version }, self.relative(&path).join(name));
                }
                Ok(_) | Err(_) => {
                    let message = format!("`{name}` is not a SemVer version such as 1.0.0");
                    walk.strays.push(Fault::new("version_folder", &below.join(&name), Position::START, message));
                }
            }
            if walk.places.len() > VERSIONS_MAX {
                return Err(Error::TooMany { path: self.contracts.clone(), most: VERSIONS_MAX });
            }
        }
        Ok(())
    }
}

/// Reads a place, once. `path` is where it lies below `root`, a resolved one; no link on the way is followed.
pub(super) fn read(place: &Place, root: &Path, path: &Path) -> Read {
    let (content, marks) = match place {
        Place::Version { .. } => {
            let (read, marks) = folder::read_below(root, path);
            (read.map(Content::Folder), marks)
        }
        Place::Tenants | Place::Policy { .. } => {
            let (read, marks) = folder::read_file_marked(root, path);
            (read.map(Content::File).map_err(|fault| vec![Fault { file: PathBuf::new(), ..fault }]), marks)
        }
    };
    let digest = match &content {
        Ok(Content::File(bytes)) => Digest::of(bytes),
        Ok(Content::Folder(folder)) => folder.digest,
        Err(faults) => Digest::of(format!("unreadable: {faults:?}")),
    };
    Read { digest, content, marks }
}

/// The names of the folders in a folder, sorted; junk and files are passed over, links are strays.
fn folders(path: &Path, below: &Path, strays: &mut Vec<Fault>) -> Result<Vec<String>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let mut found = Vec::new();
    for (count, entry) in std::fs::read_dir(path).map_err(unreadable)?.enumerate() {
        if count == ENTRIES_MAX {
            return Err(Error::TooMany { path: path.to_owned(), most: ENTRIES_MAX });
        }
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if folder::is_junk(&name) {
            continue;
        }
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            found.push(name);
        } else if kind.is_symlink() && name != "policy.json" {
            let message = "this is a symbolic link; a version must lie where it seems to lie";
            strays.push(Fault::new("file_symlink", &below.join(&name), Position::START, message));
        }
    }
    found.sort();
    strays.sort();
    Ok(found)
}
