//! The value of an expression tree.
//!
//! Integers stay integers under `+ - *` while they fit 32 bits; everything else is computed in doubles.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a kind of value that a rule does not name is refused by it, kinds to come included"
)]

use std::f64::consts::{E, PI};

use super::{Fault, Node, Operator};
use crate::value::{self, Value, Xyz};

type Lookup<'a> = &'a dyn Fn(&str) -> Option<Value>;

/// Text that an expression may build, in bytes.
const TEXT_MAX: usize = 1 << 20;

pub(super) fn evaluate(node: &Node, variable: Lookup<'_>) -> Result<Value, Fault> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Name(name) => match variable(name) {
            Some(value) => Ok(value),
            None => constant(name).ok_or_else(|| Fault::Undefined(name.clone())),
        },
        Node::Call(name, arguments) => call(name, arguments, variable),
        Node::Point(coordinates) => {
            let mut xyz = [0.0; 3];
            for (slot, coordinate) in xyz.iter_mut().zip(coordinates.iter()) {
                *slot = number(&evaluate(coordinate, variable)?, "a point")?;
            }
            Ok(Value::Point(xyz))
        }
        Node::Negate(inner) => negate(&evaluate(inner, variable)?),
        Node::Not(inner) => {
            let value = evaluate(inner, variable)?;
            Ok(Value::Boolean(!boolean(&value, "not")?))
        }
        Node::Binary(operator, left, right) => {
            let (left, right) = (evaluate(left, variable)?, evaluate(right, variable)?);
            binary(*operator, &left, &right)
        }
    }
}

fn constant(name: &str) -> Option<Value> {
    match name {
        "pi" | "π" => Some(Value::Number(PI)),
        "e" => Some(Value::Number(E)),
        "phi" | "φ" => Some(Value::Number(f64::midpoint(1.0, 5.0_f64.sqrt()))),
        _ => None,
    }
}

fn operand(operation: &str, value: &Value) -> Fault {
    Fault::Operand { operation: operation.to_owned(), operand: value.type_name().to_owned() }
}

fn number(value: &Value, operation: &str) -> Result<f64, Fault> {
    value.as_number().ok_or_else(|| operand(operation, value))
}

fn boolean(value: &Value, operation: &str) -> Result<bool, Fault> {
    value.as_boolean().ok_or_else(|| operand(operation, value))
}

fn negate(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Integer(integer) => {
            Ok(integer.checked_neg().map_or(Value::Number(-f64::from(*integer)), Value::Integer))
        }
        Value::Point(xyz) => Ok(Value::Point(value::scale(*xyz, -1.0))),
        Value::Vector(xyz) => Ok(Value::Vector(value::scale(*xyz, -1.0))),
        other => Ok(Value::Number(-number(other, "-")?)),
    }
}

fn binary(operator: Operator, left: &Value, right: &Value) -> Result<Value, Fault> {
    match operator {
        Operator::Or => Ok(Value::Boolean(boolean(left, "or")? | boolean(right, "or")?)),
        Operator::Xor => Ok(Value::Boolean(boolean(left, "xor")? ^ boolean(right, "xor")?)),
        Operator::And => Ok(Value::Boolean(boolean(left, "and")? & boolean(right, "and")?)),
        Operator::Equal => Ok(Value::Boolean(equal(left, right))),
        Operator::Unequal => Ok(Value::Boolean(!equal(left, right))),
        Operator::Less => Ok(Value::Boolean(number(left, "<")? < number(right, "<")?)),
        Operator::LessOrEqual => Ok(Value::Boolean(number(left, "<=")? <= number(right, "<=")?)),
        Operator::Greater => Ok(Value::Boolean(number(left, ">")? > number(right, ">")?)),
        Operator::GreaterOrEqual => Ok(Value::Boolean(number(left, ">=")? >= number(right, ">=")?)),
        Operator::Join => join(left, right),
        Operator::Add | Operator::Subtract | Operator::Multiply => arithmetic(operator, left, right),
        Operator::Divide => divide(left, right),
        Operator::IntegerDivide => Ok(Value::Number((number(left, "\\")? / number(right, "\\")?).trunc())),
        Operator::Modulus => Ok(Value::Number(number(left, "mod")? % number(right, "mod")?)),
        Operator::Power => Ok(Value::Number(number(left, "^")?.powf(number(right, "^")?))),
    }
}

#[expect(clippy::float_cmp, reason = "Grasshopper compares numbers exactly here, too")]
fn equal(left: &Value, right: &Value) -> bool {
    if let (Value::Text(a), Value::Text(b)) = (left, right) {
        return a == b;
    }
    match (left.as_number(), right.as_number()) {
        (Some(a), Some(b)) => a == b,
        _ => left == right,
    }
}

fn join(left: &Value, right: &Value) -> Result<Value, Fault> {
    let text = left.to_text() + &right.to_text();
    if text.len() > TEXT_MAX {
        return Err(Fault::Syntax("the text grows too long".to_owned()));
    }
    Ok(Value::Text(text))
}

fn xyz(value: &Value) -> Option<Xyz> {
    if let Value::Point(xyz) | Value::Vector(xyz) = value { Some(*xyz) } else { None }
}

/// The result of vector arithmetic is a point as soon as one side is.
fn spatial(left: &Value, right: &Value, result: Xyz) -> Value {
    let point = matches!(left, Value::Point(_)) || matches!(right, Value::Point(_));
    if point { Value::Point(result) } else { Value::Vector(result) }
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Result<Value, Fault> {
    if let (Value::Integer(a), Value::Integer(b)) = (left, right) {
        let exact = match operator {
            Operator::Add => a.checked_add(*b),
            Operator::Subtract => a.checked_sub(*b),
            _ => a.checked_mul(*b),
        };
        if let Some(integer) = exact {
            return Ok(Value::Integer(integer));
        }
    }
    let sign = if operator == Operator::Add {
        "+"
    } else if operator == Operator::Subtract {
        "-"
    } else {
        "*"
    };
    match (xyz(left), xyz(right)) {
        (Some(a), Some(b)) if operator == Operator::Add => Ok(spatial(left, right, value::add(a, b))),
        (Some(a), Some(b)) if operator == Operator::Subtract => Ok(spatial(left, right, value::sub(a, b))),
        (Some(a), Some(b)) => Ok(Value::Number(value::dot(a, b))),
        (Some(a), None) if operator == Operator::Multiply => {
            Ok(spatial(left, left, value::scale(a, number(right, sign)?)))
        }
        (None, Some(b)) if operator == Operator::Multiply => {
            Ok(spatial(right, right, value::scale(b, number(left, sign)?)))
        }
        (Some(_), None) => Err(operand(sign, right)),
        (None, Some(_)) => Err(operand(sign, left)),
        (None, None) => {
            let (a, b) = (number(left, sign)?, number(right, sign)?);
            Ok(Value::Number(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                _ => a * b,
            }))
        }
    }
}

fn divide(left: &Value, right: &Value) -> Result<Value, Fault> {
    let divisor = number(right, "/")?;
    match xyz(left) {
        Some(a) => Ok(spatial(left, left, value::scale(a, 1.0 / divisor))),
        None => Ok(Value::Number(number(left, "/")? / divisor)),
    }
}

fn call(name: &str, arguments: &[Node], variable: Lookup<'_>) -> Result<Value, Fault> {
    // Only the branch that is taken has to make sense.
    if name == "if" {
        let [test, yes, no] = arguments else { return Err(Fault::Arguments("if".to_owned(), "3")) };
        let test = evaluate(test, variable)?;
        return evaluate(if boolean(&test, "if")? { yes } else { no }, variable);
    }
    let values = arguments.iter().map(|argument| evaluate(argument, variable)).collect::<Result<Vec<_>, _>>()?;
    if let Some(result) = text_function(name, &values) {
        return result;
    }
    let numbers = || values.iter().map(|value| number(value, name)).collect::<Result<Vec<f64>, _>>();
    if let Some(function) = unary(name) {
        return match numbers()?[..] {
            [x] => Ok(Value::Number(function(x))),
            _ => Err(Fault::Arguments(name.to_owned(), "1")),
        };
    }
    if let Some(function) = rounding(name) {
        return match numbers()?[..] {
            [x] => {
                let rounded = function(x);
                Ok(value::integer_of(rounded).map_or(Value::Number(rounded), Value::Integer))
            }
            [x, digits] if name == "round" => Ok(Value::Number(round_to(x, digits))),
            _ => Err(Fault::Arguments(name.to_owned(), "1")),
        };
    }
    many(name, &numbers()?)
}

fn unary(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "sec" => |x| 1.0 / x.cos(),
        "cosec" | "csc" => |x| 1.0 / x.sin(),
        "cotan" | "cot" => |x| 1.0 / x.tan(),
        "sqrt" => f64::sqrt,
        "cbrt" => f64::cbrt,
        "sqr" => |x| x * x,
        "cube" => |x| x * x * x,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "deg" => f64::to_degrees,
        "rad" => f64::to_radians,
        "sign" | "sgn" => |x| if x == 0.0 { 0.0 } else { x.signum() },
        _ => return None,
    })
}

fn rounding(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "round" => f64::round_ties_even,
        "floor" => f64::floor,
        "ceiling" | "ceil" => f64::ceil,
        "fix" | "int" | "trunc" | "truncate" => f64::trunc,
        _ => return None,
    })
}

/// Decimal rounding, halves to even, for up to 15 digits.
fn round_to(x: f64, digits: f64) -> f64 {
    let factor = 10.0_f64.powf(digits.clamp(0.0, 15.0).trunc());
    let scaled = x * factor;
    if scaled.is_finite() { scaled.round_ties_even() / factor } else { x }
}

#[expect(clippy::cast_precision_loss, reason = "an expression has a few thousand arguments at most")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn many(name: &str, numbers: &[f64]) -> Result<Value, Fault> {
    let result = match (name, numbers) {
        ("min", [_, ..]) => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        ("max", [_, ..]) => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ("sum", [_, ..]) => numbers.iter().sum(),
        ("mean" | "average", [_, ..]) => mean(numbers),
        ("pow" | "power", [base, exponent]) => base.powf(*exponent),
        ("log", [x]) => x.log10(),
        ("log" | "logn", [x, base]) => x.ln() / base.ln(),
        ("atan2", [y, x]) => y.atan2(*x),
        ("mod", [a, b]) => a % b,
        ("min" | "max" | "sum" | "mean" | "average", _) => return Err(Fault::Arguments(name.to_owned(), "1 or more")),
        ("pow" | "power" | "atan2" | "mod" | "logn", _) => return Err(Fault::Arguments(name.to_owned(), "2")),
        ("log", _) => return Err(Fault::Arguments(name.to_owned(), "1 or 2")),
        _ => return Err(Fault::UnknownFunction(name.to_owned())),
    };
    Ok(Value::Number(result))
}

fn text_function(name: &str, values: &[Value]) -> Option<Result<Value, Fault>> {
    let wrong = |count| Some(Err(Fault::Arguments(name.to_owned(), count)));
    match (name, values) {
        ("format", [pattern, rest @ ..]) => Some(format_text(&pattern.to_text(), rest).map(Value::Text)),
        ("len", [text]) => {
            let count = text.to_text().chars().count();
            Some(Ok(Value::Integer(i32::try_from(count).unwrap_or(i32::MAX))))
        }
        ("lcase" | "lower", [text]) => Some(Ok(Value::Text(text.to_text().to_lowercase()))),
        ("ucase" | "upper", [text]) => Some(Ok(Value::Text(text.to_text().to_uppercase()))),
        ("str" | "text", [value]) => Some(Ok(Value::Text(value.to_text()))),
        ("xor", [a, b]) => Some(binary(Operator::Xor, a, b)),
        ("distance", [a, b]) => match (xyz(a), xyz(b)) {
            (Some(a), Some(b)) => Some(Ok(Value::Number(value::distance(a, b)))),
            _ => Some(Err(operand("distance", if xyz(a).is_none() { a } else { b }))),
        },
        ("format", []) => wrong("1 or more"),
        ("len" | "lcase" | "lower" | "ucase" | "upper" | "str" | "text", _) => wrong("1"),
        ("xor" | "distance", _) => wrong("2"),
        _ => None,
    }
}

/// .NET composite formatting with `{0}` and the numeric patterns of [`numeric`]; `{{` and `}}` are literal braces.
pub(crate) fn format_text(pattern: &str, values: &[Value]) -> Result<String, Fault> {
    let bad = || Fault::Syntax("Input string was not in a correct format.".to_owned());
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if rest.starts_with(brace) {
            out.push_str(brace);
            rest = &rest[1..];
            continue;
        }
        if brace == "}" {
            return Err(bad());
        }
        let (hole, after) = rest.split_once('}').ok_or_else(bad)?;
        let (index, style) = hole.split_once(':').unwrap_or((hole, ""));
        let index: usize = index.trim().parse().map_err(|_error| bad())?;
        let value = values.get(index).ok_or_else(bad)?;
        match value.as_number() {
            Some(x) if !style.is_empty() && !matches!(value, Value::Text(_)) => {
                out.push_str(&numeric(x, style).ok_or_else(bad)?);
            }
            _ => out.push_str(&value.to_text()),
        }
        if out.len() > TEXT_MAX {
            return Err(Fault::Syntax("the text grows too long".to_owned()));
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// A number in a custom pattern of `0` and `#` around one point, with literal text before and after, or in a standard
/// one: `F2`, `N0`, `D3`, `R`. A percent sign shows hundredths.
fn numeric(x: f64, style: &str) -> Option<String> {
    let digits = |text: &str, default| if text.is_empty() { Some(default) } else { text.parse::<usize>().ok() };
    let (kind, tail) = style.split_at(style.chars().next()?.len_utf8());
    match kind {
        "F" | "f" => return digits(tail, 2).filter(|d| *d <= 99).map(|d| format!("{x:.d$}")),
        "N" | "n" => return digits(tail, 2).filter(|d| *d <= 99).map(|d| grouped(&format!("{x:.d$}"))),
        "D" | "d" => return digits(tail, 0).filter(|d| *d <= 99).map(|d| format!("{:0d$}", x.trunc())),
        "R" | "r" | "G" | "g" if tail.is_empty() => return Some(format!("{x}")),
        _ => {}
    }
    let mask = |c: char| matches!(c, '0' | '#' | '.' | ',');
    let start = style.find(mask)?;
    let end = style.rfind(mask)? + 1;
    let (before, mask, after) = (&style[..start], &style[start..end], &style[end..]);
    let x = if before.contains('%') || after.contains('%') { x * 100.0 } else { x };
    let (whole, fraction) = mask.split_once('.').unwrap_or((mask, ""));
    let (decimals, kept) = (fraction.len(), fraction.rfind('0').map_or(0, |at| at + 1));
    let mut text = format!("{:.decimals$}", x.abs());
    while decimals > 0 && text.ends_with('0') && text.len() - text.find('.')? - 1 > kept {
        text.pop();
    }
    let text = text.trim_end_matches('.');
    let (digits_left, right) = text.split_once('.').map_or((text, None), |(l, r)| (l, Some(r)));
    let least = whole.matches('0').count();
    let trimmed = if least == 0 && digits_left == "0" { "" } else { digits_left };
    let mut number = format!("{trimmed:0>least$}");
    if whole.contains(',') {
        number = grouped(&number);
    }
    if let Some(right) = right {
        number = format!("{number}.{right}");
    }
    let sign = if x < 0.0 && number.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "-" } else { "" };
    Some(format!("{sign}{before}{number}{after}"))
}

/// Commas between thousands of the whole part.
fn grouped(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}
