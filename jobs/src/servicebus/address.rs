//! Where a namespace of Service Bus is, and by which right it is used: what a connection string says.
//!
//! Invariant: the key is in no text that this module gives, but in a token's signature.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Error;

/// AMQP over TLS, and without it for stand-ins on one computer.
const PORT_TLS: u16 = 5671;
const PORT_PLAIN: u16 = 5672;

/// A namespace and a shared access key.
#[derive(Clone)]
pub struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// The one queue that the key is for, where the string says so.
    entity: Option<String>,
    key_name: String,
    key: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Address").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Everything but the characters that RFC 3986 leaves as they are.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            out.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
    }
    out
}

fn unfit(why: &str) -> Error {
    // The string has a key in it, so it is not repeated.
    Error::Unfit(format!("the connection string of Service Bus {why}"))
}

impl Address {
    /// Reads `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`, with `EntityPath` or `UseDevelopmentEmulator` or without.
    ///
    /// # Errors
    /// When a part is missing or cannot be read.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mut endpoint, mut key_name, mut key, mut entity, mut emulator) = (None, None, None, None, false);
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| unfit("has a part without `=`"))?;
            match name.to_ascii_lowercase().as_str() {
                "endpoint" => endpoint = Some(value),
                "sharedaccesskeyname" => key_name = Some(value.to_owned()),
                "sharedaccesskey" => key = Some(value.to_owned()),
                "entitypath" => entity = Some(value.to_owned()),
                "usedevelopmentemulator" => emulator = value.eq_ignore_ascii_case("true"),
                _ => return Err(unfit("has a part that is not known: give a shared access key by name")),
            }
        }
        let endpoint = endpoint.ok_or_else(|| unfit("has no Endpoint"))?;
        let rest = endpoint
            .strip_prefix("sb://")
            .ok_or_else(|| unfit("has an Endpoint that begins otherwise than `sb://`"))?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok().ok_or_else(|| unfit("has a port that is no number"))?)),
            None => (authority, None),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(unfit("has an Endpoint without a host"));
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(if emulator { PORT_PLAIN } else { PORT_TLS }),
            tls: !emulator,
            entity,
            key_name: key_name.ok_or_else(|| unfit("has no SharedAccessKeyName"))?,
            key: key.ok_or_else(|| unfit("has no SharedAccessKey"))?,
        })
    }

    /// Whether the key is for this queue, as far as the string says.
    pub(super) fn is_for(&self, queue: &str) -> bool {
        self.entity.as_deref().is_none_or(|entity| entity.eq_ignore_ascii_case(queue))
    }

    /// What a token is for: a queue of this namespace.
    pub(super) fn audience(&self, queue: &str) -> String {
        format!("sb://{}/{queue}", self.host)
    }

    /// A token for an audience that is good until so long after 1970, by Azure's rules for shared access signatures.
    pub(super) fn token(&self, audience: &str, until: Duration) -> String {
        let (resource, until) = (encoded(audience), until.as_secs());
        // A key of any length is one.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()) else { return String::new() };
        mac.update(format!("{resource}\n{until}").as_bytes());
        let signature = encoded(&STANDARD.encode(mac.finalize().into_bytes()));
        format!("SharedAccessSignature sr={resource}&sig={signature}&se={until}&skn={}", encoded(&self.key_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "Endpoint=sb://studio.servicebus.windows.net/;SharedAccessKeyName=jobs;SharedAccessKey=aGVsbG8gd29ybGQ=";

    #[test]
    fn a_connection_string_is_read_and_its_key_is_shown_nowhere() {
        let address = Address::parse(GOOD).unwrap();
        assert_eq!((address.host.as_str(), address.port, address.tls), ("studio.servicebus.windows.net", 5671, true));
        assert_eq!(address.key, "aGVsbG8gd29ybGQ=", "a key ends in `=`");
        assert!(!format!("{address:?}").contains("aGVs"));
        let local =
            "Endpoint=sb://127.0.0.1:45690;SharedAccessKeyName=x;SharedAccessKey=eA==;UseDevelopmentEmulator=true;";
        let address = Address::parse(local).unwrap();
        assert_eq!((address.host.as_str(), address.port, address.tls), ("127.0.0.1", 45690, false));
        for bad in [
            "",
            "Endpoint",
            "Endpoint=http://x;SharedAccessKeyName=a;SharedAccessKey=hunter2",
            "Endpoint=sb://;SharedAccessKeyName=a;SharedAccessKey=hunter2",
            "Endpoint=sb://x:y;SharedAccessKeyName=a;SharedAccessKey=hunter2",
            "Endpoint=sb://a b;SharedAccessKeyName=a;SharedAccessKey=hunter2",
            "Endpoint=sb://x;SharedAccessKey=hunter2",
            "Endpoint=sb://x;SharedAccessKeyName=a",
            "Endpoint=sb://x;SharedAccessSignature=hunter2",
        ] {
            let said = Address::parse(bad).unwrap_err().to_string();
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_token_is_signed_as_azure_wants_it() {
        // Worked out by hand with another program: HMAC-SHA256 of the encoded audience, a line feed and the time.
        let token = Address::parse(GOOD)
            .unwrap()
            .token("sb://studio.servicebus.windows.net/jobs-sitefit", Duration::from_hours(500_000));
        assert_eq!(token, EXPECTED);
    }

    const EXPECTED: &str = "SharedAccessSignature sr=sb%3A%2F%2Fstudio.servicebus.windows.net%2Fjobs-sitefit&sig=PHu%2BSG6rJY85ZHnwohDfDDQY7OKaXflrcjJbyXh7y7E%3D&se=1800000000&skn=jobs";
}
