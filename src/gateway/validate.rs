//! Received → Solve: parses the body, checks the inputs by the contract, and makes their canonical form and key.
//! On the way back it turns the [`Served`] into the response.
//!
//! Invariant: nothing of the body reaches a node but inputs that the contract declares, each rebuilt from its typed value.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::policy::Policy;
use contract::{Contract, Digest, Inputs, Violation, fault, json};
use http::{HeaderMap, HeaderName, header};
use serde_json::{Map, Value};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::cache::{Bodies, Course, How};
use super::shared::Shared;
use super::stage::{Authorized, BoxFuture, Caller, Lane, Received, Reply, Served, Ticket};
use super::{Error, answer};

/// How long the caller will wait, in seconds; a fraction is fine.
pub const TIMEOUT_SEC: HeaderName = HeaderName::from_static("x-timeout-sec");
/// Names a session: its newest queued preview takes the place of its older one.
pub const PREVIEW_SESSION: HeaderName = HeaderName::from_static("x-preview-session");
const SESSION_BYTES_MAX: usize = 64;
/// The members that a solve's body may have.
const MEMBERS: [&str; 4] = ["app_id", "definition", "version", "inputs"];

/// A solve that is right in all that can be known without a node. It is cheap to clone and knows no HTTP.
#[derive(Debug, Clone)]
pub struct Solve {
    ticket: Ticket,
    caller: Caller,
    lane: Lane,
    policy: Arc<Policy>,
    contract: Arc<Contract>,
    inputs: Arc<Inputs>,
    patience: Option<Duration>,
    session: Option<Arc<str>>,
    cache_use: CacheUse,
    course: Course,
}

/// What the caller lets the cache do, by the `Cache-Control` of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// A kept answer will do, and a new one may be kept.
    Full,
    /// `no-cache`: the solve is made in any case, and kept.
    WriteOnly,
    /// `no-store`: the solve is made in any case, and not kept.
    Neither,
}

/// `bodies` are those that led to kept answers, where they are remembered.
pub fn layer<S>(bodies: Option<Bodies>) -> impl Layer<S, Service = Validate<Shared<S>>> + Clone {
    layer_fn(move |inner| Validate { inner: Shared::new(inner), bodies: bodies.clone() })
}

#[derive(Debug, Clone)]
pub struct Validate<S> {
    inner: S,
    bodies: Option<Bodies>,
}

impl<S> Service<Received> for Validate<S>
where
    S: Service<Solve, Error = Error> + Clone + Send + 'static,
    S::Response: Into<Served>,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, received: Received) -> Self::Future {
        let Self { inner, bodies } = self.clone();
        Box::pin(async move {
            let mut received = received;
            let mut dialect = received.take_dialect();
            let (inputs, news) = match &mut dialect {
                Some(dialect) => {
                    (accept(received.authorized(), dialect.inputs(received.authorized().contract())?)?, None)
                }
                None => own_inputs(&mut received, bodies.as_ref())?,
            };
            let solve = solve(received.authorized(), inputs)?;
            let conditions = answer::Conditions::of(received.authorized());
            drop(received);
            let served: Served = inner.oneshot(solve.clone()).await?.into();
            // Not before it has been of use: most bodies never come again.
            if let (Some(bodies), Some(mark), How::Hit { .. }) = (&bodies, news, served.how) {
                bodies.remember(mark, solve.inputs());
            }
            Ok(answer::reply(&solve, &served, &conditions, dialect.as_deref()))
        })
    }
}

fn solve(authorized: &Authorized, inputs: Arc<Inputs>) -> Result<Solve, Error> {
    Ok(Solve {
        ticket: authorized.ticket().clone(),
        caller: authorized.caller().clone(),
        lane: authorized.lane().unwrap_or(Lane::Batch),
        policy: Arc::clone(authorized.policy()),
        contract: Arc::clone(authorized.contract()),
        inputs,
        patience: patience(authorized)?,
        session: session(authorized)?,
        cache_use: cache_use(authorized.headers()),
        course: Course::default(),
    })
}

/// The inputs as the contract accepts them.
fn accept(authorized: &Authorized, inputs: Value) -> Result<Arc<Inputs>, Error> {
    let contract = authorized.contract();
    let accepted = contract.take_inputs(inputs).map_err(|violations| Error::InvalidInputs {
        definition: contract.manifest.definition.clone(),
        version: contract.version.to_string(),
        violations,
    })?;
    Ok(Arc::new(accepted))
}

/// The inputs of a body of our own, accepted, and what to remember it by if it is not known yet.
fn own_inputs(received: &mut Received, bodies: Option<&Bodies>) -> Result<(Arc<Inputs>, Option<Digest>), Error> {
    let bad_json = |message: String| Error::BadJson { message };
    // The text ends here, before its values are checked.
    let bytes = received.take_bytes();
    let authorized = received.authorized();
    let known = bodies.and_then(|bodies| Some((bodies, Bodies::mark(authorized, &bytes)?)));
    if let Some(inputs) = known.and_then(|(bodies, mark)| bodies.find(&mark)) {
        return Ok((inputs, None));
    }
    let parsed =
        json::parse(&bytes, &authorized.contract().request_limits()).map_err(|error| bad_json(error.to_string()))?;
    drop(bytes);
    let Value::Object(mut body) = parsed else { return Err(bad_json("a solve is an object".to_owned())) };
    check_members(&body, authorized)?;
    let inputs = body.remove("inputs").unwrap_or_else(|| Value::Object(Map::new()));
    drop(body);
    Ok((accept(authorized, inputs)?, known.map(|(_, mark)| mark)))
}

/// The members beside the inputs: known ones only, and in agreement with the address and the credential.
fn check_members(body: &Map<String, Value>, authorized: &Authorized) -> Result<(), Error> {
    let unknown = body.keys().filter(|key| !MEMBERS.contains(&key.as_str()));
    let violations: Vec<Violation> = unknown.map(|key| unknown_member(key)).collect();
    if !violations.is_empty() {
        return Err(Error::UnknownMember { violations });
    }
    let asked = authorized.asked();
    let agrees = |member: &str, right: &[&str]| match body.get(member) {
        None => Ok(()),
        Some(Value::String(word)) if right.contains(&word.as_str()) => Ok(()),
        Some(Value::String(word)) => Err(word.clone()),
        Some(other) => Err(other.to_string()),
    };
    let caller = authorized.caller();
    let mismatch = |body: String, request: &str| Error::DefinitionMismatch { body, request: request.to_owned() };
    agrees("app_id", &[&caller.app_id])
        .map_err(|body| Error::AppMismatch { body, request: caller.app_id.to_string() })?;
    agrees("definition", &[&asked.definition]).map_err(|body| mismatch(body, &asked.definition))?;
    let version = authorized.release().version.to_string();
    agrees("version", &[&asked.version, &version]).map_err(|body| mismatch(body, &asked.version))
}

fn unknown_member(key: &str) -> Violation {
    let pointer = format!("/{}", json::spans::escape(key));
    let shown: String = key.chars().take(64).collect();
    let help = fault::did_you_mean(key, MEMBERS).unwrap_or_else(|| "inputs go into `inputs`".to_owned());
    let message = format!("a solve has no member `{shown}`");
    Violation { help: Some(help), ..Violation::new(pointer, "unknown_member", message) }
}

fn patience(authorized: &Authorized) -> Result<Option<Duration>, Error> {
    let Some(value) = authorized.headers().get(&TIMEOUT_SEC) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.parse::<f64>().ok()).filter(|seconds| *seconds > 0.0);
    let patience = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    patience.map(Some).ok_or(Error::BadRequest("X-Timeout-Sec is a positive number of seconds"))
}

/// The session of a preview. It tells sessions of one tenant apart, so that nobody can supersede another tenant's.
fn session(authorized: &Authorized) -> Result<Option<Arc<str>>, Error> {
    let Some(value) = authorized.headers().get(&PREVIEW_SESSION) else { return Ok(None) };
    let fit = |text: &&str| (1..=SESSION_BYTES_MAX).contains(&text.len());
    let text = value.to_str().ok().filter(fit);
    let text = text.ok_or(Error::BadRequest("X-Preview-Session is a text of at most 64 characters"))?;
    Ok(Some(text.into()))
}

fn cache_use(headers: &HeaderMap) -> CacheUse {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
    directives.fold(CacheUse::Full, |so_far, directive| match (so_far, directive.as_str()) {
        (_, "no-store") | (CacheUse::Neither, _) => CacheUse::Neither,
        (_, "no-cache" | "max-age=0") => CacheUse::WriteOnly,
        (so_far, _) => so_far,
    })
}

// === impl Solve ===

impl Solve {
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The policy of the app that the solve is for.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    pub fn inputs(&self) -> &Arc<Inputs> {
        &self.inputs
    }

    /// What the caller lets the cache do.
    pub fn cache_use(&self) -> CacheUse {
        self.cache_use
    }

    /// Who else waits for it.
    pub fn course(&self) -> &Course {
        &self.course
    }

    /// The same solve, made for all who join it: no one caller's patience bounds it.
    pub(super) fn on(self, course: Course) -> Self {
        Self { course, patience: None, ..self }
    }

    /// The same solve for those who only joined the session's own caller.
    pub(super) fn of_no_session(self) -> Self {
        Self { session: None, ..self }
    }

    /// How long the caller said that it will wait.
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The session whose newest preview this is, if the caller named one.
    pub fn session(&self) -> Option<&Arc<str>> {
        self.session.as_ref()
    }

    /// The least of what caller, policy, contract and gateway allow, from the request's arrival.
    pub fn allowed(&self, timeout_max: Duration) -> Duration {
        let allowed = [self.patience, Some(self.timeout())].into_iter().flatten();
        allowed.fold(timeout_max, Duration::min)
    }

    /// How long the contract and the app's policy allow.
    pub fn timeout(&self) -> Duration {
        let of_policy = self.policy.manifest_overrides.timeout_sec;
        of_policy.map_or(self.contract.manifest.timeout(), |seconds| Duration::from_secs(u64::from(seconds)))
    }
}
