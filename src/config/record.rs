//! `[record]`: whether and how much of callers' inputs is kept.
//!
//! Invariant: nothing is recorded that nobody could read, and nothing is read without a key.

use serde::{Deserialize, Serialize};

use super::{Admin, AdminListen};

/// What is kept of callers' inputs, for `can-roll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// 0 records nothing.
    pub inputs_per_version: usize,
    pub bytes_per_version: usize,
    pub bytes_max: usize,
}

/// A sample that is larger takes long to read and says no more.
const RECORDED_INPUTS_MAX: usize = 10_000;
const RECORDED_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Default for Record {
    fn default() -> Self {
        Self { inputs_per_version: 0, bytes_per_version: 1024 * 1024, bytes_max: 64 * 1024 * 1024 }
    }
}

impl Record {
    /// All that is wrong with it, and with the key that opens it.
    pub(super) fn check(&self, admin: &Admin) -> Vec<String> {
        let mut faults = Vec::new();
        if !admin.key_sha256.is_empty() && admin.key().is_none() {
            faults.push(
                "`admin.key_sha256` is `sha256:` and 64 lower-case hex digits, as `appserver key` prints".to_owned(),
            );
        }
        if self.inputs_per_version == 0 {
            return faults;
        }
        if admin.listen == AdminListen::Off || admin.key_sha256.is_empty() {
            faults.push(
                "`record.inputs_per_version` needs `admin.listen` and `admin.key_sha256`: nobody could read what is recorded".to_owned(),
            );
        }
        if self.inputs_per_version > RECORDED_INPUTS_MAX {
            faults.push(format!("`record.inputs_per_version` must be at most {RECORDED_INPUTS_MAX}"));
        }
        if !(1..=RECORDED_BYTES_MAX).contains(&self.bytes_per_version) {
            faults.push(format!("`record.bytes_per_version` must be at least 1 and at most {RECORDED_BYTES_MAX}"));
        }
        if self.bytes_max < self.bytes_per_version {
            faults.push("`record.bytes_max` must be at least `record.bytes_per_version`".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_recorded_that_nobody_could_read() {
        let on = Record { inputs_per_version: 10, ..Record::default() };
        let key = Admin { key_sha256: contract::Digest::of("k").to_string(), ..Admin::default() };
        let listen = AdminListen::At(([127, 0, 0, 1], 3001).into());
        assert_eq!(Record::default().check(&Admin::default()), [""; 0]);
        assert_eq!(on.check(&Admin::default()).len(), 1);
        assert_eq!(on.check(&key).len(), 1);
        assert_eq!(on.check(&Admin { listen, ..key.clone() }), [""; 0]);
        assert_eq!(on.check(&Admin { listen, key_sha256: "a word".to_owned() }).len(), 1);
        let greedy = Record { inputs_per_version: 20_000, bytes_per_version: 0, bytes_max: 0 };
        assert_eq!(greedy.check(&Admin { listen, ..key }).len(), 2);
    }
}
