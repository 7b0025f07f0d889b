//! The binary format `.gh`: one raw DEFLATE stream (RFC 1951) that holds one chunk, little-endian throughout.
//!
//! ```text
//! chunk  := name:string  index:i32  item_count:i32  chunk_count:i32  item*  chunk*
//! item   := name:string  index:i32  type:i32  value
//! string := byte length in 7-bit groups, low group first, then UTF-8
//! ```
//!
//! An index of -1 stands for none. Invariant: `encode(decode(bytes)) == bytes` for every file that is accepted, up to
//! booleans that are neither 0 nor 1.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use uuid::Uuid;

use super::archive::{Chunk, Item, Value};
use super::error::{Place, ReadError, Refusal};
use super::limits::Budget;
use super::types;

/// How the inflated content of every archive begins: the string "Root" and no index.
const START: [u8; 9] = [4, b'R', b'o', b'o', b't', 0xff, 0xff, 0xff, 0xff];
/// The least bytes of an item: empty name, index, type, one byte of value.
const ITEM_BYTES_MIN: usize = 10;
/// The bytes of a chunk with empty name and nothing in it.
const CHUNK_BYTES_MIN: usize = 13;
/// The buffer of inflation and deflation grows by this much at a time.
const STEP: usize = 64 << 10;

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    budget: &'b mut Budget,
}

/// Reads a whole `.gh` file.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<Chunk, ReadError> {
    decode(&inflate(bytes, budget)?, budget)
}

/// Writes a whole `.gh` file.
pub(super) fn write(root: &Chunk) -> Vec<u8> {
    deflate(&encode(root))
}

/// Inflates a raw DEFLATE stream that ends where `bytes` end.
pub(super) fn inflate(bytes: &[u8], budget: &mut Budget) -> Result<Vec<u8>, ReadError> {
    let most = budget.inflatable(bytes.len());
    let mut stream = Decompress::new(false);
    let mut out = Vec::new();
    loop {
        if out.len() > most {
            return Err(budget.over_inflated(bytes.len()));
        }
        out.reserve(STEP.min(most + 1 - out.len()));
        let (read, written) = (consumed(&stream), out.len());
        let status = stream.decompress_vec(&bytes[read..], &mut out, FlushDecompress::None);
        let stuck = consumed(&stream) == read && out.len() == written;
        match status {
            Ok(Status::StreamEnd) => break,
            Ok(Status::Ok | Status::BufError) if !stuck => {}
            Ok(Status::Ok | Status::BufError) => {
                return Err(neither_unless_started(&out, || {
                    ReadError::truncated("the compressed stream has no end", Place::Byte(bytes.len()))
                }));
            }
            Err(error) => {
                let at = Place::Byte(consumed(&stream));
                return Err(neither_unless_started(&out, || {
                    ReadError::malformed(format!("the compressed stream is damaged ({error})"), at)
                }));
            }
        }
    }
    if out.len() > most {
        return Err(budget.over_inflated(bytes.len()));
    }
    let end = consumed(&stream);
    if !out.starts_with(&START) {
        return Err(neither_unless_started(&out, || ReadError::truncated("no root chunk", Place::Inflated(out.len()))));
    }
    if end < bytes.len() {
        return Err(ReadError::new(Refusal::TrailingBytes { count: bytes.len() - end }, Place::Byte(end)));
    }
    budget.inflated(out.len());
    Ok(out)
}

/// The chunk that inflated bytes hold.
pub(super) fn decode(bytes: &[u8], budget: &mut Budget) -> Result<Chunk, ReadError> {
    let mut reader = Reader { bytes, at: 0, budget };
    let root = reader.chunk(1)?;
    let rest = bytes.len() - reader.at;
    if rest > 0 {
        return Err(ReadError::new(Refusal::TrailingBytes { count: rest }, reader.place()));
    }
    Ok(root)
}

/// The bytes that [`write()`] deflates.
pub(super) fn encode(root: &Chunk) -> Vec<u8> {
    let mut out = Vec::new();
    put_chunk(&mut out, root);
    out
}

fn consumed(stream: &Decompress) -> usize {
    usize::try_from(stream.total_in()).unwrap_or(usize::MAX)
}

/// A stream that does not begin as an archive is something else; one that does is a damaged archive.
fn neither_unless_started(out: &[u8], error: impl FnOnce() -> ReadError) -> ReadError {
    if !out.is_empty() && START.starts_with(&out[..out.len().min(START.len())]) || out.starts_with(&START) {
        return error();
    }
    let because = "its content is neither XML nor a compressed archive".to_owned();
    ReadError::new(Refusal::NeitherFormat { because }, Place::File)
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Compression::default(), false);
    let mut out = Vec::new();
    loop {
        out.reserve(STEP);
        let read = usize::try_from(stream.total_in()).expect("no more is consumed than a slice holds");
        let status = stream
            .compress_vec(&bytes[read..], &mut out, FlushCompress::Finish)
            .expect("deflation fails only on a stream in a wrong state, and this one is new");
        if status == Status::StreamEnd {
            return out;
        }
    }
}

// === impl Reader ===

impl<'b> Reader<'b> {
    fn place(&self) -> Place {
        Place::Inflated(self.at)
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'b [u8], ReadError> {
        let rest = &self.bytes[self.at..];
        if rest.len() < count {
            let expected = format!("{what} needs {count} bytes and {} are left", rest.len());
            return Err(ReadError::truncated(expected, self.place()));
        }
        self.at += count;
        Ok(&rest[..count])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ReadError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn i32(&mut self, what: &str) -> Result<i32, ReadError> {
        self.array(what).map(i32::from_le_bytes)
    }

    fn i32s<const N: usize>(&mut self) -> Result<[i32; N], ReadError> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.i32("a value")?;
        }
        Ok(numbers)
    }

    fn f32s<const N: usize>(&mut self) -> Result<[f32; N], ReadError> {
        let mut numbers = [0.0; N];
        for number in &mut numbers {
            *number = f32::from_le_bytes(self.array("a value")?);
        }
        Ok(numbers)
    }

    fn f64s<const N: usize>(&mut self) -> Result<[f64; N], ReadError> {
        let mut numbers = [0.0; N];
        for number in &mut numbers {
            *number = f64::from_le_bytes(self.array("a value")?);
        }
        Ok(numbers)
    }

    fn index(&mut self) -> Result<Option<i32>, ReadError> {
        Ok(Some(self.i32("an index")?).filter(|index| *index != -1))
    }

    /// A count of things of at least `least` bytes each.
    fn count(&mut self, what: &str, least: usize) -> Result<usize, ReadError> {
        let at = self.place();
        let stated = self.i32(what)?;
        let count = usize::try_from(stated)
            .map_err(|_negative| ReadError::malformed(format!("{what} is {stated}, which is negative"), at))?;
        let rest = self.bytes.len() - self.at;
        if count > rest / least {
            let expected = format!("{what} is {count} and {rest} bytes are left");
            return Err(ReadError::truncated(expected, at));
        }
        Ok(count)
    }

    fn text(&mut self, what: &str) -> Result<String, ReadError> {
        let at = self.place();
        let mut length = 0_usize;
        for group in 0..5 {
            let [byte] = self.array("the length of a string")?;
            length |= usize::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                self.budget.text(length, at)?;
                let bytes = self.take(length, what)?;
                let text = std::str::from_utf8(bytes)
                    .map_err(|error| ReadError::malformed(format!("{what} is not UTF-8 ({error})"), at))?;
                return Ok(text.to_owned());
            }
        }
        Err(ReadError::malformed("the length of a string has more than five bytes", at))
    }

    fn blob(&mut self) -> Result<Vec<u8>, ReadError> {
        let at = self.place();
        let count = self.count("the length of an array", 1)?;
        self.budget.array(count, at)?;
        Ok(self.take(count, "an array")?.to_vec())
    }

    fn doubles(&mut self) -> Result<Vec<f64>, ReadError> {
        let at = self.place();
        let count = self.count("the length of an array", 8)?;
        self.budget.array(count * 8, at)?;
        let bytes = self.take(count * 8, "an array")?;
        Ok(bytes.as_chunks().0.iter().map(|number| f64::from_le_bytes(*number)).collect())
    }

    fn chunk(&mut self, depth: usize) -> Result<Chunk, ReadError> {
        self.budget.depth(depth, self.place())?;
        self.budget.item(self.place())?;
        let (name, index) = (self.text("the name of a chunk")?, self.index()?);
        let items = self.count("the count of items", ITEM_BYTES_MIN)?;
        let chunks = self.count("the count of chunks", CHUNK_BYTES_MIN)?;
        let mut chunk = Chunk { name, index, ..Chunk::default() };
        for _ in 0..items {
            chunk.items.push(self.item()?);
        }
        for _ in 0..chunks {
            chunk.chunks.push(self.chunk(depth + 1)?);
        }
        Ok(chunk)
    }

    fn item(&mut self) -> Result<Item, ReadError> {
        self.budget.item(self.place())?;
        let (name, index) = (self.text("the name of an item")?, self.index()?);
        let at = self.place();
        let code = self.i32("the type of an item")?;
        let Some(value) = self.value(code)? else {
            return Err(ReadError::new(Refusal::UnknownType { item: name, code: i64::from(code) }, at));
        };
        Ok(Item { name, index, value })
    }

    /// The value of an item, or none where the type is unknown.
    fn value(&mut self, code: i32) -> Result<Option<Value>, ReadError> {
        Ok(Some(match code {
            1 => Value::Bool(self.array::<1>("a value")? != [0]),
            2 => Value::Byte(self.array::<1>("a value")?[0]),
            3 => Value::Int32(self.i32("a value")?),
            4 => Value::Int64(i64::from_le_bytes(self.array("a value")?)),
            5 => Value::Single(f32::from_le_bytes(self.array("a value")?)),
            6 => Value::Double(f64::from_le_bytes(self.array("a value")?)),
            7 => self.decimal()?,
            8 => Value::Date(i64::from_le_bytes(self.array("a value")?)),
            9 => Value::Guid(Uuid::from_bytes_le(self.array("a value")?)),
            10 => Value::Text(self.text("a value")?),
            20 => Value::Bytes(self.blob()?),
            21 => Value::Doubles(self.doubles()?),
            30 => Value::DrawingPoint(self.i32s()?),
            31 => Value::DrawingPointF(self.f32s()?),
            32 => Value::DrawingSize(self.i32s()?),
            33 => Value::DrawingSizeF(self.f32s()?),
            34 => Value::DrawingRectangle(self.i32s()?),
            35 => Value::DrawingRectangleF(self.f32s()?),
            36 => {
                let [b, g, r, a] = self.array("a value")?;
                Value::Colour([a, r, g, b])
            }
            37 => Value::Bitmap(self.blob()?),
            50 => Value::Point2d(self.f64s()?),
            51 => Value::Point3d(self.f64s()?),
            52 => Value::Point4d(self.f64s()?),
            60 => Value::Interval1d(self.f64s()?),
            61 => Value::Interval2d(self.f64s()?),
            70 => Value::Line(self.f64s()?),
            71 => Value::BoundingBox(self.f64s()?),
            72 => Value::Plane(self.f64s()?),
            80 => Value::Version(self.i32s()?),
            _ => return Ok(None),
        }))
    }

    fn decimal(&mut self) -> Result<Value, ReadError> {
        let at = self.place();
        let words = self.i32s::<4>()?.map(i32::cast_unsigned);
        if types::is_decimal(words) {
            Ok(Value::Decimal(words))
        } else {
            Err(ReadError::malformed("the flags of a decimal are not those of a .NET decimal", at))
        }
    }
}

// === writing ===

fn put_chunk(out: &mut Vec<u8>, chunk: &Chunk) {
    put_text(out, &chunk.name);
    put_i32(out, chunk.index.unwrap_or(-1));
    put_count(out, chunk.items.len());
    put_count(out, chunk.chunks.len());
    for item in &chunk.items {
        put_text(out, &item.name);
        put_i32(out, item.index.unwrap_or(-1));
        put_i32(out, types::code(&item.value));
        put_value(out, &item.value);
    }
    for child in &chunk.chunks {
        put_chunk(out, child);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Byte(value) => out.push(*value),
        Value::Int32(value) => put_i32(out, *value),
        Value::Int64(value) | Value::Date(value) => out.extend(value.to_le_bytes()),
        Value::Single(value) => out.extend(value.to_le_bytes()),
        Value::Double(value) => out.extend(value.to_le_bytes()),
        Value::Decimal(words) => out.extend(words.iter().flat_map(|word| word.to_le_bytes())),
        Value::Guid(value) => out.extend(value.to_bytes_le()),
        Value::Text(value) => put_text(out, value),
        Value::Bytes(value) | Value::Bitmap(value) => {
            put_count(out, value.len());
            out.extend(value);
        }
        Value::Doubles(value) => {
            put_count(out, value.len());
            put_f64s(out, value);
        }
        Value::DrawingPoint(value) | Value::DrawingSize(value) => put_i32s(out, value),
        Value::DrawingPointF(value) | Value::DrawingSizeF(value) => put_f32s(out, value),
        Value::DrawingRectangle(value) => put_i32s(out, value),
        Value::DrawingRectangleF(value) => put_f32s(out, value),
        Value::Colour([a, r, g, b]) => out.extend([b, g, r, a]),
        Value::Point2d(value) | Value::Interval1d(value) => put_f64s(out, value),
        Value::Point3d(value) => put_f64s(out, value),
        Value::Point4d(value) | Value::Interval2d(value) => put_f64s(out, value),
        Value::Line(value) | Value::BoundingBox(value) => put_f64s(out, value),
        Value::Plane(value) => put_f64s(out, value),
        Value::Version(value) => put_i32s(out, value),
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length > 0x7f {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend(text.as_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_i32(out, i32::try_from(count).expect("nothing that is read or built here has 2^31 elements"));
}

fn put_i32(out: &mut Vec<u8>, number: i32) {
    out.extend(number.to_le_bytes());
}

fn put_i32s(out: &mut Vec<u8>, numbers: &[i32]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put_f32s(out: &mut Vec<u8>, numbers: &[f32]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put_f64s(out: &mut Vec<u8>, numbers: &[f64]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}
