//! Links to one blob, for one verb, until one moment.
//!
//! A local folder's links are ours: an HMAC over everything that they grant. Azure's are its shared access signatures.
//!
//! Invariant: nothing in a link can be changed, or moved to another blob, verb or time, without the key.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use object_store::path::Path as BlobPath;
use object_store::signer::Signer as _;
use sha2::Sha256;

use super::{Artifacts, Error, Links};
use crate::Artifact;

/// The longest that a link may last.
pub const LAST_MAX: Duration = Duration::from_hours(24);

/// What a link allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Put,
}

/// A link that was signed.
#[derive(Debug, Clone)]
pub struct Link {
    /// Below the job API's base, or absolute.
    pub url: String,
    pub until: Timestamp,
}

/// The query of a link of ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkQuery {
    /// Seconds since 1970.
    pub until: i64,
    /// The media type that the content is answered with.
    #[serde(rename = "type")]
    pub media_type: String,
    pub sig: String,
}

/// A link that grants nothing: altered, for something else, or over. Which of these is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is not valid")]
pub struct Refused;

/// The key of our own links. Whoever has it can read every blob.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl LinkKey {
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// For one process and its restarts only: links do not outlive it.
    pub fn random() -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        key[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        Self(key)
    }

    fn mac(&self, verb: Verb, path: &str, query: (i64, &str)) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("an HMAC takes a key of any length");
        // None of these has a NUL in it, so the fields cannot be shifted into one another.
        for part in ["artifact link 1", verb.as_str(), path, &query.0.to_string(), query.1] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LinkKey(..)")
    }
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

impl Artifacts {
    /// Signs a link that lasts so long, at most [`LAST_MAX`].
    pub async fn link(&self, artifact: &Artifact, verb: Verb, lasts: Duration) -> Result<Link, Error> {
        let lasts = lasts.min(LAST_MAX);
        let until = Timestamp::now() + lasts;
        let url = match &self.links {
            Links::Own { key, base } => {
                let seconds = until.as_second();
                let mac = key.mac(verb, &artifact.path, (seconds, &artifact.media_type));
                let sig = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
                let media_type = escape(&artifact.media_type);
                format!("{base}/{}?until={seconds}&type={media_type}&sig={sig}", artifact.path)
            }
            Links::Azure(store) => {
                let path = BlobPath::parse(&artifact.path).map_err(|error| Error::Store(error.into()))?;
                // The verb's own type is inferred, so that nothing here has to know HTTP.
                let method = verb.as_str().parse().expect("it is the name of a method");
                store.signed_url(method, &path, lasts).await?.to_string()
            }
        };
        Ok(Link { url, until })
    }

    /// Checks a link of ours. Azure answers its own, so there every link that comes here is refused.
    pub fn check_link(&self, verb: Verb, path: &str, query: &LinkQuery, now: Timestamp) -> Result<(), Refused> {
        let Links::Own { key, .. } = &self.links else { return Err(Refused) };
        if path.contains('\0') || query.media_type.contains('\0') {
            return Err(Refused);
        }
        let sig = URL_SAFE_NO_PAD.decode(&query.sig).ok().ok_or(Refused)?;
        // Compared in constant time.
        key.mac(verb, path, (query.until, &query.media_type)).verify_slice(&sig).ok().ok_or(Refused)?;
        if now.as_second() < query.until { Ok(()) } else { Err(Refused) }
    }
}

/// A media type in a query: `+`, `;` and the like mean something there.
fn escape(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
