//! The reverse proxy: which requests it answers itself, which it hands to a child, and what it makes of the answers.
//!
//! A request is worked on in a task of its own that outlives its connection. The proxy hands on status and text and
//! nothing else in 0.16, and not even the status of a GET.

use super::reply::{JSON, Outgoing, Reply, TEXT};
use super::{Life, Shared};
use crate::children::{Asked, Child, Entered, Told, suffer};
use crate::config::{Plugins, Profile};
use crate::faults::wire::Saboteur;
use crate::faults::{Fault, Struck};
use crate::log;
use crate::protocol::{Thrown, request};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const REQUEST_ID: &str = "rhino-compute-request-id";

/// Longer request ids are replaced by one of the node's own.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// One request as the proxy works on it.
struct Call {
    number: u64,
    arrived: tokio::time::Instant,
    method: Method,
    path: String,
    query: String,
    request_id: Option<String>,
    body: Bytes,
    struck: Struck,
}

/// Marks an entry of the log if the connection goes while the answer is awaited.
struct Waiting<'a> {
    shared: &'a Shared,
    cut: &'a CancellationToken,
    number: u64,
    answered: bool,
}

/// Answers one request. Never fails: what cannot be answered is left to the cut of the connection.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    saboteur: &Saboteur,
    cut: &CancellationToken,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let (arrived, under_way) = (tokio::time::Instant::now(), shared.requests.enter());
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let number = shared.log.arrive(parts.method.as_str(), &path, parts.uri.query(), shared.requests.now());
    let header = |name: &str| parts.headers.get(name).and_then(|value| Some(value.to_str().ok()?.to_owned()));
    shared.log.note(number, |entry| {
        (entry.traceparent, entry.tracestate) = (header("traceparent"), header("tracestate"));
    });
    let mut waiting = Waiting { shared, cut, number, answered: false };
    let struck = shared.plan.request(&path);
    if !struck.kinds().is_empty() {
        shared.log.note(number, |entry| entry.faults = struck.kinds().into_iter().map(str::to_owned).collect());
    }
    let (answer_fault, wire_fault) = (struck.answer.clone(), struck.wire.clone());
    let reply = if let Some(refusal) = unauthorized(shared, &parts.headers) {
        refusal
    } else {
        match read(shared, &parts.method, body).await {
            Ok(body) => {
                let request_id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
                let query = parts.uri.query().unwrap_or_default().to_owned();
                let call = Call { number, arrived, method: parts.method, path, query, request_id, body, struck };
                work(shared, call, under_way).await
            }
            Err(reply) => reply,
        }
    };
    let reply = answer_fault.iter().fold(reply, Reply::spoilt);
    if let Some(fault) = &wire_fault {
        saboteur.arm(fault, reply.status, &reply.body);
    }
    shared.log.answered(number, reply.status);
    waiting.answered = true;
    Ok(reply.into_response(wire_fault.is_some()))
}

/// The refusal of a request without the right key.
fn unauthorized(shared: &Shared, headers: &http::HeaderMap) -> Option<Reply> {
    let key = shared.config.api_key.as_deref()?;
    match headers.get("RhinoComputeKey") {
        None => Some(Reply::new(401, None, "Api Key was not provided.")),
        Some(given) if given.as_bytes() != key.as_bytes() => Some(Reply::new(401, None, "Unauthorized client.")),
        Some(_) => None,
    }
}

/// The body of a POST; other bodies are never looked at.
async fn read(shared: &Shared, method: &Method, body: Incoming) -> Result<Bytes, Reply> {
    if method != Method::POST {
        return Ok(Bytes::new());
    }
    match Limited::new(body, shared.config.body_bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Reply::empty(413)),
        Err(_) => Err(Reply::empty(400)),
    }
}

/// Works on a call in a task that goes on when the caller has gone. A life that ends takes its calls with it; their
/// connections are cut, so that nobody waits for the answer that never comes.
async fn work(shared: &Arc<Shared>, call: Call, under_way: Entered) -> Reply {
    let life = shared.life();
    let task = {
        let shared = Arc::clone(shared);
        let life = Arc::clone(&life);
        async move {
            let number = call.number;
            let ended = life.token.clone();
            let _under_way = under_way;
            tokio::select! {
                reply = route(&shared, &life, call) => {
                    shared.log.answered(number, reply.status);
                    Some(reply)
                }
                () = ended.cancelled() => None,
            }
        }
    };
    match shared.tracker.spawn(task).await {
        Ok(Some(reply)) => reply,
        Ok(None) => std::future::pending().await,
        Err(_) => Reply::empty(500),
    }
}

async fn route(shared: &Arc<Shared>, life: &Arc<Life>, call: Call) -> Reply {
    match &call.struck.arrive {
        Some(Fault::Restart) => {
            shared.restart();
            return std::future::pending().await;
        }
        Some(Fault::StalePointer) => shared.forget(),
        _ => {}
    }
    let newer = shared.config.profile == Profile::V017;
    let own = match (call.method.as_str(), call.path.as_str()) {
        (_, "/healthcheck") => health(),
        ("GET", "/idlespan") => Reply::text(life.pool.idle_seconds().to_string()),
        ("GET", "/robots.txt") => Reply::text("User-agent: *\nDisallow: / "),
        ("GET", "/favicon.ico") => Reply::text("Handled"),
        ("GET", "/") => {
            initialize(shared, life);
            home(newer)
        }
        ("GET", "/activechildren") => {
            if !(newer && query(&call.query, "initialize").is_some_and(|value| value.eq_ignore_ascii_case("false"))) {
                initialize(shared, life);
            }
            Reply::text(life.pool.awake().to_string())
        }
        ("GET", "/validate") if newer => Reply::text("OK"),
        ("GET", "/childrenready") if newer => readiness(life),
        ("POST", "/recycle-children") if newer => recycle(life, &call).await,
        ("GET" | "POST", _) => return proxied(shared, life, call).await,
        _ => Reply::empty(405).with("allow", "GET, POST"),
    };
    suffer(call.struck.solve.as_ref()).await;
    own
}

fn health() -> Reply {
    Reply::new(200, Some(TEXT), "Healthy").with("cache-control", "no-store, no-cache").with("pragma", "no-cache")
}

fn home(newer: bool) -> Reply {
    if newer {
        Reply::empty(302).with("location", "https://www.rhino3d.com/compute")
    } else {
        Reply::text("compute.rhino3d")
    }
}

fn readiness(life: &Life) -> Reply {
    let ready = life.pool.is_ready();
    Reply::json(if ready { 200 } else { 503 }, &json!({ "ready": ready }))
}

/// Brings the children up without making the caller wait.
pub(super) fn initialize(shared: &Arc<Shared>, life: &Arc<Life>) {
    life.pool.wake();
    let life = Arc::clone(life);
    shared.tracker.spawn(async move {
        tokio::select! {
            taken = life.pool.take() => if let Ok(child) = taken { life.pool.promote(child.port) },
            () = life.token.cancelled() => {}
        }
    });
}

async fn recycle(life: &Life, call: &Call) -> Reply {
    let port = match query(&call.query, "port").filter(|text| !text.is_empty()).map(str::parse::<i64>) {
        None => None,
        Some(Ok(port @ 6_001..=65_535)) => u16::try_from(port).ok(),
        Some(Ok(_)) => return Reply::json(400, &json!({ "error": "Port must be in range 6001-65535." })),
        Some(Err(_)) => return Reply::json(400, &json!({ "error": "Port must be an integer." })),
    };
    let (shutdown, spawned) = life.pool.recycle(port).await;
    Reply::json(200, &json!({ "shutdown": shutdown, "spawned": spawned, "active": life.pool.awake() }))
}

/// Hands a call to the next child and its answer back.
async fn proxied(shared: &Arc<Shared>, life: &Arc<Life>, call: Call) -> Reply {
    let profile = shared.config.profile;
    // Before a child is taken, so that one that has been idle for too long is gone by then.
    life.pool.wake();
    let child = match life.pool.take().await {
        Ok(child) => child,
        Err(error) => return failed(profile, 500, &error.to_string()),
    };
    shared.log.note(call.number, |entry| entry.child = Some(child.port));
    if !child.is_ready() {
        return failed(profile, 500, "No connection could be made because the target machine actively refused it.");
    }
    let (port, pid) = (child.port, child.pid);
    let (is_get, request_id) = (call.method == Method::GET, call.request_id.clone());
    let billable = call.path == "/grasshopper" || call.path == "/io";
    let begun = Instant::now();
    // A child works on when the proxy has given up on it.
    let ended = life.token.clone();
    let serving = serve(Arc::clone(shared), Arc::clone(life), child, call);
    let answer = shared.tracker.spawn(async move {
        tokio::select! {
            reply = serving => reply,
            () = ended.cancelled() => Reply::empty(500),
        }
    });
    let mut reply = match tokio::time::timeout(shared.config.proxy_timeout, answer).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::empty(500),
        Err(_) => {
            let status = if profile == Profile::V017 { 504 } else { 500 };
            return failed(profile, status, "compute child did not respond in time.");
        }
    };
    life.pool.touch();
    if reply.status == 200 {
        life.pool.promote(port);
    }
    match profile {
        Profile::V016 => {
            reply.content_type = None;
            if is_get {
                reply.status = 200;
            }
        }
        Profile::V017 if shared.config.metering => {
            reply.headers.push(("rhino-compute-pid", pid.to_string()));
            if billable {
                let id = request_id
                    .filter(|id| is_request_id(id))
                    .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
                reply.headers.push(("rhino-compute-cpu-seconds", format!("{:.3}", begun.elapsed().as_secs_f64())));
                reply.headers.push((REQUEST_ID, id));
            }
        }
        Profile::V017 => {}
    }
    reply
}

fn is_request_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The child's side of a call.
async fn serve(shared: Arc<Shared>, life: Arc<Life>, child: Arc<Child>, call: Call) -> Reply {
    let config = &shared.config;
    let told = match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/grasshopper") => child.grasshopper(asked(&shared, &life, call).await).await,
        ("POST" | "GET", "/io") => child.io(asked(&shared, &life, call).await).await,
        (_, path) => {
            suffer(call.struck.solve.as_ref()).await;
            let lied = match &call.struck.arrive {
                Some(Fault::WrongPlugins { grasshopper, rhino }) => (grasshopper.as_ref(), rhino.as_ref()),
                _ => (None, None),
            };
            return match path {
                "/version" => {
                    let (rhino, compute) = (&config.rhino_version, &config.compute_version);
                    Reply::json(200, &json!({ "rhino": rhino, "compute": compute, "git_sha": null }))
                }
                "/servertime" => Reply::json(200, &json!(jiff::Timestamp::now().to_string())),
                "/plugins/gh/installed" => installed(lied.0.unwrap_or(&config.grasshopper_plugins)),
                "/plugins/rhino/installed" => installed(lied.1.unwrap_or(&config.rhino_plugins)),
                _ => Reply::empty(404),
            };
        }
    };
    match told {
        Ok(Told { status, json }) => Reply::new(status, Some(JSON), json),
        Err(Thrown::Request(message)) => {
            failed(config.profile, if config.profile == Profile::V017 { 400 } else { 500 }, &message)
        }
        Err(Thrown::Server(message)) => failed(config.profile, 500, &message),
    }
}

fn installed(plugins: &Plugins) -> Reply {
    Reply::json(200, &json!(plugins))
}

/// An exception as the outside sees it.
fn failed(profile: Profile, status: u16, message: &str) -> Reply {
    match profile {
        Profile::V016 => Reply::empty(status),
        Profile::V017 => {
            let error = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            Reply::json(status, &json!({ "error": error, "message": message }))
        }
    }
}

/// Reads and logs the body of a call. A large one takes its time, so that is done where blocking is no harm.
async fn asked(shared: &Arc<Shared>, life: &Life, call: Call) -> Asked {
    let (number, logged, body) = (call.number, Arc::clone(shared), call.body.clone());
    let reading = shared.tracker.spawn_blocking(move || {
        let json = request::parse(&String::from_utf8_lossy(&body));
        logged.log.note(number, |entry| {
            entry.body_bytes = body.len();
            if let Ok(json) = &json {
                entry.members = json.names();
                entry.body = log::kept(json);
            }
        });
        json
    });
    let json = reading.await.unwrap_or(Err(Thrown::Server("The reader crashed.".into())));
    let logged = Arc::clone(shared);
    Asked {
        body: call.body,
        json,
        fault: call.struck.solve,
        stub: shared.config.stub,
        arrived: call.arrived,
        shelf: Arc::clone(&life.shelf),
        settings: Arc::clone(&shared.settings),
        dereferenced: Arc::new(move |pointer| {
            logged.log.note(number, |entry| entry.pointer_dereferenced = Some(pointer.to_owned()));
        }),
        solves: shared.solves.clone(),
        tracker: shared.tracker.clone(),
    }
}

/// The value of a query parameter, as it stands.
fn query<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

// === impl Waiting ===

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered && !self.cut.is_cancelled() {
            self.shared.log.note(self.number, |entry| entry.peer_left = true);
        }
    }
}
