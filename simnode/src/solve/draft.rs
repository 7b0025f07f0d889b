//! Small definitions for tests, built as archives the way Grasshopper writes them.

use contract::definition::archive::{Archive, Chunk, Format, Item, Value as Stored};
use uuid::{Uuid, uuid};

pub(crate) const SLIDER: Uuid = uuid!("57da07bd-ecab-415d-9d86-af36d7073abc");
pub(crate) const PANEL: Uuid = uuid!("59e0b89a-e487-49f8-bab8-b5bab16be14c");
pub(crate) const NUMBER: Uuid = uuid!("3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312");
pub(crate) const DATA: Uuid = uuid!("8ec86459-bf01-4409-baee-174d0d2b13d0");
const GROUP: Uuid = uuid!("c552a431-af5b-46a9-a8a4-0fcbc27ef596");

/// A definition in the making; ids count up, so that drafts are equal from run to run.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    objects: Vec<Chunk>,
    libraries: Vec<(Uuid, String)>,
    next: u128,
}

/// The parameters of a component that was drafted.
#[derive(Debug, Clone)]
pub(crate) struct Drafted {
    pub(crate) instance: Uuid,
    pub(crate) inputs: Vec<Uuid>,
    pub(crate) outputs: Vec<Uuid>,
}

pub(crate) fn item(name: &str, value: Stored) -> Item {
    Item { name: name.to_owned(), index: None, value }
}

fn at(name: &str, index: usize, value: Stored) -> Item {
    Item { name: name.to_owned(), index: Some(i32::try_from(index).unwrap()), value }
}

fn text(value: &str) -> Stored {
    Stored::Text(value.to_owned())
}

impl Draft {
    fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(0x1000 + self.next)
    }

    fn object(&mut self, guid: Uuid, library: Option<Uuid>, container: Chunk) {
        let name = container.text("Name").unwrap_or_default().to_owned();
        let mut object = Chunk::new("Object");
        object.index = Some(i32::try_from(self.objects.len()).unwrap());
        object.items = vec![item("GUID", Stored::Guid(guid)), item("Name", text(&name))];
        object.items.extend(library.map(|id| item("Lib", Stored::Guid(id))));
        object.chunks = vec![Chunk { name: "Container".to_owned(), ..container }];
        self.objects.push(object);
    }

    fn sources(items: &mut Vec<Item>, sources: &[Uuid]) {
        items.push(item("SourceCount", Stored::Int32(i32::try_from(sources.len()).unwrap())));
        items.extend(sources.iter().enumerate().map(|(index, id)| at("Source", index, Stored::Guid(*id))));
    }

    /// A floating parameter; `change` may add to its container.
    pub(crate) fn parameter(
        &mut self,
        guid: Uuid,
        nick: &str,
        sources: &[Uuid],
        change: impl FnOnce(&mut Chunk),
    ) -> Uuid {
        let id = self.id();
        let mut container = Chunk::new("Container");
        container.items =
            vec![item("InstanceGuid", Stored::Guid(id)), item("Name", text(nick)), item("NickName", text(nick))];
        Self::sources(&mut container.items, sources);
        change(&mut container);
        self.object(guid, None, container);
        id
    }

    pub(crate) fn slider(&mut self, nick: &str, value: f64) -> Uuid {
        self.parameter(SLIDER, nick, &[], |container| {
            let mut slider = Chunk::new("Slider");
            slider.items = vec![
                item("Min", Stored::Double(0.0)),
                item("Max", Stored::Double(100.0)),
                item("Value", Stored::Double(value)),
            ];
            container.chunks.push(slider);
        })
    }

    pub(crate) fn panel(&mut self, user_text: &str, multiline: bool) -> Uuid {
        self.parameter(PANEL, "", &[], |container| {
            container.items.push(item("UserText", text(user_text)));
            let mut properties = Chunk::new("PanelProperties");
            properties.items = vec![item("Multiline", Stored::Bool(multiline))];
            container.chunks.push(properties);
        })
    }

    /// A component of this type whose inputs take these sources, with so many outputs.
    pub(crate) fn component(&mut self, guid: Uuid, inputs: &[(&str, &[Uuid])], outputs: &[&str]) -> Drafted {
        self.component_with(guid, None, inputs, outputs, |_container| {})
    }

    pub(crate) fn component_with(
        &mut self,
        guid: Uuid,
        library: Option<&str>,
        inputs: &[(&str, &[Uuid])],
        outputs: &[&str],
        change: impl FnOnce(&mut Chunk),
    ) -> Drafted {
        let library = library.map(|name| {
            let id = self.id();
            self.libraries.push((id, name.to_owned()));
            id
        });
        let mut drafted = Drafted { instance: self.id(), inputs: Vec::new(), outputs: Vec::new() };
        let mut container = Chunk::new("Container");
        container.items = vec![item("InstanceGuid", Stored::Guid(drafted.instance)), item("Name", text("Component"))];
        for (index, (nick, sources)) in inputs.iter().enumerate() {
            let mut chunk = Chunk::new("param_input");
            let id = self.id();
            chunk.index = Some(i32::try_from(index).unwrap());
            chunk.items = vec![item("InstanceGuid", Stored::Guid(id)), item("NickName", text(nick))];
            Self::sources(&mut chunk.items, sources);
            container.chunks.push(chunk);
            drafted.inputs.push(id);
        }
        for (index, nick) in outputs.iter().enumerate() {
            let mut chunk = Chunk::new("param_output");
            let id = self.id();
            chunk.index = Some(i32::try_from(index).unwrap());
            chunk.items = vec![item("InstanceGuid", Stored::Guid(id)), item("NickName", text(nick))];
            Self::sources(&mut chunk.items, &[]);
            container.chunks.push(chunk);
            drafted.outputs.push(id);
        }
        change(&mut container);
        self.object(guid, library, container);
        drafted
    }

    pub(crate) fn group(&mut self, nick: &str, members: &[Uuid]) {
        let id = self.id();
        let mut container = Chunk::new("Container");
        container.items = vec![item("InstanceGuid", Stored::Guid(id)), item("NickName", text(nick))];
        container.items.extend(members.iter().enumerate().map(|(index, id)| at("ID", index, Stored::Guid(*id))));
        self.object(GROUP, None, container);
    }

    /// A Number parameter in a group `RH_OUT:<name>` that shows what comes from `source`.
    pub(crate) fn output(&mut self, name: &str, source: Uuid) {
        let id = self.parameter(DATA, name, &[source], |_container| {});
        self.group(&format!("RH_OUT:{name}"), &[id]);
    }

    pub(crate) fn archive(self) -> Archive {
        let mut libraries = Chunk::new("GHALibraries");
        for (index, (id, name)) in self.libraries.into_iter().enumerate() {
            let mut library = Chunk::new("Library");
            library.index = Some(i32::try_from(index).unwrap());
            library.items = vec![item("Id", Stored::Guid(id)), item("Name", text(&name))];
            libraries.chunks.push(library);
        }
        let mut objects = Chunk::new("DefinitionObjects");
        objects.items = vec![item("ObjectCount", Stored::Int32(i32::try_from(self.objects.len()).unwrap()))];
        objects.chunks = self.objects;
        let mut definition = Chunk::new("Definition");
        definition.chunks = vec![libraries, objects];
        let mut root = Chunk::new("Root");
        root.items = vec![item("ArchiveVersion", Stored::Version([0, 2, 2]))];
        root.chunks = vec![definition];
        Archive { format: Format::Ghx, root }
    }
}
