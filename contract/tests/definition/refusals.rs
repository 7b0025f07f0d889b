//! Files that are refused: each by its name, with the place.

use contract::definition::archive::{Archive, Chunk, Format, Value};
use contract::definition::{Limits, Place, ReadError};
use flate2::{Compression, write::DeflateEncoder};
use proptest::prelude::*;
use std::io::Write as _;

use crate::support::{any_archive, archive, item, processor_time};

fn refused(bytes: &[u8], limits: &Limits) -> ReadError {
    let error = Archive::read(bytes, limits).unwrap_err();
    assert!(!error.help().is_empty());
    error
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The binary form of a root with the given counts, and what follows them.
fn binary(item_count: i32, chunk_count: i32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x04Root\xff\xff\xff\xff".to_vec();
    bytes.extend(item_count.to_le_bytes());
    bytes.extend(chunk_count.to_le_bytes());
    bytes.extend(rest);
    deflate(&bytes)
}

fn xml(inner: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<Archive name=\"Root\">{inner}</Archive>")
}

#[test]
fn each_wrong_file_is_named_for_what_it_is() {
    let item_of_type = |code: &str| xml(&format!("<items><item name=\"a\" type_code=\"{code}\">1</item></items>"));
    let unknown = [b"\x01a\xff\xff\xff\xff".as_slice(), &99_i32.to_le_bytes(), &[0; 8]].concat();
    let numbers = Value::Bytes((0..=255).collect());
    let whole = archive(Format::Gh, vec![item("a", numbers)], vec![]).to_gh();
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a byte order mark", b"\xef\xbb\xbf".to_vec()),
        ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec()),
        ("invented XML", b"<?xml version=\"1.0\"?>\n<ghx><component/></ghx>".to_vec()),
        ("other invented XML", b"<GH_Document></GH_Document>".to_vec()),
        (
            "a DTD",
            b"<?xml version=\"1.0\"?>\n<!DOCTYPE Archive [<!ENTITY a \"b\">]>\n<Archive name=\"Root\"/>".to_vec(),
        ),
        ("half an XML file", b"<Archive name=\"Root\"><items>".to_vec()),
        ("half a tag", b"<Archive name=\"Root\"><ite".to_vec()),
        ("XML with a wrong end", b"<Archive name=\"Root\">\n</Archiv>".to_vec()),
        ("XML that is not UTF-8", b"<Archive name=\"\xff\xff\"/>".to_vec()),
        ("a foreign element", xml("\n <objects/>").into_bytes()),
        ("an item without a name", xml("<items><item type_code=\"3\">1</item></items>").into_bytes()),
        ("an item without a type", xml("<items><item name=\"a\">1</item></items>").into_bytes()),
        ("an unknown type", item_of_type("99").into_bytes()),
        ("a GUID that is none", item_of_type("9").into_bytes()),
        ("a point without numbers", item_of_type("31").into_bytes()),
        ("a type that is no number", item_of_type("three").into_bytes()),
        ("JSON", br#"{"a": 1}"#.to_vec()),
        ("a zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00".to_vec()),
        ("deflated text", deflate(b"Root is not what this begins with")),
        ("a half deflated file", whole[..whole.len() / 2].to_vec()),
        ("a binary with a lying count", binary(i32::MAX, 0, &[])),
        ("a binary with a negative count", binary(-1, 0, &[])),
        ("a binary that ends in an item", binary(1, 0, &[1, b'a', 0xff, 0xff, 0xff, 0xff, 6, 0, 0, 0, 1])),
        ("a binary of an unknown type", binary(1, 0, &unknown)),
        ("a binary with more than its chunk", binary(0, 0, b"more")),
        ("a binary with a tail", [binary(0, 0, &[]), b"tail".to_vec()].concat()),
        ("a binary with an endless length", binary(1, 0, &[0xff; 20])),
    ];
    let told: Vec<String> = files
        .iter()
        .map(|(what, bytes)| {
            let error = refused(bytes, &Limits::default());
            format!("{what}\n    {}: {error}\n    help: {}", error.code(), error.help())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn every_limit_is_held_in_both_formats() {
    let deep = (0..40).fold(Chunk::new("Leaf"), |inner, _| Chunk { chunks: vec![inner], ..Chunk::new("Nest") });
    let many = vec![item("a", Value::Bool(true)); 500];
    let cases = [
        ("nested chunks", archive(Format::Gh, vec![], vec![deep]), Limits { depth: 10, ..Limits::default() }),
        ("chunks and items", archive(Format::Gh, many, vec![]), Limits { items: 100, ..Limits::default() }),
        (
            "bytes in a string",
            archive(Format::Gh, vec![item("a", Value::Text("x".repeat(500)))], vec![]),
            Limits { text_bytes: 499, ..Limits::default() },
        ),
        (
            "bytes in an array",
            archive(Format::Gh, vec![item("a", Value::Bytes(vec![0; 500]))], vec![]),
            Limits { array_bytes: 499, ..Limits::default() },
        ),
        (
            "bytes in an array",
            archive(Format::Gh, vec![item("a", Value::Doubles(vec![0.5; 500]))], vec![]),
            Limits { array_bytes: 3999, ..Limits::default() },
        ),
        (
            "bytes of file",
            archive(Format::Gh, vec![item("a", Value::Text("x".into()))], vec![]),
            Limits { file_bytes: 20, ..Limits::default() },
        ),
    ];
    for (what, tree, limits) in cases {
        for bytes in [tree.to_ghx().into_bytes(), tree.to_gh()] {
            assert!(Archive::read(&bytes, &Limits::default()).is_ok(), "{what}: the default admits it");
            let error = refused(&bytes, &limits);
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
    }
}

#[test]
fn a_deflate_bomb_stops_at_the_ratio_and_at_the_size() {
    let bomb = archive(Format::Gh, vec![item("a", Value::Bytes(vec![0; 40 << 20]))], vec![]).to_gh();
    assert!(bomb.len() < 100_000);
    let error = refused(&bomb, &Limits::default());
    assert!(error.to_string().contains("more than 100 inflated bytes per byte of file"), "{error}");
    let error = refused(&bomb, &Limits { ratio: 100_000, inflated_bytes: 2 << 20, ..Limits::default() });
    assert!(error.to_string().contains("more than 2097152 inflated bytes"), "{error}");
}

#[test]
fn a_hundred_thousand_attributes_cost_no_quadratic_time() {
    let attributes = (0..100_000).fold(String::new(), |text, number| text + &format!(" a{number}=\"\""));
    let started = processor_time();
    let error = refused(format!("<Archive name=\"Root\"{attributes}/>").as_bytes(), &Limits::default());
    assert!(error.to_string().contains("attributes of one element"), "{error}");
    assert_eq!(error.at, Place::Line { line: 1, column: 1 });
    let taken = processor_time().saturating_sub(started);
    assert!(taken.as_secs() < 2, "{taken:?}");
}

#[test]
fn a_million_open_elements_do_not_reach_the_parser() {
    let started = processor_time();
    let error = refused("<Archive name=\"Root\">".repeat(100_000).as_bytes(), &Limits::default());
    assert!(error.to_string().contains("nested chunks"), "{error}");
    let taken = processor_time().saturating_sub(started);
    assert!(taken.as_secs() < 2, "{taken:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Archive::read(&bytes, &Limits::default());
        let _ = Archive::read(&deflate(&[b"\x04Root\xff\xff\xff\xff".as_slice(), &bytes].concat()), &Limits::default());
    }

    #[test]
    fn a_damaged_file_is_refused_or_read(
        tree in any_archive(Format::Gh),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let inflated = {
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(&tree.to_gh()[..]), &mut out).unwrap();
            out
        };
        for whole in [tree.to_ghx().into_bytes(), tree.to_gh(), inflated] {
            let mut bytes = whole.clone();
            for (place, byte) in &damage {
                let at = place.index(bytes.len());
                bytes[at] = *byte;
            }
            let _ = Archive::read(&bytes, &Limits::default());
            let _ = Archive::read(&deflate(&bytes), &Limits::default());
            let _ = Archive::read(&whole[..cut.index(whole.len())], &Limits::default());
        }
    }

    #[test]
    fn half_a_file_is_never_taken_for_a_whole_one(tree in any_archive(Format::Gh), cut in any::<prop::sample::Index>()) {
        for whole in [tree.to_ghx().trim_end().as_bytes().to_vec(), tree.to_gh()] {
            prop_assert!(Archive::read(&whole[..cut.index(whole.len())], &Limits::default()).is_err());
        }
    }
}
