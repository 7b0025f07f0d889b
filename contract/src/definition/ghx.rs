//! The XML format `.ghx`.
//!
//! Invariant: the text is bounded by one linear scan ([`scan`]) before a tree is built of it, so that neither depth, nor
//! attributes, nor elements cost more than the file is long; a DTD is refused, so no entity is ever expanded.

mod body;
mod scan;
mod write;

use roxmltree::{Document, Node, ParsingOptions};

use super::archive::{Chunk, Item};
use super::error::{Place, ReadError, Refusal};
use super::limits::Budget;
use super::types;

pub(super) use write::write;

struct Reader<'x, 'b> {
    xml: &'x Document<'x>,
    budget: &'b mut Budget,
}

/// Reads a whole `.ghx` file, whose byte order mark was taken off.
pub(super) fn read(text: &str, budget: &mut Budget) -> Result<Chunk, ReadError> {
    scan::check(text, budget)?;
    // An element of an archive, its text and the white space around it take far more than eight bytes a node.
    let nodes_limit = u32::try_from(text.len() / 8 + 1024).unwrap_or(u32::MAX);
    let options = ParsingOptions { allow_dtd: false, nodes_limit, ..ParsingOptions::default() };
    let xml = Document::parse_with_options(text, options).map_err(|error| syntax(text, &error))?;
    let root = xml.root_element();
    let mut reader = Reader { xml: &xml, budget };
    if root.tag_name().name() != "Archive" {
        let name = root.tag_name().name().chars().take(60).collect();
        return Err(ReadError::new(Refusal::NotAnArchive { root: name }, reader.place(root)));
    }
    reader.chunk(root, 1)
}

fn syntax(text: &str, error: &roxmltree::Error) -> ReadError {
    use roxmltree::Error::{DtdDetected, NoRootNode, NodesLimitReached, UnclosedRootNode, UnexpectedEndOfStream};
    let at = Place::Line { line: error.pos().row, column: error.pos().col };
    let end = Place::Byte(text.len());
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other fault of the XML is told in the parser's own words"
    )]
    match error {
        DtdDetected => ReadError::new(Refusal::Dtd, at),
        NoRootNode | UnclosedRootNode | UnexpectedEndOfStream => ReadError::truncated("an element is not closed", end),
        NodesLimitReached => ReadError::malformed("there are too many elements for a file of this length", Place::File),
        other => ReadError::malformed(format!("this is not well-formed XML: {other}"), at),
    }
}

// === impl Reader ===

impl<'x> Reader<'x, '_> {
    /// The line and column of a node. It searches the text, so it is for errors only.
    fn place(&self, node: Node<'_, '_>) -> Place {
        let position = self.xml.text_pos_at(node.range().start);
        Place::Line { line: position.row, column: position.col }
    }

    fn malformed(&self, node: Node<'_, '_>, what: impl Into<String>) -> ReadError {
        ReadError::malformed(what, self.place(node))
    }

    /// Replaces the place of a budget's refusal, which is not known before it is needed.
    fn within(&self, node: Node<'_, '_>, checked: Result<(), ReadError>) -> Result<(), ReadError> {
        checked.map_err(|error| ReadError { at: self.place(node), ..error })
    }

    fn chunk(&mut self, node: Node<'x, 'x>, depth: usize) -> Result<Chunk, ReadError> {
        self.within(node, self.budget.depth(depth, Place::File))?;
        let counted = self.budget.item(Place::File);
        self.within(node, counted)?;
        let (name, index) = self.identity(node)?;
        let mut chunk = Chunk { name, index, ..Chunk::default() };
        for section in node.children().filter(Node::is_element) {
            let inner = match section.tag_name().name() {
                "items" => "item",
                "chunks" => "chunk",
                other => return Err(self.malformed(section, format!("<{other}> does not belong into a chunk"))),
            };
            for child in section.children().filter(Node::is_element) {
                if child.tag_name().name() != inner {
                    let what = format!("<{}> does not belong into <{inner}s>", child.tag_name().name());
                    return Err(self.malformed(child, what));
                } else if inner == "item" {
                    chunk.items.push(self.item(child)?);
                } else {
                    chunk.chunks.push(self.chunk(child, depth + 1)?);
                }
            }
        }
        Ok(chunk)
    }

    fn item(&mut self, node: Node<'x, 'x>) -> Result<Item, ReadError> {
        let counted = self.budget.item(Place::File);
        self.within(node, counted)?;
        let (name, index) = self.identity(node)?;
        let code = self.code(node, &name)?;
        let value = body::read(self, node, code)?;
        Ok(Item { name, index, value })
    }

    fn identity(&self, node: Node<'x, 'x>) -> Result<(String, Option<i32>), ReadError> {
        let name = node.attribute("name").ok_or_else(|| self.malformed(node, "the attribute \"name\" is missing"))?;
        self.within(node, self.budget.text(name.len(), Place::File))?;
        let index =
            match node.attribute("index") {
                None => None,
                Some(text) => Some(text.trim().parse().map_err(|_not_a_number| {
                    self.malformed(node, format!("the index \"{text}\" is not an integer"))
                })?),
            };
        Ok((name.to_owned(), index.filter(|index| *index != -1)))
    }

    /// The type code of an item: the attribute `type_code`, else what `type_name` stands for.
    fn code(&self, node: Node<'x, 'x>, item: &str) -> Result<i32, ReadError> {
        let stated = match (node.attribute("type_code"), node.attribute("type_name")) {
            (Some(code), _) => code
                .trim()
                .parse()
                .map_err(|_not_a_number| self.malformed(node, format!("the type code \"{code}\" is not an integer")))?,
            (None, Some(name)) => types::code_of(name).map_or(-1, i64::from),
            (None, None) => return Err(self.malformed(node, "the item states no type")),
        };
        i32::try_from(stated).ok().filter(|code| types::name_of(*code).is_some()).ok_or_else(|| {
            ReadError::new(Refusal::UnknownType { item: item.to_owned(), code: stated }, self.place(node))
        })
    }
}
