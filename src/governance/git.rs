//! Version folders as a git commit holds them, read through the `git` command without touching the work tree.
//!
//! Invariant: what a person names as a revision never becomes an option of `git`; no filter runs, nothing is fetched; count and
//! sizes are bounded as for a folder on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Files below one app, all versions together.
const FILES_MAX: usize = 50_000;
/// One file, and all files of one version.
const FILE_BYTES_MAX: u64 = 64 << 20;
const VERSION_BYTES_MAX: u64 = 256 << 20;

/// What stops a commit from being read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run git: {0}")]
    NotRun(#[from] std::io::Error),
    #[error("{folder} is in no git repository that has the revision `{revision}`")]
    NoRevision { folder: String, revision: String },
    #[error("git {command} failed: {message}")]
    Failed { command: &'static str, message: String },
    #[error("the commit has more than {0}")]
    TooLarge(String),
    #[error("`{0}` is no regular file in the commit")]
    NotAFile(String),
}

/// A folder as a commit holds it.
#[derive(Debug)]
pub struct Tree<'f> {
    /// The folder on disk, whose counterpart is read.
    folder: &'f Path,
    commit: String,
    /// Path below the folder to what git knows of the file.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    is_file: bool,
    object: String,
    bytes: u64,
}

// === impl Tree ===

impl<'f> Tree<'f> {
    /// Lists what `revision` holds below `folder`.
    pub fn open(folder: &'f Path, revision: &str) -> Result<Self, Error> {
        let commit = format!("{revision}^{{commit}}");
        let found = git(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?;
        if !found.status.success() {
            let folder = folder.display().to_string();
            return Err(Error::NoRevision { folder, revision: revision.to_owned() });
        }
        let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        // From within a folder, git lists what is below it, by relative paths.
        let listed = output(folder, "ls-tree", &["ls-tree", "-r", "-z", "-l", &commit])?;
        let listed = String::from_utf8_lossy(&listed);
        let entries: BTreeMap<_, _> = listed.split('\0').filter_map(entry).collect();
        if entries.len() > FILES_MAX {
            return Err(Error::TooLarge(format!("{FILES_MAX} files in {}", folder.display())));
        }
        Ok(Self { folder, commit, entries })
    }

    /// The whole name of the commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The folders directly below.
    pub fn folders(&self) -> Vec<&str> {
        let mut folders: Vec<_> =
            self.entries.keys().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect();
        folders.dedup();
        folders
    }

    /// All files of a folder directly below, by their paths in it, without what is no part of a version.
    pub fn files(&self, folder: &str) -> Result<BTreeMap<String, Arc<[u8]>>, Error> {
        let prefix = format!("{folder}/");
        let mut files = BTreeMap::new();
        let mut left = VERSION_BYTES_MAX;
        for (path, entry) in self.entries.range(prefix.clone()..) {
            let Some(inner) = path.strip_prefix(&prefix) else { break };
            if inner.split('/').any(contract::folder::is_junk) {
                continue;
            }
            if !entry.is_file {
                return Err(Error::NotAFile(path.clone()));
            }
            let after = left.checked_sub(entry.bytes).filter(|_| entry.bytes <= FILE_BYTES_MAX);
            left = after.ok_or_else(|| Error::TooLarge(format!("{VERSION_BYTES_MAX} bytes in {folder}")))?;
            files.insert(inner.to_owned(), self.blob(entry)?.into());
        }
        Ok(files)
    }

    /// A file directly below; none where there is none.
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.entries.get(name).filter(|entry| entry.is_file && entry.bytes <= FILE_BYTES_MAX) {
            Some(entry) => self.blob(entry).map(Some),
            None => Ok(None),
        }
    }

    fn blob(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        output(self.folder, "cat-file", &["cat-file", "blob", &entry.object])
    }
}

/// `<mode> <type> <object> <size>\t<path>`
fn entry(line: &str) -> Option<(String, Entry)> {
    let (about, path) = line.split_once('\t')?;
    let mut words = about.split_ascii_whitespace();
    let (mode, kind, object, bytes) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_file = kind == "blob" && mode.starts_with("100");
    Some((path.to_owned(), Entry { is_file, object: object.to_owned(), bytes: bytes.parse().unwrap_or(0) }))
}

fn output(folder: &Path, command: &'static str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = git(folder, arguments)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Failed { command, message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

fn git(folder: &Path, arguments: &[&str]) -> Result<std::process::Output, Error> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).stdin(Stdio::null());
    // A commit is read as it lies there: without a lock, a question or a download.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1");
    Ok(command.output()?)
}
