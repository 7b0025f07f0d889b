//! Instance ids that depend on names alone, so that the same source writes the same bytes everywhere.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// The id of a named thing inside a named definition: an RFC 9562 version 8 UUID, its free bits taken from the SHA-256
/// of both names.
pub(super) fn of(definition: &str, name: &str) -> Uuid {
    let digest = Sha256::digest(format!("grasshopper definition {definition}\n{name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
