//! Who asks, and in which app: the pair that every call of a store is made with.
//!
//! Invariant: a name that exists is short, printable and free of what could be read as a path, so that it may stand in a row, a queue's
//! name, a label and an artifact's path as it is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name of a tenant or an app, in bytes.
pub const NAME_BYTES_MAX: usize = 100;

/// A tenant's name, as in the registry's `tenants.json` or in a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(Arc<str>);

/// An app's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId(Arc<str>);

/// One tenant in one app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    pub tenant: Tenant,
    pub app: AppId,
}

/// A text that names no tenant and no app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to {NAME_BYTES_MAX} ASCII letters, digits, `-`, `_`, `.`, `@` or `:`, and starts with a letter or digit"
)]
pub struct BadName;

impl Scope {
    pub fn new(tenant: Tenant, app: AppId) -> Self {
        Self { tenant, app }
    }
}

fn check(text: &str) -> Result<(), BadName> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= NAME_BYTES_MAX && text.bytes().all(inside) { Ok(()) } else { Err(BadName) }
}

macro_rules! name {
    ($name:ident) => {
        impl $name {
            pub fn new(text: &str) -> Result<Self, BadName> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(Tenant);
name!(AppId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_printable_and_no_paths() {
        let longest = "x".repeat(NAME_BYTES_MAX);
        for good in ["city", "4f0c1c9e-5a0e-4d57-9b55-2f6f6b3b5a55", "studio.eu", "auth0:7", "a@b", longest.as_str()] {
            assert!(Tenant::new(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in ["", ".", "..", "../a", "a/b", "a b", "a\0", "ä", "-a", "a'--", "a\n", too_long.as_str()] {
            assert_eq!(AppId::new(bad), Err(BadName), "{bad:?}");
        }
    }
}
