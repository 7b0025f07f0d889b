//! SHA-256 digests: of bytes, of JSON values, and of all files of a version folder.
//!
//! Equal digests mean equal content, and the rule of each digest can be followed with `sha256sum` alone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 lower-case hex digits")]
pub struct NotADigest;

/// What stands in front of every version digest, so that it equals no digest of another kind.
const VERSION_DOMAIN: &str = "appserver version 1";

/// The digest of a version folder.
///
/// `files` are (relative path with `/`, SHA-256 of the content), in any order. The rule: sort by the bytes of the
/// path; write the domain `appserver version 1`, then each path and the 64 hex digits of its content's SHA-256, every
/// one of them as `<length in bytes>:<text>,`; take the SHA-256 of it all. `docs/version-digest.md` works an example.
pub fn version<'f>(files: impl IntoIterator<Item = (&'f str, Digest)>) -> Digest {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable();
    let mut hasher = Sha256::new();
    let mut write = |text: &str| hasher.update(format!("{}:{text},", text.len()));
    write(VERSION_DOMAIN);
    for (path, content) in files {
        write(path);
        write(&content.hex());
    }
    Digest(hasher.finalize().into())
}

// === impl Digest ===

impl Digest {
    /// The SHA-256 of the bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The SHA-256 of the value's RFC 8785 form.
    ///
    /// `None` for a value that RFC 8785 has no form for, which `serde_json` cannot hold.
    pub fn of_json(value: &Value) -> Option<Self> {
        serde_json_canonicalizer::to_vec(value).ok().map(Self::of)
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").ok_or(NotADigest)?.as_bytes();
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotADigest),
        };
        let mut digest = [0; 32];
        if hex.len() != 2 * digest.len() {
            return Err(NotADigest);
        }
        for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_writes_and_nothing_else() {
        let digest = Digest::of("abc");
        assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "sha256:", &digest.hex(), &digest.to_string().to_uppercase(), &format!("{digest}0")] {
            assert_eq!(bad.parse::<Digest>(), Err(NotADigest), "{bad}");
        }
    }

    #[test]
    fn a_version_digest_knows_where_a_path_ends() {
        let content = Digest::of("");
        let digest = |paths: &[&str]| version(paths.iter().map(|path| (*path, content)));
        assert_eq!(digest(&["a", "b"]), digest(&["b", "a"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
        assert_ne!(digest(&["a"]), version([("a", Digest::of("x"))]));
    }
}
