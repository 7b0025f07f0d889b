//! Spans as OTLP 1 spells them in Protocol Buffers: the messages of `opentelemetry/proto` that we fill, with the numbers of its fields.
//!
//! Written down here because the crates that have them bring a second life cycle, clock and queue of spans along. A test reads what is
//! written with the official messages.

use std::time::{Duration, SystemTime};

use prost::Message;

use crate::context::Place;
use crate::span::{Done, Kind, Value};

/// The name of what makes our spans.
const SCOPE: &str = "appserver";
const STATUS_ERROR: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// Whose spans they are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3, 4")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Number(f64),
}

// === impl Resource ===

impl Resource {
    pub(crate) fn new(attributes: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { attributes: attributes.into_iter().map(|(key, value)| attribute(&key, Value::Text(value))).collect() }
    }
}

/// The body of one export.
pub(crate) fn encode(resource: &Resource, batch: Vec<Done>) -> Vec<u8> {
    let scope = Scope { name: SCOPE.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = batch.into_iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    Request { resource_spans: vec![ResourceSpans { resource: Some(resource.clone()), scope_spans }] }.encode_to_vec()
}

fn span(done: Done) -> Span {
    let Done { name, kind, step, start, took, attributes, links, failed } = done;
    let place = step.context.place;
    Span {
        trace_id: place.trace_id.bytes().to_vec(),
        span_id: place.span_id.bytes().to_vec(),
        trace_state: step.context.state().unwrap_or_default().to_owned(),
        parent_span_id: step.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: name.to_owned(),
        kind: match kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
            Kind::Consumer => 5,
        },
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(start).saturating_add(whole(took)),
        attributes: attributes.into_iter().map(|(key, value)| attribute(key, value)).collect(),
        links: links.into_iter().map(link).collect(),
        status: failed.map(|code| Status { message: code.into_owned(), code: STATUS_ERROR }),
        flags: u32::from(place.flags()),
    }
}

fn link(place: Place) -> Link {
    let (trace_id, span_id) = (place.trace_id.bytes().to_vec(), place.span_id.bytes().to_vec());
    Link { trace_id, span_id, flags: u32::from(place.flags()) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => Any::Text(text),
        Value::Whole(number) => Any::Whole(number),
        Value::Number(number) => Any::Number(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn nanos(time: SystemTime) -> u64 {
    whole(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Nanoseconds since 1970 fit until 2554.
fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
