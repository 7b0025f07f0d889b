//! Routed → Authorized: who asks, for which app, and may they use what they ask for.
//!
//! Invariant: a caller without a key learns nothing of what exists, and to a tenant a definition of an app that it may not use
//! looks as if it did not exist. See `docs/decisions/0001-names-are-not-told.md`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::Contract;
use contract::policy::{Describe, Policy};
use http::{HeaderMap, HeaderName, header};
use identity::Verifier;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::dialect::Dialect;
use super::route::Asked;
use super::shared::Shared;
use super::stage::{Action, BoxFuture, Lane, Ledger, Reply, Routed, Ticket};
use super::{Error, cors};
use crate::nodes::Nodes;
use crate::registry::{App, Key, Release, Role, Snapshot};

/// Names the app that a request acts for, where the credential is not bound to one.
pub const APP_ID: HeaderName = HeaderName::from_static("x-app-id");
/// The header in which clients of Rhino.Compute send their key.
pub const COMPUTE_KEY: HeaderName = HeaderName::from_static("rhinocomputekey");

/// Names the tenant that a worker acts for.
pub const TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
const TENANT_BYTES_MAX: usize = 64;
/// How soon an issuer that could not be asked is asked again.
const ISSUER_RETRY: Duration = Duration::from_secs(30);

/// How callers are told apart.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody may use every app, as the tenant that they say they are. For one computer, or behind something that
    /// authenticates.
    Open,
    /// Callers hold a service key of `registry/tenants.json`, or a user's token where there is an issuer of such.
    Keys(Option<Verifier>),
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

pub fn layer<S>(access: Access, nodes: Nodes) -> impl Layer<S, Service = Authorize<Shared<S>>> + Clone {
    layer_fn(move |inner| Authorize { inner: Shared::new(inner), access: access.clone(), nodes: nodes.clone() })
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
        let (access, nodes, inner) = (self.access.clone(), self.nodes.clone(), self.inner.clone());
        Box::pin(async move {
            let (ledger, snapshot) = (Arc::clone(&routed.ticket().ledger), Arc::clone(routed.snapshot()));
            let origin = cors::origin(routed.headers());
            let authorized = admit(&access, &nodes, routed).await;
            if let Some(origin) = origin {
                // A caller that was refused before its app was known is still to be told why.
                let admitted = match &authorized {
                    Ok(authorized) => cors::admits(&authorized.policy, &origin),
                    Err(_) => cors::admitted_anywhere(&snapshot, &origin),
                };
                cors::note(&ledger, admitted.then_some(origin));
            }
            inner.oneshot(authorized?).await
        })
    }
}

/// Cancel safe: whoever leaves while an issuer is asked leaves nothing behind.
async fn admit(access: &Access, nodes: &Nodes, routed: Routed) -> Result<Authorized, Error> {
    let (presented, snapshot) = (Presented::of(routed.headers())?, Arc::clone(routed.snapshot()));
    let identity = match access.identify(presented, Arc::clone(&snapshot), routed.ticket().clone()).await {
        Ok(identity) => identity,
        Err(refusal) => described_to_all(&snapshot, &routed).ok_or(refusal)?,
    };
    authorize(identity, nodes, routed)
}

fn authorize(identity: Identity, nodes: &Nodes, routed: Routed) -> Result<Authorized, Error> {
    let snapshot = Arc::clone(routed.snapshot());
    let (owner, app) = find(&snapshot, &identity, &routed)?;
    let asked = routed.asked();
    let nodes = nodes.within(app.policy.as_ref().and_then(|policy| policy.node_pool.as_deref()));
    let ready = |contract: &Arc<Contract>| nodes.attestation(contract).is_ready();
    let release = owner.resolve(&asked.definition, &asked.version, ready).map_err(|unknown| Error::UnknownVersion {
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
    let _ = app.policy.as_ref().map(|policy| routed.ticket().ledger.slo.set(policy.slo));
    let (Some(contract), Some(policy)) = (release.contract(), &app.policy) else {
        let definition = asked.definition.clone();
        return Err(Error::VersionRefused { definition, version: release.version.to_string() });
    };
    let (contract, policy, release) = (Arc::clone(contract), Arc::clone(policy), Arc::clone(release));
    Ok(Authorized { routed, caller, lane, policy, release, contract })
}

// === impl Access ===

impl Access {
    /// Who the credential that was presented says that the caller is. What it is given is its own, because it may wait for an
    /// issuer's keys.
    ///
    /// # Errors
    /// Where a key or a token is needed, and none that is known was sent.
    pub async fn identify(
        &self,
        presented: Presented,
        snapshot: Arc<Snapshot>,
        ticket: Ticket,
    ) -> Result<Identity, Error> {
        let named = presented.tenant.as_deref();
        let verifier = match self {
            Self::Open => {
                let tenant = named.unwrap_or("dev").into();
                return Ok(Identity { tenant, bound: None, only: None, lane: Lane::Preview, everywhere: true });
            }
            Self::Keys(verifier) => verifier,
        };
        let credential = presented.credential.as_deref().ok_or(Error::Unauthenticated)?;
        let identity = match verifier {
            Some(verifier) if identity::is_token(credential) => {
                let user = verifier.verify(credential).await.map_err(|error| refused(error, &ticket))?;
                Identity::of_user(user)
            }
            Some(_) | None => Identity::of_key(snapshot.tenants.find(credential).ok_or(Error::Unauthenticated)?, named),
        };
        if named.is_some_and(|named| named != &*identity.tenant) {
            return Err(Error::TenantForbidden);
        }
        Ok(identity)
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

/// Why a token does not do is for the log alone.
fn refused(error: identity::Error, ticket: &Ticket) -> Error {
    let _ = ticket.ledger.cause.set(error.to_string());
    match error {
        identity::Error::Refused(_) => Error::Unauthenticated,
        identity::Error::NoKeys => Error::IssuerUnreachable { retry_after: ISSUER_RETRY },
    }
}

/// What a request says of its caller.
#[derive(Debug)]
pub struct Presented {
    credential: Option<String>,
    tenant: Option<String>,
}

// === impl Presented ===

impl Presented {
    /// # Errors
    /// Where a header names no tenant that could be.
    pub fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let (credential, tenant) = (presented(headers).map(str::to_owned), named_tenant(headers)?.map(str::to_owned));
        Ok(Self { credential, tenant })
    }
}

fn named_tenant(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let bad = Error::BadRequest("the X-Tenant-Id header names no tenant");
    let Some(value) = headers.get(TENANT_ID) else { return Ok(None) };
    let name = value.to_str().ok().filter(|name| (1..=TENANT_BYTES_MAX).contains(&name.len()));
    name.map(Some).ok_or(bad)
}

/// What a credential says.
#[derive(Debug)]
pub struct Identity {
    tenant: Arc<str>,
    /// The app that a request acts for unless it names another.
    bound: Option<String>,
    /// The only apps that it opens, of those that the tenant may use.
    only: Option<BTreeSet<String>>,
    lane: Lane,
    everywhere: bool,
}

// === impl Identity ===

impl Identity {
    /// A worker's key acts for the tenant that is named, and opens what that tenant may use.
    fn of_key(key: &Key, named: Option<&str>) -> Self {
        let (lane, tenant) = match key.role {
            Role::Service => (Lane::Batch, None),
            Role::User => (Lane::Preview, None),
            Role::Worker => (Lane::Batch, named),
        };
        let tenant = tenant.unwrap_or(&key.tenant).into();
        let only = key.app_id.clone().map(|app_id| BTreeSet::from([app_id]));
        Self { tenant, bound: key.app_id.clone(), only, lane, everywhere: false }
    }

    fn of_user(user: identity::Identity) -> Self {
        let bound = user.apps.as_ref().filter(|apps| apps.len() == 1).and_then(BTreeSet::first).cloned();
        Self { tenant: user.tenant.into(), bound, only: user.apps, lane: Lane::Preview, everywhere: false }
    }

    /// Nobody, who may look at this one app.
    pub fn anonymous(app_id: &str) -> Self {
        let only = Some(BTreeSet::from([app_id.to_owned()]));
        let bound = Some(app_id.to_owned());
        Self { tenant: "anonymous".into(), bound, only, lane: Lane::Preview, everywhere: true }
    }

    /// Whether the caller may use an app.
    pub fn may_use(&self, snapshot: &Snapshot, app_id: &str) -> bool {
        let opened = self.only.as_ref().is_none_or(|only| only.contains(app_id));
        opened && (self.everywhere || snapshot.tenants.may_use(&self.tenant, app_id))
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
