//! `check --fix`: repairs that cannot be wrong, each shown before it counts.
//!
//! Invariant: a repair replaces or adds one JSON value, where exactly one value is right; all else in the file stays as it was
//! typed. Files are replaced whole, by a rename, so that nobody reads half of one.

use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use contract::bindings::{Binding, Bindings};
use contract::definition::{Definition, Limits};
use contract::fault;
use contract::folder::{self, Folder};
use contract::json::spans::{Spans, tokens};
use contract::manifest::Manifest;
use contract::plugins::Plugins;
use contract::source::Source;
use serde_json::json;

use super::{Finding, Report};

/// What one repair did to a file.
#[derive(Debug)]
pub struct Change {
    pub file: PathBuf,
    /// The lines as they were, and as they are now, around the first that differs.
    pub diff: String,
}

/// A piece of text and what takes its place.
struct Edit {
    span: Range<usize>,
    text: String,
}

const DIALECT: &str = "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",";

/// Repairs what the report names and can be repaired; writes unless `dry`. At most one repair a file, so that places hold: check
/// again, and call it again, until nothing changes.
///
/// # Errors
/// When a file cannot be written.
pub fn fix(report: &Report, dry: bool) -> io::Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    for finding in &report.findings {
        let file = &finding.place.file;
        if changes.iter().any(|change| change.file == *file) {
            continue;
        }
        let Ok(before) = folder::read_file(file) else { continue };
        let Some(edit) = repair(finding, &before) else { continue };
        let Ok(text) = str::from_utf8(&before) else { continue };
        let after = [&text[..edit.span.start], &edit.text, &text[edit.span.end..]].concat();
        if !dry {
            write(file, after.as_bytes())?;
        }
        changes.push(Change { file: file.clone(), diff: diff(file, text, &after) });
    }
    Ok(changes)
}

/// Writes a file beside its place, and moves it there.
pub(super) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // What begins with a dot is no part of a version, should the process end in between.
    let aside = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut written = fs::File::create(&aside)?;
    written.write_all(bytes)?;
    written.set_permissions(fs::metadata(file)?.permissions())?;
    written.sync_all()?;
    fs::rename(aside, file)
}

fn repair(finding: &Finding, text: &[u8]) -> Option<Edit> {
    let pointer = finding.pointer.as_deref().unwrap_or_default();
    let spans = Spans::index(text);
    match finding.rule {
        "schema_undeclared" => {
            let start = spans.value_span("")?.start + 1;
            (!spans.names("").is_empty()).then(|| Edit { span: start..start, text: format!("\n  {DIALECT}") })
        }
        "plugins_hash_wrong" => {
            let plugins: Plugins = serde_json::from_slice(text).ok()?;
            Some(Edit { span: spans.value_span(pointer)?, text: json!(plugins.requires_hash()).to_string() })
        }
        "binding_unknown" => {
            let near = near(finding.place.file.parent()?, text, pointer)?;
            Some(Edit { span: spans.value_span(pointer)?, text: json!(near).to_string() })
        }
        "plugin_undeclared" => add_plugin(finding.place.file.parent()?, text, &spans),
        _ => None,
    }
}

/// The definition of the version in this folder.
fn definition(folder: &Path) -> Option<Definition> {
    let folder = Folder::read(folder).ok()?;
    let manifest = Source::parse(Path::new("manifest.json"), folder.files.get("manifest.json")?).ok()?;
    let manifest = Manifest::read(&manifest).ok()?;
    Definition::read(folder.files.get(&manifest.file)?, &Limits::default()).ok()
}

/// The one free name of the definition that a misspelt one is near; none where two are.
fn near(folder: &Path, text: &[u8], pointer: &str) -> Option<String> {
    let definition = definition(folder)?;
    let source = Source::parse(Path::new("bindings.json"), text).ok()?;
    let word = source.value().pointer(pointer)?.as_str()?;
    let bindings = Bindings::read(&source).ok()?;
    let of_inputs = tokens(pointer).next()? == "inputs";
    let (names, bound): (Vec<&str>, &[Binding]) = if of_inputs {
        (definition.inputs.iter().map(|input| input.name.as_str()).collect(), &bindings.inputs)
    } else {
        (definition.outputs.iter().map(|output| output.name.as_str()).collect(), &bindings.outputs)
    };
    let free = || names.iter().copied().filter(|name| !bound.iter().any(|binding| binding.gh == *name));
    // What all names begin with makes them no nearer.
    let bare = |name: &'_ str| name.rsplit(':').next().unwrap_or_default().to_owned();
    let bares: Vec<String> = free().map(bare).collect();
    let word = bare(word);
    let near = fault::closest(&word, bares.iter().map(String::as_str))?;
    let second = fault::closest(&word, bares.iter().map(String::as_str).filter(|name| *name != near));
    let mut nearest = free().filter(|name| bare(name) == near);
    let only = nearest.next().filter(|_| second.is_none() && nearest.next().is_none())?;
    Some(only.to_owned())
}

/// The first plug-in that is used, not listed, and of which the file tells the version.
fn add_plugin(folder: &Path, text: &[u8], spans: &Spans<'_>) -> Option<Edit> {
    let definition = definition(folder)?;
    let plugins: Plugins = serde_json::from_slice(text).ok()?;
    let listed = |name: &str| plugins.plugins.iter().any(|plugin| plugin.name.eq_ignore_ascii_case(name));
    let mut missing = definition.libraries.iter().filter(|library| !library.bundled && !listed(&library.name));
    let (name, version) = missing.find_map(|library| Some((&library.name, library.version.as_ref()?)))?;
    let entry = format!("\n    {{ \"name\": {}, \"version\": {} }}", json!(name), json!(version));
    match plugins.plugins.len().checked_sub(1) {
        Some(last) => {
            let end = spans.value_span(&format!("/plugins/{last}"))?.end;
            Some(Edit { span: end..end, text: format!(",{entry}") })
        }
        None => Some(Edit { span: spans.value_span("/plugins")?, text: format!("[{entry}\n  ]") }),
    }
}

/// The lines that differ, with one line before and after.
fn diff(file: &Path, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let left = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(left).take_while(|(old, new)| old == new).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let context = |lines: &[&str], at: usize| lines.get(at).map(|line| format!(" {line}\n")).unwrap_or_default();
    let lines = |sign: char, lines: &[&str]| {
        let signed: Vec<String> = lines.iter().map(|line| format!("{sign}{line}\n")).collect();
        signed.concat()
    };
    let first = same.saturating_sub(1);
    let counts = |end: usize, all: usize| (end + 1).min(all) - first;
    let name = file.display();
    let head = format!(
        "--- {name}\n+++ {name}\n@@ -{0},{1} +{0},{2} @@\n",
        first + 1,
        counts(old_end, old.len()),
        counts(new_end, new.len())
    );
    let before = if same > 0 { context(&old, first) } else { String::new() };
    [head, before, lines('-', &old[same..old_end]), lines('+', &new[same..new_end]), context(&old, old_end)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_changed_and_a_line_around_it() {
        let text = diff(
            Path::new("a.json"),
            "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n",
            "{\n  \"a\": 1,\n  \"b\": 20,\n  \"c\": 3\n}\n",
        );
        assert_eq!(
            text,
            "--- a.json\n+++ a.json\n@@ -2,3 +2,3 @@\n   \"a\": 1,\n-  \"b\": 2,\n+  \"b\": 20,\n   \"c\": 3\n"
        );
        let added = diff(Path::new("a"), "{\n}\n", "{\n  1\n}\n");
        assert_eq!(added, "--- a\n+++ a\n@@ -1,2 +1,3 @@\n {\n+  1\n }\n");
    }
}
