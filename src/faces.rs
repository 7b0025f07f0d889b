//! Faces for clients that exist: Rhino.Compute's own, the Node AppServer's, and Hops'. Each reads what its clients send, finds the
//! contract that they mean, and puts a request of ours on the path; the answer is spelled as they expect it.
//!
//! Invariant: a face translates and the path enforces. A face has no way to a node, forwards no byte, and wakes nobody.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::authorize::{self, Access, Identity, Presented};
use crate::gateway::body::Bounds;
use crate::gateway::dialect::{Dialect, Interpret, Interpreted, Interpreter, Onward};
use crate::gateway::stage::{Reply, Seen, full};
use crate::gateway::validate::TIMEOUT_SEC;
use crate::gateway::{Error, Response, cors, route};
use crate::nodes::Nodes;
use crate::registry::{Registry, Snapshot};

mod address;
mod describe;
mod node_appserver;
pub mod openapi;
mod page;
mod published;
mod question;
mod rhino;
mod solve;
mod trees;

use describe::Spelling;
use published::Published;
use question::Question;

/// How long Hops waits for an answer, and something to spare.
const HOPS_SEC: HeaderValue = HeaderValue::from_static("95");
/// A description's request without a key may be this large; more is read from known callers only.
const ANONYMOUS_BYTES_MAX: u64 = 64 * 1024;

/// What the faces are made of.
#[derive(Debug, Clone)]
pub struct Parts {
    pub registry: Registry,
    pub nodes: Nodes,
    pub access: Access,
    pub body: Bounds,
    pub uri_bytes_max: usize,
}

/// All faces. Which one a request is for, its address says.
#[derive(Debug)]
pub struct Faces {
    parts: Parts,
    published: Published,
    idle: rhino::Idle,
}

/// A request to a face, with all that its answer needs.
struct Call {
    faces: Arc<Faces>,
    seen: Seen,
    onward: Onward,
    snapshot: Arc<Snapshot>,
}

/// Whether the caller wants the answer to be solved or described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Solve,
    Describe,
}

// === impl Faces ===

impl Faces {
    pub fn interpreter(parts: Parts) -> Interpreter {
        let published = Published::default();
        Arc::new(Handle(Arc::new(Self { parts, published, idle: rhino::Idle::new(Instant::now()) })))
    }
}

/// What the path is given.
#[derive(Debug)]
struct Handle(Arc<Faces>);

impl Interpret for Handle {
    fn interpret(&self, seen: Seen, onward: Onward) -> Interpreted {
        let faces = Arc::clone(&self.0);
        Box::pin(async move {
            // No face answers an address that the path would refuse as ill formed.
            route::well_formed(seen.http(), faces.parts.uri_bytes_max)?;
            let snapshot = faces.parts.registry.current();
            Call { faces, seen, onward, snapshot }.answer().await
        })
    }
}

// === impl Call ===

impl Call {
    /// Cancel safe: a caller that leaves takes what was read of its body along.
    async fn answer(mut self) -> Result<Reply, Error> {
        self.seen.pin(Arc::clone(&self.snapshot));
        let http = self.seen.http();
        if http.method() == Method::OPTIONS {
            return self.pass().await;
        }
        let path = http.uri().path();
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path }.to_owned();
        if path.starts_with("/gh/") {
            return self.gh(&path).await;
        }
        self.face();
        match path.as_str() {
            "/grasshopper" | "/solve" => self.posted(Wish::Solve).await,
            "/io" => match *self.method() {
                Method::GET | Method::HEAD => self.io_by_query().await,
                _ => self.posted(Wish::Describe).await,
            },
            "/healthcheck"
            | "/servertime"
            | "/version"
            | "/activechildren"
            | "/idlespan"
            | "/plugins/gh/installed"
            | "/plugins/rhino/installed" => self.known(&path).await,
            "/" => self.list().await,
            "/openapi.json" => self.openapi().await,
            "/view" => self.redirect("/"),
            "/definition_description" => {
                Err(Error::Gone("it read any file of the server; GET /<definition>.gh describes"))
            }
            "/page.js" | "/page.css" => self.asset(&path),
            _ if path.starts_with("/rhino/") || path.starts_with("/script/") || path == "/sdk" => Err(rhino::denied()),
            _ => match (path.strip_prefix("/solve/"), path.strip_prefix("/view/"), address::file(&path)) {
                (Some(name), ..) => self.by_query(name).await,
                (_, Some(name), _) => self.view(name),
                (.., Some(name)) => self.described(name).await,
                _ => self.pass().await,
            },
        }
    }

    /// Our own addresses, and the other spellings of them that Hops uses.
    async fn gh(mut self, path: &str) -> Result<Reply, Error> {
        let get = matches!(*self.method(), Method::GET | Method::HEAD);
        if self.method() == Method::POST && (path == "/gh/solve" || address::is_solve_of_a_folder(path)) {
            // Hops replaces the last part of the address that it was given.
            self.face();
            return self.posted(Wish::Solve).await;
        }
        if !get {
            return self.pass().await;
        }
        // Hops reads the body of a description whatever its status, and so needs its lists in a problem, too.
        self.compat();
        let nested = address::nested(path);
        let described = solve::Compute::describing(&self.faces, &self.snapshot);
        let accept = self.seen.http().headers().get(header::ACCEPT).cloned();
        if wants_page(accept.as_ref()) && (nested.is_some() || address::direct(path)) {
            return self.page();
        }
        if let Some((name, version)) = nested {
            self.cors();
            return self.send(Wish::Describe, &name, &version, described).await;
        }
        if let Some((name, version)) = path.strip_suffix("/openapi.json").and_then(address::own) {
            self.cors();
            return self.send(Wish::Describe, &name, &version, openapi::Described).await;
        }
        // Hops sends no `Accept`; whoever sends one knows our own description.
        match address::own(path).filter(|_| accept.is_none()) {
            Some((name, version)) => self.send(Wish::Describe, &name, &version, described).await,
            None => self.pass().await,
        }
    }

    /// A body that says which contract it is about.
    async fn posted(mut self, wish: Wish) -> Result<Reply, Error> {
        if self.method() != Method::POST {
            return Err(Error::MethodNotAllowed { allowed: "POST" });
        }
        let identity = self.identify().await;
        let limit = match (&identity, wish) {
            (Ok(_), _) => self.faces.parts.body.bytes_max,
            (Err(_), Wish::Describe) => ANONYMOUS_BYTES_MAX,
            (Err(refusal), Wish::Solve) => return Err(refusal.clone()),
        };
        let (bytes, permit) = self.body(limit).await?;
        let question = Question::read(&bytes)?;
        drop(bytes);
        self.ask(wish, question, permit).await
    }

    /// Cancel safe: a caller that leaves gives its bytes back.
    async fn body(&mut self, limit: u64) -> Result<(Bytes, OwnedSemaphorePermit), Error> {
        let http = self.seen.http_mut();
        let body = std::mem::replace(http.body_mut(), full(Bytes::new()));
        self.faces.parts.body.take(self.seen.http().headers(), body, limit).await
    }

    /// Sends a question on, worded for the contract that it names.
    async fn ask(mut self, wish: Wish, question: Question, permit: OwnedSemaphorePermit) -> Result<Reply, Error> {
        let host = self.seen.http().headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let index = self.faces.published.of(&self.snapshot);
        let target = address::find(&question.names, host, &index).map_err(|refusal| {
            match (refusal, &question.names.pointer) {
                // Only Hops knows what to do with a node's answer to an old key.
                (Error::StalePointer, Some(key)) if !question.hops => {
                    Error::UnknownDefinition { definition: key.chars().take(64).collect(), similar: None }
                }
                (refusal, _) => refusal,
            }
        })?;
        let by_content = target.by_content;
        let unmatched = address::unmatched(&question.names);
        if question.hops {
            // Hops gives up after 100 s, so that a later answer would be nobody's.
            let headers = self.seen.http_mut().headers_mut();
            headers.entry(TIMEOUT_SEC).or_insert(HOPS_SEC);
        }
        let (hops, faces, snapshot) = (question.hops, Arc::clone(&self.faces), Arc::clone(&self.snapshot));
        let dialect = match wish {
            Wish::Describe => solve::Compute::describing(&faces, &snapshot).spelled(Spelling::Pascal),
            Wish::Solve => solve::Compute::asking(&faces, &snapshot, question, permit),
        };
        let sent = self.send(wish, &target.definition, &target.version, dialect).await;
        match sent {
            // To somebody who may not use it, a published file looks like any other.
            Err(Error::UnknownDefinition { .. }) if by_content => Err(unmatched),
            Err(Error::InvalidInputs { violations, .. }) if hops && trees::is_another_sheet(&violations) => {
                Err(Error::BadInputs { violations })
            }
            sent => sent,
        }
    }

    /// `GET /io?pointer=…`
    async fn io_by_query(self) -> Result<Reply, Error> {
        let query = question::pairs(self.seen.http().uri().query().unwrap_or_default())?;
        let pointer = query.into_iter().find(|(key, _)| key == "pointer").map(|(_, value)| value);
        let pointer = pointer.ok_or_else(|| Error::BadQuery { message: "the query takes `pointer`".to_owned() })?;
        let host = self.seen.http().headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let names = question::Names { pointer: Some(pointer), algo: None };
        let target = address::find(&names, host, &self.faces.published.of(&self.snapshot))?;
        let dialect = solve::Compute::describing(&self.faces, &self.snapshot).spelled(Spelling::Pascal);
        self.send(Wish::Describe, &target.definition, &target.version, dialect).await
    }

    /// Puts a request of ours on the path in place of this one.
    async fn send(
        mut self,
        wish: Wish,
        definition: &str,
        version: &str,
        dialect: impl Dialect + 'static,
    ) -> Result<Reply, Error> {
        let address = format!("/gh/{definition}:{version}");
        let (method, address) = match wish {
            Wish::Solve => (Method::POST, format!("{address}/solve{}", self.lane()?)),
            Wish::Describe if self.method() == Method::HEAD => (Method::HEAD, address),
            Wish::Describe => (Method::GET, address),
        };
        // Names that an address cannot hold are nobody's.
        let uri: Uri = address.parse().map_err(|_no_address| Error::UnknownRoute)?;
        if wish == Wish::Solve {
            self.faces.idle.touch(Instant::now());
        }
        let mut http = Request::new(full(Bytes::new()));
        (*http.method_mut(), *http.uri_mut()) = (method, uri);
        *http.version_mut() = self.seen.http().version();
        *http.headers_mut() = self.seen.http().headers().clone();
        // They were about the body that was read, which is not the one that goes on.
        http.headers_mut().remove(header::CONTENT_LENGTH);
        http.headers_mut().remove(header::TRANSFER_ENCODING);
        self.seen.say(http, Box::new(dialect));
        let Self { seen, mut onward, .. } = self;
        tower::Service::call(&mut onward, seen).await
    }

    /// The lane of the query, to be judged by the path. In the query of a GET every name is an input's.
    fn lane(&self) -> Result<String, Error> {
        let http = self.seen.http();
        let mut pairs = http.uri().query().filter(|_| http.method() == Method::POST).unwrap_or_default().split('&');
        match pairs.find_map(|pair| pair.strip_prefix("lane=")) {
            None => Ok(String::new()),
            Some(lane) if route::is_name(lane) => Ok(format!("?lane={lane}")),
            Some(_) => Err(Error::BadQuery { message: "`lane` is `preview` or `batch`".to_owned() }),
        }
    }

    /// As it came: the path knows the address, or refuses it.
    async fn pass(self) -> Result<Reply, Error> {
        let Self { seen, mut onward, .. } = self;
        tower::Service::call(&mut onward, seen).await
    }

    fn method(&self) -> &Method {
        self.seen.http().method()
    }

    /// Who asks, where that is known.
    fn identify(&self) -> impl Future<Output = Result<Identity, Error>> + Send + use<> {
        let presented = Presented::of(self.seen.http().headers());
        let (faces, snapshot) = (Arc::clone(&self.faces), Arc::clone(&self.snapshot));
        let ticket = self.seen.ticket().clone();
        async move { faces.parts.access.identify(presented?, snapshot, ticket).await }
    }

    /// Whether a key was sent at all.
    fn has_key(&self) -> bool {
        authorize::presented(self.seen.http().headers()).is_some()
    }

    /// Marks the request as one whose client reads Rhino.Compute's errors only.
    fn compat(&self) {
        let _ = self.seen.ticket().ledger.compat.set(());
    }

    fn face(&mut self) {
        self.compat();
        // The path tells its own answers; what a face answers itself is about no app.
        if self.answers_itself() {
            self.cors();
        }
    }

    fn answers_itself(&self) -> bool {
        let path = self.seen.http().uri().path();
        !matches!(path.trim_end_matches('/'), "/grasshopper" | "/io" | "/solve") && !path.starts_with("/solve/")
    }

    fn cors(&self) {
        if let Some(origin) = cors::origin(self.seen.http().headers()) {
            let admitted = cors::admitted_anywhere(&self.snapshot, &origin);
            cors::note(&self.seen.ticket().ledger, admitted.then_some(origin));
        }
    }
}

/// Whether the caller is a browser that shows what it gets.
fn wants_page(accept: Option<&HeaderValue>) -> bool {
    accept.and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

/// A 200 of this type.
fn reply(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Reply { response, code: "ok", fault: None }
}

fn redirect(to: &str) -> Result<Reply, Error> {
    let mut reply = reply("text/plain; charset=utf-8", format!("{to}\n"));
    *reply.response.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::from_str(to).map_err(|_not_a_header| Error::UnknownRoute)?;
    reply.response.headers_mut().insert(header::LOCATION, location);
    Ok(reply)
}
