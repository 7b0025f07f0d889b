//! From the files of a version folder to a contract, or to all that is wrong with them.
//!
//! Every file is read whatever the others are like; what needs several of them is checked where all of these can be
//! read.

mod cross;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::bindings::Bindings;
use crate::definition::{Definition, Limits, Place, Refusal};
use crate::examples::{Counterexample, Example, Examples};
use crate::fault::{self, Fault, Position};
use crate::folder::Folder;
use crate::manifest::Manifest;
use crate::packed::Packed;
use crate::plugins::Plugins;
use crate::schema::{Schema, Subject, room};
use crate::shared::Shared;
use crate::source::Source;
use crate::{Contract, Digest};

/// The files that every version has.
const REQUIRED: [&str; 5] =
    ["manifest.json", "bindings.json", "plugins.json", "inputs.schema.json", "outputs.schema.json"];

/// A file together with what was read from it; `read` is none where the file has faults.
pub(crate) struct Part<'f, T> {
    pub(crate) source: Option<Source<'f>>,
    pub(crate) read: Option<T>,
}

/// All parts of a version, as far as they can be read.
pub(crate) struct Parts<'f> {
    pub(crate) manifest: Part<'f, Manifest>,
    pub(crate) bindings: Part<'f, Bindings>,
    pub(crate) plugins: Part<'f, Plugins>,
    pub(crate) inputs: Part<'f, Arc<Schema>>,
    pub(crate) outputs: Part<'f, Arc<Schema>>,
    pub(crate) definition: Option<Arc<Definition>>,
    pub(crate) valid: Vec<Part<'f, Arc<Example>>>,
    pub(crate) invalid: Vec<Part<'f, Arc<Counterexample>>>,
}

/// By the bytes of the file.
static DEFINITIONS: Shared<Digest, Definition> = Shared::new();
static PACKED: Shared<Digest, Packed> = Shared::new();
/// By the bytes of the file, and who refers to it: an unknown member is called otherwise by each subject.
static SCHEMAS: Shared<(Digest, Subject), Schema> = Shared::new();
/// By the bytes of the file and the name of the example.
static VALID: Shared<(Digest, String), Example> = Shared::new();
static INVALID: Shared<(Digest, String), Counterexample> = Shared::new();

/// See [`Contract::of`].
pub(crate) fn contract(folder: &Folder) -> Result<Contract, Vec<Fault>> {
    // Names outlive the sources that point at them.
    let paths: Vec<PathBuf> = folder.files.keys().map(PathBuf::from).collect();
    let mut loader = Loader { folder, paths: &paths, faults: Vec::new() };
    let mut parts = loader.parts();
    let mut faults = loader.faults;
    cross::check(folder, &parts, &mut faults);
    if faults.is_empty()
        && let Some(contract) = assemble(folder, &mut parts)
    {
        return Ok(contract);
    }
    fault::sort(&mut faults);
    Err(faults)
}

/// Puts a contract together; none where a part could not be read, which has its fault then.
fn assemble(folder: &Folder, parts: &mut Parts<'_>) -> Option<Contract> {
    let manifest = parts.manifest.read.take()?;
    let plugins = parts.plugins.read.take()?;
    let inputs = parts.inputs.read.take()?;
    let outputs = parts.outputs.read.take()?;
    let mut bindings = parts.bindings.read.take()?;
    bindings.inputs.sort_by_key(|binding| order(&inputs, &binding.name));
    bindings.outputs.sort_by_key(|binding| order(&outputs, &binding.name));
    let bytes = folder.files.get(&manifest.file)?;
    let definition_digest = digest_of(folder, &manifest.file, bytes);
    let Ok(definition_bytes) = PACKED.get(definition_digest, || Ok::<_, Infallible>(Packed::new(bytes)));
    let examples = Examples {
        valid: parts.valid.drain(..).filter_map(|part| part.read).collect(),
        invalid: parts.invalid.drain(..).filter_map(|part| part.read).collect(),
    };
    Some(Contract {
        app_id: manifest.app_id.clone(),
        version: manifest.version.clone(),
        manifest,
        room: room::of_inputs(inputs.document(), bindings.inputs.iter().map(|binding| &*binding.name)),
        bindings,
        requires_plugins_hash: plugins.requires_hash(),
        plugins,
        definition_digest,
        definition_bytes,
        definition: parts.definition.take()?,
        inputs_schema: Arc::clone(inputs.document()),
        outputs_schema: Arc::clone(outputs.document()),
        examples,
        digest: folder.digest,
        inputs,
        outputs,
    })
}

/// The digest of a file, which was mostly computed when the folder was read.
fn digest_of(folder: &Folder, file: &str, bytes: &[u8]) -> Digest {
    folder.digests.get(file).copied().unwrap_or_else(|| Digest::of(bytes))
}

/// The `x-order` of a member; those without one come last.
fn order(schema: &Schema, name: &str) -> i64 {
    let property = schema.document().get("properties").and_then(|properties| properties.get(name));
    property.and_then(|property| property.get("x-order")?.as_i64()).unwrap_or(i64::MAX)
}

struct Loader<'f> {
    folder: &'f Folder,
    paths: &'f [PathBuf],
    faults: Vec<Fault>,
}

// === impl Loader ===

impl<'f> Loader<'f> {
    fn parts(&mut self) -> Parts<'f> {
        let manifest = self.required("manifest.json", Manifest::read);
        let definition = manifest.read.as_ref().and_then(|read| self.definition(read, manifest.source.as_ref()?));
        Parts {
            definition,
            bindings: self.required("bindings.json", Bindings::read),
            plugins: self.required("plugins.json", Plugins::read),
            inputs: self.schema("inputs.schema.json", Subject::Inputs),
            outputs: self.schema("outputs.schema.json", Subject::Outputs),
            valid: self.examples("examples/valid/", &VALID, Example::read),
            invalid: self.examples("examples/invalid/", &INVALID, Counterexample::read),
            manifest,
        }
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Source<'f>) -> Result<T, Vec<Fault>>,
    ) -> Part<'f, T> {
        let Some(path) = self.path(name) else { return Part { source: None, read: None } };
        match Source::parse(path, self.bytes(path)) {
            Ok(source) => self.part(read(&source), Some(source)),
            Err(fault) => self.part(Err(vec![fault]), None),
        }
    }

    /// Compiles a schema file, or takes what was made of an equal one.
    fn schema(&mut self, name: &'static str, subject: Subject) -> Part<'f, Arc<Schema>> {
        match self.path(name) {
            Some(path) => {
                self.shared_part(path, &SCHEMAS, |digest| (digest, subject), |source| compile(source, subject))
            }
            None => Part { source: None, read: None },
        }
    }

    /// Where a file lies that every version has.
    fn path(&mut self, name: &'static str) -> Option<&'f Path> {
        let found = self.paths.iter().find(|path| path.as_os_str() == name);
        if found.is_none() {
            let others = self.folder.files.keys().map(String::as_str).filter(|other| !REQUIRED.contains(other));
            let help = fault::closest(name, others).map(|near| format!("is `{near}` meant to be it?"));
            self.faults.push(Fault::of_file("file_missing", Path::new(name), "the file is missing").help(help));
        }
        found.map(PathBuf::as_path)
    }

    /// What `read` makes of a file, or what was made of equal bytes for the same key before.
    fn shared_part<K: Ord, T>(
        &mut self,
        path: &'f Path,
        known: &Shared<K, T>,
        key: impl FnOnce(Digest) -> K,
        read: impl FnOnce(&Source<'f>) -> Result<T, Vec<Fault>>,
    ) -> Part<'f, Arc<T>> {
        let bytes = self.bytes(path);
        let mut source = Some(Source::parsed_before(path, bytes));
        let digest = path.to_str().map(|path| digest_of(self.folder, path, bytes));
        let made = known.get(key(digest.unwrap_or_else(|| Digest::of(bytes))), || {
            source = None;
            let parsed = Source::parse(path, bytes).map_err(|fault| vec![fault])?;
            read(source.insert(parsed))
        });
        self.part(made, source)
    }

    fn part<T>(&mut self, read: Result<T, Vec<Fault>>, source: Option<Source<'f>>) -> Part<'f, T> {
        Part { source, read: read.map_err(|faults| self.faults.extend(faults)).ok() }
    }

    fn bytes(&self, path: &Path) -> &'f [u8] {
        path.to_str().and_then(|path| self.folder.files.get(path)).map_or(&[], |bytes| bytes)
    }

    fn definition(&mut self, manifest: &Manifest, source: &Source<'_>) -> Option<Arc<Definition>> {
        let file = manifest.file.as_str();
        let Some(bytes) = self.folder.files.get(file) else {
            let is_definition = |name: &&str| {
                let end = Path::new(name).extension().unwrap_or_default();
                end.eq_ignore_ascii_case("ghx") || end.eq_ignore_ascii_case("gh")
            };
            let others = self.folder.files.keys().map(String::as_str).filter(is_definition);
            let help = fault::did_you_mean(file, others.clone()).or_else(|| {
                let others = fault::listed(others);
                Some(format!("Grasshopper files in this folder: {others}"))
            });
            self.faults
                .push(source.fault("definition_missing", "/file", format!("there is no file `{file}`")).help(help));
            return None;
        };
        let digest = digest_of(self.folder, file, bytes);
        match DEFINITIONS.get(digest, || Definition::read(bytes, &Limits::default())) {
            Ok(definition) => Some(definition),
            Err(error) => {
                let at = match error.at {
                    Place::Line { line, column } => Position { line, column },
                    Place::File | Place::Byte(_) | Place::Inflated(_) => Position::START,
                };
                let is_pointer = matches!(error.refusal, Refusal::GitLfsPointer);
                let rule = if is_pointer { "definition_lfs_pointer" } else { "definition_unreadable" };
                let fault = Fault::new(rule, Path::new(file), at, error.to_string());
                self.faults.push(fault.help(error.help().to_owned()));
                None
            }
        }
    }

    fn examples<T>(
        &mut self,
        folder: &str,
        known: &Shared<(Digest, String), T>,
        read: impl Fn(&str, &Source<'f>) -> Result<T, Vec<Fault>>,
    ) -> Vec<Part<'f, Arc<T>>> {
        let mut parts = Vec::new();
        for path in self.paths {
            let name = path.to_str().and_then(|path| path.strip_prefix(folder)?.strip_suffix(".json"));
            if let Some(name) = name.filter(|name| !name.contains('/')) {
                let key = |digest| (digest, name.to_owned());
                parts.push(self.shared_part(path, known, key, |source| read(name, source)));
            }
        }
        parts
    }
}

/// Compiles a schema file, which describes an object by its members.
fn compile(source: &Source<'_>, subject: Subject) -> Result<Schema, Vec<Fault>> {
    let value = source.value();
    let mut faults = Vec::new();
    if value.get("type").and_then(Value::as_str) != Some("object") {
        faults.push(source.fault("schema_root", "/type", "the schema must be of `\"type\": \"object\"`"));
    }
    if !value.get("properties").is_some_and(Value::is_object) {
        faults.push(source.fault("schema_root", "/properties", "the schema must have `properties`, one for each name"));
    }
    match Schema::compile(value.clone(), subject) {
        Ok(schema) if faults.is_empty() => return Ok(schema),
        Ok(_) => {}
        Err(found) => faults.extend(found.into_iter().map(|violation| source.violated(violation))),
    }
    Err(faults)
}
