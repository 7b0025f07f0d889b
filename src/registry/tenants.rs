//! Who may call: tenants, the apps they may use, and their service keys as SHA-256 digests.
//!
//! Invariant: no key is held in the clear, and a look-up takes the same time whatever part of a key is right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use contract::json::spans;
use contract::source::Source;
use contract::{Digest, Fault};
use jiff::Timestamp;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// All tenants, found by key.
#[derive(Debug, Default)]
pub struct Tenants {
    apps: BTreeMap<String, BTreeSet<String>>,
    /// By the first eight bytes of the digest: what they tell of a key is what its SHA-256 tells, which is nothing.
    keys: HashMap<[u8; 8], Vec<Key>>,
}

/// A service key: who holds it, and what it is for.
#[derive(Debug, Clone)]
pub struct Key {
    /// The operator's name for the key; it may stand in logs.
    pub id: String,
    pub tenant: String,
    /// The one app that the key is bound to, if it is.
    pub app_id: Option<String>,
    pub role: Role,
    /// From this moment on the key is refused.
    pub expires: Option<Timestamp>,
    digest: [u8; 32],
}

/// What a caller is, which decides the lane that its solves take when it names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A program: the batch lane.
    #[default]
    Service,
    /// A person: the preview lane.
    User,
    /// A program that does what tenants have queued: the batch lane, for the tenant that it names.
    Worker,
}

/// `tenants.json` as it is written.
#[derive(Debug, Deserialize)]
struct File {
    tenants: BTreeMap<String, TenantEntry>,
}

#[derive(Debug, Deserialize)]
struct TenantEntry {
    apps: BTreeSet<String>,
    #[serde(default)]
    keys: Vec<KeyEntry>,
}

#[derive(Debug, Deserialize)]
struct KeyEntry {
    id: String,
    sha256: Digest,
    #[serde(default)]
    app_id: Option<String>,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    expires: Option<Timestamp>,
}

// === impl Tenants ===

impl Tenants {
    /// The key whose digest is that of `presented`, compared in constant time, unless it has expired.
    pub fn find(&self, presented: &str) -> Option<&Key> {
        let Digest(digest) = Digest::of(presented);
        let near = self.keys.get(&head(&digest))?;
        let key = near.iter().find(|key| bool::from(key.digest.ct_eq(&digest)))?;
        key.expires.is_none_or(|expires| Timestamp::now() < expires).then_some(key)
    }

    /// Whether a tenant may use an app.
    pub fn may_use(&self, tenant: &str, app_id: &str) -> bool {
        self.apps.get(tenant).is_some_and(|apps| apps.contains(app_id))
    }

    /// How many service keys there are.
    pub fn key_count(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }
}

fn head(digest: &[u8; 32]) -> [u8; 8] {
    std::array::from_fn(|index| digest[index])
}

/// Reads `tenants.json` from its bytes.
///
/// # Errors
/// All faults of the file, each with its place; a key bound to an app that its tenant may not use is one.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Tenants, Vec<Fault>> {
    let source = Source::parse(file, bytes).map_err(|fault| vec![fault])?;
    let read: File = source.shape("tenants")?;
    let (mut tenants, mut faults) = (Tenants::default(), Vec::new());
    for (tenant, TenantEntry { apps, keys }) in read.tenants {
        for (index, key) in keys.into_iter().enumerate() {
            let pointer = format!("/tenants/{}/keys/{index}", spans::escape(&tenant));
            if let Some(app_id) = key.app_id.as_ref().filter(|app_id| !apps.contains(*app_id)) {
                let message = format!("the key is bound to `{app_id}`, which the tenant may not use");
                faults.push(source.fault("key_app", &format!("{pointer}/app_id"), message));
            }
            let KeyEntry { id, app_id, role, expires, sha256: Digest(digest) } = key;
            let key = Key { id, tenant: tenant.clone(), app_id, role, expires, digest };
            tenants.keys.entry(head(&digest)).or_default().push(key);
        }
        tenants.apps.insert(tenant, apps);
    }
    if faults.is_empty() { Ok(tenants) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Tenants, Vec<String>> {
        read(Path::new("tenants.json"), text.as_bytes()).map_err(|faults| {
            faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.rule)).collect()
        })
    }

    fn file(more: &str) -> String {
        let digest = Digest::of("as_right");
        format!(r#"{{"tenants":{{"studio":{{"apps":["sitefit"],"keys":[{{"id":"k","sha256":"{digest}"{more}}}]}}}}}}"#)
    }

    #[test]
    fn a_key_opens_what_its_digest_stands_for() {
        let tenants = check(&file("")).unwrap();
        let key = tenants.find("as_right").unwrap();
        assert_eq!((key.tenant.as_str(), key.role, tenants.key_count()), ("studio", Role::Service, 1));
        assert!(tenants.find("as_wrong").is_none() && tenants.find("").is_none());
        assert!(tenants.may_use("studio", "sitefit") && !tenants.may_use("studio", "parking"));
        assert!(!tenants.may_use("nobody", "sitefit"));
    }

    #[test]
    fn an_expired_key_opens_nothing() {
        assert!(check(&file(r#","expires":"2001-01-01T00:00:00Z""#)).unwrap().find("as_right").is_none());
        assert!(check(&file(r#","expires":"9000-01-01T00:00:00Z""#)).unwrap().find("as_right").is_some());
    }

    #[test]
    fn a_fault_names_its_place() {
        assert_eq!(check(&file(r#","app_id":"parking""#)).unwrap_err().len(), 1);
        assert!(check(&file(r#","app_id":"parking""#)).unwrap_err()[0].ends_with("key_app"));
        assert!(!check("{}").unwrap_err().is_empty());
        assert!(!check(r#"{"tenants":{"a":{"apps":[]},"a":{"apps":[]}}}"#).unwrap_err().is_empty());
    }
}
