//! The reader on real files, where a corpus lies beside the checkout.

use contract::definition::Limits;
use contract::definition::archive::{Archive, Format};
use flate2::read::DeflateDecoder;
use std::io::Read as _;

use crate::support::{corpus, file_name};

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    DeflateDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn a_real_binary_file_is_written_back_byte_for_byte() {
    for path in corpus().iter().filter(|path| path.extension().is_some_and(|extension| extension == "gh")) {
        let bytes = std::fs::read(path).unwrap();
        let archive = Archive::read(&bytes, &Limits::default()).unwrap();
        assert_eq!(archive.format, Format::Gh);
        assert!(inflate(&bytes) == inflate(&archive.to_gh()), "{}", file_name(path));
    }
}

#[test]
fn a_real_file_reads_the_same_from_either_format() {
    for path in corpus() {
        let archive = Archive::read(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
        assert!(archive.document().is_some(), "{}", file_name(&path));
        let xml = Archive::read(archive.to_ghx().as_bytes(), &Limits::default()).unwrap();
        let binary = Archive::read(&archive.to_gh(), &Limits::default()).unwrap();
        assert!(xml.root == archive.root && binary.root == archive.root, "{}", file_name(&path));
    }
}
