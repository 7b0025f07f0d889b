//! What became of one request, in the words that are counted.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::wire::{Answered, Failure};

/// Words longer than this are no codes of ours.
const WORD_MAX: usize = 40;

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// `ok`, the code of a problem, `http_<status>` for an answer without one, or why there is no answer.
    pub(super) code: String,
    pub(super) kind: Kind,
    /// How long it waited for its turn, as `Server-Timing` tells.
    pub(super) wait: Option<Duration>,
    /// How long the node took.
    pub(super) service: Option<Duration>,
    /// What the cache did: `hit`, `collapsed`, or the reason to go on.
    pub(super) cache: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 2xx.
    Good,
    /// Any other status.
    Refused,
    /// No answer, though the caller waited.
    Lost,
    /// The caller left, or the run was interrupted.
    Left,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(exchanged: Result<Answered, Failure>) -> Self {
        match exchanged {
            Ok(answered) => Self::answered(&answered),
            Err(Failure::NoConnection) => Self::without("no_connection", Kind::Lost),
            Err(Failure::CutOff) => Self::without("cut_off", Kind::Lost),
            Err(Failure::NoAnswer) => Self::without("no_answer", Kind::Lost),
        }
    }

    pub(super) fn hung_up() -> Self {
        Self::without("hung_up", Kind::Left)
    }

    pub(super) fn interrupted() -> Self {
        Self::without("interrupted", Kind::Left)
    }

    fn without(code: &str, kind: Kind) -> Self {
        Self { code: code.to_owned(), kind, wait: None, service: None, cache: None }
    }

    fn answered(answered: &Answered) -> Self {
        let good = (200..300).contains(&answered.status);
        let code = if good {
            "ok".to_owned()
        } else {
            let problem: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
            problem["code"]
                .as_str()
                .filter(|code| is_word(code))
                .map_or_else(|| format!("http_{}", answered.status), str::to_owned)
        };
        Self {
            code,
            kind: if good { Kind::Good } else { Kind::Refused },
            wait: timing(&answered.headers, "queue"),
            service: timing(&answered.headers, "node"),
            cache: cache(&answered.headers),
        }
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= WORD_MAX
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// The duration of one metric of `Server-Timing` (W3C), which is in milliseconds.
fn timing(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let metrics = headers.get_all("server-timing").iter().filter_map(|value| value.to_str().ok());
    metrics.flat_map(|value| value.split(',')).find_map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        if parts.next()? != name {
            return None;
        }
        let milliseconds: f64 = parts.find_map(|part| part.strip_prefix("dur="))?.trim_matches('"').parse().ok()?;
        Duration::try_from_secs_f64(milliseconds / 1_000.0).ok()
    })
}

/// What the cache nearest to us says in `Cache-Status` (RFC 9211): the last of the list.
fn cache(headers: &HeaderMap) -> Option<String> {
    let value = headers.get_all("cache-status").iter().next_back()?.to_str().ok()?;
    let parameters: Vec<&str> = value.rsplit(',').next()?.split(';').skip(1).map(str::trim).collect();
    let is = |name: &str| parameters.iter().any(|parameter| *parameter == name || *parameter == format!("{name}=?1"));
    if is("hit") {
        return Some("hit".to_owned());
    }
    if is("collapsed") {
        return Some("collapsed".to_owned());
    }
    let forwarded = parameters.iter().find_map(|parameter| parameter.strip_prefix("fwd="));
    forwarded.filter(|why| is_word(why)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn outcome(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Outcome::of(Ok(Answered { status, headers: map, body: Bytes::from_static(body.as_bytes()) }))
    }

    #[test]
    fn a_good_answer_tells_its_times_and_its_cache() {
        let timing = ("server-timing", "queue;dur=1.5, node;desc=\"x\";dur=20, total;dur=22");
        let told = outcome(200, &[timing, ("cache-status", "AppServer; fwd=miss; stored")], "");
        assert_eq!((told.code.as_str(), told.kind, told.cache.as_deref()), ("ok", Kind::Good, Some("miss")));
        assert_eq!(told.wait, Some(Duration::from_micros(1_500)));
        assert_eq!(told.service, Some(Duration::from_millis(20)));
    }

    #[test]
    fn the_words_of_cache_status_are_read() {
        let cache = |value: &'static str| outcome(200, &[("cache-status", value)], "").cache;
        assert_eq!(cache("AppServer; hit; ttl=30").as_deref(), Some("hit"));
        assert_eq!(cache("Origin; fwd=uri-miss, AppServer; hit").as_deref(), Some("hit"));
        assert_eq!(cache("AppServer; fwd=miss; collapsed").as_deref(), Some("collapsed"));
        assert_eq!(cache("AppServer; fwd=request").as_deref(), Some("request"));
        assert_eq!(cache("AppServer"), None);
    }

    #[test]
    fn a_refusal_has_the_code_of_its_problem_or_its_status() {
        let told = outcome(429, &[], r#"{"code":"rate_limited"}"#);
        assert_eq!((told.code.as_str(), told.kind), ("rate_limited", Kind::Refused));
        assert_eq!(outcome(502, &[], "<html>").code, "http_502");
        assert_eq!(outcome(500, &[], r#"{"code":"<b>\n"}"#).code, "http_500");
    }

    #[test]
    fn nonsense_in_a_header_is_passed_over() {
        for value in ["", ";;;", "queue", "queue;dur=", "queue;dur=-1", "queue;dur=1e999", "queue;dur=NaN"] {
            assert_eq!(outcome(200, &[("server-timing", value)], "").wait, None, "{value}");
        }
    }
}
