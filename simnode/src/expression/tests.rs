//! What expressions evaluate to, and that no text makes the parser fail.

use proptest::prelude::*;

use super::{Expression, Fault};
use crate::value::Value;

fn evaluate(text: &str) -> Result<Value, Fault> {
    Expression::parse(text)?.evaluate(&|name| match name {
        "x" => Some(Value::Number(3.0)),
        "y" => Some(Value::Integer(4)),
        "name" => Some(Value::Text("wall".to_owned())),
        _ => None,
    })
}

fn number(text: &str) -> f64 {
    evaluate(text).unwrap().as_number().unwrap()
}

#[test]
fn operators_bind_as_closely_as_they_should() {
    for (text, expected) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("2^3^2", 64.0),
        ("2² - 1", 3.0),
        ("x³", 27.0),
        ("7 \\ 2", 3.0),
        ("7 mod 4", 3.0),
        ("7 % 4 * 2", 6.0),
        ("√16 + 1", 5.0),
        ("1.5e2", 150.0),
        (".5 + .5", 1.0),
        ("Y × X", 12.0),
    ] {
        assert!((number(text) - expected).abs() < 1e-12, "{text} gives {}", number(text));
    }
}

#[test]
fn functions_and_constants_give_their_values() {
    for (text, expected) in [
        ("sin(pi/2)", 1.0),
        ("COS(0)", 1.0),
        ("atan(1)*4", std::f64::consts::PI),
        ("min(3, 1, 2)", 1.0),
        ("max(x, y)", 4.0),
        ("round(2.5)", 2.0),
        ("round(1.23456, 2)", 1.23),
        ("floor(-1.5)", -2.0),
        ("ceiling(1.2)", 2.0),
        ("if(x > 2, 10, 20)", 10.0),
        ("if(x > 2, 10, 1/nothing)", 10.0),
        ("log(1000)", 3.0),
        ("ln(e)", 1.0),
        ("deg(pi)", 180.0),
        ("rad(180)", std::f64::consts::PI),
        ("abs(-3)", 3.0),
    ] {
        assert!((number(text) - expected).abs() < 1e-12, "{text} gives {}", number(text));
    }
}

#[test]
fn comparisons_and_logic_give_booleans() {
    for (text, expected) in [
        ("x = 3", true),
        ("x <> 3", false),
        ("x >= 3 and y < 5", true),
        ("not x = 3 or false", false),
        ("\"a\" = \"a\"", true),
        ("true xor true", false),
    ] {
        assert_eq!(evaluate(text), Ok(Value::Boolean(expected)), "{text}");
    }
}

#[test]
fn text_is_joined_and_formatted() {
    let text = |text: &str| Ok(Value::Text(text.to_owned()));
    assert_eq!(evaluate("name & \"-\" & y"), text("wall-4"));
    assert_eq!(evaluate("format(\"{0:0.00} m\", x)"), text("3.00 m"));
    assert_eq!(evaluate("format(\"{0:#,##0.#}|{0:F1}\", 1234.56)"), text("1,234.6|1234.6"));
    assert_eq!(evaluate("format(\"{{{0:0%}}}\", 0.25)"), text("{25%}"));
    assert_eq!(evaluate("{1, 2, x} * 2"), Ok(Value::Point([2.0, 4.0, 6.0])));
}

#[test]
fn integers_stay_integers_while_they_fit() {
    assert_eq!(evaluate("2 + 3 * 4"), Ok(Value::Integer(14)));
    assert_eq!(evaluate("2147483647 + 1"), Ok(Value::Number(2_147_483_648.0)));
    assert_eq!(evaluate("6 / 3"), Ok(Value::Number(2.0)));
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!(evaluate("2 * q"), Err(Fault::Undefined("q".to_owned())));
    assert_eq!(evaluate("frob(1)"), Err(Fault::UnknownFunction("frob".to_owned())));
    assert_eq!(evaluate("sin(1, 2)"), Err(Fault::Arguments("sin".to_owned(), "1")));
    for text in ["", "1 +", "(1", "1)", "1 2", "\"open", "#", "{1, 2}", "if(1)"] {
        assert!(evaluate(text).is_err(), "{text}");
    }
    let nested = "(".repeat(200) + "1" + &")".repeat(200);
    assert!(matches!(evaluate(&nested), Err(Fault::Syntax(_))));
    assert!(matches!(evaluate(&"1+".repeat(1000)), Err(Fault::Syntax(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_gives_a_value_or_a_fault(text in "\\PC{0,80}") {
        let _either = evaluate(&text);
    }

    #[test]
    fn any_run_of_tokens_gives_a_value_or_a_fault(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "1", "x", "(", ")", "+", "-", "*", "/", "^", "²", "mod", "and", "not", "<", "=", "&", "if", "sin", ",",
                "\"t\"", "{", "}", "√", "round", "format", "\"{0:0.0}\"", "1e308", "y",
            ]),
            0..40,
        ),
    ) {
        let _either = evaluate(&words.join(" "));
    }

    #[test]
    fn any_format_gives_text_or_a_fault(pattern in "[{}0-2:#.,%FND ]{0,16}", x in any::<f64>()) {
        let _either = super::format_text(&pattern, &[Value::Number(x)]);
    }
}
