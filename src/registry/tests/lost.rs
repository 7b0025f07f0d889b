//! A file system that fails: what serves goes on serving, it is told once, and it is over when the file system is back.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use contract::{Digest, Fault, Position};
use notify::{ErrorKind, RecursiveMode};

use super::reload::{Bench, publish};
use crate::registry::events::Kind;
use crate::registry::hints::{Hint, Hints};
use crate::registry::look::Disk;
use crate::registry::plan::Place;
use crate::registry::reload::{Depth, Outcome};
use crate::registry::scan::{self, Error, Read, Resolved, Walk};
use crate::registry::watcher::{Handler, Watcher};

/// A mount that is lost at some step of a look: the numbers of the system's errors, 0 for none.
#[derive(Debug, Default)]
struct Mount {
    at_names: AtomicI32,
    at_contents: AtomicI32,
}

impl Disk for Mount {
    fn walk(&self, resolved: &Resolved) -> Result<Walk, Error> {
        match self.at_names.load(Ordering::Relaxed) {
            0 => resolved.walk(),
            number => Err(Error::Unreadable {
                path: resolved.contracts.clone(),
                source: io::Error::from_raw_os_error(number),
            }),
        }
    }

    fn read(&self, place: &Place, root: &Path, path: &Path) -> Read {
        match self.at_contents.load(Ordering::Relaxed) {
            0 => scan::read(place, root, path),
            number => {
                let why = io::Error::from_raw_os_error(number).to_string();
                let fault = Fault::new("file_unreadable", Path::new(""), Position::START, &why);
                Read { digest: Digest::of(why), content: Err(vec![fault]), marks: None }
            }
        }
    }
}

/// "Transport endpoint is not connected", "Stale file handle", and "Input/output error", as Linux numbers them.
const LOST: [i32; 3] = [107, 116, 5];

#[test]
fn g4_a_lost_mount_takes_nothing_away_and_is_told_once() {
    let mut bench = Bench::new();
    let mount = Arc::new(Mount::default());
    bench.reloader.disk = Arc::clone(&mount) as Arc<dyn Disk>;
    for number in LOST {
        mount.at_names.store(number, Ordering::Relaxed);
        let outcomes: Vec<Outcome> = (0..5).map(|_| bench.turn(&Depth::Poll)).collect();
        assert!(outcomes.ends_with(&[Outcome::Stale, Outcome::Stale]), "{outcomes:?}");
        assert!(bench.contract("1.0.0").is_some(), "the last good one serves");
        assert!(bench.registry.followed().stale_since.is_some());
        let said = io::Error::from_raw_os_error(number).to_string();
        assert!(bench.registry.followed().error.is_some_and(|error| error.contains(&said)), "{said}");
        mount.at_names.store(0, Ordering::Relaxed);
        bench.settle();
        assert!(bench.registry.followed().stale_since.is_none());
        let told = bench.kinds();
        assert_eq!(told.iter().filter(|kind| **kind == Kind::Stale).count(), 1, "{told:?}");
        assert!(told.contains(&Kind::Fresh), "{told:?}");
    }
    // What changed meanwhile is found.
    mount.at_names.store(LOST[0], Ordering::Relaxed);
    bench.settle();
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    bench.settle();
    mount.at_names.store(0, Ordering::Relaxed);
    bench.settle();
    assert!(bench.contract("1.1.0").is_some());
}

#[test]
fn g4_contents_that_cannot_be_read_keep_what_is_in_force() {
    let mut bench = Bench::new();
    let mount = Arc::new(Mount::default());
    bench.reloader.disk = Arc::clone(&mount) as Arc<dyn Disk>;
    let before = bench.contract("1.0.0").unwrap();
    for number in LOST {
        mount.at_contents.store(number, Ordering::Relaxed);
        bench.settle();
        assert!(Arc::ptr_eq(&before, &bench.contract("1.0.0").unwrap()), "the very same content serves");
        assert!(bench.registry.current().apps["parking"].policy.is_some(), "within the limits that it had");
        assert!(!bench.registry.followed().alarms.is_empty(), "and it is said");
        mount.at_contents.store(0, Ordering::Relaxed);
        bench.settle();
        assert_eq!(bench.registry.followed().alarms, []);
    }
}

/// How many watches there may be; as a watcher is made by a plain function, for this one test alone.
static WATCHES: AtomicUsize = AtomicUsize::new(0);
static HANDLERS: Mutex<Vec<Handler>> = Mutex::new(Vec::new());

/// As the system's, where `fs.inotify.max_user_watches` is used up.
#[derive(Debug)]
struct Limited;

impl notify::Watcher for Limited {
    fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
        Ok(Self)
    }

    fn watch(&mut self, path: &Path, _: RecursiveMode) -> notify::Result<()> {
        let left = WATCHES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_none| notify::Error::new(ErrorKind::MaxFilesWatch).add_path(path.to_owned()))
    }

    fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
        Ok(())
    }

    fn kind() -> notify::WatcherKind {
        notify::WatcherKind::NullWatcher
    }
}

#[test]
fn g4_at_the_limit_of_watches_it_is_told_once_the_poll_goes_on_and_watching_begins_when_it_can() {
    let mut bench = Bench::new();
    let hints = Hints::default();
    let mut watcher = Watcher::by(
        |handler| {
            HANDLERS.lock().unwrap().push(handler);
            Ok(Box::new(Limited))
        },
        hints.clone(),
    );
    let resolved = Resolved::of(&bench.root()).unwrap();
    let mut told = Vec::new();
    // The second time there is room for the tree, and none for the name of the root.
    for room in [0, 1] {
        WATCHES.store(room, Ordering::Relaxed);
        assert!(!watcher.arm(&bench.root(), Some(&resolved), |why| told.push(why)));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("limit"), "{told:?}");
    // No hint comes, and the poll finds what changed.
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    bench.settle();
    assert!(bench.contract("1.1.0").is_some());
    assert!(hints.take().is_nowhere());
    // The limit was raised: nothing had to change for it to be tried again.
    WATCHES.store(100, Ordering::Relaxed);
    assert!(watcher.arm(&bench.root(), Some(&resolved), |why| told.push(why)));
    assert!(!watcher.arm(&bench.root(), Some(&resolved), |why| told.push(why)), "it watches already");
    let newest = &mut HANDLERS.lock().unwrap();
    // The kernel's queue ran over: whatever it was, it is worth a look.
    let overflow = notify::Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan);
    let newest = newest.last_mut().expect("it was armed");
    newest(Ok(overflow));
    assert_eq!(hints.take(), Hint::Anywhere);
    assert_eq!(told.len(), 1);
}
