//! What is still open in the files of a version: every `x-todo`, with its place.

use std::path::Path;

use contract::json::spans::escape;
use contract::source::Source;
use serde::Serialize;
use serde_json::Value;

use super::scaffold::Files;
use super::{Finding, Place, Severity};

/// Files that are looked into, in each folder of a version.
const FILES: usize = 1_000;

/// One thing that a person has to decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Todo {
    /// Relative to the version folder.
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// The JSON pointer of the text.
    pub pointer: String,
    pub message: String,
}

/// All of these files, by place. Files that are no JSON have none; inputs of examples are the callers' and not looked into.
pub fn open(files: &Files) -> Vec<Todo> {
    let mut found = Vec::new();
    for (file, bytes) in files.iter().filter(|(file, _)| Path::new(file).extension().is_some_and(|end| end == "json")) {
        if !std::str::from_utf8(bytes).is_ok_and(|text| text.contains("\"x-todo\"")) {
            continue;
        }
        let Ok(source) = Source::parse(Path::new(file), bytes) else { continue };
        let deep = !file.starts_with("examples/");
        walk(source.value(), "", deep, &mut |pointer, message| {
            let at = source.spans().value(&pointer);
            found.push(Todo {
                file: file.clone(),
                line: at.line,
                column: at.column,
                pointer,
                message: message.to_owned(),
            });
        });
    }
    found.sort();
    found
}

/// The same of a version's folder, as findings. Files that cannot be read are told by loading.
pub(super) fn findings(folder: &Path) -> Vec<Finding> {
    let mut files = Files::new();
    for below in ["", "examples/valid", "examples/invalid"] {
        let entries = std::fs::read_dir(folder.join(below)).into_iter().flatten().flatten();
        for entry in entries.take(FILES) {
            let path = entry.path();
            let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) else { continue };
            let is_json = path.extension().is_some_and(|end| end == "json");
            if let Some(bytes) = is_json.then(|| contract::folder::read_file(&path).ok()).flatten() {
                files.insert(name.to_owned(), bytes.into());
            }
        }
    }
    let finding = |todo: Todo| {
        let place = Place { file: folder.join(&todo.file), line: todo.line, column: todo.column };
        Finding::new("todo_open", Severity::Note, place, format!("left open: {}", todo.message))
            .pointer(todo.pointer)
            .help("decide it, write it down, and take the note out of `x-todo`".to_owned())
    };
    open(&files).into_iter().map(finding).collect()
}

/// The depth of a value is bounded by the parser.
fn walk(value: &Value, pointer: &str, deep: bool, tell: &mut impl FnMut(String, &str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let below = format!("{pointer}/{}", escape(name));
                // A property may be called so, and is an object then.
                if let Some(texts) = member.as_array().filter(|_| name == "x-todo") {
                    let texts = texts.iter().enumerate().filter_map(|(at, text)| Some((at, text.as_str()?)));
                    texts.for_each(|(at, text)| tell(format!("{below}/{at}"), text));
                } else if deep {
                    walk(member, &below, deep, tell);
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{at}"), deep, tell);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_open_point_is_found_at_its_place_and_none_in_inputs() {
        let schema = "{\n  \"properties\": { \"x-todo\": { \"x-todo\": [\"unit\",\n \"range\"] } }\n}";
        let example = r#"{ "inputs": { "x-todo": ["theirs"] }, "x-todo": ["golden"] }"#;
        let files = [("a.json", schema), ("examples/valid/e.json", example), ("d.ghx", "x-todo"), ("torn.json", "{")];
        let files = files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().into())).collect();
        let told: Vec<String> = open(&files)
            .iter()
            .map(|todo| format!("{}:{}:{} {}", todo.file, todo.line, todo.column, todo.message))
            .collect();
        assert_eq!(told, ["a.json:2:42 unit", "a.json:3:2 range", "examples/valid/e.json:1:50 golden"]);
    }
}
