//! What operators may change in any of the programs while it runs: `/admin/log-level`, which log lines are written, for good or for a while.
//!
//! Invariant: it answers what was sent to this computer as such, and from it: a page in a browser there can neither send its forms here nor reach
//! it under another name. Where there is an operators' key, nothing is told or changed without it.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::Buf as _;
use contract::Digest;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use logs::{Changed, Level, Order};
use serde::Serialize;
use subtle::ConstantTimeEq as _;

/// Where it is asked for.
pub const LOG_LEVEL: &str = "/admin/log-level";

/// An order is one short object.
const BODY_BYTES_MAX: usize = 8 << 10;
const BODY_WAIT: Duration = Duration::from_secs(5);

/// How a program that has no file of settings knows its operators.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Flags {
    /// The digest of the operators' key, as `appserver key --id admin` prints it. Without it, whoever is on this computer is one.
    #[arg(long, env = "ADMIN_KEY_SHA256", value_name = "DIGEST", value_parser = digest)]
    admin_key_sha256: Option<Digest>,
}

/// Whom a program takes for an operator. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    key: Option<Digest>,
}

/// Why not.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    error: &'a str,
    message: &'a str,
}

// === impl Flags ===

impl Flags {
    pub fn operators(&self) -> Operators {
        Operators::new(self.admin_key_sha256)
    }
}

fn digest(text: &str) -> Result<Digest, &'static str> {
    text.parse().map_err(|_other| "it is `sha256:` and 64 lower-case hex digits, as `appserver key` prints")
}

// === impl Operators ===

impl Operators {
    /// Those who hold the key of this digest; without one, all who are on this computer.
    pub fn new(key: Option<Digest>) -> Self {
        Self { key }
    }

    /// Answers a request about the log level, and gives what it has changed. `peer` is who sent it, where not only this computer can.
    pub async fn log_level<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> (Response<Vec<u8>>, Option<Changed>)
    where
        B: Body,
    {
        self.answer(logs::level().as_ref(), request, peer).await
    }

    async fn answer<B>(
        &self,
        level: Option<&Level>,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> (Response<Vec<u8>>, Option<Changed>)
    where
        B: Body,
    {
        let near = peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback());
        if !near || !is_local(request.uri(), request.headers()) {
            let message = "only for programs on this computer, under its own name";
            return (problem(StatusCode::FORBIDDEN, "not_local", message), None);
        }
        if self.key.is_some_and(|key| !holds(request.headers(), &key)) {
            let message =
                "send the operators' key as Authorization: Bearer; `appserver` takes it from APPSERVER_ADMIN_KEY";
            return (problem(StatusCode::UNAUTHORIZED, "unauthenticated", message), None);
        }
        let Some(level) = level else {
            return (problem(StatusCode::NOT_FOUND, "no_log", "this process writes no log"), None);
        };
        let changed = match *request.method() {
            Method::GET | Method::HEAD => None,
            Method::DELETE => Some(level.reset()),
            Method::PUT => match ordered(level, request.into_body()).await {
                Ok(changed) => Some(changed),
                Err((error, message)) => return (problem(StatusCode::BAD_REQUEST, error, &message), None),
            },
            _ => {
                let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method", "GET, PUT or DELETE");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, PUT, DELETE"));
                return (response, None);
            }
        };
        (json(StatusCode::OK, &level.view()), changed)
    }
}

/// Whether a request names this computer as its host, and comes from no page.
pub fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Uri>().ok());
    let host = uri.host().map(str::to_owned).or_else(|| named?.host().map(str::to_owned));
    let local = host.is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    local && !headers.contains_key(header::ORIGIN)
}

/// Whether the headers hold the key of this digest. Takes the same time whatever part of the key is right.
pub fn holds(headers: &HeaderMap, key: &Digest) -> bool {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.is_some_and(|(_, token)| Digest::of(token.trim()).0.ct_eq(&key.0).into())
}

/// Tells the log of a change: for programs that keep no events.
pub fn tell(Changed { from, to, reason }: &Changed) {
    tracing::info!(from, to, reason, "other log lines are written");
}

/// Ends changes that were made for a while, and tells the log of it. To be run as long as the process.
///
/// Cancel safe.
pub async fn keep_log_level() {
    if let Some(level) = logs::level() {
        level.keep(tell).await;
    }
}

async fn ordered(level: &Level, body: impl Body) -> Result<Changed, (&'static str, String)> {
    let Ok(Some(body)) = tokio::time::timeout(BODY_WAIT, received(body)).await else {
        return Err(("body", "an order is one short JSON object, sent at once".to_owned()));
    };
    let order: Order =
        serde_json::from_slice(&body).map_err(|error| ("order", format!("this is no order: {error}")))?;
    level.obey(&order).map_err(|refused| ("order", refused.to_string()))
}

/// A body of a bounded size; none where it is larger, or breaks off.
async fn received(body: impl Body) -> Option<Vec<u8>> {
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = body.as_mut().frame().await {
        let Ok(mut data) = frame.ok()?.into_data() else { continue };
        while data.has_remaining() {
            let chunk = data.chunk();
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                return None;
            }
            bytes.extend_from_slice(chunk);
            let read = chunk.len();
            data.advance(read);
        }
    }
    Some(bytes)
}

fn problem(status: StatusCode, error: &str, message: &str) -> Response<Vec<u8>> {
    json(status, &Problem { error, message })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Vec<u8>> {
    let mut response = Response::new(serde_json::to_vec(value).unwrap_or_default());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use serde_json::{Value, json};

    use super::*;

    struct Bench {
        level: Level,
        operators: Operators,
    }

    impl Bench {
        fn new(key: Option<&str>) -> Self {
            let operators = Operators::new(key.map(Digest::of));
            Self { level: Level::detached("warn".parse().unwrap()), operators }
        }

        async fn ask(&self, method: Method, headers: &[(&str, &str)], body: &str, peer: Option<&str>) -> (u16, Value) {
            let mut request = Request::builder().method(method).uri(LOG_LEVEL);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Full::new(body.to_owned().into_bytes().into())).unwrap();
            let request: Request<Full<bytes::Bytes>> = request;
            let before = self.level.view().filter;
            let peer = peer.map(|peer| peer.parse().unwrap());
            let (response, changed) = self.operators.answer(Some(&self.level), request, peer).await;
            let after = self.level.view().filter;
            assert_eq!(changed.map(|changed| (changed.from, changed.to)), (before != after).then_some((before, after)));
            (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
        }
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:3001");

    #[tokio::test]
    async fn the_filter_is_shown_changed_and_reset() {
        let bench = Bench::new(None);
        let usual = json!({ "filter": "warn", "usual": "warn" });
        assert_eq!(bench.ask(Method::GET, &[HERE], "", None).await, (200, usual.clone()));
        let put = bench.ask(Method::PUT, &[HERE], r#"{"filter":"debug","for_sec":60}"#, None).await;
        assert_eq!(put, (200, json!({ "filter": "debug", "usual": "warn", "reverts_in_sec": 60 })));
        assert_eq!(bench.ask(Method::DELETE, &[("host", "localhost")], "", None).await, (200, usual));
        for (body, error) in [("loud", "order"), (r#"{"filter":"loud"}"#, "order"), (&"x".repeat(8193), "body")] {
            let (status, told) = bench.ask(Method::PUT, &[HERE], body, None).await;
            assert_eq!((status, &told["error"]), (400, &json!(error)), "{told}");
        }
        assert_eq!(bench.ask(Method::POST, &[HERE], "", None).await.0, 405);
        assert_eq!(bench.level.view().filter, "warn");
    }

    #[tokio::test]
    async fn it_is_for_programs_on_this_computer_only() {
        let bench = Bench::new(None);
        let off = r#"{"filter":"off"}"#;
        let page = ("origin", "http://127.0.0.1:3001");
        for headers in [&[][..], &[HERE, page], &[("host", "evil.example")], &[("host", "127.0.0.1.evil.example")]] {
            assert_eq!(bench.ask(Method::PUT, headers, off, None).await.0, 403, "{headers:?}");
        }
        for (peer, status) in [("10.0.0.7:1", 403), ("[2001:db8::1]:1", 403), ("[::ffff:127.0.0.1]:1", 200)] {
            assert_eq!(bench.ask(Method::GET, &[HERE], "", Some(peer)).await.0, status, "{peer}");
        }
    }

    #[tokio::test]
    async fn where_there_is_a_key_nothing_is_told_or_changed_without_it() {
        let bench = Bench::new(Some("k3y"));
        let off = r#"{"filter":"off"}"#;
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
            for headers in [&[HERE][..], &[HERE, ("authorization", "Bearer k3")], &[HERE, ("authorization", "k3y")]] {
                let (status, told) = bench.ask(method.clone(), headers, off, None).await;
                assert_eq!((status, &told["error"]), (401, &json!("unauthenticated")), "{method} {headers:?}");
                assert!(told.get("filter").is_none());
            }
        }
        assert_eq!(bench.ask(Method::PUT, &[HERE, ("authorization", "bearer k3y")], off, None).await.0, 200);
        assert_eq!(bench.level.view().filter, "off");
    }
}
