//! From the folder on disk to a [`Snapshot`]: every app, every version, every fault.
//!
//! Invariant: a fault refuses the version, or the app, that it is in, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::policy::Policy;
use contract::{Contract, Digest, Fault, Position};
use jiff::Timestamp;
use semver::Version;
use sha2::{Digest as _, Sha256};

use super::snapshot::{App, Refused, Release, Snapshot, State};
use super::tenants::{self, Tenants};

/// Why there is no snapshot at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the registry at {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("who may call is not clear:\n{}", .0.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n"))]
    Tenants(Vec<Fault>),
}

const TENANTS: &str = "tenants.json";
const TENANTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads everything below `root`. Blocks.
pub(super) fn load(root: &Path, generation: u64) -> Result<Snapshot, Error> {
    let contracts = root.join("contracts");
    let loaded_at = Timestamp::now();
    let tenants = tenants(root)?;
    let mut digest = Sha256::new();
    digest.update(b"appserver snapshot 1\n");
    let (mut apps, mut faults) = (BTreeMap::new(), Vec::new());
    for (app_id, folder) in folders(&contracts)? {
        if !is_app_id(&app_id) {
            faults.push(fault(
                &folder,
                root,
                "app_id",
                format!("`{app_id}` is not an app id: a-z, 0-9 and -, at most 63"),
            ));
            continue;
        }
        let app = load_app(root, &app_id, &folder, loaded_at, &mut faults)?;
        for release in app.releases.values() {
            digest.update(line(release));
        }
        apps.insert(app_id, app);
    }
    let owners = own_definitions(&mut apps);
    let apps = apps.into_iter().map(|(app_id, app)| (app_id, Arc::new(app))).collect();
    let digest = Digest(digest.finalize().into());
    Ok(Snapshot { digest, generation, loaded_at, apps, tenants, faults, owners })
}

/// What a release adds to the snapshot's digest.
fn line(release: &Release) -> String {
    let content = match &release.state {
        State::Loaded(contract) => contract.digest.to_string(),
        State::Refused(refused) => refused.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"),
    };
    format!("{} {} {content}\n", release.app_id, release.version)
}

fn load_app(root: &Path, app_id: &str, folder: &Path, since: Timestamp, strays: &mut Vec<Fault>) -> Result<App, Error> {
    let policy = Policy::load(&folder.join("policy.json"));
    let policy = policy.and_then(|policy| {
        let right = policy.app_id == app_id;
        let say = || format!("the policy is for `{}`, but lies in the folder of `{app_id}`", policy.app_id);
        if right { Ok(policy) } else { Err(vec![fault(&folder.join("policy.json"), root, "policy_app_id", say())]) }
    });
    let mut releases = BTreeMap::new();
    for (name, folder) in folders(folder)? {
        let Ok(version) = Version::parse(&name) else {
            strays.push(fault(
                &folder,
                root,
                "version_folder",
                format!("`{name}` is not a SemVer version such as 1.0.0"),
            ));
            continue;
        };
        let loaded = match (&policy, Contract::load(&folder)) {
            (Ok(policy), Ok(contract)) if policy.deny_scripts && !contract.definition.scripts.is_empty() => {
                let file = folder.join(&contract.manifest.file);
                let count = contract.definition.scripts.len();
                let message = format!("the app's policy denies scripts, and the definition has {count}");
                Err(vec![fault(&file, root, "scripts_denied", message)])
            }
            (Ok(_), Ok(contract)) => Ok(contract),
            (Err(of_policy), Ok(_)) => Err(of_policy.clone()),
            (Ok(_), Err(of_version)) => Err(below(of_version, root, &folder)),
            (Err(of_policy), Err(of_version)) => Err([of_policy.clone(), below(of_version, root, &folder)].concat()),
        };
        let state = match loaded {
            Ok(contract) => State::Loaded(Arc::new(contract)),
            Err(faults) => State::Refused(Refused { faults }),
        };
        let release = Release { app_id: app_id.to_owned(), version: version.clone(), since, state };
        releases.insert(version, Arc::new(release));
    }
    Ok(App { app_id: app_id.to_owned(), policy: policy.ok().map(Arc::new), releases })
}

/// Gives each definition name to the first app, in order of app id, that has it; versions of other apps that claim it as well are
/// refused.
fn own_definitions(apps: &mut BTreeMap<String, App>) -> BTreeMap<String, String> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for app in apps.values_mut() {
        for release in app.releases.values_mut() {
            let definition = release.definition().to_owned();
            let owner = owners.entry(definition.clone()).or_insert_with(|| app.app_id.clone());
            if *owner == app.app_id {
                continue;
            }
            let file = Path::new("contracts").join(&app.app_id).join(release.version.to_string()).join("manifest.json");
            let message = format!("the definition name `{definition}` belongs to the app `{owner}`");
            let taken = fault(&file, Path::new(""), "definition_taken", message);
            let refused = State::Refused(Refused { faults: vec![taken] });
            let (app_id, version, since) = (release.app_id.clone(), release.version.clone(), release.since);
            *release = Arc::new(Release { app_id, version, since, state: refused });
        }
    }
    owners
}

/// The folders in a folder, by name; what begins with a dot is left out, files are other readers' business.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A symlink is no folder here: a version must lie where it seems to lie.
        if entry.file_type().map_err(unreadable)?.is_dir() && !name.starts_with('.') {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn tenants(root: &Path) -> Result<Tenants, Error> {
    let path = root.join(TENANTS);
    let unreadable = |source| Error::Unreadable { path: path.clone(), source };
    match std::fs::metadata(&path) {
        // No file: nobody holds a key, which an open gateway does not need.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tenants::default()),
        Err(source) => return Err(unreadable(source)),
        Ok(metadata) if metadata.len() > TENANTS_BYTES_MAX => {
            let too_large = format!("larger than {TENANTS_BYTES_MAX} bytes");
            return Err(Error::Tenants(vec![fault(&path, root, "file_too_large", too_large)]));
        }
        Ok(_) => {}
    }
    let text = std::fs::read(&path).map_err(unreadable)?;
    tenants::read(Path::new(TENANTS), &text).map_err(Error::Tenants)
}

fn is_app_id(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 63
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Faults of one folder, with their files named from the registry's root.
fn below(faults: Vec<Fault>, root: &Path, folder: &Path) -> Vec<Fault> {
    let folder = folder.strip_prefix(root).unwrap_or(folder);
    faults.into_iter().map(|fault| Fault { file: folder.join(&fault.file), ..fault }).collect()
}

fn fault(path: &Path, root: &Path, rule: &'static str, message: String) -> Fault {
    let file = path.strip_prefix(root).unwrap_or(path).to_owned();
    Fault::new(rule, &file, Position { line: 1, column: 1 }, message)
}
