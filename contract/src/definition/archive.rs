//! A Grasshopper archive in memory: a tree of named chunks that hold typed items.
//!
//! Both spellings, `.ghx` (XML) and `.gh` (raw deflate), read into this one tree. Names are looked up without regard to
//! ASCII case, as `GH_IO` does, and (name, index) is unique within a chunk.

use uuid::Uuid;

use super::error::{Place, ReadError, Refusal};
use super::limits::{Budget, Limits};
use super::{gh, ghx};

/// How files begin that are often given by mistake. None of these is the start of a deflate stream whose first block
/// could hold an archive, or of XML.
const FOREIGN: [(&[u8], &str); 6] = [
    (b"3D Geometry File Format", "a Rhino model (.3dm)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"{\"", "JSON"),
    (b"{\n", "JSON"),
    (b"\xff\xfe<", "XML in UTF-16; save it in UTF-8"),
];

/// How a Grasshopper file is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// XML.
    Ghx,
    /// Raw deflate around the binary form.
    Gh,
}

/// A Grasshopper file as a tree. Its root chunk is named "Root".
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// The format that it was read from.
    pub format: Format,
    pub root: Chunk,
}

/// A named node of the archive.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chunk {
    pub name: String,
    /// The position among siblings of one name, where the file numbers them.
    pub index: Option<i32>,
    pub items: Vec<Item>,
    pub chunks: Vec<Chunk>,
}

/// A named, typed value of a [`Chunk`].
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub name: String,
    pub index: Option<i32>,
    pub value: Value,
}

/// What an [`Item`] holds. The numbers in the comments are the type codes of `GH_IO`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// 1
    Bool(bool),
    /// 2
    Byte(u8),
    /// 3
    Int32(i32),
    /// 4
    Int64(i64),
    /// 5
    Single(f32),
    /// 6
    Double(f64),
    /// 7, a .NET decimal as its four words: low, middle, high, flags.
    Decimal([u32; 4]),
    /// 8, .NET ticks of 100 ns.
    Date(i64),
    /// 9
    Guid(Uuid),
    /// 10
    Text(String),
    /// 20
    Bytes(Vec<u8>),
    /// 21
    Doubles(Vec<f64>),
    /// 30
    DrawingPoint([i32; 2]),
    /// 31
    DrawingPointF([f32; 2]),
    /// 32
    DrawingSize([i32; 2]),
    /// 33
    DrawingSizeF([f32; 2]),
    /// 34, x y width height.
    DrawingRectangle([i32; 4]),
    /// 35, x y width height.
    DrawingRectangleF([f32; 4]),
    /// 36, alpha red green blue.
    Colour([u8; 4]),
    /// 37, the bytes of a PNG file.
    Bitmap(Vec<u8>),
    /// 50
    Point2d([f64; 2]),
    /// 51
    Point3d([f64; 3]),
    /// 52
    Point4d([f64; 4]),
    /// 60, from and to.
    Interval1d([f64; 2]),
    /// 61, u from and to, v from and to.
    Interval2d([f64; 4]),
    /// 70, start and end.
    Line([f64; 6]),
    /// 71, least and greatest corner.
    BoundingBox([f64; 6]),
    /// 72, origin, x axis, y axis.
    Plane([f64; 9]),
    /// 80
    Version([i32; 3]),
}

// === impl Format ===

impl Format {
    /// The file extension and the word for it in JSON: `ghx` or `gh`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ghx => "ghx",
            Self::Gh => "gh",
        }
    }
}

// === impl Archive ===

impl Archive {
    /// Reads a file of either format, recognised by its content.
    ///
    /// # Errors
    ///
    /// Whatever is not an archive within `limits`, with the place and what its author can do.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        Self::read_within(bytes, &mut Budget::new(limits))
    }

    pub(super) fn read_within(bytes: &[u8], budget: &mut Budget) -> Result<Self, ReadError> {
        if bytes.len() > budget.limits.file_bytes {
            return Err(super::limits::over("bytes of file", budget.limits.file_bytes, Place::File));
        }
        let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let content = unmarked.trim_ascii_start();
        if content.is_empty() {
            return Err(ReadError::new(Refusal::Empty, Place::File));
        }
        if content.starts_with(b"version https://git-lfs.github.com/spec/") {
            return Err(ReadError::new(Refusal::GitLfsPointer, Place::File));
        }
        if let Some((_, what)) = FOREIGN.iter().find(|(start, _)| content.starts_with(start)) {
            return Err(ReadError::new(Refusal::NeitherFormat { because: format!("it is {what}") }, Place::File));
        }
        if !content.starts_with(b"<") {
            return Ok(Self { format: Format::Gh, root: gh::read(bytes, budget)? });
        }
        // A deflate stream may begin with the byte of '<', too, but is then hardly UTF-8.
        match std::str::from_utf8(unmarked) {
            Ok(text) => Ok(Self { format: Format::Ghx, root: ghx::read(text, budget)? }),
            Err(error) => match gh::read(bytes, budget) {
                Ok(root) => Ok(Self { format: Format::Gh, root }),
                Err(ReadError { refusal: Refusal::NeitherFormat { .. }, .. }) => {
                    let at = Place::Byte(bytes.len() - unmarked.len() + error.valid_up_to());
                    Err(ReadError::malformed("the XML is not UTF-8", at))
                }
                Err(damaged) => Err(damaged),
            },
        }
    }

    /// The file as Grasshopper writes `.ghx`, byte order mark included.
    pub fn to_ghx(&self) -> String {
        ghx::write(&self.root)
    }

    /// The file as Grasshopper writes `.gh`.
    pub fn to_gh(&self) -> Vec<u8> {
        gh::write(&self.root)
    }

    /// The chunk that holds `DefinitionObjects`: "Definition" in a file, the root in the document of a cluster.
    pub fn document(&self) -> Option<&Chunk> {
        let holds_objects = |chunk: &&Chunk| chunk.chunk("DefinitionObjects").is_some();
        self.root.chunk("Definition").filter(holds_objects).or_else(|| Some(&self.root).filter(holds_objects))
    }
}

// === impl Chunk ===

impl Chunk {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The first child chunk of this name.
    pub fn chunk(&self, name: &str) -> Option<&Self> {
        self.chunks.iter().find(|chunk| chunk.name.eq_ignore_ascii_case(name))
    }

    /// The child chunk of this name and index.
    pub fn chunk_at(&self, name: &str, index: i32) -> Option<&Self> {
        self.chunks_named(name).find(|chunk| chunk.index == Some(index))
    }

    /// Every child chunk of this name, in file order.
    pub fn chunks_named<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s Self> {
        self.chunks.iter().filter(move |chunk| chunk.name.eq_ignore_ascii_case(name))
    }

    /// The value of the first item of this name.
    pub fn item(&self, name: &str) -> Option<&Value> {
        self.items.iter().find(|item| item.name.eq_ignore_ascii_case(name)).map(|item| &item.value)
    }

    /// The value of the item of this name and index.
    pub fn item_at(&self, name: &str, index: i32) -> Option<&Value> {
        self.items_named(name).find(|item| item.index == Some(index)).map(|item| &item.value)
    }

    /// Every item of this name, in file order.
    pub fn items_named<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s Item> {
        self.items.iter().filter(move |item| item.name.eq_ignore_ascii_case(name))
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        self.item(name)?.as_bool()
    }

    /// An integer item of either width.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.item(name)?.as_int()
    }

    /// A numeric item, integers included.
    pub fn double(&self, name: &str) -> Option<f64> {
        self.item(name)?.as_double()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.item(name)?.as_text()
    }

    pub fn guid(&self, name: &str) -> Option<Uuid> {
        self.item(name)?.as_guid()
    }
}

// === impl Value ===

impl Value {
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int32(value) = self {
            Some(i64::from(*value))
        } else if let Self::Int64(value) = self {
            Some(*value)
        } else if let Self::Byte(value) = self {
            Some(i64::from(*value))
        } else {
            None
        }
    }

    pub fn as_double(&self) -> Option<f64> {
        if let Self::Double(value) = self {
            Some(*value)
        } else if let Self::Single(value) = self {
            Some(f64::from(*value))
        } else if let Self::Int32(value) = self {
            Some(f64::from(*value))
        } else {
            None
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    pub fn as_guid(&self) -> Option<Uuid> {
        if let Self::Guid(value) = self { Some(*value) } else { None }
    }
}
