//! The page of a version: a form from its schema and the result as a table. It is the same page for every version, and asks for what
//! it shows as any caller does, so that it tells nobody what exists.
//!
//! Invariant: it loads nothing from elsewhere and runs no script but its own.

use http::{HeaderName, HeaderValue, Method, header};

use super::{Call, reply};
use crate::gateway::Error;
use crate::gateway::stage::Reply;

const PAGE: &str = include_str!("page/page.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
const NO_SNIFF: (HeaderName, HeaderValue) = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
const NO_REFERRER: (HeaderName, HeaderValue) = (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));

// === impl Call ===

impl Call {
    pub(super) fn page(&self) -> Result<Reply, Error> {
        self.only_read()?;
        let mut reply = guarded("text/html; charset=utf-8", PAGE);
        reply.response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        Ok(reply)
    }

    pub(super) fn asset(&self, path: &str) -> Result<Reply, Error> {
        self.only_read()?;
        Ok(match path {
            "/page.js" => guarded("text/javascript; charset=utf-8", SCRIPT),
            _ => guarded("text/css; charset=utf-8", STYLE),
        })
    }

    pub(super) fn only_read(&self) -> Result<(), Error> {
        let reads = matches!(*self.method(), Method::GET | Method::HEAD);
        if reads { Ok(()) } else { Err(Error::MethodNotAllowed { allowed: "GET, HEAD" }) }
    }
}

fn guarded(content_type: &'static str, body: &'static str) -> Reply {
    let mut reply = reply(content_type, body);
    let headers = reply.response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.extend([NO_SNIFF, NO_REFERRER]);
    // A page that is older than the gateway behind it would ask for what is gone.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}
