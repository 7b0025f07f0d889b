//! The last good registry on the gateway's own disk, so that a restart with the registry away still serves.
//!
//! Contents lie under their SHA-256 in `objects/`; `index` says which of them are which file, under a checksum of its own. Each file
//! is written aside and renamed, the index last, so that a crash leaves the old index or the new one. Nothing is believed that does
//! not hash to its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::{Digest, Folder, folder};
use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::held::{Entry, Held, interpret};
use super::look::{on_threads, start_threads};
use super::plan::Place;
use super::scan::{Content, Read};

/// The folder that it is kept in.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

/// What is kept, by content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    tenants: Option<Item>,
    /// By app id.
    policies: BTreeMap<String, Item>,
    /// By app id and version.
    versions: BTreeMap<String, BTreeMap<Version, Item>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    digest: Digest,
    since: Timestamp,
    /// Path within the place, and digest of the content.
    files: Vec<(String, Digest)>,
}

const INDEX: &str = "index";

// === impl Store ===

impl Store {
    /// Makes the folder where it is missing, for this user only: it holds the digests of service keys.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join("objects"))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Keeps the contents of a place; the next [`Self::commit`] makes them count.
    pub(super) fn put(&self, content: &Content) -> io::Result<()> {
        match content {
            Content::File(bytes) => self.put_bytes(bytes),
            Content::Folder(folder) => folder.files.values().try_for_each(|bytes| self.put_bytes(bytes)),
        }
    }

    fn put_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let path = self.object(&Digest::of(bytes));
        // The name is the content, so what is there with the right size was written whole: names come by renaming.
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.len() == bytes.len() as u64 => Ok(()),
            Ok(_) | Err(_) => write_aside(&path, bytes),
        }
    }

    /// From now on a restart finds what is held, then drops what nothing refers to.
    pub(super) fn commit(&self, held: &Held) -> io::Result<()> {
        let mut index = Index::default();
        for (place, entry) in held.entries.iter().filter(|(_, entry)| entry.is_good()) {
            let item = Item { digest: entry.digest, since: entry.since, files: entry.files.clone() };
            match place {
                Place::Tenants => index.tenants = Some(item),
                Place::Policy { app_id } => drop(index.policies.insert(app_id.clone(), item)),
                Place::Version { app_id, version } => {
                    index.versions.entry(app_id.clone()).or_default().insert(version.clone(), item);
                }
            }
        }
        let json = serde_json::to_vec(&index)?;
        let text = [Digest::of(&json).to_string().as_bytes(), b"\n", &json].concat();
        // Names first, then what counts on them.
        File::open(self.folder.join("objects"))?.sync_all()?;
        write_aside(&self.folder.join(INDEX), &text)?;
        File::open(&self.folder)?.sync_all()?;
        let used: BTreeSet<String> =
            index.items().flat_map(|(_, item)| item.files).map(|(_, digest)| digest.hex()).collect();
        for entry in fs::read_dir(self.folder.join("objects"))? {
            let entry = entry?;
            if !used.contains(entry.file_name().to_string_lossy().as_ref()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// What was kept last, and what is wrong with it. Content that does not hash to its name is left out.
    pub(super) fn restore(&self) -> (Held, Vec<String>) {
        let (mut held, mut faults) = (Held::default(), Vec::new());
        let index = match self.index() {
            Ok(index) => index,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (held, faults),
            Err(error) => return (held, vec![format!("the kept registry cannot be read: {error}")]),
        };
        let items: Vec<(Place, Item)> = index.items().collect();
        let entry = |(place, item): &(Place, Item)| (place.clone(), self.entry(place, item));
        for (place, entry) in on_threads(start_threads(), &items, entry) {
            match entry {
                Ok(entry) => drop(held.put(&place, entry)),
                Err(why) => faults.push(format!("{place} as kept is damaged, and left out: {why}")),
            }
        }
        (held, faults)
    }

    fn index(&self) -> io::Result<Index> {
        let text = fs::read(self.folder.join(INDEX))?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its checksum does not hold");
        let end = text.iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
        let (sum, json) = (&text[..end], &text[end + 1..]);
        if sum != Digest::of(json).to_string().as_bytes() {
            return Err(damaged());
        }
        Ok(serde_json::from_slice(json)?)
    }

    fn entry(&self, place: &Place, item: &Item) -> Result<Entry, String> {
        let mut files = BTreeMap::new();
        for (path, digest) in &item.files {
            let bytes = folder::read_file(&self.object(digest)).map_err(|fault| fault.message)?;
            if Digest::of(&bytes) != *digest {
                return Err(format!("the content of `{path}` is not what it was"));
            }
            files.insert(path.clone(), Arc::from(bytes));
        }
        let content = match place {
            Place::Version { app_id, version } => Content::Folder(Folder {
                name: Some(version.to_string()),
                parent: Some(app_id.clone()),
                ..Folder::of(files)
            }),
            Place::Tenants | Place::Policy { .. } => {
                let bytes = files.values().next().map(|bytes| bytes.to_vec());
                Content::File(bytes.ok_or_else(|| "it has no file".to_owned())?)
            }
        };
        let digest = match &content {
            Content::Folder(folder) => folder.digest,
            Content::File(bytes) => Digest::of(bytes),
        };
        if digest != item.digest {
            return Err("its files are not those of its digest".to_owned());
        }
        let thing = interpret(place, &Read { digest, content: Ok(content), marks: None });
        let thing = thing.map_err(|faults| faults.first().map_or_else(String::new, ToString::to_string))?;
        Ok(Entry { files: item.files.clone(), ..Entry::new(digest, item.since, thing) })
    }

    fn object(&self, digest: &Digest) -> PathBuf {
        self.folder.join("objects").join(digest.hex())
    }
}

// === impl Index ===

impl Index {
    fn items(self) -> impl Iterator<Item = (Place, Item)> {
        let tenants = self.tenants.into_iter().map(|item| (Place::Tenants, item));
        let policies = self.policies.into_iter().map(|(app_id, item)| (Place::Policy { app_id }, item));
        let versions = self.versions.into_iter().flat_map(|(app_id, versions)| {
            versions.into_iter().map(move |(version, item)| (Place::Version { app_id: app_id.clone(), version }, item))
        });
        tenants.chain(policies).chain(versions)
    }
}

/// Writes a file so that it is whole or not there under its name, also after a crash.
fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension(format!("{}.aside", uuid::Uuid::new_v4().simple()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    })();
    if written.is_err() {
        // What is left is in nobody's way; the next commit drops it.
        let _ = fs::remove_file(&aside);
    }
    written
}
