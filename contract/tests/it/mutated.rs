//! Whatever the bytes of a folder are, loading it ends in a contract or in faults.

use contract::Contract;
use proptest::prelude::*;

use crate::{good, with};

#[derive(Debug, Clone)]
enum Edit {
    Flip(u8),
    Insert(Vec<u8>),
    Remove(usize),
    Cut,
}

fn edit() -> impl Strategy<Value = Edit> {
    let token = prop::sample::select(vec![
        "{", "}", "[", "\"", "\\", ",", "null", "1e999", "-0", "\u{feff}", "$ref", "<", "&x;",
    ]);
    prop_oneof![
        any::<u8>().prop_map(Edit::Flip),
        token.prop_map(|token| Edit::Insert(token.as_bytes().to_vec())),
        prop::collection::vec(any::<u8>(), 1..4).prop_map(Edit::Insert),
        (1_usize..40).prop_map(Edit::Remove),
        Just(Edit::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_folder_loads_or_tells_its_faults(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), edit()), 1..4),
    ) {
        let good = good();
        let mut files: Vec<_> = good.files.iter().map(|(path, bytes)| (path.clone(), bytes.to_vec())).collect();
        for (file, place, edit) in edits {
            let bytes = &mut file.get_mut(&mut files).1;
            let at = place.index(bytes.len() + 1);
            match edit {
                Edit::Flip(bits) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits),
                Edit::Insert(new) => drop(bytes.splice(at..at, new)),
                Edit::Remove(count) => drop(bytes.drain(at..bytes.len().min(at + count))),
                Edit::Cut => bytes.truncate(at),
            }
        }
        if let Err(faults) = Contract::of(&with(&good, files)) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.line > 0 && fault.column > 0 && !fault.message.is_empty(), "{fault}");
            }
        }
    }
}
