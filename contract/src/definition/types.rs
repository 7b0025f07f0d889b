//! The item types of `GH_IO`: codes, names, and the names of the numbers that each compound type is made of.
//!
//! Both formats read and write by this one table. The XML bodies of `gh_byte`, `gh_decimal`, `gh_doublearray`,
//! `gh_drawing_sizef`, `gh_point4d`, `gh_line` and `gh_boundingbox` follow the pattern of their neighbours.

use super::archive::Value;

/// Type code and name, in the order of the codes.
const TYPES: [(i32, &str); 29] = [
    (1, "gh_bool"),
    (2, "gh_byte"),
    (3, "gh_int32"),
    (4, "gh_int64"),
    (5, "gh_single"),
    (6, "gh_double"),
    (7, "gh_decimal"),
    (8, "gh_date"),
    (9, "gh_guid"),
    (10, "gh_string"),
    (20, "gh_bytearray"),
    (21, "gh_doublearray"),
    (30, "gh_drawing_point"),
    (31, "gh_drawing_pointf"),
    (32, "gh_drawing_size"),
    (33, "gh_drawing_sizef"),
    (34, "gh_drawing_rectangle"),
    (35, "gh_drawing_rectanglef"),
    (36, "gh_drawing_color"),
    (37, "gh_drawing_bitmap"),
    (50, "gh_point2d"),
    (51, "gh_point3d"),
    (52, "gh_point4d"),
    (60, "gh_interval1d"),
    (61, "gh_interval2d"),
    (70, "gh_line"),
    (71, "gh_boundingbox"),
    (72, "gh_plane"),
    (80, "gh_version"),
];

pub(super) const XY: [&str; 2] = ["X", "Y"];
pub(super) const XYZ: [&str; 3] = ["X", "Y", "Z"];
pub(super) const XYZW: [&str; 4] = ["X", "Y", "Z", "W"];
pub(super) const SIZE: [&str; 2] = ["W", "H"];
pub(super) const RECTANGLE: [&str; 4] = ["X", "Y", "W", "H"];
pub(super) const INTERVAL: [&str; 2] = ["A", "B"];
pub(super) const INTERVALS: [&str; 4] = ["Au", "Bu", "Av", "Bv"];
pub(super) const LINE: [&str; 6] = ["Ax", "Ay", "Az", "Bx", "By", "Bz"];
pub(super) const BOX: [&str; 6] = ["MinX", "MinY", "MinZ", "MaxX", "MaxY", "MaxZ"];
pub(super) const PLANE: [&str; 9] = ["Ox", "Oy", "Oz", "Xx", "Xy", "Xz", "Yx", "Yy", "Yz"];
pub(super) const VERSION: [&str; 3] = ["Major", "Minor", "Revision"];

/// The code that the file format gives to the type of a value.
pub(super) fn code(value: &Value) -> i32 {
    match value {
        Value::Bool(_) => 1,
        Value::Byte(_) => 2,
        Value::Int32(_) => 3,
        Value::Int64(_) => 4,
        Value::Single(_) => 5,
        Value::Double(_) => 6,
        Value::Decimal(_) => 7,
        Value::Date(_) => 8,
        Value::Guid(_) => 9,
        Value::Text(_) => 10,
        Value::Bytes(_) => 20,
        Value::Doubles(_) => 21,
        Value::DrawingPoint(_) => 30,
        Value::DrawingPointF(_) => 31,
        Value::DrawingSize(_) => 32,
        Value::DrawingSizeF(_) => 33,
        Value::DrawingRectangle(_) => 34,
        Value::DrawingRectangleF(_) => 35,
        Value::Colour(_) => 36,
        Value::Bitmap(_) => 37,
        Value::Point2d(_) => 50,
        Value::Point3d(_) => 51,
        Value::Point4d(_) => 52,
        Value::Interval1d(_) => 60,
        Value::Interval2d(_) => 61,
        Value::Line(_) => 70,
        Value::BoundingBox(_) => 71,
        Value::Plane(_) => 72,
        Value::Version(_) => 80,
    }
}

pub(super) fn name_of(code: i32) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

pub(super) fn code_of(name: &str) -> Option<i32> {
    TYPES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(code, _)| *code)
}

/// Whether four words are those of a .NET decimal: a scale of 0 to 28, a sign, and nothing else in the flags.
pub(super) fn is_decimal([_, _, _, flags]: [u32; 4]) -> bool {
    flags & 0x7f00_ffff == 0 && (flags >> 16) & 0xff <= 28
}
