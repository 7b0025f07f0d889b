//! How many values a schema has room for.
//!
//! Invariant: what the schema accepts has no more values than that, so that a larger text can be refused before it is a tree. A schema that
//! says too little has no bound.

use serde_json::Value;

/// Deeper schemas have no bound: the lint refuses circles, and nobody writes so deep.
const DEPTH: usize = 24;

/// The most values, the whole itself counted, that an object of these inputs may have. Members beside them are refused whatever the schema
/// says of them.
pub(crate) fn of_inputs<'n>(schema: &Value, mut names: impl Iterator<Item = &'n str>) -> Option<usize> {
    let described = names.all(|name| schema["properties"].get(name).is_some());
    if described { of_properties(schema, schema, 0) } else { None }
}

fn of(schema: &Value, root: &Value, depth: usize) -> Option<usize> {
    if *schema == Value::Bool(false) {
        return Some(0);
    }
    let object = schema.as_object().filter(|_| depth < DEPTH)?;
    let bounds = [
        object.get("const").map(values),
        object.get("enum").and_then(Value::as_array).map(|all| all.iter().map(values).max().unwrap_or(0)),
        object.get("$ref").and_then(|to| of(target(to, root)?, root, depth + 1)),
        object.get("type").and_then(|types| of_types(types, schema, root, depth)),
        object
            .get("allOf")
            .and_then(Value::as_array)
            .and_then(|all| all.iter().filter_map(|one| of(one, root, depth + 1)).min()),
        any(object.get("anyOf"), root, depth),
        any(object.get("oneOf"), root, depth),
    ];
    // Each holds by itself.
    bounds.into_iter().flatten().min()
}

/// The largest of the branches, if each has a bound.
fn any(branches: Option<&Value>, root: &Value, depth: usize) -> Option<usize> {
    let bounds: Option<Vec<usize>> = branches?.as_array()?.iter().map(|one| of(one, root, depth + 1)).collect();
    bounds?.into_iter().max()
}

fn of_types(types: &Value, schema: &Value, root: &Value, depth: usize) -> Option<usize> {
    let one = |name: &Value| match name.as_str()? {
        "array" => of_items(schema, root, depth),
        "object" if schema["additionalProperties"] == false && schema.get("patternProperties").is_none() => {
            of_properties(schema, root, depth)
        }
        "null" | "boolean" | "integer" | "number" | "string" => Some(1),
        _ => None,
    };
    let Some(names) = types.as_array() else { return one(types) };
    names.iter().map(one).collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn of_items(schema: &Value, root: &Value, depth: usize) -> Option<usize> {
    let first = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
    let mut bound = 1_usize;
    for item in first {
        bound = bound.checked_add(of(item, root, depth + 1)?)?;
    }
    let items = schema.get("items");
    if items == Some(&Value::Bool(false)) {
        return Some(bound);
    }
    let most = usize::try_from(schema["maxItems"].as_u64()?).ok()?;
    match most.saturating_sub(first.len()) {
        0 => Some(bound),
        rest => bound.checked_add(of(items?, root, depth + 1)?.checked_mul(rest)?),
    }
}

fn of_properties(schema: &Value, root: &Value, depth: usize) -> Option<usize> {
    let mut bound = 1_usize;
    for property in schema["properties"].as_object().into_iter().flat_map(|all| all.values()) {
        bound = bound.checked_add(of(property, root, depth + 1)?)?;
    }
    Some(bound)
}

/// What a reference within the document points at.
fn target<'v>(to: &Value, root: &'v Value) -> Option<&'v Value> {
    root.pointer(to.as_str()?.strip_prefix('#')?)
}

fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_has_room_for_what_it_says_and_none_where_it_says_too_little() {
        let point =
            json!({ "type": "array", "prefixItems": [{ "type": "number" }, { "type": "number" }], "items": false });
        let cases = [
            (json!({ "type": "number" }), Some(2)),
            (json!({ "type": ["number", "null"] }), Some(2)),
            (json!({ "enum": ["a", [1, 2]] }), Some(4)),
            (point.clone(), Some(4)),
            (json!({ "type": "array", "items": point, "maxItems": 10 }), Some(32)),
            (json!({ "type": "array", "items": { "type": "number" } }), None),
            (json!({ "type": "array", "maxItems": 10 }), None),
            (json!({ "type": "object", "properties": { "b": { "type": "string" } } }), None),
            (
                json!({ "type": "object", "properties": { "b": { "type": "string" } }, "additionalProperties": false }),
                Some(3),
            ),
            (json!({ "anyOf": [{ "type": "number" }, { "type": "array", "items": true, "maxItems": 3 }] }), None),
            (
                json!({ "oneOf": [{ "type": "number" }, { "type": "array", "items": { "type": "number" }, "maxItems": 3 }] }),
                Some(5),
            ),
            (json!({ "allOf": [{ "title": "x" }, { "type": "number" }] }), Some(2)),
            (json!({ "$ref": "#/$defs/a" }), Some(2)),
            (json!({ "$ref": "#/$defs/loop" }), None),
            (json!(true), None),
            (json!({}), None),
        ];
        for (input, room) in cases {
            let defs = json!({ "a": { "type": "number" }, "loop": { "$ref": "#/$defs/loop" } });
            let schema = json!({ "type": "object", "properties": { "a": input }, "$defs": defs });
            assert_eq!(of_inputs(&schema, ["a"].into_iter()), room, "{schema}");
            assert_eq!(of_inputs(&schema, ["a", "b"].into_iter()), None);
        }
    }
}
