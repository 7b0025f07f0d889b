//! Running one component over its data: which branches and items meet, and where the results go.
//!
//! The rule stands in the documentation of [`super`].

use std::sync::Arc;

use super::Settings;
use crate::components::{Access, Arg, Budget, Call, Descriptor, Notes, Slot, Stop};
use crate::tree::{Branch, Path, Tree};
use crate::value::Value;

/// One input of the component that runs.
pub(crate) struct Fed {
    pub(crate) access: Access,
    pub(crate) optional: bool,
    pub(crate) data: Arc<Tree>,
}

/// What the component itself brings along.
pub(crate) struct Own<'a> {
    pub(crate) descriptor: &'static Descriptor,
    pub(crate) nicks: &'a [String],
    pub(crate) expression: Option<&'a str>,
    pub(crate) outputs: &'a [Access],
}

pub(crate) fn run(
    own: &Own<'_>,
    inputs: &[Fed],
    settings: &Settings,
    budget: &mut Budget,
    notes: &mut Notes,
) -> Result<Vec<Tree>, Stop> {
    let mut results = vec![Tree::new(); own.outputs.len()];
    let master = master(inputs);
    let root = Path::root();
    let branches = master.map_or(1, Tree::path_count);
    let columns: Vec<Vec<(&Path, &Branch)>> = inputs
        .iter()
        .map(|input| if input.access == Access::Tree { Vec::new() } else { input.data.branches().collect() })
        .collect();
    let paths: Vec<&Path> = master.map_or_else(|| vec![&root], |tree| tree.branches().map(|(path, _)| path).collect());
    let has_list = inputs.iter().any(|input| input.access == Access::List);
    for (row, path) in paths.into_iter().enumerate().take(branches) {
        let cells: Vec<Option<&Branch>> = columns
            .iter()
            .map(|column| column.get(row.min(column.len().saturating_sub(1))).map(|(_, branch)| *branch))
            .collect();
        let count = items(inputs, &cells);
        if count == 0 {
            for tree in &mut results {
                tree.branch_mut(path.clone());
            }
        }
        for item in 0..count {
            let args: Vec<Arg<'_>> =
                inputs.iter().zip(&cells).map(|(input, cell)| argument(input, *cell, item)).collect();
            budget.spend(weight(&args))?;
            let slots = vec![Slot::Unset; own.outputs.len()];
            let below = (!has_list || count > 1).then(|| path.child(item));
            let target = below.as_ref().unwrap_or(path);
            let mut call = Call {
                args,
                slots,
                path: target,
                nicks: own.nicks,
                expression: own.expression,
                settings,
                budget,
                notes,
            };
            match (own.descriptor.run)(&mut call) {
                Ok(()) | Err(Stop::Null) => {}
                Err(Stop::Error(message)) => {
                    call.notes.errors.insert(message);
                    call.slots.iter_mut().for_each(|slot| *slot = Slot::Unset);
                }
                Err(Stop::Budget) => return Err(Stop::Budget),
            }
            let slots = call.slots;
            for ((tree, slot), access) in results.iter_mut().zip(slots).zip(own.outputs) {
                place(tree, slot, *access, path, target, budget)?;
            }
        }
    }
    Ok(results)
}

/// The data whose paths the results take: most branches, then longest paths, then first.
fn master(inputs: &[Fed]) -> Option<&Tree> {
    let mut best: Option<&Tree> = None;
    for input in inputs.iter().filter(|input| input.access != Access::Tree) {
        let size = |tree: &Tree| (tree.path_count(), tree.depth());
        if input.data.path_count() > 0 && best.is_none_or(|tree| size(&input.data) > size(tree)) {
            best = Some(&input.data);
        }
    }
    best
}

/// How often the component runs in a row of branches.
fn items(inputs: &[Fed], cells: &[Option<&Branch>]) -> usize {
    let mut longest = 0;
    let mut any = false;
    for (input, cell) in inputs.iter().zip(cells).filter(|(input, _)| input.access == Access::Item) {
        match cell.map_or(0, Vec::len) {
            0 if input.optional => {}
            0 => return 0,
            length => {
                any = true;
                longest = longest.max(length);
            }
        }
    }
    if any { longest } else { 1 }
}

/// What it costs to look at all arguments once; trees are paid for by those that copy them.
fn weight(args: &[Arg<'_>]) -> u64 {
    let of = |arg: &Arg<'_>| match arg {
        Arg::Item(item) => item.map_or(1, Value::weight),
        Arg::List(list) => list.len() as u64,
        Arg::Tree(_) => 1,
    };
    1 + args.iter().map(of).sum::<u64>()
}

fn argument<'a>(input: &'a Fed, cell: Option<&'a Branch>, item: usize) -> Arg<'a> {
    match input.access {
        Access::Tree => Arg::Tree(&input.data),
        Access::List => Arg::List(cell.map_or(&[], Vec::as_slice)),
        Access::Item => {
            let value = cell.and_then(|branch| branch.get(item.min(branch.len().saturating_sub(1))));
            Arg::Item(value.and_then(Option::as_ref))
        }
    }
}

/// Puts a result where it belongs: items at the path of their branch, lists at the target of their call. What was not
/// given is null as an item and nothing as a list, so that items of several outputs stay in step.
fn place(
    tree: &mut Tree,
    slot: Slot,
    access: Access,
    path: &Path,
    target: &Path,
    budget: &mut Budget,
) -> Result<(), Stop> {
    match slot {
        Slot::Tree(result) => {
            budget.spend_tree(&result)?;
            tree.merge(&result);
        }
        Slot::Item(value) => {
            budget.spend(value.as_ref().map_or(1, Value::weight))?;
            tree.push(path.clone(), value);
        }
        Slot::List(branch) => {
            let weight: u64 = branch.iter().flatten().map(Value::weight).sum();
            budget.spend(1 + weight)?;
            tree.branch_mut(target.clone()).extend(branch);
        }
        Slot::Unset => match access {
            Access::Item => tree.push(path.clone(), None),
            Access::List => {
                tree.branch_mut(target.clone());
            }
            Access::Tree => {}
        },
    }
    Ok(())
}
