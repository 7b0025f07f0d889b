//! Lists: picking, ordering, culling, splitting and weaving.
//!
//! Items are carried as they are, nulls included, unless a component compares or sorts them.

use std::collections::BTreeSet;

use super::logic::same;
use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::tree::{Branch, Tree};
use crate::value::{Kind, Value};

const ITEMS: Input = Input::list("List", Kind::Any);
const WRAP: Input = Input::item("Wrap", Kind::Boolean).or(Preset::Boolean(true));
const LIST: &[Output] = &[Output::list("List")];

pub(super) static TABLE: &[Descriptor] = &[
    growing(
        &[guid("59daf374-bc21-4a5e-8282-5504fb7ae9ae")],
        "List Item",
        &[ITEMS, Input::item("Index", Kind::Integer).or(Preset::Integer(0)), WRAP],
        &[Output::item("Item")],
        item,
    ),
    fixed(
        &[guid("1817fd29-20ae-4503-b542-f0fb651e67d7")],
        "List Length",
        &[ITEMS],
        &[Output::item("Length")],
        |call| {
            let length = i32::try_from(call.list(0).len()).unwrap_or(i32::MAX);
            call.put(0, Value::Integer(length));
            Ok(())
        },
    ),
    fixed(&[guid("6ec97ea8-c559-47a2-8d0f-ce80c794d1f4")], "Reverse List", &[ITEMS], LIST, |call| {
        let reversed = call.list(0).iter().rev().cloned().collect();
        call.put_branch(0, reversed);
        Ok(())
    }),
    fixed(
        &[guid("4fdfe351-6c07-47ce-9fb9-be027fb62186")],
        "Shift List",
        &[ITEMS, Input::item("Shift", Kind::Integer).or(Preset::Integer(1)), WRAP],
        LIST,
        shift,
    ),
    growing(
        &[guid("6f93d366-919f-4dda-a35e-ba03dd62799b")],
        "Sort List",
        &[Input::list("Keys", Kind::Number), Input::list("Values", Kind::Any).optional()],
        &[Output::list("Keys"), Output::list("Values")],
        sort,
    ),
    fixed(
        &[guid("9ab93e1a-ebdf-4090-9296-b000cff7b202")],
        "Split List",
        &[ITEMS, Input::item("Index", Kind::Integer)],
        &[Output::list("List A"), Output::list("List B")],
        split,
    ),
    fixed(
        &[guid("b333ff42-93bd-406b-8e17-15780719b6ec")],
        "Sub List",
        &[ITEMS, Input::item("Domain", Kind::Domain).or(Preset::Domain(0.0, 1.0)), WRAP],
        &[Output::list("List"), Output::list("Index")],
        sub_list,
    ),
    fixed(
        &[guid("008e9a6f-478a-4813-8c8a-546273bc3a6b")],
        "Cull Pattern",
        &[ITEMS, Input::list("Cull Pattern", Kind::Boolean)],
        LIST,
        cull_pattern,
    ),
    fixed(
        &[guid("501aecbb-c191-4d13-83d6-7ee32445ac50")],
        "Cull Index",
        &[ITEMS, Input::list("Indices", Kind::Integer), WRAP],
        LIST,
        cull_index,
    ),
    fixed(
        &[guid("932b9817-fcc6-4ac3-b5fd-c0e8eeadc53f")],
        "Cull Nth",
        &[ITEMS, Input::item("Cull frequency", Kind::Integer).or(Preset::Integer(2))],
        LIST,
        cull_nth,
    ),
    fixed(
        &[guid("d8332545-21b2-4716-96e3-8559a9876e17")],
        "Dispatch",
        &[ITEMS, Input::list("Dispatch pattern", Kind::Boolean)],
        &[Output::list("List A"), Output::list("List B")],
        dispatch,
    ),
    growing(
        &[guid("3249222f-f536-467a-89f4-f0353fba455a")],
        "Sift Pattern",
        &[ITEMS, Input::list("Sift Pattern", Kind::Integer)],
        &[Output::list("Output")],
        sift,
    ),
    growing(
        &[guid("50faccbd-9c92-4175-a5fa-d65e36013db6")],
        "Weave",
        &[Input::list("Pattern", Kind::Integer), Input::list("Stream", Kind::Any).optional()],
        &[Output::list("Weave")],
        weave,
    ),
    fixed(
        &[guid("c40dc145-9e36-4a69-ac1a-6d825c654993")],
        "Repeat Data",
        &[Input::list("Data", Kind::Any), Input::item("Length", Kind::Integer)],
        &[Output::list("Data")],
        repeat,
    ),
    fixed(
        &[guid("dd8134c0-109b-4012-92be-51d843edfff7")],
        "Duplicate Data",
        &[
            Input::list("Data", Kind::Any),
            Input::item("Number", Kind::Integer).or(Preset::Integer(2)),
            Input::item("Order", Kind::Boolean).or(Preset::Boolean(true)),
        ],
        &[Output::list("Data")],
        duplicate,
    ),
    fixed(
        &[guid("e2039b07-d3f3-40f8-af88-d74fed238727")],
        "Insert Items",
        &[ITEMS, Input::list("Item", Kind::Any).optional(), Input::list("Indices", Kind::Integer), WRAP],
        LIST,
        insert,
    ),
    fixed(
        &[guid("7a218bfb-b93d-4c1f-83d3-5a0b909dd60b")],
        "Replace Items",
        &[
            ITEMS,
            Input::list("Item", Kind::Any).optional(),
            Input::list("Indices", Kind::Integer).optional(),
            Input::item("Wrap", Kind::Boolean).or(Preset::Boolean(false)),
        ],
        LIST,
        replace,
    ),
    fixed(
        &[guid("5a93246d-2595-4c28-bc2d-90657634f92a")],
        "Partition List",
        &[ITEMS, Input::list("Size", Kind::Integer).or(Preset::Integer(3))],
        &[Output::tree("Chunks")],
        partition,
    ),
    fixed(
        &[guid("a759fd55-e6be-4673-8365-c28d5b52c6c0")],
        "Item Index",
        &[ITEMS, Input::item("Item", Kind::Any)],
        &[Output::item("Index")],
        |call| {
            let (first, _) = found(call)?;
            call.put(0, Value::Integer(first));
            Ok(())
        },
    ),
    fixed(
        &[guid("3ff27857-b988-417a-b495-b24c733dbd00")],
        "Member Index",
        &[Input::list("Set", Kind::Any), Input::item("Member", Kind::Any)],
        &[Output::list("Index"), Output::item("Count")],
        member_index,
    ),
    fixed(
        &[guid("98c3c63a-e78a-43ea-a111-514fcf312c95")],
        "Create Set",
        &[ITEMS],
        &[Output::list("Set"), Output::list("Map")],
        create_set,
    ),
    fixed(
        &[guid("190d042c-2270-4bc1-81c0-4f90c170c9c9")],
        "Delete Consecutive",
        &[Input::list("Set", Kind::Any), Input::item("Wrap", Kind::Boolean).or(Preset::Boolean(false))],
        &[Output::list("Set"), Output::item("Count")],
        delete_consecutive,
    ),
    growing(
        &[guid("8440fd1b-b6e0-4bdb-aa93-4ec295c213e9")],
        "Longest List",
        &[Input::list("List (A)", Kind::Any).optional(), Input::list("List (B)", Kind::Any).optional()],
        &[Output::list("List (A)"), Output::list("List (B)")],
        longest,
    ),
    growing(
        &[guid("5a13ec19-e4e9-43da-bf65-f93025fa87ca")],
        "Shortest List",
        &[Input::list("List (A)", Kind::Any).optional(), Input::list("List (B)", Kind::Any).optional()],
        &[Output::list("List (A)"), Output::list("List (B)")],
        shortest,
    ),
];

/// The position that an index means in a list, wrapped around both ends or only if it is inside.
fn position(index: i32, length: usize, wrap: bool) -> Option<usize> {
    let length = i64::try_from(length).ok().filter(|length| *length > 0)?;
    let index = i64::from(index);
    let index = if wrap { index.rem_euclid(length) } else { index };
    usize::try_from(index).ok().filter(|_| index < length)
}

fn item(call: &mut Call<'_>) -> Outcome {
    let (list, index, wrap) = (call.list(0), call.integer(1)?, call.boolean(2)?);
    if call.slots.len() > 1 {
        return Stop::error("List Item with more than one output is not supported by this node");
    }
    let found = position(index, list.len(), wrap);
    if found.is_none() {
        call.warn(format!("Index {index} is outside of the list"));
    }
    call.put_maybe(0, found.and_then(|at| list.get(at)).cloned().flatten());
    Ok(())
}

/// A positive shift moves the front of the list to its end, or drops it.
fn shift(call: &mut Call<'_>) -> Outcome {
    let (list, shift, wrap) = (call.list(0), call.integer(1)?, call.boolean(2)?);
    let length = list.len();
    let out = if wrap {
        let cut = position(shift, length, true).unwrap_or(0);
        let (head, tail) = list.split_at(cut);
        tail.iter().chain(head).cloned().collect()
    } else {
        let drop = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX).min(length);
        if shift >= 0 { list[drop..].to_vec() } else { list[..length - drop].to_vec() }
    };
    call.put_branch(0, out);
    Ok(())
}

/// Ascending; equal keys keep their order. Items without a key are left out.
fn sort(call: &mut Call<'_>) -> Outcome {
    let keys = call.list(0);
    call.work(keys.len() * call.args.len())?;
    let mut order: Vec<(f64, usize)> =
        keys.iter().enumerate().filter_map(|(at, key)| Some((key.as_ref()?.as_number()?, at))).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    for input in 0..call.args.len().min(call.slots.len()) {
        let list = call.list(input);
        // Values beyond the keys have nowhere to go; keys beyond the values bring nothing.
        let sorted = order.iter().filter_map(|(_, at)| list.get(*at)).cloned().collect();
        call.put_branch(input, sorted);
    }
    Ok(())
}

fn split(call: &mut Call<'_>) -> Outcome {
    let (list, index) = (call.list(0), call.integer(1)?);
    let (a, b) = list.split_at(usize::try_from(index).unwrap_or(0).min(list.len()));
    call.put_branch(0, a.to_vec());
    call.put_branch(1, b.to_vec());
    Ok(())
}

/// Both ends of the domain belong to the list; a decreasing domain takes it backwards.
fn sub_list(call: &mut Call<'_>) -> Outcome {
    let (list, domain, wrap) = (call.list(0), call.domain(1)?, call.boolean(2)?);
    let end = |number: f64| Value::Number(number).as_integer().map(i64::from).ok_or(Stop::Null);
    let (from, to) = (end(domain.a)?, end(domain.b)?);
    let count = call.room((to - from).abs() + 1)?;
    call.copies(list, count.div_ceil(list.len().max(1)))?;
    let step = if to >= from { 1 } else { -1 };
    let (mut items, mut indices) = (Branch::new(), Vec::new());
    let mut index = from;
    for _ in 0..count {
        let found = i32::try_from(index).ok().and_then(|index| position(index, list.len(), wrap));
        if let Some(at) = found {
            items.push(list.get(at).cloned().flatten());
            indices.push(Value::Integer(i32::try_from(at).unwrap_or(i32::MAX)));
        }
        index += step;
    }
    call.put_branch(0, items);
    call.put_list(1, indices);
    Ok(())
}

/// A pattern of booleans, repeated over the length of a list; a null counts as false.
fn pattern(call: &Call<'_>, input: usize, length: usize) -> Outcome<Vec<bool>> {
    let list = call.list(input);
    if list.is_empty() {
        return Err(Stop::Null);
    }
    let boolean = |item: &Option<Value>| item.as_ref().and_then(Value::as_boolean).unwrap_or(false);
    Ok(list.iter().cycle().take(length).map(boolean).collect())
}

fn cull_pattern(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0);
    let keep = pattern(call, 1, list.len())?;
    let kept = list.iter().zip(keep).filter(|(_, keep)| *keep).map(|(item, _)| item.clone()).collect();
    call.put_branch(0, kept);
    Ok(())
}

fn cull_index(call: &mut Call<'_>) -> Outcome {
    let (list, wrap) = (call.list(0), call.boolean(2)?);
    let indices = call.list(1).iter().flatten().filter_map(Value::as_integer);
    let gone: BTreeSet<usize> = indices.filter_map(|index| position(index, list.len(), wrap)).collect();
    let kept = list.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, item)| item.clone()).collect();
    call.put_branch(0, kept);
    Ok(())
}

/// Every n-th item goes.
fn cull_nth(call: &mut Call<'_>) -> Outcome {
    let (list, frequency) = (call.list(0), call.integer(1)?);
    let frequency = usize::try_from(frequency).ok().filter(|n| *n > 0);
    let Some(n) = frequency else { return Stop::error("Cull frequency must be one or more") };
    let kept = list.iter().enumerate().filter(|(at, _)| (at + 1) % n != 0).map(|(_, item)| item.clone()).collect();
    call.put_branch(0, kept);
    Ok(())
}

fn dispatch(call: &mut Call<'_>) -> Outcome {
    let list = call.list(0);
    let pattern = pattern(call, 1, list.len())?;
    let side =
        |wanted: bool| list.iter().zip(&pattern).filter(|(_, p)| **p == wanted).map(|(item, _)| item.clone()).collect();
    let (a, b): (Branch, Branch) = (side(true), side(false));
    call.put_branch(0, a);
    call.put_branch(1, b);
    Ok(())
}

/// Each output is as long as the list, with nulls where the item went to another output.
fn sift(call: &mut Call<'_>) -> Outcome {
    let (list, pattern, outputs) = (call.list(0), call.list(1), call.slots.len());
    if pattern.is_empty() {
        return Err(Stop::Null);
    }
    call.work(list.len() * outputs)?;
    for output in 0..outputs {
        let here = |index: &Option<Value>| {
            let index = index.as_ref().and_then(Value::as_integer).and_then(|index| usize::try_from(index).ok());
            index == Some(output)
        };
        let sifted = list.iter().zip(pattern.iter().cycle());
        let sifted = sifted.map(|(item, index)| if here(index) { item.clone() } else { None }).collect();
        call.put_branch(output, sifted);
    }
    Ok(())
}

/// Takes the next item of the stream that the repeated pattern names, until all are used up. A stream that has ended is
/// passed over.
fn weave(call: &mut Call<'_>) -> Outcome {
    let streams: Vec<&[Option<Value>]> = (1..call.args.len()).map(|input| call.list(input)).collect();
    let pattern: Vec<Option<usize>> = call
        .list(0)
        .iter()
        .map(|index| usize::try_from(index.as_ref()?.as_integer()?).ok().filter(|index| *index < streams.len()))
        .collect();
    let total: usize = (0..streams.len()).filter(|s| pattern.contains(&Some(*s))).map(|s| streams[s].len()).sum();
    call.work(total + pattern.len())?;
    let mut taken = vec![0; streams.len()];
    let mut out = Branch::with_capacity(total);
    let mut idle = 0;
    for stream in pattern.iter().cycle() {
        // A whole round of the pattern without an item: nothing is left.
        if out.len() == total || idle > pattern.len() {
            break;
        }
        idle += 1;
        let Some(stream) = *stream else { continue };
        if let Some(item) = streams[stream].get(taken[stream]) {
            out.push(item.clone());
            taken[stream] += 1;
            idle = 0;
        }
    }
    call.put_branch(0, out);
    Ok(())
}

fn repeat(call: &mut Call<'_>) -> Outcome {
    if call.integer(1)? < 0 {
        return Stop::error("Length must be zero or more");
    }
    let (list, count) = (call.list(0), call.count(1)?);
    call.copies(list, count.div_ceil(list.len().max(1)))?;
    let out = list.iter().cycle().take(count).cloned().collect();
    call.put_branch(0, out);
    Ok(())
}

/// In order, the whole list repeats; out of order, each item does.
fn duplicate(call: &mut Call<'_>) -> Outcome {
    let (list, number, in_order) = (call.list(0), call.integer(1)?, call.boolean(2)?);
    let total = call.room(i64::from(number.max(0)).saturating_mul(i64::try_from(list.len()).unwrap_or(i64::MAX)))?;
    let copies = usize::try_from(number).unwrap_or(0);
    call.copies(list, copies)?;
    let out: Branch = if in_order {
        list.iter().cycle().take(total).cloned().collect()
    } else {
        list.iter().flat_map(|item| std::iter::repeat_n(item.clone(), copies)).collect()
    };
    call.put_branch(0, out);
    Ok(())
}

/// Pairs of index and item: the shorter of both lists repeats its last.
fn pairs(call: &mut Call<'_>) -> Outcome<Vec<(i32, Option<Value>)>> {
    let (items, indices) = (call.list(1), call.list(2));
    if items.is_empty() || indices.is_empty() {
        return Ok(Vec::new());
    }
    call.copies(items.last().map_or(&[], std::slice::from_ref), indices.len())?;
    let at = |list: &[Option<Value>], i: usize| list.get(i.min(list.len() - 1)).cloned().flatten();
    let count = items.len().max(indices.len());
    Ok((0..count).filter_map(|i| Some((at(indices, i)?.as_integer()?, at(items, i)))).collect())
}

/// Inserts one after the other, each index counted in the list as it then is.
fn insert(call: &mut Call<'_>) -> Outcome {
    let (list, wrap) = (call.list(0), call.boolean(3)?);
    let pairs = pairs(call)?;
    call.work(pairs.len().saturating_mul(list.len() + pairs.len()) / 16)?;
    let mut out = list.to_vec();
    for (index, item) in pairs {
        // The place after the last item is a place, too.
        match position(index, out.len() + 1, wrap) {
            Some(at) => out.insert(at, item),
            None => call.warn(format!("Index {index} is outside of the list")),
        }
    }
    call.put_branch(0, out);
    Ok(())
}

fn replace(call: &mut Call<'_>) -> Outcome {
    let (list, wrap) = (call.list(0), call.boolean(3)?);
    let pairs = pairs(call)?;
    call.work(pairs.len())?;
    let mut out = list.to_vec();
    for (index, item) in pairs {
        match position(index, out.len(), wrap) {
            Some(at) => out[at] = item,
            None => call.warn(format!("Index {index} is outside of the list")),
        }
    }
    call.put_branch(0, out);
    Ok(())
}

/// Cuts the list into pieces whose sizes repeat, each on a path below the list's own.
fn partition(call: &mut Call<'_>) -> Outcome {
    let mut rest = call.list(0);
    let mut sizes = Vec::new();
    for size in call.list(1).iter().flatten().filter_map(Value::as_integer) {
        let size = usize::try_from(size).ok().filter(|size| *size > 0);
        let Some(size) = size else { return Stop::error("Size must be one or more") };
        sizes.push(size);
    }
    if sizes.is_empty() {
        return Err(Stop::Null);
    }
    let mut tree = Tree::new();
    for (index, size) in sizes.iter().cycle().enumerate() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        tree.branch_mut(call.path.child(index)).extend(chunk.iter().cloned());
        rest = after;
    }
    call.put_tree(0, tree);
    Ok(())
}

/// The first position of an item, minus one if it is not there, and all positions.
fn found(call: &mut Call<'_>) -> Outcome<(i32, Vec<i32>)> {
    let (list, wanted) = (call.list(0), call.value(1)?);
    let hits = list.iter().enumerate().filter(|(_, item)| item.as_ref().is_some_and(|item| same(item, wanted)));
    let hits: Vec<i32> = hits.map(|(at, _)| i32::try_from(at).unwrap_or(i32::MAX)).collect();
    Ok((hits.first().copied().unwrap_or(-1), hits))
}

fn member_index(call: &mut Call<'_>) -> Outcome {
    let (_, hits) = found(call)?;
    call.put(1, Value::Integer(i32::try_from(hits.len()).unwrap_or(i32::MAX)));
    call.put_list(0, hits.into_iter().map(Value::Integer));
    Ok(())
}

fn create_set(call: &mut Call<'_>) -> Outcome {
    let (mut set, mut map): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for item in call.list(0).iter().flatten() {
        call.work(set.len())?;
        let known = set.iter().position(|known| same(known, item));
        let index = known.unwrap_or(set.len());
        if known.is_none() {
            set.push(item.clone());
        }
        map.push(Value::Integer(i32::try_from(index).unwrap_or(i32::MAX)));
    }
    call.put_list(0, set);
    call.put_list(1, map);
    Ok(())
}

fn delete_consecutive(call: &mut Call<'_>) -> Outcome {
    let wrap = call.boolean(1)?;
    let items: Vec<&Value> = call.list(0).iter().flatten().collect();
    let mut out: Vec<Value> = Vec::new();
    for item in &items {
        if !out.last().is_some_and(|last| same(last, item)) {
            out.push((*item).clone());
        }
    }
    if wrap && out.len() > 1 && out.first().zip(out.last()).is_some_and(|(first, last)| same(first, last)) {
        out.pop();
    }
    call.put(1, Value::Integer(i32::try_from(items.len() - out.len()).unwrap_or(i32::MAX)));
    call.put_list(0, out);
    Ok(())
}

/// Shorter lists repeat their last item up to the length of the longest.
fn longest(call: &mut Call<'_>) -> Outcome {
    let inputs = call.args.len().min(call.slots.len());
    let most = (0..inputs).map(|input| call.list(input).len()).max().unwrap_or(0);
    call.work(most * inputs)?;
    for input in 0..inputs {
        let list = call.list(input);
        call.copies(list.last().map_or(&[], std::slice::from_ref), most - list.len())?;
        let filled = (0..most).filter_map(|at| list.get(at).or_else(|| list.last())).cloned().collect();
        call.put_branch(input, filled);
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "components share one signature")]
fn shortest(call: &mut Call<'_>) -> Outcome {
    let inputs = call.args.len().min(call.slots.len());
    let least = (0..inputs).map(|input| call.list(input).len()).min().unwrap_or(0);
    for input in 0..inputs {
        let cut = call.list(input).iter().take(least).cloned().collect();
        call.put_branch(input, cut);
    }
    Ok(())
}
