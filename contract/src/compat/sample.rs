//! Values that are worth trying on a schema: at its bounds and just beyond, one of each kind, short ones first.
//!
//! A sample proves nothing: whoever uses it asks the real validators. So this may guess, and everything it makes is bounded.

mod text;

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value, json};

/// Samples of one schema; each level below takes fewer.
const WIDTH: usize = 48;
/// Schemas within schemas that are followed.
const DEPTH: usize = 8;
/// The longest list or text that is made for a bound.
const LENGTH: u64 = 512;
/// Branches of `anyOf` and the like that are followed together.
const BRANCHES: usize = 16;

/// Numbers, lengths and whole values that a change between two schemas may turn on.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    numbers: Vec<f64>,
    lengths: BTreeSet<u64>,
    texts: BTreeSet<String>,
    values: Vec<Value>,
}

/// A schema's keywords with those of all the schemas that hold of the same value.
type Conjuncts<'s> = Vec<&'s Map<String, Value>>;

// === impl Hints ===

impl Hints {
    /// What stands in these schemas, without references.
    pub fn of<'s>(schemas: impl IntoIterator<Item = &'s Value>) -> Self {
        let mut hints = Self::default();
        for schema in schemas {
            hints.gather(schema, 0);
        }
        hints.numbers.sort_by(f64::total_cmp);
        hints.numbers.dedup();
        hints.numbers.truncate(WIDTH);
        hints.values.truncate(WIDTH);
        hints
    }

    fn gather(&mut self, schema: &Value, depth: usize) {
        if depth > 4 * DEPTH {
            return;
        }
        match schema {
            Value::Object(members) => {
                for (keyword, value) in members {
                    self.keyword(keyword, value);
                    self.gather(value, depth + 1);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.gather(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value) {
        match (keyword, value) {
            ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf", Value::Number(number)) => {
                self.numbers.extend(number.as_f64());
            }
            ("minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties", value) => {
                let length = value.as_u64().filter(|length| *length < LENGTH);
                self.lengths.extend(length.into_iter().flat_map(|length| length.saturating_sub(1)..=length + 1));
            }
            ("enum" | "examples", Value::Array(values)) => self.values.extend(values.iter().cloned()),
            ("const" | "default", value) => self.values.push(value.clone()),
            ("pattern", Value::String(pattern)) => {
                self.texts.extend(self.lengths.iter().take(4).filter_map(|length| text::matching(pattern, *length)));
                self.texts.extend([0, 1].into_iter().filter_map(|more| text::matching(pattern, more)));
            }
            ("format", Value::String(format)) => self.texts.extend(text::of_format(format).map(str::to_owned)),
            _ => {}
        }
    }

    /// Samples of a schema without references, shortest first.
    pub fn samples(&self, schema: &Value) -> Vec<Value> {
        let mut samples = self.at(schema, DEPTH, WIDTH);
        samples.extend(self.values.iter().cloned());
        samples
    }

    fn at(&self, schema: &Value, depth: usize, width: usize) -> Vec<Value> {
        if depth == 0 {
            return Vec::new();
        }
        let Value::Object(members) = schema else { return self.any() };
        let mut samples: Vec<Value> = Vec::new();
        let share = |alternatives: usize| (width / alternatives.max(1)).max(2);
        let alternatives = alternatives(members);
        for conjuncts in &alternatives {
            samples.extend(self.conjunction(conjuncts, depth, share(alternatives.len())));
        }
        let mut unique: Vec<Value> = Vec::new();
        for sample in samples {
            if !unique.contains(&sample) {
                unique.push(sample);
            }
        }
        unique
    }

    fn conjunction(&self, conjuncts: &Conjuncts<'_>, depth: usize, width: usize) -> Vec<Value> {
        let get = |keyword: &str| conjuncts.iter().filter_map(|part| part.get(keyword)).collect::<Vec<_>>();
        let listed: Vec<Value> =
            get("enum").into_iter().filter_map(Value::as_array).flatten().chain(get("const")).cloned().collect();
        if !listed.is_empty() {
            return listed.into_iter().take(WIDTH).collect();
        }
        let mut kinds: Vec<&str> = get("type").into_iter().flat_map(kinds).collect();
        if kinds.is_empty() {
            kinds = implied(conjuncts);
        }
        let mut samples = Vec::new();
        for kind in kinds {
            match kind {
                "null" => samples.push(Value::Null),
                "boolean" => samples.extend([json!(false), json!(true)]),
                "integer" => samples.extend(self.numbers(&get, true).into_iter().take(width)),
                "number" => samples.extend(self.numbers(&get, false).into_iter().take(width)),
                "string" => samples.extend(self.strings(&get).into_iter().take(width)),
                "array" => samples.extend(self.arrays(&get, depth, width)),
                "object" => samples.extend(self.objects(&get, depth, width)),
                _ => {}
            }
        }
        samples
    }

    /// One value of each kind, for a schema that says nothing.
    fn any(&self) -> Vec<Value> {
        let mut values = vec![json!(0), json!(0.5), json!("a"), json!(true), Value::Null, json!([]), json!({})];
        values.extend(self.values.iter().take(8).cloned());
        values
    }

    fn numbers<'s>(&self, get: &impl Fn(&str) -> Vec<&'s Value>, whole: bool) -> Vec<Value> {
        let bounds = |keyword: &str| get(keyword).into_iter().filter_map(Value::as_f64).collect::<Vec<_>>();
        let multiples = bounds("multipleOf");
        let step = multiples.first().copied().unwrap_or(if whole { 1.0 } else { 0.5 });
        let [least, above, most, below] = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"].map(bounds);
        let fits = |number: f64| {
            number.is_finite()
                && least.iter().all(|bound| number >= *bound)
                && above.iter().all(|bound| number > *bound)
                && most.iter().all(|bound| number <= *bound)
                && below.iter().all(|bound| number < *bound)
        };
        let own = [&least, &above, &most, &below].into_iter().flatten().copied();
        let mut anchors: Vec<f64> = own.clone().collect();
        anchors.extend(&self.numbers);
        anchors.push(0.0);
        if let (Some(low), Some(high)) = (own.clone().reduce(f64::min), own.reduce(f64::max)) {
            anchors.push(f64::midpoint(low, high));
        }
        let mut samples: Vec<f64> = Vec::new();
        for anchor in anchors {
            // On the bound, a step to each side, and near enough that no step would notice.
            for offset in [0.0, step, -step, 0.25, -0.25, 1.0, -1.0, 1e-6, -1e-6] {
                samples.push(anchor + offset);
            }
            if !multiples.is_empty() {
                samples.extend([(anchor / step).ceil() * step, (anchor / step).floor() * step]);
            }
        }
        let mut samples: Vec<f64> = samples
            .into_iter()
            .map(|number| if whole { number.round() } else { number })
            .filter(|number| fits(*number))
            .collect();
        samples.sort_by(|a, b| a.abs().total_cmp(&b.abs()).then(b.total_cmp(a)));
        samples.dedup();
        samples.into_iter().filter_map(spell).collect()
    }

    fn strings<'s>(&self, get: &impl Fn(&str) -> Vec<&'s Value>) -> Vec<Value> {
        let lengths = |keyword: &str| get(keyword).into_iter().filter_map(Value::as_u64).collect::<Vec<_>>();
        let least = lengths("minLength").into_iter().max().unwrap_or(0);
        let most = lengths("maxLength").into_iter().min().unwrap_or(LENGTH);
        let mut wanted: BTreeSet<u64> = BTreeSet::from([least, least + 1, most]);
        wanted.extend(&self.lengths);
        wanted.retain(|length| (least..=most).contains(length) && *length <= LENGTH);
        let patterns = get("pattern").into_iter().filter_map(Value::as_str);
        let formats = get("format").into_iter().filter_map(Value::as_str);
        let mut samples: Vec<String> = Vec::new();
        for pattern in patterns {
            samples.extend(wanted.iter().filter_map(|length| text::matching(pattern, *length)));
        }
        samples.extend(formats.flat_map(text::of_format).map(str::to_owned));
        samples.extend(self.texts.iter().cloned());
        samples.extend(self.values.iter().filter_map(Value::as_str).map(str::to_owned));
        for length in wanted {
            let length = usize::try_from(length).unwrap_or_default();
            samples.extend(["a", "0", "Z", "é", " "].map(|letter| letter.repeat(length)));
        }
        samples.into_iter().map(Value::String).collect()
    }

    fn arrays<'s>(&self, get: &impl Fn(&str) -> Vec<&'s Value>, depth: usize, width: usize) -> Vec<Value> {
        let lengths = |keyword: &str| get(keyword).into_iter().filter_map(Value::as_u64).collect::<Vec<_>>();
        let least = lengths("minItems").into_iter().max().unwrap_or(0);
        let most = lengths("maxItems").into_iter().min().unwrap_or(LENGTH);
        let mut wanted: BTreeSet<u64> = BTreeSet::from([least, least + 1, 2, most]);
        wanted.extend(&self.lengths);
        wanted.retain(|length| (least..=most).contains(length) && *length <= LENGTH);
        let prefix: Vec<Vec<Value>> = get("prefixItems")
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(|item| self.at(item, depth - 1, 8))
            .collect();
        let item = get("items").into_iter().chain(get("contains")).map(|items| self.at(items, depth - 1, width / 2));
        let items: Vec<Value> = item.flatten().collect();
        let items = if items.is_empty() && get("items").is_empty() { self.any() } else { items };
        let mut samples = Vec::new();
        for length in wanted {
            let length = usize::try_from(length).unwrap_or_default();
            // Each item once in a list; then all the same, then all different.
            let turns = if length == 0 { 1 } else { items.len().clamp(1, width / 2) };
            for turn in 0..turns {
                let list = (0..length).filter_map(|index| match prefix.get(index) {
                    Some(own) => own.get(turn % own.len().max(1)),
                    None if index == prefix.len() => items.get(turn % items.len().max(1)),
                    None => items.first(),
                });
                let list: Vec<Value> = list.cloned().collect();
                if list.len() == length {
                    samples.push(Value::Array(list));
                }
            }
            if length > 1 && items.len() >= length {
                samples.push(Value::Array(items[..length].to_vec()));
            }
        }
        samples.truncate(2 * width);
        samples
    }

    fn objects<'s>(&self, get: &impl Fn(&str) -> Vec<&'s Value>, depth: usize, width: usize) -> Vec<Value> {
        let mut members: Vec<(String, Vec<Value>)> = Vec::new();
        let mut add = |name: &str, samples: Vec<Value>| {
            if members.len() < WIDTH && !members.iter().any(|(known, _)| known == name) {
                members.push((name.to_owned(), samples));
            }
        };
        for properties in get("properties").into_iter().filter_map(Value::as_object) {
            for (name, schema) in properties {
                add(name, self.at(schema, depth - 1, width / 2));
            }
        }
        let required: BTreeSet<&str> =
            get("required").into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
        for name in &required {
            add(name, self.any());
        }
        // A name that only a rule for unnamed members speaks of.
        for patterns in get("patternProperties").into_iter().filter_map(Value::as_object) {
            for (pattern, schema) in patterns {
                if let Some(name) = text::matching(pattern, 1) {
                    add(&name, self.at(schema, depth - 1, 4));
                }
            }
        }
        let names = get("propertyNames").into_iter().filter_map(|names| names.get("pattern")?.as_str());
        let mut others: Vec<String> = names.filter_map(|pattern| text::matching(pattern, 1)).collect();
        // The next name of such a pattern: another branch of a tree.
        others.extend(others.clone().iter().map(|name| name.replace('0', "1")));
        others.push("other".to_owned());
        let open = get("additionalProperties").into_iter().find(|schema| schema.is_object());
        for name in others {
            add(&name, open.map_or_else(|| vec![json!(0)], |schema| self.at(schema, depth - 1, width / 2)));
        }
        let object_of = |chosen: &dyn Fn(&str) -> bool| -> Map<String, Value> {
            let first = |(name, samples): &(String, Vec<Value>)| Some((name.clone(), samples.first()?.clone()));
            members.iter().filter(|(name, _)| chosen(name)).filter_map(first).collect()
        };
        let least = object_of(&|name| required.contains(name));
        let most = object_of(&|name| name != "other");
        let mut samples = vec![Value::Object(least.clone()), Value::Object(most.clone())];
        for (name, values) in &members {
            for value in values.iter().take(width) {
                for base in [&least, &most] {
                    let mut object = base.clone();
                    object.insert(name.clone(), value.clone());
                    samples.push(Value::Object(object));
                }
            }
            let mut without = most.clone();
            without.remove(name);
            samples.push(Value::Object(without));
        }
        // As many members as a bound on their number may turn on.
        let counts = ["minProperties", "maxProperties"].into_iter().flat_map(get).filter_map(Value::as_u64);
        let filler = open.and_then(|schema| self.at(schema, depth - 1, 2).into_iter().next()).unwrap_or(json!(0));
        for count in counts.chain(self.lengths.iter().copied()).filter(|count| *count <= 32).take(8) {
            let mut object = least.clone();
            for index in 0..usize::try_from(count).unwrap_or_default() {
                if object.len() < usize::try_from(count).unwrap_or_default() {
                    object.insert(format!("m{index}"), filler.clone());
                }
            }
            samples.push(Value::Object(object));
        }
        samples.truncate(4 * width);
        samples
    }
}

/// The schema as alternatives, each a list of keyword sets that hold together.
fn alternatives(members: &Map<String, Value>) -> Vec<Conjuncts<'_>> {
    let mut alternatives: Vec<Conjuncts<'_>> = vec![vec![members]];
    let together = members.get("allOf").and_then(Value::as_array).into_iter().flatten();
    for part in together.filter_map(Value::as_object) {
        alternatives = product(&alternatives, &self::alternatives(part));
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(branches) = members.get(keyword).and_then(Value::as_array) {
            let branches: Vec<_> =
                branches.iter().filter_map(Value::as_object).flat_map(self::alternatives).take(BRANCHES).collect();
            alternatives = product(&alternatives, &branches);
        }
    }
    let conditional: Vec<_> =
        ["if", "then", "else"].iter().filter_map(|keyword| members.get(*keyword)?.as_object()).collect();
    if !conditional.is_empty() {
        let mut with: Vec<_> = conditional.into_iter().flat_map(self::alternatives).take(BRANCHES).collect();
        with.push(Vec::new());
        alternatives = product(&alternatives, &with);
    }
    alternatives
}

fn product<'s>(ours: &[Conjuncts<'s>], theirs: &[Conjuncts<'s>]) -> Vec<Conjuncts<'s>> {
    if theirs.is_empty() {
        return ours.to_vec();
    }
    ours.iter().flat_map(|our| theirs.iter().map(move |their| [&our[..], their].concat())).take(BRANCHES).collect()
}

fn kinds(kind: &Value) -> Vec<&str> {
    match kind {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// The kinds of value that a schema without `type` speaks of; all of them, where it speaks of none.
fn implied(conjuncts: &Conjuncts<'_>) -> Vec<&'static str> {
    let has =
        |keywords: &[&str]| conjuncts.iter().any(|part| keywords.iter().any(|keyword| part.contains_key(*keyword)));
    let mut kinds = Vec::new();
    if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
        kinds.push("number");
    }
    if has(&["minLength", "maxLength", "pattern", "format"]) {
        kinds.push("string");
    }
    if has(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
        kinds.push("array");
    }
    if has(&["properties", "required", "additionalProperties", "patternProperties", "minProperties"]) {
        kinds.push("object");
    }
    if kinds.is_empty() {
        kinds.extend(["number", "string", "boolean", "null", "array", "object"]);
    }
    kinds
}

/// The number as JSON spells it: whole numbers without a point, as far as a double keeps them.
fn spell(number: f64) -> Option<Value> {
    const SAFE: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= SAFE {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 2^53 in magnitude")]
        return Some(Value::Number((number as i64).into()));
    }
    Number::from_f64(number).map(Value::Number)
}
