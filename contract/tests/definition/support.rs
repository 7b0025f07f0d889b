//! What several of these tests need: archives in short notation, random trees, and the corpus.

use contract::definition::archive::{Archive, Chunk, Format, Item, Value};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// The processor time that this thread has taken: other work on the machine does not add to it.
pub(crate) fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

pub(crate) fn item(name: &str, value: Value) -> Item {
    Item { name: name.to_owned(), index: None, value }
}

pub(crate) fn archive(format: Format, items: Vec<Item>, chunks: Vec<Chunk>) -> Archive {
    Archive { format, root: Chunk { name: "Root".to_owned(), index: None, items, chunks } }
}

/// The real files that lie in `shared/corpus` beside a checkout or above it; none where there are none.
pub(crate) fn corpus() -> Vec<PathBuf> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(2);
    let Some(entries) = above.find_map(|folder| std::fs::read_dir(folder.join("shared/corpus")).ok()) else {
        println!("skipped: there is no corpus beside this checkout");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Any text that XML can hold; .NET writes no other.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            4 => prop::char::range(' ', '~'),
            1 => prop::sample::select(vec!['\r', '\n', '\t', '"', '<', '&', '\'', '>', ';', 'é', '²', '\u{1f98a}', '\u{feff}']),
            1 => any::<char>().prop_filter("XML holds it", |c| *c >= ' ' && *c != '\u{fffe}' && *c != '\u{ffff}'),
        ],
        0..24,
    )
    .prop_map(String::from_iter)
}

/// Any number but NaN, which is not equal to itself.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(0.0), -1e4..1e4, (-1e6..1e6).prop_map(f64::round), Just(f64::MAX)]
        .prop_filter("equal to itself", |number| !number.is_nan())
}

fn single() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("equal to itself", |number| !number.is_nan())
}

fn doubles<const N: usize>() -> impl Strategy<Value = [f64; N]> {
    proptest::collection::vec(double(), N).prop_map(|numbers| numbers.try_into().unwrap())
}

fn singles<const N: usize>() -> impl Strategy<Value = [f32; N]> {
    proptest::collection::vec(single(), N).prop_map(|numbers| numbers.try_into().unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let decimal = (any::<[u32; 3]>(), 0..=28_u32, any::<bool>()).prop_map(|([low, middle, high], scale, negative)| {
        [low, middle, high, scale << 16 | u32::from(negative) << 31]
    });
    let simple = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<u8>().prop_map(Value::Byte),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        single().prop_map(Value::Single),
        double().prop_map(Value::Double),
        decimal.prop_map(Value::Decimal),
        any::<i64>().prop_map(Value::Date),
        any::<u128>().prop_map(|bits| Value::Guid(Uuid::from_u128(bits))),
        text().prop_map(Value::Text),
        bytes().prop_map(Value::Bytes),
        bytes().prop_map(Value::Bitmap),
        proptest::collection::vec(double(), 0..6).prop_map(Value::Doubles),
    ];
    let compound = prop_oneof![
        any::<[i32; 2]>().prop_map(Value::DrawingPoint),
        singles().prop_map(Value::DrawingPointF),
        any::<[i32; 2]>().prop_map(Value::DrawingSize),
        singles().prop_map(Value::DrawingSizeF),
        any::<[i32; 4]>().prop_map(Value::DrawingRectangle),
        singles().prop_map(Value::DrawingRectangleF),
        any::<[u8; 4]>().prop_map(Value::Colour),
        doubles().prop_map(Value::Point2d),
        doubles().prop_map(Value::Point3d),
        doubles().prop_map(Value::Point4d),
        doubles().prop_map(Value::Interval1d),
        doubles().prop_map(Value::Interval2d),
        doubles().prop_map(Value::Line),
        doubles().prop_map(Value::BoundingBox),
        doubles().prop_map(Value::Plane),
        any::<[i32; 3]>().prop_map(Value::Version),
    ];
    prop_oneof![simple, compound]
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = (text(), proptest::option::of(0..i32::MAX), value());
    proptest::collection::vec(item.prop_map(|(name, index, value)| Item { name, index, value }), 0..5)
}

/// Any archive.
pub(crate) fn any_archive(format: Format) -> impl Strategy<Value = Archive> {
    let leaf = (text(), proptest::option::of(0..i32::MAX), items());
    let leaf = leaf.prop_map(|(name, index, items)| Chunk { name, index, items, chunks: Vec::new() });
    let chunks = leaf.prop_recursive(4, 24, 4, |inner| {
        (text(), proptest::option::of(0..i32::MAX), items(), proptest::collection::vec(inner, 0..4))
            .prop_map(|(name, index, items, chunks)| Chunk { name, index, items, chunks })
    });
    (items(), proptest::collection::vec(chunks, 0..4)).prop_map(move |(items, chunks)| archive(format, items, chunks))
}
