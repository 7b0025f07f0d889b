//! A collector for tests: takes OTLP by HTTP and reads it with the official messages.

#![allow(dead_code, reason = "two test binaries share it, and neither uses all of it")]

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A span, and the service that told of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) service: String,
    pub(crate) span: Span,
}

/// What it has been told; it listens as long as the runtime.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Seen {
    status: u16,
    requests: u32,
    told: Vec<Told>,
    /// The heads of all requests.
    heads: String,
    /// All bodies, as they came.
    bytes: Vec<u8>,
}

// === impl Receiver ===

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen { status: 200, requests: 0, told: Vec::new(), heads: String::new(), bytes: Vec::new() };
        let receiver = Self { endpoint, seen: Arc::new(Mutex::new(seen)) };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { while serving.serve(&mut stream).await.is_some() {} });
            }
        });
        receiver
    }

    /// From now on it answers with this; 0 is no answer at all.
    pub(crate) fn answer(&self, status: u16) {
        self.with(|seen| seen.status = status);
    }

    pub(crate) fn spans(&self) -> Vec<Told> {
        self.with(|seen| seen.told.clone())
    }

    pub(crate) fn requests(&self) -> u32 {
        self.with(|seen| seen.requests)
    }

    pub(crate) fn heads(&self) -> String {
        self.with(|seen| seen.heads.clone())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.with(|seen| seen.bytes.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One request.
    async fn serve(&self, stream: &mut TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let whole = end + length.unwrap_or(0_usize);
        while bytes.len() < whole {
            stream.read_buf(&mut bytes).await.ok()?;
        }
        let body = &bytes[end..whole];
        let status = self.with(|seen| {
            seen.requests += 1;
            seen.heads.push_str(&head);
            seen.bytes.extend_from_slice(body);
            if seen.status == 200 {
                seen.told.extend(read(body));
            }
            seen.status
        });
        if status == 0 {
            std::future::pending::<()>().await;
        }
        let answer = format!("HTTP/1.1 {status} As told\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()
    }
}

fn read(body: &[u8]) -> Vec<Told> {
    let request = ExportTraceServiceRequest::decode(body).expect("an export is what the protocol says");
    let mut told = Vec::new();
    for of_service in request.resource_spans {
        let attributes = of_service.resource.unwrap().attributes;
        let service = text(&attributes, "service.name").unwrap();
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.extend(spans.map(|span| Told { service: service.clone(), span }));
    }
    told
}

/// An attribute's text.
pub(crate) fn text(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value?;
    match value {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}
