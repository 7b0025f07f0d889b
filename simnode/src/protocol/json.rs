//! JSON as Rhino.Compute's reader takes it.
//!
//! The reader is Newtonsoft's: members keep their order and may repeat, numbers keep their spelling, comments, single
//! quotes, bare names and trailing commas pass, and a value deeper than 64 throws. Conversions to plain types follow
//! its `ReadAs…` methods, so that a node refuses exactly what the real one refuses.

use std::borrow::Cow;

/// Newtonsoft's default `MaxDepth`.
const DEPTH_MAX: usize = 64;

/// A parsed value, with everything kept that decides how Newtonsoft converts it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The number as written, `NaN` and `Infinity` included.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    /// In file order, repeats included.
    Object(Vec<(String, Json)>),
}

/// Why a text could not be read or converted. The message is the node's own business; callers see only that it threw.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) Cow<'static, str>);

fn fail<T>(message: impl Into<Cow<'static, str>>) -> Result<T, Unreadable> {
    Err(Unreadable(message.into()))
}

/// Reads one value with nothing but white space and comments around it.
pub(crate) fn parse(text: &str) -> Result<Json, Unreadable> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    reader.skip()?;
    if reader.peek().is_none() {
        // Newtonsoft reads nothing as null.
        return Ok(Json::Null);
    }
    let value = reader.value(0)?;
    reader.skip()?;
    if reader.peek().is_some() {
        return fail("Additional text encountered after finished reading JSON content");
    }
    Ok(value)
}

// === impl Json ===

impl Json {
    /// The last member of this name, whatever its case, as a setter called once per occurrence leaves it.
    pub(crate) fn member(&self, name: &str) -> Option<&Json> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The names of an object's members as spelled, in order, repeats included.
    pub(crate) fn names(&self) -> Vec<String> {
        let Self::Object(members) = self else { return Vec::new() };
        members.iter().map(|(name, _)| name.clone()).collect()
    }

    /// `ReadAsString`: scalars become their spelling, null stays null.
    pub(crate) fn text(&self) -> Result<Option<String>, Unreadable> {
        match self {
            Self::Null => Ok(None),
            Self::Bool(value) => Ok(Some(value.to_string())),
            Self::Number(value) | Self::Text(value) => Ok(Some(value.clone())),
            Self::Array(_) => fail("Unexpected character encountered while parsing value: [."),
            Self::Object(_) => fail("Unexpected character encountered while parsing value: {."),
        }
    }

    /// `ReadAsDouble`: numbers and texts that spell one.
    pub(crate) fn double(&self) -> Result<f64, Unreadable> {
        match self {
            Self::Number(text) | Self::Text(text) => match text.trim() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                spelled if spelled.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => spelled
                    .parse()
                    .map_err(|_cause| Unreadable(format!("Input string '{text}' is not a valid double.").into())),
                _ => fail(format!("Could not convert string to double: {text}.")),
            },
            Self::Null | Self::Bool(_) | Self::Array(_) | Self::Object(_) => {
                fail("Error converting value to type 'System.Double'.")
            }
        }
    }

    /// `ReadAsInt32`: `3` and `"3"`; never `3.5`, `3.0` or `1e2`.
    pub(crate) fn int32(&self) -> Result<i32, Unreadable> {
        match self {
            Self::Number(text) | Self::Text(text) => text
                .trim()
                .parse()
                .map_err(|_cause| Unreadable(format!("Input string '{text}' is not a valid integer.").into())),
            Self::Null | Self::Bool(_) | Self::Array(_) | Self::Object(_) => {
                fail("Error converting value to type 'System.Int32'.")
            }
        }
    }

    /// `ReadAsBoolean`: booleans, texts that spell one, and numbers (anything but zero is true).
    pub(crate) fn boolean(&self) -> Result<bool, Unreadable> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Number(_) => Ok(self.double()? != 0.0),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            Self::Null | Self::Text(_) | Self::Array(_) | Self::Object(_) => {
                fail("Error converting value to type 'System.Boolean'.")
            }
        }
    }
}

/// For the log and for geometry JSON: the common form, where the last of repeated members stays.
impl From<&Json> for serde_json::Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(text) => {
                text.parse::<serde_json::Number>().map_or_else(|_| Self::String(text.clone()), Self::Number)
            }
            Json::Text(text) => Self::String(text.clone()),
            Json::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Json::Object(members) => {
                Self::Object(members.iter().map(|(name, value)| (name.clone(), Self::from(value))).collect())
            }
        }
    }
}

/// A cursor over the text. Every byte that it compares is ASCII, so slices end on character borders.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips white space and both kinds of comment.
    fn skip(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'/') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Unreadable> {
        let rest = &self.bytes[self.at..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            match rest.windows(2).skip(2).position(|pair| pair == b"*/") {
                Some(position) => position + 4,
                None => return fail("Unexpected end while parsing comment."),
            }
        } else {
            return fail("Error parsing comment.");
        };
        self.at += length;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Json, Unreadable> {
        if depth > DEPTH_MAX {
            return fail("The reader's MaxDepth of 64 has been exceeded.");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(quote @ (b'"' | b'\'')) => Ok(Json::Text(self.quoted(quote)?)),
            Some(_) => self.bare(),
            None => fail("Unexpected end when reading JSON."),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Unreadable> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.skip()?;
            let name = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
                Some(_) => self.word()?,
                None => return fail("Unexpected end when reading JSON."),
            };
            self.skip()?;
            if self.peek() != Some(b':') {
                return fail("Invalid character after parsing property name. Expected ':'.");
            }
            self.at += 1;
            self.skip()?;
            members.push((name, self.value(depth + 1)?));
            self.skip()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return fail("After parsing a value an unexpected character was encountered."),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Unreadable> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip()?;
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Json::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.skip()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {}
                _ => return fail("After parsing a value an unexpected character was encountered."),
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<String, Unreadable> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != quote && byte != b'\\') {
                self.at += 1;
            }
            text.push_str(&String::from_utf8_lossy(&self.bytes[start..self.at]));
            match self.peek() {
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => {
                    self.at += 1;
                    return Ok(text);
                }
                None => return fail("Unterminated string."),
            }
        }
    }

    /// One escape; a surrogate pair is one character, a lone surrogate the replacement character.
    fn escape(&mut self) -> Result<char, Unreadable> {
        let kind = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        match kind {
            Some(b'b') => Ok('\u{8}'),
            Some(b't') => Ok('\t'),
            Some(b'n') => Ok('\n'),
            Some(b'f') => Ok('\u{c}'),
            Some(b'r') => Ok('\r'),
            Some(plain @ (b'\\' | b'"' | b'\'' | b'/')) => Ok(char::from(plain)),
            Some(b'u') => {
                let high = self.hex4()?;
                let is_pair = (0xD800..0xDC00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u");
                if !is_pair {
                    return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                self.at += 2;
                let low = self.hex4()?;
                let joined = 0x1_0000 + ((high - 0xD800) << 10) + low.wrapping_sub(0xDC00);
                Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => fail("Bad JSON escape sequence."),
        }
    }

    fn hex4(&mut self) -> Result<u32, Unreadable> {
        let digits = self.bytes.get(self.at..self.at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        self.at += 4;
        match value.and_then(|text| u32::from_str_radix(text, 16).ok()) {
            Some(value) => Ok(value),
            None => fail("Invalid Unicode escape sequence."),
        }
    }

    /// A property name without quotes.
    fn word(&mut self) -> Result<String, Unreadable> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$') {
            self.at += 1;
        }
        if start == self.at {
            return fail("Invalid property identifier character.");
        }
        Ok(String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned())
    }

    /// A literal or a number.
    fn bare(&mut self) -> Result<Json, Unreadable> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
        match text.as_str() {
            "null" | "undefined" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            "NaN" | "Infinity" | "-Infinity" => Ok(Json::Number(text)),
            spelled if spelled.starts_with(|first: char| first.is_ascii_digit() || "-.".contains(first)) => {
                if spelled.parse::<f64>().is_err() {
                    return fail(format!("Input string '{spelled}' is not a valid number."));
                }
                Ok(Json::Number(text))
            }
            _ => fail("Unexpected character encountered while parsing value."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Json {
        parse(text).unwrap()
    }

    #[test]
    fn members_keep_their_order_and_repeats_and_the_last_one_wins_whatever_its_case() {
        let json = read(r#"{"pointer":"a","Algo":1,"POINTER":"b"}"#);
        let Json::Object(members) = &json else { unreachable!() };
        assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pointer", "Algo", "POINTER"]);
        assert_eq!(json.member("Pointer").unwrap().text().unwrap().as_deref(), Some("b"));
    }

    #[test]
    fn what_newtonsoft_tolerates_is_tolerated() {
        assert_eq!(
            read("{a:'x', // note\n \"b\":[1,],/* more */}").member("b"),
            Some(&Json::Array(vec![Json::Number("1".into())]))
        );
        assert_eq!(read("  "), Json::Null);
        assert_eq!(read(r#""\u0041\uD83D\uDE00\uD800""#), Json::Text("A😀\u{fffd}".into()));
        assert!(read("NaN").double().unwrap().is_nan());
    }

    #[test]
    fn what_newtonsoft_refuses_is_refused() {
        for text in ["{", "[1", "{\"a\" 1}", "tru", "1 2", "\"a", "{\"a\":}", "\"\\q\"", "/x", "1.2.3", "hello", "'a"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn integers_are_never_taken_from_fractions() {
        assert_eq!(read("3").int32(), Ok(3));
        assert_eq!(read("\"3\"").int32(), Ok(3));
        for text in ["3.5", "3.0", "1e2", "true", "null", "99999999999"] {
            assert!(read(text).int32().is_err(), "{text}");
        }
    }

    #[test]
    fn scalars_convert_as_the_reader_of_compute_converts_them() {
        assert_eq!(read("5.0").text().unwrap().as_deref(), Some("5.0"));
        assert_eq!(read("true").text().unwrap().as_deref(), Some("true"));
        assert_eq!(read("0").boolean(), Ok(false));
        assert_eq!(read("\"True\"").boolean(), Ok(true));
        assert!(parse("True").is_err());
        assert_eq!(read("\" 1.5 \"").double(), Ok(1.5));
        assert!(read("\"inf\"").double().is_err());
        assert!(read("{}").text().is_err());
    }
}
