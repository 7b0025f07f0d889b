//! The registry folder as plain JSON, read without the code that the tests are about.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use simnode::solve::Document;

type Object = Map<String, Value>;

/// A version folder.
pub(super) struct Version {
    pub(super) app: String,
    pub(super) number: String,
    pub(super) folder: PathBuf,
    pub(super) manifest: Value,
    pub(super) inputs_schema: Value,
    pub(super) outputs_schema: Value,
    pub(super) bindings: Value,
}

/// An example that solves.
pub(super) struct Example {
    /// App, version and file, for messages.
    pub(super) name: String,
    pub(super) inputs: Object,
    pub(super) outputs: Option<Object>,
    pub(super) tolerance: f64,
    file: PathBuf,
}

/// The registry of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("registry")
}

/// Every version of every sample app, in order of name.
pub(super) fn versions() -> Vec<Version> {
    let apps = entries(&root().join("contracts"));
    let folders = apps.iter().flat_map(|app| entries(app)).filter(|path| path.is_dir());
    folders.map(|folder| Version::read(&folder)).collect()
}

pub(super) fn version(app: &str, number: &str) -> Version {
    Version::read(&root().join("contracts").join(app).join(number))
}

// === impl Version ===

impl Version {
    fn read(folder: &Path) -> Self {
        let manifest = json_of(&folder.join("manifest.json"));
        let part = |name: &str| manifest[name].as_str().unwrap().to_owned();
        Self {
            app: part("app_id"),
            number: part("version"),
            folder: folder.to_owned(),
            inputs_schema: json_of(&folder.join("inputs.schema.json")),
            outputs_schema: json_of(&folder.join("outputs.schema.json")),
            bindings: json_of(&folder.join("bindings.json")),
            manifest,
        }
    }

    pub(super) fn definition_file(&self) -> PathBuf {
        self.folder.join(self.manifest["file"].as_str().unwrap())
    }

    pub(super) fn definition_bytes(&self) -> Vec<u8> {
        fs::read(self.definition_file()).unwrap()
    }

    pub(super) fn document(&self) -> Document {
        Document::load(&super::archive(&self.definition_bytes())).unwrap()
    }

    pub(super) fn valid_examples(&self) -> Vec<Example> {
        entries(&self.folder.join("examples/valid")).into_iter().map(|file| Example::read(self, file)).collect()
    }

    /// The inputs with the defaults of the schema filled in.
    pub(super) fn complete(&self, inputs: &Object) -> Object {
        let properties = self.inputs_schema["properties"].as_object().unwrap();
        let value = |(name, schema): (&String, &Value)| {
            let value = inputs.get(name).or_else(|| schema.get("default"));
            (name.clone(), value.unwrap_or_else(|| panic!("{name} is required")).clone())
        };
        properties.iter().map(value).collect()
    }
}

// === impl Example ===

impl Example {
    fn read(version: &Version, file: PathBuf) -> Self {
        let example = json_of(&file);
        Self {
            name: format!("{} {} {}", version.app, version.number, file.file_stem().unwrap().display()),
            inputs: example["inputs"].as_object().unwrap().clone(),
            outputs: example.get("outputs").map(|outputs| outputs.as_object().unwrap().clone()),
            tolerance: example["tolerance"].as_f64().unwrap(),
            file,
        }
    }

    /// Writes the example again with these outputs, all else as it was.
    pub(super) fn write_with(&self, outputs: &Object) {
        let mut example = json_of(&self.file);
        example["outputs"] = json!(outputs);
        let member = |key: &str| Some(format!("  \"{key}\": {}", pretty(example.get(key)?, 1)));
        let members: Vec<_> = ["title", "inputs", "outputs", "tolerance"].into_iter().filter_map(member).collect();
        fs::write(&self.file, format!("{{\n{}\n}}\n", members.join(",\n"))).unwrap();
    }
}

/// JSON with whatever fits on a line of 100 characters on one line.
fn pretty(value: &Value, depth: usize) -> String {
    let line = inline(value);
    let [inner, outer] = [depth + 1, depth].map(|depth| "  ".repeat(depth));
    if outer.len() + line.chars().count() <= 100 {
        return line;
    }
    if let Some(items) = value.as_array().filter(|items| !items.is_empty()) {
        let items: Vec<_> = items.iter().map(|item| inner.clone() + &pretty(item, depth + 1)).collect();
        return format!("[\n{}\n{outer}]", items.join(",\n"));
    }
    if let Some(members) = value.as_object().filter(|members| !members.is_empty()) {
        let member = |(key, member): (&String, &Value)| format!("{inner}{}: {}", json!(key), pretty(member, depth + 1));
        return format!("{{\n{}\n{outer}}}", members.iter().map(member).collect::<Vec<_>>().join(",\n"));
    }
    line
}

fn inline(value: &Value) -> String {
    if let Some(items) = value.as_array() {
        return format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "));
    }
    if let Some(members) = value.as_object().filter(|members| !members.is_empty()) {
        let members = members.iter().map(|(key, member)| format!("{}: {}", json!(key), inline(member)));
        return format!("{{ {} }}", members.collect::<Vec<_>>().join(", "));
    }
    // A whole number needs no point.
    if value.is_f64() { value.to_string().trim_end_matches(".0").to_owned() } else { value.to_string() }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn json_of(file: &Path) -> Value {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
