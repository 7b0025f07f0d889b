//! What a parameter and a component are, before they lie on a canvas.

use std::borrow::Cow;

use uuid::{Uuid, uuid};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any data.
    Data,
    /// A variable of an Expression: a number, a truth value, a text or a point.
    Variable,
    Number,
    Integer,
    Boolean,
    Text,
    Point,
    Vector,
    Plane,
    Domain,
    Line,
    Curve,
    Rectangle,
    Box,
    Geometry,
    Transform,
}

/// A value that a parameter holds of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Integer(i32),
    Text(&'static str),
    Point([f64; 3]),
    Vector([f64; 3]),
    /// From and to.
    Domain([f64; 2]),
    /// Origin, x axis, y axis.
    Plane([f64; 9]),
}

/// How many values a parameter hands over at a time; the numbers are those of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Item = 0,
    List = 1,
    Tree = 2,
}

/// A parameter of a component.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) name: Cow<'static, str>,
    pub(super) nickname: &'static str,
    pub(super) description: &'static str,
    pub(super) kind: Kind,
    pub(super) access: Access,
    pub(super) optional: bool,
    pub(super) default: Option<Literal>,
}

/// How a component stores its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Always the same ones.
    Fixed,
    /// The user may add and remove some, so the file lists their types.
    Variable,
}

/// A plug-in assembly that a component comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plugin {
    pub(super) id: Uuid,
    pub(super) name: &'static str,
    pub(super) author: &'static str,
    /// What its author calls the version, and the version of the assembly.
    pub(super) version: &'static str,
    pub(super) assembly_version: &'static str,
}

/// A component as it comes from the toolbar.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) guid: Uuid,
    pub(super) name: &'static str,
    pub(super) nickname: &'static str,
    pub(super) description: &'static str,
    pub(super) plugin: Option<Plugin>,
    pub(super) shape: Shape,
    /// The formula of an Expression.
    pub(super) formula: Option<&'static str>,
    /// Settings of the component itself that are on or off.
    pub(super) switches: Vec<(&'static str, bool)>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

// === impl Kind ===

impl Kind {
    /// The component id of the floating parameter of this type; `ParameterData` names types by it, too.
    pub(super) fn guid(self) -> Uuid {
        match self {
            Self::Data => uuid!("8ec86459-bf01-4409-baee-174d0d2b13d0"),
            Self::Variable => uuid!("ba80fd98-91a1-4958-b6a7-a94e40e52bdb"),
            Self::Number => uuid!("3e8ca6be-fda8-4aaf-b5c0-3c54c8bb7312"),
            Self::Integer => uuid!("2e3ab970-8545-46bb-836c-1c11e5610bce"),
            Self::Boolean => uuid!("cb95db89-6165-43b6-9c41-5702bc5bf137"),
            Self::Text => uuid!("3ede854e-c753-40eb-84cb-b48008f14fd4"),
            Self::Point => uuid!("fbac3e32-f100-4292-8692-77240a42fd1a"),
            Self::Vector => uuid!("16ef3e75-e315-4899-b531-d3166b42dac9"),
            Self::Plane => uuid!("4f8984c4-7c7a-4d69-b0a2-183cbb330d20"),
            Self::Domain => uuid!("15b7afe5-d0d0-43e1-b894-34fcfe3be384"),
            Self::Line => uuid!("8529dbdf-9b6f-42e9-8e1f-c7a2bde56a70"),
            Self::Curve => uuid!("d5967b9f-e8ee-436b-a8ad-29fdcecf32d5"),
            Self::Rectangle => uuid!("abf9c670-5462-4cd8-acb3-f1ab0256dbf3"),
            Self::Box => uuid!("c9482db6-bea9-448d-98ff-fed6d69a8efc"),
            Self::Geometry => uuid!("ac2bc2cb-70fb-4dd5-9c78-7e1ea97fe278"),
            Self::Transform => uuid!("28f40e48-e739-4211-91bd-f4aefa5965f8"),
        }
    }

    /// Name and description of the floating parameter.
    pub(super) fn titles(self) -> [&'static str; 2] {
        match self {
            Self::Data => ["Data", "Holds data of any type"],
            Self::Variable => ["Variable", "Holds values for a formula"],
            Self::Number => ["Number", "Holds floating-point numbers"],
            Self::Integer => ["Integer", "Holds whole numbers"],
            Self::Boolean => ["Boolean", "Holds truth values"],
            Self::Text => ["Text", "Holds pieces of text"],
            Self::Point => ["Point", "Holds points in space"],
            Self::Vector => ["Vector", "Holds vectors"],
            Self::Plane => ["Plane", "Holds planes"],
            Self::Domain => ["Domain", "Holds intervals of numbers"],
            Self::Line => ["Line", "Holds line segments"],
            Self::Curve => ["Curve", "Holds curves"],
            Self::Rectangle => ["Rectangle", "Holds rectangles"],
            Self::Box => ["Box", "Holds boxes"],
            Self::Geometry => ["Geometry", "Holds geometry of any type"],
            Self::Transform => ["Transform", "Holds transformations"],
        }
    }
}

// === impl Port ===

impl Port {
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        nickname: &'static str,
        kind: Kind,
        description: &'static str,
    ) -> Self {
        let name = name.into();
        Self { name, nickname, description, kind, access: Access::Item, optional: false, default: None }
    }

    pub(super) fn list(self) -> Self {
        Self { access: Access::List, ..self }
    }

    pub(super) fn tree(self) -> Self {
        Self { access: Access::Tree, ..self }
    }

    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    pub(super) fn default(self, value: Literal) -> Self {
        Self { default: Some(value), ..self }
    }

    /// Renames what a Context component shows: Rhino.Compute takes the nickname for the name of the output.
    pub(super) fn called(self, nickname: &'static str) -> Self {
        Self { nickname, ..self }
    }
}

// === impl Component ===

impl Component {
    pub(super) fn fixed(
        guid: Uuid,
        [name, nickname, description]: [&'static str; 3],
        inputs: Vec<Port>,
        outputs: Vec<Port>,
    ) -> Self {
        let (plugin, formula, switches) = (None, None, Vec::new());
        Self { guid, name, nickname, description, plugin, shape: Shape::Fixed, formula, switches, inputs, outputs }
    }

    pub(super) fn variable(guid: Uuid, titles: [&'static str; 3], inputs: Vec<Port>, outputs: Vec<Port>) -> Self {
        Self { shape: Shape::Variable, ..Self::fixed(guid, titles, inputs, outputs) }
    }
}
