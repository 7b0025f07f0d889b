//! What a solve tells of a draft's outputs that the file does not: of what type they are, and how many values they have.
//!
//! Invariant: only what was a guess changes; what the file says stays.

use std::collections::BTreeMap;

use contract::bindings::{Access, Type};

use super::draft::{Draft, Port};
use crate::rhino::answer::{Answer, Tree};

/// Types in the order in which they are tried: the narrowest first.
const TYPES: [Type; 16] = [
    Type::Number,
    Type::Boolean,
    Type::Text,
    Type::Point,
    Type::Vector,
    Type::Plane,
    Type::Line,
    Type::Circle,
    Type::Rectangle,
    Type::Box,
    Type::Mesh,
    Type::Brep,
    Type::Surface,
    Type::Subd,
    Type::Curve,
    Type::Geometry,
];

// === impl Draft ===

impl Draft {
    /// Settles the guesses about outputs that this answer settles. `whom` solved it. Tells whether something changed.
    pub fn learn(&mut self, answer: &Answer, whom: &str) -> bool {
        let trees: BTreeMap<&str, &Tree> = answer.trees.iter().map(|tree| (tree.name.as_str(), tree)).collect();
        let mut changed = false;
        for port in self.outputs.iter_mut().filter(|port| port.guessed) {
            if let Some(tree) = trees.get(port.gh.as_str()) {
                changed |= port.settle(tree, whom);
            }
        }
        changed
    }
}

// === impl Port ===

impl Port {
    fn settle(&mut self, tree: &Tree, whom: &str) -> bool {
        let values: Vec<_> = tree.branches.values().flatten().collect();
        if values.is_empty() {
            self.open_binding.push(format!("type, access: {whom} gave no value for the default inputs"));
            return true;
        }
        let decodes = |kind: Type| values.iter().all(|item| crate::rhino::values::decode(kind, item).is_ok());
        if !decodes(self.kind) {
            let Some(found) = TYPES.into_iter().find(|kind| decodes(*kind)) else { return false };
            self.kind = found;
            // A unit goes with lengths; what the name of another type suggested is void.
            self.unit = self.unit.filter(|_| !matches!(found, Type::Boolean | Type::Text));
        }
        self.access = match (tree.branches.len(), values.len()) {
            (1, 1) => Access::Item,
            (1, _) => Access::List,
            _ if values.len() == tree.branches.len() => Access::List,
            _ => Access::Tree,
        };
        let number = values.len();
        let plural = if number == 1 { "" } else { "s" };
        self.open_binding = vec![format!(
            "access: {whom} gave {number} value{plural} for the default inputs; other inputs may give more or fewer"
        )];
        if self.access == Access::Item && number == 1 {
            // One value of a parameter that holds one is what most outputs are.
            self.open_binding.clear();
        }
        self.guessed = false;
        true
    }
}
