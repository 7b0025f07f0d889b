//! The components that the stand-in knows: a table from component GUID to signature and function.
//!
//! A component is found by GUID, never by name. What is not in the table is unknown, and unknown components give an
//! error and no value.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a kind of value that a rule does not name is refused by it, kinds to come included"
)]
#![expect(clippy::cast_precision_loss, reason = "counts and indices are bounded far below 2^53")]

mod call;
mod table;

mod arithmetic;
mod boxes;
mod colour;
mod curves;
mod domain;
mod list;
mod logic;
mod measure;
mod text;
mod transforms;
mod trees;
mod vectors;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use call::{Arg, Budget, Call, Notes, Outcome, Slot, Stop};
use uuid::Uuid;

use crate::value::{Domain, Kind, Plane, Value, Xyz};

/// How a parameter takes or gives data: one item, one list, or the whole tree at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Item,
    List,
    Tree,
}

/// What an input holds when the file says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preset {
    Nothing,
    Number(f64),
    Integer(i32),
    Boolean(bool),
    Text(&'static str),
    Point(Xyz),
    Vector(Xyz),
    Domain(f64, f64),
    Plane(Plane),
}

/// An input of a component.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    pub name: &'static str,
    pub kind: Kind,
    pub access: Access,
    /// Whether the component runs without data here.
    pub optional: bool,
    pub preset: Preset,
}

/// An output of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    pub name: &'static str,
    pub access: Access,
}

/// One component, under every GUID it has had.
#[derive(Clone, Copy)]
pub struct Descriptor {
    pub guids: &'static [Uuid],
    pub name: &'static str,
    /// The inputs by position. Files with more inputs than this repeat the last one if `grows`.
    pub inputs: &'static [Input],
    pub outputs: &'static [Output],
    /// Whether users may add inputs and outputs.
    pub grows: bool,
    pub(crate) run: fn(&mut Call<'_>) -> Outcome,
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptor").field("name", &self.name).field("guids", &self.guids).finish_non_exhaustive()
    }
}

/// The component of this GUID, if the stand-in knows it.
pub fn find(guid: &Uuid) -> Option<&'static Descriptor> {
    static INDEX: LazyLock<HashMap<Uuid, &'static Descriptor>> =
        LazyLock::new(|| all().flat_map(|known| known.guids.iter().map(move |guid| (*guid, known))).collect());
    INDEX.get(guid).copied()
}

/// Every component of the table.
pub fn all() -> impl Iterator<Item = &'static Descriptor> {
    table::FAMILIES.iter().flat_map(|family| family.iter())
}

// === impl Input ===

impl Input {
    /// An item that must be there.
    pub const fn item(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, access: Access::Item, optional: false, preset: Preset::Nothing }
    }

    pub const fn list(name: &'static str, kind: Kind) -> Self {
        Self { access: Access::List, ..Self::item(name, kind) }
    }

    pub const fn tree(name: &'static str) -> Self {
        Self { access: Access::Tree, ..Self::item(name, Kind::Any) }
    }

    #[must_use]
    pub const fn or(self, preset: Preset) -> Self {
        Self { preset, ..self }
    }

    #[must_use]
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

// === impl Output ===

impl Output {
    pub const fn item(name: &'static str) -> Self {
        Self { name, access: Access::Item }
    }

    pub const fn list(name: &'static str) -> Self {
        Self { name, access: Access::List }
    }

    pub const fn tree(name: &'static str) -> Self {
        Self { name, access: Access::Tree }
    }
}

// === impl Preset ===

impl Preset {
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Nothing => None,
            Self::Number(number) => Some(Value::Number(number)),
            Self::Integer(integer) => Some(Value::Integer(integer)),
            Self::Boolean(boolean) => Some(Value::Boolean(boolean)),
            Self::Text(text) => Some(Value::Text(text.to_owned())),
            Self::Point(xyz) => Some(Value::Point(xyz)),
            Self::Vector(xyz) => Some(Value::Vector(xyz)),
            Self::Domain(a, b) => Some(Value::Domain(Domain::new(a, b))),
            Self::Plane(plane) => Some(Value::Plane(plane)),
        }
    }
}

// === impl Descriptor ===

impl Descriptor {
    /// The signature of the input at a position.
    pub fn input(&self, position: usize) -> Option<&'static Input> {
        self.inputs.get(position).or_else(|| self.inputs.last().filter(|_| self.grows))
    }

    /// The signature of the output at a position.
    pub fn output(&self, position: usize) -> Option<&'static Output> {
        self.outputs.get(position).or_else(|| self.outputs.last().filter(|_| self.grows))
    }
}

#[cfg(test)]
mod tests;
