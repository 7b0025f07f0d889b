//! Violations in words: what was given, what is allowed, in which unit.
//!
//! What callers sent is quoted in short; every message fits a line.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::{Schema, Violation};
use crate::fault;
use crate::json::spans::escape;

/// Adds what one error of the validator means.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other kind is told by its message")]
pub(super) fn explain(schema: &Schema, error: &ValidationError<'_>, whole: &Value, violations: &mut Vec<Violation>) {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names = unexpected.iter().map(String::as_str);
            violations.extend(Violation::unknown(
                pointer,
                schema.subject.unknown(),
                names,
                &known_members(schema, error),
            ));
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let below = format!("{pointer}/{}", escape(name));
            let member = parent(schema, error).and_then(|schema| schema.get("properties")?.get(name));
            let expected = member.map(|member| expected(schema, member)).filter(|expected| !expected.is_empty());
            let expected = expected.map(|expected| format!(": {expected}")).unwrap_or_default();
            violations.push(Violation::new(below, "required", format!("`{}` is missing{expected}", cut(name))));
        }
        kind => {
            let value = whole.pointer(pointer).unwrap_or(&Value::Null);
            let unit = unit(schema, error, pointer);
            let mut violation = Violation::new(pointer, rule(kind), message(kind, value, &unit));
            violation.help = help(kind, value);
            violations.push(violation);
        }
    }
}

/// At most 40 characters of a text, on one line.
pub(super) fn cut(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text.chars().take(SHOWN).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A value in short.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("`{}`", cut(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn message(kind: &Kind, value: &Value, unit: &str) -> String {
    let given = show(value);
    match kind {
        Kind::Maximum { limit } => format!("{given} is more than the maximum of {limit}{unit}"),
        Kind::Minimum { limit } => format!("{given} is less than the minimum of {limit}{unit}"),
        Kind::ExclusiveMaximum { limit } => format!("{given} is not less than {limit}{unit}"),
        Kind::ExclusiveMinimum { limit } => format!("{given} is not more than {limit}{unit}"),
        Kind::MultipleOf { multiple_of } => format!("{given} is not a multiple of {multiple_of}{unit}"),
        Kind::Type { kind } => format!("{given} is not {}", types(kind)),
        Kind::Enum { options } => {
            format!("{given} is not one of {}", options.as_array().map_or_else(String::new, |all| choices(all)))
        }
        Kind::Constant { expected_value } => format!("{given} is not {}", show(expected_value)),
        Kind::MaxLength { limit } => format!("{given} is longer than {limit} characters"),
        Kind::MinLength { limit } => format!("{given} is shorter than {limit} characters"),
        Kind::MaxItems { limit } => format!("{given} is longer than the {limit} allowed"),
        Kind::MinItems { limit } => format!("{given} is shorter than the {limit} needed"),
        Kind::AdditionalItems { limit } => format!("{given} is longer than the {limit} allowed"),
        Kind::UnevaluatedItems { .. } => format!("{given} has items that are not allowed"),
        Kind::MaxProperties { limit } => format!("an object with more than the {limit} members allowed"),
        Kind::MinProperties { limit } => format!("an object with fewer than the {limit} members needed"),
        Kind::UniqueItems => "two items of this list are equal".to_owned(),
        Kind::Pattern { pattern } => format!("{given} does not match the pattern `{}`", cut(pattern)),
        Kind::Format { format } => format!("{given} is not a valid {format}"),
        Kind::Contains => "the list lacks an item that it must have".to_owned(),
        Kind::FalseSchema => "no value is allowed here".to_owned(),
        Kind::Not { .. } => format!("{given} is excluded"),
        Kind::OneOfMultipleValid { .. } => format!("{given} fits more than one of the allowed forms"),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            format!("{given} fits none of the {} allowed forms{}", context.len(), nearest(context))
        }
        Kind::PropertyNames { error } => format!("the key {} is not allowed here", show(error.instance())),
        Kind::ContentEncoding { content_encoding } => format!("{given} is not {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => format!("{given} is not {content_media_type}"),
        Kind::FromUtf8 { .. } => format!("{given} does not hold UTF-8"),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            format!("{given} could not be matched with its pattern")
        }
        Kind::AdditionalProperties { .. }
        | Kind::UnevaluatedProperties { .. }
        | Kind::Required { .. }
        | Kind::Custom { .. }
        | Kind::Referencing(_) => format!("{given} is not allowed"),
    }
}

/// The rule of a violation: the keyword of the schema.
fn rule(kind: &Kind) -> &'static str {
    const KEYWORDS: [&str; 27] = [
        "additionalItems",
        "anyOf",
        "const",
        "contains",
        "contentEncoding",
        "contentMediaType",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "falseSchema",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "propertyNames",
        "type",
        "unevaluatedItems",
        "uniqueItems",
    ];
    KEYWORDS.into_iter().find(|keyword| *keyword == kind.keyword()).unwrap_or("schema")
}

fn help(kind: &Kind, value: &Value) -> Option<String> {
    if let Kind::Enum { options } = kind {
        let options = options.as_array()?.iter().filter_map(Value::as_str);
        return fault::did_you_mean(value.as_str()?, options);
    }
    None
}

/// Why the form fails that fails least.
fn nearest(context: &[Vec<ValidationError<'static>>]) -> String {
    let nearest = context.iter().filter(|errors| !errors.is_empty()).min_by_key(|errors| errors.len());
    nearest.and_then(|errors| errors.first()).map_or_else(String::new, |error| {
        let value = error.instance();
        let at = error.instance_path().as_str();
        format!("; the nearest fails at `{}`: {}", cut(at), message_once(error.kind(), value))
    })
}

/// A message without going into the forms of forms, so that its length stays bounded.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other kind is told by its message")]
fn message_once(kind: &Kind, value: &Value) -> String {
    match kind {
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => format!("{} fits no allowed form", show(value)),
        Kind::Required { property } => format!("`{}` is missing", cut(property.as_str().unwrap_or_default())),
        kind => message(kind, value, ""),
    }
}

fn choices(options: &[Value]) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> = options.iter().take(SHOWN).map(show).collect();
    if options.len() > SHOWN {
        words.push(format!("{} more", options.len() - SHOWN));
    }
    words.join(", ")
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(single) => type_word(*single).to_owned(),
        TypeKind::Multiple(set) => set.iter().map(type_word).collect::<Vec<_>>().join(" or "),
    }
}

fn type_word(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a text",
        JsonType::Array => "a list",
        JsonType::Object => "an object",
    }
}

/// The schema that holds the keyword of the error.
fn parent<'s>(schema: &'s Schema, error: &ValidationError<'_>) -> Option<&'s Value> {
    let (parent, _) = error.schema_path().as_str().rsplit_once('/')?;
    schema.document.pointer(parent)
}

/// The names that an object may have where `error` found others.
fn known_members<'s>(schema: &'s Schema, error: &ValidationError<'_>) -> Vec<&'s str> {
    let members = parent(schema, error).and_then(|schema| schema.get("properties")?.as_object());
    members.into_iter().flat_map(|members| members.keys().map(String::as_str)).collect()
}

/// " m", if the schema of the value or of the top-level member around it states a unit.
fn unit(schema: &Schema, error: &ValidationError<'_>, pointer: &str) -> String {
    let own = parent(schema, error).and_then(|schema| schema.get("x-unit"));
    let top = || {
        let name = crate::json::spans::tokens(pointer).next()?;
        schema.document.get("properties")?.get(name)?.get("x-unit")
    };
    own.or_else(top).and_then(Value::as_str).map(|unit| format!(" {}", cut(unit))).unwrap_or_default()
}

/// "a number from 5 to 40 m", as far as the schema says it.
fn expected(schema: &Schema, member: &Value) -> String {
    let chain = schema.chain(member);
    let get = |key: &str| chain.iter().find_map(|part| part.get(key));
    let kind = match get("type").and_then(Value::as_str) {
        Some("number") => "a number",
        Some("integer") => "a whole number",
        Some("string") => "a text",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        Some("object") => "an object",
        _ => "",
    };
    let range = match (get("minimum"), get("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    };
    let choices = match get("enum").and_then(Value::as_array) {
        Some(options) => format!(" one of {}", choices(options)),
        None => String::new(),
    };
    let unit = get("x-unit").and_then(Value::as_str).map(|unit| format!(" {}", cut(unit))).unwrap_or_default();
    format!("{kind}{choices}{range}{unit}").trim().to_owned()
}
