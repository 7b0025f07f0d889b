//! The keys of an issuer, each for one algorithm.
//!
//! Invariant: no symmetric key, no key of fewer bits than are safe, and no key for another use than signatures is ever held.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::json::{self, Limits};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::token::Token;

/// Issuers publish two or three; more than this is a mistake or an attack.
const KEYS_MAX: usize = 64;
/// NIST SP 800-131A; aws-lc takes none above the second figure.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const LIMITS: Limits =
    Limits { bytes: 1 << 20, nodes: 20_000, growth: 16, depth: 8, keys_per_object: 64, string_bytes: 64 << 10 };

/// What an issuer published.
#[derive(Debug)]
pub struct KeySet {
    by_kid: HashMap<String, Key>,
}

struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK set. Keys that are of no use here are left out.
    ///
    /// # Errors
    /// When it is no JWK set, or nothing in it is of use.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut set = json::parse(bytes, &LIMITS).map_err(|_unreadable| "it is no JSON")?;
        let Some(Value::Array(keys)) = set.get_mut("keys").map(Value::take) else { return Err("it has no `keys`") };
        let mut by_kid = HashMap::new();
        for jwk in keys.into_iter().take(KEYS_MAX) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(jwk) else { continue };
            let (Some(kid), Some(key)) = (jwk.common.key_id.clone(), usable(&jwk)) else { continue };
            match by_kid.entry(kid) {
                Entry::Vacant(free) => drop(free.insert(key)),
                Entry::Occupied(taken) => {
                    tracing::warn!(kid = taken.key(), "the issuer publishes two keys of one `kid`: the first is used");
                }
            }
        }
        if by_kid.is_empty() { Err("it has no key that is of use") } else { Ok(Self { by_kid }) }
    }

    pub(crate) fn has(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// Whether the key that the token names signed it.
    pub(crate) fn check(&self, token: &Token<'_>) -> Result<(), &'static str> {
        let key = self.by_kid.get(token.kid()).ok_or("no published key has this `kid`")?;
        if key.algorithm != token.algorithm() {
            return Err("the token's algorithm is not its key's");
        }
        match jsonwebtoken::crypto::verify(token.signature(), token.message().as_bytes(), &key.key, key.algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err("the signature is not that of the key"),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The key with the one algorithm that it is for.
fn usable(jwk: &Jwk) -> Option<Key> {
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let verifies = |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
    if !for_signatures || !jwk.common.key_operations.as_ref().is_none_or(verifies) {
        return None;
    }
    let kind = &jwk.algorithm;
    let algorithm = if let AlgorithmParameters::RSA(rsa) = kind
        && RSA_BITS.contains(&bits(&rsa.n)?)
    {
        Algorithm::RS256
    } else if matches!(kind, AlgorithmParameters::EllipticCurve(on) if on.curve == EllipticCurve::P256) {
        Algorithm::ES256
    } else if matches!(kind, AlgorithmParameters::OctetKeyPair(on) if on.curve == EllipticCurve::Ed25519) {
        Algorithm::EdDSA
    } else {
        return None;
    };
    let stated = jwk.common.key_algorithm.as_ref().map(|stated| Algorithm::try_from(*stated).ok());
    let agrees = stated.is_none_or(|stated| stated == Some(algorithm));
    let key = DecodingKey::from_jwk(jwk).ok().filter(|_| agrees)?;
    Some(Key { algorithm, key })
}

/// The length of an unsigned number in base64url, without leading zeros.
fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some((bytes.len() - first) * 8 - bytes[first].leading_zeros() as usize)
}
