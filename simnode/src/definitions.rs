//! Definitions as a child holds them, and the shelf of recent ones that all children of a node share.
//!
//! A definition in memory keeps the inputs of its last caller. The shelf keeps only the text that was uploaded, so a
//! child that takes a definition from it starts with the defaults of the file.

use crate::children::Recent;
use crate::protocol::Thrown;
use crate::protocol::decode::Class;
use crate::protocol::request::{InputTree, Request};
use crate::solve::{Document, Settings, Solution};
use crate::tree::Tree;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use contract::definition::{Archive, Definition, Input, InputKind, Limits};
use md5::{Digest, Md5};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

/// As many definitions as compute leaves in its cache folder.
const SHELF_MAX: usize = 20;

const DUPLICATE_INPUT: &str =
    "Multiple input parameters with the same name were detected. Parameter names must be unique.";
const DUPLICATE_OUTPUT: &str =
    "Multiple output parameters with the same name were detected. Parameter names must be unique.";

/// The definitions uploaded last, by cache key.
#[derive(Debug)]
pub(crate) struct Shelf {
    uploads: Mutex<Recent<Arc<str>>>,
}

/// A definition that has been built.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The cache key.
    pub(crate) key: String,
    pub(crate) definition: Definition,
    /// Found while it was built; every answer repeats them.
    pub(crate) complaints: Vec<String>,
    work: Mutex<Work>,
}

#[derive(Debug)]
struct Work {
    document: Document,
    /// What was sent last for each input. The same again is skipped, even if it threw the first time.
    sent: HashMap<String, InputTree>,
}

// === impl Shelf ===

impl Default for Shelf {
    fn default() -> Self {
        Self { uploads: Mutex::new(Recent::new(SHELF_MAX)) }
    }
}

impl Shelf {
    /// The upload under a key, which counts as an access.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<str>> {
        self.uploads().get(key)
    }

    pub(crate) fn put(&self, key: &str, algo: &str) {
        self.uploads().put(key.to_owned(), algo.into());
    }

    pub(crate) fn clear(&self) {
        self.uploads().clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.uploads().len()
    }

    fn uploads(&self) -> std::sync::MutexGuard<'_, Recent<Arc<str>>> {
        self.uploads.lock().expect("nothing panics while it holds this lock")
    }
}

// === impl Loaded ===

impl Loaded {
    /// Builds what base64 text holds, a `.gh` or a `.ghx`.
    pub(crate) fn from_base64(algo: &str) -> Result<Self, Thrown> {
        // Convert.FromBase64String passes over white space.
        let bare: String = algo.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let bytes = BASE64_STANDARD
            .decode(bare)
            .map_err(|_cause| Thrown::Request("The input is not a valid Base-64 string.".into()))?;
        let archive = Archive::read(&bytes, &Limits::default())
            .map_err(|error| Thrown::Request(format!("Unable to load grasshopper definition: {error}").into()))?;
        let document = Document::load(&archive)
            .map_err(|_cause| Thrown::Request("Unable to extract definition from archive".into()))?;
        let definition = Definition::of(&archive);
        let complaints = complaints(&definition);
        Ok(Self {
            key: cache_key(algo),
            definition,
            complaints,
            work: Mutex::new(Work { document, sent: HashMap::new() }),
        })
    }

    /// Sets what the request sends and solves. Whatever it does not send is as the last caller left it.
    pub(crate) fn solve(&self, request: &Request, settings: &Settings) -> Result<Solution, Thrown> {
        // A solver that crashed leaves its document as it was; the next caller gets it like any other.
        let mut work = self.work.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let values = request.values.as_ref().ok_or_else(null)?;
        for tree in values {
            self.set(&mut work, tree.as_ref().ok_or_else(null)?)?;
        }
        let solution = work.document.solve(settings);
        if solution.outputs.is_empty() {
            return Err(Thrown::Server("Looks like you've missed something...".into()));
        }
        Ok(solution)
    }

    /// The data of an input whose default the file does not tell.
    pub(crate) fn default_of(&self, input: &Input, settings: &Settings) -> Option<Tree> {
        let work = self.work.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work.document.default_of(&input.name, settings)
    }

    /// The `ParamType` of an output.
    pub(crate) fn output_type(&self, name: &str) -> Option<&str> {
        self.definition.outputs.iter().find(|output| output.name == name).map(|output| output.type_name.as_str())
    }

    fn set(&self, work: &mut Work, tree: &InputTree) -> Result<(), Thrown> {
        let name = tree.name.as_deref().ok_or(Thrown::Request("Value cannot be null. (Parameter 'key')".into()))?;
        let Some(input) = self.definition.inputs.iter().find(|input| input.name == name) else {
            return Ok(());
        };
        if work.sent.get(name) == Some(tree) {
            return Ok(());
        }
        work.sent.insert(name.to_owned(), tree.clone());
        let contextual = input.kind == InputKind::Contextual;
        let mut data = Tree::new();
        let converted = match Class::of(input) {
            Some(class) => class.convert(tree, contextual, &mut data),
            // A contextual parameter without a conversion keeps its data; any other is left empty.
            None if contextual => return Ok(()),
            None => Ok(()),
        };
        // A contextual parameter is assigned at the end, a grouped one filled item by item.
        if !contextual || converted.is_ok() {
            work.document.set_input(name, data);
        }
        converted
    }
}

fn null() -> Thrown {
    Thrown::Server("Object reference not set to an instance of an object.".into())
}

/// What compute complains about while it builds a definition: one message for every name that is taken.
fn complaints(definition: &Definition) -> Vec<String> {
    let of = |code: &str, message: &str| {
        let found = definition.problems.iter().filter(|problem| problem.code == code).count();
        std::iter::repeat_n(message.to_owned(), found).collect::<Vec<_>>()
    };
    [of("duplicate_input", DUPLICATE_INPUT), of("duplicate_output", DUPLICATE_OUTPUT)].concat()
}

/// `md5_` and the upper-case MD5 of the base64 text, which is not that of the file.
pub(crate) fn cache_key(algo: &str) -> String {
    let ascii: Vec<u8> = algo.chars().map(|letter| if letter.is_ascii() { letter as u8 } else { b'?' }).collect();
    let mut key = "md5_".to_owned();
    for byte in Md5::digest(ascii) {
        // Writing to a text cannot fail.
        let _ = write!(key, "{byte:02X}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_digest_of_the_text_and_not_of_the_file() {
        assert_eq!(cache_key("aGVsbG8="), "md5_0733351879B2FA9BD05C7CA3061529C0");
        assert_eq!(cache_key(""), "md5_D41D8CD98F00B204E9800998ECF8427E");
    }

    #[test]
    fn the_shelf_keeps_twenty_and_lets_the_least_recent_go() {
        let shelf = Shelf::default();
        for number in 0..20 {
            shelf.put(&number.to_string(), "x");
        }
        assert!(shelf.get("0").is_some());
        shelf.put("20", "x");
        assert_eq!((shelf.len(), shelf.get("1"), shelf.get("0").is_some()), (20, None, true));
    }
}
