//! The control port: faults, log and state of a running node, for tests in other languages and for hands.
//!
//! It has no authentication and no faults of its own, so it listens on an address of its own, loopback by default.

use crate::faults::Faults;
use crate::server::Shared;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Far more than a set of faults needs.
const BODY_BYTES_MAX: usize = 1 << 20;

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the port until the node stops.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        tokio::select! {
            () = shared.stopping().cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(shared.tracker().spawn(connection(Arc::clone(&shared), stream))),
                Err(error) => tracing::debug!(%error, "a control connection was lost before it was accepted"),
            },
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(&shared, request).await) });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    tokio::select! {
        served = http.serve_connection(TokioIo::new(stream), service) => {
            if let Err(error) = served {
                tracing::debug!(%error, "a control connection ended early");
            }
        }
        () = shared.stopping().cancelled() => {}
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/faults") => json(&shared.plan.get()),
        (&Method::PUT, "/faults") => match faults(body).await {
            Ok(faults) => {
                shared.set_faults(faults).await;
                plain(StatusCode::NO_CONTENT, String::new())
            }
            Err(message) => plain(StatusCode::BAD_REQUEST, message),
        },
        (&Method::GET, "/log") => json(&shared.log.entries()),
        (&Method::GET, "/state") => json(&shared.state()),
        (&Method::POST, "/restart") => {
            shared.restart();
            plain(StatusCode::NO_CONTENT, String::new())
        }
        (&Method::POST, "/forget") => {
            shared.forget();
            plain(StatusCode::NO_CONTENT, String::new())
        }
        _ => plain(
            StatusCode::NOT_FOUND,
            "GET or PUT /faults, GET /log, GET /state, POST /restart, POST /forget\n".to_owned(),
        ),
    }
}

async fn faults(body: Incoming) -> Result<Faults, String> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| format!("these are no faults: {error}\n"))
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(value) {
        Ok(text) => {
            let mut response = Response::new(Full::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
