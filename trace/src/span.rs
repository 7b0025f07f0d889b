//! What was done at a place in a trace, from its begin to its end.
//!
//! Invariant: a span that is not kept is `None` and costs nothing but its place; one that is kept ends when it is dropped, whoever drops it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::context::{Context, Place, SpanId};
use crate::export::Shared;

pub use crate::export::Counts;

/// The most attributes and links of one span: what our spans have, and a bound for what they come to have.
const ATTRIBUTES_MAX: usize = 32;
const LINKS_MAX: usize = 8;

/// Where a piece of work stands: its own place, and which span of the same trace caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub context: Context,
    pub parent: Option<SpanId>,
}

/// Begins work in traces. Cheap to clone; the default keeps no span.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

/// Work that is under way.
#[derive(Default)]
pub struct Span(Option<Box<Open>>);

/// What a span is to those before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Within one program.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Works on what was put into a queue.
    Consumer,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Whole(i64),
    Number(f64),
}

struct Open {
    shared: Arc<Shared>,
    begun: Instant,
    done: Done,
}

/// A span as it is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) step: Step,
    pub(crate) start: SystemTime,
    pub(crate) took: Duration,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) links: Vec<Place>,
    /// The code of the error that it ended with.
    pub(crate) failed: Option<Cow<'static, str>>,
}

// === impl Step ===

impl Step {
    /// Another piece of work that this one causes.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { context: self.context.at(self.context.place.next()), parent: Some(self.context.place.span_id) }
    }
}

// === impl Tracer ===

impl Tracer {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self(Some(shared))
    }

    /// Whether a collector is to be told anything.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What became of spans so far.
    pub fn counts(&self) -> Counts {
        self.0.as_deref().map(Shared::counts).unwrap_or_default()
    }

    /// The step of a request: in its caller's trace, else in a new one. Where spans are kept, the sampler says whether those of this
    /// trace are; where none are, the caller's word is passed on, and a new trace says that none are kept.
    pub fn step(&self, caller: Option<Context>) -> Step {
        match caller {
            Some(caller) => {
                let place = caller.place;
                let sampled = self.0.as_ref().map_or(place.is_sampled(), |shared| shared.sampler.continues(place));
                Step { context: caller.at(place.next().sampled(sampled)), parent: Some(place.span_id) }
            }
            None => {
                let place = Place::new(false);
                let sampled = self.0.as_ref().is_some_and(|shared| shared.sampler.begins(place));
                Step { context: Context::new(place.sampled(sampled)), parent: None }
            }
        }
    }

    /// The span of this step, if it is kept.
    pub fn span(&self, name: &'static str, kind: Kind, step: &Step) -> Span {
        let kept = self.0.as_ref().filter(|_| step.context.place.is_sampled());
        Span(kept.map(|shared| {
            let done = Done {
                name,
                kind,
                step: step.clone(),
                start: SystemTime::now(),
                took: Duration::ZERO,
                attributes: Vec::new(),
                links: Vec::new(),
                failed: None,
            };
            Box::new(Open { shared: Arc::clone(shared), begun: Instant::now(), done })
        }))
    }

    /// The span of a step of its own below another, if it is kept.
    pub fn below(&self, name: &'static str, kind: Kind, parent: &Step) -> Span {
        if self.0.is_none() || !parent.context.place.is_sampled() {
            return Span(None);
        }
        self.span(name, kind, &parent.next())
    }
}

// === impl Span ===

impl Span {
    /// Its step, if it is kept: what it causes is below it.
    pub fn step(&self) -> Option<&Step> {
        self.0.as_deref().map(|open| &open.done.step)
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = self.0.as_deref_mut().filter(|open| open.done.attributes.len() < ATTRIBUTES_MAX) {
            open.done.attributes.push((name, value.into()));
        }
    }

    /// Says what else, in this trace or another, it goes back to.
    pub fn link(&mut self, to: Place) {
        if let Some(open) = self.0.as_deref_mut().filter(|open| open.done.links.len() < LINKS_MAX) {
            open.done.links.push(to);
        }
    }

    /// It ends with this error.
    pub fn fail(&mut self, code: impl Into<Cow<'static, str>>) {
        if let Some(open) = self.0.as_deref_mut() {
            open.done.failed = Some(code.into());
        }
    }

    /// It was begun by somebody else, at this time.
    pub fn since(&mut self, start: SystemTime) {
        if let Some(open) = self.0.as_deref_mut() {
            // What lies ahead by another machine's clock has lasted no time.
            let ago = open.done.start.duration_since(start).unwrap_or_default();
            (open.done.start, open.done.took) = (open.done.start - ago, ago);
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.0.as_deref().map(|open| &open.done)).finish()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let Open { shared, begun, mut done } = *open;
            done.took += begun.elapsed();
            shared.keep(done);
        }
    }
}

// === impl Value ===

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}
