//! Rows of the file system: half copies, faults, twins, links, old times, and what is kept on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use contract::{Contract, Digest, Folder};
use semver::Version;
use tempfile::TempDir;

use crate::registry::events::{Event, Kind};
use crate::registry::hints::Hint;
use crate::registry::reload::{Depth, Outcome};
use crate::registry::{Error, Hooks, Options, Registry, Reloader};

/// A registry of one app, `parking`, with the version 1.0.0, and the clock.
pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) registry: Registry,
    pub(super) reloader: Reloader,
    pub(super) now: Duration,
    /// Versions that no node can solve.
    degraded: BTreeSet<&'static str>,
    /// The last event that was looked at.
    heard: u64,
}

const SETTLE: Duration = Duration::from_secs(1);

fn sample(app_and_version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("registry/contracts").join(app_and_version)
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in &Folder::read(from).unwrap().files {
        write(&to.join(path), bytes);
    }
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} does not hold {from}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Writes a whole version of the app somewhere; the version is in its manifest.
pub(super) fn publish(to: &Path, app: &str, version: &str) {
    copy(&sample("parking/1.0.0"), to);
    let manifest = to.join("manifest.json");
    edit(&manifest, "\"version\": \"1.0.0\"", &format!("\"version\": \"{version}\""));
    if app != "parking" {
        edit(&manifest, "\"app_id\": \"parking\"", &format!("\"app_id\": \"{app}\""));
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    fn with(edit: impl FnOnce(&Path), set: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("registry");
        publish(&root.join("contracts/parking/1.0.0"), "parking", "1.0.0");
        fs::copy(sample("parking/policy.json"), root.join("contracts/parking/policy.json")).unwrap();
        edit(&root);
        let mut options = Options::new(&root);
        set(&mut options);
        let (registry, reloader) = Registry::follow(options).unwrap();
        Self { folder, registry, reloader, now: Duration::ZERO, degraded: BTreeSet::new(), heard: 0 }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    pub(super) fn version(&self, version: &str) -> PathBuf {
        self.root().join("contracts/parking").join(version)
    }

    fn policy(&self) -> PathBuf {
        self.root().join("contracts/parking/policy.json")
    }

    pub(super) fn turn(&mut self, depth: &Depth) -> Outcome {
        let degraded = self.degraded.clone();
        let hooks = Hooks {
            ready: Arc::new(move |contract| !degraded.contains(contract.version.to_string().as_str())),
            ready_changed: tokio::sync::watch::channel(0).1,
            swapping: Arc::new(|_| {}),
        };
        self.reloader.turn(self.now, depth, &hooks)
    }

    /// Two looks, far enough apart.
    pub(super) fn settle(&mut self) {
        self.turn(&Depth::Poll);
        self.now += SETTLE;
        self.turn(&Depth::Poll);
    }

    pub(super) fn contract(&self, version: &str) -> Option<Arc<Contract>> {
        let version = Version::parse(version).unwrap();
        self.registry.current().apps.get("parking")?.releases.get(&version)?.contract().cloned()
    }

    /// The kinds of what has happened since the last call, with the reasons of alarms.
    fn heard(&mut self) -> Vec<Event> {
        let page = self.registry.events().after(self.heard);
        self.heard = page.last;
        page.events
    }

    pub(super) fn kinds(&mut self) -> Vec<Kind> {
        self.heard().iter().map(|event| event.kind).collect()
    }

    fn alias(&self, alias: &str) -> Option<String> {
        self.registry.current().apps["parking"].aliases.get(alias).map(ToString::to_string)
    }
}

#[test]
fn a_version_that_is_dropped_in_is_taken_and_the_others_stay_as_they_are() {
    let mut bench = Bench::new();
    assert_eq!(bench.kinds(), [Kind::Loaded]);
    let (before, old) = (bench.registry.current(), bench.contract("1.0.0").unwrap());
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    assert_eq!(bench.turn(&Depth::Hinted(Hint::Anywhere)), Outcome::Settling);
    assert_eq!(bench.registry.current().generation, 1, "one sight is not enough");
    bench.now += SETTLE;
    assert_eq!(bench.turn(&Depth::Hinted(Hint::Anywhere)), Outcome::Quiet);
    let after = bench.registry.current();
    assert_eq!((after.generation, bench.kinds()), (2, vec![Kind::VersionAdded]));
    assert!(bench.contract("1.1.0").is_some());
    assert!(Arc::ptr_eq(&old, &bench.contract("1.0.0").unwrap()), "what did not change was not loaded anew");
    let since = |snapshot: &super::super::Snapshot| snapshot.releases().next().unwrap().since;
    assert_eq!(since(&before), since(&after));
    for depth in [Depth::Hinted(Hint::Anywhere), Depth::Poll] {
        bench.now += SETTLE;
        assert_eq!(bench.turn(&depth), Outcome::Quiet);
    }
    assert_eq!((bench.registry.current().generation, bench.kinds()), (2, vec![]), "nothing new, nothing swapped");
}

#[test]
fn g1_a_half_copy_is_never_taken_however_long_it_pauses() {
    let mut bench = Bench::new();
    let source = bench.folder.path().join("source/parking/1.1.0");
    publish(&source, "parking", "1.1.0");
    let mut files: Vec<_> = Folder::read(&source).unwrap().files.into_iter().collect();
    files.sort_by_key(|(path, _)| path == "manifest.json");
    let whole = Folder::read(&source).unwrap().digest;
    let target = bench.version("1.1.0");
    let last = files.len() - 1;
    for (index, (path, bytes)) in files.iter().enumerate() {
        for cut in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 2, bytes.len() - 1, bytes.len()] {
            write(&target.join(path), &bytes[..cut]);
            bench.settle();
            bench.now += SETTLE * 10;
            bench.turn(&Depth::Hinted(Hint::Anywhere));
            // The file ends in a line feed, so the manifest is whole before its last byte is.
            let is_whole = index == last && cut + 1 >= bytes.len();
            if !is_whole {
                assert!(bench.contract("1.1.0").is_none(), "taken with {path} cut at {cut} of {}", bytes.len());
            }
            assert!(bench.contract("1.0.0").is_some());
        }
    }
    // Without its last line feed the manifest said the same: what serves is one of two whole contents.
    let served = bench.contract("1.1.0").unwrap();
    let [(_, manifest)] = &files[last..] else { unreachable!() };
    let mut short: std::collections::BTreeMap<String, Arc<[u8]>> = files.iter().cloned().collect();
    short.insert("manifest.json".into(), manifest[..manifest.len() - 1].into());
    assert!([whole, Folder::of(short).digest].contains(&served.digest));
}

#[test]
fn g1_a_copy_in_any_order_is_not_seen_while_it_moves() {
    let mut bench = Bench::new();
    let source = bench.folder.path().join("source/parking/1.1.0");
    publish(&source, "parking", "1.1.0");
    let (folder, target) = (Folder::read(&source).unwrap(), bench.version("1.1.0"));
    for (path, bytes) in &folder.files {
        for cut in [0, bytes.len() / 2, bytes.len()] {
            write(&target.join(path), &bytes[..cut]);
            for depth in [Depth::Hinted(Hint::Anywhere), Depth::Poll] {
                bench.now += SETTLE / 3;
                bench.turn(&depth);
                assert_eq!(bench.registry.current().generation, 1, "{path} cut at {cut}");
            }
        }
    }
    bench.settle();
    assert_eq!(bench.contract("1.1.0").unwrap().digest, folder.digest);
    assert_eq!(bench.kinds(), [Kind::Loaded, Kind::VersionAdded]);
}

#[test]
fn g5_faults_empty_folders_and_a_vanished_root_change_nothing_that_serves() {
    let mut bench = Bench::new();
    // A faulty version among good ones.
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    edit(&bench.version("1.1.0").join("bindings.json"), "RH_", "NO_");
    bench.settle();
    assert!(bench.contract("1.0.0").is_some() && bench.contract("1.1.0").is_none());
    assert_eq!(bench.kinds(), [Kind::Loaded, Kind::VersionRefused]);
    // It is mended: refused content may be replaced.
    edit(&bench.version("1.1.0").join("bindings.json"), "NO_", "RH_");
    bench.settle();
    assert!(bench.contract("1.1.0").is_some());
    assert_eq!(bench.kinds(), [Kind::VersionChanged]);
    // All of them become faulty.
    for version in ["1.0.0", "1.1.0"] {
        fs::write(bench.version(version).join("manifest.json"), "{").unwrap();
    }
    bench.settle();
    assert!(bench.contract("1.0.0").is_some() && bench.contract("1.1.0").is_some());
    assert_eq!(bench.kinds(), [Kind::VersionRefused, Kind::VersionRefused]);
    assert_eq!(bench.registry.followed().alarms.len(), 2);
    // No version is left, then no root.
    let (contracts, aside) = (bench.root().join("contracts"), bench.folder.path().join("aside"));
    fs::rename(&contracts, &aside).unwrap();
    fs::create_dir(&contracts).unwrap();
    let failed = |bench: &mut Bench| [(); 4].map(|()| bench.turn(&Depth::Poll));
    assert_eq!(failed(&mut bench)[1..], [Outcome::Failed, Outcome::Stale, Outcome::Stale]);
    assert!(bench.contract("1.0.0").is_some());
    assert!(bench.registry.followed().stale_since.is_some());
    fs::remove_dir_all(bench.root()).unwrap();
    assert_eq!(bench.turn(&Depth::Poll), Outcome::Stale);
    assert!(bench.registry.followed().error.unwrap().contains("registry"));
    assert_eq!(bench.kinds(), [Kind::Stale], "said once");
    // It comes back.
    fs::create_dir(bench.root()).unwrap();
    fs::rename(&aside, &contracts).unwrap();
    bench.settle();
    assert!(bench.registry.followed().stale_since.is_none());
    assert_eq!(bench.kinds(), [Kind::Fresh]);
}

#[test]
fn g6_content_decides_whatever_times_and_sizes_say() {
    let mut bench = Bench::new();
    let policy = bench.policy();
    let modified = |time| fs::File::options().write(true).open(&policy).unwrap().set_modified(time).unwrap();
    let fixed = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    modified(fixed);
    bench.settle();
    let seats =
        |bench: &Bench| bench.registry.current().apps["parking"].policy.as_ref().unwrap().rate_limits.preview_rps;
    let before = seats(&bench);
    let text = fs::read_to_string(&policy).unwrap();
    let number = format!("\"preview_rps\": {before}");
    // The same size throughout, and the same, older, and impossible times.
    let times = [fixed, UNIX_EPOCH, fixed - Duration::from_secs(9), UNIX_EPOCH + Duration::from_mins(70_000_000)];
    for (round, time) in times.into_iter().enumerate() {
        let rps = 1 + round;
        assert_eq!(number.len(), format!("\"preview_rps\": {rps}").len(), "the sample changed: keep the size equal");
        fs::write(&policy, text.replace(&number, &format!("\"preview_rps\": {rps}"))).unwrap();
        modified(time);
        bench.settle();
        assert!((seats(&bench) - f64::from(u32::try_from(rps).unwrap())).abs() < 1e-9, "round {round}");
    }
}

#[test]
fn g7_a_version_changed_in_place_is_refused_and_the_old_content_serves() {
    let mut bench = Bench::new();
    let (old, readme) = (bench.contract("1.0.0").unwrap(), bench.version("1.0.0").join("README.md"));
    write(&readme, "one more file");
    bench.settle();
    bench.settle();
    assert!(Arc::ptr_eq(&old, &bench.contract("1.0.0").unwrap()));
    let events = bench.heard();
    assert_eq!(events.len(), 2, "the alarm is raised once: {events:?}");
    assert_eq!((events[1].kind, events[1].from.clone()), (Kind::VersionRefused, Some(old.digest.to_string())));
    assert_ne!(events[1].to, events[1].from);
    assert_eq!(bench.registry.followed().alarms[0].rule, "version_changed");
    assert_eq!(bench.registry.current().generation, 1);
    fs::remove_file(&readme).unwrap();
    bench.settle();
    assert!(bench.registry.followed().alarms.is_empty());
    assert_eq!(bench.kinds(), [Kind::Fresh]);
}

#[test]
fn g7_a_gateway_for_authors_takes_a_changed_version() {
    let mut bench = Bench::with(|_| {}, |options| options.mutable_versions = true);
    edit(&bench.version("1.0.0").join("manifest.json"), "\"title\": \"", "\"title\": \"New ");
    bench.settle();
    assert!(bench.contract("1.0.0").unwrap().manifest.title.as_ref().unwrap().starts_with("New "));
    assert_eq!(bench.kinds(), [Kind::Loaded, Kind::VersionChanged]);
    fs::write(bench.version("1.0.0").join("manifest.json"), "{").unwrap();
    bench.settle();
    assert!(bench.contract("1.0.0").is_some(), "a slip while editing takes nothing away");
    assert_eq!(bench.kinds(), [Kind::VersionRefused]);
}

#[test]
fn g8_names_of_versions_are_strict_and_junk_is_passed_over() {
    let strays = [
        "01.0.0",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        "1.0.0+build",
        "１.0.0",
        "99999999999999999999.0.0",
        "1.0.0 ",
        "latest",
    ];
    let junk = [".nfs0001", "lost+found", ".1.2.0.swp", "1.2.0~", "1.2.0.tmp", "#1.2.0#", "..data"];
    let mut bench = Bench::new();
    for name in strays.iter().chain(&junk) {
        publish(&bench.version(name), "parking", "1.1.0");
    }
    bench.settle();
    let snapshot = bench.registry.current();
    assert_eq!(snapshot.releases().count(), 1, "only 1.0.0");
    assert_eq!(snapshot.faults.len(), strays.len(), "{:?}", snapshot.faults);
    assert!(snapshot.faults.iter().all(|fault| fault.rule == "version_folder"));
}

#[test]
fn g8_a_name_that_differs_by_case_alone_is_refused_and_the_first_stays() {
    let mut bench = Bench::new();
    publish(&bench.version("1.1.0-rc"), "parking", "1.1.0-rc");
    bench.settle();
    publish(&bench.version("1.1.0-RC"), "parking", "1.1.0-RC");
    bench.settle();
    bench.settle();
    assert!(bench.contract("1.1.0-rc").is_some() && bench.contract("1.1.0-RC").is_none());
    assert_eq!(bench.kinds(), [Kind::Loaded, Kind::VersionAdded, Kind::VersionRefused]);
    fs::remove_dir_all(bench.version("1.1.0-rc")).unwrap();
    bench.settle();
    bench.settle();
    assert!(bench.contract("1.1.0-rc").is_none() && bench.contract("1.1.0-RC").is_some());
}

#[test]
fn g9_links_pipes_and_devices_lead_nowhere_and_make_nobody_wait() {
    let mut bench = Bench::new();
    let outside = bench.folder.path().join("outside");
    publish(&outside, "parking", "1.1.0");
    std::os::unix::fs::symlink(&outside, bench.version("1.1.0")).unwrap();
    publish(&bench.version("1.2.0"), "parking", "1.2.0");
    fs::remove_file(bench.version("1.2.0").join("plugins.json")).unwrap();
    std::os::unix::fs::symlink(outside.join("plugins.json"), bench.version("1.2.0").join("plugins.json")).unwrap();
    publish(&bench.version("1.3.0"), "parking", "1.3.0");
    let pipe = bench.version("1.3.0").join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let begin = std::time::Instant::now();
    bench.settle();
    assert!(begin.elapsed() < Duration::from_secs(10), "a pipe made the reader wait");
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        assert!(bench.contract(version).is_none(), "{version}");
    }
    assert_eq!(bench.registry.current().faults[0].rule, "file_symlink");
    // A policy and the list of tenants may be no pipe either.
    assert!(Command::new("mkfifo").arg(bench.root().join("tenants.json")).status().unwrap().success());
    fs::remove_file(bench.policy()).unwrap();
    assert!(Command::new("mkfifo").arg(bench.policy()).status().unwrap().success());
    bench.settle();
    assert!(bench.contract("1.0.0").is_some(), "the last good policy holds");
    // Contracts behind a link that leaves the root.
    fs::rename(bench.root().join("contracts"), bench.folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", bench.root().join("contracts")).unwrap();
    for _ in 0..3 {
        bench.turn(&Depth::Poll);
    }
    assert!(bench.registry.followed().error.unwrap().contains("leads out of the registry"));
    assert!(bench.contract("1.0.0").is_some());
}

#[test]
fn g9_a_folder_that_turns_into_a_link_while_it_is_read_leads_nowhere() {
    race(300, 300);
}

mod slow {
    #[test]
    #[ignore = "slow: looks for as long as a hundred thousand swaps take"]
    fn g9_a_folder_that_turns_into_a_link_a_hundred_thousand_times_leads_nowhere() {
        super::race(300, 100_000);
    }
}

/// Looks at least so often, and for as long as so many swaps of a folder and a link take.
fn race(looks: u32, swaps_min: u32) {
    let mut bench = Bench::with(|_| {}, |options| options.mutable_versions = true);
    let outside = bench.folder.path().join("outside/parking/1.1.0");
    publish(&outside, "parking", "1.1.0");
    edit(&outside.join("manifest.json"), "\"title\": \"", "\"title\": \"Outside ");
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    let (inside, aside, link) = (bench.version("1.1.0"), bench.version(".aside"), bench.version(".link"));
    let (stop, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                std::os::unix::fs::symlink(&outside, &link).unwrap();
                fs::rename(&inside, &aside).unwrap();
                fs::rename(&link, &inside).unwrap();
                fs::remove_file(&inside).unwrap();
                fs::rename(&aside, &inside).unwrap();
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut looked = 0;
        while looked < looks || swaps.load(Ordering::Relaxed) < swaps_min {
            looked += 1;
            bench.now += SETTLE;
            bench.turn(&Depth::Poll);
            if let Some(contract) = bench.contract("1.1.0") {
                let title = contract.manifest.title.clone().unwrap();
                assert!(!title.starts_with("Outside"), "what lies outside was read");
            }
        }
        stop.store(true, Ordering::Relaxed);
        println!("{looked} looks, {} swaps", swaps.load(Ordering::Relaxed));
    });
    let swaps = swaps.into_inner();
    assert!(swaps >= swaps_min, "{swaps} swaps are no race");
}

#[test]
fn a_removed_version_and_app_go_and_who_holds_the_snapshot_keeps_it() {
    let mut bench = Bench::with(
        |root| {
            publish(&root.join("contracts/other/1.0.0"), "other", "1.0.0");
            edit(
                &root.join("contracts/other/1.0.0/manifest.json"),
                "\"definition\": \"parking\"",
                "\"definition\": \"other\"",
            );
            let policy = fs::read_to_string(root.join("contracts/parking/policy.json")).unwrap();
            write(&root.join("contracts/other/policy.json"), policy.replace("\"parking\"", "\"other\""));
        },
        |_| {},
    );
    let pinned = bench.registry.current();
    assert_eq!(pinned.apps.len(), 2);
    fs::remove_dir_all(bench.root().join("contracts/other")).unwrap();
    bench.turn(&Depth::Poll);
    assert_eq!(bench.registry.current().apps.len(), 2, "one sight of nothing is not enough");
    bench.settle();
    let now = bench.registry.current();
    assert_eq!((now.apps.len(), now.owner("other").is_none()), (1, true));
    assert!(pinned.owner("other").unwrap().releases.values().all(|release| release.contract().is_some()));
    assert_eq!(bench.kinds(), [Kind::Loaded, Kind::PolicyChanged, Kind::VersionRemoved]);
}

#[test]
fn a_new_app_cannot_take_a_definition_from_the_app_that_has_it() {
    let mut bench = Bench::new();
    publish(&bench.root().join("contracts/aaa/1.0.0"), "aaa", "1.0.0");
    let policy = fs::read_to_string(bench.policy()).unwrap();
    write(
        &bench.root().join("contracts/aaa/policy.json"),
        policy.replace("\"app_id\": \"parking\"", "\"app_id\": \"aaa\""),
    );
    bench.settle();
    let snapshot = bench.registry.current();
    assert_eq!(snapshot.owner("parking").unwrap().app_id, "parking");
    assert!(bench.contract("1.0.0").is_some());
    assert!(snapshot.apps["aaa"].releases.values().all(|release| release.contract().is_none()));
}

#[test]
fn policies_and_tenants_change_live_and_faulty_ones_keep_the_last_good() {
    let mut bench = Bench::new();
    let tenants = bench.root().join("tenants.json");
    let key = |key: &str| {
        let digest = Digest::of(key);
        format!(r#"{{"tenants":{{"t":{{"apps":["parking"],"keys":[{{"id":"k","sha256":"{digest}"}}]}}}}}}"#)
    };
    let may = |bench: &Bench, key: &str| bench.registry.current().tenants.find(key).is_some();
    fs::write(&tenants, key("first")).unwrap();
    bench.settle();
    assert!(may(&bench, "first"));
    fs::write(&tenants, key("second")).unwrap();
    bench.settle();
    assert!(may(&bench, "second") && !may(&bench, "first"), "a key that was taken back opens nothing");
    fs::write(&tenants, "{").unwrap();
    bench.settle();
    fs::remove_file(&tenants).unwrap();
    bench.settle();
    bench.settle();
    assert!(may(&bench, "second"), "neither a fault nor a missing file locks everybody out");
    let told = [Kind::Loaded, Kind::TenantsChanged, Kind::TenantsChanged, Kind::TenantsRefused, Kind::TenantsRefused];
    assert_eq!(bench.kinds(), told);
    fs::write(bench.policy(), "{}").unwrap();
    bench.settle();
    assert!(bench.contract("1.0.0").is_some());
    assert!(bench.registry.followed().alarms.len() > 1, "each fault of the policy is told");
    fs::copy(sample("parking/policy.json"), bench.policy()).unwrap();
    edit(&bench.policy(), "\"rate_limits\"", "\"deny_scripts\": true, \"rate_limits\"");
    bench.settle();
    assert!(bench.registry.current().apps["parking"].policy.as_ref().unwrap().deny_scripts);
    assert_eq!(bench.kinds(), [Kind::PolicyRefused, Kind::PolicyChanged]);
}

#[test]
fn an_alias_moves_only_to_what_is_ready_and_follows_when_it_gets_so() {
    let mut bench =
        Bench::with(|root| edit(&root.join("contracts/parking/policy.json"), "\"stable\"", "\"live\""), |_| {});
    bench.degraded.insert("1.1.0");
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    edit(&bench.policy(), "\"live\": \"1.0.0\"", "\"live\": \"1.1.0\", \"stable\": \"1.1.0\"");
    bench.settle();
    assert_eq!((bench.alias("live"), bench.alias("stable")), (Some("1.0.0".into()), None), "`stable` stays unpinned");
    let events = bench.heard();
    let held: Vec<_> = events.iter().filter(|event| event.kind == Kind::AliasHeld).collect();
    assert_eq!((held.len(), held[0].from.as_deref(), held[0].to.as_deref()), (2, Some("1.0.0"), Some("1.1.0")));
    bench.settle();
    assert_eq!(bench.kinds(), [], "said once");
    bench.degraded.clear();
    bench.turn(&Depth::Hinted(Hint::Anywhere));
    assert_eq!((bench.alias("live"), bench.alias("stable")), (Some("1.1.0".into()), Some("1.1.0".into())));
    assert_eq!(bench.kinds(), [Kind::AliasMoved, Kind::AliasMoved]);
    assert!(bench.registry.followed().alarms.is_empty());
    // Back, by an older file.
    edit(&bench.policy(), "1.1.0", "1.0.0");
    bench.settle();
    assert_eq!(bench.alias("live"), Some("1.0.0".into()));
    // To what is not there at all.
    edit(&bench.policy(), "\"live\": \"1.0.0\"", "\"live\": \"9.0.0\"");
    bench.settle();
    assert_eq!(bench.alias("live"), Some("1.0.0".into()));
}

#[test]
fn g13_a_restart_without_the_registry_serves_what_was_kept() {
    let state = tempfile::tempdir().unwrap();
    let keep = |options: &mut Options| options.state_dir = Some(state.path().to_owned());
    let tenants = |root: &Path| fs::write(root.join("tenants.json"), r#"{"tenants":{}}"#).unwrap();
    let mut bench = Bench::with(tenants, keep);
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    bench.settle();
    let digests = |registry: &Registry| {
        registry.current().releases().map(|release| release.contract().unwrap().digest).collect::<Vec<_>>()
    };
    let (before, root) = (digests(&bench.registry), bench.root());
    fs::rename(&root, bench.folder.path().join("away")).unwrap();
    let mut options = Options::new(&root);
    keep(&mut options);
    let (again, _) = Registry::follow(options.clone()).unwrap();
    assert_eq!(digests(&again), before);
    assert!(again.followed().stale_since.is_some());
    let kinds: Vec<_> = again.events().after(0).events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Stale, Kind::Loaded]);
    // It is back, with a version changed while nobody looked: what was accepted still holds.
    fs::rename(bench.folder.path().join("away"), &root).unwrap();
    write(&bench.version("1.1.0").join("more.md"), "more");
    let (again, _) = Registry::follow(options.clone()).unwrap();
    assert_eq!((digests(&again), again.followed().stale_since), (before, None));
    assert_eq!(again.followed().alarms[0].rule, "version_changed");
    // Nothing is believed that is not what it was.
    fs::remove_dir_all(&root).unwrap();
    let objects = fs::read_dir(state.path().join("objects")).unwrap().map(|entry| entry.unwrap().path());
    let objects: Vec<_> = objects.collect();
    let ghx = objects.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(ghx).unwrap();
    bytes[100] ^= 1;
    fs::write(ghx, bytes).unwrap();
    let (again, _) = Registry::follow(options.clone()).unwrap();
    assert_eq!(digests(&again), [], "both versions have this file");
    fs::write(state.path().join("index"), "sha256:0\n{}").unwrap();
    assert!(matches!(Registry::follow(options), Err(Error::Scan(_))), "nothing is left to serve");
}

#[test]
fn what_is_kept_holds_nothing_that_is_not_served_any_more() {
    let state = tempfile::tempdir().unwrap();
    let mut bench = Bench::with(|_| {}, |options| options.state_dir = Some(state.path().to_owned()));
    let count = || fs::read_dir(state.path().join("objects")).unwrap().count();
    let before = count();
    publish(&bench.version("1.1.0"), "parking", "1.1.0");
    bench.settle();
    assert_eq!(count(), before + 1, "only the manifest is new");
    fs::remove_dir_all(bench.version("1.1.0")).unwrap();
    bench.settle();
    assert_eq!(count(), before);
}
