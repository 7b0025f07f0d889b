//! Why a file is refused: what is wrong, where, and what its author can do about it.

use std::fmt;

/// A file that is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}{refusal}")]
pub struct ReadError {
    /// What is wrong.
    pub refusal: Refusal,
    /// Where in the file.
    pub at: Place,
}

/// A position in a Grasshopper file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// Line and column of the XML, both from 1; a column counts characters.
    Line { line: u32, column: u32 },
    /// Bytes from the start of the file as it lies on disk.
    Byte(usize),
    /// Bytes from the start of the inflated content of a binary file.
    Inflated(usize),
}

/// What is wrong with a file that is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the file is empty")]
    Empty,
    #[error("this is a Git LFS pointer, not the definition itself")]
    GitLfsPointer,
    #[error("the root element is <{root}>, so this XML is not a Grasshopper archive")]
    NotAnArchive { root: String },
    #[error("a document type declaration (DTD) is not allowed")]
    Dtd,
    #[error("the file ends too early: {expected}")]
    Truncated { expected: String },
    #[error("{count} bytes follow the end of the archive")]
    TrailingBytes { count: usize },
    #[error("the item \"{item}\" has type code {code}, which Grasshopper does not define")]
    UnknownType { item: String, code: i64 },
    #[error("more than {limit} {what}")]
    OverLimit { what: &'static str, limit: usize },
    #[error("this is neither a binary (.gh) nor an XML (.ghx) Grasshopper file: {because}")]
    NeitherFormat { because: String },
    #[error("the archive holds no DefinitionObjects, so it is not a definition")]
    NoDefinitionObjects,
    #[error("{what}")]
    Malformed { what: String },
}

// === impl ReadError ===

impl ReadError {
    pub(super) fn new(refusal: Refusal, at: Place) -> Self {
        Self { refusal, at }
    }

    pub(super) fn malformed(what: impl Into<String>, at: Place) -> Self {
        Self::new(Refusal::Malformed { what: what.into() }, at)
    }

    pub(super) fn truncated(expected: impl Into<String>, at: Place) -> Self {
        Self::new(Refusal::Truncated { expected: expected.into() }, at)
    }

    /// A stable word for the refusal, for JSON and rules.
    pub fn code(&self) -> &'static str {
        match self.refusal {
            Refusal::Empty => "empty",
            Refusal::GitLfsPointer => "git_lfs_pointer",
            Refusal::NotAnArchive { .. } => "not_an_archive",
            Refusal::Dtd => "dtd",
            Refusal::Truncated { .. } => "truncated",
            Refusal::TrailingBytes { .. } => "trailing_bytes",
            Refusal::UnknownType { .. } => "unknown_type",
            Refusal::OverLimit { .. } => "over_limit",
            Refusal::NeitherFormat { .. } => "neither_format",
            Refusal::NoDefinitionObjects => "no_definition_objects",
            Refusal::Malformed { .. } => "malformed",
        }
    }

    /// What the author of the file can do.
    pub fn help(&self) -> &'static str {
        match self.refusal {
            Refusal::Empty => "save the definition again and copy the whole file",
            Refusal::GitLfsPointer => "run `git lfs pull` where the file came from, then copy the real file",
            Refusal::NotAnArchive { .. } => {
                "Grasshopper itself saves .ghx with the root <Archive name=\"Root\">: open the definition in Grasshopper \
                 and use File > Save As"
            }
            Refusal::Dtd => "Grasshopper never writes a DTD: remove the <!DOCTYPE …> or save the definition again",
            Refusal::Truncated { .. } => "the copy is incomplete: copy or save the file again",
            Refusal::TrailingBytes { .. } => "something was appended to the file: save the definition again",
            Refusal::UnknownType { .. } => "the file is damaged, or newer than this reader: save it again as .ghx",
            Refusal::OverLimit { .. } => {
                "make the definition smaller (internalised geometry and images are the usual cause)"
            }
            Refusal::NeitherFormat { .. } => "give a file that Grasshopper saved as .gh or .ghx",
            Refusal::NoDefinitionObjects => {
                "user objects and clusters are archives, too: save the whole definition instead"
            }
            Refusal::Malformed { .. } => "the file is damaged: save the definition again from Grasshopper",
        }
    }
}

// === impl Place ===

impl fmt::Display for Place {
    /// The place as the start of a sentence, with its colon; nothing for the whole file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line { line, column } => write!(f, "line {line}, column {column}: "),
            Self::Byte(offset) => write!(f, "byte {offset}: "),
            Self::Inflated(offset) => write!(f, "byte {offset} of the inflated content: "),
        }
    }
}
