//! What a body costs to parse, and a long text to match: all of it bounded by the length of what was sent.

use std::fmt::Write as _;
use std::hint::black_box;

use contract::json::{Limits, parse};
use contract::schema::{Schema, Subject};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;

/// About a mebibyte.
const LENGTH: usize = 1 << 20;

fn list(item: &str) -> String {
    let count = LENGTH / (item.len() + 1);
    format!("[{}{item}]", format!("{item},").repeat(count - 1))
}

/// Objects of a thousand members each.
fn keys() -> String {
    let mut object = "{".to_owned();
    for number in 0..1_000 {
        write!(object, "\"{number:012x}\":{number},").expect("a String takes all");
    }
    list(&format!("{}}}", object.trim_end_matches(',')))
}

fn texts() -> [(&'static str, String); 8] {
    [
        ("points", list("[1.234,5.678,0]")),
        ("zeros", list("0")),
        ("empty lists", list("[]")),
        ("empty texts", list("\"\"")),
        ("one text", format!("\"{}\"", "x".repeat(LENGTH))),
        ("escapes", format!("\"{}\"", "\\u0061".repeat(LENGTH / 6))),
        ("objects of a member, refused", list("{\"\":0}")),
        ("keys", keys()),
    ]
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| parse(black_box(text.as_bytes()), &Limits::default())));
    }
    group.finish();
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pattern");
    let text = json!("a".repeat(LENGTH - 1) + "!");
    group.throughput(Throughput::Bytes(LENGTH as u64));
    for pattern in ["^(a+)+$", "^(a|aa)+$", "^(.*a){12}$", "^[a-z]+( [a-z]+)*$"] {
        let schema = Schema::compile(json!({ "pattern": pattern }), Subject::Inputs).expect("a sound schema");
        group.bench_function(pattern, |bencher| bencher.iter(|| schema.check(black_box(&text))));
    }
    group.finish();
}

criterion_group!(benches, parsing, matching);
criterion_main!(benches);
