//! The three parts of a token, read in one way only.
//!
//! Invariant: what is not exactly `header.claims.signature` in canonical base64url, with a header that asks for nothing special, is
//! refused before any key is looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::json::{self, Limits};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

/// Supabase's tokens take 1 KiB; a head of requests takes 16.
const BYTES_MAX: usize = 8192;
const KID_BYTES_MAX: usize = 256;
const LIMITS: Limits =
    Limits { bytes: BYTES_MAX, nodes: 2048, growth: 16, depth: 16, keys_per_object: 256, string_bytes: BYTES_MAX };

/// Members of a header that would change how the token is read, or bring a key along.
const SPECIAL: [&str; 11] = ["crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c", "epk", "p2c"];

/// A token whose signature has not been looked at.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    algorithm: Algorithm,
    kid: String,
    claims: Map<String, Value>,
    /// What was signed.
    message: &'t str,
    signature: &'t str,
}

/// Reads a token.
pub(crate) fn parse(text: &str) -> Result<Token<'_>, &'static str> {
    if text.len() > BYTES_MAX {
        return Err("the token is too long");
    }
    let (message, signature) = text.rsplit_once('.').ok_or("the token has not three parts")?;
    let (header, claims) = message.split_once('.').ok_or("the token has not three parts")?;
    if claims.contains('.') {
        return Err("the token has more than three parts");
    }
    if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
        return Err("the token's signature is no base64url");
    }
    let header = object(header)?;
    if SPECIAL.iter().any(|name| header.contains_key(*name)) {
        return Err("the token's header asks for what is not done here");
    }
    if !header.get("typ").is_none_or(|typ| typ.as_str().is_some_and(is_jwt)) {
        return Err("the token is not of the type JWT");
    }
    let algorithm = match header.get("alg").and_then(Value::as_str) {
        Some("RS256") => Algorithm::RS256,
        Some("ES256") => Algorithm::ES256,
        Some("EdDSA") => Algorithm::EdDSA,
        _ => return Err("the token's algorithm is not one of RS256, ES256, EdDSA"),
    };
    let kid = header.get("kid").and_then(Value::as_str).filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()));
    let kid = kid.ok_or("the token's header names no key")?.to_owned();
    Ok(Token { algorithm, kid, claims: object(claims)?, message, signature })
}

fn is_jwt(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
}

fn object(part: &str) -> Result<Map<String, Value>, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_undecodable| "a part of the token is no base64url")?;
    match json::parse(&bytes, &LIMITS) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("a part of the token is no object"),
        Err(_unreadable) => Err("a part of the token is no JSON"),
    }
}

// === impl Token ===

impl Token<'_> {
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    pub(crate) fn message(&self) -> &str {
        self.message
    }

    pub(crate) fn signature(&self) -> &str {
        self.signature
    }
}
