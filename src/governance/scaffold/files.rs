//! The files of a version folder, from a draft.
//!
//! Invariant: what nobody could know stands in the files as `x-todo`, beside what it is about, so that it is found with line and column.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::bindings::{Access, Type};
use contract::definition::{Definition, Library, Script};
use contract::{Contract, Fault, Folder};
use semver::Version;
use serde_json::{Value, json};

use super::draft::{Draft, Port};
use super::{examples, shape};
use crate::governance::json::{Node, object};

/// The version that an app begins with: nothing is promised before a person has decided what is open.
pub const FIRST: Version = Version::new(0, 1, 0);

/// Relative path to content.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// The definition file of an app.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    pub file: &'s str,
    pub bytes: &'s [u8],
    pub definition: &'s Definition,
}

/// All files of the first version of an app.
pub fn version(draft: &Draft, source: Source<'_>) -> Files {
    let app_id = &draft.options.app_id;
    let mut files = Files::new();
    let mut add = |name: &str, node: Node| files.insert(name.to_owned(), node.file().into_bytes().into());
    add("manifest.json", manifest(draft, source));
    add("bindings.json", bindings(draft));
    add("plugins.json", plugins(source.definition));
    add("inputs.schema.json", schema(&format!("Inputs of {app_id} {FIRST}"), &draft.inputs, true));
    add("outputs.schema.json", schema(&format!("Outputs of {app_id} {FIRST}"), &draft.outputs, false));
    for (path, example) in examples::of(draft) {
        add(&path, example);
    }
    files.insert(source.file.to_owned(), source.bytes.into());
    files
}

/// The files as the gateway would load them, from a folder of these names.
///
/// # Errors
/// As [`Contract::of`].
pub fn load(files: &Files, app_id: &str, version: &Version) -> Result<Contract, Vec<Fault>> {
    let folder =
        Folder { name: Some(version.to_string()), parent: Some(app_id.to_owned()), ..Folder::of(files.clone()) };
    Contract::of(&folder)
}

/// `policy.json` of a new app: one solve at a time in each lane.
pub fn policy(app_id: &str) -> String {
    let rates = object([("preview_rps", Some(json!(10).into())), ("batch_jobs_per_min", Some(json!(30).into()))]);
    // Promises to begin with: without any, nobody is told when the app fails.
    let slo = object([
        ("availability", Some(json!(0.99).into())),
        ("preview_p95_ms", Some(json!(5_000).into())),
        ("batch_p95_ms", Some(json!(60_000).into())),
        ("jobs_success", Some(json!(0.99).into())),
        ("jobs_p95_ms", Some(json!(600_000).into())),
    ]);
    let policy = object([
        ("app_id", Some(app_id.into())),
        ("allowed_definitions", Some(json!([app_id]).into())),
        ("max_concurrency", Some(json!(2).into())),
        ("preview_seats", Some(json!(1).into())),
        ("batch_seats", Some(json!(1).into())),
        ("rate_limits", Some(rates)),
        ("manifest_overrides", Some(object([]))),
        ("slo", Some(slo)),
    ]);
    policy.file()
}

/// A name that the definition file may have in a version folder.
pub fn file_name(path: &Path, app_id: &str, format: contract::definition::Format) -> String {
    let end = match format {
        contract::definition::Format::Ghx => "ghx",
        contract::definition::Format::Gh => "gh",
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let fits = |char: char| char.is_ascii_alphanumeric() || "._ -".contains(char);
    let plain =
        stem.starts_with(|first: char| first.is_ascii_alphanumeric()) && stem.chars().all(fits) && stem.len() <= 100;
    format!("{}.{end}", if plain { stem } else { app_id })
}

/// What is open, as the member `x-todo`; nothing where nothing is.
fn todo(open: &[String]) -> Option<Node> {
    const MOST: usize = 100;
    const LONGEST: usize = 1_000;
    let cut = |text: &String| Node::Value(text.chars().take(LONGEST).collect::<String>().into());
    (!open.is_empty()).then(|| Node::List(open.iter().take(MOST).map(cut).collect()))
}

fn manifest(draft: &Draft, source: Source<'_>) -> Node {
    let app_id = &draft.options.app_id;
    let heading = super::names::title(app_id);
    let description = source.definition.description.as_deref().map(|text| text.chars().take(4_000).collect::<String>());
    let mut open = Vec::new();
    if description.is_none() {
        open.push("description: the definition has none".to_owned());
    }
    if draft.options.model_units.is_none() {
        open.push(format!(
            "model_units: the file does not tell; {} assumed, as are both tolerances",
            draft.model_units()
        ));
    }
    open.push("timeout_sec: assumed; a solve on a real node tells".to_owned());
    let deterministic = source.definition.scripts.is_empty() && foreign(source.definition).next().is_none();
    if !deterministic {
        open.push("deterministic: scripts and plug-ins may do anything, so no answer is kept; true if equal inputs always give equal outputs".to_owned());
    }
    let bulky = |ports: &[Port]| ports.iter().any(|port| is_bulky(port.kind));
    let limits = object([
        ("request_bytes", Some(json!(if bulky(&draft.inputs) { 16 << 20 } else { 64 << 10 }).into())),
        ("response_bytes", Some(json!(if bulky(&draft.outputs) { 32 << 20 } else { 1 << 20 }).into())),
    ]);
    object([
        ("app_id", Some(app_id.as_str().into())),
        ("definition", Some(app_id.as_str().into())),
        ("version", Some(FIRST.to_string().as_str().into())),
        ("file", Some(source.file.into())),
        ("title", Some(heading.as_str().into())),
        ("description", description.as_deref().map(Node::from)),
        ("timeout_sec", Some(json!(30).into())),
        ("limits", Some(limits)),
        ("model_units", Some(draft.model_units().into())),
        ("absolute_tolerance", Some(json!(tolerance(draft.model_units())).into())),
        ("angle_tolerance_degrees", Some(json!(1.0).into())),
        ("deterministic", Some(json!(deterministic).into())),
        ("x-todo", todo(&open)),
    ])
}

/// The absolute tolerance of Rhino's own templates: a hundredth or a thousandth of the unit.
fn tolerance(model_units: &str) -> f64 {
    if matches!(model_units, "Meters" | "Inches" | "Feet") { 0.001 } else { 0.01 }
}

/// Whether one value may take megabytes.
fn is_bulky(kind: Type) -> bool {
    matches!(kind, Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry)
}

fn bindings(draft: &Draft) -> Node {
    let section = |ports: &[Port]| Node::Object(ports.iter().map(|port| (port.name.clone(), binding(port))).collect());
    object([("inputs", Some(section(&draft.inputs))), ("outputs", Some(section(&draft.outputs)))])
}

/// The entry of `bindings.json`.
pub(super) fn binding(port: &Port) -> Node {
    object([
        ("gh", Some(port.gh.as_str().into())),
        ("type", Some(port.kind.word().into())),
        ("access", Some(port.access.word().into())),
        ("step", port.step.map(|step| shape::plain(json!(step)).into())),
        ("x-todo", todo(&port.open_binding)),
    ])
}

fn foreign(definition: &Definition) -> impl Iterator<Item = &Library> {
    definition.libraries.iter().filter(|library| !library.bundled && !library.name.is_empty())
}

fn plugins(definition: &Definition) -> Node {
    let mut open = Vec::new();
    let saved = definition.rhino.as_deref().and_then(|rhino| rhino.split('.').next()?.parse::<u32>().ok());
    let rhino = saved.filter(|major| *major >= 7).unwrap_or(8);
    match saved {
        Some(major) if major < 7 => {
            open.push(format!("rhino: saved by Rhino {major}, which has no compute; {rhino} assumed"));
        }
        Some(_) => {}
        None => open.push(format!("rhino: the file does not tell; {rhino} assumed")),
    }
    let mut listed: BTreeMap<String, &Library> = BTreeMap::new();
    for library in foreign(definition) {
        // Two versions of one plug-in in one file: the later one is what its author has now.
        listed.insert(library.name.to_lowercase(), library);
    }
    let plugin = |library: &&Library| {
        let version = library.version.as_deref().filter(|version| !version.trim().is_empty()).unwrap_or("unknown");
        let version: String = version.chars().take(100).collect();
        let name: String = library.name.chars().take(200).collect();
        object([("name", Some(name.as_str().into())), ("version", Some(version.as_str().into()))])
    };
    for library in listed.values() {
        let place = if library.in_cluster { ", used inside a cluster" } else { "" };
        if library.version.is_none() {
            open.push(format!(
                "{}: the file has no version{place}; `appserver matrix` shows what nodes have",
                library.name
            ));
        } else if library.in_cluster {
            open.push(format!("{}: the version is what the file was saved with{place}", library.name));
        }
    }
    open.extend(definition.scripts.iter().map(script));
    object([
        ("rhino", Some(rhino.to_string().as_str().into())),
        ("plugins", Some(Node::List(listed.values().map(plugin).collect()))),
        ("x-todo", todo(&open)),
    ])
}

/// A script carries what no list of plug-ins shows.
fn script(script: &Script) -> String {
    let place = if script.in_cluster { ", inside a cluster" } else { "" };
    let needs: Vec<&str> = script.requires.iter().chain(&script.packages).map(String::as_str).collect();
    let needs = if needs.is_empty() {
        "imports nothing that nodes might lack".to_owned()
    } else {
        format!("needs on the node: {}", needs.join(", "))
    };
    format!("script {}{place}: {}, {} lines, {needs}", script.spot, script.language, script.lines)
}

fn schema(title: &str, ports: &[Port], inputs: bool) -> Node {
    let properties = ports.iter().zip(1..).map(|(port, order)| (port.name.clone(), property(port, order, inputs)));
    let required: Vec<&str> =
        ports.iter().filter(|port| !inputs || port.default.is_none()).map(|port| port.name.as_str()).collect();
    object([
        ("$schema", Some("https://json-schema.org/draft/2020-12/schema".into())),
        ("title", Some(title.into())),
        ("type", Some("object".into())),
        ("properties", Some(Node::Object(properties.collect()))),
        ("required", Some(json!(required).into())),
        ("additionalProperties", Some(json!(false).into())),
    ])
}

/// The property of an input or output in its schema.
pub(super) fn property(port: &Port, order: usize, input: bool) -> Node {
    let mut value = if input { shape::schema(port.kind) } else { shape::output_schema(port.kind) };
    let mut limit = |name: &str, node: Option<Node>| value.extend(node.map(|node| (name.to_owned(), node)));
    let number = |limit: Option<f64>| limit.map(|limit| shape::plain(json!(limit)).into());
    limit("minimum", number(port.limits[0]));
    limit("maximum", number(port.limits[1]));
    if !port.choices.is_empty() {
        limit("enum", Some(Value::Array(port.values()).into()));
    }
    let mut members: Vec<(String, Node)> = vec![("title".to_owned(), port.title.as_str().into())];
    let mut add = |name: &str, node: Option<Node>| members.extend(node.map(|node| (name.to_owned(), node)));
    if port.title.is_empty() {
        add("title", None);
    }
    add("description", port.description.as_deref().map(Node::from));
    let counts = |name: &str, count: i32| (name.to_owned(), Node::Value(json!(count)));
    let listed = |value: Vec<(String, Node)>| {
        let mut list = vec![("type".to_owned(), "array".into()), ("items".to_owned(), Node::Object(value))];
        if input {
            list.push(counts("minItems", port.count[0].max(0)));
            let most = u64::try_from(port.count[1]).unwrap_or(0).min(shape::ITEMS_MAX);
            list.push(("maxItems".to_owned(), Node::Value(json!(most))));
        }
        list
    };
    let value = match port.access {
        Access::Item => value,
        Access::List => listed(value),
        Access::Tree => {
            let mut branch = vec![("type".to_owned(), "array".into()), ("items".to_owned(), Node::Object(value))];
            if input {
                branch.push(("maxItems".to_owned(), Node::Value(json!(shape::ITEMS_MAX))));
            }
            vec![("type".to_owned(), "object".into()), ("additionalProperties".to_owned(), Node::Object(branch))]
        }
    };
    for (name, node) in value {
        add(&name, Some(node));
    }
    add("default", port.default.clone().filter(|_| input).map(Node::from));
    add("x-unit", port.unit.map(Node::from));
    add("x-order", Some(json!(order).into()));
    add("x-group", port.group.as_deref().map(Node::from));
    add("x-widget", port.widget().filter(|_| input).map(Node::from));
    let names: Vec<&str> = port.choices.iter().map(|choice| choice.name.as_str()).collect();
    // Names stand beside values one to one; two names for one value have no place here.
    let one_to_one = !names.is_empty() && port.values().len() == names.len();
    add("x-enum-names", one_to_one.then(|| json!(names).into()));
    add("$comment", port.source.as_ref().map(|source| format!("From {source}.").as_str().into()));
    add("x-todo", todo(&port.open));
    Node::Object(members)
}
