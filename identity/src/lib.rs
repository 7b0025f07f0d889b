//! Who calls: tokens of an identity provider, checked by the keys that it publishes.
//!
//! Invariant: a token is believed only if a key that its issuer publishes signed it, with the one algorithm of that key; nothing
//! in a token can name a key, a place to fetch one from, or an algorithm of its own choice.

mod claims;
mod fetch;
mod keys;
mod mint;
mod token;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use claims::{Claims, Identity, Rules};
pub use fetch::{Bounds, Jwks};
pub use keys::KeySet;
pub use mint::Issuer;

/// Why a token was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The reason is for the log: a caller is told no more than that the token does not do.
    #[error("{0}")]
    Refused(&'static str),
    /// There is no key to check it by: the issuer could not be asked, or not for too long.
    #[error("the issuer's keys are not to be had")]
    NoKeys,
}

/// Checks tokens of one issuer.
#[derive(Debug, Clone)]
pub struct Verifier {
    rules: std::sync::Arc<Rules>,
    keys: Jwks,
}

// === impl Verifier ===

impl Verifier {
    pub fn new(rules: Rules, keys: Jwks) -> Self {
        Self { rules: rules.into(), keys }
    }

    /// Who holds the token.
    ///
    /// # Errors
    /// When it is not believed. A key that is not known is asked for, within the bounds of [`Jwks`].
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        let token = token::parse(token).map_err(Error::Refused)?;
        let keys = match self.keys.current() {
            Some(keys) if keys.has(token.kid()) => keys,
            known => match self.keys.refresh(token.kid()).await {
                Some(keys) if keys.has(token.kid()) => keys,
                Some(_) => return Err(Error::Refused("no published key has this `kid`")),
                None if known.is_some() => return Err(Error::Refused("no published key has this `kid`")),
                None => return Err(Error::NoKeys),
            },
        };
        keys.check(&token).map_err(Error::Refused)?;
        claims::read(&self.rules, token.claims(), now()).map_err(Error::Refused)
    }

    /// Whether there are keys to check tokens by. Asks for them where there are none, within the bounds.
    pub async fn is_ready(&self) -> bool {
        self.keys.current().is_some() || self.keys.refresh("").await.is_some()
    }
}

/// Whether a credential has the form of a token, which no service key has: three parts with dots between them.
pub fn is_token(credential: &str) -> bool {
    credential.split('.').count() == 3
}

/// Seconds since 1970, as tokens count them.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
