//! What the operations on trees keep, and what they change.

use proptest::prelude::*;

use super::{Path, Tree};
use crate::value::Value;

fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(0..3, 1..4).prop_map(Path)
}

/// Trees of numbered items, so that each item is told from the others.
fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::vec((path(), 0..4_usize), 0..6).prop_map(|branches| {
        let mut count = 0;
        let mut tree = Tree::new();
        for (path, length) in branches {
            for _ in 0..length {
                count += 1;
                tree.push(path.clone(), (count % 5 != 0).then_some(Value::Integer(count)));
            }
            tree.branch_mut(path);
        }
        tree
    })
}

fn items(tree: &Tree) -> Vec<Option<Value>> {
    tree.items().map(Option::<&Value>::cloned).collect()
}

#[test]
fn a_path_reads_in_every_spelling() {
    for text in ["{0;1}", "0;1", " { 0 ; 1 } ", "{0;1;}"] {
        assert_eq!(text.parse::<Path>().unwrap(), Path(vec![0, 1]), "{text}");
    }
    assert_eq!("0".parse::<Path>().unwrap(), Path::root());
    for text in ["", "{", "{0", "a", "{0;x}", "99999999999"] {
        assert!(text.parse::<Path>().is_err(), "{text}");
    }
}

#[test]
fn branches_are_ordered_by_element_and_the_shorter_path_comes_first() {
    let mut tree = Tree::new();
    for text in ["{10}", "{2}", "{0;1}", "{0}"] {
        tree.push(text.parse().unwrap(), None);
    }
    let paths: Vec<String> = tree.branches().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["{0}", "{0;1}", "{2}", "{10}"]);
}

#[test]
fn a_tree_of_one_branch_simplifies_to_the_root() {
    let tree = Tree::from_iter([(Path(vec![3, 1, 4]), vec![None])]);
    assert_eq!(tree.simplify(false), Tree::from_iter([(Path::root(), vec![None])]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn flattening_keeps_the_items_in_order(tree in tree()) {
        let flat = tree.clone().flatten(Path::root());
        prop_assert_eq!(items(&flat), items(&tree));
        prop_assert!(flat.path_count() <= 1);
    }

    #[test]
    fn grafting_gives_every_item_a_branch_and_trimming_takes_it_back(tree in tree()) {
        let grafted = tree.clone().graft();
        let has_nested = tree.branches().any(|(a, _)| tree.branches().any(|(b, _)| a != b && b.0.starts_with(&a.0)));
        prop_assert!(grafted.branches().all(|(_, branch)| branch.len() <= 1) || has_nested);
        prop_assert_eq!(grafted.item_count(), tree.item_count());
        // Empty branches stay where they are, so they are left out of the way back; so are branches below others.
        let full: Tree = tree.into_branches().filter(|(_, branch)| !branch.is_empty()).collect();
        if !has_nested {
            prop_assert_eq!(full.clone().graft().trim(1), full);
        }
    }

    #[test]
    fn simplifying_keeps_branches_apart_and_items_in_order(tree in tree(), front: bool) {
        let simple = tree.clone().simplify(front);
        prop_assert_eq!(simple.path_count(), tree.path_count());
        prop_assert_eq!(items(&simple), items(&tree));
        prop_assert!(simple.branches().all(|(path, _)| !path.0.is_empty()));
    }

    #[test]
    fn reversing_twice_changes_nothing(tree in tree()) {
        prop_assert_eq!(tree.clone().reverse().reverse(), tree);
    }

    #[test]
    fn a_path_reads_back_from_its_text(path in path()) {
        prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
    }

    #[test]
    fn any_text_is_a_path_or_is_not(text in ".{0,40}") {
        let _either = text.parse::<Path>();
    }
}
