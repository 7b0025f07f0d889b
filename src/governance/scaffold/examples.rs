//! Examples for a draft: one that every node can solve, and one for each way in which a caller goes wrong.

use contract::bindings::{Access, Type};
use serde_json::{Map, Value, json};

use super::draft::{Draft, Port};
use crate::governance::json::{Node, object};

/// Invalid examples of one kind; more would say the same again.
const OF_A_KIND: usize = 2;

/// Path in the version folder, and content.
pub(super) fn of(draft: &Draft) -> Vec<(String, Node)> {
    let Some(inputs) = valid(draft) else {
        // Without a value that only Rhino can make there is nothing that would be accepted.
        return Vec::new();
    };
    let title =
        if inputs.is_empty() { "All by default" } else { "The least that callers must send, all else by default" };
    let example = object([("title", Some(title.into())), ("inputs", Some(Value::Object(inputs.clone()).into()))]);
    let mut examples = vec![("examples/valid/default.json".to_owned(), example)];
    for (name, inputs, pointer) in invalid(draft, &inputs) {
        let example =
            object([("inputs", Some(Value::Object(inputs).into())), ("violations", Some(json!([pointer]).into()))]);
        examples.push((format!("examples/invalid/{name}.json"), example));
    }
    examples
}

/// The inputs that callers must send; nothing where one of them cannot be made up.
pub(super) fn valid(draft: &Draft) -> Option<Map<String, Value>> {
    let required = draft.inputs.iter().filter(|port| port.default.is_none());
    required.map(|port| Some((port.name.clone(), port.sample()?))).collect()
}

/// Name, inputs, and the pointer that they fail at.
fn invalid(draft: &Draft, valid: &Map<String, Value>) -> Vec<(String, Map<String, Value>, String)> {
    let with = |name: &str, value: Value| {
        let mut inputs = valid.clone();
        inputs.insert(name.to_owned(), value);
        inputs
    };
    let mut unknown = "unknown".to_owned();
    while draft.inputs.iter().any(|port| port.name == unknown) {
        unknown.push('_');
    }
    let mut found = vec![("unknown-input".to_owned(), with(&unknown, json!(1)), format!("/{unknown}"))];
    let kebab = |port: &Port| port.name.replace('_', "-");
    for name in valid.keys().take(OF_A_KIND) {
        let mut inputs = valid.clone();
        inputs.remove(name);
        found.push((format!("{}-missing", name.replace('_', "-")), inputs, format!("/{name}")));
    }
    // Each kind of mistake, with the value that makes it.
    let mut kind = |word: &str, wrong: &dyn Fn(&Port) -> Option<Value>| {
        let ports = draft.inputs.iter().filter_map(|port| Some((port, wrong(port)?)));
        for (port, value) in ports.take(OF_A_KIND) {
            let (value, pointer) = match port.access {
                Access::Item => (value, format!("/{}", port.name)),
                Access::List => (json!([value]), format!("/{}/0", port.name)),
                Access::Tree => continue,
            };
            found.push((format!("{}-{word}", kebab(port)), with(&port.name, value), pointer));
        }
    };
    kind("too-small", &|port| beyond(port, port.limits[0], -1.0));
    kind("too-large", &|port| beyond(port, port.limits[1], 1.0));
    kind("not-whole", &|port| {
        let is_plain = port.kind == Type::Integer && port.choices.is_empty();
        is_plain.then(|| json!(port.limits[0].unwrap_or_default() + 0.5))
    });
    kind("no-such-choice", &|port| {
        let texts = !port.choices.is_empty() && port.kind == Type::Text;
        texts.then(|| json!("none of these"))
    });
    kind("of-another-type", &|port| Some(if port.kind == Type::Text { json!(1) } else { json!("a text") }));
    found
}

/// A number just beyond a limit.
fn beyond(port: &Port, limit: Option<f64>, direction: f64) -> Option<Value> {
    let limit = limit.filter(|_| port.choices.is_empty())?;
    Some(super::shape::plain(json!(limit + direction * port.step.unwrap_or(1.0).max(1.0))))
}
