//! What lies in a version folder that does not belong there.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use contract::digest::Digest;
use contract::{Contract, Folder};

use crate::data;

/// A copy of the sound version in a folder of its own, with the names that it must have.
fn copy() -> (tempfile::TempDir, std::path::PathBuf) {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let version = temporary.path().join("bridge/1.0.0");
    for (path, bytes) in &Folder::read(&data("good/bridge/1.0.0")).expect("it can be read").files {
        let path = version.join(path);
        std::fs::create_dir_all(path.parent().expect("files lie in folders")).expect("it can be made");
        std::fs::write(path, bytes).expect("it can be written");
    }
    (temporary, version)
}

fn rules(version: &Path) -> Vec<(&'static str, String)> {
    let faults = Contract::load(version).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.rule, fault.file.display().to_string())).collect()
}

#[test]
fn what_editors_leave_behind_is_no_part_of_a_version() {
    let (_temporary, version) = copy();
    let digest = Contract::load(&version).unwrap().digest;
    for junk in [".DS_Store", ".manifest.json.swp", "manifest.json~", ".nfs0001", "#x#", "a.tmp", "Thumbs.db", "~$x"] {
        std::fs::write(version.join(junk), "junk").unwrap();
    }
    assert_eq!(Contract::load(&version).unwrap().digest, digest);
    std::fs::write(version.join("notes.md"), "a note").unwrap();
    assert_ne!(Contract::load(&version).unwrap().digest, digest);
}

#[test]
fn the_digest_follows_content_and_not_time() {
    let (_temporary, version) = copy();
    let digest = Folder::read(&version).unwrap().digest;
    let file = std::fs::File::options().append(true).open(version.join("manifest.json")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(Folder::read(&version).unwrap().digest, digest);
    std::fs::rename(version.join("examples/valid/short.json"), version.join("examples/valid/other.json")).unwrap();
    assert_ne!(Folder::read(&version).unwrap().digest, digest);
}

#[test]
fn the_documented_digest_is_the_digest() {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(temporary.path().join("examples/valid")).unwrap();
    std::fs::write(temporary.path().join("manifest.json"), "alpha\n").unwrap();
    std::fs::write(temporary.path().join("examples/valid/base.json"), "{}").unwrap();
    let digest = Folder::read(temporary.path()).unwrap().digest;
    let page = include_str!("../../../docs/version-digest.md");
    let command = page.lines().find(|line| line.starts_with("printf ")).unwrap();
    assert_eq!(Digest::of(command.split('\'').nth(3).unwrap()), digest);
    assert!(page.contains(&digest.hex()));
}

#[test]
fn links_pipes_and_sockets_are_refused_and_keep_nobody_waiting() {
    let (temporary, version) = copy();
    std::fs::write(temporary.path().join("secret"), "secret").unwrap();
    symlink("../../secret", version.join("a-link")).unwrap();
    symlink("manifest.json", version.join("b-link")).unwrap();
    symlink("examples", version.join("c-link")).unwrap();
    symlink("/dev/zero", version.join("d-link")).unwrap();
    let _socket = UnixListener::bind(version.join("e-socket")).unwrap();
    let mut expected: Vec<_> =
        ["a-link", "b-link", "c-link", "d-link"].map(|name| ("file_symlink", name.to_owned())).into();
    expected.push(("file_kind", "e-socket".to_owned()));
    if Command::new("mkfifo").arg(version.join("f-pipe")).status().is_ok_and(|status| status.success()) {
        expected.push(("file_kind", "f-pipe".to_owned()));
    }
    assert_eq!(rules(&version), expected);
}

#[test]
fn a_file_that_is_a_folder_and_folders_without_end_are_refused() {
    let (_temporary, version) = copy();
    std::fs::create_dir_all(version.join("a/b/c/d/e/f/g")).unwrap();
    assert_eq!(rules(&version), [("folder_depth", "a/b/c/d/e".to_owned())]);
    assert_eq!(rules(&version.join("nowhere")), [("file_unreadable", ".".to_owned())]);
    assert_eq!(rules(&version.join("manifest.json")), [("file_unreadable", ".".to_owned())]);
}

#[test]
fn too_many_files_are_refused() {
    let (_temporary, version) = copy();
    for index in 0..1_000 {
        std::fs::write(version.join(format!("{index}.txt")), "").unwrap();
    }
    assert!(rules(&version).iter().any(|(rule, _)| *rule == "folder_size"));
}

#[test]
fn a_contract_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Contract>();
}
