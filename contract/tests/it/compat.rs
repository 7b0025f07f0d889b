//! What a new version breaks: schema pairs with their verdicts, a fixture for each rule, and the proof held against values.

mod pairs;
mod property;
mod rules;

use contract::schema::{Schema, Subject};
use serde_json::{Value, json};

/// Whether the schema takes the value, by the validator that the gateway uses.
fn takes(schema: &Value, value: &Value) -> bool {
    let definitions = schema.get("$defs").cloned().unwrap_or_else(|| json!({}));
    let mut member = schema.clone();
    member.as_object_mut().map(|member| member.remove("$defs"));
    let document = json!({ "type": "object", "properties": { "value": member }, "$defs": definitions });
    let schema = Schema::compile(document, Subject::File).expect("the schema is sound");
    schema.check(&json!({ "value": value })).is_empty()
}
