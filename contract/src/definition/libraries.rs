//! The plug-ins that a definition lists, and the Rhino that saved it.
//!
//! The outer file lists only what its top level uses; clusters list their own. Plug-ins made of user objects appear
//! nowhere here, only in the code of scripts.

use uuid::Uuid;

use super::archive::{Chunk, Value};
use super::clusters::Cluster;
use super::guids;
use super::model::Library;

/// Plug-ins that some or all Rhino versions bring along.
const BUNDLED: [&str; 5] = ["GhPython", "RhinoCodePluginGH", "Kangaroo2", "Kangaroo2Component", "KangarooSolver"];
const KANGAROO: Uuid = uuid::uuid!("c2ea695e-1a09-6f42-266d-113498879f60");

/// All plug-ins of a document and its clusters, each once, by name.
pub(super) fn list(document: &Chunk, clusters: &[Cluster]) -> Vec<Library> {
    let mut libraries: Vec<Library> = Vec::new();
    let nested = clusters.iter().filter_map(|cluster| Some((cluster.archive.document()?, true)));
    for (document, in_cluster) in std::iter::once((document, false)).chain(nested) {
        libraries.extend(entries(document).filter_map(|entry| library(entry, in_cluster)));
    }
    // Those of the top level come first in the sort, so that they are the ones that stay.
    libraries.sort_by(|a, b| (&a.name, &a.version, a.in_cluster).cmp(&(&b.name, &b.version, b.in_cluster)));
    libraries.dedup_by(|later, first| later.name == first.name && later.version == first.version);
    libraries
}

/// The Rhino version that saved the file, and the file version of Grasshopper.
pub(super) fn versions(document: &Chunk) -> (Option<String>, Option<String>) {
    let file = match document.item("plugin_version") {
        Some(Value::Version(version)) => Some(*version),
        _ => None,
    };
    let grasshopper = entries(document).find(|entry| entry.text("Name") == Some("Grasshopper"));
    let told = grasshopper.and_then(|entry| entry.text("Version")).map(str::to_owned);
    // These two carry the version of the Rhino that they came with; GhPython did not before Rhino 6.
    let shipped = || {
        let entry =
            entries(document).find(|entry| matches!(assembly(entry).0, Some("GhPython" | "RhinoCodePluginGH")))?;
        assembly(entry).1.filter(|version| version.split('.').next().and_then(|major| major.parse().ok()) >= Some(6))
    };
    let major = || {
        Some(match file? {
            [0, 9, _] => "5",
            [1, 0, 4 | 5] => "6",
            [1, 0, 8] => "8",
            [1, 0, 9] => "9",
            _ => return None,
        })
    };
    let rhino = told.filter(|version| !version.is_empty()).or_else(shipped).or_else(|| major().map(str::to_owned));
    (rhino, file.map(|[major, minor, revision]| format!("{major}.{minor}.{revision}")))
}

fn entries(document: &Chunk) -> impl Iterator<Item = &Chunk> {
    document.chunk("GHALibraries").into_iter().flat_map(|libraries| libraries.chunks_named("Library"))
}

fn library(entry: &Chunk, in_cluster: bool) -> Option<Library> {
    let (assembly, assembly_version) = assembly(entry);
    let id = entry.guid("Id").unwrap_or(guids::NO_LIBRARY);
    let typed = |item| entry.text(item).map(str::trim).filter(|text| !text.is_empty());
    let name = typed("Name").or(assembly)?;
    // Grasshopper lists itself from Rhino 8 on.
    if id == guids::NO_LIBRARY && assembly.is_none() && name == "Grasshopper" {
        return None;
    }
    let is_bundled = |name: &str| BUNDLED.contains(&name);
    Some(Library {
        name: name.to_owned(),
        version: assembly_version.or_else(|| typed("Version").map(str::to_owned)),
        id,
        bundled: id == KANGAROO || is_bundled(name) || assembly.is_some_and(is_bundled),
        in_cluster,
    })
}

/// The simple name and the version of an entry's assembly.
fn assembly(entry: &Chunk) -> (Option<&str>, Option<String>) {
    let full = entry.text("AssemblyFullName").unwrap_or_default();
    let mut parts = full.split(',').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty());
    let in_full = parts.find_map(|part| part.strip_prefix("Version="));
    let version = entry.text("AssemblyVersion").filter(|version| !version.is_empty()).or(in_full);
    (name, version.map(str::to_owned))
}
