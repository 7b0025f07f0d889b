//! Seen → Routed: reads the address strictly, and pins the one snapshot that serves this request to its end.
//!
//! Invariant: the raw path is matched as it came; nothing is decoded or normalised, so no other spelling reaches a version.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version, header};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::dialect::Dialect;
use super::shared::Shared;
use super::stage::{BoxFuture, Lane, Reply, Request, Seen, Ticket, full};
use super::{Error, cors};
use crate::registry::{Registry, Snapshot};

const NAME_BYTES_MAX: usize = 128;

/// A request whose address is understood. Whether the names in it exist is not told before the caller is known.
#[derive(Debug)]
pub struct Routed {
    http: Request,
    ticket: Ticket,
    snapshot: Arc<Snapshot>,
    asked: Asked,
    dialect: Option<Box<dyn Dialect>>,
}

/// What the address asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub definition: String,
    /// A version or an alias, as the caller wrote it.
    pub version: String,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Describe,
    Solve { lane: Option<Lane> },
}

/// `uri_bytes_max` bounds the address, path and query together.
pub fn layer<S>(registry: Registry, uri_bytes_max: usize) -> impl Layer<S, Service = Route<Shared<S>>> + Clone {
    layer_fn(move |inner| Route { inner: Shared::new(inner), registry: registry.clone(), uri_bytes_max })
}

#[derive(Debug, Clone)]
pub struct Route<S> {
    inner: S,
    registry: Registry,
    uri_bytes_max: usize,
}

impl<S> Service<Seen> for Route<S>
where
    S: Service<Routed, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, seen: Seen) -> Self::Future {
        let (http, ticket, reading) = seen.into_parts();
        let checked = well_formed(&http, self.uri_bytes_max);
        let dialect = reading.dialect;
        let snapshot = reading.snapshot.unwrap_or_else(|| self.registry.current());
        if checked.is_ok()
            && let Some(reply) = cors::preflight(&http, &snapshot)
        {
            return Box::pin(std::future::ready(Ok(reply)));
        }
        let asked = checked.and_then(|()| ask(http.method(), http.uri())).and_then(|asked| no_upgrade(&http, asked));
        let inner = self.inner.clone();
        Box::pin(async move { inner.oneshot(Routed { http, ticket, snapshot, asked: asked?, dialect }).await })
    }
}

// === impl Routed ===

impl Routed {
    pub fn headers(&self) -> &HeaderMap {
        self.http.headers()
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    pub fn take_body(&mut self) -> super::Body {
        std::mem::replace(self.http.body_mut(), full(Bytes::new()))
    }

    /// How the request is worded, where that is not our way.
    pub fn dialect(&self) -> Option<&dyn Dialect> {
        self.dialect.as_deref()
    }

    /// Takes out how the request is worded, once.
    pub fn take_dialect(&mut self) -> Option<Box<dyn Dialect>> {
        self.dialect.take()
    }

    pub fn is_head(&self) -> bool {
        self.http.method() == Method::HEAD
    }
}

/// What every address must keep, whatever it means: one host, and a length within `uri_bytes_max`.
pub fn well_formed(http: &Request, uri_bytes_max: usize) -> Result<(), Error> {
    check_host(http).and_then(|()| check_length(http.uri(), uri_bytes_max))
}

/// HTTP/1.1 needs exactly one well-formed `Host`, and it must agree with an absolute target (RFC 9112, 3.2).
fn check_host(http: &Request) -> Result<(), Error> {
    let mut hosts = http.headers().get_all(header::HOST).iter();
    let authority = http.uri().authority().map(http::uri::Authority::as_str);
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if http.version() == Version::HTTP_10 || authority.is_some() => return Ok(()),
        (None, _) => return Err(Error::BadRequest("the request has no Host header")),
        (Some(_), Some(_)) => return Err(Error::BadRequest("the request has more than one Host header")),
        (Some(host), None) => host,
    };
    let text = host.to_str().ok().filter(|text| text.parse::<http::uri::Authority>().is_ok() && !text.contains('@'));
    let Some(text) = text else { return Err(Error::BadRequest("the Host header is not a host name")) };
    if authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(text)) {
        return Err(Error::BadRequest("the Host header and the request's target name different hosts"));
    }
    Ok(())
}

fn check_length(uri: &Uri, limit: usize) -> Result<(), Error> {
    let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if length > limit { Err(Error::UriTooLong { limit }) } else { Ok(()) }
}

/// A request that asks for another protocol could be understood in two ways by whatever stands before the gateway.
fn no_upgrade(http: &Request, asked: Asked) -> Result<Asked, Error> {
    if http.headers().contains_key(header::UPGRADE) { Err(Error::UpgradeRefused) } else { Ok(asked) }
}

/// What method and address ask for.
fn ask(method: &Method, uri: &Uri) -> Result<Asked, Error> {
    let rest = uri.path().strip_prefix("/gh/").ok_or(Error::UnknownRoute)?;
    let (name, solve) = match rest.strip_suffix("/solve") {
        Some(name) => (name, true),
        None => (rest, false),
    };
    let (definition, version) = name.split_once(':').ok_or(Error::UnknownRoute)?;
    if !is_name(definition) || !is_name(version) {
        return Err(Error::UnknownRoute);
    }
    let action = match (solve, method) {
        (true, &Method::POST) => Action::Solve { lane: lane(uri.query())? },
        (true, _) => return Err(Error::MethodNotAllowed { allowed: "POST" }),
        (false, &Method::GET | &Method::HEAD) => Action::Describe,
        (false, _) => return Err(Error::MethodNotAllowed { allowed: "GET, HEAD" }),
    };
    Ok(Asked { definition: definition.to_owned(), version: version.to_owned(), action })
}

/// Whether a definition, a version or an alias may be called so.
pub fn is_name(word: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The lane that the query names. A query that says anything else is refused: a misspelt option must not be ignored.
fn lane(query: Option<&str>) -> Result<Option<Lane>, Error> {
    let mut lane = None;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key != "lane" || lane.is_some() {
            return Err(Error::BadQuery { message: "the query takes `lane` once, and nothing else".to_owned() });
        }
        let parsed = Lane::ALL.into_iter().find(|lane| lane.name() == value);
        lane = Some(parsed.ok_or_else(|| Error::BadQuery { message: "`lane` is `preview` or `batch`".to_owned() })?);
    }
    Ok(lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, target: &str) -> Result<Asked, &'static str> {
        ask(method, &target.parse().unwrap()).map_err(|error| error.meaning().code)
    }

    #[test]
    fn a_solve_names_definition_version_and_lane() {
        let asked = check(&Method::POST, "/gh/sitefit:1.0.0/solve?lane=batch").unwrap();
        assert_eq!((asked.definition.as_str(), asked.version.as_str()), ("sitefit", "1.0.0"));
        assert_eq!(asked.action, Action::Solve { lane: Some(Lane::Batch) });
        assert_eq!(check(&Method::GET, "/gh/sitefit:stable").unwrap().action, Action::Describe);
    }

    #[test]
    fn no_second_spelling_of_an_address_is_understood() {
        for target in [
            "/gh/sitefit",
            "/gh//sitefit:1.0.0/solve",
            "/gh/sitefit:1.0.0/solve/",
            "/gh/../gh/sitefit:1.0.0/solve",
            "/gh/site%66it:1.0.0/solve",
            "/gh/sitefit:1.0.0%2fsolve",
            "/gh/sitefit:1.0.0;x/solve",
            "/GH/sitefit:1.0.0/solve",
            "/gh/sitefit:1.0.0:2/solve",
            "/gh/:1.0.0/solve",
            "/gh/sitefit:/solve",
            "/solve",
            "/",
            "/gh/a\\b:1.0.0/solve",
        ] {
            assert_eq!(check(&Method::POST, target), Err("unknown_route"), "{target}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::TRACE, Method::OPTIONS] {
            assert_eq!(check(&method, "/gh/sitefit:1.0.0/solve"), Err("method_not_allowed"));
        }
        assert_eq!(check(&Method::POST, "/gh/sitefit:1.0.0"), Err("method_not_allowed"));
    }

    #[test]
    fn a_query_that_says_more_than_the_lane_is_refused() {
        for query in ["lane=fast", "lane=", "lane=batch&lane=preview", "Lane=batch", "x=1", "lane"] {
            assert_eq!(check(&Method::POST, &format!("/gh/a:1.0.0/solve?{query}")), Err("bad_query"), "{query}");
        }
    }
}
