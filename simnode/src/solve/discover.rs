//! The names under which Rhino.Compute reaches the parameters of a document.
//!
//! What counts as an input or output, and under which name, is the definition reader's to say; this only finds the
//! parameter that it means.

use std::collections::HashMap;

use contract::definition::Archive;
use contract::definition::archive::Chunk;
use uuid::Uuid;

use super::load::{self, Port};
use super::parameters::{self, Role};

type Named = Vec<(String, Port)>;

pub(super) fn names(archive: &Archive, ports: &HashMap<Uuid, Port>) -> (Named, Named) {
    let (mut inputs, mut outputs) = (Named::new(), Named::new());
    let objects = archive.document().and_then(load::objects);
    let objects: Vec<&Chunk> = objects.into_iter().flat_map(|chunk| chunk.chunks_named("Object")).collect();
    let by_instance: HashMap<Uuid, &Chunk> =
        objects.iter().filter_map(|object| Some((object.chunk("Container")?.guid("InstanceGuid")?, *object))).collect();
    for object in objects {
        let (Some(guid), Some(container)) = (object.guid("GUID"), object.chunk("Container")) else { continue };
        let nick = container.text("NickName").unwrap_or_default();
        let add = |list: &mut Named, name: String, instance: Option<Uuid>| {
            if let Some(port) = instance.and_then(|id| ports.get(&id)).filter(|_| !list.iter().any(|(n, _)| *n == name))
            {
                list.push((name, *port));
            }
        };
        if matches!(parameters::floating(&guid), Some((Role::Getter, _))) {
            add(&mut inputs, nick.to_owned(), container.guid("InstanceGuid"));
        } else if parameters::is_context_output(&guid) {
            if let Some(input) = container.chunk("param_input") {
                add(&mut outputs, input.text("NickName").unwrap_or_default().to_owned(), input.guid("InstanceGuid"));
            }
        } else if guid == parameters::GROUP {
            let members = container.items_named("ID").filter_map(|item| item.value.as_guid());
            let Some((id, member)) = members.filter_map(|id| Some((id, by_instance.get(&id)?))).next() else {
                continue;
            };
            let Some(container) = member.chunk("Container") else { continue };
            let floating = container.item("SourceCount").is_some();
            if nick.contains("RH_IN") && floating {
                add(&mut inputs, nick.to_owned(), Some(id));
            } else if nick.contains("RH_OUT") && floating {
                add(&mut outputs, nick.to_owned(), Some(id));
            } else if nick.contains("RH_OUT") {
                let results: Vec<&Chunk> = match container.chunk("ParameterData") {
                    Some(data) => data.chunks_named("OutputParam").collect(),
                    None => container.chunks_named("param_output").collect(),
                };
                for result in &results {
                    let own = result.text("NickName").unwrap_or_default();
                    let name = if results.len() == 1 { nick.to_owned() } else { format!("{nick} ({own})") };
                    add(&mut outputs, name, result.guid("InstanceGuid"));
                }
            }
        }
    }
    (inputs, outputs)
}
