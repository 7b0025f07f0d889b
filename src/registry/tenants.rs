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

    /// A4: how near a wrong key comes to a right one does not show in how long it takes to say no.
    mod slow {
        use std::hint::black_box;
        use std::time::Instant;

        use super::*;

        /// A key as `appserver key` makes them.
        const RIGHT: &str = "as_Q2hhbmdlLW1lLW5vdC1hLXJlYWwta2V5LWF0LWFsbCE";
        const SAMPLES: usize = 1_000_000;

        /// Numbers that look like chance.
        struct Dice(u64);

        impl Dice {
            fn roll(&mut self) -> u64 {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                self.0
            }

            /// As long as a key, and nothing like it.
            fn far(&mut self) -> String {
                (0..RIGHT.len()).map(|_| char::from(b'a' + u8::try_from(self.roll() % 26).unwrap())).collect()
            }

            /// Wrong in its last characters only.
            fn near(&mut self) -> String {
                let far = self.far();
                format!("{}{}", &RIGHT[..RIGHT.len() - 3], &far[..3])
            }
        }

        /// Welch's t of how long the two kinds take, asked in an order of chance, without the slowest tenth, which is the machine's own.
        fn difference(check: impl Fn(&str) -> bool) -> f64 {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
            let kinds: [Vec<String>; 2] =
                [(0..256).map(|_| dice.near()).collect(), (0..256).map(|_| dice.far()).collect()];
            let mut times: [Vec<u64>; 2] = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
            // All are read from one place, because where a text lies shows in the time, too.
            let mut key = String::with_capacity(RIGHT.len());
            while times.iter().any(|of| of.len() < SAMPLES) {
                let roll = dice.roll();
                let kind = usize::from(roll & 1 == 1);
                key.clear();
                key.push_str(&kinds[kind][usize::try_from(roll >> 8 & 0xff).unwrap()]);
                let began = Instant::now();
                assert!(!black_box(check(black_box(&key))));
                let took = u64::try_from(began.elapsed().as_nanos()).unwrap();
                if times[kind].len() < SAMPLES {
                    times[kind].push(took);
                }
            }
            let mut all = times.concat();
            let (_, most, _) = all.select_nth_unstable(SAMPLES * 2 * 9 / 10);
            let figures = times.map(|of| {
                let kept: Vec<f64> = of
                    .iter()
                    .filter(|took| *took <= most)
                    .map(|took| f64::from(u32::try_from(*took).unwrap()))
                    .collect();
                let count = f64::from(u32::try_from(kept.len()).unwrap());
                let mean = kept.iter().sum::<f64>() / count;
                (mean, kept.iter().map(|took| (took - mean).powi(2)).sum::<f64>() / (count - 1.0) / count)
            });
            let [(near, near_error), (far, far_error)] = figures;
            eprintln!("A4: near {near:.1} ns, far {far:.1} ns");
            (near - far) / (near_error + far_error).sqrt()
        }

        #[test]
        #[ignore = "slow: four million looks, timed"]
        fn a4_the_time_of_a_refusal_does_not_tell_how_near_a_key_was() {
            let digest = Digest::of(RIGHT);
            let text = format!(r#"{{"tenants":{{"studio":{{"apps":[],"keys":[{{"id":"k","sha256":"{digest}"}}]}}}}}}"#);
            let tenants = check(&text).unwrap();
            assert!(tenants.find(RIGHT).is_some());
            let ours = difference(|key| tenants.find(key).is_some());
            // One that compares from left to right, which this is to find.
            let careless = difference(|key| key.bytes().zip(RIGHT.bytes()).all(|(a, b)| black_box(a) == black_box(b)));
            eprintln!("A4: t {ours:.2}; of a comparison from left to right {careless:.2}");
            assert!(ours.abs() < 4.5, "{ours}");
            assert!(careless.abs() > 4.5, "this would not notice: {careless}");
        }
    }
}
