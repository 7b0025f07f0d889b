//! How far a version number moves, and how far it has to.
//!
//! The rules are those of cargo: left of the first number that is not zero nothing promises anything, so `0.1` to `0.2` is a
//! major step, `0.1.0` to `0.1.1` may add, and each `0.0.x` stands alone.

use std::fmt;

use semver::Version;
use serde::Serialize;

/// A step from one version to the next, by what callers must expect of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bump {
    /// Nothing that callers see.
    Patch,
    /// More than before, and all of that.
    Minor,
    /// Callers have to look at it.
    Major,
}

// === impl Bump ===

impl Bump {
    pub const ALL: [Self; 3] = [Self::Patch, Self::Minor, Self::Major];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }

    /// What the step from `old` to `new` announces; none where `new` is not the later one.
    ///
    /// Whoever called a pre-release was promised nothing, so the step from one is a major one.
    pub fn announced(old: &Version, new: &Version) -> Option<Self> {
        if new <= old {
            return None;
        }
        let major = new.major != old.major
            || !old.pre.is_empty()
            || (old.major == 0 && (new.minor != old.minor || (old.minor == 0 && new.patch != old.patch)));
        Some(match major {
            true => Self::Major,
            // Below 1.0 the last number is the only one left for additions.
            false if new.minor != old.minor || old.major == 0 => Self::Minor,
            false => Self::Patch,
        })
    }

    /// The least version after `old` that announces this step.
    pub fn next(self, old: &Version) -> Version {
        let (major, minor, patch) = (old.major, old.minor, old.patch);
        if !old.pre.is_empty() {
            return Version::new(major, minor, patch);
        }
        match (self, major, minor) {
            (Self::Major, 0, 0) | (Self::Minor | Self::Patch, 0, _) | (Self::Patch, ..) => {
                Version::new(major, minor, patch.saturating_add(1))
            }
            (Self::Major, 0, _) | (Self::Minor, ..) => Version::new(major, minor.saturating_add(1), 0),
            (Self::Major, ..) => Version::new(major.saturating_add(1), 0, 0),
        }
    }
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_announces_what_cargo_takes_it_for() {
        for (old, new, announced) in [
            ("1.2.3", "1.2.4", Some(Bump::Patch)),
            ("1.2.3", "1.3.0", Some(Bump::Minor)),
            ("1.2.3", "2.0.0", Some(Bump::Major)),
            ("0.1.2", "0.1.3", Some(Bump::Minor)),
            ("0.1.2", "0.2.0", Some(Bump::Major)),
            ("0.0.2", "0.0.3", Some(Bump::Major)),
            ("0.9.0", "1.0.0", Some(Bump::Major)),
            ("1.2.3", "1.3.0-rc.1", Some(Bump::Minor)),
            ("1.3.0-rc.1", "1.3.0", Some(Bump::Major)),
            ("1.2.3", "1.2.3", None),
            ("1.2.3", "1.2.2", None),
            ("1.2.3", "1.2.3-rc.1", None),
        ] {
            let version = |text: &str| text.parse::<Version>().unwrap();
            assert_eq!(Bump::announced(&version(old), &version(new)), announced, "{old} → {new}");
        }
    }

    #[test]
    fn the_next_version_announces_at_least_its_step() {
        for old in ["1.2.3", "0.3.1", "0.0.4", "2.0.0-rc.1", "0.0.0"] {
            let old: Version = old.parse().unwrap();
            for bump in Bump::ALL {
                let next = bump.next(&old);
                assert!(Bump::announced(&old, &next) >= Some(bump), "{old} {bump}: {next}");
            }
        }
        assert_eq!(Bump::Minor.next(&Version::new(1, 2, 3)), Version::new(1, 3, 0));
        assert_eq!(Bump::Major.next(&Version::new(0, 3, 1)), Version::new(0, 4, 0));
    }
}
