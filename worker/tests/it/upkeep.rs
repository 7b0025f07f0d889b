//! What a worker tidies up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jobs::State;

use crate::support::{Bench, Stub};

const TWO_DAYS: Duration = Duration::from_hours(48);

#[tokio::test]
async fn jobs_that_ended_long_ago_are_forgotten_and_their_blobs_go_and_no_others_do() {
    let (bench, stub) = (Bench::new().await, Stub::start(false).await);
    let mut first = bench.employ(&stub.url);
    let (old, young) = (bench.submit().await, bench.submit().await);
    for id in [old, young] {
        bench.until(id, |job| job.state == State::Succeeded).await;
    }
    first.signal("TERM");
    assert_eq!(first.exit_code(), Some(0));
    // Two days go by for one of the jobs, for both their blobs, and for one that no job names.
    let artifacts = bench.folder().join("artifacts");
    let orphan = artifacts.join("artifacts/sitefit/orphan.json");
    fs::write(&orphan, "{}").unwrap();
    for blob in files(&artifacts) {
        File::options().write(true).open(blob).unwrap().set_modified(SystemTime::now() - TWO_DAYS).unwrap();
    }
    bench.age(old, TWO_DAYS).await;
    let mut second = bench.employ_with(&stub.url, &[("UPKEEP_SEC", "1"), ("JOB_RETENTION_SEC", "86400")]);
    bench.until_gone(old).await;
    let figures = second.figures(&["what=\"retired\"} 1", "what=\"swept\"} 2"]).await;
    assert!(figures.contains("appserver_job_upkeep_total{what=\"retired\"} 1"), "{figures}");
    let kept = bench.store.get(&bench.scope, young).await.unwrap().unwrap().result.unwrap();
    let left: Vec<PathBuf> = files(&artifacts);
    assert_eq!(left, [artifacts.join(&kept.artifacts[0].path)], "the young job's, which is as old as the others");
    second.signal("TERM");
    assert_eq!(second.exit_code(), Some(0));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
