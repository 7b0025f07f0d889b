//! Hints: what they concern is looked at soon, and nothing else; the poll makes way for them, and is made all the same.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::panics::until;
use super::reload::{Bench, publish};
use crate::registry::Hooks;
use crate::registry::hints::Hint;
use crate::registry::look::Disk;
use crate::registry::plan::Place;
use crate::registry::reload::{Depth, Outcome};
use crate::registry::scan::{self, Read};

/// Remembers what was read, and takes its time where it is told to.
#[derive(Debug, Default)]
struct Slow {
    read: Mutex<Vec<String>>,
    slow: AtomicBool,
}

impl Slow {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.read.lock().unwrap())
    }
}

impl Disk for Slow {
    fn read(&self, place: &Place, root: &Path, path: &Path) -> Read {
        self.read.lock().unwrap().push(place.to_string());
        if self.slow.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        scan::read(place, root, path)
    }
}

fn bench(versions: u64) -> (Bench, Arc<Slow>) {
    let mut bench = Bench::new();
    for minor in 1..versions {
        publish(&bench.version(&format!("1.{minor}.0")), "parking", &format!("1.{minor}.0"));
    }
    let disk = Arc::new(Slow::default());
    bench.reloader.disk = Arc::clone(&disk) as Arc<dyn Disk>;
    bench.settle();
    disk.taken();
    (bench, disk)
}

#[test]
fn a_hint_has_what_it_concerns_read_and_nothing_else() {
    let (mut bench, disk) = bench(4);
    let hint = |path: &Path| Depth::Hinted(Hint::at([path.canonicalize().unwrap()]));
    assert_eq!(bench.turn(&Depth::Hinted(Hint::Anywhere)), Outcome::Quiet);
    assert_eq!(disk.taken(), [""; 0], "what has the same marks is not read, and reading alone made them");
    // Two changes, and a hint to one of them.
    publish(&bench.version("1.4.0"), "parking", "1.4.0");
    let policy = bench.root().join("contracts/parking/policy.json");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("\"max_concurrency\": 3", "\"max_concurrency\": 2")).unwrap();
    let example = bench.version("1.2.0").join("examples/valid/three-levels.json");
    let text = fs::read_to_string(&example).unwrap();
    fs::write(&example, text.replace('{', "{ ")).unwrap();
    assert_eq!(bench.turn(&hint(&policy)), Outcome::Settling);
    let read = disk.taken();
    assert!(read.iter().any(|place| place.contains("policy")), "{read:?}");
    assert!(read.iter().any(|place| place.contains("1.4.0")), "a name that is new needs no hint: {read:?}");
    assert_eq!(read.len(), 2, "{read:?}");
    // What waits for a second sight needs none either.
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.turn(&Depth::Hinted(Hint::nowhere())), Outcome::Quiet);
    assert_eq!(disk.taken().len(), 2);
    assert!(bench.contract("1.4.0").is_some());
    assert_eq!(bench.registry.current().apps["parking"].policy.as_ref().unwrap().max_concurrency, 2);
    // The change that was not hinted at shows where all is looked at.
    bench.turn(&Depth::Hinted(Hint::nowhere()));
    assert_eq!(disk.taken(), [""; 0]);
    bench.turn(&Depth::Hinted(Hint::Anywhere));
    let read = disk.taken();
    assert!(read.len() == 1 && read[0].contains("1.2.0"), "{read:?}");
}

#[tokio::test]
async fn a_poll_that_takes_long_makes_way_for_a_hint_and_is_made_in_the_end() {
    let (Bench { folder, registry, mut reloader, .. }, disk) = bench(40);
    reloader.options.poll = Duration::from_millis(50);
    reloader.options.settle = Duration::from_millis(100);
    // Two seconds and more for a whole poll.
    disk.slow.store(true, Ordering::Relaxed);
    let (stop, (_changes, ready_changed)) = (CancellationToken::new(), watch::channel(0));
    let hooks = Hooks { ready: Arc::new(|_| true), ready_changed, swapping: Arc::new(|_| {}) };
    let running = tokio::spawn(reloader.run(hooks, stop.clone()));
    until("watched", || registry.followed().watched).await;
    disk.taken();
    until("polling", || disk.read.lock().unwrap().len() > 5).await;
    let contracts = folder.path().join("registry/contracts/parking");
    publish(&folder.path().join("aside"), "parking", "1.90.0");
    disk.taken();
    fs::rename(folder.path().join("aside"), contracts.join("1.90.0")).unwrap();
    let serves = |version: &str| {
        let version = version.parse().unwrap();
        registry.current().apps["parking"].releases.get(&version).is_some_and(|release| release.contract().is_some())
    };
    until("taken", || serves("1.90.0")).await;
    let read = disk.taken();
    assert!(read.len() < 30, "it waited for a whole poll: {read:?}");
    // Hints without end do not keep it from being made.
    let all = 40;
    let polled = || disk.read.lock().unwrap().windows(all).any(|run| distinct(run) == all);
    for number in 0.. {
        if polled() {
            break;
        }
        assert!(number < 1_000, "no whole poll was made");
        fs::write(contracts.join("1.90.0/.junk"), number.to_string()).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
}

fn distinct(run: &[String]) -> usize {
    run.iter().collect::<std::collections::BTreeSet<_>>().len()
}
