//! The sample files as a stranger to their author would check them: is this what Grasshopper saves?

use std::collections::{BTreeMap, BTreeSet};

use contract::definition::archive::{Chunk, Value};
use uuid::Uuid;

use super::{archive, files};

#[test]
fn instance_ids_are_unique_and_every_wire_and_group_member_resolves() {
    for version in files::versions() {
        let root = archive(&version.definition_bytes()).root;
        let objects = objects(&root);
        let mut chunks = Vec::new();
        for object in &objects {
            collect(object, &mut chunks);
        }

        let ids: Vec<Uuid> = chunks.iter().filter_map(|chunk| chunk.guid("InstanceGuid")).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{}: an id stands twice", version.app);

        let outputs: BTreeSet<Uuid> =
            chunks.iter().filter(|chunk| gives_data(chunk)).filter_map(|chunk| chunk.guid("InstanceGuid")).collect();
        let top: BTreeSet<Uuid> = objects.iter().filter_map(|object| container(object).guid("InstanceGuid")).collect();
        for chunk in &chunks {
            for source in chunk.items_named("Source") {
                assert!(outputs.contains(&source.value.as_guid().unwrap()), "{}: a wire from nothing", version.app);
            }
            for member in chunk.items_named("ID") {
                assert!(top.contains(&member.value.as_guid().unwrap()), "{}: a group of nothing", version.app);
            }
        }
    }
}

#[test]
fn counts_equal_what_they_count() {
    let counted =
        [("SourceCount", "Source"), ("ID_Count", "ID"), ("InputCount", "InputId"), ("OutputCount", "OutputId")];
    for version in files::versions() {
        let root = archive(&version.definition_bytes()).root;
        let mut chunks = Vec::new();
        collect(&root, &mut chunks);
        for chunk in &chunks {
            for (count, item) in counted {
                let Some(stated) = chunk.int(count) else { continue };
                assert_eq!(
                    usize::try_from(stated).unwrap(),
                    chunk.items_named(item).count(),
                    "{count} in {}",
                    chunk.name
                );
            }
            if chunk.name == "ParameterData" {
                for (item, param) in [("InputId", "InputParam"), ("OutputId", "OutputParam")] {
                    assert_eq!(chunk.items_named(item).count(), chunk.chunks_named(param).count(), "{param}");
                }
            }
        }
        let objects = objects(&root).len();
        let stated = chunks.iter().find_map(|chunk| chunk.int("ObjectCount")).unwrap();
        assert_eq!(usize::try_from(stated).unwrap(), objects);
    }
}

#[test]
fn items_stand_in_the_order_that_grasshopper_writes() {
    for version in files::versions() {
        let mut chunks = Vec::new();
        let root = archive(&version.definition_bytes()).root;
        collect(&root, &mut chunks);
        for chunk in chunks {
            let names: Vec<_> = chunk.items.iter().map(|item| (&item.name, item.index)).collect();
            assert!(names.is_sorted(), "{}: {names:?}", chunk.name);
        }
    }
}

/// The ids of a definition belong to its names, so what was there in one version is the same object in the next.
#[test]
fn an_object_keeps_its_id_from_one_version_to_the_next() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|number| {
        let root = archive(&files::version("sitefit", number).definition_bytes()).root;
        let types = |object: &&Chunk| (container(object).guid("InstanceGuid").unwrap(), object.guid("GUID").unwrap());
        objects(&root).iter().map(types).collect::<BTreeMap<_, _>>()
    });
    let kept = old.iter().filter(|(id, component)| new.get(id) == Some(component)).count();
    assert!(kept + 2 >= old.len(), "{kept} of {} objects are in 1.1.0", old.len());
    assert!(new.len() > old.len());
}

#[test]
fn no_two_objects_overlap_on_the_canvas() {
    for version in files::versions() {
        let root = archive(&version.definition_bytes()).root;
        let bounds: Vec<[f32; 4]> = objects(&root).iter().filter_map(|object| bounds(object)).collect();
        for (index, a) in bounds.iter().enumerate() {
            for b in &bounds[index + 1..] {
                let apart = a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1];
                assert!(apart, "{} {}: {a:?} and {b:?}", version.app, version.number);
            }
        }
    }
}

fn objects(root: &Chunk) -> Vec<&Chunk> {
    let document = root.chunk("Definition").unwrap().chunk("DefinitionObjects").unwrap();
    document.chunks_named("Object").collect()
}

fn container(object: &Chunk) -> &Chunk {
    object.chunk("Container").unwrap()
}

fn bounds(object: &Chunk) -> Option<[f32; 4]> {
    let bounds = container(object).chunk("Attributes")?.item("Bounds")?;
    let Value::DrawingRectangleF(bounds) = bounds else { panic!("bounds are {bounds:?}") };
    Some(*bounds)
}

/// Output parameters of components, and floating parameters: these have a source count of their own.
fn gives_data(chunk: &Chunk) -> bool {
    chunk.name == "param_output"
        || chunk.name == "OutputParam"
        || (chunk.name == "Container" && chunk.int("SourceCount").is_some())
}

fn collect<'c>(chunk: &'c Chunk, into: &mut Vec<&'c Chunk>) {
    into.push(chunk);
    for child in &chunk.chunks {
        collect(child, into);
    }
}
