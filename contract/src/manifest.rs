//! `manifest.json`: what a version is called, which file it runs, and within which bounds.

use std::time::Duration;

use semver::{BuildMetadata, Version};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::source::Source;

/// The manifest of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub app_id: String,
    /// The definition's public name.
    pub definition: String,
    pub version: Version,
    /// The Grasshopper file in the same folder.
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What one solve may take on a node, in seconds.
    pub timeout_sec: u32,
    #[serde(default)]
    pub limits: SizeLimits,
    /// The name of a Rhino unit system, such as `Meters`.
    pub model_units: String,
    /// In model units.
    pub absolute_tolerance: f64,
    pub angle_tolerance_degrees: f64,
    /// Whether equal inputs give equal outputs: only then may an answer be kept.
    pub deterministic: bool,
    #[serde(default)]
    pub cache: CacheTimes,
}

/// The sizes of one exchange, in bytes of its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SizeLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
}

/// How long an answer may be kept, in seconds per lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheTimes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_ttl_sec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_ttl_sec: Option<u64>,
}

/// Reads a version as a registry spells it: strict `SemVer` without build metadata.
///
/// Versions that differ in build metadata alone have no order between them, so one of the twins would be out of reach.
pub fn strict_version(text: &str) -> Result<Version, String> {
    let version = Version::parse(text).map_err(|error| format!("`{text}` is not a SemVer version: {error}"))?;
    if version.build == BuildMetadata::EMPTY {
        Ok(version)
    } else {
        Err(format!("`{text}` has build metadata, which orders nothing; leave `+{}` out", version.build))
    }
}

// === impl Manifest ===

impl Manifest {
    /// Reads the file.
    pub fn read(source: &Source<'_>) -> Result<Self, Vec<Fault>> {
        let version = source.value().get("version").and_then(|version| version.as_str());
        let unread = version.and_then(|version| strict_version(version).err());
        let unread = unread.map(|message| source.fault("version_syntax", "/version", message));
        match (source.shape::<Self>("manifest"), unread) {
            (Ok(manifest), None) => Ok(manifest),
            (shape, unread) => {
                let mut faults = shape.err().unwrap_or_default();
                // A version that cannot be read is told once, not again as the shape that it spoils.
                faults.retain(|fault| unread.is_none() || fault.rule != "file_shape");
                faults.extend(unread);
                Err(faults)
            }
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_sec.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_version_is_accepted() {
        for good in ["0.1.0", "1.0.0", "1.10.3", "2.0.0-rc.1"] {
            assert_eq!(strict_version(good).unwrap().to_string(), good);
        }
        let bad = [
            "1",
            "1.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0+build",
            " 1.0.0",
            "1.0.0 ",
            "1.0.x",
            "１.0.0",
            "stable",
            "",
            "1.0.0-01",
            "99999999999999999999.0.0",
            "1.0.0-",
        ];
        for bad in bad {
            assert!(strict_version(bad).is_err(), "{bad}");
        }
    }
}
