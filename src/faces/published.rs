//! Which published contract a file is: by the key that nodes give it, and by its bytes.
//!
//! Invariant: the index is that of one snapshot, made when a face first needs it there, and files are hashed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::digest::Digest;

use super::address::Target;
use crate::registry::Snapshot;
use crate::rhino::protocol::algo_and_pointer;

/// The byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The index of the newest snapshot that was asked for.
#[derive(Debug, Default)]
pub(super) struct Published {
    newest: Mutex<Option<(u64, Arc<Index>)>>,
}

/// The files of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_pointer: HashMap<Arc<str>, Target>,
    by_content: HashMap<Digest, Target>,
    /// By the digest of the file.
    files: HashMap<Digest, File>,
}

/// What is computed of a file, once.
#[derive(Debug, Clone)]
struct File {
    pointer: Arc<str>,
    content: Digest,
}

// === impl Published ===

impl Published {
    pub(super) fn of(&self, snapshot: &Snapshot) -> Arc<Index> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some((generation, index)) if *generation == snapshot.generation => Arc::clone(index),
            older => {
                let known = older.as_ref().map(|(_, index)| Arc::clone(index)).unwrap_or_default();
                let index = Arc::new(Index::new(snapshot, &known));
                *newest = Some((snapshot.generation, Arc::clone(&index)));
                index
            }
        }
    }
}

// === impl Index ===

impl Index {
    fn new(snapshot: &Snapshot, known: &Self) -> Self {
        let mut index = Self::default();
        // Ascending, so that of versions with the same file the highest is found.
        for contract in snapshot.releases().filter_map(|release| release.contract()) {
            let target = Target {
                definition: contract.manifest.definition.clone(),
                version: contract.version.to_string(),
                by_content: true,
            };
            let digest = contract.definition_digest;
            let file = known.files.get(&digest).or_else(|| index.files.get(&digest)).cloned();
            let file = file.unwrap_or_else(|| File::of(&contract.definition_bytes.bytes()));
            index.by_pointer.insert(Arc::clone(&file.pointer), target.clone());
            index.by_content.insert(file.content, target);
            index.files.insert(digest, file);
        }
        index
    }

    /// The contract of a key such as `md5_…`.
    pub(super) fn by_pointer(&self, pointer: &str) -> Option<Target> {
        self.by_pointer.get(pointer).cloned()
    }

    /// The contract of a file in base64.
    pub(super) fn by_algo(&self, algo: &str) -> Option<Target> {
        let bytes = STANDARD.decode(algo).ok()?;
        self.by_content.get(&content(&bytes)).cloned()
    }

    /// The key that nodes give a published file.
    pub(super) fn pointer(&self, definition_digest: &Digest) -> &str {
        self.files.get(definition_digest).map_or("", |file| &file.pointer)
    }
}

// === impl File ===

impl File {
    fn of(bytes: &[u8]) -> Self {
        Self { pointer: algo_and_pointer(bytes).1.into(), content: content(bytes) }
    }
}

/// The digest of what a file says. Clients that read one as text leave its mark out, and Python's writes line ends in its own way;
/// no XML means anything else by that. Deflated files do not begin with `<`.
fn content(bytes: &[u8]) -> Digest {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    if !bytes.starts_with(b"<") {
        return Digest::of(bytes);
    }
    let mut text = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
            text.push(*byte);
        }
    }
    Digest::of(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_however_a_client_read_it() {
        let file = content(b"<a>\n</a>");
        assert_eq!(content(b"\xef\xbb\xbf<a>\r\n</a>"), file);
        assert_ne!(content(b"<a></a>"), file);
        assert_ne!(content(b"\x04a\r\n"), content(b"\x04a\n"), "a deflated file is its bytes");
    }
}
