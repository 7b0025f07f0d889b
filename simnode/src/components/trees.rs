//! Data trees as a whole: their paths changed, merged, looked up and counted.

use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::tree::{Branch, Path, Tree};
use crate::value::{Kind, Value};

const TREE: &[Output] = &[Output::tree("Tree")];
const DATA: &[Output] = &[Output::tree("Data")];
const RESULT: &[Output] = &[Output::tree("Result")];

pub(super) static TABLE: &[Descriptor] = &[
    growing(&[guid("3cadddef-1e2b-4c09-9390-0e8f78f7609f")], "Merge", &[Input::tree("Data").optional()], RESULT, merge),
    growing(
        &[guid("c9785b8e-2f30-4f90-8ee3-cca710f82402")],
        "Entwine",
        &[Input::tree("Branch").optional()],
        RESULT,
        entwine,
    ),
    fixed(&[guid("87e1d9ef-088b-4d30-9dda-8a7448a17329")], "Graft Tree", &[Input::tree("Tree")], TREE, |call| {
        let tree = owned(call, 0)?.graft();
        call.put_tree(0, tree);
        Ok(())
    }),
    fixed(
        &[guid("f80cfe18-9510-4b89-8301-8e58faf423bb")],
        "Flatten Tree",
        &[Input::tree("Tree"), Input::item("Path", Kind::Path).optional()],
        TREE,
        |call| {
            let path = if let Some(Value::Path(path)) = call.maybe(1) { path.clone() } else { Path::root() };
            let tree = owned(call, 0)?.flatten(path);
            call.put_tree(0, tree);
            Ok(())
        },
    ),
    fixed(
        &[guid("1303da7b-e339-4e65-a051-82c4dce8224d")],
        "Simplify Tree",
        &[Input::tree("Tree"), Input::item("Front", Kind::Boolean).or(Preset::Boolean(false))],
        TREE,
        |call| {
            let front = call.boolean(1)?;
            let tree = owned(call, 0)?.simplify(front);
            call.put_tree(0, tree);
            Ok(())
        },
    ),
    fixed(
        &[guid("1177d6ee-3993-4226-9558-52b7fd63e1e3")],
        "Trim Tree",
        &[Input::tree("Tree"), Input::item("Depth", Kind::Integer).or(Preset::Integer(1))],
        TREE,
        |call| {
            let depth = usize::try_from(call.integer(1)?).unwrap_or(0);
            let tree = owned(call, 0)?.trim(depth);
            call.put_tree(0, tree);
            Ok(())
        },
    ),
    fixed(
        &[guid("2d61f4e0-47c5-41d6-a41d-6afa96ee63af")],
        "Shift Paths",
        &[Input::tree("Data"), Input::item("Offset", Kind::Integer).or(Preset::Integer(-1))],
        DATA,
        shift_paths,
    ),
    fixed(&[guid("41aa4112-9c9b-42f4-847e-503b9d90e4c7")], "Flip Matrix", &[Input::tree("Data")], DATA, flip),
    fixed(
        &[guid("3a710c1e-1809-4e19-8c15-82adce31cd62")],
        "Tree Branch",
        &[Input::tree("Tree"), Input::item("Path", Kind::Path)],
        &[Output::tree("Branch")],
        branch,
    ),
    fixed(
        &[guid("99bee19d-588c-41a0-b9b9-1d00fb03ea1a")],
        "Tree Statistics",
        &[Input::tree("Tree")],
        &[Output::tree("Paths"), Output::tree("Length"), Output::tree("Count")],
        statistics,
    ),
    fixed(
        &[guid("071c3940-a12d-4b77-bb23-42b5d3314a0d")],
        "Clean Tree",
        &[
            Input::item("Remove Nulls", Kind::Boolean).or(Preset::Boolean(true)),
            Input::item("Remove Invalid", Kind::Boolean).or(Preset::Boolean(true)),
            Input::item("Remove Empty", Kind::Boolean).or(Preset::Boolean(false)),
            Input::tree("Tree"),
        ],
        TREE,
        clean,
    ),
    fixed(
        &[guid("b8e2aa8f-8830-4ee1-bb59-613ea279c281")],
        "Unflatten Tree",
        &[Input::tree("Tree"), Input::tree("Guide")],
        TREE,
        unflatten,
    ),
    fixed(
        &[guid("946cb61e-18d2-45e3-8840-67b0efa26528")],
        "Construct Path",
        &[Input::list("Indices", Kind::Integer).or(Preset::Integer(0))],
        &[Output::item("Branch")],
        |call| {
            let elements: Vec<i32> = call.list(0).iter().flatten().filter_map(Value::as_integer).take(64).collect();
            call.put(0, Value::Path(Path(elements)));
            Ok(())
        },
    ),
    fixed(
        &[guid("df6d9197-9a6e-41a2-9c9d-d2221accb49e")],
        "Deconstruct Path",
        &[Input::item("Branch", Kind::Path)],
        &[Output::list("Indices")],
        |call| {
            let Value::Path(path) = call.value(0)? else { return Err(Stop::Null) };
            call.put_list(0, path.0.iter().map(|element| Value::Integer(*element)));
            Ok(())
        },
    ),
];

/// A copy of a tree argument, paid for.
fn owned(call: &mut Call<'_>, input: usize) -> Outcome<Tree> {
    let tree = call.tree(input)?;
    call.budget.spend_tree(tree)?;
    Ok(tree.clone())
}

fn merge(call: &mut Call<'_>) -> Outcome {
    let mut out = Tree::new();
    for input in 0..call.args.len() {
        out.merge(&owned(call, input)?);
    }
    call.put_tree(0, out);
    Ok(())
}

/// Every input, flattened, on a path of its own: `{0;0}`, `{0;1}` and so on.
fn entwine(call: &mut Call<'_>) -> Outcome {
    let mut out = Tree::new();
    for input in 0..call.args.len() {
        let path = Path::root().child(input);
        out.branch_mut(path.clone());
        out.merge(&owned(call, input)?.flatten(path));
    }
    call.put_tree(0, out);
    Ok(())
}

/// A positive offset takes elements off the front of each path, a negative one off its end. Lists that meet are joined,
/// and each path keeps an element.
fn shift_paths(call: &mut Call<'_>) -> Outcome {
    let offset = call.integer(1)?;
    let count = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
    let tree = owned(call, 0)?;
    let shifted = if offset < 0 {
        tree.trim(count)
    } else {
        let cut = |path: Path| {
            let drop = count.min(path.0.len().saturating_sub(1));
            Path(path.0.into_iter().skip(drop).collect())
        };
        tree.into_branches().map(|(path, branch)| (cut(path), branch)).collect()
    };
    call.put_tree(0, shifted);
    Ok(())
}

/// Rows become columns: item j of every branch goes to branch `{j}`, null where a row is too short.
fn flip(call: &mut Call<'_>) -> Outcome {
    let tree = owned(call, 0)?;
    let columns = tree.branches().map(|(_, branch)| branch.len()).max().unwrap_or(0);
    call.room(i64::try_from(columns.saturating_mul(tree.path_count())).unwrap_or(i64::MAX))?;
    let column = |j: usize| -> Branch { tree.branches().map(|(_, row)| row.get(j).cloned().flatten()).collect() };
    let flipped = (0..columns).map(|j| (Path(Vec::new()).child(j), column(j))).collect();
    call.put_tree(0, flipped);
    Ok(())
}

/// The branch at a path; without one there is nothing, and a warning.
fn branch(call: &mut Call<'_>) -> Outcome {
    let Value::Path(path) = call.value(1)? else { return Err(Stop::Null) };
    let tree = call.tree(0)?;
    match tree.get(path) {
        Some(items) => {
            call.work(items.len())?;
            let found = Tree::from_iter([(path.clone(), items.clone())]);
            call.put_tree(0, found);
        }
        None => call.warn(format!("Tree does not contain branch {path}")),
    }
    Ok(())
}

fn statistics(call: &mut Call<'_>) -> Outcome {
    let tree = call.tree(0)?;
    let count = |length: usize| Value::Integer(i32::try_from(length).unwrap_or(i32::MAX));
    let paths = Tree::list(tree.branches().map(|(path, _)| Value::Path(path.clone())));
    let lengths = Tree::list(tree.branches().map(|(_, branch)| count(branch.len())));
    call.put_tree(0, paths);
    call.put_tree(1, lengths);
    call.put_tree(2, Tree::item(count(tree.path_count())));
    Ok(())
}

/// Numbers that are not finite are what can be invalid here.
fn clean(call: &mut Call<'_>) -> Outcome {
    let (nulls, invalid, empty) = (call.boolean(0)?, call.boolean(1)?, call.boolean(2)?);
    let tree = owned(call, 3)?;
    let keep = |item: &Option<Value>| match item {
        None => !nulls,
        Some(Value::Number(number)) => !invalid || number.is_finite(),
        Some(_) => true,
    };
    let branches =
        tree.into_branches().map(|(path, branch)| (path, branch.into_iter().filter(keep).collect::<Branch>()));
    let cleaned = branches.filter(|(_, branch)| !(empty && branch.is_empty())).collect();
    call.put_tree(0, cleaned);
    Ok(())
}

/// Deals the items of a tree, in order, to branches as long as the guide's.
fn unflatten(call: &mut Call<'_>) -> Outcome {
    let tree = owned(call, 0)?;
    let guide = call.tree(1)?;
    call.work(guide.item_count() + guide.path_count())?;
    let mut items = tree.into_branches().flat_map(|(_, branch)| branch);
    let dealt: Tree =
        guide.branches().map(|(path, branch)| (path.clone(), items.by_ref().take(branch.len()).collect())).collect();
    call.put_tree(0, dealt);
    Ok(())
}
