//! Chunks and items with the names and the order that Grasshopper writes.
//!
//! Items stand sorted by name and index within a chunk, capitals before small letters.

use contract::definition::archive::{Chunk, Item, Value};
use uuid::Uuid;

use super::kinds::{Kind, Literal};

/// A chunk under construction.
pub(super) struct Record(Chunk);

impl Record {
    pub(super) fn new(name: &str) -> Self {
        Self(Chunk::new(name))
    }

    pub(super) fn numbered(name: &str, index: usize) -> Self {
        Self(Chunk { index: Some(position(index)), ..Chunk::new(name) })
    }

    pub(super) fn item(self, name: &str, value: Value) -> Self {
        self.push(name, None, value)
    }

    pub(super) fn item_at(self, name: &str, index: usize, value: Value) -> Self {
        self.push(name, Some(position(index)), value)
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.item(name, Value::Text(value.to_owned()))
    }

    pub(super) fn guid(self, name: &str, value: Uuid) -> Self {
        self.item(name, Value::Guid(value))
    }

    pub(super) fn bool(self, name: &str, value: bool) -> Self {
        self.item(name, Value::Bool(value))
    }

    pub(super) fn int(self, name: &str, value: i32) -> Self {
        self.item(name, Value::Int32(value))
    }

    pub(super) fn count(self, name: &str, value: usize) -> Self {
        self.int(name, position(value))
    }

    pub(super) fn double(self, name: &str, value: f64) -> Self {
        self.item(name, Value::Double(value))
    }

    /// Applies a change to the record, for parts that several records share.
    pub(super) fn with(self, change: impl FnOnce(Self) -> Self) -> Self {
        change(self)
    }

    pub(super) fn chunk(mut self, record: Self) -> Self {
        self.0.chunks.push(record.done());
        self
    }

    pub(super) fn chunks(mut self, records: impl IntoIterator<Item = Self>) -> Self {
        self.0.chunks.extend(records.into_iter().map(Self::done));
        self
    }

    pub(super) fn done(mut self) -> Chunk {
        self.0.items.sort_by(|a, b| (&a.name, a.index).cmp(&(&b.name, b.index)));
        self.0
    }

    fn push(mut self, name: &str, index: Option<i32>, value: Value) -> Self {
        self.0.items.push(Item { name: name.to_owned(), index, value });
        self
    }
}

/// The value that a parameter holds when nothing is wired to it: one branch with one item.
///
/// A parameter of any data type also stores the .NET type of the value.
pub(super) fn persistent(kind: Kind, literal: &Literal) -> Record {
    let untyped = matches!(kind, Kind::Data | Kind::Variable);
    let item = payload(literal).with(|item| if untyped { item.text("TypeName", goo(literal)) } else { item });
    let branch = Record::numbered("Branch", 0).int("Count", 1).text("Path", "{0}").chunk(item);
    Record::new("PersistentData").int("Count", 1).chunk(branch)
}

fn payload(literal: &Literal) -> Record {
    let item = Record::numbered("Item", 0);
    match literal {
        Literal::Number(value) => item.double("number", *value),
        Literal::Integer(value) => item.int("number", *value),
        Literal::Text(value) => item.bool("null_string", false).text("string", value),
        Literal::Point(value) => item.item("Coordinate", Value::Point3d(*value)),
        Literal::Domain(value) => item.item("Interval", Value::Interval1d(*value)),
        Literal::Plane(value) => item.item("plane", Value::Plane(*value)),
        Literal::Vector(value) => item.item("vector", Value::Point3d(*value)),
    }
}

fn goo(literal: &Literal) -> &'static str {
    match literal {
        Literal::Number(_) => "Grasshopper.Kernel.Types.GH_Number",
        Literal::Integer(_) => "Grasshopper.Kernel.Types.GH_Integer",
        Literal::Text(_) => "Grasshopper.Kernel.Types.GH_String",
        Literal::Point(_) => "Grasshopper.Kernel.Types.GH_Point",
        Literal::Domain(_) => "Grasshopper.Kernel.Types.GH_Interval",
        Literal::Plane(_) => "Grasshopper.Kernel.Types.GH_Plane",
        Literal::Vector(_) => "Grasshopper.Kernel.Types.GH_Vector",
    }
}

fn position(index: usize) -> i32 {
    i32::try_from(index).expect("a sample has far fewer than 2^31 parts")
}
