//! One solve: the objects in the order of their wires, each parameter's data collected, each component run once.
//!
//! An object on a cycle, and all that hangs on it, gives an error or no data; nothing is evaluated twice.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::iterate::{self, Fed, Own};
use super::load::{Mapping, Node, Parameter, Port, Side, Work};
use super::parameters::Role;
use super::{Document, Output, Settings, Solution};
use crate::components::{Access, Budget, Descriptor, Notes, Stop};
use crate::tree::{Path, Tree};
use crate::value::{Kind, Value};

/// Collected data of one node.
#[derive(Debug, Clone, Default)]
struct Held {
    inputs: Vec<Arc<Tree>>,
    outputs: Vec<Arc<Tree>>,
}

struct Run<'d> {
    document: &'d Document,
    settings: &'d Settings,
    budget: Budget,
    held: Vec<Held>,
    notes: Vec<Notes>,
}

pub(super) fn solve(document: &Document, settings: &Settings) -> Solution {
    let run = Run::all(document, settings);
    let outputs = document.outputs.iter();
    let outputs = outputs.map(|(name, port)| Output { name: name.clone(), tree: Tree::clone(&run.data(*port)) });
    let mut solution = Solution { outputs: outputs.collect(), ..Solution::default() };
    for (node, notes) in document.nodes.iter().zip(&run.notes) {
        let sign = |text: &String| format!("{text}: component \"{}\" ({})", node.name, node.instance);
        solution.errors.extend(notes.errors.iter().map(sign));
        solution.warnings.extend(notes.warnings.iter().map(sign));
    }
    solution
}

/// The data of one parameter after a solve.
pub(super) fn data_of(document: &Document, settings: &Settings, port: Port) -> Tree {
    Tree::clone(&Run::all(document, settings).data(port))
}

// === impl Run ===

impl<'d> Run<'d> {
    fn all(document: &'d Document, settings: &'d Settings) -> Self {
        let count = document.nodes.len();
        let mut run = Self {
            document,
            settings,
            budget: Budget::new(settings),
            held: vec![Held::default(); count],
            notes: vec![Notes::default(); count],
        };
        let order = run.order();
        let sorted: BTreeSet<usize> = order.iter().copied().collect();
        for index in order {
            if let Err(stop) = run.node(index) {
                let text = match stop {
                    Stop::Budget => "The solution was stopped: it exceeds what this node allows one solve".to_owned(),
                    Stop::Error(message) => message,
                    Stop::Null => continue,
                };
                if let Some(notes) = run.notes.get_mut(index) {
                    notes.errors.insert(text);
                }
                // What comes later would only repeat it.
                return run;
            }
        }
        for index in (0..count).filter(|index| !sorted.contains(index)) {
            let locked = document.nodes.get(index).is_none_or(|node| node.locked);
            if let Some(notes) = run.notes.get_mut(index).filter(|_| !locked) {
                notes.errors.insert("Recursive data stream found; the object depends on itself".to_owned());
            }
        }
        run
    }

    /// Objects after everything they take data from; those on or behind a cycle are left out.
    fn order(&self) -> Vec<usize> {
        let nodes = &self.document.nodes;
        let mut waiting: Vec<usize> = vec![0; nodes.len()];
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            let parameters = node.inputs.iter().chain(&node.outputs);
            let sources: BTreeSet<usize> =
                parameters.flat_map(|p| &p.sources).filter_map(|id| Some(self.source(id)?.node)).collect();
            if let Some(count) = waiting.get_mut(index) {
                *count = sources.len();
            }
            for source in sources {
                if let Some(list) = followers.get_mut(source) {
                    list.push(index);
                }
            }
        }
        let mut ready: VecDeque<usize> =
            waiting.iter().enumerate().filter(|(_, count)| **count == 0).map(|(index, _)| index).collect();
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(index) = ready.pop_front() {
            order.push(index);
            for follower in followers.get(index).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(*follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push_back(*follower);
                    }
                }
            }
        }
        order
    }

    /// The port that a wire starts from; wires from inputs or from nowhere carry nothing.
    fn source(&self, id: &uuid::Uuid) -> Option<Port> {
        self.document.ports.get(id).copied().filter(|port| port.side == Side::Output)
    }

    fn data(&self, port: Port) -> Arc<Tree> {
        let held = self.held.get(port.node);
        let list = held.map(|held| match port.side {
            Side::Input => &held.inputs,
            Side::Output => &held.outputs,
        });
        list.and_then(|list| list.get(port.position)).cloned().unwrap_or_default()
    }

    fn node(&mut self, index: usize) -> Result<(), Stop> {
        let document = self.document;
        let Some(node) = document.nodes.get(index) else { return Ok(()) };
        let mut held = Held::default();
        let mut notes = Notes::default();
        let result = if node.locked {
            Ok(())
        } else if matches!(node.work, Work::Unknown) || node.lacks_library(&self.settings.plugins) {
            notes.errors.insert(missing(node));
            Ok(())
        } else {
            self.evaluate(index, node, &mut held, &mut notes)
        };
        if let (Some(place), Some(own)) = (self.held.get_mut(index), self.notes.get_mut(index)) {
            *place = held;
            *own = notes;
        }
        result
    }

    fn evaluate(&mut self, index: usize, node: &Node, held: &mut Held, notes: &mut Notes) -> Result<(), Stop> {
        for (position, parameter) in node.inputs.iter().enumerate() {
            let port = Port { node: index, side: Side::Input, position };
            let tree = self.collect(port, parameter, notes)?;
            held.inputs.push(tree);
        }
        match node.work {
            Work::Parameter(role) => {
                let Some(parameter) = node.outputs.first() else { return Ok(()) };
                let port = Port { node: index, side: Side::Output, position: 0 };
                let tree = self.collect(port, parameter, notes)?;
                if tree.is_empty() && !parameter.optional && matches!(role, Role::Plain | Role::Getter) {
                    notes.warnings.insert("Floating parameter failed to collect data".to_owned());
                }
                held.outputs.push(tree);
            }
            Work::Component(descriptor) => self.component(node, descriptor, held, notes)?,
            Work::Sink => {
                for (parameter, tree) in node.inputs.iter().zip(&held.inputs) {
                    lacking(parameter, tree, notes);
                }
            }
            Work::Unknown => {}
        }
        Ok(())
    }

    fn component(
        &mut self,
        node: &Node,
        descriptor: &'static Descriptor,
        held: &mut Held,
        notes: &mut Notes,
    ) -> Result<(), Stop> {
        let complete =
            node.inputs.iter().zip(&held.inputs).map(|(p, tree)| lacking(p, tree, notes)).filter(|l| *l).count() == 0;
        if !complete {
            held.outputs = vec![Arc::default(); node.outputs.len()];
            return Ok(());
        }
        let inputs: Vec<Fed> = node
            .inputs
            .iter()
            .zip(&held.inputs)
            .map(|(parameter, tree)| Fed {
                access: parameter.access,
                optional: parameter.optional,
                data: Arc::clone(tree),
            })
            .collect();
        let nicks: Vec<String> = node.inputs.iter().map(|input| input.nick.to_lowercase()).collect();
        let accesses: Vec<Access> = node.outputs.iter().map(|output| output.access).collect();
        let expression = node.expression.as_deref();
        let own = Own { descriptor, nicks: &nicks, expression, outputs: &accesses };
        let results = iterate::run(&own, &inputs, self.settings, &mut self.budget, notes)?;
        held.outputs = node.outputs.iter().zip(results).map(|(output, tree)| Arc::new(shaped(output, tree))).collect();
        Ok(())
    }

    /// The data that a parameter takes from what was set on it, from its sources, or from the file.
    fn collect(&mut self, port: Port, parameter: &Parameter, notes: &mut Notes) -> Result<Arc<Tree>, Stop> {
        if let Some(set) = self.document.set.get(&port) {
            self.budget.spend_tree(set)?;
            return Ok(Arc::new(cast(set.clone(), parameter.kind, notes)));
        }
        let sources: Vec<Arc<Tree>> =
            parameter.sources.iter().filter_map(|id| self.source(id)).map(|port| self.data(port)).collect();
        if let ([only], true) = (&sources[..], plain(parameter)) {
            // Nothing to change: the wire's data is shared, not copied.
            return Ok(Arc::clone(only));
        }
        let mut tree = Tree::new();
        if sources.is_empty() {
            self.budget.spend_tree(&parameter.persistent)?;
            tree = parameter.persistent.clone();
        }
        for source in &sources {
            self.budget.spend_tree(source)?;
            tree.merge(source);
        }
        let tree = cast(tree, parameter.kind, notes);
        let tree = self.expressed(parameter, tree, notes)?;
        Ok(Arc::new(shaped(parameter, tree)))
    }

    /// Applies the expression, the degrees and the inversion of a parameter to each of its items.
    fn expressed(&mut self, parameter: &Parameter, tree: Tree, notes: &mut Notes) -> Result<Tree, Stop> {
        let tree = match &parameter.expression {
            None => tree,
            Some(Err(fault)) => {
                notes.errors.insert(fault.clone());
                tree.map(|_value| None)
            }
            Some(Ok(expression)) => {
                let mut paid = Ok(());
                let tree = tree.map(|value| {
                    // Once the budget is spent nothing more is made.
                    paid.as_ref().ok()?;
                    let result = expression.evaluate(&|name| (name == "x").then(|| value.clone()));
                    match result {
                        Ok(result) => {
                            paid = self.budget.spend(1 + result.weight());
                            result.cast(parameter.kind)
                        }
                        Err(fault) => {
                            notes.errors.insert(fault.to_string());
                            None
                        }
                    }
                });
                paid?;
                tree
            }
        };
        let radians = |value: Value| value.as_number().map(|x| Value::Number(x.to_radians()));
        let tree = if parameter.degrees { tree.map(radians) } else { tree };
        let opposite = |value: Value| value.as_boolean().map(|x| Value::Boolean(!x));
        Ok(if parameter.invert { tree.map(opposite) } else { tree })
    }
}

/// Whether data passes a parameter unchanged whatever it is.
fn plain(parameter: &Parameter) -> bool {
    let unshaped = parameter.mapping == Mapping::None && !parameter.simplify && !parameter.reverse;
    unshaped && parameter.kind == Kind::Any && parameter.expression.is_none()
}

fn missing(node: &Node) -> String {
    match &node.library {
        Some(library) => format!("The plug-in {library} is not installed; object type {} is unknown", node.guid),
        None => format!("Object type {} is unknown; it may come from a plug-in that is not installed", node.guid),
    }
}

/// Warns when an input that needs data has none.
fn lacking(parameter: &Parameter, tree: &Tree, notes: &mut Notes) -> bool {
    let lacks = tree.is_empty() && !parameter.optional;
    if lacks {
        notes.warnings.insert(format!("Input parameter {} failed to collect data", parameter.nick));
    }
    lacks
}

fn cast(tree: Tree, kind: Kind, notes: &mut Notes) -> Tree {
    if kind == Kind::Any {
        return tree;
    }
    tree.map(|value| {
        let cast = value.cast(kind);
        if cast.is_none() {
            notes.errors.insert(format!("Data conversion failed from {} to {}", value.type_name(), kind.name()));
        }
        cast
    })
}

/// Applies the mapping of a parameter, then its simplification, then its reversal.
fn shaped(parameter: &Parameter, tree: Tree) -> Tree {
    let tree = match parameter.mapping {
        Mapping::None => tree,
        Mapping::Flatten => tree.flatten(Path::root()),
        Mapping::Graft => tree.graft(),
    };
    let tree = if parameter.simplify { tree.simplify(false) } else { tree };
    if parameter.reverse { tree.reverse() } else { tree }
}
