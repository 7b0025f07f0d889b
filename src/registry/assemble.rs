//! From what is held to a [`Snapshot`]: a pure function, so that equal registries give equal snapshots.
//!
//! Invariants: a fault refuses the version, or the app, that it is in, and nothing else. A definition name stays with the app that had
//! it. An alias moves only to a version that is ready.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::policy::Policy;
use contract::{Contract, Digest, Fault, Position};
use jiff::Timestamp;
use semver::Version;
use sha2::{Digest as _, Sha256};

use super::events::{Draft, Kind};
use super::held::{Entry, Held, Thing};
use super::plan::Place;
use super::snapshot::{App, Refused, Release, Snapshot, State};

/// A snapshot, and what of the policies is not followed yet.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) snapshot: Snapshot,
    /// Aliases that stay where they were.
    pub(super) held_aliases: Vec<HeldAlias>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldAlias {
    pub(super) app_id: String,
    pub(super) alias: String,
    /// Where it stays; none: `stable` stays unpinned.
    pub(super) at: Option<Version>,
    pub(super) wanted: Version,
    pub(super) fault: Fault,
}

/// What a snapshot is made from, beside what is held.
pub(super) struct Around<'a> {
    pub(super) strays: &'a [Fault],
    /// The snapshot that is replaced.
    pub(super) before: Option<&'a Snapshot>,
    /// Whether a contract can be solved at this moment.
    pub(super) ready: &'a dyn Fn(&Arc<Contract>) -> bool,
    pub(super) now: Timestamp,
}

pub(super) fn assemble(held: &Held, around: &Around<'_>) -> Assembled {
    let mut apps: BTreeMap<String, App> = BTreeMap::new();
    let (mut tenants, mut faults) = (Arc::default(), around.strays.to_vec());
    let mut refused_policies: BTreeMap<&str, &[Fault]> = BTreeMap::new();
    // Policies sort before versions, so that an app's policy is known when its versions come.
    for (place, entry) in &held.entries {
        match (place, &entry.thing) {
            (_, Thing::Tenants(found)) => tenants = Arc::clone(found),
            (Place::Tenants, Thing::Refused(found)) => faults.extend(found.iter().cloned()),
            (Place::Policy { app_id }, thing) => {
                let policy = match thing {
                    Thing::Policy(policy) => Some(Arc::clone(policy)),
                    Thing::Refused(found) => {
                        refused_policies.insert(app_id, found);
                        None
                    }
                    Thing::Tenants(_) | Thing::Contract(_) => None,
                };
                let (app_id, aliases, releases) = (app_id.clone(), BTreeMap::new(), BTreeMap::new());
                apps.insert(app_id.clone(), App { app_id, policy, aliases, releases });
            }
            (Place::Version { app_id, version }, _) => {
                // A version without a policy entry waits for it: the scan that finds the folder finds both.
                let Some(app) = apps.get_mut(app_id) else { continue };
                let of_policy = refused_policies.get(app_id.as_str()).copied().unwrap_or_default();
                let state = state(place, entry, app.policy.as_deref(), of_policy);
                let (app_id, version) = (app_id.clone(), version.clone());
                let release = Release { app_id, version: version.clone(), since: entry.since, state };
                app.releases.insert(version, Arc::new(release));
            }
            (Place::Tenants, Thing::Policy(_) | Thing::Contract(_)) => {}
        }
    }
    let owners = own_definitions(&mut apps, around);
    let mut held_aliases = Vec::new();
    for app in apps.values_mut() {
        app.aliases = aliases(app, around, &mut held_aliases);
    }
    let digest = digest(held, &apps);
    let generation = around.before.map_or(1, |before| before.generation + 1);
    let apps = apps.into_iter().map(|(app_id, app)| (app_id, Arc::new(app))).collect();
    let snapshot = Snapshot { digest, generation, loaded_at: around.now, apps, tenants, faults, owners };
    Assembled { snapshot, held_aliases }
}

// === impl HeldAlias ===

impl HeldAlias {
    pub(super) fn draft(&self) -> Draft {
        let (app_id, version) = (Some(self.app_id.clone()), Some(self.alias.clone()));
        let (from, to) = (self.at.as_ref().map(Version::to_string), Some(self.wanted.to_string()));
        Draft { app_id, version, from, to, ..Draft::of(Kind::AliasHeld) }.because(self.fault.message.clone())
    }
}

fn state(place: &Place, entry: &Entry, policy: Option<&Policy>, of_policy: &[Fault]) -> State {
    let faults = match &entry.thing {
        Thing::Contract(contract) => match policy {
            Some(policy) if policy.deny_scripts && !contract.definition.scripts.is_empty() => {
                let count = contract.definition.scripts.len();
                let message = format!("the app's policy denies scripts, and the definition has {count}");
                vec![fault(&place.path().join(&contract.manifest.file), "scripts_denied", message)]
            }
            Some(_) => return State::Loaded(Arc::clone(contract)),
            None => of_policy.to_vec(),
        },
        Thing::Refused(faults) => [of_policy, faults].concat(),
        Thing::Tenants(_) | Thing::Policy(_) => Vec::new(),
    };
    State::Refused(Refused { faults })
}

/// Gives each definition name to the app that had it before, else to the first, in order of app id, that has it; versions of other
/// apps that claim it as well are refused.
fn own_definitions(apps: &mut BTreeMap<String, App>, around: &Around<'_>) -> BTreeMap<String, String> {
    let claims = |app: &App, definition: &str| app.releases.values().any(|release| release.definition() == definition);
    let before = around.before.iter().flat_map(|before| &before.owners);
    let kept = before.filter(|(definition, app_id)| apps.get(*app_id).is_some_and(|app| claims(app, definition)));
    let mut owners: BTreeMap<String, String> = kept.map(|(name, app_id)| (name.clone(), app_id.clone())).collect();
    for app in apps.values_mut() {
        for release in app.releases.values_mut() {
            let definition = release.definition().to_owned();
            let owner = owners.entry(definition.clone()).or_insert_with(|| app.app_id.clone());
            if *owner == app.app_id {
                continue;
            }
            let place = Place::Version { app_id: app.app_id.clone(), version: release.version.clone() };
            let message = format!("the definition name `{definition}` belongs to the app `{owner}`");
            let taken = fault(&place.path().join("manifest.json"), "definition_taken", message);
            let refused = State::Refused(Refused { faults: vec![taken] });
            let (app_id, version, since) = (release.app_id.clone(), release.version.clone(), release.since);
            *release = Arc::new(Release { app_id, version, since, state: refused });
        }
    }
    owners
}

/// Where the app's aliases lead. One that should move to what is not ready stays, where its old target is still there.
fn aliases(app: &App, around: &Around<'_>, held: &mut Vec<HeldAlias>) -> BTreeMap<String, Version> {
    let mut aliases = BTreeMap::new();
    let before = around.before.and_then(|before| before.apps.get(&app.app_id));
    let loaded = |version: &Version| app.releases.get(version).and_then(|release| release.contract());
    for (alias, wanted) in app.policy.iter().flat_map(|policy| &policy.aliases) {
        let at = before.and_then(|before| before.aliases.get(alias));
        let stays = match (before, at) {
            (_, Some(at)) => at != wanted && loaded(at).is_some(),
            // Without a pin `stable` already leads to something that is ready, or will be.
            (Some(before), None) => {
                alias == "stable" && before.releases.values().any(|old| loaded(&old.version).is_some())
            }
            (None, None) => false,
        };
        if !stays || loaded(wanted).is_some_and(around.ready) {
            aliases.insert(alias.clone(), wanted.clone());
            continue;
        }
        let stays_at = at.map_or_else(|| "the highest that is ready".to_owned(), Version::to_string);
        let message = format!("`{alias}` should lead to {wanted}, which is not ready: it stays at {stays_at}");
        let fault = fault(&Place::Policy { app_id: app.app_id.clone() }.path(), "alias_held", message);
        let (app_id, alias) = (app.app_id.clone(), alias.clone());
        aliases.extend(at.map(|at| (alias.clone(), at.clone())));
        held.push(HeldAlias { app_id, alias, at: at.cloned(), wanted: wanted.clone(), fault });
    }
    aliases
}

/// Over everything that decides how requests are served.
fn digest(held: &Held, apps: &BTreeMap<String, App>) -> Digest {
    let mut digest = Sha256::new();
    digest.update(b"appserver snapshot 2\n");
    for (place, entry) in &held.entries {
        digest.update(format!("{place} {} {}\n", entry.digest, entry.is_good()));
    }
    for app in apps.values() {
        let aliases = app.aliases.iter().map(|(alias, version)| format!("{} {alias} {version}\n", app.app_id));
        aliases.for_each(|line| digest.update(line));
        for release in app.releases.values() {
            let served = release.contract().is_some();
            digest.update(format!("{} {} {served}\n", app.app_id, release.version));
        }
    }
    Digest(digest.finalize().into())
}

fn fault(file: &Path, rule: &'static str, message: String) -> Fault {
    Fault::new(rule, file, Position::START, message)
}
