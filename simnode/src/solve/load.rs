//! The archive's objects as nodes: what each is, its parameters, and where their data comes from.
//!
//! Nothing is evaluated here but what the file stores as text: persistent data, slider values, expressions. Unknown
//! objects stay in the graph, so that what hangs on them can say that it got no data.

use std::collections::{BTreeSet, HashMap};

use contract::definition::Archive;
use contract::definition::archive::{Chunk, Value as Stored};
use uuid::Uuid;

use super::parameters::{self, Role};
use super::{LoadError, persistent};
use crate::components::{self, Access, Descriptor};
use crate::expression::Expression;
use crate::tree::{Path, Tree};
use crate::value::{Kind, Value};

/// More objects than any definition met, by a factor of ten.
pub(super) const OBJECTS_MAX: usize = 20_000;

/// A parameter's place in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Port {
    pub(super) node: usize,
    pub(super) side: Side,
    pub(super) position: usize,
}

/// A floating parameter is an output of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Input,
    Output,
}

/// What an object does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Parameter(Role),
    Component(&'static Descriptor),
    /// Takes data and gives none: Context Bake, Context Print, displays.
    Sink,
    Unknown,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) guid: Uuid,
    pub(super) instance: Uuid,
    pub(super) name: String,
    pub(super) nick: String,
    pub(super) locked: bool,
    /// The library that the object comes from, unless it is Grasshopper itself.
    pub(super) library: Option<String>,
    pub(super) work: Work,
    pub(super) inputs: Vec<Parameter>,
    pub(super) outputs: Vec<Parameter>,
    /// The expression that an Expression component stores.
    pub(super) expression: Option<String>,
}

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "the file stores these switches one by one")]
pub(super) struct Parameter {
    pub(super) instance: Uuid,
    pub(super) nick: String,
    pub(super) kind: Kind,
    pub(super) access: Access,
    pub(super) optional: bool,
    pub(super) sources: Vec<Uuid>,
    pub(super) persistent: Tree,
    pub(super) mapping: Mapping,
    pub(super) simplify: bool,
    pub(super) reverse: bool,
    /// Numbers are degrees and mean radians.
    pub(super) degrees: bool,
    /// Booleans mean their opposite.
    pub(super) invert: bool,
    /// In the variable `x`; a text that is no expression says so when it is used.
    pub(super) expression: Option<Result<Expression, String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    None,
    Flatten,
    Graft,
}

pub(super) struct Loaded {
    pub(super) nodes: Vec<Node>,
    pub(super) ports: HashMap<Uuid, Port>,
}

pub(super) fn load(archive: &Archive) -> Result<Loaded, LoadError> {
    let document = archive.document().ok_or(LoadError::NoObjects)?;
    let objects = objects(document).ok_or(LoadError::NoObjects)?;
    let libraries = libraries(document);
    let count = objects.chunks_named("Object").count();
    if count > OBJECTS_MAX {
        return Err(LoadError::TooManyObjects(count));
    }
    let nodes: Vec<Node> = objects.chunks_named("Object").filter_map(|object| node(object, &libraries)).collect();
    let mut ports = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for (side, parameters) in [(Side::Input, &node.inputs), (Side::Output, &node.outputs)] {
            for (position, parameter) in parameters.iter().enumerate() {
                // Of two parameters with one instance the first is found, as a list search does.
                ports.entry(parameter.instance).or_insert(Port { node: index, side, position });
            }
        }
    }
    Ok(Loaded { nodes, ports })
}

/// The chunk that lists the objects.
fn objects(document: &Chunk) -> Option<&Chunk> {
    document.chunk("DefinitionObjects")
}

/// Names of the listed libraries by id. Those with the zero id are told apart by name only.
fn libraries(document: &Chunk) -> HashMap<Uuid, String> {
    let listed = document.chunk("GHALibraries");
    let listed = listed.into_iter().flat_map(|chunk| chunk.chunks_named("Library"));
    listed
        .filter_map(|library| {
            let full = library.text("AssemblyFullName").and_then(|full| full.split(',').next());
            let name = library.text("Name").filter(|name| !name.is_empty()).or(full).unwrap_or_default();
            Some((library.guid("Id")?, name.to_owned()))
        })
        .collect()
}

fn node(object: &Chunk, libraries: &HashMap<Uuid, String>) -> Option<Node> {
    let guid = object.guid("GUID")?;
    if parameters::is_decoration(&guid) {
        return None;
    }
    let empty = Chunk::default();
    let container = object.chunk("Container").unwrap_or(&empty);
    // Grasshopper's own objects carry the zero id or none.
    let library = object.guid("Lib").filter(|id| !id.is_nil());
    let library = library.map(|id| libraries.get(&id).cloned().unwrap_or_else(|| id.to_string()));
    let library = library.filter(|name| name != "Grasshopper");
    let text = |name: &str| container.text(name).unwrap_or_default().to_owned();
    let mut node = Node {
        guid,
        instance: container.guid("InstanceGuid").unwrap_or_default(),
        name: container.text("Name").or_else(|| object.text("Name")).unwrap_or_default().to_owned(),
        nick: text("NickName"),
        locked: container.bool("Locked").unwrap_or(false),
        library,
        work: Work::Unknown,
        inputs: Vec::new(),
        outputs: Vec::new(),
        expression: container.text("Expression").map(str::to_owned),
    };
    if container.item("SourceCount").is_some() {
        floating(&mut node, container);
    } else {
        component(&mut node, container);
    }
    Some(node)
}

fn floating(node: &mut Node, container: &Chunk) {
    let known = parameters::floating(&node.guid);
    let (role, kind) = known.unwrap_or((Role::Plain, Kind::Any));
    if known.is_some() {
        node.work = Work::Parameter(role);
    } else if parameters::is_display(&node.guid) {
        node.work = Work::Sink;
    }
    let mut parameter = parameter(container, kind, Access::Tree);
    // The nickname that messages use.
    parameter.nick.clone_from(&node.nick);
    if parameter.persistent.path_count() == 0 {
        parameter.persistent = persistent::special(role, container);
    }
    if role == Role::Slider {
        let expression = container.chunk("Slider").and_then(|slider| slider.text("Expression"));
        parameter.expression = expression.and_then(read_expression).or(parameter.expression);
    }
    if role == Role::Getter && container.int("AtLeast") == Some(0) {
        parameter.optional = true;
    }
    node.outputs.push(parameter);
}

fn component(node: &mut Node, container: &Chunk) {
    let descriptor = components::find(&node.guid);
    if let Some(descriptor) = descriptor {
        node.work = Work::Component(descriptor);
    } else if parameters::is_display(&node.guid) || parameters::is_context_output(&node.guid) {
        node.work = Work::Sink;
    }
    let data = container.chunk("ParameterData");
    let (holder, input, output) = match data {
        Some(data) => (data, "InputParam", "OutputParam"),
        None => (container, "param_input", "param_output"),
    };
    for (position, chunk) in in_order(holder, input).into_iter().enumerate() {
        let signature = descriptor.and_then(|known| known.input(position));
        let kind = signature.map_or(Kind::Any, |known| known.kind);
        let access = signature.map_or_else(|| stored_access(chunk), |known| known.access);
        let mut parameter = parameter(chunk, kind, access);
        if let Some(signature) = signature {
            parameter.optional |= signature.optional;
            if let (None, Some(preset)) = (chunk.chunk("PersistentData"), signature.preset.value()) {
                parameter.persistent = Tree::item(preset);
            }
        }
        node.inputs.push(parameter);
    }
    for (position, chunk) in in_order(holder, output).into_iter().enumerate() {
        let signature = descriptor.and_then(|known| known.output(position));
        let access = signature.map_or_else(|| stored_access(chunk), |known| known.access);
        node.outputs.push(parameter(chunk, Kind::Any, access));
    }
    if let Some(descriptor) = descriptor {
        complete(node, descriptor);
    }
}

/// Inputs that a shortened file leaves out hold their preset, as they do in a new component.
fn complete(node: &mut Node, descriptor: &'static Descriptor) {
    if descriptor.grows {
        return;
    }
    for signature in descriptor.inputs.iter().skip(node.inputs.len()) {
        let mut parameter = parameter(&Chunk::default(), signature.kind, signature.access);
        signature.name.clone_into(&mut parameter.nick);
        parameter.optional = signature.optional;
        parameter.persistent = signature.preset.value().map(Tree::item).unwrap_or_default();
        node.inputs.push(parameter);
    }
}

/// The chunks of a name, sorted by index; those without one come last, in file order.
fn in_order<'c>(holder: &'c Chunk, name: &str) -> Vec<&'c Chunk> {
    let mut chunks: Vec<&Chunk> = holder.chunks_named(name).collect();
    chunks.sort_by_key(|chunk| chunk.index.unwrap_or(i32::MAX));
    chunks
}

fn stored_access(chunk: &Chunk) -> Access {
    match chunk.int("Access") {
        Some(1) => Access::List,
        Some(2) => Access::Tree,
        _ => Access::Item,
    }
}

fn parameter(chunk: &Chunk, kind: Kind, access: Access) -> Parameter {
    let nick = chunk.text("NickName").or_else(|| chunk.text("Name")).unwrap_or_default();
    let mut sources: Vec<(i32, Uuid)> = chunk
        .items_named("Source")
        .filter_map(|item| Some((item.index.unwrap_or(i32::MAX), item.value.as_guid()?)))
        .collect();
    sources.sort_by_key(|(index, _)| *index);
    // A parameter that lists one source twice gets its data twice; a hostile list of them is cut.
    let sources = sources.into_iter().map(|(_, source)| source).take(OBJECTS_MAX).collect();
    let stored = chunk.chunk("PersistentData");
    Parameter {
        instance: chunk.guid("InstanceGuid").unwrap_or_default(),
        nick: nick.to_owned(),
        kind,
        access,
        optional: chunk.bool("Optional").unwrap_or(false),
        sources,
        persistent: stored.map(|data| persistent::tree(data, kind)).unwrap_or_default(),
        mapping: match chunk.int("Mapping") {
            Some(1) => Mapping::Flatten,
            Some(2) => Mapping::Graft,
            _ => Mapping::None,
        },
        simplify: chunk.bool("SimplifyData").unwrap_or(false),
        reverse: chunk.bool("ReverseData").unwrap_or(false),
        degrees: chunk.bool("UseDegrees").unwrap_or(false),
        invert: chunk.bool("InvertBooleans").unwrap_or(false),
        expression: chunk.text("InternalExpression").and_then(read_expression),
    }
}

fn read_expression(text: &str) -> Option<Result<Expression, String>> {
    (!text.trim().is_empty()).then(|| Expression::parse(text).map_err(|fault| fault.to_string()))
}

// === impl Node ===

impl Node {
    /// Whether the node's library is missing where these are installed.
    pub(super) fn lacks_library(&self, installed: &BTreeSet<String>) -> bool {
        self.library.as_ref().is_some_and(|name| !installed.contains(name))
    }
}

/// One item per line, or one text for all of it.
pub(super) fn panel_lines(container: &Chunk) -> Tree {
    let text = container.text("UserText").unwrap_or_default();
    let properties = container.chunk("PanelProperties");
    let whole = properties.and_then(|chunk| chunk.bool("Multiline")).unwrap_or(true);
    if text.is_empty() {
        return Tree::new();
    }
    if whole {
        return Tree::item(Value::Text(text.to_owned()));
    }
    let lines = text.split('\n').map(|line| Some(Value::Text(line.trim_end_matches('\r').to_owned())));
    Tree::from_iter([(Path::root(), lines.collect())])
}

/// A stored number of any width.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other types convert themselves or not at all")]
pub(super) fn number(chunk: &Chunk, name: &str) -> Option<f64> {
    match chunk.item(name)? {
        Stored::Decimal([low, middle, high, flags]) => {
            let whole = f64::from(*low) + f64::from(*middle) * 2f64.powi(32) + f64::from(*high) * 2f64.powi(64);
            let scale = i32::try_from((flags >> 16) & 0xff).unwrap_or(0);
            let sign = if flags >> 31 == 1 { -1.0 } else { 1.0 };
            Some(sign * whole / 10f64.powi(scale))
        }
        other => other.as_double(),
    }
}
