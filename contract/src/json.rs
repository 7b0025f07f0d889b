//! JSON from strangers: parsed within a budget, while it streams.
//!
//! No tree larger than the [`Limits`] ever exists, no member is silently lost to a second one of its name, and
//! the error says where.

mod lengths;
pub mod spans;

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::Serialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::fault::Position;
use lengths::Lengths;

/// What a JSON text may cost. An object of one member takes 93 times its text in memory, so text alone is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text.
    pub bytes: usize,
    /// Values in the tree.
    pub nodes: usize,
    /// Bytes of memory that a tree of more than [`SMALL`] bytes may take for each byte of its text. Lists of numbers, texts or lists
    /// take 16 at most.
    pub growth: usize,
    /// Containers within containers; 127 at most, whatever is asked for.
    pub depth: usize,
    /// Members of one object.
    pub keys_per_object: usize,
    /// Length of one string or key, after unescaping.
    pub string_bytes: usize,
}

/// A text that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{kind} at line {line} column {column}")]
pub struct Error {
    pub kind: ErrorKind,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Offset in the text, from 0.
    pub byte: usize,
}

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    #[error("the text is {0} bytes long, {1} are allowed")]
    TooLong(usize, usize),
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("the text begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    #[error("not JSON: {0}")]
    Syntax(String),
    #[error("something follows the JSON value")]
    Trailing,
    #[error("the key `{0}` is there twice")]
    DuplicateKey(String),
    #[error("more than {0} levels of nesting")]
    TooDeep(usize),
    #[error("more than {0} values")]
    TooManyValues(usize),
    #[error("objects that take more than {0} bytes of memory; lists take less")]
    TooMuchMemory(usize),
    #[error("more than {0} members in one object")]
    TooManyKeys(usize),
    #[error("a string of {0} bytes, {1} are allowed")]
    LongString(usize, usize),
}

/// Reads one JSON value and nothing after it.
///
/// Refuses duplicate keys, compared after unescaping; trailing data; a byte order mark; and all that is over the limits.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::at(bytes, limits.bytes, ErrorKind::TooLong(bytes.len(), limits.bytes)));
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") || bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xFF\xFE") {
        return Err(Error::at(bytes, 0, ErrorKind::ByteOrderMark));
    }
    let text = str::from_utf8(bytes).map_err(|error| Error::at(bytes, error.valid_up_to(), ErrorKind::NotUtf8))?;
    let memory = bytes.len().saturating_mul(limits.growth).max(SMALL);
    let lengths = RefCell::new(Lengths::of(bytes, limits.depth, limits.nodes));
    let budget =
        Budget { limits, memory, nodes: Cell::new(0), taken: Cell::new(0), lengths, refused: RefCell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Tree { budget: &budget, depth: 0 }
        .deserialize(&mut deserializer)
        .map_err(|error| budget.explain(bytes, &error))?;
    deserializer.end().map_err(|error| {
        let mut trailing = Error::from_serde(bytes, &error);
        trailing.kind = ErrorKind::Trailing;
        trailing
    })?;
    Ok(value)
}

/// Bytes of memory that every tree may take, however short its text.
pub const SMALL: usize = 4 << 20;
/// What one value takes where it lies in a list.
const VALUE: usize = size_of::<Value>();
/// What an object takes for each [`NODE_FILL`] members and for what is left over: the nodes of the map have room for eleven, and
/// those that were filled in order are half full.
const NODE: usize = 11 * (size_of::<String>() + VALUE) + 16;
const NODE_FILL: usize = 6;

/// What a value takes where it lies and beyond, in bytes, about: as the budget of [`parse`] reckons.
pub fn memory(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(memory).sum(),
        Value::Object(members) => {
            let members_alone = members.iter().map(|(name, member)| name.len() + memory(member)).sum::<usize>();
            members_alone + members.len().div_ceil(NODE_FILL) * NODE
        }
    };
    VALUE + inner
}

/// What is left to spend, and why the last visitor gave up: serde carries only text in its errors.
struct Budget<'l> {
    limits: &'l Limits,
    /// Bytes that the tree may take.
    memory: usize,
    nodes: Cell<usize>,
    taken: Cell<usize>,
    lengths: RefCell<Lengths>,
    refused: RefCell<Option<ErrorKind>>,
}

/// Reads one value at a depth.
#[derive(Clone, Copy)]
struct Tree<'b> {
    budget: &'b Budget<'b>,
    depth: usize,
}

// === impl Limits ===

impl Limits {
    /// For the files of a version folder, which an operator wrote.
    pub const FILE: Self =
        Self { bytes: 4 << 20, nodes: 200_000, growth: 32, depth: 64, keys_per_object: 2_000, string_bytes: 1 << 20 };
}

impl Default for Limits {
    /// For requests: flat objects of numbers, points and at most some geometry. The length of a body is bounded where it is read, by
    /// the contract; geometry is one long text.
    fn default() -> Self {
        let unbounded = usize::MAX;
        Self {
            bytes: unbounded,
            nodes: 1_000_000,
            growth: 16,
            depth: 32,
            keys_per_object: 1_000,
            string_bytes: unbounded,
        }
    }
}

// === impl Error ===

impl Error {
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    fn at(bytes: &[u8], byte: usize, kind: ErrorKind) -> Self {
        let Position { line, column } = Position::of(bytes, byte);
        Self { kind, line, column, byte: byte.min(bytes.len()) }
    }

    /// Takes over the place of an error of `serde_json`, which counts bytes of a line from 1.
    fn from_serde(bytes: &[u8], error: &serde_json::Error) -> Self {
        let line_start = match error.line() {
            0 | 1 => 0,
            line => {
                let newline = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(line - 2);
                newline.map_or(bytes.len(), |(at, _)| at + 1)
            }
        };
        // Column 0 of a line is the line end before it.
        let byte = (line_start + error.column()).saturating_sub(1);
        let message = error.to_string();
        let message = message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        Self::at(bytes, byte, ErrorKind::Syntax(message.to_owned()))
    }
}

// === impl Budget ===

impl Budget<'_> {
    fn refuse<E: de::Error>(&self, kind: ErrorKind) -> E {
        let error = E::custom(&kind);
        *self.refused.borrow_mut() = Some(kind);
        error
    }

    fn count<E: de::Error>(&self) -> Result<(), E> {
        self.nodes.set(self.nodes.get() + 1);
        let over = self.nodes.get() > self.limits.nodes;
        if over { Err(self.refuse(ErrorKind::TooManyValues(self.limits.nodes))) } else { Ok(()) }
    }

    fn spend<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        self.taken.set(self.taken.get().saturating_add(bytes));
        let over = self.taken.get() > self.memory;
        if over { Err(self.refuse(ErrorKind::TooMuchMemory(self.memory))) } else { Ok(()) }
    }

    /// Room for the list that begins now. What the text only pretends to hold is refused as its items are missed, and memory that
    /// nothing was written to costs nothing.
    fn list(&self) -> Vec<Value> {
        let length = self.lengths.borrow_mut().next();
        Vec::with_capacity(length.min(self.limits.nodes.saturating_sub(self.nodes.get())))
    }

    fn check_string<E: de::Error>(&self, text: &str) -> Result<(), E> {
        let allowed = self.limits.string_bytes;
        if text.len() > allowed { Err(self.refuse(ErrorKind::LongString(text.len(), allowed))) } else { Ok(()) }
    }

    /// The error in our words: the recorded refusal if there is one, else what `serde_json` found.
    fn explain(&self, bytes: &[u8], error: &serde_json::Error) -> Error {
        let found = Error::from_serde(bytes, error);
        match self.refused.take() {
            Some(kind @ (ErrorKind::DuplicateKey(_) | ErrorKind::LongString(..))) => {
                Error::at(bytes, string_start(bytes, found.byte), kind)
            }
            Some(kind) => Error { kind, ..found },
            None if matches!(&found.kind, ErrorKind::Syntax(text) if text == "recursion limit exceeded") => {
                Error { kind: ErrorKind::TooDeep(127), ..found }
            }
            None => found,
        }
    }
}

/// The opening quote of the string that ends at or just before `byte`.
fn string_start(bytes: &[u8], byte: usize) -> usize {
    let quote_before = |end: usize| {
        (0..end).rev().find(|&at| {
            let escapes = bytes[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
            bytes[at] == b'"' && escapes % 2 == 0
        })
    };
    let end = quote_before((byte + 1).min(bytes.len()));
    end.and_then(quote_before).unwrap_or(byte)
}

// === impl Tree ===

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.count()?;
        deserializer.deserialize_any(self)
    }
}

impl Tree<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > self.budget.limits.depth {
            return Err(self.budget.refuse(ErrorKind::TooDeep(self.budget.limits.depth)));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.budget.check_string(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let item = self.deeper()?;
        let mut list = self.budget.list();
        while let Some(value) = items.next_element_seed(item)? {
            self.budget.spend(VALUE)?;
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let member = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key_seed(Key(self.budget))? {
            if object.contains_key(&key) {
                return Err(self.budget.refuse(ErrorKind::DuplicateKey(key)));
            }
            if object.len().is_multiple_of(NODE_FILL) {
                self.budget.spend(NODE)?;
            }
            if object.len() == self.budget.limits.keys_per_object {
                return Err(self.budget.refuse(ErrorKind::TooManyKeys(object.len())));
            }
            let value = members.next_value_seed(member)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Reads a member's name.
struct Key<'b>(&'b Budget<'b>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        self.0.check_string(text)?;
        Ok(text.to_owned())
    }
}
