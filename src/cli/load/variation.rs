//! Inputs that differ from request to request and yet are right by the version's schema.
//!
//! Invariant: every variation keeps the schema's bounds of what it changes, and stays near the example that it starts
//! from, so that one costs a node about as much as another.

use serde_json::{Map, Number, Value, json};

use super::random::fraction;

/// Whole numbers beyond this are not exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An example, and the inputs of it that can be changed.
#[derive(Debug, Clone)]
pub(super) struct Variation {
    base: Map<String, Value>,
    fields: Fields,
    /// Where the sequence begins, so that two runs do not send the same.
    offset: u64,
}

#[derive(Debug, Clone)]
enum Fields {
    /// One number, which has more values than any run has requests.
    Number { name: String, low: f64, high: f64 },
    /// Whole numbers, counted through together.
    Whole(Vec<Whole>),
}

/// The multiples of `step` from `first * step` on.
#[derive(Debug, Clone)]
struct Whole {
    name: String,
    step: i64,
    first: i64,
    count: u64,
}

/// Least and greatest value, where the schema has them.
struct Bounds {
    low: Option<f64>,
    high: Option<f64>,
}

// === impl Variation ===

impl Variation {
    /// From a version's schema of inputs, and inputs that are right by it.
    pub(super) fn new(schema: &Value, base: Map<String, Value>, seed: u64) -> Self {
        let properties = schema["properties"].as_object();
        let plain = properties.into_iter().flatten().filter(|(_, schema)| is_plain(schema)).collect::<Vec<_>>();
        let number = plain.iter().find_map(|(name, schema)| number(name, schema, base.get(*name)));
        let fields = number
            .unwrap_or_else(|| Fields::Whole(plain.iter().filter_map(|(name, schema)| whole(name, schema)).collect()));
        Self { base, fields, offset: seed }
    }

    /// The inputs as they are, for ever.
    pub(super) fn fixed(base: Map<String, Value>) -> Self {
        Self { base, fields: Fields::Whole(Vec::new()), offset: 0 }
    }

    /// How many variations there are before they repeat; 1 where nothing can be changed.
    pub(super) fn count(&self) -> u64 {
        match &self.fields {
            Fields::Number { .. } => 1 << 52,
            Fields::Whole(fields) => fields.iter().fold(1_u64, |count, field| count.saturating_mul(field.count)),
        }
    }

    /// Which inputs are changed.
    pub(super) fn names(&self) -> Vec<&str> {
        match &self.fields {
            Fields::Number { name, .. } => vec![name],
            Fields::Whole(fields) => fields.iter().map(|field| field.name.as_str()).collect(),
        }
    }

    /// The inputs of one number; the next [`Self::count`] numbers all give others.
    pub(super) fn inputs(&self, number: u64) -> Map<String, Value> {
        let mut inputs = self.base.clone();
        let index = number.wrapping_add(self.offset);
        match &self.fields {
            Fields::Number { name, low, high } => {
                // Multiples of the golden ratio modulo 1 fill the interval evenly and never meet.
                let place = fraction(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                inputs.insert(name.clone(), json!((low + (high - low) * place).clamp(*low, *high)));
            }
            Fields::Whole(fields) => {
                let mut rest = index % self.count().max(1);
                for field in fields {
                    inputs.insert(field.name.clone(), Value::Number(field.value(rest % field.count)));
                    rest /= field.count;
                }
            }
        }
        inputs
    }
}

// === impl Whole ===

impl Whole {
    fn value(&self, index: u64) -> Number {
        let index = i64::try_from(index).unwrap_or(0);
        Number::from(self.first.saturating_add(index).saturating_mul(self.step))
    }
}

/// Whether what a schema says of a value is said by its own bounds alone.
fn is_plain(schema: &Value) -> bool {
    let others = ["$ref", "$dynamicRef", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if"];
    others.iter().all(|keyword| schema.get(keyword).is_none())
}

fn bounds(schema: &Value) -> Bounds {
    let given = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let low = [given("minimum"), given("exclusiveMinimum").map(f64::next_up)].into_iter().flatten();
    let high = [given("maximum"), given("exclusiveMaximum").map(f64::next_down)].into_iter().flatten();
    Bounds { low: low.reduce(f64::max), high: high.reduce(f64::min) }
}

/// A tenth of what the bounds allow, around the example's value.
fn number(name: &str, schema: &Value, given: Option<&Value>) -> Option<Fields> {
    if schema["type"] != "number" || schema.get("multipleOf").is_some() {
        return None;
    }
    let Bounds { low, high } = bounds(schema);
    let given = given.or_else(|| schema.get("default")).and_then(Value::as_f64);
    let middle = given.or_else(|| Some(low?.midpoint(high?))).or(low).or(high)?;
    let reach = low.zip(high).map_or(middle.abs().max(1.0), |(low, high)| high - low) / 10.0;
    let low = low.map_or(middle - reach, |low| low.max(middle - reach));
    let high = high.map_or(middle + reach, |high| high.min(middle + reach));
    (low.is_finite() && high.is_finite() && low < high).then(|| Fields::Number { name: name.to_owned(), low, high })
}

/// A whole number that the schema bounds on both sides.
#[expect(clippy::cast_possible_truncation, reason = "bounded by 2^53 just before")]
fn whole(name: &str, schema: &Value) -> Option<Whole> {
    let step = schema.get("multipleOf").map_or(Some(1), Value::as_i64).filter(|step| *step > 0)?;
    let is_whole = schema["type"] == "integer" || (schema["type"] == "number" && schema.get("multipleOf").is_some());
    let Bounds { low: Some(low), high: Some(high) } = bounds(schema) else { return None };
    if !is_whole || low.abs() > EXACT || high.abs() > EXACT {
        return None;
    }
    let (low, high) = (low.ceil() as i64, high.floor() as i64);
    let first = low.div_euclid(step) + i64::from(low.rem_euclid(step) > 0);
    let count = u64::try_from(high.div_euclid(step) - first + 1).ok().filter(|count| *count > 1)?;
    Some(Whole { name: name.to_owned(), step, first, count })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn texts(variation: &Variation, count: u64) -> BTreeSet<String> {
        (0..count).map(|number| Value::Object(variation.inputs(number)).to_string()).collect()
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    #[test]
    fn one_number_gives_as_many_inputs_as_are_asked_for() {
        let schema = json!({ "properties": { "name": { "type": "string" },
            "width": { "type": "number", "minimum": 10, "exclusiveMaximum": 200 } } });
        let base = object(json!({ "name": "x", "width": 10 }));
        let variation = Variation::new(&schema, base, 99);
        assert_eq!(variation.names(), ["width"]);
        assert_eq!(texts(&variation, 20_000).len(), 20_000);
        for number in 0..1_000 {
            let inputs = variation.inputs(number);
            let width = inputs["width"].as_f64().unwrap();
            assert!((10.0..=29.0).contains(&width) && inputs["name"] == "x", "{inputs:?}");
        }
    }

    #[test]
    fn whole_numbers_are_counted_through_together_and_then_again() {
        let schema = json!({ "properties": {
            "a": { "type": "integer", "minimum": -1, "maximum": 1 },
            "b": { "type": "integer", "exclusiveMinimum": 0, "maximum": 11, "multipleOf": 5 },
            "c": { "type": "integer", "minimum": 0, "maximum": 9, "enum": [4] },
            "d": { "type": "integer", "minimum": 0 } } });
        let variation = Variation::new(&schema, Map::new(), 5);
        assert_eq!((variation.count(), variation.names()), (6, vec!["a", "b"]));
        assert_eq!(texts(&variation, 6).len(), 6);
        assert_eq!(texts(&variation, 100).len(), 6);
    }

    #[test]
    fn where_nothing_can_be_changed_there_is_one_variation() {
        let schema = json!({ "properties": { "name": { "type": "string" }, "far": { "type": "number", "const": 2 } } });
        let variation = Variation::new(&schema, object(json!({ "name": "x" })), 3);
        assert_eq!((variation.count(), texts(&variation, 9).len()), (1, 1));
        assert_eq!(Variation::fixed(object(json!({ "a": 1 }))).count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn variations_keep_the_bounds(
            seed: u64, number: u64, low in -1e6_f64..1e6, width in 1e-3_f64..1e6, at in 0.0_f64..1.0,
            first in -500_i64..500, span in 1_i64..900, step in 1_i64..7,
        ) {
            let schema = json!({ "properties": {
                "x": { "type": "number", "minimum": low, "maximum": low + width },
                "n": { "type": "integer", "minimum": first, "maximum": first + span, "multipleOf": step } } });
            let x = Variation::new(&schema, object(json!({ "x": low + at * width })), seed);
            let x = x.inputs(number)["x"].as_f64().unwrap();
            prop_assert!(low <= x && x <= low + width);
            let schema = json!({ "properties": { "n": schema["properties"]["n"] } });
            let n = Variation::new(&schema, Map::new(), seed);
            if n.count() > 1 {
                let n = n.inputs(number)["n"].as_i64().unwrap();
                prop_assert!(first <= n && n <= first + span && n % step == 0);
            }
        }
    }
}
