//! One JSON file of the registry: its text, its tree and its places.
//!
//! Every fault that a [`Source`] makes points at the place of its pointer in the file.

use std::cell::OnceCell;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fault::Fault;
use crate::json::{self, spans::Spans};
use crate::schema::{self, Violation};

/// A JSON file that was parsed.
#[derive(Debug)]
pub struct Source<'f> {
    file: &'f Path,
    bytes: &'f [u8],
    /// Made when the first place is asked for: files without faults need none.
    spans: OnceCell<Spans<'f>>,
    /// Of a file that is known to be good, made when it is asked for.
    value: OnceCell<Value>,
}

// === impl Source ===

impl<'f> Source<'f> {
    /// Parses the bytes of `file`; a fault is reported under that name.
    pub fn parse(file: &'f Path, bytes: &'f [u8]) -> Result<Self, Fault> {
        match json::parse(bytes, &json::Limits::FILE) {
            Ok(value) => Ok(Self { value: OnceCell::from(value), ..Self::parsed_before(file, bytes) }),
            Err(error) => {
                let rule = match error.kind {
                    json::ErrorKind::DuplicateKey(_) => "json_duplicate_key",
                    json::ErrorKind::ByteOrderMark => "json_byte_order_mark",
                    json::ErrorKind::Syntax(_) | json::ErrorKind::Trailing | json::ErrorKind::NotUtf8 => "json_syntax",
                    json::ErrorKind::TooLong(..)
                    | json::ErrorKind::TooDeep(_)
                    | json::ErrorKind::TooManyValues(_)
                    | json::ErrorKind::TooMuchMemory(_)
                    | json::ErrorKind::TooManyKeys(_)
                    | json::ErrorKind::LongString(..) => "json_limit",
                };
                Err(Fault::new(rule, file, error.position(), error.kind.to_string()))
            }
        }
    }

    /// A file of which equal bytes were parsed before; parses it only when its tree is asked for.
    pub(crate) fn parsed_before(file: &'f Path, bytes: &'f [u8]) -> Self {
        Self { file, bytes, spans: OnceCell::new(), value: OnceCell::new() }
    }

    pub fn file(&self) -> &'f Path {
        self.file
    }

    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| json::parse(self.bytes, &json::Limits::FILE).unwrap_or_default())
    }

    /// The file as it was written.
    pub fn bytes(&self) -> &'f [u8] {
        self.bytes
    }

    pub fn spans(&self) -> &Spans<'f> {
        self.spans.get_or_init(|| Spans::index(self.bytes))
    }

    pub fn into_value(mut self) -> Value {
        self.value();
        self.value.take().unwrap_or_default()
    }

    /// Checks the file by the embedded schema of this name.
    pub fn check(&self, schema: &str) -> Result<(), Vec<Fault>> {
        let violations = schema::own(schema).check(self.value());
        if violations.is_empty() {
            return Ok(());
        }
        Err(violations.into_iter().map(|violation| self.violated(violation)).collect())
    }

    /// Checks the file by the embedded schema of this name and reads it into `T`.
    pub fn shape<T: DeserializeOwned>(&self, schema: &str) -> Result<T, Vec<Fault>> {
        self.check(schema)?;
        T::deserialize(self.value())
            .map_err(|error| vec![self.fault("file_shape", "", format!("this is no {schema}: {error}"))])
    }

    /// A fault at the value of `pointer`.
    pub fn fault(&self, rule: &'static str, pointer: &str, message: impl Into<String>) -> Fault {
        Fault::new(rule, self.file, self.spans().value(pointer), message).pointer(pointer)
    }

    /// A fault at the key of `pointer`.
    pub fn key_fault(&self, rule: &'static str, pointer: &str, message: impl Into<String>) -> Fault {
        Fault::new(rule, self.file, self.spans().key(pointer), message).pointer(pointer)
    }

    /// A violation of a schema by this file, as a fault of it.
    pub fn violated(&self, violation: Violation) -> Fault {
        let Violation { pointer, rule, message, help } = violation;
        let at = if rule.starts_with("unknown_") { self.spans().key(&pointer) } else { self.spans().value(&pointer) };
        Fault::new(rule, self.file, at, message).pointer(pointer).help(help)
    }
}
