//! An issuer of one's own, for one computer and for tests: a key that lives as long as the process, and tokens by it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{KeySet, Rules, now};

/// Signs tokens with ES256.
#[derive(Debug)]
pub struct Issuer {
    key: EncodingKey,
    kid: String,
    name: String,
    audience: String,
}

// === impl Issuer ===

impl Issuer {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(kid: &str, issuer: &str, audience: &str) -> Result<Self, &'static str> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_unspecified| "no key can be made")?;
        Ok(Self {
            key: EncodingKey::from_ec_der(made.as_ref()),
            kid: kid.to_owned(),
            name: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// What the issuer publishes.
    ///
    /// # Errors
    /// When the key cannot be written down, which no key of [`new`](Self::new) is.
    pub fn jwks(&self) -> Result<Value, &'static str> {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).map_err(|_unwritable| "no key to publish")?;
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(JwkSet { keys: vec![jwk] }).map_err(|_unwritable| "no key to publish")
    }

    /// The same, as it is held by who checks.
    ///
    /// # Errors
    /// As [`jwks`](Self::jwks).
    pub fn keys(&self) -> Result<KeySet, &'static str> {
        KeySet::read(self.jwks()?.to_string().as_bytes())
    }

    /// The rules that its tokens keep.
    pub fn rules(&self) -> Rules {
        let (issuer, audience) = (self.name.clone(), self.audience.clone());
        Rules { issuer, audience, leeway_sec: 0, claims: crate::Claims::default() }
    }

    /// A token for a user of a tenant, in Supabase's layout; for all apps of the tenant unless some are named.
    ///
    /// # Errors
    /// When the key does not sign, which no key of [`new`](Self::new) does.
    pub fn token(
        &self,
        subject: &str,
        tenant: &str,
        apps: Option<&[&str]>,
        for_sec: u64,
    ) -> Result<String, &'static str> {
        let mut claims = json!({
            "iss": self.name, "aud": self.audience, "sub": subject, "iat": now(), "exp": now() + for_sec,
            "app_metadata": { "tenant_id": tenant },
        });
        if let Some(apps) = apps {
            claims["app_metadata"]["apps"] = json!(apps);
        }
        self.sign(&claims)
    }

    /// A token with claims of one's own.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub fn sign(&self, claims: &Value) -> Result<String, &'static str> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_unsigned| "the key does not sign")
    }
}
