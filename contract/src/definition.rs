//! The definition reader: Grasshopper files as Rhino.Compute sees them.
//!
//! [`Archive`] is the tree of named chunks and items that both file formats, `.ghx` and `.gh`, store; [`Definition`] is
//! what compute makes of it: inputs, outputs, plug-ins, scripts, and what its author may believe to be there and is not.
//! The bytes are untrusted: whatever is read is bounded by [`Limits`], and nothing in a file can open another one.

pub mod archive;
mod canvas;
mod clusters;
mod default;
pub mod diff;
mod discover;
mod error;
mod explain;
mod gh;
mod ghx;
mod guids;
mod libraries;
mod limits;
mod model;
pub mod number;
mod problems;
mod report;
mod scripts;
mod types;

pub use archive::{Archive, Format};
pub use default::{DefaultItem, DefaultTree};
pub use error::{Place, ReadError, Refusal};
pub use limits::Limits;
pub use model::{Choice, Definition, Explanation, Input, InputKind, Library, Output, Problem, Script, Severity, Spot};
pub use report::Report;

use archive::Chunk;
use canvas::Canvas;
use limits::Budget;

impl Definition {
    /// Reads a file of either format and finds out what compute will see in it.
    ///
    /// # Errors
    ///
    /// Whatever is not an archive within `limits`, and an archive without a document.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        let mut budget = Budget::new(limits);
        let archive = Archive::read_within(bytes, &mut budget)?;
        match archive.document() {
            Some(document) => Ok(Self::of_document(archive.format, document, &mut budget)),
            None => Err(ReadError::new(Refusal::NoDefinitionObjects, Place::File)),
        }
    }

    /// What compute will see in an archive that was read or built; nothing in one without a document. Clusters are read
    /// within the default limits.
    pub fn of(archive: &Archive) -> Self {
        let document = archive.document().unwrap_or(&archive.root);
        Self::of_document(archive.format, document, &mut Budget::new(&Limits::default()))
    }

    fn of_document(format: Format, document: &Chunk, budget: &mut Budget) -> Self {
        let canvas = Canvas::new(document);
        let mut found = discover::discover(&canvas);
        let unheard = problems::check(&canvas, &found);
        found.problems.extend(unheard);
        let (clusters, nested) = clusters::read(&canvas, budget);
        found.problems.extend(nested);
        found.problems.sort_by_key(|problem| problem.severity);
        let (rhino, grasshopper) = libraries::versions(document);
        let properties = document.chunk("DefinitionProperties");
        let property = |name| properties.and_then(|chunk| chunk.text(name)).filter(|text| !text.trim().is_empty());
        Self {
            format,
            rhino,
            grasshopper,
            description: property("Description").map(str::to_owned),
            icon: property("IconImageData").map(str::to_owned),
            objects: canvas.objects.len(),
            unseen: canvas.unseen(&found),
            libraries: libraries::list(document, &clusters),
            scripts: scripts::list(&canvas, &clusters),
            inputs: found.inputs,
            outputs: found.outputs,
            problems: found.problems,
        }
    }
}
