//! What the reader knows of a definition: what Rhino.Compute will see, and what it will not.
//!
//! Serialised, this is what `inspect --json` prints. Invariant: the keys of [`Definition`], [`Input`], [`Output`] and
//! [`Library`] and their meaning stay; more may be added.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use uuid::Uuid;

use super::archive::Format;
use super::default::DefaultTree;

/// A Grasshopper definition as Rhino.Compute sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Definition {
    pub format: Format,
    /// The Rhino version that saved the file: in full where the file tells it, else the major version; none where several
    /// majors write this file version.
    pub rhino: Option<String>,
    /// The file version of Grasshopper, such as `1.0.8`.
    pub grasshopper: Option<String>,
    /// What the author wrote about the definition; `/io` returns it.
    pub description: Option<String>,
    /// The icon that `/io` returns, base64. Not serialised: it may be large, and says nothing.
    #[serde(skip)]
    pub icon: Option<String>,
    /// Objects on the canvas, those inside clusters not counted.
    pub objects: usize,
    /// In the order of `/io`: from the top of the canvas down.
    pub inputs: Vec<Input>,
    /// In the order of `/io`: from the top of the canvas down.
    pub outputs: Vec<Output>,
    /// Plug-ins that the definition states, those inside clusters included.
    pub libraries: Vec<Library>,
    pub scripts: Vec<Script>,
    /// What will not work as its author may think.
    pub problems: Vec<Problem>,
    /// Parameters that have a nickname and are no input: what [`Definition::explain`] looks among.
    #[serde(skip)]
    pub(super) unseen: Vec<Spot>,
}

/// How compute found an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A contextual parameter, such as Get Number.
    Contextual,
    /// The first member of a group whose nickname contains `RH_IN`.
    Group,
}

/// An input that `/io` lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// The exact `ParamName`.
    pub name: String,
    /// The `ParamType`, "?" where the parameter is a plug-in's.
    #[serde(rename = "type")]
    pub type_name: String,
    pub kind: InputKind,
    /// The component that the parameter is an instance of.
    pub component: Uuid,
    /// The parameter itself.
    pub instance: Uuid,
    /// The least number of values; 0 makes the input optional.
    pub at_least: i32,
    /// The greatest number of values, `i32::MAX` for any.
    pub at_most: i32,
    /// Whether the input takes a tree with branches of its own.
    pub tree: bool,
    /// The data that the parameter has when nothing is sent: without items where there is none, none where only a solve
    /// can tell ([`Input::default_note`] says why). Serialised as the plain value, see [`DefaultTree::to_plain`].
    #[serde(serialize_with = "plain")]
    pub default: Option<DefaultTree>,
    pub default_note: Option<String>,
    /// As compute reports it: the getter's own, else that of the only slider that feeds it.
    pub minimum: Option<f64>,
    /// As compute reports it, which is a slider's only: a getter's own is never reported.
    pub maximum: Option<f64>,
    /// The limits set in the getter itself, which Grasshopper holds to whatever compute reports.
    pub own_minimum: Option<f64>,
    pub own_maximum: Option<f64>,
    /// The step of the slider that gives the default.
    pub step: Option<f64>,
    /// The text of a getter; `/io` returns it as the description.
    pub prompt: Option<String>,
    /// Canvas position, y downwards.
    pub position: Option<[f32; 2]>,
    /// The slider, toggle, panel or value list whose data is the default, where it is one object.
    pub source: Option<Spot>,
    /// What the value list that feeds it offers, in its order; empty where there is none, or where only Grasshopper can tell.
    pub choices: Vec<Choice>,
    /// The groups around it that have a name of their own, smallest first. Those that make inputs and outputs are none.
    pub groups: Vec<String>,
}

/// One item of a value list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// What a person sees.
    pub name: String,
    /// In plain JSON, as data of the input's type.
    pub value: serde_json::Value,
}

/// An output that `/io` lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Output {
    /// The exact `ParamName`.
    pub name: String,
    /// The `ParamType`, "?" where the file does not tell.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The parameter whose data is returned.
    pub parameter: Uuid,
    /// The object on the canvas: the parameter, or the component that it belongs to.
    pub instance: Uuid,
    /// Canvas position, y downwards.
    pub position: Option<[f32; 2]>,
}

/// A plug-in that the file lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Library {
    pub name: String,
    /// The version of the assembly where it is known, else what its author typed.
    pub version: Option<String>,
    /// All zeros where the plug-in states none.
    pub id: Uuid,
    /// Whether it comes with Rhino, so that no node need install it.
    pub bundled: bool,
    /// Whether only a cluster uses it.
    pub in_cluster: bool,
}

/// A component that carries code.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Script {
    #[serde(flatten)]
    pub spot: Spot,
    /// `python 3`, `ironpython 2`, `csharp`, `vb`, or the language's own identifier.
    pub language: String,
    /// SHA-256 of the code with LF line ends, lower-case hex; none where the code comes over a wire or from a file.
    pub sha256: Option<String>,
    /// Lines of code.
    pub lines: usize,
    /// Packages that the code imports and that come neither with Python nor with Rhino.
    pub packages: Vec<String>,
    /// Package requirements stated in comments, as written.
    pub requires: Vec<String>,
    pub in_cluster: bool,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A solve fails, or something that its author takes for an input or output is none.
    Error,
    /// It may be meant so.
    Warning,
}

/// Something that will not work as the author may think.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// A stable word.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// Which object it is about; none for the definition as a whole.
    #[serde(flatten)]
    pub spot: Option<Spot>,
    /// What to do in Grasshopper.
    pub fix: String,
}

/// An object on the canvas.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spot {
    /// What kind of object it is.
    pub object: String,
    pub nickname: String,
    #[serde(rename = "guid")]
    pub instance: Uuid,
    /// Canvas position, y downwards.
    pub position: Option<[f32; 2]>,
}

/// What there is to say about a name that somebody looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Explanation<'d> {
    Input(&'d Input),
    Output(&'d Output),
    /// It is on the canvas, and compute does not see it.
    NotSeen {
        spot: &'d Spot,
        because: String,
        fix: String,
    },
    /// It is not there, and these names are near.
    DidYouMean(Vec<&'d str>),
    NotThere,
}

/// `{"{0}": […]}`: branches of a data tree by path.
pub(super) type Branches<T> = BTreeMap<Vec<i32>, Vec<T>>;

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn plain<S: Serializer>(default: &Option<DefaultTree>, serializer: S) -> Result<S::Ok, S::Error> {
    default.as_ref().map(DefaultTree::to_plain).serialize(serializer)
}

impl std::fmt::Display for Spot {
    /// `Number Slider "width" at (120, 80)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.object)?;
        if !self.nickname.is_empty() && self.nickname != self.object {
            write!(f, " \"{}\"", self.nickname)?;
        }
        self.position.map_or(Ok(()), |[x, y]| write!(f, " at ({x:.0}, {y:.0})"))
    }
}
