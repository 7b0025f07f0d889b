//! The sample definitions as code: a small language for a Grasshopper canvas, and one module per sample.
//!
//! Read a sample first ([`sitefit`]), then [`canvas`], the language; [`write`] turns a canvas into an archive.
//! The same names give the same ids, so a definition keeps its ids from one version to the next, as a saved copy does.

mod blank;
mod canvas;
mod catalogue;
mod daylight;
mod identity;
mod kinds;
mod layout;
mod parking;
mod record;
mod sitefit;
mod write;
mod yieldcheck;

use contract::definition::{Archive, Format};

use canvas::Canvas;

/// A definition file as it lies in the registry.
pub(crate) struct Definition {
    /// Below the contracts folder, with `/` between the parts.
    pub(crate) file: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Every sample definition, in the order of the registry.
pub(crate) fn all() -> Vec<Definition> {
    vec![
        ghx("daylight/0.1.0/daylight.ghx", &daylight::v0_1_0()),
        gh("parking/1.0.0/parking.gh", &parking::v1_0_0()),
        ghx("sitefit/1.0.0/sitefit.ghx", &sitefit::v1_0_0()),
        ghx("sitefit/1.1.0/sitefit.ghx", &sitefit::v1_1_0()),
        ghx("yieldcheck/1.0.0/yieldcheck.ghx", &yieldcheck::v1_0_0()),
    ]
}

/// What `new-app --blank` begins with. It lies beside the program's source, not in the registry.
pub(crate) fn blank() -> Definition {
    ghx("../../src/governance/scaffold/blank.ghx", &blank::first())
}

fn ghx(file: &'static str, canvas: &Canvas) -> Definition {
    let archive = Archive { format: Format::Ghx, root: write::root(canvas) };
    Definition { file, bytes: archive.to_ghx().into_bytes() }
}

fn gh(file: &'static str, canvas: &Canvas) -> Definition {
    let archive = Archive { format: Format::Gh, root: write::root(canvas) };
    Definition { file, bytes: archive.to_gh() }
}
