//! What a client asks: the body of a solve or of a description in any shape that today's clients send.
//!
//! Invariant: bytes are parsed within bounds, once; nothing of them is kept but names and values.

use contract::json;
use serde_json::{Map, Value};

use crate::gateway::Error;

/// A solve or a description that is asked for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) names: Names,
    pub(super) said: Said,
    /// The size of the body without the definition that it may carry.
    pub(super) inputs_bytes: u64,
    /// Only Hops says in a body whether a node may cache.
    pub(super) hops: bool,
}

/// How it names its definition.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) pointer: Option<String>,
    /// The definition itself in base64.
    pub(super) algo: Option<String>,
}

/// The inputs, as they were sent.
#[derive(Debug)]
pub(super) enum Said {
    /// Data trees: name, then branches by path, then items.
    Trees(Vec<Value>),
    /// One value or list for each name.
    Flat(Map<String, Value>),
    /// The same, as an address spells it: every value is a text, and a name comes as often as it has values.
    Pairs(Vec<(String, String)>),
}

// === impl Question ===

impl Question {
    /// Reads a body. A list around it is taken off, as Rhino.Compute does.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let bad = |message: String| Error::BadJson { message };
        let value = json::parse(bytes, &json::Limits::default()).map_err(|error| bad(error.to_string()))?;
        let mut value = value;
        if let Value::Array(items) = &mut value
            && items.len() == 1
        {
            value = items.remove(0);
        }
        let Value::Object(mut body) = value else { return Err(bad("the body is an object".to_owned())) };
        let hops = ["pointer", "cachesolve"].iter().all(|name| member(&body, name).is_some());
        let mut text = |names: &[&str]| {
            names.iter().find_map(|name| match take(&mut body, name) {
                Some(Value::String(text)) if !text.is_empty() => Some(Ok(text)),
                None | Some(Value::Null | Value::String(_)) => None,
                Some(_) => Some(Err(bad(format!("`{name}` is a text")))),
            })
        };
        let names =
            Names { pointer: text(&["pointer", "definition"]).transpose()?, algo: text(&["algo"]).transpose()? };
        let said = match (take(&mut body, "values"), take(&mut body, "inputs")) {
            (Some(Value::Array(trees)), None | Some(Value::Null)) => Said::Trees(trees),
            (None | Some(Value::Null), Some(Value::Object(inputs))) => Said::Flat(inputs),
            (None | Some(Value::Null), None | Some(Value::Null)) => Said::Flat(Map::new()),
            (Some(Value::Array(trees)), Some(Value::Object(inputs))) if trees.is_empty() || inputs.is_empty() => {
                if trees.is_empty() {
                    Said::Flat(inputs)
                } else {
                    Said::Trees(trees)
                }
            }
            (Some(Value::Array(_)), Some(Value::Object(_))) => {
                return Err(bad("inputs stand in `values` or in `inputs`, not in both".to_owned()));
            }
            _ => return Err(bad("`values` is a list of trees, `inputs` is an object".to_owned())),
        };
        let inputs_bytes = bytes.len().saturating_sub(names.algo.as_ref().map_or(0, String::len)) as u64;
        Ok(Self { names, said, inputs_bytes, hops })
    }
}

/// A member by name, without regard to case where none is spelled exactly so.
fn member<'b>(body: &'b Map<String, Value>, name: &str) -> Option<&'b Value> {
    body.get(name).or_else(|| body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn take(body: &mut Map<String, Value>, name: &str) -> Option<Value> {
    if let Some(value) = body.remove(name) {
        return Some(value);
    }
    let key = body.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()?;
    body.remove(&key)
}

/// The pairs of a query, decoded as forms are.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    let bad = || Error::BadQuery { message: "the query is not percent-encoded UTF-8".to_owned() };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(key)?, decoded(value)?))
        })
        .collect::<Option<_>>()
        .ok_or_else(bad)
}

/// Percent-encoded UTF-8, with `+` for a space; none where it is not that.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Question, &'static str> {
        Question::read(text.as_bytes()).map_err(|error| error.meaning().code)
    }

    #[test]
    fn every_shape_of_a_body_is_read() {
        let wrapped = read(r#"[{"pointer":"a","algo":null,"values":[]}]"#).unwrap();
        assert_eq!(wrapped.names.pointer.as_deref(), Some("a"));
        assert!(!wrapped.hops);
        assert!(read(r#"{"Pointer":"a","CacheSolve":false,"Values":[]}"#).unwrap().hops);
        assert!(
            matches!(read(r#"{"definition":"a.gh","inputs":{"x":1}}"#).unwrap().said, Said::Flat(flat) if flat.len() == 1)
        );
        assert!(matches!(read(r#"{"definition":"a.gh"}"#).unwrap().said, Said::Flat(flat) if flat.is_empty()));
        for wrong in
            ["", "[]", "[1,2]", "1", r#"{"values":{}}"#, r#"{"pointer":1}"#, r#"{"values":[{}],"inputs":{"a":1}}"#]
        {
            assert_eq!(read(wrong).unwrap_err(), "bad_json", "{wrong}");
        }
    }

    #[test]
    fn a_query_is_decoded_as_a_form_is() {
        let found = pairs("a=1&RH_IN%3Ab=x+y%C3%A9&c").unwrap();
        let expected = [("a", "1"), ("RH_IN:b", "x yé"), ("c", "")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(pairs("a=%").is_err() && pairs("a=%zz").is_err() && pairs("a=%ff").is_err());
    }
}
