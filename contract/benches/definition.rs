//! How long it takes to load a definition: parsing alone, and all that `inspect` does.

use contract::definition::archive::{Archive, Chunk, Format, Item, Value};
use contract::definition::{Definition, Limits};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use uuid::{Uuid, uuid};

const GET_NUMBER: Uuid = uuid!("7b36b876-9451-46f5-8220-a200d969cc66");
const SLIDER: Uuid = uuid!("57da07bd-ecab-415d-9d86-af36d7073abc");

fn item(name: &str, value: Value) -> Item {
    Item { name: name.to_owned(), index: None, value }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn object(index: i32, component: Uuid, nickname: &str, items: Vec<Item>, chunks: Vec<Chunk>) -> Chunk {
    let mut container = Chunk { items, chunks, ..Chunk::new("Container") };
    container.items.extend([
        item("Description", text("A parameter of the bench")),
        item("InstanceGuid", Value::Guid(Uuid::from_u128(index.unsigned_abs().into()))),
        item("Name", text("Parameter")),
        item("NickName", text(nickname)),
        item("Optional", Value::Bool(false)),
    ]);
    let y = f32::from(i16::try_from(index).unwrap_or(i16::MAX)) * 20.0;
    let attributes = vec![
        item("Bounds", Value::DrawingRectangleF([100.5, y, 52.0, 20.0])),
        item("Pivot", Value::DrawingPointF([126.5, y + 10.0])),
    ];
    container.chunks.push(Chunk { items: attributes, ..Chunk::new("Attributes") });
    let items = vec![item("GUID", Value::Guid(component)), item("Name", text("Parameter"))];
    Chunk { index: Some(index), items, chunks: vec![container], ..Chunk::new("Object") }
}

/// A definition of as many getters, each with a slider, as make about 300 KB of XML.
fn large() -> Archive {
    let mut objects = Chunk::new("DefinitionObjects");
    for pair in 0..75_i32 {
        let (slider, getter) = (2 * pair, 2 * pair + 1);
        let limits = [("Min", 0.0), ("Max", 20.0), ("Value", 7.25)];
        let limits = limits.map(|(name, number)| item(name, Value::Double(number)));
        let body = Chunk { items: limits.to_vec(), ..Chunk::new("Slider") };
        let count = |count| item("SourceCount", Value::Int32(count));
        objects.chunks.push(object(slider, SLIDER, "", vec![count(0)], vec![body]));
        let wire =
            Item { index: Some(0), ..item("Source", Value::Guid(Uuid::from_u128(slider.unsigned_abs().into()))) };
        let takes = vec![
            item("AtLeast", Value::Int32(1)),
            item("AtMost", Value::Int32(1)),
            item("Prompt", text("How much?")),
            wire,
            count(1),
        ];
        objects.chunks.push(object(getter, GET_NUMBER, &format!("input {pair}"), takes, vec![]));
    }
    let definition = Chunk { chunks: vec![objects], ..Chunk::new("Definition") };
    Archive { format: Format::Ghx, root: Chunk { chunks: vec![definition], ..Chunk::new("Root") } }
}

/// The largest file of a corpus that lies beside or above the checkout.
fn largest_of_corpus() -> Option<(String, Vec<u8>)> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(2);
    let folder = above.find_map(|folder| std::fs::read_dir(folder.join("shared/corpus")).ok())?;
    let files = folder.filter_map(|entry| Some(entry.ok()?.path()));
    let largest = files.max_by_key(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()))?;
    Some((largest.file_name()?.to_string_lossy().into_owned(), std::fs::read(&largest).ok()?))
}

fn load(criterion: &mut Criterion) {
    let archive = large();
    let mut files = vec![("own.ghx".to_owned(), archive.to_ghx().into_bytes()), ("own.gh".to_owned(), archive.to_gh())];
    files.extend(largest_of_corpus());
    let limits = Limits::default();
    for (name, bytes) in files {
        let mut group = criterion.benchmark_group(format!("{name} ({} KB)", bytes.len() / 1000));
        group.throughput(Throughput::Bytes(bytes.len().try_into().unwrap_or(u64::MAX)));
        group.bench_function("archive", |bencher| bencher.iter(|| Archive::read(black_box(&bytes), &limits)));
        group.bench_function("definition", |bencher| bencher.iter(|| Definition::read(black_box(&bytes), &limits)));
        group.finish();
    }
}

criterion_group!(benches, load);
criterion_main!(benches);
