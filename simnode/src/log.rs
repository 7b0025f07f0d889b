//! What the node has seen: one bounded entry per request.
//!
//! Tests of a gateway assert on this, so an entry tells what arrived before anything judged it, and what became of it.

use crate::protocol::json::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

/// Longer texts of a logged body are cut to this many bytes, with their full length noted.
const TEXT_BYTES_MAX: usize = 1_024;

/// Bodies with more values than this are not kept.
const BODY_VALUES_MAX: usize = 10_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counted from 1 over the life of the node.
    pub number: u64,
    /// Milliseconds from the start of the node.
    pub arrived_ms: u64,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    /// What the caller said of its trace, as it was spelled.
    #[serde(default)]
    pub traceparent: Option<String>,
    #[serde(default)]
    pub tracestate: Option<String>,
    /// Requests under way when this one arrived, itself included.
    pub concurrent: usize,
    pub body_bytes: usize,
    /// The top-level members of a JSON body as they were spelled, in order, repeats included.
    pub members: Vec<String>,
    /// The body as JSON, its long texts cut; nothing if it was too large or no JSON.
    pub body: Option<Value>,
    /// A pointer that names a file, URL or component, which a real node would have opened.
    pub pointer_dereferenced: Option<String>,
    /// The port of the child that took it.
    pub child: Option<u16>,
    /// The faults that struck it.
    pub faults: Vec<String>,
    /// The status that the node answered, or would have answered had the peer stayed.
    pub status: Option<u16>,
    /// Milliseconds from the start of the node to the answer.
    pub answered_ms: Option<u64>,
    /// The peer closed its connection before the answer was ready.
    pub peer_left: bool,
}

/// The ring of entries.
#[derive(Debug)]
pub(crate) struct Log {
    start: Instant,
    entries_max: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    arrived: u64,
}

// === impl Log ===

impl Log {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { start: Instant::now(), entries_max, ring: Mutex::default() }
    }

    /// Opens an entry and gives its number.
    pub(crate) fn arrive(&self, method: &str, path: &str, query: Option<&str>, concurrent: usize) -> u64 {
        let arrived_ms = self.now_ms();
        let mut ring = self.ring();
        ring.arrived += 1;
        let number = ring.arrived;
        if ring.entries.len() >= self.entries_max {
            ring.entries.pop_front();
        }
        ring.entries.push_back(Entry {
            number,
            arrived_ms,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            traceparent: None,
            tracestate: None,
            concurrent,
            body_bytes: 0,
            members: Vec::new(),
            body: None,
            pointer_dereferenced: None,
            child: None,
            faults: Vec::new(),
            status: None,
            answered_ms: None,
            peer_left: false,
        });
        number
    }

    /// Notes something about a request, unless its entry has fallen out.
    pub(crate) fn note(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        let mut ring = self.ring();
        let found = ring.entries.iter_mut().rev().find(|entry| entry.number == number);
        if let Some(entry) = found {
            change(entry);
        }
    }

    pub(crate) fn answered(&self, number: u64, status: u16) {
        let now = self.now_ms();
        self.note(number, |entry| {
            entry.status = Some(status);
            entry.answered_ms = Some(now);
        });
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.ring().entries.iter().cloned().collect()
    }

    /// How many requests have arrived, those included whose entries have fallen out.
    pub(crate) fn arrived(&self) -> u64 {
        self.ring().arrived
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().expect("nothing panics while it holds this lock")
    }
}

/// A body as the log keeps it.
pub(crate) fn kept(json: &Json) -> Option<Value> {
    if count(json) > BODY_VALUES_MAX {
        return None;
    }
    let mut value = Value::from(json);
    shorten(&mut value);
    Some(value)
}

fn count(json: &Json) -> usize {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => 1,
        Json::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Json::Object(members) => 1 + members.iter().map(|(_, value)| count(value)).sum::<usize>(),
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > TEXT_BYTES_MAX => {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            *text = format!("{}… ({} bytes)", &text[..end], text.len());
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::parse;

    #[test]
    fn old_entries_fall_out_and_the_count_goes_on() {
        let log = Log::new(2);
        for _ in 0..3 {
            log.arrive("GET", "/healthcheck", None, 1);
        }
        log.answered(1, 200);
        assert_eq!(log.entries().iter().map(|entry| entry.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(log.arrived(), 3);
    }

    #[test]
    fn long_texts_are_cut_and_large_bodies_left_out() {
        let body = format!(r#"{{"algo":"{}"}}"#, "é".repeat(5_000));
        let kept_body = kept(&parse(&body).unwrap()).unwrap();
        assert!(kept_body["algo"].as_str().unwrap().ends_with("(10000 bytes)"));
        assert_eq!(kept(&parse(&format!("[{}]", "0,".repeat(10_001))).unwrap()), None);
    }
}
