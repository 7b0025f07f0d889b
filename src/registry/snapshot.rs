//! The registry as loaded: apps, their policies, their releases, and the tenants. Immutable.
//!
//! Invariant: a definition name belongs to one app, and every look-up is a pure function of the snapshot.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use contract::digest::Digest;
use contract::fault::Fault;
use contract::policy::Policy;
use contract::{Contract, fault};
use jiff::Timestamp;
use semver::Version;

use super::Tenants;

/// All that is served, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Over everything that was loaded: the same files give the same digest.
    pub digest: Digest,
    /// Counts the snapshots of this process, from 1.
    pub generation: u64,
    pub loaded_at: Timestamp,
    pub apps: BTreeMap<String, Arc<App>>,
    pub tenants: Arc<Tenants>,
    /// What lies beside the versions and should not be there.
    pub faults: Vec<Fault>,
    /// Which app a definition name belongs to.
    pub(super) owners: BTreeMap<String, String>,
}

/// One product line.
#[derive(Debug)]
pub struct App {
    pub app_id: String,
    /// None where `policy.json` is faulty: then every release is refused, as nothing would limit it.
    pub policy: Option<Arc<Policy>>,
    /// Where the policy's aliases lead. One whose new target is not ready stays at its old one.
    pub aliases: BTreeMap<String, Version>,
    pub releases: BTreeMap<Version, Arc<Release>>,
}

/// One version of an app's contract, as it was found.
#[derive(Debug)]
pub struct Release {
    pub app_id: String,
    pub version: Version,
    pub since: Timestamp,
    pub state: State,
}

#[derive(Debug)]
pub enum State {
    Loaded(Arc<Contract>),
    Refused(Refused),
}

/// Why a version is not served.
#[derive(Debug)]
pub struct Refused {
    /// Never empty, in order of file and line.
    pub faults: Vec<Fault>,
}

/// A name that the snapshot does not hold, and the nearest one that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub similar: Option<String>,
}

/// Names on either side of one that is not there, and versions of one app, among which a similar one is looked for.
const BESIDE: usize = 64;

// === impl Snapshot ===

impl Snapshot {
    /// Before anything was loaded.
    pub(super) fn empty(loaded_at: Timestamp) -> Self {
        let (apps, tenants, faults, owners) = (BTreeMap::new(), Arc::default(), Vec::new(), BTreeMap::new());
        Self { digest: Digest::of(""), generation: 0, loaded_at, apps, tenants, faults, owners }
    }

    /// The app that a definition belongs to.
    pub fn owner(&self, definition: &str) -> Option<&Arc<App>> {
        self.apps.get(self.owners.get(definition)?)
    }

    /// The definition name nearest to `word` among those of the apps that `may` lets through. In a large registry only the names that
    /// would stand beside it are looked at, so that asking for what is not there costs the same whatever there is.
    pub fn similar_definition(&self, word: &str, may: impl Fn(&str) -> bool) -> Option<String> {
        let before = self.owners.range::<str, _>((Unbounded, Excluded(word))).rev().take(BESIDE);
        let known = before.chain(self.owners.range::<str, _>((Included(word), Unbounded)).take(BESIDE));
        let known = known.filter(|(_, app_id)| may(app_id)).map(|(definition, _)| definition.as_str());
        fault::closest(word, known).map(str::to_owned)
    }

    /// Every release, in order of app and version.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.apps.values().flat_map(|app| app.releases.values())
    }
}

// === impl App ===

impl App {
    /// The release that a version or an alias stands for. `stable` without a pin is the highest release, pre-releases
    /// left out, that is `ready`; where none is, the highest that loaded.
    ///
    /// # Errors
    /// When there is no such version or alias.
    pub fn resolve(
        &self,
        definition: &str,
        word: &str,
        ready: impl Fn(&Arc<Contract>) -> bool,
    ) -> Result<&Arc<Release>, Unknown> {
        let of_definition = |release: &&Arc<Release>| release.definition() == definition;
        if let Ok(version) = Version::parse(word) {
            let exact = self.releases.get(&version).filter(of_definition);
            return exact.ok_or_else(|| self.unknown(word));
        }
        if let Some(pinned) = self.aliases.get(word) {
            return self.releases.get(pinned).filter(of_definition).ok_or_else(|| self.unknown(word));
        }
        if word != "stable" {
            return Err(self.unknown(word));
        }
        let stable =
            || self.releases.values().rev().filter(of_definition).filter(|release| release.version.pre.is_empty());
        let ready = stable().find(|release| release.contract().is_some_and(&ready));
        let loaded = || stable().find(|release| release.contract().is_some());
        ready.or_else(loaded).or_else(|| stable().next()).ok_or_else(|| self.unknown(word))
    }

    /// Whether the app's policy lets it call a definition.
    pub fn may_call(&self, definition: &str) -> bool {
        self.policy
            .as_ref()
            .is_some_and(|policy| policy.allowed_definitions.iter().any(|allowed| allowed == definition))
    }

    /// The aliases of the app, `stable` among them whether it is pinned or not.
    pub fn aliases(&self, ready: impl Fn(&Arc<Contract>) -> bool) -> BTreeMap<String, Version> {
        let mut aliases = self.aliases.clone();
        if !aliases.contains_key("stable")
            && let Some(last) = self.releases.values().next_back()
            && let Ok(release) = self.resolve(last.definition(), "stable", ready)
        {
            aliases.insert("stable".to_owned(), release.version.clone());
        }
        aliases
    }

    fn unknown(&self, word: &str) -> Unknown {
        let versions: Vec<String> = self.releases.keys().rev().take(2 * BESIDE).map(Version::to_string).collect();
        let aliases = self.aliases.keys().map(String::as_str);
        let known = versions.iter().map(String::as_str).chain(aliases).chain(["stable"]);
        Unknown { similar: fault::closest(word, known).map(str::to_owned) }
    }
}

// === impl Release ===

impl Release {
    pub fn contract(&self) -> Option<&Arc<Contract>> {
        match &self.state {
            State::Loaded(contract) => Some(contract),
            State::Refused(_) => None,
        }
    }

    /// The definition's public name. A refused version whose manifest could not be read goes by its app's name.
    pub fn definition(&self) -> &str {
        self.contract().map_or(&self.app_id, |contract| &contract.manifest.definition)
    }
}
