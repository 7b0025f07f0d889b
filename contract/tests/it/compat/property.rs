//! The proof held against values: whatever is called compatible takes every value that it took.
//!
//! Schemas are such as contracts have; the second of a pair is the first with some edits, so that many pairs are compatible.

use std::cell::Cell;

use contract::compat::{Hints, lost};
use contract::schema::{Schema, Subject};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// A schema of one value, at most two levels deep.
fn schema() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![number("number"), number("integer"), text(), choice(), Just(json!({ "type": "boolean" }))];
    let compound = leaf.prop_recursive(2, 12, 3, |inner| {
        let either = (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "anyOf": [a, b] }));
        prop_oneof![3 => list(inner.clone()), 3 => object(inner), 1 => either]
    });
    compound.boxed()
}

fn number(kind: &'static str) -> BoxedStrategy<Value> {
    let bound = || prop::option::of(select(vec![-10.0, -1.0, 0.0, 0.5, 1.0, 2.5, 10.0, 100.0]));
    let step = prop::option::weighted(0.2, select(vec![0.1, 0.25, 0.5, 2.0, 3.0]));
    let parts = (bound(), bound(), any::<(bool, bool)>(), step);
    let build = move |(low, high, (above, below), step): (Option<f64>, Option<f64>, (bool, bool), Option<f64>)| {
        let mut schema = json!({ "type": kind });
        put(&mut schema, if above { "exclusiveMinimum" } else { "minimum" }, low.map(Value::from));
        put(&mut schema, if below { "exclusiveMaximum" } else { "maximum" }, high.map(Value::from));
        put(&mut schema, "multipleOf", step.map(Value::from));
        schema
    };
    parts.prop_map(build).boxed()
}

fn text() -> BoxedStrategy<Value> {
    let pattern = select(vec!["^[a-z]+$", "^[a-z]{2,4}$", "^A", "[0-9]", "^(north|south)$", "é"]);
    let format = select(vec!["email", "date", "uuid", "uri", "ipv4"]);
    let parts = (
        0_u64..4,
        prop::option::of(0_u64..6),
        prop::option::weighted(0.3, pattern),
        prop::option::weighted(0.15, format),
    );
    let build = |(low, more, pattern, format): (u64, Option<u64>, Option<&str>, Option<&str>)| {
        let mut schema = json!({ "type": "string" });
        put(&mut schema, "minLength", (low > 0).then(|| low.into()));
        put(&mut schema, "maxLength", more.map(|more| (low + more).into()));
        put(&mut schema, "pattern", pattern.map(Value::from));
        put(&mut schema, "format", format.map(Value::from));
        schema
    };
    parts.prop_map(build).boxed()
}

fn choice() -> BoxedStrategy<Value> {
    let values = vec![json!("north"), json!("south"), json!(1), json!(2.5), json!(true), json!("é"), json!(null)];
    prop::sample::subsequence(values, 1..4).prop_map(|values| json!({ "enum": values })).boxed()
}

fn list(inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let parts = (inner, 0_u64..4, prop::option::of(0_u64..4), prop::bool::weighted(0.15));
    let build = |(items, low, more, unique): (Value, u64, Option<u64>, bool)| {
        let mut list = json!({ "type": "array", "items": items });
        put(&mut list, "minItems", (low > 0).then(|| low.into()));
        put(&mut list, "maxItems", more.map(|more| (low + more).into()));
        put(&mut list, "uniqueItems", unique.then(|| true.into()));
        list
    };
    parts.prop_map(build).boxed()
}

fn object(inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let parts = (prop::collection::vec((inner, any::<bool>()), 1..4), any::<bool>());
    let build = |(members, open): (Vec<(Value, bool)>, bool)| {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (name, (schema, is_required)) in ["a", "b", "c"].into_iter().zip(members) {
            properties.insert(name.to_owned(), schema);
            required.extend(is_required.then_some(name));
        }
        let mut object = json!({ "type": "object", "properties": properties, "required": required });
        put(&mut object, "additionalProperties", (!open).then(|| false.into()));
        object
    };
    parts.prop_map(build).boxed()
}

fn put(schema: &mut Value, keyword: &str, value: Option<Value>) {
    if let Some(value) = value {
        schema[keyword] = value;
    }
}

/// One edit somewhere in the schema: `at` says where, `way` and `to` what.
fn edit(schema: &mut Value, at: usize, way: usize, to: &Value) {
    let places = ["/items", "/properties/a", "/properties/b", "/anyOf/0", "/anyOf/1"];
    let below: Vec<&str> = places.into_iter().filter(|pointer| schema.pointer(pointer).is_some()).collect();
    if !at.is_multiple_of(3) && !below.is_empty() {
        if let Some(inner) = schema.pointer_mut(below[at % below.len()]) {
            edit(inner, at / 3, way, to);
        }
        return;
    }
    let Some(members) = schema.as_object_mut() else { return };
    let keywords: Vec<String> = members.keys().filter(|keyword| *keyword != "properties").cloned().collect();
    let keyword = keywords[way % keywords.len()].clone();
    let was = members[&keyword].clone();
    let shift = [-2.0, -1.0, 0.5, 1.0, 10.0][way % 5];
    let now = match keyword.as_str() {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" if !way.is_multiple_of(7) => {
            json!(was.as_f64().unwrap_or(0.0) + shift)
        }
        "minLength" | "maxLength" | "minItems" | "maxItems" if !way.is_multiple_of(7) => {
            let bound = was.as_u64().unwrap_or(0);
            json!(if shift > 0.0 { bound + 1 } else { bound.saturating_sub(1) })
        }
        "enum" | "required" => {
            let mut values = was.as_array().cloned().unwrap_or_default();
            if shift > 0.0 && keyword == "enum" {
                values.push(json!("added"));
            } else if values.len() > 1 || keyword == "required" {
                values.pop();
            }
            json!(values)
        }
        "type" if was == "integer" => json!("number"),
        "type" if was == "number" && shift > 0.0 => json!("integer"),
        "type" | "items" | "anyOf" if way.is_multiple_of(11) => return *schema = to.clone(),
        "type" | "items" | "anyOf" => return,
        _ => return drop(members.remove(&keyword)),
    };
    members.insert(keyword, now);
}

fn pair() -> BoxedStrategy<(Value, Value)> {
    let edits = prop::collection::vec((any::<u16>(), any::<u16>(), schema()), 0..4);
    let build = |(old, edits): (Value, Vec<(u16, u16, Value)>)| {
        let mut new = old.clone();
        for (at, way, to) in edits {
            edit(&mut new, at.into(), way.into(), &to);
        }
        (old, new)
    };
    (schema(), edits).prop_map(build).boxed()
}

fn compiled(schema: &Value) -> Option<Schema> {
    Schema::compile(json!({ "type": "object", "properties": { "value": schema } }), Subject::File).ok()
}

/// Runs the cases, and gives how many were compatible and how many values they were held against.
fn run(cases: u32) -> (u64, u64) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let (compatible, values) = (Cell::new(0_u64), Cell::new(0_u64));
    let outcome = runner.run(&pair(), |(old, new)| {
        // An edit may have made a schema that no contract could hold.
        let (Some(before), Some(after), Ok(loss)) = (compiled(&old), compiled(&new), lost(&old, &new)) else {
            return Ok(());
        };
        let takes = |schema: &Schema, value: &Value| schema.check(&json!({ "value": value })).is_empty();
        if let Some(loss) = loss {
            for value in loss.witnesses.into_iter().map(|witness| witness.value) {
                prop_assert!(takes(&before, &value), "{value} is no value of {old}");
                prop_assert!(!takes(&after, &value), "{value} is a value of {new}");
            }
            return Ok(());
        }
        compatible.set(compatible.get() + 1);
        let hints = Hints::of([&old, &new]);
        for value in hints.samples(&old).into_iter().chain(hints.samples(&new)) {
            if takes(&before, &value) {
                values.set(values.get() + 1);
                prop_assert!(takes(&after, &value), "{value} is lost from {old} to {new}");
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    (compatible.get(), values.get())
}

#[test]
fn what_is_called_compatible_takes_every_value_that_it_took() {
    let (compatible, values) = run(600);
    assert!(compatible > 60 && values > 600, "{compatible} compatible pairs, {values} values");
}

mod slow {
    use super::run;

    // In parts, so that they run beside each other and none is long.
    fn part() {
        let (compatible, values) = run(12_500);
        assert!(compatible > 1_250 && values > 12_500, "{compatible} compatible pairs, {values} values");
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_first_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_second_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_third_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_fourth_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_fifth_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_sixth_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_seventh_part() {
        part();
    }

    #[test]
    #[ignore = "minutes: an eighth of 100000 pairs"]
    fn a_hundred_thousand_pairs_hold_eighth_part() {
        part();
    }
}
