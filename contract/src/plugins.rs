//! `plugins.json`: the Rhino and the plug-ins that a version needs, and their attestation hash.
//!
//! A node attests a version exactly if its installed set, reduced to the names the version requires, has the same
//! normal form. `docs/plugins-hash.md` defines that form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::Digest;
use crate::fault::Fault;
use crate::source::Source;

/// What a version requires of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Plugins {
    /// The leading parts of the Rhino version, such as `8` or `8.11`.
    pub rhino: String,
    pub plugins: Vec<Plugin>,
}

/// A required plug-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// As nodes report it: the assembly name.
    pub name: String,
    /// Exactly this one.
    pub version: String,
    /// SHA-256 of the plug-in file in hex, compared where a node reports file digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a node says it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The full Rhino version, such as `8.11.24254.15001`.
    pub rhino: String,
    /// Plug-in name to version.
    pub plugins: BTreeMap<String, String>,
    /// Plug-in name to the SHA-256 of its file in hex, where the node reports it.
    pub sha256: BTreeMap<String, String>,
}

/// What a node's installed set is worth to a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attestation {
    /// The hash of the node's set, reduced to what the version requires.
    pub hash: Digest,
    /// Required names that the node does not have, sorted.
    pub missing: Vec<String>,
    /// What the node has in another form, Rhino first, then by name.
    pub differs: Vec<Difference>,
}

/// A thing that the node has otherwise than required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `Rhino`, or the name of a plug-in.
    pub name: String,
    pub required: String,
    pub installed: String,
}

// === impl Plugins ===

impl Plugins {
    /// Reads the file.
    pub fn read(source: &Source<'_>) -> Result<Self, Vec<Fault>> {
        let plugins: Self = source.shape("plugins")?;
        let mut faults = Vec::new();
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (index, plugin) in plugins.plugins.iter().enumerate() {
            // Two spellings of one name would be two entries for one installed plug-in.
            if let Some(first) = seen.insert(plugin.name.to_lowercase(), &plugin.name) {
                let message = format!("`{}` is required twice, first as `{first}`", plugin.name);
                faults.push(source.fault("plugin_duplicate", &format!("/plugins/{index}/name"), message));
            }
        }
        let stated = source.value().get("requires_plugins_hash").and_then(|stated| stated.as_str());
        let actual = plugins.requires_hash().to_string();
        if let Some(stated) = stated.filter(|stated| faults.is_empty() && *stated != actual) {
            let message = format!("the stated hash is {stated}, but this list has another");
            let fault = source.fault("plugins_hash_wrong", "/requires_plugins_hash", message);
            faults.push(fault.help(format!("the hash of this list is {actual}; leave the key out if nobody reads it")));
        }
        if faults.is_empty() { Ok(plugins) } else { Err(faults) }
    }

    /// `requires_plugins_hash`: the hash of this set's normal form.
    pub fn requires_hash(&self) -> Digest {
        let plugins = self.plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.version.as_str()));
        normal_hash(&self.rhino, plugins)
    }

    /// Reduces a node's set to what is required, and says what is missing or differs.
    ///
    /// `attestation.attests()` is true exactly if the reduced set has the required hash and no file digest differs.
    pub fn attest(&self, installed: &Installed) -> Attestation {
        let parts = self.rhino.split('.').count();
        let rhino = installed.rhino.trim().split('.').take(parts).collect::<Vec<_>>().join(".");
        let mut required: Vec<&Plugin> = self.plugins.iter().collect();
        required.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut missing, mut differs, mut reduced) = (Vec::new(), Vec::new(), Vec::new());
        if rhino != self.rhino {
            differs.push(Difference {
                name: "Rhino".to_owned(),
                required: self.rhino.clone(),
                installed: installed.rhino.clone(),
            });
        }
        for plugin in required {
            let Some(version) = installed.plugins.get(&plugin.name) else {
                missing.push(plugin.name.clone());
                continue;
            };
            reduced.push((plugin.name.as_str(), version.as_str()));
            let mut differ = |required: &str, installed: &str| {
                if required != installed {
                    let (required, installed) = (required.to_owned(), installed.to_owned());
                    differs.push(Difference { name: plugin.name.clone(), required, installed });
                }
            };
            differ(&plugin.version, version);
            if let (Some(required), Some(installed)) = (&plugin.sha256, installed.sha256.get(&plugin.name)) {
                differ(&format!("file sha256:{required}"), &format!("file sha256:{}", installed.to_lowercase()));
            }
        }
        Attestation { hash: normal_hash(&rhino, reduced), missing, differs }
    }
}

/// SHA-256 of the RFC 8785 form of `{"plugins":[{"name","version"}, … by name],"rhino"}`.
fn normal_hash<'p>(rhino: &str, plugins: impl IntoIterator<Item = (&'p str, &'p str)>) -> Digest {
    let mut plugins: Vec<_> = plugins.into_iter().collect();
    plugins.sort_unstable();
    let plugins: Vec<_> = plugins.iter().map(|(name, version)| json!({ "name": name, "version": version })).collect();
    Digest::of_json(&json!({ "plugins": plugins, "rhino": rhino })).expect("strings always have an RFC 8785 form")
}

// === impl Attestation ===

impl Attestation {
    /// Whether the node may solve the version.
    pub fn attests(&self) -> bool {
        self.missing.is_empty() && self.differs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// The set of the worked example in `docs/plugins-hash.md`.
    fn example() -> Plugins {
        let plugin = |name: &str, version: &str, sha256: Option<&str>| Plugin {
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: sha256.map(str::to_owned),
        };
        Plugins {
            rhino: "8".to_owned(),
            plugins: vec![plugin("Pufferfish", "3.0.0.0", None), plugin("LadybugX", "1.2.0", Some(&"ab".repeat(32)))],
        }
    }

    fn node(rhino: &str, plugins: &[(&str, &str)]) -> Installed {
        let plugins = plugins.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
        Installed { rhino: rhino.to_owned(), plugins, sha256: BTreeMap::new() }
    }

    const GOOD: [(&str, &str); 3] = [("LadybugX", "1.2.0"), ("Pufferfish", "3.0.0.0"), ("Other", "9")];

    #[test]
    fn the_documented_example_gives_the_documented_hash() {
        let page = include_str!("../../docs/plugins-hash.md");
        let command = page.lines().find(|line| line.starts_with("printf ")).unwrap();
        let normal = command.split('\'').nth(3).unwrap();
        let hash = example().requires_hash();
        assert_eq!(hash, Digest::of(normal));
        assert!(page.contains(&hash.hex()), "the page lacks {hash}");

        // The same with the tool that the page tells people to use, on machines that have it.
        let shell = Command::new("sh").args(["-c", command]).stderr(Stdio::null()).output();
        if let Some(output) = shell.ok().filter(|output| output.status.success() && !output.stdout.is_empty()) {
            assert_eq!(String::from_utf8_lossy(&output.stdout).split_whitespace().next(), Some(hash.hex().as_str()));
        }
    }

    #[test]
    fn a_node_with_more_than_required_attests() {
        let attestation = example().attest(&node("8.11.24254.15001", &GOOD));
        assert_eq!(attestation.hash, example().requires_hash());
        assert!(attestation.attests());
    }

    #[test]
    fn the_hash_matches_exactly_if_nothing_is_missing_or_differs() {
        for (rhino, plugins, missing, differs) in [
            ("8.11.1", &GOOD[..], vec![], vec![]),
            ("8.11.1", &GOOD[..1], vec!["Pufferfish"], vec![]),
            ("8.11.1", &[("ladybugx", "1.2.0"), GOOD[1]][..], vec!["LadybugX"], vec![]),
            ("8.11.1", &[("LadybugX", "1.2.1"), GOOD[1]][..], vec![], vec!["LadybugX"]),
            ("7.36.1", &GOOD[..], vec![], vec!["Rhino"]),
            ("80.1.1", &GOOD[..], vec![], vec!["Rhino"]),
            ("", &[][..], vec!["LadybugX", "Pufferfish"], vec!["Rhino"]),
        ] {
            let attestation = example().attest(&node(rhino, plugins));
            let names: Vec<_> = attestation.differs.iter().map(|difference| difference.name.as_str()).collect();
            assert_eq!(
                (&attestation.missing, &names),
                (&missing.iter().map(|name| (*name).to_owned()).collect(), &differs)
            );
            assert_eq!(attestation.hash == example().requires_hash(), attestation.attests(), "{rhino} {plugins:?}");
        }
    }

    #[test]
    fn rhino_is_compared_in_as_many_parts_as_the_version_states() {
        let plugins = Plugins { rhino: "8.11".to_owned(), plugins: Vec::new() };
        for (rhino, attests) in
            [("8.11", true), ("8.11.24254.15001", true), ("8.1", false), ("8.110", false), ("8", false)]
        {
            assert_eq!(plugins.attest(&node(rhino, &[])).attests(), attests, "{rhino}");
        }
    }

    #[test]
    fn file_digests_count_where_the_node_reports_them() {
        let mut installed = node("8.11.1", &GOOD);
        installed.sha256.insert("LadybugX".to_owned(), "AB".repeat(32));
        assert!(example().attest(&installed).attests());
        installed.sha256.insert("LadybugX".to_owned(), "cd".repeat(32));
        let attestation = example().attest(&installed);
        assert_eq!(attestation.hash, example().requires_hash());
        assert!(!attestation.attests());
    }
}
