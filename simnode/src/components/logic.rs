//! Comparison, boolean gates, streams, and the components that evaluate expressions.

use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::expression::Expression;
use crate::tree::{Branch, Tree};
use crate::value::{Kind, Value};

const RESULT: &[Output] = &[Output::item("Result")];
const COMPARED: &[Input] =
    &[Input::item("First Number", Kind::Number), Input::item("Second Number", Kind::Number).or(Preset::Number(0.0))];
const GATE: &[Input] = &[Input::item("A", Kind::Boolean).optional(), Input::item("B", Kind::Boolean).optional()];

pub(super) static TABLE: &[Descriptor] = &[
    fixed(
        &[guid("5db0fb89-4f22-4f09-a777-fa5e55aed7ec")],
        "Equality",
        &[Input::item("First Number", Kind::Any), Input::item("Second Number", Kind::Any).or(Preset::Number(0.0))],
        &[Output::item("Equality"), Output::item("Inequality")],
        equality,
    ),
    fixed(
        &[guid("30d58600-1aab-42db-80a3-f1ea6c4269a0")],
        "Larger Than",
        COMPARED,
        &[Output::item("Larger than"), Output::item("… or Equal to")],
        |call| compare(call, |a, b| (a > b, a >= b)),
    ),
    fixed(
        &[guid("ae840986-cade-4e5a-96b0-570f007d4fc0")],
        "Smaller Than",
        COMPARED,
        &[Output::item("Smaller than"), Output::item("… or Equal to")],
        |call| compare(call, |a, b| (a < b, a <= b)),
    ),
    growing(&[guid("040f195d-0b4e-4fe0-901f-fedb2fd3db15")], "Gate And", GATE, RESULT, |call| gate(call, |a, b| a & b)),
    growing(&[guid("5cad70f9-5a53-4c5c-a782-54a479b4abe3")], "Gate Or", GATE, RESULT, |call| gate(call, |a, b| a | b)),
    fixed(
        &[guid("cb2c7d3c-41b4-4c6d-a6bd-9235bd2851bb")],
        "Gate Not",
        &[Input::item("A", Kind::Boolean)],
        RESULT,
        |call| {
            let a = call.boolean(0)?;
            call.put(0, Value::Boolean(!a));
            Ok(())
        },
    ),
    fixed(
        &[guid("b6aedcac-bf43-42d4-899e-d763612f834d")],
        "Gate Xnor",
        &[Input::item("A", Kind::Boolean), Input::item("B", Kind::Boolean)],
        RESULT,
        |call| gate(call, |a, b| a == b),
    ),
    growing(
        &[guid("eeafc956-268e-461d-8e73-ee05c6f72c01")],
        "Stream Filter",
        &[Input::item("Gate", Kind::Integer).or(Preset::Integer(0)), Input::tree("Stream").optional()],
        &[Output::tree("Stream")],
        stream_filter,
    ),
    growing(
        &[guid("71fcc052-6add-4d70-8d97-cfb37ea9d169")],
        "Stream Gate",
        &[Input::tree("Stream"), Input::item("Gate", Kind::Integer).or(Preset::Integer(0))],
        &[Output::tree("Target")],
        stream_gate,
    ),
    growing(
        &[guid("03b801eb-87cd-476a-a591-257fe5d5bf0f")],
        "Pick'n'Choose",
        &[Input::list("Pattern", Kind::Integer), Input::list("Stream", Kind::Any).optional()],
        &[Output::list("Result")],
        pick,
    ),
    growing(
        &[guid("9df5e896-552d-4c8c-b9ca-4fc147ffa022")],
        "Expression",
        &[Input::item("Variable", Kind::Any).optional()],
        RESULT,
        expression,
    ),
    growing(
        &[guid("cc2b626f-6eff-4d08-9829-2877560693f4")],
        "Evaluate",
        &[Input::item("Expression", Kind::Text), Input::item("Variable", Kind::Any).optional()],
        RESULT,
        evaluate,
    ),
];

/// Numbers, booleans and numeric text compare as numbers; everything else is equal to its like only.
#[expect(clippy::float_cmp, reason = "Grasshopper compares numbers exactly here, too")]
pub(super) fn same(a: &Value, b: &Value) -> bool {
    if let (Value::Text(a), Value::Text(b)) = (a, b) {
        return a == b;
    }
    match (a.as_number(), b.as_number()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn equality(call: &mut Call<'_>) -> Outcome {
    let same = same(call.value(0)?, call.value(1)?);
    call.put(0, Value::Boolean(same));
    call.put(1, Value::Boolean(!same));
    Ok(())
}

fn compare(call: &mut Call<'_>, compare: fn(f64, f64) -> (bool, bool)) -> Outcome {
    let (strict, loose) = compare(call.number(0)?, call.number(1)?);
    call.put(0, Value::Boolean(strict));
    call.put(1, Value::Boolean(loose));
    Ok(())
}

/// Folds the inputs that have data; null where none has.
#[expect(clippy::unnecessary_wraps, reason = "components share one signature")]
fn gate(call: &mut Call<'_>, combine: fn(bool, bool) -> bool) -> Outcome {
    let values = (0..call.args.len()).filter_map(|input| call.maybe(input)?.as_boolean());
    let result = values.reduce(combine);
    call.put_maybe(0, result.map(Value::Boolean));
    Ok(())
}

fn stream_filter(call: &mut Call<'_>) -> Outcome {
    let gate = call.integer(0)?;
    let streams = call.args.len().saturating_sub(1);
    let chosen = usize::try_from(gate).ok().filter(|gate| *gate < streams);
    let Some(chosen) = chosen else {
        return Stop::error(format!("Gate index {gate} is out of range; there are {streams} streams"));
    };
    let tree = call.tree(chosen + 1)?;
    call.budget.spend_tree(tree)?;
    call.put_tree(0, tree.clone());
    Ok(())
}

fn stream_gate(call: &mut Call<'_>) -> Outcome {
    let gate = call.integer(1)?;
    let targets = call.slots.len();
    let chosen = usize::try_from(gate).ok().filter(|gate| *gate < targets);
    let Some(chosen) = chosen else {
        return Stop::error(format!("Gate index {gate} is out of range; there are {targets} targets"));
    };
    let tree = call.tree(0)?;
    call.budget.spend_tree(tree)?;
    for output in 0..targets {
        call.put_tree(output, if output == chosen { tree.clone() } else { Tree::new() });
    }
    Ok(())
}

/// Takes the item at each position from the stream that the repeated pattern names there.
fn pick(call: &mut Call<'_>) -> Outcome {
    let pattern = call.list(0);
    let streams = call.args.len().saturating_sub(1);
    let longest = (1..=streams).map(|input| call.list(input).len()).max().unwrap_or(0);
    if pattern.is_empty() {
        return Err(Stop::Null);
    }
    call.work(longest)?;
    let mut out = Branch::new();
    for (position, index) in pattern.iter().cycle().take(longest).enumerate() {
        let Some(index) = index.as_ref().and_then(Value::as_integer) else {
            out.push(None);
            continue;
        };
        let stream = usize::try_from(index).ok().filter(|index| *index < streams);
        let Some(stream) = stream else {
            return Stop::error(format!("Pattern index {index} is out of range; there are {streams} streams"));
        };
        out.push(call.list(stream + 1).get(position).cloned().flatten());
    }
    call.put_branch(0, out);
    Ok(())
}

fn expression(call: &mut Call<'_>) -> Outcome {
    let Some(text) = call.expression else { return Stop::error("The expression is missing") };
    compute(call, text, 0)
}

fn evaluate(call: &mut Call<'_>) -> Outcome {
    let text = call.text(0)?;
    compute(call, &text, 1)
}

/// Evaluates with the inputs from `first` on as variables, by their nicknames.
fn compute(call: &mut Call<'_>, text: &str, first: usize) -> Outcome {
    call.work(1 + text.len() / 8)?;
    let parsed = Expression::parse(text).map_err(|fault| Stop::Error(fault.to_string()))?;
    let lookup = |name: &str| {
        let input = call.nicks.iter().skip(first).position(|nick| nick == name)?;
        call.maybe(first + input).cloned()
    };
    let result = parsed.evaluate(&lookup).map_err(|fault| Stop::Error(fault.to_string()))?;
    call.put(0, result);
    Ok(())
}
