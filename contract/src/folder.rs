//! The files of a version folder, read once and safely.
//!
//! What is checked and hashed is what was opened: no link is followed, nothing but regular files is read, no named
//! pipe can make the reader wait, and count, depth and sizes are bounded.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};

use crate::digest::{self, Digest};
use crate::fault::Fault;
use crate::marks::Marks;

/// Every file of one version folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Relative path with `/` to content.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// Relative path to the SHA-256 of the content.
    pub digests: BTreeMap<String, Digest>,
    /// The digest of the version, see [`digest::version`].
    pub digest: Digest,
    /// The name of the folder, which is the version.
    pub name: Option<String>,
    /// The name of the folder around it, which is the app.
    pub parent: Option<String>,
}

/// Files of one folder, those of the folders in it included.
pub(crate) const FILES: usize = 1_000;
/// One file. The definition is the largest by far.
const FILE_BYTES: u64 = 64 << 20;
/// All files.
const FOLDER_BYTES: u64 = 256 << 20;
/// Folders within folders.
pub(crate) const DEPTH: usize = 4;

/// What editors and operating systems leave behind: no part of a version. `docs/version-digest.md` lists the same.
pub fn is_junk(name: &str) -> bool {
    name.starts_with(['.', '~', '#'])
        || name.ends_with('~')
        || [".swp", ".tmp", ".part"].iter().any(|end| name.ends_with(end))
        || ["Thumbs.db", "desktop.ini", "lost+found"].contains(&name)
}

/// Reads one file of the registry: a regular file, through no link, within the bounds. The fault names `path`.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Fault> {
    let file = rustix::fs::open(path, FILE_FLAGS, Mode::empty());
    let file = file.map_err(|error| unopened(path, error))?;
    read_regular(File::from(file), path, FILE_BYTES, |_| {})
}

/// As [`read_file`], for `path` below the folder `base`: no link on the way down is followed, so that a folder which turns into a
/// link between a look and the reading leads nowhere else.
pub fn read_file_below(base: &Path, path: &Path) -> Result<Vec<u8>, Fault> {
    read_file_marked(base, path).0
}

/// As [`read_file_below`], with the file's [marks](crate::marks).
pub fn read_file_marked(base: &Path, path: &Path) -> (Result<Vec<u8>, Fault>, Option<Digest>) {
    let mut marks = None;
    let read = (|| {
        let folder = descend(base, path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().ok_or_else(|| unopened(path, rustix::io::Errno::NOENT))?;
        let file =
            rustix::fs::openat(&folder, name, FILE_FLAGS, Mode::empty()).map_err(|error| unopened(path, error))?;
        read_regular(File::from(file), path, FILE_BYTES, |found| {
            let mut met = Marks::default();
            met.add(Path::new(""), found);
            marks = met.digest();
        })
    })();
    (read, marks)
}

/// The folder `path` below `base`, see [`Folder::read_below`], with its [marks](crate::marks); none where it cannot be read well.
pub fn read_below(base: &Path, path: &Path) -> (Result<Folder, Vec<Fault>>, Option<Digest>) {
    match descend(base, path) {
        Ok(root) => {
            let mut marks = Marks::default();
            let read = Folder::walk(&root, path, &mut marks);
            let marks = read.is_ok().then(|| marks.digest()).flatten();
            (read, marks)
        }
        Err(fault) => (Err(vec![Fault { file: PathBuf::from("."), ..fault }]), None),
    }
}

/// Opens the folder `path` below `base`, name by name, through no link.
fn descend(base: &Path, path: &Path) -> Result<OwnedFd, Fault> {
    let base = rustix::fs::open(base, DIRECTORY_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty());
    let mut folder = base.map_err(|error| unopened(path, error))?;
    for part in path.components() {
        let Component::Normal(name) = part else {
            return Err(Fault::of_file("file_name", path, "the path leads out of the folder"));
        };
        let inner = rustix::fs::openat(&folder, name, DIRECTORY_FLAGS, Mode::empty());
        folder = inner.map_err(|error| match error {
            // What a link says that is opened as a folder and must not be followed.
            rustix::io::Errno::NOTDIR => {
                Fault::of_file("file_kind", path, "there is something on the way that is no folder")
            }
            error => unopened(path, error),
        })?;
    }
    Ok(folder)
}

const FILE_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
pub(crate) const DIRECTORY_FLAGS: OFlags = FILE_FLAGS.union(OFlags::DIRECTORY);

fn unopened(path: &Path, error: rustix::io::Errno) -> Fault {
    match error {
        rustix::io::Errno::LOOP | rustix::io::Errno::MLINK => symlink(path),
        rustix::io::Errno::NOENT => Fault::of_file("file_missing", path, "the file is missing"),
        error => unreadable(path, &error.into()),
    }
}

fn symlink(path: &Path) -> Fault {
    Fault::of_file("file_symlink", path, "this is a symbolic link; a version folder holds its files itself")
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::of_file("file_unreadable", path, format!("cannot be read: {error}"))
}

/// `mark` is called with what the file system says of the file, before it is read.
fn read_regular(file: File, path: &Path, most: u64, mark: impl FnOnce(&Stat)) -> Result<Vec<u8>, Fault> {
    let found = rustix::fs::fstat(&file).map_err(|error| unreadable(path, &error.into()))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Fault::of_file("file_kind", path, "this is not a regular file"));
    }
    mark(&found);
    // Mostly right, so that the bytes are not moved while they come; a size that lies costs one byte more than the bound.
    let size = u64::try_from(found.st_size).unwrap_or(0).min(most);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    // The file may grow while it is read; one byte over the bound tells.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > most {
        return Err(Fault::of_file("file_size", path, format!("more than {most} bytes")));
    }
    Ok(bytes)
}

// === impl Folder ===

impl Folder {
    /// Reads all files. The faults name paths relative to the folder.
    pub fn read(path: &Path) -> Result<Self, Vec<Fault>> {
        // Links in front of the folder are the operator's: whole registries are swapped by them.
        let root = rustix::fs::open(path, DIRECTORY_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty());
        let root = root.map_err(|error| vec![unreadable(Path::new("."), &error.into())])?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::walk(&root, &path, &mut Marks::default())
    }

    /// As [`read`](Self::read), for `path` below the folder `base`; see [`read_file_below`].
    pub fn read_below(base: &Path, path: &Path) -> Result<Self, Vec<Fault>> {
        read_below(base, path).0
    }

    fn walk(root: &OwnedFd, path: &Path, marks: &mut Marks) -> Result<Self, Vec<Fault>> {
        let mut walk = Walk { files: BTreeMap::new(), faults: Vec::new(), bytes: 0, marks };
        walk.folder(root, Path::new(""), 0);
        if !walk.faults.is_empty() {
            crate::fault::sort(&mut walk.faults);
            return Err(walk.faults);
        }
        let name = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
        Ok(Self { parent: path.parent().and_then(name), name: name(path), ..Self::of(walk.files) })
    }

    /// A folder of these files, without names of its own.
    pub fn of(files: BTreeMap<String, Arc<[u8]>>) -> Self {
        let digests: BTreeMap<_, _> = files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect();
        let digest = digest::version(digests.iter().map(|(path, content)| (path.as_str(), *content)));
        Self { files, digests, digest, name: None, parent: None }
    }
}

struct Walk<'m> {
    files: BTreeMap<String, Arc<[u8]>>,
    faults: Vec<Fault>,
    bytes: u64,
    marks: &'m mut Marks,
}

// === impl Walk ===

impl Walk<'_> {
    fn folder(&mut self, folder: &impl std::os::fd::AsFd, path: &Path, depth: usize) {
        self.marks.add_open(path, folder);
        let entries = match Dir::read_from(folder) {
            Ok(entries) => entries,
            Err(error) => return self.faults.push(unreadable(path, &error.into())),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.faults.push(unreadable(path, &error.into())),
            };
            let Ok(name) = entry.file_name().to_str() else {
                let path = path.join(entry.file_name().to_string_lossy().as_ref());
                self.faults.push(Fault::of_file("file_name", &path, "the name is not UTF-8"));
                continue;
            };
            if is_junk(name) {
                continue;
            }
            if self.files.len() + self.faults.len() >= FILES {
                return self.faults.push(Fault::of_file("folder_size", path, format!("more than {FILES} files")));
            }
            self.entry(folder, name, entry.file_type(), &path.join(name), depth);
        }
    }

    fn entry(&mut self, folder: &impl std::os::fd::AsFd, name: &str, kind: FileType, path: &Path, depth: usize) {
        if name.contains('\\') || name.chars().any(char::is_control) {
            return self.faults.push(Fault::of_file(
                "file_name",
                path,
                "the name has a backslash or a control character",
            ));
        }
        if matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice) {
            return self.faults.push(Fault::of_file("file_kind", path, "this is not a regular file"));
        }
        // Some file systems do not say what an entry is: then opening it as a folder tells.
        if matches!(kind, FileType::Directory | FileType::Unknown) {
            match rustix::fs::openat(folder, name, DIRECTORY_FLAGS, Mode::empty()) {
                Ok(_) if depth == DEPTH => {
                    let message = format!("more than {DEPTH} folders within folders");
                    return self.faults.push(Fault::of_file("folder_depth", path, message));
                }
                Ok(inner) => return self.folder(&inner, path, depth + 1),
                Err(rustix::io::Errno::NOTDIR) => {}
                Err(error) => return self.faults.push(unopened(path, error)),
            }
        }
        match self.file(folder, name, path) {
            Ok(bytes) => {
                self.bytes += bytes.len() as u64;
                self.files.insert(path.to_string_lossy().replace('\\', "/"), bytes.into());
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    fn file(&mut self, folder: &impl std::os::fd::AsFd, name: &str, path: &Path) -> Result<Vec<u8>, Fault> {
        let file = rustix::fs::openat(folder, name, FILE_FLAGS, Mode::empty());
        let file = match file {
            Ok(file) => File::from(file),
            // What opening a socket says.
            Err(rustix::io::Errno::NXIO) => {
                return Err(Fault::of_file("file_kind", path, "this is not a regular file"));
            }
            Err(error) => return Err(unopened(path, error)),
        };
        let most = FILE_BYTES.min(FOLDER_BYTES.saturating_sub(self.bytes));
        read_regular(file, path, most, |found| self.marks.add(path, found))
    }
}
