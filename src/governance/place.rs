//! Putting a folder or a file where the gateway looks: whole or not at all.
//!
//! Invariant: what is made stands under a name that begins with a dot, which no registry reads, until one rename puts it in its
//! place; a folder that is there already is never touched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use super::scaffold::Files;

/// A folder under way; gone with all that is in it unless it was put in place.
#[derive(Debug)]
struct Staged(Option<PathBuf>);

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // What cannot be taken away is hidden by its dot.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Makes the folder `target` of these files, by relative path. The folder around it must be there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is something of that name; then, and with every other error, nothing is left.
pub fn folder(target: &Path, files: &Files) -> io::Result<()> {
    let taken = || io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", target.display()));
    if fs::symlink_metadata(target).is_ok() {
        return Err(taken());
    }
    let mut staged = Staged(Some(aside(target)?));
    let folder = staged.0.clone().unwrap_or_default();
    fs::create_dir(&folder)?;
    for (path, bytes) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    match rustix::fs::renameat_with(CWD, &folder, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => return Err(taken()),
        // Some network shares do not know the flag. There a plain rename refuses whatever is not an empty folder.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            fs::rename(&folder, target)?;
        }
        Err(error) => return Err(error.into()),
    }
    staged.0 = None;
    Ok(())
}

/// Puts `text` into the place of the file `target`, with the file's own permissions.
pub fn file(target: &Path, text: &str) -> io::Result<()> {
    let aside = aside(target)?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&aside)?;
        if let Ok(metadata) = fs::metadata(target) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, target)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })?;
    // The name is on the disk when its folder is; a file system that cannot say so has done what it can.
    if let Some(parent) = target.parent() {
        let _ = File::open(parent).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// The hidden name beside `target` under which it is made; another one for each call.
fn aside(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name is no text"))?;
    Ok(target.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4().simple())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Files {
        names.iter().map(|name| ((*name).to_owned(), name.as_bytes().into())).collect()
    }

    #[test]
    fn a_folder_appears_whole_and_nothing_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        folder(&target, &files(&["x/y/z.json", "b.json"])).unwrap();
        assert_eq!(fs::read_to_string(target.join("x/y/z.json")).unwrap(), "x/y/z.json");
        let again = folder(&target, &files(&["c.json"])).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(!target.join("c.json").exists());
        // A file where a folder is needed: the write fails half way.
        folder(&root.path().join("b"), &files(&["x", "x/y"])).unwrap_err();
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a"]);
    }

    #[test]
    fn a_file_is_replaced_in_one_step() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("policy.json");
        fs::write(&target, "old").unwrap();
        file(&target, "new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
