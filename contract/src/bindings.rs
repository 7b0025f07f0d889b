//! `bindings.json`: which Grasshopper parameter stands behind each input and output, and of what type it is.
//!
//! A name is bound once, and a parameter belongs to one name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::source::Source;

/// The bindings of one version, inputs and outputs each in the order they are shown in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bindings {
    pub inputs: Vec<Binding>,
    pub outputs: Vec<Binding>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// The caller's name.
    pub name: String,
    /// The exact name that compute knows the parameter by, such as `RH_IN:site_width`.
    pub gh: String,
    #[serde(rename = "type")]
    pub kind: Type,
    pub access: Access,
    /// The step of a slider, for inputs of type number and integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Number,
    Integer,
    Boolean,
    Text,
    Point,
    Vector,
    Plane,
    Line,
    Circle,
    Rectangle,
    Box,
    Curve,
    Surface,
    Brep,
    Mesh,
    Subd,
    Geometry,
}

/// How many values there are: one, a list of them, or a tree of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    Item,
    List,
    Tree,
}

#[derive(Deserialize)]
struct File {
    inputs: BTreeMap<String, Entry>,
    outputs: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    gh: String,
    #[serde(rename = "type")]
    kind: Type,
    access: Access,
    step: Option<f64>,
}

// === impl Bindings ===

impl Bindings {
    /// Reads the file; the order of the bindings is that of the file.
    pub fn read(source: &Source<'_>) -> Result<Self, Vec<Fault>> {
        let mut file: File = source.shape("bindings")?;
        let spans = source.spans();
        let ordered = |section: &str, entries: &mut BTreeMap<String, Entry>| {
            let names = spans.names(section);
            names
                .into_iter()
                .filter_map(|name| entries.remove_entry(name))
                .map(|(name, Entry { gh, kind, access, step })| Binding { name, gh, kind, access, step })
                .collect::<Vec<_>>()
        };
        let bindings =
            Self { inputs: ordered("/inputs", &mut file.inputs), outputs: ordered("/outputs", &mut file.outputs) };
        let mut faults = Vec::new();
        bindings.check_duplicates(source, &mut faults);
        bindings.check_steps(source, &mut faults);
        if faults.is_empty() { Ok(bindings) } else { Err(faults) }
    }

    fn check_duplicates(&self, source: &Source<'_>, faults: &mut Vec<Fault>) {
        for (section, bindings) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
            for binding in bindings {
                if let Some(first) = seen.insert(&binding.gh, &binding.name) {
                    let pointer = format!("/{section}/{}/gh", crate::json::spans::escape(&binding.name));
                    let message = format!("`{}` is bound twice: by `{first}` and by `{}`", binding.gh, binding.name);
                    faults.push(source.fault("binding_duplicate", &pointer, message));
                }
            }
        }
    }

    fn check_steps(&self, source: &Source<'_>, faults: &mut Vec<Fault>) {
        for (section, bindings) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            for binding in bindings.iter().filter(|binding| binding.step.is_some()) {
                let stepped = matches!(binding.kind, Type::Number | Type::Integer);
                if section == "outputs" || !stepped {
                    let pointer = format!("/{section}/{}/step", crate::json::spans::escape(&binding.name));
                    let message =
                        format!("only inputs of type number or integer have a step; `{}` is not", binding.name);
                    faults.push(source.fault("binding_step", &pointer, message));
                }
            }
        }
    }
}

// === impl Type ===

impl Type {
    /// The word of the file format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Point => "point",
            Self::Vector => "vector",
            Self::Plane => "plane",
            Self::Line => "line",
            Self::Circle => "circle",
            Self::Rectangle => "rectangle",
            Self::Box => "box",
            Self::Curve => "curve",
            Self::Surface => "surface",
            Self::Brep => "brep",
            Self::Mesh => "mesh",
            Self::Subd => "subd",
            Self::Geometry => "geometry",
        }
    }

    /// Whether its values are plain numbers.
    pub const fn is_numeric(self) -> bool {
        matches!(self, Self::Number | Self::Integer)
    }

    /// The types whose values compute can put into an input parameter of this `TypeName`; none, where it clears the
    /// parameter without a word.
    pub fn fitting_input(type_name: &str) -> &'static [Self] {
        match type_name {
            "Number" => &[Self::Number, Self::Integer],
            "Integer" => &[Self::Integer],
            "Boolean" => &[Self::Boolean],
            "Text" => &[Self::Text],
            "Point" => &[Self::Point],
            "Vector" => &[Self::Vector],
            "Plane" => &[Self::Plane],
            "Line" => &[Self::Line],
            "Circle" => &[Self::Circle],
            "Rectangle" => &[Self::Rectangle],
            "Box" => &[Self::Box],
            "Curve" => &[Self::Curve],
            "Surface" => &[Self::Surface],
            "Brep" => &[Self::Brep],
            "Mesh" => &[Self::Mesh],
            "SubD" => &[Self::Subd],
            "Geometry" => &[Self::Geometry, Self::Curve, Self::Surface, Self::Brep, Self::Mesh, Self::Subd],
            _ => &[],
        }
    }

    /// Whether an output parameter of this `TypeName` can give values of this type.
    ///
    /// A Number parameter often counts, so it may be promised as an integer: each answer is checked. Parameters without
    /// a type of their own promise nothing and may give anything.
    pub fn fits_output(self, type_name: &str) -> bool {
        let scalar = matches!(self, Self::Number | Self::Integer | Self::Boolean | Self::Text);
        match type_name {
            "Generic Data" => true,
            "Geometry" => !scalar,
            "Integer" => matches!(self, Self::Integer | Self::Number),
            "Surface" => matches!(self, Self::Surface | Self::Brep | Self::Geometry),
            "Curve" => matches!(self, Self::Curve | Self::Line | Self::Circle | Self::Rectangle | Self::Geometry),
            "Brep" | "Mesh" | "SubD" => self == Self::Geometry || Self::fitting_input(type_name).contains(&self),
            name => Self::fitting_input(name).contains(&self),
        }
    }
}

// === impl Access ===

impl Access {
    /// The word of the file format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::List => "list",
            Self::Tree => "tree",
        }
    }
}
