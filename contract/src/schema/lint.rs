//! What a schema may not do, though JSON Schema allows it.
//!
//! A schema that passes is a finite tree once its references are written out: no cycle, no reference to elsewhere,
//! a bounded number of subschemas, patterns of bounded size for the linear engine. So the cost of a check is bounded by
//! the size of the value.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Violation;
use crate::fault;
use crate::json::spans::{escape, tokens};

/// Levels of schema within schema.
pub(super) const DEPTH: usize = 32;
/// Subschemas, each reference counted with all that it refers to.
const COST: u64 = 10_000;
/// Schemas within schemas and references behind references, together: what a check may have on its stack.
const CHAIN: usize = 200;
/// Patterns of one schema.
const PATTERNS: usize = 64;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords that hold one schema.
const ONE: [&str; 11] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords that hold a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords that hold schemas by name.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];
/// The other keywords of 2020-12 that we let pass. Draft-7 keywords that the validator still obeys are not among them.
const PLAIN: [&str; 36] = [
    "$anchor",
    "$comment",
    "$id",
    "$ref",
    "$schema",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
    "x-",
];
/// The formats of 2020-12, for did-you-mean.
pub(crate) const FORMATS: [&str; 19] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

/// The anchors of the schema, or everything in it that we refuse, by pointer into it.
pub(super) fn lint(document: &Value) -> Result<Anchors, Vec<Violation>> {
    let mut lint =
        Lint { found: Vec::new(), patterns: 0, anchors: HashMap::new(), refs: Vec::new(), places: HashSet::new() };
    lint.walk(document, "", 0);
    let mut cost = Cost { document, anchors: &lint.anchors, known: HashMap::new(), path: Vec::new() };
    let cost = cost.of(document, "");
    let refs = std::mem::take(&mut lint.refs);
    for (pointer, target) in refs {
        let place = lint.anchors.resolve(document, &target);
        if place.is_none_or(|(place, _)| !lint.places.contains(&place)) {
            lint.refuse(&pointer, "schema_ref", format!("`{target}` leads to no schema in this file"));
        }
    }
    match cost {
        Err(pointer) => {
            let message = "this schema refers back to itself; a contract's values have a finite form";
            lint.refuse(&pointer, "schema_recursive", message);
        }
        Ok(cost) if cost > COST => {
            let message = format!("with its references written out this schema has over {COST} subschemas");
            lint.refuse("", "schema_cost", message);
        }
        Ok(_) => {}
    }
    lint.found.sort();
    if lint.found.is_empty() { Ok(lint.anchors) } else { Err(lint.found) }
}

/// All keywords that a schema may have.
fn keywords() -> impl Iterator<Item = &'static str> {
    ONE.into_iter().chain(LIST).chain(NAMED).chain(PLAIN)
}

fn is_keyword(word: &str) -> bool {
    word.starts_with("x-") || keywords().any(|keyword| keyword == word)
}

/// The subschemas directly below a schema, with the pointers to them.
fn below<'s>(schema: &'s Value, pointer: &str) -> Vec<(String, &'s Value)> {
    let mut found = Vec::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let at = format!("{pointer}/{}", escape(keyword));
        match value {
            Value::Array(items) if LIST.contains(&keyword.as_str()) => {
                found.extend(items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)));
            }
            Value::Object(members) if NAMED.contains(&keyword.as_str()) => {
                found.extend(members.iter().map(|(name, member)| (format!("{at}/{}", escape(name)), member)));
            }
            value if ONE.contains(&keyword.as_str()) => found.push((at, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            }
        }
    }
    found
}

/// A schema with all that it refers to written into it: each `$ref` becomes a part of `allOf`. Ends, and stays within [`COST`],
/// for what has passed the lint.
pub(super) fn written_out(document: &Value, anchors: &Anchors, schema: &Value) -> Value {
    let write = |schema: &Value| written_out(document, anchors, schema);
    let Some(members) = schema.as_object() else { return schema.clone() };
    let (mut written, mut parts) = (serde_json::Map::new(), Vec::new());
    for (keyword, value) in members {
        let word = keyword.as_str();
        let value = match value {
            Value::String(target) if word == "$ref" => {
                parts.extend(anchors.resolve(document, target).map(|(_, schema)| write(schema)));
                continue;
            }
            Value::Array(items) if LIST.contains(&word) => items.iter().map(write).collect(),
            // What they hold stands where it is referred to.
            Value::Object(_) if ["$defs", "definitions"].contains(&word) => continue,
            Value::Object(members) if NAMED.contains(&word) => {
                members.iter().map(|(name, member)| (name.clone(), write(member))).collect()
            }
            Value::Object(_) if ONE.contains(&word) => write(value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                value.clone()
            }
        };
        written.insert(keyword.clone(), value);
    }
    match parts.pop() {
        Some(part) if written.is_empty() => part,
        Some(part) => {
            let all = written.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
            all.as_array_mut().into_iter().for_each(|all| all.push(part.clone()));
            Value::Object(written)
        }
        None => Value::Object(written),
    }
}

fn resolve_pointer<'s>(document: &'s Value, target: &str) -> Option<(String, &'s Value)> {
    let pointer = target.strip_prefix('#')?;
    let schema = document.pointer(pointer)?;
    // A pointer has one spelling, so that one place is one node of the graph.
    let pointer = tokens(pointer).fold(String::new(), |pointer, token| pointer + "/" + &escape(&token));
    Some((pointer, schema))
}

/// `$anchor` name to pointer.
pub(super) type Anchors = HashMap<String, String>;

pub(super) trait Resolve {
    /// The schema that a local reference names, with its pointer.
    fn resolve<'s>(&self, document: &'s Value, target: &str) -> Option<(String, &'s Value)>;
}

impl Resolve for Anchors {
    fn resolve<'s>(&self, document: &'s Value, target: &str) -> Option<(String, &'s Value)> {
        match target.strip_prefix('#').and_then(|name| self.get(name)) {
            Some(pointer) => document.pointer(pointer).map(|schema| (pointer.clone(), schema)),
            None => resolve_pointer(document, target),
        }
    }
}

struct Lint {
    found: Vec<Violation>,
    patterns: usize,
    anchors: Anchors,
    /// Local references: where they stand and what they say.
    refs: Vec<(String, String)>,
    /// The pointers of all subschemas.
    places: HashSet<String>,
}

// === impl Lint ===

impl Lint {
    fn refuse(&mut self, pointer: &str, rule: &'static str, message: impl Into<String>) {
        self.found.push(Violation::new(pointer, rule, message));
    }

    fn walk(&mut self, schema: &Value, pointer: &str, depth: usize) {
        if depth > DEPTH {
            return self.refuse(pointer, "schema_depth", format!("more than {DEPTH} levels of schema within schema"));
        }
        if !schema.is_object() && !schema.is_boolean() {
            return self.refuse(pointer, "schema_invalid", "a schema is an object, true or false");
        }
        self.places.insert(pointer.to_owned());
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            self.keyword(keyword, value, pointer, depth);
        }
        for (pointer, schema) in below(schema, pointer) {
            self.walk(schema, &pointer, depth + 1);
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, pointer: &str, depth: usize) {
        let at = format!("{pointer}/{}", escape(keyword));
        match (keyword, value) {
            ("$ref", Value::String(target)) if target.contains('%') => {
                self.refuse(
                    &at,
                    "schema_ref",
                    format!("`{}`: write the reference without `%`", super::words::cut(target)),
                );
            }
            ("$ref", Value::String(target)) if target.starts_with('#') => self.refs.push((at, target.clone())),
            ("$ref", Value::String(target)) => {
                let message = format!("`{target}` is outside this file; a contract's schema refers to `#…` only");
                self.refuse(&at, "schema_ref", message);
            }
            (keyword, _) if !is_keyword(keyword) => {
                let message =
                    format!("`{}` is no keyword that a contract's schema may have", super::words::cut(keyword));
                let help = fault::did_you_mean(keyword, keywords());
                let help = help.unwrap_or_else(|| "annotations of your own begin with `x-`".to_owned());
                self.found.push(Violation { help: Some(help), ..Violation::new(at, "schema_keyword", message) });
            }
            ("$id", _) if depth > 0 => {
                self.refuse(
                    &at,
                    "schema_keyword",
                    "only the whole schema may have an `$id`: it would move local references",
                );
            }
            ("$schema", Value::String(dialect)) if depth == 0 && dialect.trim_end_matches('#') == DIALECT => {}
            ("$schema", _) => self.refuse(&at, "schema_dialect", format!("the dialect is `{DIALECT}`, at the top")),
            ("$anchor", Value::String(name)) if self.anchors.insert(name.clone(), pointer.to_owned()).is_some() => {
                self.refuse(&at, "schema_keyword", format!("the anchor `{name}` is there twice"));
            }
            ("format", Value::String(name)) if !super::is_format(name) => {
                let message = format!("`{name}` is not a format that values can be checked by");
                self.found.push(Violation {
                    help: fault::did_you_mean(name, FORMATS),
                    ..Violation::new(at, "schema_format", message)
                });
            }
            ("pattern", Value::String(pattern)) => self.pattern(pattern, &at),
            ("patternProperties", Value::Object(members)) => {
                for pattern in members.keys() {
                    self.pattern(pattern, &format!("{at}/{}", escape(pattern)));
                }
            }
            _ => {}
        }
    }

    fn pattern(&mut self, pattern: &str, pointer: &str) {
        self.patterns += 1;
        if self.patterns == PATTERNS + 1 {
            return self.refuse(pointer, "schema_pattern", format!("more than {PATTERNS} patterns"));
        }
        if self.patterns <= PATTERNS && super::pattern_error(pattern).is_some() {
            let message =
                format!("the pattern `{}` is not one that can be matched in linear time", super::words::cut(pattern));
            let help = "look-around and back-references are not available, and the compiled pattern is at most 1 MiB";
            self.found
                .push(Violation { help: Some(help.to_owned()), ..Violation::new(pointer, "schema_pattern", message) });
        }
    }
}

/// Counts subschemas with references written out, each place once.
struct Cost<'d> {
    document: &'d Value,
    anchors: &'d Anchors,
    known: HashMap<String, u64>,
    /// The places that are being counted, outermost first.
    path: Vec<String>,
}

// === impl Cost ===

impl Cost<'_> {
    /// The count, or the pointer of a reference that closes a cycle.
    fn of(&mut self, schema: &Value, pointer: &str) -> Result<u64, String> {
        if let Some(cost) = self.known.get(pointer) {
            return Ok(*cost);
        }
        if self.path.iter().any(|open| open == pointer) {
            return Err(pointer.to_owned());
        }
        // Definitions are entered through references: walked from the top only, so that unused ones are judged too.
        if self.path.len() > CHAIN {
            return Ok(COST + 1);
        }
        self.path.push(pointer.to_owned());
        let mut cost = 1_u64;
        for (pointer, schema) in below(schema, pointer) {
            cost = cost.saturating_add(self.of(schema, &pointer)?);
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let at = format!("{pointer}/$ref");
            if let Some((pointer, schema)) = self.anchors.resolve(self.document, target) {
                cost = cost.saturating_add(self.of(schema, &pointer).map_err(|_inner| at)?);
            }
        }
        self.path.pop();
        self.known.insert(pointer.to_owned(), cost);
        Ok(cost)
    }
}
