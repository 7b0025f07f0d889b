//! Any inflated content of a binary file. The fuzzer cannot deflate, so it is done here.

#![no_main]

use contract::definition::{Archive, Definition, Limits, Report};
use flate2::{Compression, read::DeflateEncoder};
use libfuzzer_sys::fuzz_target;
use std::io::Read as _;

fuzz_target!(|content: &[u8]| {
    let mut inflated = b"\x04Root\xff\xff\xff\xff".to_vec();
    inflated.extend(content);
    let mut deflated = Vec::new();
    DeflateEncoder::new(&inflated[..], Compression::fast()).read_to_end(&mut deflated).expect("a slice can be read");
    let limits = Limits { inflated_bytes: 4 << 20, ..Limits::default() };
    let Ok(archive) = Archive::read(&deflated, &limits) else { return };
    let _ = Report(&Definition::of(&archive)).to_string();
    let again = Archive::read(&archive.to_gh(), &Limits::default()).expect("what is written can be read");
    assert_eq!(again.to_gh(), archive.to_gh());
});
