//! What is written reads back as it was, in both formats.

use contract::definition::Limits;
use contract::definition::archive::{Archive, Format, Value};
use proptest::prelude::*;

use crate::support::{any_archive, archive, item};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_tree_survives_xml(tree in any_archive(Format::Ghx)) {
        let read = Archive::read(tree.to_ghx().as_bytes(), &Limits::default());
        prop_assert_eq!(read, Ok(tree));
    }

    #[test]
    fn any_tree_survives_the_binary_form(tree in any_archive(Format::Gh)) {
        let read = Archive::read(&tree.to_gh(), &Limits::default());
        prop_assert_eq!(read, Ok(tree));
    }
}

#[test]
fn a_file_with_crlf_and_without_a_mark_reads_as_one_with_lf_and_a_mark() {
    let tree = archive(Format::Ghx, vec![item("Name", Value::Text("two\nlines".into()))], vec![]);
    let marked = tree.to_ghx();
    let plain = marked.trim_start_matches('\u{feff}').replace('\n', "\r\n");
    assert_ne!(marked, plain);
    assert_eq!(Archive::read(plain.as_bytes(), &Limits::default()), Ok(tree));
}

#[test]
fn the_xml_is_spelled_as_grasshopper_spells_it() {
    let items = vec![
        item("Version", Value::Version([0, 2, 2])),
        item("Value", Value::Double(1e-10)),
        item("Picture", Value::Bitmap(vec![0x89, b'P'])),
        item("Code", Value::Text("if a < b:\n  \"x\"".into())),
    ];
    insta::assert_snapshot!(
        archive(Format::Ghx, items, vec![contract::definition::archive::Chunk::new("Attributes")]).to_ghx()
    );
}
