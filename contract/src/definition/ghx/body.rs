//! The body of a `.ghx` item: text for simple types, one child element per number for compound ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;
use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;
use uuid::Uuid;

use super::Reader;
use crate::definition::archive::Value;
use crate::definition::error::{Place, ReadError};
use crate::definition::{number, types};

/// Reads the value of an item of a known type.
pub(super) fn read<'x>(reader: &Reader<'x, '_>, node: Node<'x, 'x>, code: i32) -> Result<Value, ReadError> {
    let body = Body { reader, node };
    Ok(match code {
        1 => Value::Bool(body.bool()?),
        2 => Value::Byte(body.number(&body.text())?),
        3 => Value::Int32(body.number(&body.text())?),
        4 => Value::Int64(body.number(&body.text())?),
        5 => Value::Single(body.number(&body.text())?),
        6 => Value::Double(body.number(&body.text())?),
        7 => {
            let text = body.text();
            Value::Decimal(number::parse_decimal(text.trim()).ok_or_else(|| body.not("a .NET decimal", &text))?)
        }
        8 => Value::Date(body.number(&body.text())?),
        9 => Value::Guid(body.guid()?),
        10 => {
            let text = body.text();
            reader.within(node, reader.budget.text(text.len(), Place::File))?;
            Value::Text(text.into_owned())
        }
        20 => Value::Bytes(body.base64("stream")?),
        21 => Value::Doubles(body.doubles()?),
        30 => Value::DrawingPoint(body.numbers(types::XY)?),
        31 => Value::DrawingPointF(body.numbers(types::XY)?),
        32 => Value::DrawingSize(body.numbers(types::SIZE)?),
        33 => Value::DrawingSizeF(body.numbers(types::SIZE)?),
        34 => Value::DrawingRectangle(body.numbers(types::RECTANGLE)?),
        35 => Value::DrawingRectangleF(body.numbers(types::RECTANGLE)?),
        36 => Value::Colour(body.colour()?),
        37 => Value::Bitmap(body.base64("bitmap")?),
        50 => Value::Point2d(body.numbers(types::XY)?),
        51 => Value::Point3d(body.numbers(types::XYZ)?),
        52 => Value::Point4d(body.numbers(types::XYZW)?),
        60 => Value::Interval1d(body.numbers(types::INTERVAL)?),
        61 => Value::Interval2d(body.numbers(types::INTERVALS)?),
        70 => Value::Line(body.numbers(types::LINE)?),
        71 => Value::BoundingBox(body.numbers(types::BOX)?),
        72 => Value::Plane(body.numbers(types::PLANE)?),
        80 => Value::Version(body.numbers(types::VERSION)?),
        _ => return Err(reader.malformed(node, format!("no body is known for the type code {code}"))),
    })
}

struct Body<'r, 'x, 'b> {
    reader: &'r Reader<'x, 'b>,
    node: Node<'x, 'x>,
}

// === impl Body ===

impl<'x> Body<'_, 'x, '_> {
    fn text(&self) -> Cow<'x, str> {
        text_of(self.node)
    }

    fn not(&self, what: &str, text: &str) -> ReadError {
        let start: String = text.chars().take(40).collect();
        self.reader.malformed(self.node, format!("\"{start}\" is not {what}"))
    }

    fn bool(&self) -> Result<bool, ReadError> {
        let text = self.text();
        match text.trim() {
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            other => Err(self.not("true or false", other)),
        }
    }

    fn number<T: FromStr<Err: Display>>(&self, text: &str) -> Result<T, ReadError> {
        text.trim().parse().map_err(|error| self.not(&format!("a number of this type ({error})"), text))
    }

    fn guid(&self) -> Result<Uuid, ReadError> {
        let text = self.text();
        Uuid::parse_str(text.trim()).map_err(|error| self.not(&format!("a GUID ({error})"), &text))
    }

    fn child(&self, name: &str) -> Result<Node<'x, 'x>, ReadError> {
        let found = self.node.children().find(|child| child.is_element() && child.tag_name().name() == name);
        found.ok_or_else(|| self.reader.malformed(self.node, format!("the item has no <{name}>")))
    }

    fn numbers<T, const N: usize>(&self, names: [&str; N]) -> Result<[T; N], ReadError>
    where
        T: FromStr<Err: Display> + Copy + Default,
    {
        let mut numbers = [T::default(); N];
        for (number, name) in numbers.iter_mut().zip(names) {
            *number = self.number(&text_of(self.child(name)?))?;
        }
        Ok(numbers)
    }

    fn base64(&self, element: &str) -> Result<Vec<u8>, ReadError> {
        let mut text = text_of(self.child(element)?);
        if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
            text = text.split_ascii_whitespace().collect::<String>().into();
        }
        self.reader.within(self.node, self.reader.budget.array(text.len() / 4 * 3, Place::File))?;
        STANDARD.decode(text.as_bytes()).map_err(|error| self.not(&format!("base64 ({error})"), &text))
    }

    fn doubles(&self) -> Result<Vec<f64>, ReadError> {
        let bytes = self.base64("stream")?;
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(self.reader.malformed(self.node, "an array of doubles is not made of eight bytes each"));
        }
        Ok(numbers.iter().map(|number| f64::from_le_bytes(*number)).collect())
    }

    /// `<ARGB>alpha;red;green;blue</ARGB>`
    fn colour(&self) -> Result<[u8; 4], ReadError> {
        let text = text_of(self.child("ARGB")?);
        let parts: Vec<&str> = text.splitn(5, ';').collect();
        let [a, r, g, b] = parts[..] else { return Err(self.not("a colour of four numbers", &text)) };
        Ok([self.number(a)?, self.number(r)?, self.number(g)?, self.number(b)?])
    }
}

/// All the text directly within a node; a comment may stand between its parts.
fn text_of<'x>(node: Node<'x, 'x>) -> Cow<'x, str> {
    let mut parts = node.children().filter(Node::is_text).filter_map(|part| part.text());
    let first = parts.next().unwrap_or_default();
    parts.next().map_or(Cow::Borrowed(first), |second| {
        let mut whole = format!("{first}{second}");
        whole.extend(parts);
        Cow::Owned(whole)
    })
}
