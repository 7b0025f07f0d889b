//! Any file: it is refused, or read, discovered and printed; what is written of it reads back the same.

#![no_main]

use contract::definition::{Archive, Definition, Limits, Report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { inflated_bytes: 4 << 20, ..Limits::default() };
    let Ok(archive) = Archive::read(bytes, &limits) else { return };
    let definition = Definition::of(&archive);
    let _ = Report(&definition).to_string();
    let _ = definition.explain("width");
    let xml = archive.to_ghx();
    let again = Archive::read(xml.as_bytes(), &Limits::default()).expect("what is written can be read");
    // Compared as text: a NaN is not equal to itself.
    assert_eq!(again.to_ghx(), xml);
});
