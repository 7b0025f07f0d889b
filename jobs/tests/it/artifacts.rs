//! Blobs in a local folder: durable before their row, read back whole or not at all, linked to narrowly, swept when nobody refers to them.

mod slow;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use jobs::artifacts::{Error, LinkKey, LinkQuery, Refused, Verb};
use jobs::{Artifact, Artifacts, JobId, Outcome, ResultRef};

use crate::support::*;

const JSON: &str = "application/json";
const MAX: u64 = 1 << 20;

fn local(folder: &Path) -> Artifacts {
    Artifacts::local(folder, LinkKey::new([7; 32]), "/blobs").unwrap()
}

async fn put(artifacts: &Artifacts, job: JobId, content: &'static str) -> Artifact {
    artifacts.put(&app("sitefit"), job, "result.json", JSON, Bytes::from_static(content.as_bytes())).await.unwrap()
}

#[tokio::test]
async fn a_blob_reads_back_with_its_digest_and_an_altered_one_is_not_given_out() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = local(folder.path());
    let job = JobId::new();
    let artifact = put(&artifacts, job, "{}").await;
    assert!(artifact.path.starts_with(&format!("artifacts/sitefit/{job}/")) && artifact.path.ends_with("/result.json"));
    assert_eq!(artifacts.get(&artifact, MAX).await.unwrap(), "{}");
    assert_eq!(artifacts.get_linked(&artifact.path, MAX).await.unwrap(), "{}");
    assert!(matches!(artifacts.get(&artifact, 1).await, Err(Error::TooLarge { bytes: 2, max: 1 })));
    fs::write(folder.path().join(&artifact.path), "[]").unwrap();
    assert!(matches!(artifacts.get(&artifact, MAX).await, Err(Error::Altered(_))));
    assert!(matches!(artifacts.get_linked(&artifact.path, MAX).await, Err(Error::Altered(_))));
    fs::remove_file(folder.path().join(&artifact.path)).unwrap();
    assert!(matches!(artifacts.get(&artifact, MAX).await, Err(Error::Missing)));
}

/// J2: what a stopped worker stages when it wakes replaces nothing.
#[tokio::test]
async fn j2_two_attempts_of_one_job_never_write_over_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = local(folder.path());
    let job = JobId::new();
    let published = put(&artifacts, job, "{\"attempt\":2}").await;
    let staged = put(&artifacts, job, "{\"attempt\":1}").await;
    assert_ne!(published.path, staged.path);
    assert_eq!(artifacts.get(&published, MAX).await.unwrap(), "{\"attempt\":2}");
}

#[tokio::test]
async fn a_name_that_could_leave_its_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = local(folder.path());
    let long = "x".repeat(101);
    for name in ["", "..", ".hidden", "a/b", "a\\b", "a\0", "a b", "ä", "%2e%2e", long.as_str()] {
        let answer = artifacts.put(&app("sitefit"), JobId::new(), name, JSON, Bytes::new()).await;
        assert!(matches!(answer, Err(Error::Name)), "{name:?}");
    }
    for path in ["../secret", "/etc/passwd", "artifacts/../../etc/passwd", "artifacts//x", ""] {
        assert!(matches!(artifacts.get_linked(path, MAX).await, Err(Error::Missing | Error::Store(_))), "{path:?}");
    }
}

/// What a caller would send back of a link: path and query.
fn parts(url: &str) -> (String, LinkQuery) {
    let (path, query) = url.strip_prefix("/blobs/").unwrap().split_once('?').unwrap();
    let field = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap();
        found.replace("%2B", "+")
    };
    let query = LinkQuery { until: field("until").parse().unwrap(), media_type: field("type"), sig: field("sig") };
    (path.to_owned(), query)
}

/// A12: other blob, other verb, other time, other type, other key.
#[tokio::test]
async fn a12_a_link_is_good_for_one_blob_one_verb_and_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = local(folder.path());
    let artifact = put(&artifacts, JobId::new(), "{}").await;
    let artifact = Artifact { media_type: "model/gltf+json".to_owned(), ..artifact };
    let link = artifacts.link(&artifact, Verb::Get, Duration::from_mins(5)).await.unwrap();
    let (path, query) = parts(&link.url);
    let now = Timestamp::now();
    assert_eq!(artifacts.check_link(Verb::Get, &path, &query, now), Ok(()));
    let other = put(&artifacts, JobId::new(), "[]").await;
    assert_eq!(artifacts.check_link(Verb::Get, &other.path, &query, now), Err(Refused), "other blob");
    assert_eq!(artifacts.check_link(Verb::Put, &path, &query, now), Err(Refused), "other verb");
    assert_eq!(artifacts.check_link(Verb::Get, &path, &query, link.until), Err(Refused), "over");
    let later = LinkQuery { until: query.until + 3600, ..query.clone() };
    assert_eq!(artifacts.check_link(Verb::Get, &path, &later, now), Err(Refused), "longer");
    let html = LinkQuery { media_type: "text/html".to_owned(), ..query.clone() };
    assert_eq!(artifacts.check_link(Verb::Get, &path, &html, now), Err(Refused), "other type");
    for sig in ["", "AAAA", &query.sig[1..], "!", &"A".repeat(43)] {
        let bad = LinkQuery { sig: sig.to_owned(), ..query.clone() };
        assert_eq!(artifacts.check_link(Verb::Get, &path, &bad, now), Err(Refused), "{sig}");
    }
    let another = Artifacts::local(folder.path(), LinkKey::random(), "/blobs").unwrap();
    assert_eq!(another.check_link(Verb::Get, &path, &query, now), Err(Refused), "other key");
    let longest = artifacts.link(&artifact, Verb::Get, Duration::MAX).await.unwrap();
    assert!(longest.until <= Timestamp::now() + Duration::from_hours(24));
}

/// J11: orphans go after the grace, and nothing that a row refers to.
#[tokio::test]
async fn j11_a_sweep_removes_old_orphans_only() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = local(folder.path());
    let db = sqlite().await;
    let id = submit(&db, &ann()).await;
    let kept = put(&artifacts, id, "{\"kept\":true}").await;
    let orphan = put(&artifacts, id, "{\"orphan\":true}").await;
    let young = put(&artifacts, JobId::new(), "{\"young\":true}").await;
    let claimed = claim(&db, "sitefit", LONG).await.unwrap();
    let result = ResultRef { artifacts: vec![kept.clone()], digest: kept.digest.clone(), receipt: None };
    db.queue.complete(&claimed.lease, Outcome::Succeeded(result)).await.unwrap();
    for blob in [&kept, &orphan] {
        let file = fs::File::options().write(true).open(folder.path().join(&blob.path)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(2)).unwrap();
    }
    let swept = artifacts.sweep(db.upkeep.as_ref(), Duration::from_hours(1)).await.unwrap();
    assert_eq!((swept.seen, swept.removed, swept.bytes), (3, 1, orphan.bytes));
    assert!(artifacts.get(&kept, MAX).await.is_ok() && artifacts.get(&young, MAX).await.is_ok());
    assert!(matches!(artifacts.get(&orphan, MAX).await, Err(Error::Missing)));
    assert_eq!(artifacts.sweep(db.upkeep.as_ref(), Duration::from_hours(1)).await.unwrap().removed, 0);
}

/// A small file system that fills up, unmounted at the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

/// J11: a full disk leaves no half of a blob under its name, and works again once there is room.
#[tokio::test]
async fn j11_a_full_disk_leaves_no_half_of_a_blob() {
    let Some(disk) = Small::mount() else {
        eprintln!("SKIPPED: a file system that is full needs the right to mount one");
        return;
    };
    let artifacts = local(disk.0.path());
    let job = JobId::new();
    let large = Bytes::from(vec![b'x'; 200 << 10]);
    let answer = artifacts.put(&app("sitefit"), job, "model.3dm", "model/vnd.3dm", large).await;
    assert!(matches!(answer, Err(Error::Store(_))), "{answer:?}");
    let shown = artifacts.sweep(sqlite().await.upkeep.as_ref(), Duration::ZERO).await.unwrap();
    assert_eq!(shown.seen, 0, "nothing has a name that is not whole");
    put(&artifacts, job, "{}").await;
}
