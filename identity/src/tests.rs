//! Hostile tokens, hostile claims, and an issuer on a real socket that misbehaves.

mod hostile;
mod issuer;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{Claims, Rules, now};

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn rules() -> Rules {
    Rules {
        issuer: "https://id.example".into(),
        audience: "authenticated".into(),
        leeway_sec: 30,
        claims: Claims::default(),
    }
}

/// Claims that are right in everything.
pub(crate) fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": "authenticated", "sub": "user-1", "exp": now() + 600, "iat": now() - 1,
            "app_metadata": { "tenant_id": "acme", "role": "author" } })
}

/// A key pair of a test, which signs whatever it is told to, however wrong.
pub(crate) enum Pair {
    Rsa(RsaKeyPair),
    Curve(EcdsaKeyPair, &'static str),
    Edwards(Ed25519KeyPair),
}

impl Pair {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn p256() -> Self {
        Self::curve(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")
    }

    pub(crate) fn p384() -> Self {
        Self::curve(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")
    }

    fn curve(algorithm: &'static EcdsaSigningAlgorithm, name: &'static str) -> Self {
        Self::Curve(EcdsaKeyPair::generate(algorithm).unwrap(), name)
    }

    pub(crate) fn edwards() -> Self {
        Self::Edwards(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
                        "n": encode(n.big_endian_without_leading_zero()), "e": encode(e.big_endian_without_leading_zero()) })
            }
            Self::Curve(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "kid": kid, "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Self::Edwards(pair) => {
                json!({ "kty": "OKP", "kid": kid, "crv": "Ed25519", "alg": "EdDSA", "x": encode(pair.public_key()) })
            }
        }
    }

    /// The public key as DER, which an attacker has, too.
    pub(crate) fn der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Curve(pair, _) => pair.public_key().as_ref().to_vec(),
            Self::Edwards(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub(crate) fn signature(&self, message: &str) -> Vec<u8> {
        match self {
            Self::Rsa(_) => self.rsa_signature(&RSA_PKCS1_SHA256, message),
            Self::Curve(pair, _) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        }
    }

    pub(crate) fn pss(&self, message: &str) -> Vec<u8> {
        self.rsa_signature(&RSA_PSS_SHA256, message)
    }

    fn rsa_signature(&self, padding: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
        let Self::Rsa(pair) = self else { panic!("an RSA key only") };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    }

    /// A token with a header and claims as they are given, rightly signed.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.signature(&message));
        format!("{message}.{signature}")
    }
}
