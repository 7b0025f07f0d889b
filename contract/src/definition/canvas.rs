//! The top-level objects of a document, and the wires between them.
//!
//! A wire is the GUID of an output, held by the parameter that it feeds. Invariant: `objects` stand in the order of the
//! file, which is the order in which Grasshopper enumerates them.

use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use super::archive::{Chunk, Value};
use super::discover::Found;
use super::guids;
use super::model::Spot;

/// One object on the canvas.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// The component that this is an instance of.
    pub(super) component: Uuid,
    pub(super) name: &'a str,
    pub(super) nickname: &'a str,
    pub(super) instance: Uuid,
    pub(super) container: &'a Chunk,
}

#[derive(Debug)]
pub(super) struct Canvas<'a> {
    pub(super) objects: Vec<Object<'a>>,
    by_instance: HashMap<Uuid, usize>,
    /// The owner of each output of a component.
    owners: HashMap<Uuid, usize>,
    /// Whatever some parameter is wired to.
    fed: HashSet<Uuid>,
}

/// Where a wire comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'c, 'a> {
    Parameter(&'c Object<'a>),
    Component(&'c Object<'a>),
}

// === impl Canvas ===

impl<'a> Canvas<'a> {
    /// Lays out the chunk that holds `DefinitionObjects`.
    pub(super) fn new(document: &'a Chunk) -> Self {
        let mut chunks: Vec<&Chunk> = document
            .chunk("DefinitionObjects")
            .into_iter()
            .flat_map(|objects| objects.chunks_named("Object"))
            .collect();
        chunks.sort_by_key(|chunk| chunk.index.unwrap_or(i32::MAX));
        let objects: Vec<Object<'a>> = chunks.into_iter().filter_map(Object::new).collect();
        let (mut by_instance, mut owners, mut fed) = (HashMap::new(), HashMap::new(), HashSet::new());
        for (at, object) in objects.iter().enumerate() {
            by_instance.entry(object.instance).or_insert(at);
            owners.extend(object.outputs().iter().filter_map(|output| Some((output.guid("InstanceGuid")?, at))));
            fed.extend(sources(object.container));
            fed.extend(object.inputs().into_iter().flat_map(sources));
        }
        Self { objects, by_instance, owners, fed }
    }

    pub(super) fn object(&self, instance: Uuid) -> Option<&Object<'a>> {
        self.by_instance.get(&instance).map(|at| &self.objects[*at])
    }

    /// The members of a group that exist, in the group's order.
    pub(super) fn members(&self, group: &Object<'a>) -> impl Iterator<Item = &Object<'a>> {
        group.container.items_named("ID").filter_map(|item| self.object(item.value.as_guid()?))
    }

    /// Where the wires of a parameter come from. A wire from nowhere is dropped, as Grasshopper drops it at load.
    pub(super) fn origins(&self, parameter: &Chunk) -> Vec<Origin<'_, 'a>> {
        self.first_origins(parameter, usize::MAX)
    }

    /// As [`origins`](Self::origins), and no more than `most` of them are looked for.
    pub(super) fn first_origins(&self, parameter: &Chunk, most: usize) -> Vec<Origin<'_, 'a>> {
        sources(parameter)
            .filter_map(|id| match self.object(id) {
                Some(object) => object.is_parameter().then_some(Origin::Parameter(object)),
                None => self.owners.get(&id).map(|at| Origin::Component(&self.objects[*at])),
            })
            .take(most)
            .collect()
    }

    /// Parameters and components with a nickname of their own that discovery did not bind.
    pub(super) fn unseen(&self, found: &Found) -> Vec<Spot> {
        let inputs = found.inputs.iter().map(|input| input.instance);
        let seen: HashSet<Uuid> = inputs.chain(found.outputs.iter().map(|output| output.instance)).collect();
        let named = self.objects.iter().filter(|object| {
            !object.nickname.is_empty() && object.nickname != object.name && object.component != guids::GROUP
        });
        named.filter(|object| !seen.contains(&object.instance)).map(Object::spot).collect()
    }

    /// Whether some parameter takes its data from this object.
    pub(super) fn feeds_something(&self, object: &Object<'_>) -> bool {
        self.fed.contains(&object.instance)
            || object
                .outputs()
                .iter()
                .any(|output| output.guid("InstanceGuid").is_some_and(|id| self.fed.contains(&id)))
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    fn new(chunk: &'a Chunk) -> Option<Self> {
        let container = chunk.chunk("Container")?;
        let name = container.text("Name").or_else(|| chunk.text("Name")).unwrap_or_default();
        Some(Self {
            component: chunk.guid("GUID")?,
            name,
            nickname: container.text("NickName").unwrap_or_default(),
            instance: container.guid("InstanceGuid").unwrap_or_default(),
            container,
        })
    }

    /// A floating parameter, sliders and panels among them: only these state a `SourceCount` of their own.
    pub(super) fn is_parameter(&self) -> bool {
        self.container.item("SourceCount").is_some()
    }

    /// Anything with inputs and outputs of its own.
    pub(super) fn is_component(&self) -> bool {
        let has_io = |chunk: &Chunk| {
            let names = ["param_input", "param_output", "ParameterData"];
            names.iter().any(|name| chunk.name.eq_ignore_ascii_case(name))
        };
        !self.is_parameter() && self.container.chunks.iter().any(has_io)
    }

    /// The type of a contextual parameter, "?" where it is one of a plug-in; none where it is no contextual parameter.
    pub(super) fn contextual_type(&self) -> Option<&'static str> {
        let of_plugin = || {
            let looks_so = ["AtLeast", "AtMost", "Prompt"].iter().all(|name| self.container.item(name).is_some());
            (self.is_parameter() && looks_so).then_some("?")
        };
        guids::getter_type(self.component).or_else(of_plugin)
    }

    /// The inputs of a component, in order.
    pub(super) fn inputs(&self) -> Vec<&'a Chunk> {
        self.inner("param_input", "InputParam")
    }

    /// The outputs of a component, in order.
    pub(super) fn outputs(&self) -> Vec<&'a Chunk> {
        self.inner("param_output", "OutputParam")
    }

    /// The `TypeName` of an output, which only components with a variable number of outputs state.
    pub(super) fn output_type(&self, output: usize) -> &'static str {
        let class = || {
            let data = self.container.chunk("ParameterData")?;
            guids::type_name(data.item_at("OutputId", i32::try_from(output).ok()?)?.as_guid()?)
        };
        class().unwrap_or("?")
    }

    pub(super) fn position(&self) -> Option<[f32; 2]> {
        position(self.container)
    }

    pub(super) fn spot(&self) -> Spot {
        Spot {
            object: self.name.to_owned(),
            nickname: self.nickname.to_owned(),
            instance: self.instance,
            position: self.position(),
        }
    }

    fn inner(&self, fixed: &str, variable: &str) -> Vec<&'a Chunk> {
        let mut found: Vec<&Chunk> = self.container.chunks_named(fixed).collect();
        if let Some(data) = self.container.chunk("ParameterData") {
            found.extend(data.chunks_named(variable));
        }
        found.sort_by_key(|chunk| chunk.index.unwrap_or(0));
        found
    }
}

/// What a parameter is wired to, in the order of its data.
pub(super) fn sources(parameter: &Chunk) -> impl Iterator<Item = Uuid> {
    parameter.items_named("Source").filter_map(|item| item.value.as_guid())
}

/// The pivot of an object or parameter in canvas units, y downwards; the corner of its bounds where it has none.
pub(super) fn position(container: &Chunk) -> Option<[f32; 2]> {
    let attributes = container.chunk("Attributes")?;
    match (attributes.item("Pivot"), attributes.item("Bounds")) {
        (Some(Value::DrawingPointF(pivot)), _) => Some(*pivot),
        (_, Some(Value::DrawingRectangleF([x, y, ..]))) => Some([*x, *y]),
        _ => None,
    }
}
