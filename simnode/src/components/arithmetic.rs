//! Operators, trigonometry, and the numbers made of lists.
//!
//! Integers stay integers under addition, subtraction and multiplication while they fit 32 bits.

use std::f64::consts::PI;

use super::table::{fixed, growing, guid};
use super::{Call, Descriptor, Input, Outcome, Output, Preset, Stop};
use crate::value::{self, Kind, Value};

const RESULT: &[Output] = &[Output::item("Result")];
const A_B: &[Input] = &[Input::item("A", Kind::Any), Input::item("B", Kind::Any)];
const GROWING: &[Input] = &[Input::item("A", Kind::Any).optional(), Input::item("B", Kind::Any).optional()];
const NUMBERS: &[Input] = &[Input::item("A", Kind::Number), Input::item("B", Kind::Number)];
const VALUE: &[Input] = &[Input::item("Value", Kind::Number)];
const FACTOR: &[Input] = &[Input::item("Factor", Kind::Number).or(Preset::Number(1.0))];
const LIST: &[Input] = &[Input::list("Input", Kind::Any)];

pub(super) static TABLE: &[Descriptor] = &[
    growing(&[guid("a0d62394-a118-422d-abb3-6af115c75b25")], "Addition", GROWING, RESULT, addition),
    growing(
        &[guid("9c007a04-d0d9-48e4-9da3-9ba142bc4d46"), guid("2c56ab33-c7cc-4129-886c-d5856b714010")],
        "Subtraction",
        GROWING,
        RESULT,
        subtraction,
    ),
    growing(
        &[guid("ce46b74e-00c9-43c4-805a-193b69ea4a11"), guid("b8963bb1-aa57-476e-a20e-ed6cf635a49c")],
        "Multiplication",
        GROWING,
        RESULT,
        multiplication,
    ),
    fixed(&[guid("9c85271f-89fa-4e9f-9f4a-d75802120ccc")], "Division", A_B, RESULT, division),
    fixed(&[guid("431bc610-8ae1-4090-b217-1a9d9c519fe2")], "Modulus", NUMBERS, RESULT, modulus),
    fixed(&[guid("54db2568-3441-4ae2-bcef-92c4cc608e11")], "Integer Division", NUMBERS, RESULT, integer_division),
    fixed(&[guid("78fed580-851b-46fe-af2f-6519a9d378e0")], "Power", NUMBERS, RESULT, power),
    fixed(&[guid("0d1e2027-f153-460d-84c0-f9af431b08cb")], "Maximum", NUMBERS, RESULT, |call| pair(call, f64::max)),
    fixed(&[guid("57308b30-772d-4919-ac67-e86c18f3a996")], "Minimum", NUMBERS, RESULT, |call| pair(call, f64::min)),
    fixed(
        &[guid("a3371040-e552-4bc8-b0ff-10a840258e88")],
        "Negative",
        &[Input::item("Value", Kind::Any)],
        RESULT,
        negative,
    ),
    fixed(&[guid("28124995-cf99-4298-b6f4-c75a8e379f18")], "Absolute", VALUE, RESULT, absolute),
    fixed(&[guid("7663efbb-d9b8-4c6a-a0da-c3750a7bbe77")], "Sine", VALUE, RESULT, |call| single(call, f64::sin)),
    fixed(&[guid("d2d2a900-780c-4d58-9a35-1f9d8d35df6f")], "Cosine", VALUE, RESULT, |call| single(call, f64::cos)),
    fixed(&[guid("0f31784f-7177-4104-8500-1f4f4a306df4")], "Tangent", VALUE, RESULT, |call| single(call, f64::tan)),
    fixed(&[guid("ad476cb7-b6d1-41c8-986b-0df243a64146")], "Square Root", VALUE, RESULT, |call| {
        single(call, f64::sqrt)
    }),
    fixed(&[guid("2280dde4-9fa2-4b4a-ae2f-37d554861367")], "Square", VALUE, RESULT, |call| single(call, |x| x * x)),
    fixed(&[guid("7e3185eb-a38c-4949-bcf2-0e80dee3a344")], "Cube", VALUE, RESULT, |call| single(call, |x| x * x * x)),
    fixed(&[guid("2ebb82ef-1f90-4ac9-9a71-1fe0f4ef7044")], "Power of 10", VALUE, RESULT, |call| {
        single(call, |x| 10.0_f64.powf(x))
    }),
    fixed(&[guid("0d2ccfb3-9d41-4759-9452-da6a522c3eaa")], "Pi", FACTOR, &[Output::item("Output")], |call| {
        single(call, |x| PI * x)
    }),
    fixed(
        &[guid("a4cd2751-414d-42ec-8916-476ebf62d7fe")],
        "Radians",
        &[Input::item("Degrees", Kind::Number)],
        &[Output::item("Radians")],
        |call| single(call, f64::to_radians),
    ),
    fixed(
        &[guid("0d77c51e-584f-44e8-aed2-c2ddf4803888")],
        "Degrees",
        &[Input::item("Radians", Kind::Number)],
        &[Output::item("Degrees")],
        |call| single(call, f64::to_degrees),
    ),
    fixed(
        &[guid("a50c4a3b-0177-4c91-8556-db95de6c56c8")],
        "Round",
        &[Input::item("Number", Kind::Number)],
        &[Output::item("Nearest"), Output::item("Floor"), Output::item("Ceiling")],
        round,
    ),
    fixed(
        &[guid("5b850221-b527-4bd6-8c62-e94168cd6efa")],
        "Mass Addition",
        LIST,
        &[Output::item("Result"), Output::list("Partial Results")],
        mass_addition,
    ),
    fixed(
        &[guid("7986486c-621a-48fb-8f27-a28a22c91cc9")],
        "Average",
        LIST,
        &[Output::item("Arithmetic mean")],
        average,
    ),
];

fn single(call: &mut Call<'_>, function: fn(f64) -> f64) -> Outcome {
    let x = call.number(0)?;
    call.put(0, Value::Number(function(x)));
    Ok(())
}

fn pair(call: &mut Call<'_>, function: fn(f64, f64) -> f64) -> Outcome {
    let (a, b) = (call.number(0)?, call.number(1)?);
    call.put(0, Value::Number(function(a, b)));
    Ok(())
}

/// Folds the inputs that have data; null where none has.
fn fold(call: &mut Call<'_>, combine: fn(&Value, &Value) -> Outcome<Value>) -> Outcome {
    let mut total: Option<Value> = None;
    for input in 0..call.args.len() {
        let Some(next) = call.maybe(input) else { continue };
        total = Some(match total {
            None => next.clone(),
            Some(so_far) => combine(&so_far, next)?,
        });
    }
    call.put_maybe(0, total);
    Ok(())
}

fn addition(call: &mut Call<'_>) -> Outcome {
    fold(call, add)
}

fn subtraction(call: &mut Call<'_>) -> Outcome {
    fold(call, subtract)
}

fn multiplication(call: &mut Call<'_>) -> Outcome {
    fold(call, multiply)
}

fn mismatch<T>(verb: &str, a: &Value, b: &Value) -> Outcome<T> {
    Stop::error(format!("Data of type {} and {} cannot be {verb}", a.type_name(), b.type_name()))
}

/// Numbers add as numbers, points and vectors by coordinate, text by joining, colours by channel.
pub(super) fn add(a: &Value, b: &Value) -> Outcome<Value> {
    match (a, b) {
        (Value::Integer(x), Value::Integer(y)) => {
            Ok(x.checked_add(*y).map_or_else(|| Value::Number(f64::from(*x) + f64::from(*y)), Value::Integer))
        }
        (Value::Point(x), Value::Point(y) | Value::Vector(y)) | (Value::Vector(y), Value::Point(x)) => {
            Ok(Value::Point(value::add(*x, *y)))
        }
        (Value::Vector(x), Value::Vector(y)) => Ok(Value::Vector(value::add(*x, *y))),
        (Value::Text(_), _) | (_, Value::Text(_)) if a.as_number().is_none() || b.as_number().is_none() => {
            let text = a.to_text() + &b.to_text();
            if text.len() > 1 << 20 { Stop::error("The text grows too long") } else { Ok(Value::Text(text)) }
        }
        _ => match (a.as_number(), b.as_number()) {
            (Some(x), Some(y)) => Ok(Value::Number(x + y)),
            _ => mismatch("added", a, b),
        },
    }
}

fn subtract(a: &Value, b: &Value) -> Outcome<Value> {
    match (a, b) {
        (Value::Integer(x), Value::Integer(y)) => {
            Ok(x.checked_sub(*y).map_or_else(|| Value::Number(f64::from(*x) - f64::from(*y)), Value::Integer))
        }
        (Value::Point(x), Value::Point(y)) | (Value::Vector(x), Value::Vector(y)) => {
            Ok(Value::Vector(value::sub(*x, *y)))
        }
        (Value::Point(x), Value::Vector(y)) => Ok(Value::Point(value::sub(*x, *y))),
        _ => match (a.as_number(), b.as_number()) {
            (Some(x), Some(y)) => Ok(Value::Number(x - y)),
            _ => mismatch("subtracted", a, b),
        },
    }
}

fn multiply(a: &Value, b: &Value) -> Outcome<Value> {
    match (a, b) {
        (Value::Integer(x), Value::Integer(y)) => {
            Ok(x.checked_mul(*y).map_or_else(|| Value::Number(f64::from(*x) * f64::from(*y)), Value::Integer))
        }
        (Value::Vector(x), Value::Vector(y)) => Ok(Value::Number(value::dot(*x, *y))),
        _ => match (a, a.as_number(), b, b.as_number()) {
            (_, Some(x), _, Some(y)) => Ok(Value::Number(x * y)),
            (Value::Point(p), _, _, Some(k)) | (_, Some(k), Value::Point(p), _) => {
                Ok(Value::Point(value::scale(*p, k)))
            }
            (Value::Vector(v), _, _, Some(k)) | (_, Some(k), Value::Vector(v), _) => {
                Ok(Value::Vector(value::scale(*v, k)))
            }
            _ => mismatch("multiplied", a, b),
        },
    }
}

fn division(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.value(0)?, call.value(1)?);
    let Some(divisor) = b.as_number() else { return mismatch("divided", a, b) };
    if divisor == 0.0 {
        return Stop::error("Division by zero");
    }
    let result = match a {
        Value::Point(p) => Value::Point(value::scale(*p, 1.0 / divisor)),
        Value::Vector(v) => Value::Vector(value::scale(*v, 1.0 / divisor)),
        other => match other.as_number() {
            Some(number) => Value::Number(number / divisor),
            None => return mismatch("divided", a, b),
        },
    };
    call.put(0, result);
    Ok(())
}

/// The remainder with the sign of the dividend, as `%` of C#.
fn modulus(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.number(0)?, call.number(1)?);
    if b == 0.0 {
        return Stop::error("Division by zero");
    }
    call.put(0, Value::Number(a % b));
    Ok(())
}

/// The quotient without its fraction.
fn integer_division(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.number(0)?, call.number(1)?);
    if b == 0.0 {
        return Stop::error("Division by zero");
    }
    let quotient = (a / b).trunc();
    call.put(0, value::integer_of(quotient).map_or(Value::Number(quotient), Value::Integer));
    Ok(())
}

fn power(call: &mut Call<'_>) -> Outcome {
    pair(call, f64::powf)
}

fn negative(call: &mut Call<'_>) -> Outcome {
    let value = call.value(0)?;
    let result = match value {
        Value::Integer(x) => x.checked_neg().map_or_else(|| Value::Number(-f64::from(*x)), Value::Integer),
        Value::Boolean(x) => Value::Boolean(!x),
        Value::Point(p) => Value::Point(value::scale(*p, -1.0)),
        Value::Vector(v) => Value::Vector(value::scale(*v, -1.0)),
        other => match other.as_number() {
            Some(x) => Value::Number(-x),
            None => return Stop::error(format!("Data of type {} cannot be negated", other.type_name())),
        },
    };
    call.put(0, result);
    Ok(())
}

fn absolute(call: &mut Call<'_>) -> Outcome {
    single(call, f64::abs)
}

/// Halves go to the even integer, as `Math.Round` does.
fn round(call: &mut Call<'_>) -> Outcome {
    let x = call.number(0)?;
    for (output, rounded) in [x.round_ties_even(), x.floor(), x.ceil()].into_iter().enumerate() {
        call.put(output, value::integer_of(rounded).map_or(Value::Number(rounded), Value::Integer));
    }
    Ok(())
}

fn mass_addition(call: &mut Call<'_>) -> Outcome {
    let items = call.list(0).iter().flatten();
    let mut partial = Vec::new();
    for item in items {
        let next = match partial.last() {
            None => item.clone(),
            Some(so_far) => add(so_far, item)?,
        };
        call.work(usize::try_from(next.weight()).unwrap_or(usize::MAX))?;
        partial.push(next);
    }
    call.put_maybe(0, partial.last().cloned());
    call.put_list(1, partial);
    Ok(())
}

/// The mean of the items that are not null; of points and vectors, by coordinate.
fn average(call: &mut Call<'_>) -> Outcome {
    let items: Vec<&Value> = call.list(0).iter().flatten().collect();
    let Some(first) = items.first() else { return Err(Stop::Null) };
    let count = items.len() as f64;
    let spatial = matches!(first, Value::Point(_) | Value::Vector(_));
    let result = if spatial {
        let sum = items.iter().filter_map(|item| item.as_point()).fold([0.0; 3], value::add);
        let mean = value::scale(sum, 1.0 / count);
        if matches!(first, Value::Vector(_)) { Value::Vector(mean) } else { Value::Point(mean) }
    } else {
        let mut sum = 0.0;
        for item in &items {
            let Some(number) = item.as_number() else {
                return Stop::error(format!("Data of type {} has no mean", item.type_name()));
            };
            sum += number;
        }
        Value::Number(sum / count)
    };
    call.put(0, result);
    Ok(())
}
