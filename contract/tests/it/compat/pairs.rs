//! Pairs of schemas and whether each takes all that the other does: as an input from old to new, as an output back.

use contract::compat::{Loss, Proof, lost};
use serde_json::{Value, json};

use super::takes;

/// A verdict: whether all values of one schema are values of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Proven.
    All,
    /// Refuted, by a value that both validators were asked about.
    Not,
    /// Neither proven nor refuted: counts as breaking.
    Unknown,
}
use Says::{All, Not, Unknown};

/// Old, new, whether inputs stay safe, whether outputs do.
type Pair = (Value, Value, Says, Says);

fn pairs() -> Vec<Pair> {
    [numbers(), texts(), lists(), objects(), others()].concat()
}

fn numbers() -> Vec<Pair> {
    let number = json!({ "type": "number" });
    let integer = json!({ "type": "integer" });
    let range = |low: f64, high: f64| json!({ "type": "number", "minimum": low, "maximum": high });
    let parts = |word: &str, middle: f64| json!({ word: [range(0.0, middle), range(5.0, 10.0)] });
    let whole = |keyword: &str, value: i64| json!({ "type": "integer", keyword: value });
    vec![
        (number.clone(), number.clone(), All, All),
        (number.clone(), json!({ "type": "number", "title": "Width", "x-unit": "m" }), All, All),
        (number.clone(), json!({ "type": "number", "default": 3 }), All, All),
        (number.clone(), integer.clone(), Not, All),
        (integer, json!({ "type": "number", "multipleOf": 1 }), All, All),
        (range(0.0, 10.0), range(0.0, 12.0), All, Not),
        (range(0.0, 10.0), range(-1.0, 10.0), All, Not),
        (range(0.0, 10.0), range(1.0, 12.0), Not, Not),
        (range(0.0, 10.0), range(0.0, 10.000_001), All, Not),
        (range(0.0, 10.0), json!({ "type": "number", "minimum": 0 }), All, Not),
        (range(0.0, 10.0), json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 10 }), Not, All),
        (range(0.0, 10.0), json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 10 }), Not, All),
        (whole("minimum", 1), whole("exclusiveMinimum", 0), All, All),
        (whole("maximum", 9), whole("exclusiveMaximum", 9), Not, All),
        (number.clone(), json!({ "type": "number", "multipleOf": 0.5 }), Not, All),
        (whole("multipleOf", 4), whole("multipleOf", 2), All, Not),
        (whole("multipleOf", 4), whole("multipleOf", 3), Not, Not),
        (json!({ "enum": [1, 2, 3] }), json!({ "enum": [1, 2, 3, 4] }), All, Not),
        (json!({ "enum": [1, 2, 3] }), json!({ "type": "integer", "minimum": 1, "maximum": 3 }), All, All),
        (json!({ "enum": [1, 2, 3] }), json!({ "enum": [3, 2, 1] }), All, All),
        (json!({ "const": 1 }), json!({ "const": 1.0 }), All, All),
        (range(0.0, 10.0), parts("anyOf", 5.0), All, All),
        (range(0.0, 10.0), parts("anyOf", 4.0), Not, All),
        (parts("oneOf", 4.0), parts("anyOf", 4.0), All, All),
        (range(0.0, 10.0), json!({ "allOf": [range(0.0, 12.0), range(-2.0, 10.0)] }), All, All),
        (range(0.0, 10.0), json!({ "allOf": [range(0.0, 10.0)], "not": { "const": 7 } }), Not, All),
        (number, json!({ "type": ["number", "string"] }), All, Not),
    ]
}

fn texts() -> Vec<Pair> {
    let text = json!({ "type": "string" });
    let length = |low: u64, high: u64| json!({ "type": "string", "minLength": low, "maxLength": high });
    let format = |name: &str| json!({ "type": "string", "format": name });
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let choice = |words: &[&str]| json!({ "enum": words });
    vec![
        (text.clone(), length(0, 20), Not, All),
        (length(1, 10), length(1, 20), All, Not),
        (length(1, 10), length(2, 20), Not, Not),
        (length(3, 3), length(1, 3), All, Not),
        (text.clone(), pattern("^[a-z]+$"), Not, All),
        (pattern("^[a-z]+$"), text.clone(), All, Not),
        (pattern("^[a-z]+$"), pattern("^[a-z]+$"), All, All),
        (pattern("^[a-z]{2}$"), pattern("^[A-Z]{2}$"), Not, Not),
        (pattern("^A-[0-9]+$"), json!({ "type": "string", "pattern": "^A-[0-9]+$", "maxLength": 5 }), Not, All),
        // The two mean the same and are not written alike.
        (pattern("^[ab]$"), pattern("^(a|b)$"), Unknown, Unknown),
        (choice(&["north", "south"]), choice(&["north", "south", "east"]), All, Not),
        (choice(&["north", "south"]), choice(&["north"]), Not, All),
        (choice(&["north", "south"]), choice(&["North", "South"]), Not, Not),
        (choice(&["north", "south"]), text.clone(), All, Not),
        (choice(&["ab", "cd"]), pattern("^[a-d]{2}$"), All, Not),
        (json!({ "const": "a" }), choice(&["a"]), All, All),
        (text.clone(), format("email"), Not, All),
        (format("email"), format("uri"), Not, Not),
        (format("date"), format("date-time"), Not, Not),
        (format("uuid"), text.clone(), All, Not),
        (text, json!({ "type": "number" }), Not, Not),
    ]
}

fn lists() -> Vec<Pair> {
    let number = json!({ "type": "number" });
    let integer = json!({ "type": "integer" });
    let list = |items: &Value, low: u64, high: u64| json!({ "type": "array", "items": items, "minItems": low, "maxItems": high });
    let any = json!({ "type": "array", "items": number });
    let three = json!({ "type": "array", "prefixItems": [number, number, number], "items": false, "minItems": 3 });
    let positive = json!({ "type": "integer", "minimum": 0 });
    let (two, one) = (json!({ "enum": ["a", "b"] }), json!({ "enum": ["a"] }));
    vec![
        (number.clone(), any.clone(), Not, Not),
        (list(&number, 0, 5), list(&number, 0, 9), All, Not),
        (list(&number, 1, 5), list(&number, 2, 5), Not, All),
        (list(&number, 0, 5), list(&integer, 0, 5), Not, All),
        (list(&integer, 0, 5), list(&positive, 0, 5), Not, All),
        (list(&number, 3, 3), three, All, All),
        (any.clone(), json!({ "type": "array", "items": number, "uniqueItems": true }), Not, All),
        (any, json!({ "type": "array", "items": number, "contains": { "const": 0 } }), Not, All),
        (list(&list(&number, 3, 3), 0, 9), list(&list(&number, 2, 3), 0, 9), All, Not),
        (list(&two, 0, 9), list(&one, 0, 9), Not, All),
        (json!({ "type": "array" }), json!({ "type": "array", "maxItems": 100 }), Not, All),
    ]
}

fn objects() -> Vec<Pair> {
    let object = |names: &[&str], required: &[&str], open: bool| {
        let members: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), json!({ "type": "number" }))).collect();
        json!({ "type": "object", "properties": members, "required": required, "additionalProperties": open })
    };
    let others = |kind: &str| json!({ "type": "object", "additionalProperties": { "type": kind } });
    let names = |pattern: &str| json!({ "type": "object", "propertyNames": { "pattern": pattern } });
    let count = |keyword: &str, count: u64| json!({ "type": "object", keyword: count });
    let needs = json!({ "type": "object", "dependentRequired": { "a": ["b"] } });
    vec![
        (object(&["a"], &[], false), object(&["a", "b"], &[], false), All, Not),
        (object(&["a"], &[], false), object(&["a", "b"], &["b"], false), Not, Not),
        (object(&["a"], &[], false), object(&["a"], &["a"], false), Not, All),
        (object(&["a"], &[], true), object(&["a"], &[], false), Not, All),
        (object(&["a"], &["a"], true), object(&["a", "b"], &["a"], true), Not, All),
        (object(&["a"], &["a"], false), object(&[], &[], false), Not, Not),
        (others("number"), others("integer"), Not, All),
        (names("^a"), names("^b"), Not, Not),
        (count("maxProperties", 3), count("maxProperties", 2), Not, All),
        (count("minProperties", 1), count("minProperties", 2), Not, All),
        (json!({ "type": "object" }), needs, Not, All),
    ]
}

fn others() -> Vec<Pair> {
    let through = |name: &str, target: Value| json!({ "$ref": format!("#/$defs/{name}"), "$defs": { name: target } });
    let at_most = |most: u64| json!({ "type": "number", "maximum": most });
    vec![
        (through("p", at_most(3)), through("p", at_most(4)), All, Not),
        (through("p", at_most(3)), through("q", at_most(3)), All, All),
        (through("p", at_most(3)), at_most(3), All, All),
        (json!({ "type": "boolean" }), json!({ "const": true }), Not, All),
        (json!({ "type": "boolean" }), json!({ "enum": [true, false] }), All, All),
        (json!({ "type": "boolean" }), json!({ "type": ["boolean", "null"] }), All, Not),
        (json!({ "type": "boolean" }), json!({ "type": "string" }), Not, Not),
        (json!({ "type": "boolean" }), json!({}), All, Not),
    ]
}

fn verdict(sender: &Value, receiver: &Value) -> (Says, Option<Loss>) {
    let loss = lost(sender, receiver).expect("both schemas are sound");
    let says = match &loss {
        None => All,
        Some(loss) if loss.witnesses.is_empty() && matches!(loss.proof, Proof::Unknown(_)) => Unknown,
        Some(_) => Not,
    };
    (says, loss)
}

#[test]
fn each_pair_has_its_verdict_in_both_directions() {
    let pairs = pairs();
    assert!(pairs.len() >= 60, "{} pairs", pairs.len());
    let mut wrong = Vec::new();
    for (old, new, input, output) in &pairs {
        for (way, sender, receiver, expected) in [("input", old, new, input), ("output", new, old, output)] {
            let (says, loss) = verdict(sender, receiver);
            if says != *expected {
                wrong.push(format!("{way}: {old} → {new}: {says:?}, not {expected:?}: {loss:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * pairs.len(), wrong.join("\n"));
}

#[test]
fn whatever_is_lost_is_shown_by_a_value_that_one_takes_and_the_other_refuses() {
    let mut shown = 0;
    for (old, new, _, _) in &pairs() {
        for (sender, receiver) in [(old, new), (new, old)] {
            let (says, loss) = verdict(sender, receiver);
            if says != Not {
                continue;
            }
            let loss = loss.expect("something is lost");
            assert!(!loss.witnesses.is_empty(), "no value shows what {receiver} refuses of {sender}");
            for witness in &loss.witnesses {
                assert!(takes(sender, &witness.value), "{} is no value of {sender}", witness.value);
                assert!(!takes(receiver, &witness.value), "{} is a value of {receiver}", witness.value);
                assert!(witness.keyword.is_some() && !witness.message.is_empty());
                shown += 1;
            }
        }
    }
    assert!(shown > 60, "{shown} values");
}

#[test]
fn each_keyword_that_refuses_something_has_a_value_of_its_own() {
    let old = json!({ "type": "number", "minimum": 0, "maximum": 10 });
    let new = json!({ "type": "number", "minimum": 2, "maximum": 8 });
    let loss = lost(&old, &new).unwrap().unwrap();
    let mut pointers: Vec<_> = loss.witnesses.iter().filter_map(|witness| witness.pointer.as_deref()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/properties/value/maximum", "/properties/value/minimum"]);
}
