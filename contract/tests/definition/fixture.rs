//! Builds definitions as Grasshopper would save them, object by object.

use contract::definition::archive::{Archive, Chunk, Format, Item, Value};
use contract::definition::{Definition, Limits};
use uuid::{Uuid, uuid};

use crate::support::item;

pub(crate) const GET_NUMBER: Uuid = uuid!("7b36b876-9451-46f5-8220-a200d969cc66");
pub(crate) const GET_INTEGER: Uuid = uuid!("b228887e-0852-4d9f-bd46-2591646e0d7c");
pub(crate) const GET_BOOLEAN: Uuid = uuid!("51ef601d-f86e-4ee4-bcf2-3d459d3e95e9");
pub(crate) const GET_STRING: Uuid = uuid!("fed87bdd-8327-49cd-949c-09d70f3c345c");
pub(crate) const GET_POINT: Uuid = uuid!("997704ba-c1d3-4262-9090-927c81347ce6");
pub(crate) const GET_GEOMETRY: Uuid = uuid!("41dd7ba9-1f53-49d9-af42-a9270b0e9454");
pub(crate) const CONTEXT_BAKE: Uuid = uuid!("ae2531b4-bab2-4bb1-b5bf-f2143d10c132");
pub(crate) const CONTEXT_PRINT: Uuid = uuid!("73215ec5-0eb5-4f85-9e07-b09c4590ce2b");
pub(crate) const SLIDER: Uuid = uuid!("57da07bd-ecab-415d-9d86-af36d7073abc");
pub(crate) const PANEL: Uuid = uuid!("59e0b89a-e487-49f8-bab8-b5bab16be14c");
pub(crate) const TOGGLE: Uuid = uuid!("2e78987b-9dfb-42a2-8b76-3923ac8bd91a");
pub(crate) const VALUE_LIST: Uuid = uuid!("00027467-0d24-4fa7-b178-8dc0ac5f42ec");
pub(crate) const NUMBER: Uuid = uuid!("3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312");
pub(crate) const INTEGER: Uuid = uuid!("2e3ab970-8545-46bb-836c-1c11e5610bce");
pub(crate) const POINT: Uuid = uuid!("fbac3e32-f100-4292-8692-77240a42fd1a");
pub(crate) const CURVE: Uuid = uuid!("d5967b9f-e8ee-436b-a8ad-29fdcecf32d5");
pub(crate) const MESH: Uuid = uuid!("1e936df3-0eea-4246-8549-514cb8862b7a");
pub(crate) const SUBD: Uuid = uuid!("89cd1a12-0007-4581-99ba-66578665e610");
pub(crate) const DATA: Uuid = uuid!("8ec86459-bf01-4409-baee-174d0d2b13d0");
pub(crate) const ADDITION: Uuid = uuid!("a0d62394-a118-422d-abb3-6af115c75b25");
pub(crate) const AREA: Uuid = uuid!("2e205f24-9279-47b2-b414-d06dcd0b21a7");
pub(crate) const GROUP: Uuid = uuid!("c552a431-af5b-46a9-a8a4-0fcbc27ef596");
pub(crate) const CLUSTER: Uuid = uuid!("f31d8d7a-7536-4ac8-9c96-fde6ecda4d0a");

/// A document under construction. Ids count up from 1; each object stands ten units below the one before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canvas {
    pub(crate) objects: Vec<Chunk>,
    pub(crate) libraries: Vec<Chunk>,
    pub(crate) file_version: [i32; 3],
    ids: u128,
}

impl Canvas {
    pub(crate) fn new() -> Self {
        Self { file_version: [1, 0, 8], ..Self::default() }
    }

    pub(crate) fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    /// Any object: its own items and chunks go into the container.
    pub(crate) fn object(&mut self, component: Uuid, name: &str, nickname: &str, items: Vec<Item>) -> Uuid {
        let id = self.id();
        let y = 10.0 * f32::from(u16::try_from(self.objects.len()).unwrap());
        let mut container = Chunk::new("Container");
        container.items =
            vec![item("InstanceGuid", Value::Guid(id)), item("Name", text(name)), item("NickName", text(nickname))];
        container.items.extend(items);
        container.chunks = vec![attributes([100.0, y])];
        let mut object = Chunk { index: i32::try_from(self.objects.len()).ok(), ..Chunk::new("Object") };
        object.items = vec![item("GUID", Value::Guid(component)), item("Name", text(name))];
        object.chunks = vec![container];
        self.objects.push(object);
        id
    }

    /// The container of the object that was added last.
    pub(crate) fn last(&mut self) -> &mut Chunk {
        &mut self.objects.last_mut().unwrap().chunks[0]
    }

    /// Moves the object that was added last.
    pub(crate) fn at(&mut self, y: f32) {
        self.last().chunks[0] = attributes([100.0, y]);
    }

    pub(crate) fn parameter(&mut self, component: Uuid, name: &str, nickname: &str, from: &[Uuid]) -> Uuid {
        self.object(component, name, nickname, wires(from))
    }

    pub(crate) fn getter(&mut self, component: Uuid, name: &str, nickname: &str, from: &[Uuid]) -> Uuid {
        let mut items = wires(from);
        items.extend([
            item("AtLeast", Value::Int32(1)),
            item("AtMost", Value::Int32(1)),
            item("Prompt", text("how much?")),
            item("TreeAccess", Value::Bool(false)),
        ]);
        self.object(component, name, nickname, items)
    }

    pub(crate) fn slider(&mut self, nickname: &str, [least, most, value]: [f64; 3]) -> Uuid {
        let id = self.parameter(SLIDER, "Number Slider", nickname, &[]);
        let mut slider = Chunk::new("Slider");
        slider.items = vec![
            item("Digits", Value::Int32(2)),
            item("Interval", Value::Int32(0)),
            item("Max", Value::Double(most)),
            item("Min", Value::Double(least)),
            item("Value", Value::Double(value)),
        ];
        self.last().chunks.push(slider);
        id
    }

    pub(crate) fn panel(&mut self, content: &str, multiline: bool) -> Uuid {
        let id = self.parameter(PANEL, "Panel", "", &[]);
        self.last().items.push(item("UserText", text(content)));
        let properties =
            Chunk { items: vec![item("Multiline", Value::Bool(multiline))], ..Chunk::new("PanelProperties") };
        self.last().chunks.push(properties);
        id
    }

    pub(crate) fn toggle(&mut self, value: bool) -> Uuid {
        let id = self.parameter(TOGGLE, "Boolean Toggle", "", &[]);
        self.last().items.push(item("ToggleValue", Value::Bool(value)));
        id
    }

    /// A value list: names are of no use here, only expressions and which are chosen.
    pub(crate) fn value_list(&mut self, entries: &[(&str, bool)]) -> Uuid {
        let id = self.parameter(VALUE_LIST, "Value List", "", &[]);
        for (index, (expression, selected)) in (0..).zip(entries) {
            let items = vec![item("Expression", text(expression)), item("Selected", Value::Bool(*selected))];
            self.last().chunks.push(Chunk { index: Some(index), items, ..Chunk::new("ListItem") });
        }
        id
    }

    /// Stores data in the object that was added last: branches by path, each value under its item name.
    pub(crate) fn store(&mut self, branches: &[(&str, Vec<Item>)]) {
        let mut data = Chunk::new("PersistentData");
        for (at, (path, values)) in (0..).zip(branches) {
            let mut branch = Chunk { index: Some(at), items: vec![item("Path", text(path))], ..Chunk::new("Branch") };
            for (at, value) in (0..).zip(values) {
                branch.chunks.push(Chunk { index: Some(at), items: vec![value.clone()], ..Chunk::new("Item") });
            }
            data.chunks.push(branch);
        }
        self.last().chunks.push(data);
    }

    /// A component with fixed inputs and outputs; returns its id and those of its outputs.
    pub(crate) fn component(
        &mut self,
        component: Uuid,
        name: &str,
        inputs: &[(&str, &[Uuid])],
        outputs: &[&str],
    ) -> (Uuid, Vec<Uuid>) {
        let id = self.object(component, name, name, vec![]);
        for (index, (nickname, from)) in (0..).zip(inputs) {
            let inner = self.inner("param_input", index, nickname, from);
            self.last().chunks.push(inner);
        }
        let mut ids = Vec::new();
        for (index, nickname) in (0..).zip(outputs) {
            let inner = self.inner("param_output", index, nickname, &[]);
            ids.push(inner.guid("InstanceGuid").unwrap());
            self.last().chunks.push(inner);
        }
        (id, ids)
    }

    pub(crate) fn inner(&mut self, chunk: &str, index: i32, nickname: &str, from: &[Uuid]) -> Chunk {
        let id = self.id();
        let mut items =
            vec![item("InstanceGuid", Value::Guid(id)), item("Name", text(nickname)), item("NickName", text(nickname))];
        items.extend(wires(from));
        Chunk { index: Some(index), items, ..Chunk::new(chunk) }
    }

    pub(crate) fn group(&mut self, nickname: &str, members: &[Uuid]) -> Uuid {
        let ids = (0..).zip(members).map(|(index, id)| Item { index: Some(index), ..item("ID", Value::Guid(*id)) });
        let id = self.object(GROUP, "Group", nickname, ids.collect());
        self.last().chunks.clear();
        id
    }

    /// An output that nobody looks at, so that a test is not about the lack of one.
    pub(crate) fn any_output(&mut self) {
        let mesh = self.parameter(MESH, "Mesh", "result", &[]);
        self.at(9000.0);
        self.group("RH_OUT:result", &[mesh]);
    }

    pub(crate) fn cluster(&mut self, nickname: &str, document: Vec<u8>) -> Uuid {
        self.object(CLUSTER, "Cluster", nickname, vec![item("ClusterDocument", Value::Bytes(document))])
    }

    pub(crate) fn library(&mut self, items: Vec<Item>) {
        let index = i32::try_from(self.libraries.len()).ok();
        self.libraries.push(Chunk { index, items, ..Chunk::new("Library") });
    }

    /// The chunks of a document, as a file holds them in "Definition" and a cluster in its root.
    fn document(&self) -> Vec<Chunk> {
        let mut properties = Chunk::new("DefinitionProperties");
        properties.items = vec![item("Description", text("A test of\nthe reader"))];
        let libraries = Chunk { chunks: self.libraries.clone(), ..Chunk::new("GHALibraries") };
        let objects = Chunk { chunks: self.objects.clone(), ..Chunk::new("DefinitionObjects") };
        vec![properties, libraries, objects]
    }

    pub(crate) fn archive(&self) -> Archive {
        let mut definition = Chunk { chunks: self.document(), ..Chunk::new("Definition") };
        definition.items = vec![item("plugin_version", Value::Version(self.file_version))];
        Archive { format: Format::Ghx, root: Chunk { chunks: vec![definition], ..Chunk::new("Root") } }
    }

    /// The bytes that a cluster around this document holds.
    pub(crate) fn inside(&self) -> Vec<u8> {
        Archive { format: Format::Gh, root: Chunk { chunks: self.document(), ..Chunk::new("Root") } }.to_gh()
    }

    /// What the reader makes of it, by way of a real file.
    pub(crate) fn read(&self) -> Definition {
        let limits = Limits::default();
        let from_xml = Definition::read(self.archive().to_ghx().as_bytes(), &limits).unwrap();
        let mut from_binary = Definition::read(&self.archive().to_gh(), &limits).unwrap();
        from_binary.format = Format::Ghx;
        assert_eq!(from_xml, from_binary, "both formats tell the same");
        from_xml
    }
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn attributes([x, y]: [f32; 2]) -> Chunk {
    let items = vec![
        item("Bounds", Value::DrawingRectangleF([x - 5.0, y - 5.0, 50.0, 20.0])),
        item("Pivot", Value::DrawingPointF([x, y])),
    ];
    Chunk { items, ..Chunk::new("Attributes") }
}

fn wires(from: &[Uuid]) -> Vec<Item> {
    let sources = (0..).zip(from).map(|(index, id)| Item { index: Some(index), ..item("Source", Value::Guid(*id)) });
    let count = item("SourceCount", Value::Int32(i32::try_from(from.len()).unwrap()));
    sources.chain([count]).collect()
}
