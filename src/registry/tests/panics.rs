//! A defect met while following the registry: it is noticed, takes nothing away, and is over when its cause is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::registry::{Hooks, Options, Registry};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("registry/contracts/parking")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "not {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn s4_a_panic_while_following_is_told_and_the_registry_is_followed_on() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("contracts/parking");
    copy(&sample(), &app);
    let options = Options {
        poll: Duration::from_millis(100),
        settle: Duration::ZERO,
        watch: false,
        ..Options::new(folder.path())
    };
    let (registry, reloader) = Registry::follow(options).unwrap();
    let (defect, stop) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
    let (faulty, (_changes, ready_changed)) = (Arc::clone(&defect), watch::channel(0));
    let hooks = Hooks {
        ready: Arc::new(|_| true),
        ready_changed,
        swapping: Arc::new(move |_| assert!(!faulty.load(Ordering::Relaxed), "a defect")),
    };
    let running = tokio::spawn(reloader.run(hooks, stop.clone()));
    // A change that the defect keeps from being swapped in.
    let policy = app.join("policy.json");
    let text = fs::read_to_string(&policy).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&text).unwrap();
    changed["max_concurrency"] = 2.into();
    fs::write(&policy, changed.to_string()).unwrap();
    until("told", || registry.followed().error.is_some()).await;
    let seats = || registry.current().apps["parking"].policy.as_ref().unwrap().max_concurrency;
    assert_eq!(seats(), 3, "what serves goes on serving");
    defect.store(false, Ordering::Relaxed);
    until("followed on", || seats() == 2).await;
    until("well again", || registry.followed().error.is_none()).await;
    stop.cancel();
    running.await.unwrap();
}
