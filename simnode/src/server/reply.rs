//! Answers of the node, and what faults make of them.
//!
//! Kestrel sends a body whose length nobody stated in chunks, so that is how every body but an empty one leaves.

use crate::faults::Fault;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, SERVER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

pub(super) const JSON: &str = "application/json; charset=utf-8";
pub(super) const TEXT: &str = "text/plain";

/// Size of the chunks of large and endless answers.
const CHUNK_BYTES: u64 = 16_384;

/// Between two chunks of an endless answer.
const ENDLESS_PAUSE: Duration = Duration::from_millis(5);

/// An answer before it is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<&'static str>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    server: Option<&'static str>,
    tail: Tail,
}

/// What follows the body.
#[derive(Debug, Clone, Copy, Default)]
enum Tail {
    #[default]
    None,
    Bytes(u64),
    Endless,
}

/// A body on its way out.
pub(super) struct Outgoing {
    first: Option<Bytes>,
    tail: Tail,
    pause: Option<Pin<Box<Sleep>>>,
}

// === impl Reply ===

impl Reply {
    pub(super) fn new(status: u16, content_type: Option<&'static str>, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into(), ..Self::default() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::new(status, None, Bytes::new())
    }

    pub(super) fn text(body: impl Into<Bytes>) -> Self {
        // WriteAsync states no type.
        Self::new(200, None, body)
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::new(status, Some(JSON), value.to_string())
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What a fault makes of this answer.
    pub(super) fn spoilt(mut self, fault: &Fault) -> Self {
        match fault {
            Fault::EmptyError => Self::empty(500),
            Fault::BadGatewayPage => {
                Self { server: Some("Microsoft-IIS/10.0"), ..Self::new(502, Some("text/html"), BAD_GATEWAY) }
            }
            Fault::OkWithText { text } => Self::new(200, None, text.clone()),
            Fault::OkWithErrors { errors } => {
                let parsed = serde_json::from_slice(&self.body).ok().filter(Value::is_object);
                let mut value = parsed.unwrap_or_else(|| json!({"values": []}));
                value["errors"] = json!(errors);
                Self { status: 200, body: value.to_string().into(), ..self }
            }
            Fault::TruncatedJson { keep } => {
                self.body.truncate(*keep);
                self
            }
            Fault::EndlessChunked => Self { body: Bytes::from_static(b"{\"values\":["), tail: Tail::Endless, ..self },
            Fault::Huge { bytes } => {
                // White space may precede any JSON value, so the answer stays well-formed however long it is.
                Self { body: Bytes::from_static(b"{\"values\":[]}"), tail: Tail::Bytes(*bytes), ..self }
            }
            Fault::Delay { .. }
            | Fault::Hang
            | Fault::Refuse
            | Fault::ResetOnAccept
            | Fault::Reset { .. }
            | Fault::Stall { .. }
            | Fault::Drip { .. }
            | Fault::WrongContentLength { .. }
            | Fault::Garbage
            | Fault::WrongPlugins { .. }
            | Fault::StalePointer
            | Fault::Restart => self,
        }
    }

    pub(super) fn into_response(self, closes: bool) -> Response<Outgoing> {
        let mut response = Response::new(Outgoing { first: Some(self.body), tail: self.tail, pause: None });
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static(self.server.unwrap_or("Kestrel")));
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

const BAD_GATEWAY: &str = "<!DOCTYPE html>\r\n<html><head><title>IIS 502.3 Error - Bad Gateway</title></head>\r\n<body>\
    <h1>Server Error</h1><h2>502 - Web server received an invalid response while acting as a gateway or proxy server.</h2>\
    </body></html>\r\n";

// === impl Outgoing ===

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take().filter(|first| !first.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let length = match &mut this.tail {
            Tail::None | Tail::Bytes(0) => return Poll::Ready(None),
            Tail::Bytes(left) => {
                let length = (*left).min(CHUNK_BYTES);
                *left -= length;
                length
            }
            Tail::Endless => {
                let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(ENDLESS_PAUSE)));
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
                CHUNK_BYTES
            }
        };
        let chunk = vec![b' '; usize::try_from(length).unwrap_or_default()];
        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.as_ref().is_none_or(Bytes::is_empty) && matches!(self.tail, Tail::None | Tail::Bytes(0))
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
