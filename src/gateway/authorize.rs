//! Routed → Authorized: who asks, for which app, and may they use what they ask for.
//!
//! Invariant: a caller without a key learns nothing of what exists, and to a tenant a definition of an app that it may not use
//! looks as if it did not exist. See `docs/decisions/0001-names-are-not-told.md`.

use std::sync::Arc;
use std::task::{Context, Poll};

use contract::Contract;
use contract::policy::{Describe, Policy};
use http::{HeaderMap, HeaderName, header};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::dialect::Dialect;
use super::route::Asked;
use super::stage::{Action, BoxFuture, Lane, Ledger, Reply, Routed, Ticket};
use super::{Error, cors};
use crate::nodes::Nodes;
use crate::registry::{App, Release, Role, Snapshot};

/// Names the app that a request acts for, where the credential is not bound to one.
pub const APP_ID: HeaderName = HeaderName::from_static("x-app-id");
/// The header in which clients of Rhino.Compute send their key.
pub const COMPUTE_KEY: HeaderName = HeaderName::from_static("rhinocomputekey");

/// How callers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody is one tenant that may use every app. For one computer, or behind something that authenticates.
    Open,
    /// Callers hold a service key of `registry/tenants.json`.
    Keys,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    pub tenant: Arc<str>,
    /// The app whose policy, limits and caches this request uses.
    pub app_id: Arc<str>,
}

/// A request whose caller may use the version that it names, and whose version is there.
#[derive(Debug)]
pub struct Authorized {
    routed: Routed,
    caller: Caller,
    lane: Option<Lane>,
    policy: Arc<Policy>,
    release: Arc<Release>,
    contract: Arc<Contract>,
}

pub fn layer<S>(access: Access, nodes: Nodes) -> impl Layer<S, Service = Authorize<S>> + Clone {
    layer_fn(move |inner| Authorize { inner, access, nodes: nodes.clone() })
}

#[derive(Debug, Clone)]
pub struct Authorize<S> {
    inner: S,
    access: Access,
    /// Asked only for what is ready, which decides where an unpinned `stable` points.
    nodes: Nodes,
}

impl<S> Service<Routed> for Authorize<S>
where
    S: Service<Authorized, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        let (ledger, snapshot) = (Arc::clone(&routed.ticket().ledger), Arc::clone(routed.snapshot()));
        let origin = cors::origin(routed.headers());
        let authorized = self.authorize(routed);
        if let Some(origin) = origin {
            // A caller that was refused before its app was known is still to be told why.
            let admitted = match &authorized {
                Ok(authorized) => cors::admits(&authorized.policy, &origin),
                Err(_) => cors::admitted_anywhere(&snapshot, &origin),
            };
            cors::note(&ledger, admitted.then_some(origin));
        }
        let inner = self.inner.clone();
        Box::pin(async move { inner.oneshot(authorized?).await })
    }
}

// === impl Authorize ===

impl<S> Authorize<S> {
    fn authorize(&self, routed: Routed) -> Result<Authorized, Error> {
        let snapshot = Arc::clone(routed.snapshot());
        let identity = match self.access.identify(&snapshot, routed.headers()) {
            Ok(identity) => identity,
            Err(refusal) => described_to_all(&snapshot, &routed).ok_or(refusal)?,
        };
        let (owner, app) = find(&snapshot, &identity, &routed)?;
        let asked = routed.asked();
        let nodes = self.nodes.within(app.policy.as_ref().and_then(|policy| policy.node_pool.as_deref()));
        let ready = |contract: &Arc<Contract>| nodes.attestation(contract).is_ready();
        let release =
            owner.resolve(&asked.definition, &asked.version, ready).map_err(|unknown| Error::UnknownVersion {
                definition: asked.definition.clone(),
                version: asked.version.clone(),
                similar: unknown.similar,
            })?;
        let lane = match asked.action {
            Action::Solve { lane } => Some(lane.unwrap_or(identity.lane)),
            Action::Describe => None,
        };
        let caller = Caller { tenant: identity.tenant, app_id: app.app_id.as_str().into() };
        note(&routed.ticket().ledger, &caller, lane, release);
        let (Some(contract), Some(policy)) = (release.contract(), &app.policy) else {
            let definition = asked.definition.clone();
            return Err(Error::VersionRefused { definition, version: release.version.to_string() });
        };
        let (contract, policy, release) = (Arc::clone(contract), Arc::clone(policy), Arc::clone(release));
        Ok(Authorized { routed, caller, lane, policy, release, contract })
    }
}

// === impl Access ===

impl Access {
    /// Who the credential in the headers says that the caller is.
    ///
    /// # Errors
    /// Where a key is needed, and none that is known was sent.
    pub fn identify(self, snapshot: &Snapshot, headers: &HeaderMap) -> Result<Identity, Error> {
        match self {
            Self::Open => Ok(Identity { tenant: "dev".into(), bound: None, lane: Lane::Preview, everywhere: true }),
            Self::Keys => {
                let key =
                    presented(headers).and_then(|key| snapshot.tenants.find(key)).ok_or(Error::Unauthenticated)?;
                let lane = match key.role {
                    Role::Service => Lane::Batch,
                    Role::User => Lane::Preview,
                };
                let bound = key.app_id.clone();
                Ok(Identity { tenant: key.tenant.as_str().into(), bound, lane, everywhere: false })
            }
        }
    }
}

/// Somebody without a key who asks for a description that the owner's policy gives to all. A key that is wrong opens
/// nothing, not even that.
fn described_to_all(snapshot: &Snapshot, routed: &Routed) -> Option<Identity> {
    let asked = routed.asked();
    let owner = snapshot.owner(&asked.definition)?;
    let open = owner.policy.as_ref().is_some_and(|policy| policy.describe == Describe::Public);
    let nameless = asked.action == Action::Describe && presented(routed.headers()).is_none();
    (open && nameless).then(|| Identity::anonymous(&owner.app_id))
}

/// What a credential says.
#[derive(Debug)]
pub struct Identity {
    tenant: Arc<str>,
    bound: Option<String>,
    lane: Lane,
    everywhere: bool,
}

// === impl Identity ===

impl Identity {
    /// Nobody, who may look at this one app.
    pub fn anonymous(app_id: &str) -> Self {
        Self { tenant: "anonymous".into(), bound: Some(app_id.to_owned()), lane: Lane::Preview, everywhere: true }
    }

    /// Whether the caller may use an app.
    pub fn may_use(&self, snapshot: &Snapshot, app_id: &str) -> bool {
        let bound = self.bound.as_deref().is_none_or(|bound| bound == app_id);
        bound && (self.everywhere || snapshot.tenants.may_use(&self.tenant, app_id))
    }
}

/// The app that owns the definition, and the app that the request acts for.
fn find<'s>(
    snapshot: &'s Snapshot,
    identity: &Identity,
    routed: &Routed,
) -> Result<(&'s Arc<App>, &'s Arc<App>), Error> {
    let definition = &routed.asked().definition;
    let owner = snapshot.owner(definition);
    // A bound key that names another app in the header fails below, in `may_use`.
    let header = routed.headers().get(APP_ID).map(|value| value.to_str().map_err(|_not_text| bad_app_header()));
    let app_id = header.transpose()?.or(identity.bound.as_deref());
    let named = |app_id: &str| {
        let app = snapshot.apps.get(app_id).filter(|_| identity.may_use(snapshot, app_id));
        app.ok_or_else(|| Error::AppForbidden { app_id: app_id.to_owned() })
    };
    let app = app_id.map(named).transpose()?;
    let unknown = || {
        let similar = snapshot.similar_definition(definition, |app_id| identity.may_use(snapshot, app_id));
        Error::UnknownDefinition { definition: definition.clone(), similar }
    };
    let owner = owner.ok_or_else(unknown)?;
    match app {
        Some(app) if app.may_call(definition) => Ok((owner, app)),
        Some(app) if identity.may_use(snapshot, &owner.app_id) => {
            Err(Error::DefinitionForbidden { app_id: app.app_id.clone(), definition: definition.clone() })
        }
        None if identity.may_use(snapshot, &owner.app_id) => Ok((owner, owner)),
        Some(_) | None => Err(unknown()),
    }
}

fn bad_app_header() -> Error {
    Error::BadRequest("the X-App-Id header is not text")
}

/// The key in the request: a bearer token, or the header of Rhino.Compute's clients.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| headers.get(COMPUTE_KEY)?.to_str().ok())
}

fn note(ledger: &Ledger, caller: &Caller, lane: Option<Lane>, release: &Release) {
    let _ = ledger.app_id.set(caller.app_id.to_string());
    let _ = ledger.tenant.set(caller.tenant.to_string());
    let _ = ledger.definition.set(release.definition().to_owned());
    let _ = ledger.version.set(release.version.to_string());
    if let Some(lane) = lane {
        let _ = ledger.lane.set(lane);
    }
}

// === impl Authorized ===

impl Authorized {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The lane of a solve; none where the request only asks for a description.
    pub fn lane(&self) -> Option<Lane> {
        self.lane
    }

    /// The policy of the app that the request acts for.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    pub fn release(&self) -> &Arc<Release> {
        &self.release
    }

    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    pub fn ticket(&self) -> &Ticket {
        self.routed.ticket()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.routed.headers()
    }

    /// What the caller wrote in the address, before an alias was resolved.
    pub fn asked(&self) -> &Asked {
        self.routed.asked()
    }

    /// Takes the body out, once; what stays is empty.
    pub fn take_body(&mut self) -> super::Body {
        self.routed.take_body()
    }

    /// How the request is worded, where that is not our way.
    pub fn dialect(&self) -> Option<&dyn Dialect> {
        self.routed.dialect()
    }

    /// Takes out how the request is worded, once.
    pub fn take_dialect(&mut self) -> Option<Box<dyn Dialect>> {
        self.routed.take_dialect()
    }

    pub fn is_head(&self) -> bool {
        self.routed.is_head()
    }
}
