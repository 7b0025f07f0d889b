//! Plug-ins, scripts, versions, and the two ways in which a definition is printed.

use contract::definition::Report;
use contract::definition::archive::{Chunk, Item, Value};
use uuid::Uuid;

use crate::fixture::*;
use crate::support::item;

const GH_PYTHON: &str = "410755b1-224a-4c1e-a407-bf32fb45ea7e";
const CSHARP: &str = "a9a8ebd2-fff5-4c44-a8f5-739736d129ba";
const PYTHON_3: &str = "719467e6-7cf5-4848-99b0-c5dd57e5442c";

fn guid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

fn library(name: &str, version: &str, assembly: &str, id: u128) -> Vec<Item> {
    let items = [("Name", name), ("Version", version), ("AssemblyFullName", assembly)];
    let mut items: Vec<Item> =
        items.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| item(name, text(value))).collect();
    items.push(item("Id", Value::Guid(Uuid::from_u128(id))));
    items
}

/// A script component of Rhino 8 in Python 3, its code in base64.
fn python_3(canvas: &mut Canvas, nickname: &str, base64: &str) {
    canvas.object(guid(PYTHON_3), "Python 3 Script", nickname, vec![]);
    let mut language = Chunk::new("LanguageSpec");
    language.items = vec![item("Taxon", text("*.*.python")), item("Version", text("3.*"))];
    let script = Chunk { items: vec![item("Text", text(base64))], chunks: vec![language], ..Chunk::new("Script") };
    canvas.last().chunks.push(script);
}

#[test]
fn plugins_are_listed_once_by_the_version_of_their_assembly() {
    let mut canvas = Canvas::new();
    canvas.library(library("Grasshopper", "8.32.26160.13002", "", 0));
    canvas.library(library("Grasshopper", "8.32.26160.13002", "", 0));
    canvas.library(library("Karamba3D", "Karamba3D 2.2.0.8-211122", "Karamba, Version=2.2.0.8, Culture=neutral", 5));
    canvas.library(library("", "", "Bengesht, Version=3.3.0.0, Culture=neutral", 0));
    canvas.library(library("", "", "GhPython, Version=7.0.20259.15365, Culture=neutral", 0));
    canvas.library(library("LunchBox", "2018.11.16", "", 6));
    canvas.library(library("", "", "", 7));
    let definition = canvas.read();
    let listed: Vec<_> = definition
        .libraries
        .iter()
        .map(|library| (library.name.as_str(), library.version.as_deref().unwrap(), library.bundled))
        .collect();
    let expected = [
        ("Bengesht", "3.3.0.0", false),
        ("GhPython", "7.0.20259.15365", true),
        ("Karamba3D", "2.2.0.8", false),
        ("LunchBox", "2018.11.16", false),
    ];
    assert_eq!(listed, expected);
    assert_eq!(definition.rhino.as_deref(), Some("8.32.26160.13002"));
}

#[test]
fn the_rhino_version_is_told_as_exactly_as_the_file_tells_it() {
    let rhino = |file_version, assembly: &str| {
        let mut canvas = Canvas::new();
        canvas.file_version = file_version;
        if !assembly.is_empty() {
            canvas.library(library("", "", assembly, 0));
        }
        canvas.read().rhino
    };
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(rhino([1, 0, 7], "GhPython, Version=7.0.20259.15365"), told("7.0.20259.15365"));
    assert_eq!(rhino([1, 0, 8], "RhinoCodePluginGH, Version=8.14.24312.1000"), told("8.14.24312.1000"));
    // This one stands for Rhino 5, whose GhPython had a version of its own.
    assert_eq!(rhino([0, 9, 76], "GhPython, Version=0.6.0.3"), told("5"));
    assert_eq!(rhino([1, 0, 4], ""), told("6"));
    assert_eq!(rhino([1, 0, 7], ""), None, "Rhino 6, 7 and early 8 write this file version");
    assert_eq!(rhino([1, 0, 8], ""), told("8"));
    assert_eq!(rhino([1, 0, 9], ""), told("9"));
}

#[test]
fn scripts_are_listed_with_language_digest_and_packages() {
    let mut canvas = Canvas::new();
    let code = "\"\"\"Doc\"\"\"\nimport os, compas.geometry as cg\n  from ladybug_rhino.config import x\nfrom . import y\nimport Rhino\n";
    canvas.object(guid(GH_PYTHON), "GhPython Script", "py", vec![item("CodeInput", text(code))]);
    canvas.object(guid(GH_PYTHON), "GhPython Script", "wired", vec![]);
    canvas.object(
        guid(CSHARP),
        "C# Script",
        "cs",
        vec![
            item("ScriptSource", text("#r \"nuget: RestSharp, 106.11.7\"\nA = 1;")),
            item("AdditionalSource", text("int f() => 1;")),
        ],
    );
    // "# r: numpy==1.24\nimport numpy\nimport json\n"
    python_3(&mut canvas, "three", "IyByOiBudW1weT09MS4yNAppbXBvcnQgbnVtcHkKaW1wb3J0IGpzb24K");
    let scripts = canvas.read().scripts;
    let listed: Vec<_> =
        scripts.iter().map(|script| (script.spot.nickname.as_str(), script.language.as_str(), script.lines)).collect();
    let expected =
        [("py", "ironpython 2", 5), ("wired", "ironpython 2", 0), ("cs", "csharp", 3), ("three", "python 3", 3)];
    assert_eq!(listed, expected);
    assert_eq!(scripts[0].packages, ["compas", "ladybug_rhino"]);
    assert_eq!((scripts[1].sha256.as_ref(), scripts[1].packages.len()), (None, 0));
    assert_eq!(scripts[2].requires, ["nuget: RestSharp, 106.11.7"]);
    assert_eq!(
        (scripts[3].requires.as_slice(), scripts[3].packages.as_slice()),
        (&["numpy==1.24".to_owned()][..], &["numpy".to_owned()][..])
    );
    // printf '# r: numpy==1.24\nimport numpy\nimport json\n' | sha256sum
    let digest = "85e9f232233b1877d738fd00276a9ac13bc2aad491d08d129099d2c5f552364b";
    assert_eq!(scripts[3].sha256.as_deref(), Some(digest));
}

#[test]
fn a_digest_does_not_depend_on_line_ends() {
    let digest = |code: &str| {
        let mut canvas = Canvas::new();
        canvas.object(guid(GH_PYTHON), "GhPython Script", "py", vec![item("CodeInput", text(code))]);
        canvas.read().scripts.remove(0).sha256.unwrap()
    };
    assert_eq!(digest("import math\r\na = 1\r\n"), digest("import math\na = 1\n"));
    assert_ne!(digest("import math\na = 1\n"), digest("import math\na = 2\n"));
}

/// One of everything.
fn sample() -> Canvas {
    let mut canvas = Canvas::new();
    let slider = canvas.slider("width", [0.0, 20.0, 7.0]);
    canvas.getter(GET_NUMBER, "Get Number", "width", &[slider]);
    let points = canvas.parameter(POINT, "Point", "", &[]);
    canvas.group("RH_IN:points", &[points]);
    let panel = canvas.panel("a long text that no column of a table would hold", true);
    canvas.group("RH_IN:note", &[panel]);
    let (sum, _) = canvas.component(ADDITION, "Addition", &[("A", &[slider])], &["R"]);
    canvas.group("RH_OUT:sum", &[sum]);
    canvas.component(CONTEXT_PRINT, "Context Print", &[("gfa", &[])], &[]);
    canvas.slider("RH_IN:depth", [0.0, 1.0, 0.5]);
    canvas.group("RH_IN:gone", &[Uuid::from_u128(999)]);
    canvas.library(library("Pufferfish", "3.0", "Pufferfish, Version=3.0.0.0", 5));
    canvas.library(library("", "", "GhPython, Version=7.0.20259.15365", 0));
    python_3(&mut canvas, "three", "IyByOiBudW1weT09MS4yNAppbXBvcnQgbnVtcHkKaW1wb3J0IGpzb24K");
    canvas
}

#[test]
fn a_definition_is_printed_for_people() {
    insta::assert_snapshot!(Report(&sample().read()));
}

#[test]
fn a_definition_is_printed_as_json() {
    insta::assert_json_snapshot!(sample().read());
}

#[test]
fn text_of_a_file_cannot_steer_a_terminal() {
    let mut canvas = Canvas::new();
    canvas.getter(GET_NUMBER, "Get Number", "n\n\tfaked row \u{9b}31m", &[]);
    let report = Report(&canvas.read()).to_string();
    assert!(!report.contains(['\t', '\u{9b}']), "{report}");
    assert!(report.contains("n  faked row  31m"), "{report}");
}
