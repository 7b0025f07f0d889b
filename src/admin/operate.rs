//! What operators may change and see while the gateway runs, on a listener of its own: `/admin/nodes`, `/admin/caches`,
//! `/admin/aliases`, `/admin/inputs`, `/admin/traffic`, `/admin/log-level`, `/metrics`.
//!
//! Invariant: it asks for no key (but for customers' inputs, and where there is one for the log level), so it answers only on a loopback address and only what was sent to it as such: a page
//! in a browser on the same computer can neither send its forms here nor reach it under another name.

use std::convert::Infallible;

use contract::Digest;
use http::{HeaderValue, Method, StatusCode, header};
use program::operators::{LOG_LEVEL, Operators, is_local};

use super::{Admin, Path, aliases, inputs, level, metrics, respond, text, wants_text};
use crate::gateway::{Request, Response};
use crate::nodes::{NodeView, Nodes};

/// The operator's listener: what changes something, and all that [`Admin`] answers. `key` is the digest of the operators' own.
pub fn front(admin: Admin, nodes: Nodes, key: Option<Digest>) -> Path {
    let operators = Operators::new(key);
    Path::new(tower::service_fn(move |request: Request| {
        let (admin, nodes, operators) = (admin.clone(), nodes.clone(), operators.clone());
        async move {
            let rest = request.uri().path().strip_prefix("/admin/aliases/").map(str::to_owned);
            Ok::<_, Infallible>(match rest {
                Some(rest) if is_local(request.uri(), request.headers()) => {
                    aliases::answer(&admin, request, rest).await
                }
                None if request.uri().path() == LOG_LEVEL => level::answer(&admin, &operators, request).await,
                _ => answer(&admin, &nodes, &request, key.as_ref()),
            })
        }
    }))
}

fn answer(admin: &Admin, nodes: &Nodes, request: &Request, key: Option<&Digest>) -> Response {
    if !is_local(request.uri(), request.headers()) {
        return text(StatusCode::FORBIDDEN, "only for programs on this computer, under its own name\n".to_owned());
    }
    let path = request.uri().path();
    if path == "/admin/caches" {
        let caches = || admin.caches().map_or_else(no_cache, |view| json(&view));
        return if request.method() == Method::GET { caches() } else { not_allowed("GET") };
    }
    if let Some(rest) = path.strip_prefix("/admin/inputs/") {
        return inputs::answer(admin, request, rest, key);
    }
    if path == "/metrics" {
        let scrape = || respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics::text(admin));
        return if request.method() == Method::GET { scrape() } else { not_allowed("GET") };
    }
    if path == "/admin/traffic" {
        let traffic =
            || if wants_text(request) { text(StatusCode::OK, admin.traffic().table()) } else { json(&admin.traffic()) };
        return if request.method() == Method::GET { traffic() } else { not_allowed("GET") };
    }
    let Some(rest) = path.strip_prefix("/admin/nodes") else {
        let unknown = || text(StatusCode::NOT_FOUND, "there is nothing at this address\n".to_owned());
        return admin.answer(request).unwrap_or_else(unknown);
    };
    let words: Vec<&str> = rest.split('/').skip(1).collect();
    match (request.method(), words.as_slice()) {
        (&Method::GET, []) if rest.is_empty() => json(&nodes.view()),
        (&Method::POST, [name, "drain"]) => ordered(nodes.drain(name).as_ref()),
        (&Method::POST, [name, "resume"]) => ordered(nodes.resume(name).as_ref()),
        (_, []) if rest.is_empty() => not_allowed("GET"),
        (_, [_, "drain" | "resume"]) => not_allowed("POST"),
        _ => text(StatusCode::NOT_FOUND, "there is nothing at this address\n".to_owned()),
    }
}

fn ordered(view: Option<&NodeView>) -> Response {
    let unknown = || text(StatusCode::NOT_FOUND, "no node has this name\n".to_owned());
    view.map_or_else(unknown, json)
}

fn no_cache() -> Response {
    text(StatusCode::NOT_FOUND, "`cache.enabled` is false: nothing is kept\n".to_owned())
}

fn not_allowed(allow: &'static str) -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("{allow}\n"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

fn json(value: &impl serde::Serialize) -> Response {
    respond(StatusCode::OK, "application/json", serde_json::to_vec(value).unwrap_or_default())
}
