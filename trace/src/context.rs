//! A place in a trace, as W3C Trace Context spells it: <https://www.w3.org/TR/trace-context/>.
//!
//! Invariant: what came wrong is as if nothing came: it is never an error, and never passed on.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{ids, state};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-<trace>-<span>-<flags>`
const BYTES: usize = 55;
const SAMPLED: u8 = 0b01;
/// The trace's name is random, as the second level has it.
const RANDOM: u8 = 0b10;

/// The name of a trace; not zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// The name of a span in it; not zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

/// Lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

/// One span of a trace: what `traceparent` says. `Display` writes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    flags: u8,
}

/// A place, and what other tools keep with its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub place: Place,
    state: Option<Arc<str>>,
}

// === impl TraceId ===

impl TraceId {
    /// Its spelling, without an allocation.
    pub fn hex(self) -> Hex<32> {
        Hex::of(&self.0)
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// A number that is spread evenly over all traces, by which a part of them can be chosen alike everywhere.
    pub(crate) fn draw(self) -> u64 {
        let [.., a, b, c, d, e, f, g] = self.0;
        u64::from_be_bytes([0, a, b, c, d, e, f, g])
    }
}

// === impl SpanId ===

impl SpanId {
    /// Its spelling, without an allocation.
    pub fn hex(self) -> Hex<16> {
        Hex::of(&self.0)
    }

    pub fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// A new one.
    pub(crate) fn next() -> Self {
        Self(ids::span().to_be_bytes())
    }
}

// === impl Place ===

impl Place {
    /// A new trace's first span.
    pub(crate) fn new(sampled: bool) -> Self {
        let flags = RANDOM | if sampled { SAMPLED } else { 0 };
        Self { trace_id: TraceId(ids::trace().to_be_bytes()), span_id: SpanId::next(), flags }
    }

    /// Reads a `traceparent`. None where it is none, by the rules for the version that it says (Trace Context, 3.2 and 4.3).
    pub fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (head, rest) = bytes.split_at_checked(BYTES)?;
        let [version] = hex(&head[..2])?;
        // A later version may say more behind a dash; 00 says no more, and ff is none.
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        let (trace_id, span_id) = (hex::<16>(&head[3..35])?, hex::<8>(&head[36..52])?);
        let [flags] = hex(&head[53..])?;
        let named = trace_id != [0; 16] && span_id != [0; 8];
        (fits && dashes && named).then_some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            // Flags that we do not know are not ours to pass on.
            flags: flags & (SAMPLED | RANDOM),
        })
    }

    /// Says it to whom the headers go, in place of what they said.
    pub fn write(self, headers: &mut HeaderMap) {
        if let Ok(place) = HeaderValue::try_from(self.to_string()) {
            headers.insert(TRACEPARENT, place);
        }
    }

    /// Whether spans of this trace are to be kept.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(crate) fn sampled(self, sampled: bool) -> Self {
        let flags = self.flags & !SAMPLED | if sampled { SAMPLED } else { 0 };
        Self { flags, ..self }
    }

    pub(crate) fn flags(self) -> u8 {
        self.flags
    }

    /// Another span of the same trace.
    pub(crate) fn next(self) -> Self {
        Self { span_id: SpanId::next(), ..self }
    }
}

// === impl Context ===

impl Context {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, state: None }
    }

    /// What a caller's headers say, if they say it rightly and once.
    pub fn received(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (parent, None) = (parents.next()?, parents.next()) else { return None };
        let place = Place::read(parent.to_str().ok()?.trim_matches([' ', '\t']))?;
        let states: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|state| state.to_str().ok()).collect();
        Some(Self { place, state: states.and_then(|states| state::read(states.into_iter())) })
    }

    /// What was kept as text.
    pub fn kept(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        Some(Self { place: Place::read(traceparent)?, state: state::read(tracestate.into_iter()) })
    }

    /// The list of other tools, as `tracestate` has it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Another place in the same trace.
    pub(crate) fn at(&self, place: Place) -> Self {
        Self { place, state: self.state.clone() }
    }

    /// Says it to whom the headers go, in place of what they said.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.remove(TRACESTATE);
        self.place.write(headers);
        if let Some(state) = self.state().and_then(|state| HeaderValue::from_str(state).ok()) {
            headers.insert(TRACESTATE, state);
        }
    }
}

// === impl Display ===

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Hex ===

impl<const N: usize> Hex<N> {
    fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [b'0'; N];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(digits)
    }
}

impl<const N: usize> std::ops::Deref for Hex<N> {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Bytes of so many lower-case hexadecimal digits; upper-case ones are wrong here.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(TRACEPARENT, parents), (TRACESTATE, states)] {
            for value in values {
                headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        headers
    }

    #[test]
    fn a_traceparent_reads_back_as_it_was() {
        let place = Place::read(GOOD).unwrap();
        assert_eq!(place.to_string(), GOOD);
        assert!(place.is_sampled());
        assert_eq!(place.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(Place::read(&place.next().to_string()).unwrap().trace_id, place.trace_id);
        assert_ne!(place.next().span_id, place.span_id);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let long = format!("{GOOD}-more");
        let bad = [
            "",
            "00",
            &GOOD[..54],
            &long,
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
        ];
        for bad in bad {
            assert_eq!(Place::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_we_know_it_and_answered_in_ours() {
        for later in [
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more",
        ] {
            let place = Place::read(later).unwrap();
            assert!(place.is_sampled());
            assert_eq!(&place.to_string()[..53], &GOOD[..53], "{later}");
        }
        assert_eq!(Place::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe").unwrap().flags, RANDOM);
    }

    #[test]
    fn headers_are_believed_where_they_say_one_thing() {
        let context = Context::received(&headers(&[GOOD], &["a=1", "b=2"])).unwrap();
        assert_eq!((context.place.to_string().as_str(), context.state()), (GOOD, Some("a=1,b=2")));
        let mut sent = headers(&["old"], &["old=1", "older=2"]);
        context.write(&mut sent);
        assert_eq!(Context::received(&sent), Some(context));
        assert_eq!(Context::received(&headers(&[GOOD, GOOD], &["a=1"])), None, "two parents are none");
        assert_eq!(Context::received(&headers(&[], &["a=1"])), None, "a state of nothing");
        assert_eq!(Context::received(&headers(&[GOOD], &["a=1", "\u{e9}=2"])).unwrap().state(), None);
        assert_eq!(Context::kept(GOOD, Some("a=1")).unwrap().state(), Some("a=1"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,80}", version in "[0-9a-f]{2}", tail in "\\PC{0,5}") {
            for text in [text, format!("{version}{}{tail}", &GOOD[2..])] {
                if let Some(place) = Place::read(&text) {
                    prop_assert_eq!(Place::read(&place.to_string()), Some(place));
                }
            }
        }
    }
}
