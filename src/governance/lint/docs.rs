//! What people read: names, titles, units, examples. A form and a page are made of them.

use contract::bindings::{Binding, Type};
use contract::json::spans::escape;
use serde_json::Value;

use super::{At, Lint, View, property};
use crate::governance::Severity;

pub(super) fn lint(view: &View<'_>, lints: &mut Vec<Lint>) {
    if let Some(bindings) = view.bindings {
        let sides = [
            ("inputs.schema.json", "/inputs", &bindings.inputs, view.inputs),
            ("outputs.schema.json", "/outputs", &bindings.outputs, view.outputs),
        ];
        for (file, section, bindings, schema) in sides {
            for binding in bindings {
                named(binding, (file, section), schema, view, lints);
            }
        }
    }
    for (file, schema) in [("inputs.schema.json", view.inputs), ("outputs.schema.json", view.outputs)] {
        if schema.is_some_and(|schema| schema.is_object() && schema.get("$schema").is_none()) {
            let message = "the file does not say which dialect of JSON Schema it is, so editors guess";
            let lint = Lint::new("schema_undeclared", Severity::Warning, (file, ""), At::Value, message);
            let help =
                "begin it with `\"$schema\": \"https://json-schema.org/draft/2020-12/schema\"`; `check --fix` does";
            lints.push(lint.help(help.to_owned()));
        }
    }
    if let Some(manifest) = view.manifest.filter(|manifest| manifest.title.is_none() && manifest.description.is_none())
    {
        let message = format!("`{}` has neither a title nor a description for people", manifest.definition);
        lints.push(Lint::new("description_missing", Severity::Warning, ("manifest.json", ""), At::Value, message));
    }
    if view.examples.is_some_and(|examples| examples.valid.is_empty()) {
        let message = "there is no valid example: nothing shows that the version solves, and no node is warmed with it";
        let lint = Lint::new("example_missing", Severity::Warning, ("manifest.json", ""), At::Value, message);
        lints.push(
            lint.help("put one into examples/valid/, and its outputs with `check --node URL --accept`".to_owned()),
        );
    }
}

fn named(
    binding: &Binding,
    (file, section): (&str, &str),
    schema: Option<&Value>,
    view: &View<'_>,
    lints: &mut Vec<Lint>,
) {
    let name = &binding.name;
    let fits = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if !fits || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let pointer = format!("{section}/{}", escape(name));
        let message = format!("`{name}` is not in snake_case, as names of inputs and outputs are");
        let lint = Lint::new("name_style", Severity::Warning, ("bindings.json", &pointer), At::Key, message);
        lints.push(lint.help(format!("call it `{}`", snake(name))));
    }
    let Some(found) = property(schema, name) else { return };
    let pointer = format!("/properties/{}", escape(name));
    // Beside a reference, words of the property's own count first.
    let own = schema.and_then(|schema| schema.get("properties")?.get(name));
    let has = |key| own.into_iter().chain([found]).any(|property| property.get(key).is_some());
    if !has("title") && !has("description") {
        let message = format!("`{name}` has neither a title nor a description for people");
        lints.push(Lint::new("description_missing", Severity::Warning, (file, &pointer), At::Key, message));
    }
    let unit = found.get("x-unit").and_then(Value::as_str);
    let lengths = view.manifest.and_then(|manifest| length_unit(&manifest.model_units));
    if let (Some(unit), Some(own)) = (unit, lengths)
        && matches!(binding.kind, Type::Number | Type::Integer)
        && LENGTHS.iter().any(|(_, short)| *short == unit)
        && unit != own
    {
        let message = format!("`{name}` is in {unit}, while the model is in {own}");
        let pointer = format!("{pointer}/x-unit");
        let lint = Lint::new("unit_model", Severity::Note, (file, &pointer), At::Value, message);
        lints.push(lint.help("right only if the definition converts it".to_owned()));
    }
}

/// Rhino's names for units of length, and their symbols.
const LENGTHS: [(&str, &str); 8] = [
    ("Microns", "µm"),
    ("Millimeters", "mm"),
    ("Centimeters", "cm"),
    ("Decimeters", "dm"),
    ("Meters", "m"),
    ("Kilometers", "km"),
    ("Inches", "in"),
    ("Feet", "ft"),
];

fn length_unit(model: &str) -> Option<&'static str> {
    LENGTHS.iter().find(|(name, _)| *name == model).map(|(_, short)| *short)
}

/// `SiteWidth`, `site-width` and `Site width` as `site_width`.
fn snake(name: &str) -> String {
    let (mut snake, mut before) = (String::new(), ' ');
    for letter in name.chars() {
        let begins_word = letter.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        let parts = !letter.is_ascii_alphanumeric() || begins_word;
        if parts && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        if letter.is_ascii_alphanumeric() {
            snake.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    snake.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_has_a_snake_case() {
        for (name, expected) in [
            ("SiteWidth", "site_width"),
            ("site-width", "site_width"),
            ("Site width 2", "site_width_2"),
            ("FAR", "far"),
        ] {
            assert_eq!(snake(name), expected);
        }
    }
}
