//! JSON for people: written in an order and a layout of our choice, and changed without touching the rest of a file.
//!
//! Invariant: an edit changes the bytes of one member, and what separates it from its neighbours, and no other byte.

use contract::json::spans::{Spans, escape};
use serde_json::Value;

/// JSON with its members in the order in which they are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Value(Value),
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
}

/// The longest line that an object or list is written on as a whole.
const LINE: usize = 110;

/// An object of these members, without those that are not there.
pub fn object<const N: usize>(members: [(&str, Option<Node>); N]) -> Node {
    Node::Object(members.into_iter().filter_map(|(name, node)| Some((name.to_owned(), node?))).collect())
}

// === impl Node ===

impl Node {
    /// A whole file: the outermost object has a member a line.
    pub fn file(&self) -> String {
        self.block(0) + "\n"
    }

    /// The text of a value that stands after `indent` spaces.
    pub fn text(&self, indent: usize) -> String {
        let line = self.line();
        if indent + line.chars().count() <= LINE { line } else { self.block(indent) }
    }

    fn block(&self, indent: usize) -> String {
        let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
        let (open, close, rows): (_, _, Vec<String>) = match self {
            Self::Value(value) => return value.to_string(),
            Self::Object(members) => {
                let row = |(name, node): &(String, Self)| {
                    format!("{}: {}", Value::from(name.as_str()), node.text(indent + 2))
                };
                ('{', '}', members.iter().map(row).collect())
            }
            Self::List(items) => ('[', ']', items.iter().map(|item| item.text(indent + 2)).collect()),
        };
        if rows.is_empty() {
            return format!("{open}{close}");
        }
        let rows = rows.join(&format!(",\n{inner}"));
        format!("{open}\n{inner}{rows}\n{outer}{close}")
    }

    fn line(&self) -> String {
        match self {
            Self::Value(value) => value.to_string(),
            Self::Object(members) if members.is_empty() => "{}".to_owned(),
            Self::Object(members) => {
                let member = |(name, node): &(String, Self)| format!("{}: {}", Value::from(name.as_str()), node.line());
                format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
            }
            Self::List(items) => format!("[{}]", items.iter().map(Self::line).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Self::Value(value),
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Value(text.into())
    }
}

/// Gives the member `name` of the object at `pointer` a value: in its place where it is there, else as the last one.
/// Nothing where there is no object at `pointer`.
pub fn set(text: &str, pointer: &str, name: &str, node: &Node) -> Option<String> {
    let spans = Spans::index(text.as_bytes());
    let member = format!("{pointer}/{}", escape(name));
    if let Some(span) = spans.value_span(&member) {
        let indent = indent_of(text, spans.key_span(&member)?.start);
        return Some(format!("{}{}{}", &text[..span.start], node.text(indent), &text[span.end..]));
    }
    let whole = spans.value_span(pointer)?;
    if !text[whole.clone()].starts_with('{') {
        return None;
    }
    let key = Value::from(name);
    let Some(last) = spans.names(pointer).last().map(|last| format!("{pointer}/{}", escape(last))) else {
        let indent = indent_of(text, whole.start);
        let node = node.text(indent);
        return Some(format!("{}{{ {key}: {node} }}{}", &text[..whole.start], &text[whole.end..]));
    };
    let (start, end) = (spans.key_span(&last)?.start, spans.value_span(&last)?.end);
    let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let alone = text[line..start].trim().is_empty();
    let indent = indent_of(text, start);
    let gap = if alone { format!(",\n{}", &text[line..start]) } else { ", ".to_owned() };
    Some(format!("{}{gap}{key}: {}{}", &text[..end], node.text(indent), &text[end..]))
}

/// Takes the member `name` of the object at `pointer` away. Nothing where it is not there.
pub fn remove(text: &str, pointer: &str, name: &str) -> Option<String> {
    let spans = Spans::index(text.as_bytes());
    let names = spans.names(pointer);
    let at = names.iter().position(|other| *other == name)?;
    let member = |name: &str| format!("{pointer}/{}", escape(name));
    let (start, end) = (spans.key_span(&member(name))?.start, spans.value_span(&member(name))?.end);
    // The comma goes with the member: the one before it, or for the first one that behind it.
    let (from, to) = match (at.checked_sub(1).map(|before| member(names[before])), names.get(at + 1)) {
        (Some(before), _) => (spans.value_span(&before)?.end, end),
        (None, Some(next)) => (start, spans.key_span(&member(next))?.start),
        (None, None) => {
            let whole = spans.value_span(pointer)?;
            (whole.start + 1, whole.end - 1)
        }
    };
    Some(format!("{}{}", &text[..from], &text[to..]))
}

/// The spaces at the start of the line of the byte `at`.
fn indent_of(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..].chars().take_while(|char| *char == ' ').count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "{\n  \"app_id\": \"a\",\n  \"aliases\": { \"stable\": \"1.0.0\" },\n  \"b\":   [1,\t2]\n}\n";

    fn version(text: &str) -> Node {
        text.into()
    }

    #[test]
    fn an_edit_leaves_every_other_byte_as_it_was() {
        let set_to = |name, to| set(FILE, "/aliases", name, &version(to)).unwrap();
        assert_eq!(set_to("stable", "1.1.0"), FILE.replace("1.0.0", "1.1.0"));
        let added = FILE.replace("\"1.0.0\" }", "\"1.0.0\", \"next\": \"2.0.0\" }");
        assert_eq!(set_to("next", "2.0.0"), added);
        assert_eq!(remove(&added, "/aliases", "next").unwrap(), FILE);
        let emptied = remove(FILE, "/aliases", "stable").unwrap();
        assert_eq!(emptied, FILE.replace("{ \"stable\": \"1.0.0\" }", "{}"));
        assert_eq!(set(&emptied, "/aliases", "stable", &version("1.0.0")).unwrap(), FILE);
        assert_eq!(remove(&added, "/aliases", "stable").unwrap(), added.replace("\"stable\": \"1.0.0\", ", ""));
        let member = set(FILE, "", "c", &Node::from(json!({ "d": 1 }))).unwrap();
        assert_eq!(member, FILE.replace("2]\n", "2],\n  \"c\": { \"d\": 1 }\n"));
        assert_eq!(remove(&member, "", "c").unwrap(), FILE);
        assert_eq!(remove(FILE, "", "app_id").unwrap(), FILE.replace("\"app_id\": \"a\",\n  ", ""));
        assert_eq!(set(FILE, "/b", "x", &version("")), None);
        assert_eq!(remove(FILE, "/aliases", "x"), None);
    }

    #[test]
    fn what_fits_a_line_stands_on_one() {
        let short = object([("a", Some(json!([1, 2]).into())), ("b", None), ("c", Some("x".into()))]);
        assert_eq!(short.file(), "{\n  \"a\": [1, 2],\n  \"c\": \"x\"\n}\n");
        let long = object([("long", Some(Node::List(vec!["word".repeat(20).as_str().into(); 2])))]);
        assert_eq!(long.file().lines().count(), 6);
    }
}
