//! What two solves must have in common to share an answer.
//!
//! Invariant: everything that an answer depends on, and whoever may see it, is in the key; two solves of one scope have the
//! same key exactly where their canonical inputs have the same bytes.

use contract::digest::Digest;
use contract::policy::CacheScope;
use sha2::{Digest as _, Sha256};

use crate::gateway::stage::Solve;

/// What stands in front of every key. The number changes with anything below or with the meaning of an answer.
const DOMAIN: &str = "appserver solve 1";

/// The ingredients of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Whose answers it is among: one tenant's, or all of the app's.
    pub tenant: Option<&'a str>,
    /// The app that the request acts for, whose cache it is.
    pub app_id: &'a str,
    /// Of all files of the version.
    pub version: &'a Digest,
    pub definition: &'a Digest,
    pub plugins: &'a Digest,
    pub absolute_tolerance: f64,
    pub angle_tolerance_degrees: f64,
    pub model_units: &'a str,
    /// In their one canonical spelling.
    pub inputs: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Of a solve; `scope` says whether other tenants of the app may share its answer.
    pub(super) fn of(solve: &'a Solve, scope: CacheScope) -> Self {
        let (caller, contract) = (solve.caller(), solve.contract());
        Self {
            tenant: match scope {
                CacheScope::Tenant => Some(&caller.tenant),
                CacheScope::App => None,
            },
            app_id: &caller.app_id,
            version: &contract.digest,
            definition: &contract.definition_digest,
            plugins: &contract.requires_plugins_hash,
            absolute_tolerance: contract.manifest.absolute_tolerance,
            angle_tolerance_degrees: contract.manifest.angle_tolerance_degrees,
            model_units: &contract.manifest.model_units,
            inputs: &solve.inputs().bytes,
        }
    }

    /// SHA-256 over the domain and each part, every one of them as `<length in bytes>:<bytes>,`, so that no two lists of
    /// parts have the same spelling.
    pub(super) fn key(&self) -> Digest {
        let mut hasher = Sha256::new();
        let mut write = |bytes: &[u8]| {
            hasher.update(bytes.len().to_string());
            hasher.update(b":");
            hasher.update(bytes);
            hasher.update(b",");
        };
        write(DOMAIN.as_bytes());
        write(if self.tenant.is_some() { b"tenant" } else { b"app" });
        write(self.tenant.unwrap_or_default().as_bytes());
        write(self.app_id.as_bytes());
        for digest in [self.version, self.definition, self.plugins] {
            write(&digest.0);
        }
        write(&self.absolute_tolerance.to_bits().to_be_bytes());
        write(&self.angle_tolerance_degrees.to_bits().to_be_bytes());
        write(self.model_units.as_bytes());
        write(self.inputs);
        Digest(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use contract::Contract;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::rhino::protocol::{Prepared, Source};

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    fn parts() -> Parts<'static> {
        Parts {
            tenant: Some("studio"),
            app_id: "sitefit",
            version: &A,
            definition: &A,
            plugins: &A,
            absolute_tolerance: 0.001,
            angle_tolerance_degrees: 1.0,
            model_units: "Meters",
            inputs: b"{\"a\":1.0}",
        }
    }

    #[test]
    fn k2_any_change_of_what_an_answer_depends_on_is_another_key() {
        let changed = [
            parts(),
            Parts { tenant: Some("kiosk"), ..parts() },
            Parts { tenant: Some(""), ..parts() },
            Parts { tenant: None, ..parts() },
            Parts { app_id: "parking", ..parts() },
            Parts { version: &B, ..parts() },
            Parts { definition: &B, ..parts() },
            Parts { plugins: &B, ..parts() },
            Parts { absolute_tolerance: 0.002, ..parts() },
            Parts { angle_tolerance_degrees: 2.0, ..parts() },
            Parts { model_units: "Feet", ..parts() },
            Parts { inputs: b"{\"a\":2.0}", ..parts() },
            Parts { absolute_tolerance: 1.0, angle_tolerance_degrees: 0.001, ..parts() },
        ];
        let keys: BTreeSet<_> = changed.iter().map(Parts::key).collect();
        assert_eq!(keys.len(), changed.len());
        assert_eq!(parts().key(), parts().key());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn k4_no_byte_moves_over_the_border_of_two_parts(text in "[a-c0-9:,|]{0,12}", at in 0..13usize, to in 0..13usize) {
            let cut = |at: usize| text.split_at(at.min(text.len()));
            let key = |at| {
                let (tenant, app_id) = cut(at);
                let (model_units, inputs) = cut(at);
                [
                    Parts { tenant: Some(tenant), app_id, ..parts() }.key(),
                    Parts { model_units, inputs: inputs.as_bytes(), ..parts() }.key(),
                ]
            };
            let same = cut(at) == cut(to);
            for (a, b) in key(at).into_iter().zip(key(to)) {
                prop_assert_eq!(a == b, same);
            }
        }
    }

    fn sitefit() -> Contract {
        let version = concat!(env!("CARGO_MANIFEST_DIR"), "/registry/contracts/sitefit/1.0.0");
        Contract::load(std::path::Path::new(version)).unwrap()
    }

    /// Spellings of a few numbers that lie close together or are equal.
    fn number() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "30",
            "30.0",
            "3e1",
            "3.0e+1",
            "30.000000000000001",
            "30.00000000000001",
            "31",
            "12.1",
            "12.10000000000000001",
            "1.21e1",
            "40",
            "4E1",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn k3_keys_are_equal_where_canonical_and_upstream_bytes_are(
            first in (number(), number(), any::<bool>()),
            second in (number(), number(), any::<bool>()),
        ) {
            static CONTRACT: LazyLock<(Contract, Prepared)> = LazyLock::new(|| {
                let contract = sitefit();
                let prepared = Prepared::of(&contract);
                (contract, prepared)
            });
            let (contract, prepared) = &*CONTRACT;
            // Order of members, white space and an escape differ as well.
            let check = |(width, depth, turned): (&str, &str, bool)| {
                let text = if turned {
                    format!("{{\"site_depth\":{depth}, \"site\\u005fwidth\" :{width}}}")
                } else {
                    format!("{{\"site_width\":{width},\"site_depth\":{depth}}}")
                };
                let value = contract::json::parse(text.as_bytes(), &contract::json::Limits::default()).unwrap();
                let inputs = contract.check_inputs(&value).unwrap();
                let upstream = prepared.request(&inputs.values, Source::Pointer).unwrap();
                (Parts { inputs: &inputs.bytes, ..parts() }.key(), inputs.bytes.clone(), upstream)
            };
            let (a, b) = (check(first), check(second));
            prop_assert_eq!(a.0 == b.0, a.1 == b.1);
            prop_assert_eq!(a.0 == b.0, a.2 == b.2);
            let equal = |a: &str, b: &str| a.parse::<f64>().unwrap().to_bits() == b.parse::<f64>().unwrap().to_bits();
            prop_assert_eq!(a.0 == b.0, equal(first.0, second.0) && equal(first.1, second.1));
        }
    }

    #[test]
    fn k3_a_default_left_out_and_a_default_said_are_one_solve() {
        let contract = sitefit();
        let key = |inputs: &Value| Parts { inputs: &contract.check_inputs(inputs).unwrap().bytes, ..parts() }.key();
        let least = json!({ "site_width": 30, "site_depth": 40 });
        let mut said = least.clone();
        for (name, schema) in contract.inputs_schema["properties"].as_object().unwrap() {
            if let Some(default) = schema.get("default") {
                said[name] = default.clone();
            }
        }
        assert!(said.as_object().unwrap().len() > 2, "the sample has defaults");
        assert_eq!(key(&least), key(&said));
        said["site_width"] = json!(30.5);
        assert_ne!(key(&least), key(&said));
    }

    /// The two properties above over ten million pairs, on as many threads as there are: the generator and the key, and nothing else.
    /// An unoptimised build tries a hundredth.
    mod slow {
        use std::thread;

        use super::*;

        const PAIRS: u64 = if cfg!(debug_assertions) { 100_000 } else { 10_000_000 };

        /// xorshift64*, from a seed that is not 0.
        struct Random(u64);

        impl Random {
            fn below(&mut self, most: u64) -> u64 {
                self.0 ^= self.0 >> 12;
                self.0 ^= self.0 << 25;
                self.0 ^= self.0 >> 27;
                (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % most
            }
        }

        fn on_all_threads(check: impl Fn(&mut Random) + Sync) {
            let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
            thread::scope(|scope| {
                for thread in 1..=threads {
                    let check = &check;
                    scope.spawn(move || {
                        let mut random = Random(thread.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                        (0..PAIRS.div_ceil(threads)).for_each(|_| check(&mut random));
                    });
                }
            });
        }

        /// One of several spellings of so many thousandths.
        fn spell(thousandths: u64, way: u64) -> String {
            let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
            match way {
                0 => format!("{whole}.{rest:03}"),
                1 => format!("{whole}.{rest:03}000000"),
                2 => format!("{thousandths}e-3"),
                3 => format!("{thousandths}00E-05"),
                4 => format!("0.{thousandths:06}e+3"),
                _ if rest == 0 => whole.to_string(),
                _ => format!("{whole}.{rest:03}e0"),
            }
        }

        #[test]
        #[ignore = "ten million pairs take minutes"]
        fn k3_equal_inputs_have_equal_keys_and_bytes_and_others_have_not() {
            let contract = sitefit();
            let check = |width: u64, depth: u64, ways: u64| {
                let (width, depth) = (spell(width, ways % 6), spell(depth, ways / 6 % 6));
                let text = match ways / 36 {
                    0 => format!("{{\"site_width\":{width},\"site_depth\":{depth}}}"),
                    1 => format!("{{ \"site_depth\" :{depth},\n\"site_width\": {width} }}"),
                    _ => format!("{{\"site_depth\":{depth},\"site\\u005fwidth\":{width}}}"),
                };
                let value = contract::json::parse(text.as_bytes(), &contract::json::Limits::default()).unwrap();
                let inputs = contract.check_inputs(&value).unwrap();
                (Parts { inputs: &inputs.bytes, ..parts() }.key(), inputs.bytes)
            };
            on_all_threads(|random| {
                let (width, depth) = (10_000 + random.below(4), 10_000 + random.below(4));
                let (other_width, other_depth) = (10_000 + random.below(4), 10_000 + random.below(4));
                let (a, b) =
                    (check(width, depth, random.below(108)), check(other_width, other_depth, random.below(108)));
                let same = (width, depth) == (other_width, other_depth);
                assert_eq!((a.0 == b.0, a.1 == b.1), (same, same), "{width} {depth} {other_width} {other_depth}");
            });
        }

        #[test]
        #[ignore = "ten million pairs take minutes"]
        fn k4_no_list_of_parts_is_spelled_like_another() {
            const LETTERS: &[u8] = b"a1:,|";
            on_all_threads(|random| {
                let length = 1 + random.below(8);
                let letter = |_| char::from(LETTERS[usize::try_from(random.below(5)).unwrap()]);
                let text: String = (0..length).map(letter).collect();
                let mut cut = || text.split_at(usize::try_from(random.below(length + 1)).unwrap());
                let (a, b) = (cut(), cut());
                let key = |(tenant, app_id)| Parts { tenant: Some(tenant), app_id, ..parts() }.key();
                assert_eq!(key(a) == key(b), a == b, "{a:?} {b:?}");
            });
        }
    }
}
