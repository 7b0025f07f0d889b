//! Traces: where a piece of work stands in the tree of what caused it, and telling that to a collector.
//!
//! - [`context`]: the place itself, as the W3C's `traceparent` and `tracestate` spell it. It costs a few bytes, and is always there.
//! - [`span`]: what was done at a place, and how long it took. Kept only where a collector is to be told; else nothing is allocated.
//! - [`export`]: a bounded queue and one task that sends what is in it by OTLP. [`settings`]: where to, by the names of OpenTelemetry.
//!
//! Invariant: nothing here fails or delays the work that it is about. What finds no room is dropped and counted.

pub mod context;
pub mod export;
mod ids;
mod otlp;
pub mod settings;
pub mod span;
mod state;

pub use context::{Context, Hex, Place, SpanId, TRACEPARENT, TRACESTATE, TraceId};
pub use export::{Exporter, start};
pub use settings::{Flags, Sampler, Settings};
pub use span::{Counts, Kind, Span, Step, Tracer, Value};
