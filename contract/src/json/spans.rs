//! Where each value of a JSON file stands: from JSON pointer to line and column.
//!
//! Built from a text that [`parse`](super::parse) has accepted; on any other text it holds what it understood so far.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::fault::Position;

/// The places of all values and keys of one JSON text.
#[derive(Debug)]
pub struct Spans<'t> {
    text: &'t [u8],
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Bytes of the key with its quotes, for members of objects.
    key: Option<Range<usize>>,
    /// Bytes of the value.
    value: Range<usize>,
    members: BTreeMap<String, Node>,
    items: Vec<Node>,
}

/// The deepest nesting that is followed: that of the parser.
const DEPTH: usize = 128;

/// Splits a JSON pointer into its unescaped tokens.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// A pointer token, escaped as RFC 6901 wants it.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

// === impl Spans ===

impl<'t> Spans<'t> {
    pub fn index(text: &'t [u8]) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        let root = scanner.value(0).unwrap_or_default();
        Self { text, root }
    }

    /// Where the value at `pointer` begins; if there is none, the nearest value around it.
    pub fn value(&self, pointer: &str) -> Position {
        Position::of(self.text, self.nearest(pointer).value.start)
    }

    /// Where the key of the member at `pointer` begins; else as [`value`](Self::value).
    pub fn key(&self, pointer: &str) -> Position {
        let node = self.nearest(pointer);
        let start = if self.holds(pointer) { node.key.as_ref().map(|key| key.start) } else { None };
        Position::of(self.text, start.unwrap_or(node.value.start))
    }

    /// The bytes of the value at `pointer`.
    pub fn value_span(&self, pointer: &str) -> Option<Range<usize>> {
        self.holds(pointer).then(|| self.nearest(pointer).value.clone())
    }

    /// The bytes of the key of the member at `pointer`, quotes included.
    pub fn key_span(&self, pointer: &str) -> Option<Range<usize>> {
        self.holds(pointer).then(|| self.nearest(pointer).key.clone())?
    }

    /// Whether there is a value at `pointer`.
    pub fn holds(&self, pointer: &str) -> bool {
        let mut node = Some(&self.root);
        for token in tokens(pointer) {
            node = node.and_then(|node| node.child(&token));
        }
        node.is_some()
    }

    /// The names of the members of the object at `pointer`, in the order of the file.
    pub fn names(&self, pointer: &str) -> Vec<&str> {
        if !self.holds(pointer) {
            return Vec::new();
        }
        let mut members: Vec<_> = self.nearest(pointer).members.iter().collect();
        members.sort_by_key(|(_, node)| node.value.start);
        members.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    fn nearest(&self, pointer: &str) -> &Node {
        let mut node = &self.root;
        for token in tokens(pointer) {
            match node.child(&token) {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }
}

// === impl Node ===

impl Node {
    fn child(&self, token: &str) -> Option<&Self> {
        self.members.get(token).or_else(|| self.items.get(token.parse::<usize>().ok()?))
    }
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

// === impl Scanner ===

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> Option<Node> {
        self.space();
        let start = self.at;
        let mut node = Node::default();
        match self.peek()? {
            b'{' if depth < DEPTH => self.members(&mut node, depth)?,
            b'[' if depth < DEPTH => self.items(&mut node, depth)?,
            b'"' => {
                self.string()?;
            }
            _ => self.at += self.rest().iter().take_while(|byte| !b",]} \t\r\n".contains(byte)).count(),
        }
        node.value = start..self.at;
        Some(node)
    }

    fn members(&mut self, node: &mut Node, depth: usize) -> Option<()> {
        self.at += 1;
        loop {
            self.space();
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let key = self.string()?;
                    self.space();
                    self.at += usize::from(self.peek()? == b':');
                    let name = serde_json::from_slice(&self.text[key.clone()]).ok()?;
                    let member = self.value(depth + 1)?;
                    node.members.insert(name, Node { key: Some(key), ..member });
                }
            }
        }
        self.at += 1;
        Some(())
    }

    fn items(&mut self, node: &mut Node, depth: usize) -> Option<()> {
        self.at += 1;
        loop {
            self.space();
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => node.items.push(self.value(depth + 1)?),
            }
        }
        self.at += 1;
        Some(())
    }

    /// Passes a string and gives its bytes, quotes included.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at)
    }

    fn space(&mut self) {
        self.at += self.rest().iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"a\": [10, {\"ü b\": true}],\n  \"c/d\": \"x\\\"}\",\n  \"a\\u0062\": null\n}";

    #[test]
    fn a_pointer_leads_to_line_and_column_of_key_and_value() {
        let spans = Spans::index(TEXT.as_bytes());
        for (pointer, key, value) in [
            ("", (1, 1), (1, 1)),
            ("/a", (2, 3), (2, 8)),
            ("/a/0", (2, 9), (2, 9)),
            ("/a/1/ü b", (2, 14), (2, 21)),
            ("/c~1d", (3, 3), (3, 10)),
            ("/ab", (4, 3), (4, 14)),
            ("/a/1/nothing/here", (2, 13), (2, 13)),
        ] {
            assert_eq!(spans.key(pointer), Position { line: key.0, column: key.1 }, "key of {pointer}");
            assert_eq!(spans.value(pointer), Position { line: value.0, column: value.1 }, "value of {pointer}");
        }
        assert_eq!(spans.names(""), ["a", "c/d", "ab"]);
        assert_eq!(spans.value_span("/c~1d").map(|span| &TEXT[span]), Some("\"x\\\"}\""));
        assert_eq!(spans.key_span("/c~1d").map(|span| &TEXT[span]), Some("\"c/d\""));
    }

    #[test]
    fn a_torn_text_is_indexed_without_panic() {
        for end in 0..TEXT.len() {
            let spans = Spans::index(&TEXT.as_bytes()[..end]);
            assert!(!spans.holds("/a/1/ü b/x"));
        }
    }
}
