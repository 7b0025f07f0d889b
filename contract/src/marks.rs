//! What the file system says of files besides their contents: while it stays the same, contents need not be read again.
//!
//! Only a hint: network file systems answer from caches of their own, so whoever must know reads.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::folder::{DEPTH, DIRECTORY_FLAGS, FILES, is_junk};

/// Over device, inode, size, mode and times of all that is met while a file or folder is read; none once something was odd.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    met: Vec<(PathBuf, [u64; 8])>,
    odd: bool,
}

/// The marks of the file or folder at a path; none where something is odd about it, or there is nothing. No link is followed.
pub fn of(path: &Path) -> Option<Digest> {
    let mut marks = Marks::default();
    let found = rustix::fs::lstat(path).ok()?;
    marks.add(Path::new(""), &found);
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        let folder = rustix::fs::open(path, DIRECTORY_FLAGS, Mode::empty()).ok()?;
        marks.below(&folder, Path::new(""), 0)?;
    }
    marks.digest()
}

// === impl Marks ===

impl Marks {
    pub(crate) fn add(&mut self, path: &Path, found: &Stat) {
        let signed = |number: i64| u64::from_ne_bytes(number.to_ne_bytes());
        let numbers = [
            found.st_dev,
            found.st_ino,
            signed(found.st_size),
            u64::from(found.st_mode),
            // The time of change cannot be set by hand, the time of modification can.
            signed(found.st_mtime),
            found.st_mtime_nsec,
            signed(found.st_ctime),
            found.st_ctime_nsec,
        ];
        self.met.push((path.to_owned(), numbers));
    }

    /// Adds a file or folder that is open; to be called before it is read, so that a change in between shows next time.
    pub(crate) fn add_open(&mut self, path: &Path, open: impl AsFd) {
        match rustix::fs::fstat(open) {
            Ok(found) => self.add(path, &found),
            Err(_) => self.odd = true,
        }
    }

    pub(crate) fn digest(mut self) -> Option<Digest> {
        if self.odd {
            return None;
        }
        // Folders list what they hold in any order.
        self.met.sort_unstable();
        let mut digest = Sha256::new();
        for (path, numbers) in &self.met {
            let path = path.as_os_str().as_encoded_bytes();
            digest.update(path.len().to_le_bytes());
            digest.update(path);
            for number in numbers {
                digest.update(number.to_le_bytes());
            }
        }
        Some(Digest(digest.finalize().into()))
    }

    fn below(&mut self, folder: impl AsFd, path: &Path, depth: usize) -> Option<()> {
        for entry in Dir::read_from(&folder).ok()? {
            let entry = entry.ok()?;
            let name = entry.file_name();
            if name.to_str().is_ok_and(is_junk) {
                continue;
            }
            let found = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let path = path.join(name.to_str().ok()?);
            self.add(&path, &found);
            if self.met.len() > 2 * FILES || depth > DEPTH {
                return None;
            }
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                let inner = rustix::fs::openat(&folder, name, DIRECTORY_FLAGS, Mode::empty()).ok()?;
                self.below(&inner, &path, depth + 1)?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::folder;

    fn marks_of_reading(base: &Path, path: &str) -> Option<Digest> {
        folder::read_below(base, Path::new(path)).1
    }

    #[test]
    fn reading_a_folder_gives_the_marks_that_looking_at_it_gives() {
        let base = tempfile::tempdir().unwrap();
        let inner = base.path().join("version/examples/valid");
        fs::create_dir_all(&inner).unwrap();
        fs::write(base.path().join("version/manifest.json"), "{}").unwrap();
        fs::write(base.path().join("version/.junk.swp"), "").unwrap();
        for number in 0..20 {
            fs::write(inner.join(format!("{number}.json")), "{}").unwrap();
        }
        let path = base.path().join("version");
        let first = of(&path).unwrap();
        assert_eq!(marks_of_reading(base.path(), "version"), Some(first));
        // What is no part of a version makes no difference, whatever lies in it.
        fs::write(base.path().join("version/.junk.swp"), "more").unwrap();
        assert_eq!(of(&path), Some(first));
        let mut before = first;
        let same_size = |text: &str| fs::write(inner.join("7.json"), text).unwrap();
        for (what, change) in [
            ("bytes", &(|| same_size("[]")) as &dyn Fn()),
            ("a file more", &|| fs::write(inner.join("x.json"), "{}").unwrap()),
            ("a file less", &|| fs::remove_file(inner.join("3.json")).unwrap()),
            ("a name", &|| fs::rename(inner.join("4.json"), inner.join("44.json")).unwrap()),
        ] {
            // Times are as coarse as the kernel's tick.
            std::thread::sleep(std::time::Duration::from_millis(20));
            change();
            let now = of(&path).unwrap();
            assert_ne!(now, before, "{what}");
            assert_eq!(marks_of_reading(base.path(), "version"), Some(now), "{what}");
            before = now;
        }
    }

    #[test]
    fn a_file_has_marks_and_nothing_has_none() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("policy.json");
        assert_eq!(of(&path), None);
        fs::write(&path, "{}").unwrap();
        let (read, marks) = folder::read_file_marked(base.path(), Path::new("policy.json"));
        assert_eq!(read.unwrap(), b"{}");
        assert!(marks.is_some());
        assert_eq!(marks, of(&path));
    }
}
