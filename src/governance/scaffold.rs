//! From a Grasshopper file to the whole folder of an app.
//!
//! [`draft`] says what the contract would promise, [`learn`] settles by one solve what the file does not tell, [`files`] writes it down,
//! and [`contract::Contract`] checks it as the gateway would. All of this happens in memory: what is written was checked before.

use std::io;
use std::path::Path;
use std::sync::Arc;

use contract::definition::{Definition, Limits, ReadError};
use contract::{Contract, Fault};
use semver::Version;

pub mod draft;
mod examples;
pub mod files;
pub mod learn;
mod names;
mod shape;
pub mod solver;
mod units;

pub use draft::{Draft, Obstacle, Options, Refused};
pub use files::{FIRST, Files, Source};
pub use names::app_id;
pub use solver::Solver;

/// A definition file, read.
#[derive(Debug)]
pub struct DefinitionFile {
    /// The name that it has in a version folder.
    pub name: String,
    pub bytes: Arc<[u8]>,
    pub definition: Definition,
}

/// The first version of an app, checked and not yet written.
#[derive(Debug)]
pub struct Scaffold {
    pub contract: Contract,
    pub files: Files,
    /// What a solve said beyond that; why there was none.
    pub notes: Vec<String>,
}

/// Why an app cannot be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the file is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Unreadable(Box<ReadError>),
    #[error("{}", told(.0))]
    Refused(Refused),
    /// What we made of it is not as the gateway wants it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
}

/// The definition of `new-app --blank`: a width and a depth in, an area out.
const BLANK: &[u8] = include_bytes!("scaffold/blank.ghx");

// === impl DefinitionFile ===

impl DefinitionFile {
    /// Reads a file of either format, within bounds.
    pub fn open(path: &Path, app_id: &str) -> Result<Self, Error> {
        let limits = Limits::default();
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a regular file").into());
        }
        if metadata.len() > limits.file_bytes as u64 {
            return Err(Error::TooLarge(limits.file_bytes));
        }
        Self::of(std::fs::read(path)?.into(), path, app_id)
    }

    /// A definition to begin with, where there is none yet.
    pub fn blank(app_id: &str) -> Result<Self, Error> {
        Self::of(BLANK.into(), Path::new(app_id), app_id)
    }

    fn of(bytes: Arc<[u8]>, path: &Path, app_id: &str) -> Result<Self, Error> {
        let definition =
            Definition::read(&bytes, &Limits::default()).map_err(|error| Error::Unreadable(Box::new(error)))?;
        Ok(Self { name: files::file_name(path, app_id, definition.format), bytes, definition })
    }
}

// === impl Scaffold ===

impl Scaffold {
    /// Makes the first version of an app. A node is asked for what the file alone does not tell, where there is one; `solver` settles the
    /// rest as far as it can.
    pub async fn of(file: &mut DefinitionFile, options: Options, solver: &Solver) -> Result<Self, Error> {
        let app_id = options.app_id.clone();
        let mut notes = solver.describe(file).await;
        let mut draft = Draft::of(&file.definition, options).map_err(Error::Refused)?;
        let (mut files, mut contract) = written(&draft, file, &app_id)?;
        match (examples::valid(&draft), draft.outputs.iter().any(|port| port.guessed)) {
            (_, false) => {}
            (None, true) => notes.push(
                "no example could be made, because only Rhino can make one of the inputs: add examples/valid/*.json"
                    .to_owned(),
            ),
            (Some(inputs), true) => match solver.solve(&contract, inputs).await {
                Ok(answer) => {
                    if draft.learn(&answer, solver.whom()) {
                        (files, contract) = written(&draft, file, &app_id)?;
                    }
                }
                Err(why) => notes.push(format!(
                    "{} could not solve it, so types and access of outputs are guesses: {why}",
                    solver.whom()
                )),
            },
        }
        Ok(Self { contract, files, notes })
    }

    /// The same files below the version's folder, and the policy beside it: the whole app.
    pub fn app(&self) -> Files {
        let policy = files::policy(&self.contract.app_id).into_bytes();
        let version =
            self.files.iter().map(|(path, bytes)| (format!("{}/{path}", self.contract.version), Arc::clone(bytes)));
        version.chain([("policy.json".to_owned(), policy.into())]).collect()
    }
}

fn written(draft: &Draft, file: &DefinitionFile, app_id: &str) -> Result<(Files, Contract), Error> {
    let source = Source { file: &file.name, bytes: &file.bytes, definition: &file.definition };
    let made = files::version(draft, source);
    let contract = files::load(&made, app_id, &FIRST).map_err(Error::Faults)?;
    Ok((made, contract))
}

/// The property of a schema and the entry of the bindings for a port, for a version that gets one more.
pub fn port_nodes(port: &draft::Port, order: usize, input: bool) -> (super::json::Node, super::json::Node) {
    (files::property(port, order, input), files::binding(port))
}

fn told(refused: &Refused) -> String {
    let line = |obstacle: &Obstacle| format!("{} [{}]\n    help: {}", obstacle.message, obstacle.code, obstacle.fix);
    refused.0.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether another app of the registry has the definition name already.
pub fn owner(contracts: &Path, definition: &str) -> io::Result<Option<String>> {
    for (app_id, _, manifest) in super::versions::manifests(contracts)? {
        if manifest.get("definition").and_then(|name| name.as_str()) == Some(definition) {
            return Ok(Some(app_id));
        }
    }
    Ok(None)
}

/// What `version` would be called in a message.
pub fn full_name(app_id: &str, version: &Version) -> String {
    format!("{app_id}:{version}")
}
