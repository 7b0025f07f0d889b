//! Solving a definition: the graph of the file, evaluated without Rhino.
//!
//! [`Document::load`] turns an archive into objects, parameters and wires; [`Document::solve`] evaluates them in the order
//! of their wires. A solve does no I/O, reads no clock, and ends: what it may make is bounded by [`Limits`].
//!
//! # How data is matched
//!
//! A component runs once for each branch, and within a branch once for each item:
//!
//! - The number of branches is that of the item or list input with the most; the others repeat their last branch.
//! - Within a branch the longest list of the item inputs sets the count; shorter ones repeat their last item. List inputs
//!   hand over their whole branch, tree inputs their whole tree.
//! - Results go to the paths of the input with the most branches; of several, the one with the longest paths, and of
//!   those the first.
//! - A list result of a component without list inputs, or of a branch with several items, goes to the path with the
//!   item's position appended, so that the lists stay apart.

mod discover;
pub(crate) mod iterate;
mod load;
mod parameters;
mod persistent;
mod run;

use std::collections::{BTreeSet, HashMap};

use contract::definition::Archive;
use uuid::Uuid;

use crate::tree::Tree;

/// What a node is set to while it solves.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// In model units.
    pub absolute_tolerance: f64,
    pub angle_tolerance_degrees: f64,
    /// The name of the unit system, such as `Meters`.
    pub units: String,
    /// The plug-in libraries that are installed, by name. Objects of any other library are unknown.
    pub plugins: BTreeSet<String>,
    pub limits: Limits,
}

/// What one solve may cost. The default keeps a hostile definition below a few hundred megabytes and a few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Values made and visited, counted by weight: one each, and more for text, polylines and meshes.
    pub steps: u64,
    /// Items in one list that a component makes.
    pub list_items: usize,
    /// Bytes of one text that a component makes.
    pub text_bytes: usize,
}

/// Why a file is no definition that can be solved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("the archive holds no definition objects")]
    NoObjects,
    #[error("the definition has {0} objects; this node takes {max}", max = load::OBJECTS_MAX)]
    TooManyObjects(usize),
}

/// A loaded definition, with the inputs that have been set on it so far.
#[derive(Debug, Clone)]
pub struct Document {
    nodes: Vec<load::Node>,
    /// Where each parameter of the document is, by its instance.
    ports: HashMap<Uuid, load::Port>,
    inputs: Vec<(String, load::Port)>,
    outputs: Vec<(String, load::Port)>,
    set: HashMap<load::Port, Tree>,
}

/// The data of one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub tree: Tree,
}

/// What a solve gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Solution {
    /// In the order of `/io`.
    pub outputs: Vec<Output>,
    /// `message: component "Name" (instance)`, in the order of the file.
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            absolute_tolerance: 0.01,
            angle_tolerance_degrees: 1.0,
            units: "Meters".to_owned(),
            plugins: BTreeSet::new(),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 4_000_000, list_items: 1_000_000, text_bytes: 1 << 20 }
    }
}

// === impl Document ===

impl Document {
    /// Reads the objects, parameters and wires of a definition. Wires to nothing are tolerated, as Grasshopper does.
    pub fn load(archive: &Archive) -> Result<Self, LoadError> {
        let loaded = load::load(archive)?;
        let (inputs, outputs) = discover::names(archive, &loaded.ports);
        Ok(Self { nodes: loaded.nodes, ports: loaded.ports, inputs, outputs, set: HashMap::new() })
    }

    /// The names that [`Self::set_input`] knows, in the order of `/io`.
    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|(name, _)| name.as_str())
    }

    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|(name, _)| name.as_str())
    }

    /// Puts data in place of what an input would collect. It stays until it is set again, over solves too, as a
    /// parameter of Rhino.Compute keeps what the last caller left. Gives false for a name that is no input.
    pub fn set_input(&mut self, name: &str, tree: Tree) -> bool {
        let port = self.inputs.iter().find(|(known, _)| known == name).map(|(_, port)| *port);
        port.is_some_and(|port| {
            self.set.insert(port, tree);
            true
        })
    }

    /// Evaluates every object and collects the outputs.
    pub fn solve(&self, settings: &Settings) -> Solution {
        run::solve(self, settings)
    }

    /// What the parameter of an input would hold if nothing were set on it: its default, as far as no error stops it.
    pub fn default_of(&self, name: &str, settings: &Settings) -> Option<Tree> {
        let port = self.inputs.iter().find(|(known, _)| known == name).map(|(_, port)| *port)?;
        let untouched = Self { set: HashMap::new(), ..self.clone() };
        Some(run::data_of(&untouched, settings, port))
    }
}

#[cfg(test)]
pub(crate) mod draft;
#[cfg(test)]
mod tests;
