//! Numbers as .NET spells them in the invariant culture: the shortest digits that read back to the same value.
//!
//! Invariant: parsing what is written here gives the same bits, NaN payloads excepted.

use super::types::is_decimal;

/// A double as `double.ToString("R")` gives it: `7`, `0.0001`, `1E-05`, `-1.7976931348623157E+308`.
pub fn double(value: f64) -> String {
    spell(&format!("{value:e}"), 15)
}

/// A single as `float.ToString("R")` gives it.
pub fn single(value: f32) -> String {
    spell(&format!("{value:e}"), 7)
}

/// Turns Rust's shortest scientific spelling into .NET's. .NET writes an exponent where the decimal point lies more than
/// `pretty` digits (or more than there are digits) to the right, or more than three zeros to the left.
fn spell(scientific: &str, pretty: usize) -> String {
    let (sign, unsigned) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let Some((mantissa, exponent)) = unsigned.split_once('e') else {
        let name = if unsigned == "inf" { "Infinity" } else { "NaN" };
        return format!("{sign}{name}");
    };
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let exponent: i32 = exponent.parse().expect("Rust writes the exponent of a float as an integer");
    // Digits before the decimal point; zero and less where the number begins with "0.".
    let point = exponent + 1;
    let most = i32::try_from(digits.len().max(pretty)).expect("a float has at most 17 digits");
    if point > most || point < -3 {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{dot}{rest}E{direction}{:02}", exponent.unsigned_abs());
    }
    let Ok(before @ 1..) = usize::try_from(point) else {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    };
    if before >= digits.len() {
        return format!("{sign}{digits}{}", "0".repeat(before - digits.len()));
    }
    let (whole, fraction) = digits.split_at(before);
    format!("{sign}{whole}.{fraction}")
}

/// A .NET decimal with all the digits of its scale, such as `1.250`.
pub(super) fn decimal([low, middle, high, flags]: [u32; 4]) -> String {
    let number = u128::from(high) << 64 | u128::from(middle) << 32 | u128::from(low);
    let scale = ((flags >> 16) & 0xff) as usize;
    let digits = format!("{number:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if flags >> 31 == 1 { "-" } else { "" };
    let dot = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{dot}{fraction}")
}

pub(super) fn parse_decimal(text: &str) -> Option<[u32; 4]> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (1 << 31, rest),
        None => (0, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u128 = digits.parse().ok()?;
    let word = |shift: u32| u32::try_from(number >> shift & 0xffff_ffff).expect("32 bits were kept");
    let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= 28)?;
    let words = [word(0), word(32), word(64), sign | scale << 16];
    (number >> 96 == 0 && is_decimal(words)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_spelled_as_dotnet_spells_them() {
        for (value, spelled) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (7.0, "7"),
            (-60.0, "-60"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.00001, "1E-05"),
            (1e-10, "1E-10"),
            (1e14, "100000000000000"),
            (1e15, "1E+15"),
            (123_456_789_012_345_680.0, "1.2345678901234568E+17"),
            (12_345_678_901_234_568.0, "12345678901234568"),
            (f64::MIN, "-1.7976931348623157E+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(double(value), spelled);
        }
        assert_eq!(single(1.384_083), "1.384083");
        assert_eq!(single(1e7), "1E+07");
        assert_eq!(single(12_345_678.0), "12345678");
    }

    #[test]
    fn decimals_keep_sign_and_scale() {
        for text in ["0", "-0.00", "1.250", "79228162514264337593543950335", "0.0000000000000000000000000001"] {
            assert_eq!(decimal(parse_decimal(text).unwrap()), text);
        }
        for text in ["", "-", "1e3", "79228162514264337593543950336", "0.00000000000000000000000000001", "٣"] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }
}
