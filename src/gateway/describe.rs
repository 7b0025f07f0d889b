//! Authorized → Reply for a GET: what the version promises, from the contract alone. A solve passes through untouched.

use std::task::{Context, Poll};

use contract::Contract;
use contract::bindings::Bindings;
use contract::digest::Digest;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt as _};

use super::shared::Shared;
use super::stage::{Authorized, BoxFuture, Reply, Response};
use super::{Error, answer};
use crate::nodes::Nodes;

pub fn layer<S>(nodes: Nodes) -> impl Layer<S, Service = Describe<Shared<S>>> + Clone {
    layer_fn(move |inner| Describe { inner: Shared::new(inner), nodes: nodes.clone() })
}

#[derive(Debug, Clone)]
pub struct Describe<S> {
    inner: S,
    /// Asked only for whether the version is ready.
    nodes: Nodes,
}

impl<S> Service<Authorized> for Describe<S>
where
    S: Service<Authorized, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Error;
    type Future = BoxFuture<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut authorized: Authorized) -> Self::Future {
        if authorized.lane().is_none() {
            let dialect = authorized.take_dialect();
            let document = match dialect.and_then(|dialect| dialect.describe(authorized.contract())) {
                Some(document) => document,
                None => describe(&authorized, &self.nodes),
            };
            let reply = reply(&authorized, document);
            return Box::pin(async move { Ok(reply) });
        }
        let inner = self.inner.clone();
        Box::pin(async move { inner.oneshot(authorized).await })
    }
}

/// What a version promises.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the manifest calls it description, and one thing has one word")]
struct Description<'a> {
    app_id: &'a str,
    definition: &'a str,
    version: String,
    title: Option<&'a str>,
    description: Option<&'a str>,
    status: &'static str,
    missing_plugins: Vec<String>,
    digest: String,
    requires_plugins_hash: String,
    model_units: &'a str,
    timeout_sec: u32,
    deterministic: bool,
    solve: String,
    limits: Limits,
    bindings: &'a Bindings,
    inputs: &'a Value,
    outputs: &'a Value,
    examples: Vec<Example<'a>>,
}

/// What holds for the app that the request acts for.
#[derive(Debug, Serialize)]
struct Limits {
    timeout_sec: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_bytes: Option<u64>,
    batch_jobs_per_min: f64,
}

#[derive(Debug, Serialize)]
struct Example<'a> {
    name: &'a str,
    inputs: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a Map<String, Value>>,
}

fn describe(authorized: &Authorized, nodes: &Nodes) -> Vec<u8> {
    let contract: &Contract = authorized.contract();
    let (manifest, policy) = (&contract.manifest, authorized.policy());
    let attestation = nodes.within(policy.node_pool.as_deref()).attestation(authorized.contract());
    let version = contract.version.to_string();
    let examples = contract.examples.valid.iter().map(|example| Example {
        name: &example.name,
        inputs: &example.inputs,
        outputs: example.outputs.as_ref(),
    });
    let description = Description {
        app_id: &contract.app_id,
        definition: &manifest.definition,
        title: manifest.title.as_deref(),
        description: manifest.description.as_deref(),
        status: if attestation.is_ready() { "ready" } else { "degraded" },
        missing_plugins: attestation.missing,
        digest: contract.digest.to_string(),
        requires_plugins_hash: contract.requires_plugins_hash.to_string(),
        model_units: &manifest.model_units,
        timeout_sec: manifest.timeout_sec,
        deterministic: manifest.deterministic,
        solve: format!("/gh/{}:{version}/solve", manifest.definition),
        version,
        limits: Limits {
            timeout_sec: policy.manifest_overrides.timeout_sec.unwrap_or(manifest.timeout_sec),
            request_bytes: manifest.limits.request_bytes,
            batch_jobs_per_min: policy.rate_limits.batch_jobs_per_min,
        },
        bindings: &contract.bindings,
        inputs: &contract.inputs_schema,
        outputs: &contract.outputs_schema,
        examples: examples.collect(),
    };
    serde_json::to_vec(&description).unwrap_or_default()
}

fn reply(authorized: &Authorized, document: Vec<u8>) -> Reply {
    let etag = format!("\"{}\"", Digest::of(&document));
    let known = authorized.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == etag)) {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        return Reply { response, code: "not_modified", fault: None };
    }
    answer::text(document, "ok", &[(header::ETAG, etag), (header::CACHE_CONTROL, "private, no-cache".to_owned())])
}
