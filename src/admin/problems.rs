//! `/problems/<word>`: what an error code or a rule means, for people whose network holds nothing but this gateway.

use std::fmt::Write as _;

use http::{Method, StatusCode, header};

use super::{Request, Response, respond, text};
use crate::explain::{self, Kind, Page};

/// The word that a path asks for; empty for the list.
pub(super) fn word(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/problems")?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

pub(super) fn answer(request: &Request, word: &str) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD\n".to_owned());
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let html = wants_html(request);
    let mut response = match explain::page(word) {
        Some(page) if html => respond(StatusCode::OK, HTML, one(page)),
        Some(page) => text(StatusCode::OK, format!("{page}\n")),
        None if word.is_empty() && html => respond(StatusCode::OK, HTML, all()),
        None if word.is_empty() => {
            let lines: Vec<String> = explain::pages().map(|page| format!("{}: {}", page.word, page.title)).collect();
            text(StatusCode::OK, lines.join("\n") + "\n")
        }
        None => {
            let near =
                explain::similar(word).map(|word| format!("; did you mean /problems/{word}?")).unwrap_or_default();
            return text(StatusCode::NOT_FOUND, format!("no error and no rule is called so{near}\n"));
        }
    };
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    response
}

const HTML: &str = "text/html; charset=utf-8";

/// Browsers ask for HTML first; whoever does not say so reads text.
fn wants_html(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let at = |kind: &str| accept.find(kind);
    at("text/html").is_some_and(|html| at("text/plain").is_none_or(|plain| html < plain))
}

fn one(page: &Page) -> String {
    let part = |name: &str, text: &str| format!("<h2>{name}</h2>\n<p>{}</p>\n", escape(text));
    let parts = [part("Cause", page.cause), part("Fix", &page.fix)].concat();
    let example = format!("<h2>Example</h2>\n<pre>{}</pre>\n", escape(page.example));
    let all = "<p><a href=\"../problems/\">All errors and rules</a></p>\n";
    let heading = format!("<p><code>{}</code></p>\n<h1>{}</h1>\n", page.word, escape(&page.title));
    document(page.word, &format!("{heading}{parts}{example}{all}"))
}

fn all() -> String {
    let mut body = "<h1>Errors and rules</h1>\n".to_owned();
    let kinds = [
        (Kind::Error, "Errors"),
        (Kind::Rule, "Rules of files"),
        (Kind::Change, "Rules of changes"),
        (Kind::Keyword, "Rules of values"),
    ];
    for (kind, heading) in kinds {
        let item = |page: &Page| {
            format!("<li><a href=\"/problems/{0}\"><code>{0}</code></a> {1}</li>", page.word, escape(&page.title))
        };
        let items: Vec<String> = explain::pages().filter(|page| page.kind == kind).map(item).collect();
        let _ = write!(body, "<h2>{heading}</h2>\n<ul>\n{}\n</ul>\n", items.join("\n"));
    }
    document("Errors and rules", &body)
}

fn document(title: &str, body: &str) -> String {
    let style = "<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;\
                 margin:2rem auto;padding:0 1rem}h2{font-size:1rem;margin:1.5rem 0 0}pre{overflow:auto}</style>";
    let viewport = "<meta name=\"viewport\" content=\"width=device-width\">";
    let head = format!("<meta charset=\"utf-8\">\n{viewport}\n<title>{}</title>\n{style}", escape(title));
    format!("<!doctype html>\n<html lang=\"en\">\n<head>\n{head}\n</head>\n<body>\n{body}</body>\n</html>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
