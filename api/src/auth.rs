//! Who asks, and in which app.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, header};
use identity::Identity;
use jobs::{AppId, Scope, Tenant};

use crate::{Api, Error, observe};

/// A caller who is known, acting for an app that its token opens.
#[derive(Debug)]
pub struct Caller {
    pub scope: Scope,
    identity: Identity,
}

/// The scope of a request: the tenant of its token, and the app of its address.
///
/// # Errors
/// Without a good token; for an app that the token does not open, or that is not served here.
pub(crate) async fn scope(api: &Api, headers: &HeaderMap, app_id: &str) -> Result<Caller, Error> {
    let identity = user(api, headers).await?;
    let forbidden = || Error::AppForbidden { app_id: app_id.chars().take(64).collect() };
    let app = AppId::new(app_id).map_err(|_unnamed| forbidden())?;
    let served = api.parts.only.as_ref().is_none_or(|only| *only == app);
    let opened = identity.apps.as_ref().is_none_or(|apps| apps.contains(app_id));
    if !served || !opened {
        return Err(forbidden());
    }
    let tenant = Tenant::new(&identity.tenant).map_err(|_unnamed| Error::Unauthenticated)?;
    observe::note(|ledger| drop(ledger.tenant.set(tenant.to_string())));
    Ok(Caller { scope: Scope::new(tenant, app), identity })
}

async fn user(api: &Api, headers: &HeaderMap) -> Result<Identity, Error> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let verified = api.parts.verifier.verify(token.ok_or(Error::Unauthenticated)?).await;
    verified.map_err(|error| match error {
        identity::Error::Refused(reason) => {
            tracing::info!(reason, "a token is refused");
            Error::Unauthenticated
        }
        identity::Error::NoKeys => Error::IssuerUnreachable,
    })
}

// === impl Caller ===

impl Caller {
    /// How long the token is in force yet: nobody follows events for longer.
    pub(crate) fn remaining(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Duration::from_secs(self.identity.expires).saturating_sub(now)
    }
}
