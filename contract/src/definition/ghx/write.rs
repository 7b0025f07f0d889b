//! Writes a `.ghx` as Grasshopper does: byte order mark, declaration, `count` attributes, type names and codes.
//!
//! Invariant: reading the text again gives the same tree. Two things XML cannot hold: a character outside its set (it
//! becomes U+FFFD), and the payload of a NaN.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

use crate::definition::archive::{Chunk, Item, Value};
use crate::definition::{number, types};

const HEAD: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\n";

/// Writes a whole `.ghx` file.
pub(in crate::definition) fn write(root: &Chunk) -> String {
    let mut out = HEAD.to_owned();
    chunk(&mut out, "Archive", root, 0);
    out
}

fn chunk(out: &mut String, element: &str, chunk: &Chunk, depth: usize) {
    open(out, element, &chunk.name, chunk.index, depth);
    if chunk.items.is_empty() && chunk.chunks.is_empty() {
        out.push_str(" />\n");
        return;
    }
    out.push_str(">\n");
    section(out, "items", &chunk.items, depth + 1, item);
    section(out, "chunks", &chunk.chunks, depth + 1, |out, child, depth| self::chunk(out, "chunk", child, depth));
    indent(out, depth);
    put(out, format_args!("</{element}>\n"));
}

fn section<T>(out: &mut String, name: &str, content: &[T], depth: usize, each: impl Fn(&mut String, &T, usize)) {
    if content.is_empty() {
        return;
    }
    indent(out, depth);
    put(out, format_args!("<{name} count=\"{}\">\n", content.len()));
    for one in content {
        each(out, one, depth + 1);
    }
    indent(out, depth);
    put(out, format_args!("</{name}>\n"));
}

fn open(out: &mut String, element: &str, name: &str, index: Option<i32>, depth: usize) {
    indent(out, depth);
    put(out, format_args!("<{element} name=\""));
    attribute(out, name);
    out.push('"');
    if let Some(index) = index {
        put(out, format_args!(" index=\"{index}\""));
    }
}

fn item(out: &mut String, item: &Item, depth: usize) {
    let code = types::code(&item.value);
    let name = types::name_of(code).expect("the table has a name for the code of every value");
    open(out, "item", &item.name, item.index, depth);
    put(out, format_args!(" type_name=\"{name}\" type_code=\"{code}\">"));
    body(out, &item.value, depth);
    out.push_str("</item>\n");
}

fn body(out: &mut String, value: &Value, depth: usize) {
    let int = i32::to_string;
    let (single, double) = (|value: &f32| number::single(*value), |value: &f64| number::double(*value));
    match value {
        Value::Bool(value) => put(out, format_args!("{value}")),
        Value::Byte(value) => put(out, format_args!("{value}")),
        Value::Int32(value) => put(out, format_args!("{value}")),
        Value::Int64(value) | Value::Date(value) => put(out, format_args!("{value}")),
        Value::Single(value) => out.push_str(&single(value)),
        Value::Double(value) => out.push_str(&double(value)),
        Value::Decimal(value) => out.push_str(&number::decimal(*value)),
        Value::Guid(value) => put(out, format_args!("{value}")),
        Value::Text(value) => text(out, value),
        Value::Bytes(value) => blob(out, "stream", value.len(), value, depth),
        Value::Doubles(value) => {
            let bytes: Vec<u8> = value.iter().flat_map(|number| number.to_le_bytes()).collect();
            blob(out, "stream", value.len(), &bytes, depth);
        }
        Value::Bitmap(value) => blob(out, "bitmap", value.len(), value, depth),
        Value::DrawingPoint(value) => fields(out, &types::XY, value, int, depth),
        Value::DrawingPointF(value) => fields(out, &types::XY, value, single, depth),
        Value::DrawingSize(value) => fields(out, &types::SIZE, value, int, depth),
        Value::DrawingSizeF(value) => fields(out, &types::SIZE, value, single, depth),
        Value::DrawingRectangle(value) => fields(out, &types::RECTANGLE, value, int, depth),
        Value::DrawingRectangleF(value) => fields(out, &types::RECTANGLE, value, single, depth),
        Value::Colour([a, r, g, b]) => {
            let argb = format!("{a};{r};{g};{b}");
            fields(out, &["ARGB"], &[argb], String::clone, depth);
        }
        Value::Point2d(value) => fields(out, &types::XY, value, double, depth),
        Value::Point3d(value) => fields(out, &types::XYZ, value, double, depth),
        Value::Point4d(value) => fields(out, &types::XYZW, value, double, depth),
        Value::Interval1d(value) => fields(out, &types::INTERVAL, value, double, depth),
        Value::Interval2d(value) => fields(out, &types::INTERVALS, value, double, depth),
        Value::Line(value) => fields(out, &types::LINE, value, double, depth),
        Value::BoundingBox(value) => fields(out, &types::BOX, value, double, depth),
        Value::Plane(value) => fields(out, &types::PLANE, value, double, depth),
        Value::Version(value) => fields(out, &types::VERSION, value, int, depth),
    }
}

fn blob(out: &mut String, element: &str, length: usize, bytes: &[u8], depth: usize) {
    out.push('\n');
    indent(out, depth + 1);
    put(out, format_args!("<{element} length=\"{length}\">"));
    STANDARD.encode_string(bytes, out);
    put(out, format_args!("</{element}>\n"));
    indent(out, depth);
}

fn fields<T>(out: &mut String, names: &[&str], values: &[T], spell: impl Fn(&T) -> String, depth: usize) {
    debug_assert_eq!(names.len(), values.len(), "one name per number");
    out.push('\n');
    for (name, value) in names.iter().zip(values) {
        indent(out, depth + 1);
        put(out, format_args!("<{name}>{}</{name}>\n", spell(value)));
    }
    indent(out, depth);
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

/// Text within an element. A carriage return is written as a reference, since a parser turns a bare one into a line feed.
fn text(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            '\n' | '\t' => out.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

/// An attribute value. A parser would turn white space other than a blank into one.
fn attribute(out: &mut String, value: &str) {
    let start = out.len();
    text(out, value);
    if out[start..].contains(['"', '\n', '\t']) {
        let escaped = out[start..].replace('"', "&quot;").replace('\n', "&#xA;").replace('\t', "&#x9;");
        out.truncate(start);
        out.push_str(&escaped);
    }
}
