//! What this computer gives a gateway, against what the settings ask for.
//!
//! Invariant: what is judged is what a gateway started here, as this user, would meet: `judge` is pure, `Facts::gather` asks the computer.

use std::path::{Path, PathBuf};

use crate::config::{AdminListen, Config};
use crate::governance::live::Check;
use crate::registry::{Snapshot, State};

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Facts {
    /// File descriptors that a process may have.
    pub(super) descriptors: Option<u64>,
    pub(super) cores: usize,
    /// What this process may take of memory: the least of the computer's and its control group's.
    pub(super) memory_bytes: Option<u64>,
    pub(super) folders: Vec<Folder>,
    pub(super) watch: Option<Watch>,
}

/// A folder that is written to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Folder {
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
    /// Why nothing can be written there.
    pub(super) unwritable: Option<String>,
    pub(super) free_bytes: Option<u64>,
    /// What it is to hold, as far as that is known.
    pub(super) wanted_bytes: u64,
}

/// How the registry's folder can be watched.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Watch {
    /// Why the file system refuses.
    pub(super) refused: Option<String>,
    /// The name of a file system that tells nothing of what other computers change.
    pub(super) silent: Option<&'static str>,
    pub(super) folders: usize,
}

const MIB: u64 = 1 << 20;
/// What a gateway takes before its first request, with its code.
const BASE_BYTES: u64 = 64 * MIB;
/// Descriptors beside connections: files, sockets to nodes' health, the log.
const DESCRIPTORS_BESIDE: u64 = 64;
/// Below this a disk is as good as full.
const FREE_LEAST: u64 = 64 * MIB;
const FREE_WARN: u64 = 1024 * MIB;
/// Folders that are counted for the watcher.
const FOLDERS_MAX: usize = 1_000_000;

/// All of it against the settings; `snapshot` where the registry can be read.
pub(super) fn judge(facts: &Facts, config: &Config, snapshot: Option<&Snapshot>) -> Vec<Check> {
    let mut checks = vec![descriptors(facts, config), cores(facts, config), memory(facts, config, snapshot)];
    checks.extend(facts.folders.iter().map(folder));
    if let Some(watch) = &facts.watch {
        checks.push(watched(watch, config));
    }
    checks
}

fn descriptors(facts: &Facts, config: &Config) -> Check {
    // Each request may need a second one towards a node.
    let wanted = 2 * config.server.connections_max as u64 + DESCRIPTORS_BESIDE;
    let Some(limit) = facts.descriptors else {
        return Check::good("descriptor_limit", "as many file descriptors as anybody asks for");
    };
    if limit >= wanted {
        return Check::good("descriptor_limit", format!("{limit} file descriptors, {wanted} at most are needed"));
    }
    let hint = format!(
        "raise the limit (LimitNOFILE={wanted} in the unit, `ulimit -n {wanted}` in the shell), or lower server.connections_max \
         to {}",
        limit.saturating_sub(DESCRIPTORS_BESIDE) / 2
    );
    let message = format!(
        "{limit} file descriptors, and server.connections_max = {} may need {wanted}",
        config.server.connections_max
    );
    // Below a few hundred a gateway of usual load comes to a stop.
    if limit < 512 { Check::bad("descriptor_limit", message) } else { Check::poor("descriptor_limit", message) }
        .hint(hint)
}

fn cores(facts: &Facts, config: &Config) -> Check {
    let slots: u64 = config.nodes.iter().filter_map(|node| node.slots).map(u64::from).sum();
    let cores = facts.cores;
    if cores < 2 {
        return Check::poor("cores_few", "1 core: a large body or a reload makes every caller wait")
            .hint("give it 2 cores; one is enough for a trial");
    }
    let message = if slots > 0 { format!("{cores} cores for {slots} slots") } else { format!("{cores} cores") };
    Check::good("cores_few", message)
}

fn memory(facts: &Facts, config: &Config, snapshot: Option<&Snapshot>) -> Check {
    let wanted = bounds(config, snapshot);
    let said = |bytes: u64| format!("{} MiB", bytes / MIB);
    let Some(limit) = facts.memory_bytes else {
        return Check::good("memory_short", format!("at most {} by the settings; no limit is known", said(wanted)));
    };
    if wanted <= limit / 10 * 9 {
        return Check::good(
            "memory_short",
            format!("{} of memory, {} at most by the settings", said(limit), said(wanted)),
        );
    }
    Check::poor("memory_short", format!("{} of memory, and the settings let a gateway take {}", said(limit), said(wanted))).hint(
        "lower body.in_flight_bytes_max, cache.preview_bytes_max, cache.batch_bytes_max (or `cache` of the policies) or \
         server.connections_max, or give it more memory",
    )
}

/// The most that the bounds add up to: bodies, caches, heads, recorded inputs, the registry's files.
fn bounds(config: &Config, snapshot: Option<&Snapshot>) -> u64 {
    let heads = config.server.connections_max as u64 * (config.server.head_bytes_max as u64 + 8192);
    let cache = |preview: Option<u64>, batch: Option<u64>| {
        let of = &config.cache;
        let kept = preview.unwrap_or(of.preview_bytes_max) + batch.unwrap_or(of.batch_bytes_max);
        // Definition errors get a twentieth on top.
        kept + kept / 20
    };
    let (mut caches, mut definitions) = (0, 0);
    for app in snapshot.iter().flat_map(|snapshot| snapshot.apps.values()) {
        let of = app.policy.as_ref().map(|policy| &policy.cache);
        caches += cache(of.and_then(|of| of.preview.bytes_max), of.and_then(|of| of.batch.bytes_max));
        for release in app.releases.values() {
            if let State::Loaded(contract) = &release.state {
                definitions += contract.definition_bytes.whole_bytes() as u64;
            }
        }
    }
    let caches = if config.cache.enabled { caches } else { 0 };
    let recorded = if config.record.inputs_per_version > 0 { config.record.bytes_max as u64 } else { 0 };
    // A definition is there as bytes and as what it is sent as, a third longer.
    BASE_BYTES + heads + config.body.in_flight_bytes_max + caches + recorded + definitions * 7 / 3
}

fn folder(folder: &Folder) -> Check {
    let Folder { what, path, unwritable, free_bytes, wanted_bytes } = folder;
    let at = path.display();
    if let Some(why) = unwritable {
        return Check::bad("folder_unwritable", format!("{what} at {at} cannot be written: {why}"))
            .hint("make the folder, and let the user that the program runs as write there");
    }
    let Some(free) = *free_bytes else {
        return Check::good("disk_low", format!("{what} at {at} can be written"));
    };
    let message = format!("{what} at {at}: {} MiB free", free / MIB);
    if free < FREE_LEAST.max(*wanted_bytes) {
        return Check::bad("disk_low", message).hint("free some space, or choose another folder");
    }
    if free < FREE_WARN {
        return Check::poor("disk_low", message).hint("free some space before it is full");
    }
    Check::good("disk_low", message)
}

fn watched(watch: &Watch, config: &Config) -> Check {
    let every = config.registry.poll_sec;
    if let Some(why) = &watch.refused {
        let message = format!("the file system refuses to tell of changes in {} folders: {why}", watch.folders);
        return Check::poor("watch_limit", message).hint(format!(
            "raise fs.inotify.max_user_watches and max_user_instances (sysctl); until then a change is seen after {every} s"
        ));
    }
    if let Some(name) = watch.silent {
        let message = format!("the registry is on {name}, which does not tell what other computers change");
        return Check::poor("watch_limit", message)
            .hint(format!("changes are seen by looking every {every} s (registry.poll_sec), which is no fault"));
    }
    Check::good("watch_limit", format!("the file system tells of changes in {} folders", watch.folders))
}

// === impl Facts ===

impl Facts {
    /// Asks the computer. Blocks; makes and removes one empty file in each folder that is written to.
    pub(super) fn gather(config: &Config, artifacts: Option<&Path>, snapshot: Option<&Snapshot>) -> Self {
        let mut folders = Vec::new();
        let state = &config.registry.state_dir;
        if !state.as_os_str().is_empty() {
            let bytes = registry_bytes(snapshot);
            folders.push(Folder::look("the last good registry (registry.state_dir)", state, bytes));
        }
        if let Some(path) = artifacts {
            folders.push(Folder::look("artifacts", path, 0));
        }
        Self {
            descriptors: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes(),
            folders,
            watch: (config.registry.watch && config.registry.root.is_dir()).then(|| Watch::look(&config.registry.root)),
        }
    }
}

fn registry_bytes(snapshot: Option<&Snapshot>) -> u64 {
    let releases = snapshot.iter().flat_map(|snapshot| snapshot.apps.values()).flat_map(|app| app.releases.values());
    let bytes = |release: &std::sync::Arc<crate::registry::Release>| match &release.state {
        State::Loaded(contract) => contract.definition_bytes.whole_bytes() as u64,
        State::Refused(_) => 0,
    };
    releases.map(bytes).sum()
}

impl Folder {
    pub(super) fn look(what: &'static str, path: &Path, wanted_bytes: u64) -> Self {
        // A program makes what is missing, in the nearest folder that is there.
        let there = path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
        let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
        let unwritable = if path.exists() && !path.is_dir() {
            Some("it is no folder".to_owned())
        } else {
            tempfile::tempfile_in(there).err().map(|error| error.to_string())
        };
        let free = rustix::fs::statvfs(there).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize));
        Self { what, path: path.to_owned(), unwritable, free_bytes: free, wanted_bytes }
    }
}

impl Watch {
    fn look(root: &Path) -> Self {
        use notify::Watcher as _;
        let watcher = notify::recommended_watcher(|_event: notify::Result<notify::Event>| {});
        let refused = watcher.and_then(|mut watcher| watcher.watch(root, notify::RecursiveMode::Recursive)).err();
        Self { refused: refused.map(|error| error.to_string()), silent: silent(root), folders: count(root) }
    }
}

/// File systems by the number that Linux gives them.
fn silent(root: &Path) -> Option<&'static str> {
    let kind = u64::try_from(rustix::fs::statfs(root).ok()?.f_type).ok()? & 0xFFFF_FFFF;
    match kind {
        0x6969 => Some("NFS"),
        0xFE53_4D42 | 0xFF53_4D42 | 0x517B => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

fn count(root: &Path) -> usize {
    let (mut left, mut found) = (vec![root.to_owned()], 0);
    while let Some(folder) = left.pop() {
        found += 1;
        if found >= FOLDERS_MAX {
            break;
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        left.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    found
}

/// The least of the computer's memory and of what control groups (version 2, then 1) leave this process.
fn memory_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = read("/proc/meminfo").and_then(|text| {
        let line =
            text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim().to_owned();
        line.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let group = read("/proc/self/cgroup").and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
        let path = format!("/sys/fs/cgroup{path}/memory.max");
        read(&path).or_else(|| read("/sys/fs/cgroup/memory.max"))
    });
    let group = group.or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    [total, group].into_iter().flatten().min()
}

/// Whether a gateway could listen there. `running` says what answers at an address already.
pub(super) fn addresses(config: &Config, running: &dyn Fn(std::net::SocketAddr) -> bool) -> Vec<Check> {
    let mut wanted = vec![("server.listen", config.server.listen)];
    if let AdminListen::At(address) = config.admin.listen {
        wanted.push(("admin.listen", address));
    }
    let check = |(key, address): (&str, std::net::SocketAddr)| match std::net::TcpListener::bind(address) {
        Ok(_free) => Check::good("address_taken", format!("{key} {address} is free to listen on")),
        Err(_) if running(address) => Check::good("address_taken", format!("{key} {address}: a gateway runs there")),
        Err(error) => Check::bad("address_taken", format!("{key}: cannot listen on {address}: {error}"))
            .hint(format!("stop what holds it (`ss -ltnp` tells), or set {key}")),
    };
    wanted.into_iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::live::Outcome;

    use Outcome::{Error, Success, Warning};

    fn outcomes(facts: &Facts, config: &Config) -> Vec<(&'static str, Outcome)> {
        judge(facts, config, None).into_iter().map(|check| (check.id, check.result)).collect()
    }

    fn folder(free: u64, unwritable: Option<&str>) -> Folder {
        let unwritable = unwritable.map(str::to_owned);
        Folder { what: "artifacts", path: "a".into(), unwritable, free_bytes: Some(free), wanted_bytes: 0 }
    }

    #[test]
    fn a_small_computer_is_told_what_is_short_and_a_large_one_that_all_is_well() {
        let small = Facts {
            descriptors: Some(1024),
            cores: 1,
            memory_bytes: Some(256 << 20),
            folders: vec![folder(10 << 20, None), folder(500 << 20, None), folder(1 << 40, Some("no right"))],
            watch: Some(Watch { refused: Some("no space left".to_owned()), silent: None, folders: 9 }),
        };
        assert_eq!(
            outcomes(&small, &Config::default()),
            [
                ("descriptor_limit", Warning),
                ("cores_few", Warning),
                ("memory_short", Warning),
                ("disk_low", Error),
                ("disk_low", Warning),
                ("folder_unwritable", Error),
                ("watch_limit", Warning),
            ]
        );
        assert!(judge(&small, &Config::default(), None).iter().all(|check| check.hint.is_some()));
        let large = Facts {
            descriptors: Some(1 << 20),
            cores: 8,
            memory_bytes: Some(16 << 30),
            folders: vec![folder(1 << 40, None)],
            watch: Some(Watch { folders: 9, ..Watch::default() }),
        };
        assert!(outcomes(&large, &Config::default()).iter().all(|(_, outcome)| *outcome == Success));
        let tiny = Facts { descriptors: Some(256), ..large };
        assert_eq!(outcomes(&tiny, &Config::default())[0], ("descriptor_limit", Error));
    }
}
