//! Domains, and the sequences of numbers that are made from them.

use super::table::{fixed, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{Domain, Kind, Value};

const UNIT: Preset = Preset::Domain(0.0, 1.0);

pub(super) static TABLE: &[Descriptor] = &[
    fixed(
        &[guid("d1a28e95-cf96-4936-bf34-8bf142d731bf")],
        "Construct Domain",
        &[
            Input::item("Domain start", Kind::Number).or(Preset::Number(0.0)),
            Input::item("Domain end", Kind::Number).or(Preset::Number(1.0)),
        ],
        &[Output::item("Domain")],
        |call| {
            let domain = Domain::new(call.number(0)?, call.number(1)?);
            call.put(0, Value::Domain(domain));
            Ok(())
        },
    ),
    fixed(
        &[guid("825ea536-aebb-41e9-af32-8baeb2ecb590")],
        "Deconstruct Domain",
        &[Input::item("Domain", Kind::Domain)],
        &[Output::item("Start"), Output::item("End")],
        |call| {
            let domain = call.domain(0)?;
            call.put(0, Value::Number(domain.a));
            call.put(1, Value::Number(domain.b));
            Ok(())
        },
    ),
    fixed(
        &[guid("f44b92b0-3b5b-493a-86f4-fd7408c3daf3")],
        "Bounds",
        &[Input::list("Numbers", Kind::Number)],
        &[Output::item("Domain")],
        bounds,
    ),
    fixed(
        &[guid("2fcc2743-8339-4cdf-a046-a1f17439191d")],
        "Remap Numbers",
        &[
            Input::item("Value", Kind::Number),
            Input::item("Source", Kind::Domain).or(UNIT),
            Input::item("Target", Kind::Domain).or(UNIT),
        ],
        &[Output::item("Mapped"), Output::item("Clipped")],
        remap,
    ),
    fixed(
        &[guid("f217f873-92f1-47ae-ad71-ca3c5a45c3f8")],
        "Includes",
        &[Input::item("Value", Kind::Number), Input::item("Domain", Kind::Domain).or(UNIT)],
        &[Output::item("Includes"), Output::item("Deviation")],
        includes,
    ),
    fixed(
        &[guid("75ef4190-91a2-42d9-a245-32a7162b0384")],
        "Divide Domain",
        &[Input::item("Domain", Kind::Domain).or(UNIT), Input::item("Count", Kind::Integer).or(Preset::Integer(10))],
        &[Output::list("Segments")],
        divide,
    ),
    fixed(
        &[guid("9083b87f-a98c-4e41-9591-077ae4220b19")],
        "Construct Domain²",
        &[
            Input::item("U min", Kind::Number).or(Preset::Number(0.0)),
            Input::item("U max", Kind::Number).or(Preset::Number(1.0)),
            Input::item("V min", Kind::Number).or(Preset::Number(0.0)),
            Input::item("V max", Kind::Number).or(Preset::Number(1.0)),
        ],
        &[Output::item("2D Domain")],
        |call| {
            let (u, v) = (Domain::new(call.number(0)?, call.number(1)?), Domain::new(call.number(2)?, call.number(3)?));
            call.put(0, Value::Domain2(u, v));
            Ok(())
        },
    ),
    fixed(
        &[guid("75ac008b-1bc2-4edd-b967-667d628b9d24")],
        "Divide Domain²",
        &[
            Input::item("Domain", Kind::Domain2),
            Input::item("U Count", Kind::Integer).or(Preset::Integer(10)),
            Input::item("V Count", Kind::Integer).or(Preset::Integer(10)),
        ],
        &[Output::list("Segments")],
        divide_both,
    ),
    fixed(
        &[guid("e64c5fb1-845c-4ab1-8911-5f338516ba67")],
        "Series",
        &[
            Input::item("Start", Kind::Number).or(Preset::Number(0.0)),
            Input::item("Step", Kind::Number).or(Preset::Number(1.0)),
            Input::item("Count", Kind::Integer).or(Preset::Integer(10)),
        ],
        &[Output::list("Series")],
        series,
    ),
    fixed(
        &[guid("9445ca40-cc73-4861-a455-146308676855")],
        "Range",
        &[Input::item("Domain", Kind::Domain).or(UNIT), Input::item("Steps", Kind::Integer).or(Preset::Integer(10))],
        &[Output::list("Range")],
        range,
    ),
    fixed(
        &[guid("2ab17f9a-d852-4405-80e1-938c5e57e78d")],
        "Random",
        &[
            Input::item("Range", Kind::Domain).or(UNIT),
            Input::item("Number", Kind::Integer).or(Preset::Integer(1)),
            Input::item("Seed", Kind::Integer).or(Preset::Integer(2)),
        ],
        &[Output::list("Random")],
        random,
    ),
];

fn bounds(call: &mut Call<'_>) -> Outcome {
    let numbers = call.numbers(0);
    let Some(first) = numbers.first() else { return Err(Stop::Null) };
    let domain = numbers.iter().fold(Domain::new(*first, *first), |d, x| Domain::new(d.a.min(*x), d.b.max(*x)));
    call.put(0, Value::Domain(domain));
    Ok(())
}

fn remap(call: &mut Call<'_>) -> Outcome {
    let (x, source, target) = (call.number(0)?, call.domain(1)?, call.domain(2)?);
    if source.span() == 0.0 {
        return Stop::error("Source domain has zero length");
    }
    let mapped = target.at((x - source.a) / source.span());
    call.put(0, Value::Number(mapped));
    call.put(1, Value::Number(mapped.max(target.least()).min(target.greatest())));
    Ok(())
}

/// The deviation is the distance to the nearest end, zero inside.
fn includes(call: &mut Call<'_>) -> Outcome {
    let (x, domain) = (call.number(0)?, call.domain(1)?);
    let deviation = (domain.least() - x).max(x - domain.greatest()).max(0.0);
    call.put(0, Value::Boolean(domain.includes(x)));
    call.put(1, Value::Number(deviation));
    Ok(())
}

/// Part `index` of a domain cut into `count` equal parts.
fn part(domain: Domain, index: usize, count: usize) -> Domain {
    let at = |i: usize| domain.at(i as f64 / count as f64);
    Domain::new(at(index), at(index + 1))
}

fn positive(call: &mut Call<'_>, input: usize, what: &str) -> Outcome<usize> {
    let count = call.integer(input)?;
    if count < 1 {
        return Stop::error(format!("{what} must be one or more"));
    }
    call.room(i64::from(count))
}

fn divide(call: &mut Call<'_>) -> Outcome {
    let domain = call.domain(0)?;
    let count = positive(call, 1, "Count")?;
    call.put_list(0, (0..count).map(|index| Value::Domain(part(domain, index, count))));
    Ok(())
}

/// Segments in rows: V runs first.
fn divide_both(call: &mut Call<'_>) -> Outcome {
    let Value::Domain2(u, v) = *call.value(0)? else { return Err(Stop::Null) };
    let (across, along) = (positive(call, 1, "U Count")?, positive(call, 2, "V Count")?);
    call.room(i64::try_from(across.saturating_mul(along)).unwrap_or(i64::MAX))?;
    let cells = (0..across).flat_map(|i| (0..along).map(move |j| (i, j)));
    call.put_list(0, cells.map(|(i, j)| Value::Domain2(part(u, i, across), part(v, j, along))));
    Ok(())
}

fn series(call: &mut Call<'_>) -> Outcome {
    let (start, step) = (call.number(0)?, call.number(1)?);
    if call.integer(2)? < 0 {
        return Stop::error("Count must be zero or more");
    }
    let count = call.count(2)?;
    call.put_list(0, (0..count).map(|index| Value::Number(start + step * index as f64)));
    Ok(())
}

/// One number more than there are steps.
fn range(call: &mut Call<'_>) -> Outcome {
    let domain = call.domain(0)?;
    let steps = positive(call, 1, "Steps")?;
    call.put_list(0, (0..=steps).map(|index| Value::Number(domain.at(index as f64 / steps as f64))));
    Ok(())
}

/// Numbers in the order in which .NET's `Random` of this seed gives doubles, mapped into the domain. Grasshopper does
/// not publish how it draws: the values are this node's own, the same for the same seed on every machine.
fn random(call: &mut Call<'_>) -> Outcome {
    let (domain, seed) = (call.domain(0)?, call.integer(2)?);
    if call.integer(1)? < 0 {
        return Stop::error("Number must be zero or more");
    }
    let count = call.count(1)?;
    let mut source = Subtractive::new(seed);
    call.put_list(0, (0..count).map(|_| Value::Number(domain.at(source.next_double()))));
    Ok(())
}

/// Knuth's subtractive generator as .NET seeds it (Seminumerical Algorithms, 3.2.2; .NET reference source, `Random`).
#[derive(Debug)]
pub(super) struct Subtractive {
    state: [i32; 56],
    next: usize,
    behind: usize,
}

const MODULUS: i32 = i32::MAX;

// === impl Subtractive ===

impl Subtractive {
    pub(super) fn new(seed: i32) -> Self {
        let magnitude = if seed == i32::MIN { i32::MAX } else { seed.abs() };
        let mut state = [0; 56];
        let mut previous = 161_803_398_i32.wrapping_sub(magnitude);
        state[55] = previous;
        let mut current = 1_i32;
        for i in 1..55 {
            let slot = 21 * i % 55;
            state[slot] = current;
            current = previous.wrapping_sub(current);
            if current < 0 {
                current = current.wrapping_add(MODULUS);
            }
            previous = state[slot];
        }
        for _ in 1..5 {
            for i in 1..56 {
                state[i] = state[i].wrapping_sub(state[1 + (i + 30) % 55]);
                if state[i] < 0 {
                    state[i] = state[i].wrapping_add(MODULUS);
                }
            }
        }
        Self { state, next: 0, behind: 21 }
    }

    fn next_integer(&mut self) -> i32 {
        let step = |at: usize| if at + 1 >= 56 { 1 } else { at + 1 };
        self.next = step(self.next);
        self.behind = step(self.behind);
        let mut number = self.state[self.next].wrapping_sub(self.state[self.behind]);
        if number == MODULUS {
            number -= 1;
        }
        if number < 0 {
            number = number.wrapping_add(MODULUS);
        }
        self.state[self.next] = number;
        number
    }

    /// From zero up to but without one.
    pub(super) fn next_double(&mut self) -> f64 {
        f64::from(self.next_integer()) * (1.0 / f64::from(MODULUS))
    }
}
