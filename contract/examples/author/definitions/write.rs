//! A canvas as the tree of chunks that Grasshopper saves.

use contract::definition::archive::{Chunk, Value};
use uuid::{Uuid, uuid};

use super::{
    canvas::{Asks, Body, Canvas, Feed, Getter, Mapping, Object, Parameter, Slider, Source, Wire},
    identity,
    kinds::{Access, Component, Kind, Plugin, Port, Shape},
    layout::{self, Place},
    record::{self, Record},
};

/// The Rhino that the samples say they were saved by.
const RHINO: &str = "8.11.24254.15001";
/// Midnight of 5 January 2026, in .NET ticks: the files carry no time of their making.
const SAVED: i64 = 639_031_680_000_000_000;

const SLIDER: Uuid = uuid!("57da07bd-ecab-415d-9d86-af36d7073abc");
const PANEL: Uuid = uuid!("59e0b89a-e487-49f8-bab8-b5bab16be14c");
const TOGGLE: Uuid = uuid!("2e78987b-9dfb-42a2-8b76-3923ac8bd91a");
const GROUP: Uuid = uuid!("c552a431-af5b-46a9-a8a4-0fcbc27ef596");

/// The root chunk of the file.
pub(super) fn root(canvas: &Canvas) -> Chunk {
    let writer = Writer { canvas, places: layout::places(canvas) };
    let definition = Record::new("Definition")
        .item("plugin_version", Value::Version([1, 0, 8]))
        .chunk(writer.header())
        .chunk(writer.properties())
        .chunk(Record::new("RcpLayout").int("GroupCount", 0))
        .chunk(writer.libraries())
        .chunk(writer.objects());
    Record::new("Root").item("ArchiveVersion", Value::Version([0, 2, 2])).chunk(definition).done()
}

struct Writer<'c> {
    canvas: &'c Canvas,
    places: Vec<Place>,
}

// === The document ===

impl Writer<'_> {
    fn id(&self, name: &str) -> Uuid {
        identity::of(self.canvas.name, name)
    }

    fn header(&self) -> Record {
        Record::new("DocumentHeader")
            .guid("DocumentID", self.id("document"))
            .text("Preview", "Shaded")
            .int("PreviewMeshType", 1)
            .item("PreviewNormal", Value::Colour([100, 150, 0, 0]))
            .item("PreviewSelected", Value::Colour([100, 0, 150, 0]))
    }

    fn properties(&self) -> Record {
        Record::new("DefinitionProperties")
            .item("Date", Value::Date(SAVED))
            .text("Description", self.canvas.description)
            .bool("KeepOpen", false)
            .text("Name", self.canvas.name)
            .chunk(Record::new("Revisions").int("RevisionCount", 0))
            .chunk(
                Record::new("Projection").item("Target", Value::DrawingPoint([0, 0])).item("Zoom", Value::Single(1.0)),
            )
            .chunk(Record::new("Views").int("ViewCount", 0))
    }

    /// Grasshopper itself, and the plug-ins in use.
    fn libraries(&self) -> Record {
        let mut plugins: Vec<Plugin> = Vec::new();
        for plugin in self.canvas.objects.iter().filter_map(plugin_of) {
            if !plugins.contains(&plugin) {
                plugins.push(plugin);
            }
        }
        let grasshopper = Record::numbered("Library", 0)
            .text("Author", "Robert McNeel & Associates")
            .guid("Id", Uuid::nil())
            .text("Name", "Grasshopper")
            .text("Version", RHINO);
        let libraries = plugins.iter().enumerate().map(|(index, plugin)| {
            let assembly =
                format!("{}, Version={}, Culture=neutral, PublicKeyToken=null", plugin.name, plugin.assembly_version);
            Record::numbered("Library", index + 1)
                .text("AssemblyFullName", &assembly)
                .text("AssemblyVersion", plugin.assembly_version)
                .text("Author", plugin.author)
                .guid("Id", plugin.id)
                .text("Name", plugin.name)
                .text("Version", plugin.version)
        });
        Record::new("GHALibraries").count("Count", 1 + plugins.len()).chunk(grasshopper).chunks(libraries)
    }

    /// Groups first, as they lie behind what they frame.
    fn objects(&self) -> Record {
        let mut objects: Vec<Record> = Vec::new();
        for (index, title) in self.canvas.sections.iter().enumerate() {
            let members = self.canvas.objects.iter().filter(|object| object.section == index);
            let ids = members.map(|object| self.id(&object.name)).collect();
            objects.push(self.group(objects.len(), title, ids));
        }
        for exposure in &self.canvas.exposures {
            let member = self.id(&self.canvas.objects[exposure.member].name);
            objects.push(self.group(objects.len(), &exposure.name, vec![member]));
        }
        for (object, place) in self.canvas.objects.iter().zip(&self.places) {
            objects.push(self.object(objects.len(), object, *place));
        }
        Record::new("DefinitionObjects").count("ObjectCount", objects.len()).chunks(objects)
    }

    fn group(&self, index: usize, title: &str, members: Vec<Uuid>) -> Record {
        let mut container = container(["Group", title, "Frames objects that belong together"])
            .guid("InstanceGuid", self.id(&format!("group {title}")))
            .int("Border", 1)
            .item("Colour", Value::Colour([150, 170, 135, 255]))
            .count("ID_Count", members.len());
        for (position, member) in members.into_iter().enumerate() {
            container = container.item_at("ID", position, Value::Guid(member));
        }
        object(index, GROUP, "Group", None, container.chunk(Record::new("Attributes")))
    }
}

// === Objects ===

impl Writer<'_> {
    fn object(&self, index: usize, source: &Object, place: Place) -> Record {
        let named = |titles: [&str; 3]| container(titles).guid("InstanceGuid", self.id(&source.name));
        match &source.body {
            Body::Slider(slider) => {
                let container = named(["Number Slider", &source.name, "A number to slide"])
                    .with(unwired)
                    .chunk(attributes(place))
                    .chunk(slider_settings(slider));
                object(index, SLIDER, "Number Slider", None, container)
            }
            Body::Panel(text) => {
                let container = named(["Panel", &source.name, "Notes and text values"])
                    .with(unwired)
                    .double("ScrollRatio", 0.0)
                    .text("UserText", text)
                    .chunk(panel_attributes(place))
                    .chunk(panel_settings());
                object(index, PANEL, "Panel", None, container)
            }
            Body::Toggle(value) => {
                let container = named(["Boolean Toggle", "Toggle", "Yes or no"])
                    .with(unwired)
                    .bool("ToggleValue", *value)
                    .chunk(Record::new("Attributes").item("Bounds", Value::DrawingRectangleF(place.bounds)));
                object(index, TOGGLE, "Boolean Toggle", None, container)
            }
            Body::Getter(getter) => {
                let (guid, name, description) = contextual(getter.asks);
                let container = getter_settings(named([name, &source.name, description]), getter)
                    .with(|record| self.sources(record, &getter.source.into()))
                    .chunk(attributes(place));
                object(index, guid, name, None, container)
            }
            Body::Parameter(parameter) => {
                let [name, description] = parameter.kind.titles();
                let container = self.parameter(named([name, &source.name, description]), parameter, place);
                object(index, parameter.kind.guid(), name, None, container)
            }
            Body::Component(component, feeds) => {
                let titles = [component.name, component.nickname, component.description];
                let container = self.component(named(titles), &source.name, component, feeds, place);
                object(index, component.guid, component.name, component.plugin, container)
            }
        }
    }

    fn parameter(&self, record: Record, parameter: &Parameter, place: Place) -> Record {
        record
            .bool("Optional", false)
            .with(|record| self.sources(record, &parameter.feed))
            .chunk(attributes(place))
            .with(|record| held(record, parameter.kind, &parameter.feed.source))
    }

    fn component(&self, record: Record, name: &str, component: &Component, feeds: &[Feed], place: Place) -> Record {
        let mut record = record.chunk(attributes(place));
        for (switch, on) in &component.switches {
            record = record.bool(switch, *on);
        }
        if let Some(formula) = component.formula {
            record = record.text("Expression", formula);
        }
        let [input, output] = match component.shape {
            Shape::Fixed => ["param_input", "param_output"],
            Shape::Variable => ["InputParam", "OutputParam"],
        };
        let inputs = component.inputs.iter().zip(feeds).enumerate().map(|(index, (port, feed))| {
            let place = layout::port(place, index, component.inputs.len(), false);
            let id = self.id(&format!("{name} / input {}", port.name));
            self.port(Record::numbered(input, index), id, port, feed, place)
        });
        let outputs = component.outputs.iter().enumerate().map(|(index, port)| {
            let place = layout::port(place, index, component.outputs.len(), true);
            let id = self.id(&output_name(name, port));
            self.port(Record::numbered(output, index), id, port, &Source::Untouched.into(), place)
        });
        match component.shape {
            Shape::Fixed => record.chunks(inputs).chunks(outputs),
            Shape::Variable => record.chunk(types(component).chunks(inputs).chunks(outputs)),
        }
    }

    fn port(&self, record: Record, id: Uuid, port: &Port, feed: &Feed, place: Place) -> Record {
        let default = port.default.clone().map_or(Source::Untouched, Source::Held);
        let value = if matches!(feed.source, Source::Held(_)) { &feed.source } else { &default };
        titled(record, [&port.name, port.nickname, port.description])
            .guid("InstanceGuid", id)
            .bool("Optional", port.optional)
            .with(|record| if port.access == Access::Item { record } else { record.int("Access", port.access as i32) })
            .with(|record| self.sources(record, feed))
            .chunk(attributes(place))
            .with(|record| held(record, port.kind, value))
    }

    /// The wires into a parameter, and what it does to the tree that arrives.
    fn sources(&self, record: Record, feed: &Feed) -> Record {
        let record = match &feed.source {
            Source::Wire(wire) => record.item_at("Source", 0, Value::Guid(self.origin(*wire))).int("SourceCount", 1),
            Source::Held(_) | Source::Untouched => record.int("SourceCount", 0),
        };
        if feed.mapping == Mapping::None { record } else { record.int("Mapping", feed.mapping as i32) }
    }

    /// The id that a wire names: of a floating object, or of the output parameter of a component.
    fn origin(&self, wire: Wire) -> Uuid {
        let object = &self.canvas.objects[wire.object];
        match (&object.body, wire.output) {
            (Body::Component(component, _), Some(output)) => {
                self.id(&output_name(&object.name, &component.outputs[output]))
            }
            _ => self.id(&object.name),
        }
    }
}

// === Parts ===

fn object(index: usize, guid: Uuid, name: &str, plugin: Option<Plugin>, container: Record) -> Record {
    Record::numbered("Object", index)
        .guid("GUID", guid)
        .text("Name", name)
        .with(|record| match plugin {
            Some(plugin) => record.guid("Lib", plugin.id),
            None => record,
        })
        .chunk(container)
}

fn container(titles: [&str; 3]) -> Record {
    titled(Record::new("Container"), titles)
}

fn titled(record: Record, [name, nickname, description]: [&str; 3]) -> Record {
    record.text("Name", name).text("NickName", nickname).text("Description", description)
}

fn unwired(record: Record) -> Record {
    record.bool("Optional", false).int("SourceCount", 0)
}

fn attributes(place: Place) -> Record {
    Record::new("Attributes")
        .item("Bounds", Value::DrawingRectangleF(place.bounds))
        .item("Pivot", Value::DrawingPointF(place.pivot))
}

fn panel_attributes(place: Place) -> Record {
    attributes(place).int("MarginLeft", 0).int("MarginRight", 0).int("MarginTop", 0)
}

fn panel_settings() -> Record {
    Record::new("PanelProperties")
        .item("Colour", Value::Colour([255, 255, 250, 90]))
        .bool("DrawIndices", true)
        .bool("DrawPaths", true)
        .bool("Multiline", true)
        .bool("SpecialCodes", false)
        .bool("Stream", false)
        .bool("Wrap", true)
}

fn slider_settings(slider: &Slider) -> Record {
    Record::new("Slider")
        .int("Digits", slider.digits)
        .int("GripDisplay", 1)
        .int("Interval", i32::from(slider.digits == 0))
        .double("Max", slider.to)
        .double("Min", slider.from)
        .int("SnapCount", 0)
        .double("Value", slider.value)
}

fn contextual(asks: Asks) -> (Uuid, &'static str, &'static str) {
    match asks {
        Asks::Number => (uuid!("7b36b876-9451-46f5-8220-a200d969cc66"), "Get Number", "Asks for a number"),
        Asks::Integer => (uuid!("b228887e-0852-4d9f-bd46-2591646e0d7c"), "Get Integer", "Asks for a whole number"),
        Asks::Boolean => (uuid!("51ef601d-f86e-4ee4-bcf2-3d459d3e95e9"), "Get Boolean", "Asks for yes or no"),
        Asks::Text => (uuid!("fed87bdd-8327-49cd-949c-09d70f3c345c"), "Get String", "Asks for a text"),
        Asks::Point => (uuid!("997704ba-c1d3-4262-9090-927c81347ce6"), "Get Point", "Asks for a point"),
    }
}

fn getter_settings(record: Record, getter: &Getter) -> Record {
    let record = record
        .int("AtLeast", 1)
        .int("AtMost", 1)
        .bool("Optional", false)
        .text("Prompt", getter.prompt)
        .bool("TreeAccess", false);
    match getter.asks {
        // These limits are Grasshopper's way to say that there are none: the slider behind the getter has them.
        Asks::Number => record.int("ListCount", 0).double("Maximum", f64::MAX).double("Minimum", f64::MIN),
        Asks::Integer => record.int("ListCount", 0).int("Maximum", i32::MAX).int("Minimum", i32::MIN),
        Asks::Boolean => record.text("FalseValue", "False").text("TrueValue", "True"),
        Asks::Text => record.int("ListCount", 0),
        Asks::Point => record.bool("Realtime", true),
    }
}

fn held(record: Record, kind: Kind, source: &Source) -> Record {
    match source {
        Source::Held(literal) => record.chunk(record::persistent(kind, literal)),
        Source::Wire(_) | Source::Untouched => record,
    }
}

/// The types of the parameters of a component with a variable number of them.
fn types(component: &Component) -> Record {
    let mut record = Record::new("ParameterData")
        .count("InputCount", component.inputs.len())
        .count("OutputCount", component.outputs.len());
    for (index, port) in component.inputs.iter().enumerate() {
        record = record.item_at("InputId", index, Value::Guid(port.kind.guid()));
    }
    for (index, port) in component.outputs.iter().enumerate() {
        record = record.item_at("OutputId", index, Value::Guid(port.kind.guid()));
    }
    record
}

fn output_name(component: &str, port: &Port) -> String {
    format!("{component} / output {}", port.name)
}

fn plugin_of(object: &Object) -> Option<Plugin> {
    if let Body::Component(component, _) = &object.body { component.plugin } else { None }
}
