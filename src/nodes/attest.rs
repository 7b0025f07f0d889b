//! What a node has installed, and what of it a contract lacks there.
//!
//! Invariant: a node that has not said what it has attests nothing. Names and versions are compared as the node
//! reports them; the node reports no file digests, so those of a contract are not compared here.

use contract::digest::Digest;
use contract::json;
use contract::plugins;
use serde_json::Value;

use super::warm::Warmth;
use crate::rhino::client::{Client, Failure};

/// What a node says it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Rhino and plug-ins, as contracts compare them.
    pub set: plugins::Installed,
    /// The version of Rhino.Compute; for people.
    pub compute: Option<String>,
}

impl Installed {
    /// The hash of all that is installed, in the normal form of a contract's requirements: equal for nodes that have
    /// the same, and only for them.
    pub fn hash(&self) -> Digest {
        let plugin = |(name, version): (&String, &String)| plugins::Plugin {
            name: name.clone(),
            version: version.clone(),
            sha256: None,
        };
        let all = self.set.plugins.iter().map(plugin).collect();
        plugins::Plugins { rhino: self.set.rhino.clone(), plugins: all }.requires_hash()
    }

    /// What of the required set is not here, or is here in another version; empty exactly where the node attests.
    pub fn lacks(&self, required: &plugins::Plugins) -> Vec<String> {
        let attested = required.attest(&self.set);
        let differs = attested.differs.iter();
        let differs = differs.map(|other| format!("{} {} (has {})", other.name, other.required, other.installed));
        attested.missing.iter().cloned().chain(differs).collect()
    }
}

/// How far the nodes meet a contract's requirements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attestation {
    /// Nodes in service that have all that is required.
    pub ready: usize,
    /// Nodes of which it is known what they have.
    pub known: usize,
    /// All nodes.
    pub total: usize,
    /// What the node lacks that comes closest; empty where one lacks nothing, or none is known.
    pub missing: Vec<String>,
    /// What the version's own examples have shown.
    pub warmth: Warmth,
}

impl Attestation {
    /// Whether a node in service has all that is required, and the version has shown that it works.
    pub fn is_ready(&self) -> bool {
        self.ready > 0 && self.warmth == Warmth::Warm
    }
}

/// Why a node could not be asked; for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It could not be reached.
    #[error("{path}: {failure}")]
    Failed {
        /// What was asked for.
        path: &'static str,
        /// What happened.
        failure: Failure,
    },
    /// It gave no such document.
    #[error("{path}: status {status}, and not the JSON object that is due")]
    Document {
        /// What was asked for.
        path: &'static str,
        /// What came with it.
        status: u16,
    },
}

/// Asks a node what it has. **Wakes a child**, and takes as long as one needs to start.
///
/// Cancel safety: dropping it loses nothing.
pub async fn ask(client: &Client) -> Result<Installed, AskError> {
    let version = document(client, "version").await?;
    let word = |name| version.get(name).and_then(Value::as_str).map(str::to_owned);
    let rhino = word("rhino").ok_or(AskError::Document { path: "version", status: 200 })?;
    let set = plugins::Installed { rhino, ..plugins::Installed::default() };
    let mut installed = Installed { set, compute: word("compute") };
    for path in ["plugins/rhino/installed", "plugins/gh/installed"] {
        for (name, version) in document(client, path).await? {
            let Some(version) = version.as_str() else { return Err(AskError::Document { path, status: 200 }) };
            installed.set.plugins.insert(name, version.to_owned());
        }
    }
    Ok(installed)
}

/// A JSON object by GET. The status is no help: older proxies answer a failed GET with 200.
async fn document(client: &Client, path: &'static str) -> Result<serde_json::Map<String, Value>, AskError> {
    /// Some thousand plug-ins.
    const BYTES: usize = 256 * 1024;
    let reply = client.get(path, BYTES).await.map_err(|failure| AskError::Failed { path, failure })?;
    match json::parse(&reply.body, &json::Limits::default()) {
        Ok(Value::Object(object)) if reply.status == 200 => Ok(object),
        Ok(_) | Err(_) => Err(AskError::Document { path, status: reply.status }),
    }
}
