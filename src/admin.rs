//! What operators and orchestrators ask: is it alive, may it take traffic, what is ready.
//!
//! Invariant: these answers cost no solve and wake no node, and none of them needs a key: they name apps and nodes, so keep the
//! listener where only those may reach it who may know that.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::gateway::cache::{self, Cache};
use crate::gateway::{Request, Response};
use crate::nodes::Nodes;
use crate::registry::Registry;
use crate::registry::events::Event;

pub mod aliases;
pub mod health;
pub mod inputs;
pub mod level;
pub mod metrics;
pub mod operate;
mod problems;
pub mod promises;
pub mod traffic;

pub use health::Health;
pub use traffic::{Sources, Traffic};

/// Whatever answers requests.
type Path = BoxCloneSyncService<Request, Response, Infallible>;

/// The operator's endpoints.
#[derive(Debug, Clone)]
pub struct Admin {
    registry: Registry,
    nodes: Nodes,
    cache: Option<Cache>,
    sources: Sources,
    draining: Arc<AtomicBool>,
}

// === impl Admin ===

impl Admin {
    pub fn new(registry: Registry, nodes: Nodes, cache: Option<Cache>, sources: Sources) -> Self {
        Self { registry, nodes, cache, sources, draining: Arc::default() }
    }

    /// From now on `/readyz` sends traffic elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The registry and the nodes as of now.
    pub fn health(&self) -> Health {
        Health::of(&self.registry, &self.nodes).with_slos(&self.sources.slos)
    }

    /// What the cache holds, app by app; none where there is no cache.
    pub fn caches(&self) -> Option<cache::View> {
        self.cache.as_ref().map(Cache::view)
    }

    /// What became of requests, and who runs and waits.
    pub fn traffic(&self) -> Traffic {
        Traffic::of(&self.sources, &self.nodes, self.cache.as_ref())
    }

    /// Lets go of what was recorded of versions that the registry does not have any more.
    pub fn forget(&self) {
        if let Some(recorder) = &self.sources.recorder {
            let snapshot = self.registry.current();
            recorder.retain(|app_id, version| {
                snapshot.apps.get(app_id).is_some_and(|app| app.releases.contains_key(version))
            });
        }
    }

    /// The answer, if the request is for one of these endpoints.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        let path = request.uri().path();
        if let Some(word) = problems::word(path) {
            return Some(problems::answer(request, word));
        }
        if !matches!(path, "/livez" | "/readyz" | "/health/registry" | "/admin/events") {
            return None;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD\n".to_owned());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        Some(match path {
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => self.readyz(),
            "/admin/events" => self.events(request),
            _ => self.registry_health(request),
        })
    }

    /// Ready means: at least one version can be solved, no task of the gateway's own stays down, and the process is not
    /// going away.
    fn readyz(&self) -> Response {
        if self.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
        }
        if let Some(task) = self.sources.vitals.down() {
            return text(StatusCode::SERVICE_UNAVAILABLE, format!("the task `{task}` keeps failing: see the log\n"));
        }
        if self.health().serves() {
            return text(StatusCode::OK, "ok\n".to_owned());
        }
        text(StatusCode::SERVICE_UNAVAILABLE, "no version can be solved: see /health/registry\n".to_owned())
    }

    /// What happened to the registry: `?after=N` for what came after the event numbered N.
    fn events(&self, request: &Request) -> Response {
        let mut after = Ok(0);
        for pair in request.uri().query().unwrap_or_default().split('&') {
            if let Some(number) = pair.strip_prefix("after=") {
                after = number.parse();
            }
        }
        let Ok(after) = after else {
            return text(StatusCode::BAD_REQUEST, "`after` is the number of an event\n".to_owned());
        };
        let page = self.registry.events().after(after);
        if wants_text(request) {
            let line = |event: &Event| format!("{} {} {event}\n", event.number, event.time);
            return text(StatusCode::OK, page.events.iter().map(line).collect());
        }
        respond(StatusCode::OK, "application/json", serde_json::to_vec(&page).unwrap_or_default())
    }

    fn registry_health(&self, request: &Request) -> Response {
        let health = self.health();
        let status = if health.serves() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if wants_text(request) {
            return text(status, health.table());
        }
        respond(status, "application/json", serde_json::to_vec(&health).unwrap_or_default())
    }
}

/// Every request: the operator's endpoints answer their own, and the path the rest.
pub fn front(admin: Admin, path: Path) -> Path {
    Path::new(Front { admin, path })
}

#[derive(Debug, Clone)]
struct Front {
    admin: Admin,
    path: Path,
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.admin.answer(&request) {
            Some(response) => Box::pin(std::future::ready(Ok(response))),
            None => Box::pin(self.path.clone().oneshot(request)),
        }
    }
}

/// `?format=text`, or `Accept: text/plain`.
fn wants_text(request: &Request) -> bool {
    let mut pairs = request.uri().query().unwrap_or_default().split('&');
    match pairs.find(|pair| pair.starts_with("format=")) {
        Some("format=text") => true,
        Some("format=json") => false,
        Some(_) | None => {
            let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
            accept.is_some_and(|accept| accept.trim_start().starts_with("text/plain"))
        }
    }
}

fn text(status: StatusCode, body: String) -> Response {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::gateway::stage::full;

    #[tokio::test]
    async fn s4_ready_falls_where_a_task_of_the_gateways_own_stays_down() {
        let registry = Registry::open(concat!(env!("CARGO_MANIFEST_DIR"), "/registry")).unwrap();
        let (nodes, _driver) = Nodes::new(crate::nodes::Options::default()).unwrap();
        let sources = Sources::default();
        let admin = Admin::new(registry, nodes, None, sources.clone());
        let readyz = async || {
            let request = Request::new(full(""));
            let (mut parts, body) = request.into_parts();
            parts.uri = "/readyz".parse().unwrap();
            let response = admin.answer(&Request::from_parts(parts, body)).unwrap();
            let text = response.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert!(readyz().await.starts_with("no version can be solved"));
        sources.vitals.watch("registry", async { panic!("a defect") }).await.unwrap_or(());
        assert_eq!(readyz().await, "the task `registry` keeps failing: see the log\n");
        assert_eq!(admin.traffic().tasks[0].name, "registry");
    }
}
