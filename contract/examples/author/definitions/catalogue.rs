//! The Grasshopper components that the samples use, as the program itself knows them.
//!
//! Ids, names, nicknames, types and defaults are facts of Grasshopper; the descriptions are ours.

use uuid::{Uuid, uuid};

use super::kinds::{Component, Kind, Literal, Plugin, Port};

// === Maths ===

fn operator(guid: Uuid, titles: [&'static str; 3]) -> Component {
    let inputs = vec![
        Port::new("A", "A", Kind::Data, "The left operand").optional(),
        Port::new("B", "B", Kind::Data, "The right operand").optional(),
    ];
    Component::variable(guid, titles, inputs, vec![Port::new("Result", "R", Kind::Data, "What comes out")])
}

pub(super) fn addition() -> Component {
    operator(uuid!("a0d62394-a118-422d-abb3-6af115c75b25"), ["Addition", "A+B", "The sum of A and B"])
}

pub(super) fn subtraction() -> Component {
    operator(uuid!("9c007a04-d0d9-48e4-9da3-9ba142bc4d46"), ["Subtraction", "A-B", "A without B"])
}

pub(super) fn multiplication() -> Component {
    operator(uuid!("ce46b74e-00c9-43c4-805a-193b69ea4a11"), ["Multiplication", "A×B", "The product of A and B"])
}

fn of_two(guid: Uuid, titles: [&'static str; 3]) -> Component {
    let inputs =
        vec![Port::new("A", "A", Kind::Data, "The first value"), Port::new("B", "B", Kind::Data, "The second value")];
    Component::fixed(guid, titles, inputs, vec![Port::new("Result", "R", Kind::Data, "What comes out")])
}

/// Fails where B is zero.
pub(super) fn division() -> Component {
    of_two(uuid!("9c85271f-89fa-4e9f-9f4a-d75802120ccc"), ["Division", "A/B", "A divided by B"])
}

pub(super) fn minimum() -> Component {
    of_two(uuid!("57308b30-772d-4919-ac67-e86c18f3a996"), ["Minimum", "Min", "The lesser of A and B"])
}

pub(super) fn maximum() -> Component {
    of_two(uuid!("0d1e2027-f153-460d-84c0-f9af431b08cb"), ["Maximum", "Max", "The greater of A and B"])
}

/// Outputs: the nearest, the lower and the upper whole number.
pub(super) fn round() -> Component {
    let outputs = vec![
        Port::new("Nearest", "N", Kind::Integer, "The nearest whole number"),
        Port::new("Floor", "F", Kind::Integer, "The next whole number below"),
        Port::new("Ceiling", "C", Kind::Integer, "The next whole number above"),
    ];
    let inputs = vec![Port::new("Number", "x", Kind::Number, "The number to round")];
    let titles = ["Round", "Round", "Whole numbers around a number"];
    Component::fixed(uuid!("a50c4a3b-0177-4c91-8556-db95de6c56c8"), titles, inputs, outputs)
}

fn comparison(guid: Uuid, titles: [&'static str; 3], strict: [&'static str; 2], loose: &'static str) -> Component {
    let inputs = vec![
        Port::new("First Number", "A", Kind::Number, "The number to compare"),
        Port::new("Second Number", "B", Kind::Number, "What to compare it with").default(Literal::Number(0.0)),
    ];
    let outputs = vec![
        Port::new(strict[0], strict[1], Kind::Boolean, "Whether it holds, and both differ"),
        Port::new("… or Equal to", loose, Kind::Boolean, "Whether it holds, or both are equal"),
    ];
    Component::fixed(guid, titles, inputs, outputs)
}

/// Outputs: A > B, A >= B.
pub(super) fn larger_than() -> Component {
    let titles = ["Larger Than", "Larger", "Whether A is larger than B"];
    comparison(uuid!("30d58600-1aab-42db-80a3-f1ea6c4269a0"), titles, ["Larger than", ">"], ">=")
}

/// Outputs: A < B, A <= B.
pub(super) fn smaller_than() -> Component {
    let titles = ["Smaller Than", "Smaller", "Whether A is smaller than B"];
    comparison(uuid!("ae840986-cade-4e5a-96b0-570f007d4fc0"), titles, ["Smaller than", "<"], "<=")
}

pub(super) fn gate_and() -> Component {
    let inputs = vec![
        Port::new("A", "A", Kind::Boolean, "The first condition").optional(),
        Port::new("B", "B", Kind::Boolean, "The second condition").optional(),
    ];
    let outputs = vec![Port::new("Result", "R", Kind::Boolean, "Whether both hold")];
    let titles = ["Gate And", "And", "Whether A and B hold"];
    Component::variable(uuid!("040f195d-0b4e-4fe0-901f-fedb2fd3db15"), titles, inputs, outputs)
}

/// A formula over named variables, one input each.
pub(super) fn expression(formula: &'static str, variables: &[&'static str]) -> Component {
    let input = |name: &&'static str| {
        Port::new(format!("Variable {name}"), name, Kind::Variable, "A variable of the formula").optional()
    };
    let outputs = vec![Port::new("Result", "R", Kind::Data, "The value of the formula")];
    let titles = ["Expression", "Expression", "The value of a formula"];
    let guid = uuid!("9df5e896-552d-4c8c-b9ca-4fc147ffa022");
    Component {
        formula: Some(formula),
        ..Component::variable(guid, titles, variables.iter().map(input).collect(), outputs)
    }
}

pub(super) fn construct_domain() -> Component {
    let inputs = vec![
        Port::new("Domain start", "A", Kind::Number, "Where the interval starts").default(Literal::Number(0.0)),
        Port::new("Domain end", "B", Kind::Number, "Where the interval ends").default(Literal::Number(1.0)),
    ];
    let outputs = vec![Port::new("Domain", "I", Kind::Domain, "The interval from A to B")];
    let titles = ["Construct Domain", "Dom", "An interval from two numbers"];
    Component::fixed(uuid!("d1a28e95-cf96-4936-bf34-8bf142d731bf"), titles, inputs, outputs)
}

// === Sets ===

pub(super) fn series() -> Component {
    let inputs = vec![
        Port::new("Start", "S", Kind::Number, "The first number").default(Literal::Number(0.0)),
        Port::new("Step", "N", Kind::Number, "From one number to the next").default(Literal::Number(1.0)),
        Port::new("Count", "C", Kind::Integer, "How many numbers").default(Literal::Integer(10)),
    ];
    let outputs = vec![Port::new("Series", "S", Kind::Number, "The numbers").list()];
    let titles = ["Series", "Series", "Numbers at equal steps"];
    Component::fixed(uuid!("e64c5fb1-845c-4ab1-8911-5f338516ba67"), titles, inputs, outputs)
}

pub(super) fn list_length() -> Component {
    let inputs = vec![Port::new("List", "L", Kind::Data, "The list to count").list()];
    let outputs = vec![Port::new("Length", "L", Kind::Integer, "How many values it has")];
    let titles = ["List Length", "Lng", "How many values a list has"];
    Component::fixed(uuid!("1817fd29-20ae-4503-b542-f0fb651e67d7"), titles, inputs, outputs)
}

pub(super) fn graft_tree() -> Component {
    let inputs = vec![Port::new("Tree", "T", Kind::Data, "The tree to graft").tree()];
    let outputs = vec![Port::new("Tree", "T", Kind::Data, "A branch for every value").tree()];
    let titles = ["Graft Tree", "Graft", "A branch for every value of a tree"];
    let component = Component::fixed(uuid!("87e1d9ef-088b-4d30-9dda-8a7448a17329"), titles, inputs, outputs);
    Component { switches: vec![("IncludeEmptyLists", true), ("IncludeNullItems", true)], ..component }
}

/// Joins as many pieces of text as it has inputs, at most six.
pub(super) fn concatenate(pieces: usize) -> Component {
    let letters = ["A", "B", "C", "D", "E", "F"];
    let input = |letter: &&'static str| {
        Port::new(format!("Fragment {letter}"), letter, Kind::Text, "A piece of the text").optional()
    };
    let outputs = vec![Port::new("Result", "R", Kind::Text, "The pieces, one after the other")];
    let titles = ["Concatenate", "Concat", "One text from several pieces"];
    let inputs = letters.iter().take(pieces).map(input).collect();
    Component::variable(uuid!("2013e425-8713-42e2-a661-b57e78840337"), titles, inputs, outputs)
}

// === Vectors and planes ===

pub(super) fn construct_point() -> Component {
    let inputs = vec![
        Port::new("X coordinate", "X", Kind::Number, "Along the x axis").default(Literal::Number(0.0)),
        Port::new("Y coordinate", "Y", Kind::Number, "Along the y axis").default(Literal::Number(0.0)),
        Port::new("Z coordinate", "Z", Kind::Number, "Along the z axis").default(Literal::Number(0.0)),
    ];
    let outputs = vec![Port::new("Point", "Pt", Kind::Point, "The point")];
    let titles = ["Construct Point", "Pt", "A point from its coordinates"];
    Component::fixed(uuid!("3581f42a-9592-4549-bd6b-1c0fc39d067b"), titles, inputs, outputs)
}

/// Outputs: x, y and z.
pub(super) fn deconstruct() -> Component {
    let outputs = vec![
        Port::new("X component", "X", Kind::Number, "Along the x axis"),
        Port::new("Y component", "Y", Kind::Number, "Along the y axis"),
        Port::new("Z component", "Z", Kind::Number, "Along the z axis"),
    ];
    let inputs = vec![Port::new("Point", "P", Kind::Point, "The point to take apart")];
    let titles = ["Deconstruct", "pDecon", "The coordinates of a point"];
    Component::fixed(uuid!("9abae6b7-fa1d-448c-9209-4a8155345841"), titles, inputs, outputs)
}

pub(super) fn unit_z() -> Component {
    let inputs = vec![Port::new("Factor", "F", Kind::Number, "The length").default(Literal::Number(1.0))];
    let outputs = vec![Port::new("Unit vector", "V", Kind::Vector, "The vector along the z axis")];
    let titles = ["Unit Z", "Z", "A vector along the z axis"];
    Component::fixed(uuid!("9103c240-a6a9-4223-9b42-dbd19bf38e2b"), titles, inputs, outputs)
}

pub(super) fn xy_plane() -> Component {
    let inputs = vec![Port::new("Origin", "O", Kind::Point, "The origin").default(Literal::Point([0.0; 3]))];
    let outputs = vec![Port::new("Plane", "P", Kind::Plane, "The horizontal plane there")];
    let titles = ["XY Plane", "XY", "A horizontal plane"];
    Component::fixed(uuid!("17b7152b-d30d-4d50-b9ef-c9fe25576fc2"), titles, inputs, outputs)
}

// === Geometry ===

const WORLD_XY: [f64; 9] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// Outputs: the outline and its length.
pub(super) fn rectangle() -> Component {
    let inputs = vec![
        Port::new("Plane", "P", Kind::Plane, "The base plane").default(Literal::Plane(WORLD_XY)),
        Port::new("X Size", "X", Kind::Domain, "Its extent along x").default(Literal::Domain([-1.0, 1.0])),
        Port::new("Y Size", "Y", Kind::Domain, "Its extent along y").default(Literal::Domain([-2.0, 2.0])),
        Port::new("Radius", "R", Kind::Number, "The radius of its corners").default(Literal::Number(0.0)),
    ];
    let outputs = vec![
        Port::new("Rectangle", "R", Kind::Curve, "The outline"),
        Port::new("Length", "L", Kind::Number, "How long the outline is"),
    ];
    let titles = ["Rectangle", "Rectangle", "A rectangle on a plane"];
    Component::fixed(uuid!("d93100b6-d50b-40b2-831a-814659dc38e3"), titles, inputs, outputs)
}

pub(super) fn domain_box() -> Component {
    let inputs = vec![
        Port::new("Base", "B", Kind::Plane, "The base plane").default(Literal::Plane(WORLD_XY)),
        Port::new("X", "X", Kind::Domain, "Its extent along x").default(Literal::Domain([-2.0, 2.0])),
        Port::new("Y", "Y", Kind::Domain, "Its extent along y").default(Literal::Domain([-0.5, 0.5])),
        Port::new("Z", "Z", Kind::Domain, "Its extent along z").default(Literal::Domain([0.0, 0.25])),
    ];
    let outputs = vec![Port::new("Box", "B", Kind::Box, "The box")];
    let titles = ["Domain Box", "Box", "A box from a plane and three intervals"];
    Component::fixed(uuid!("79aa7f47-397c-4d3f-9761-aaf421bb7f5f"), titles, inputs, outputs)
}

pub(super) fn line() -> Component {
    let inputs = vec![
        Port::new("Start Point", "A", Kind::Point, "Where it starts"),
        Port::new("End Point", "B", Kind::Point, "Where it ends"),
    ];
    let outputs = vec![Port::new("Line", "L", Kind::Line, "The segment")];
    let titles = ["Line", "Ln", "A segment between two points"];
    Component::fixed(uuid!("4c4e56eb-2f04-43f9-95a3-cc46a14f495a"), titles, inputs, outputs)
}

/// Outputs: the moved geometry and the transformation.
pub(super) fn move_geometry() -> Component {
    let inputs = vec![
        Port::new("Geometry", "G", Kind::Geometry, "What to move").optional(),
        Port::new("Motion", "T", Kind::Vector, "By how much").default(Literal::Vector([0.0, 0.0, 10.0])),
    ];
    let outputs = vec![
        Port::new("Geometry", "G", Kind::Geometry, "It, moved"),
        Port::new("Transform", "X", Kind::Transform, "The motion as a transformation"),
    ];
    let titles = ["Move", "Move", "Moves geometry along a vector"];
    Component::fixed(uuid!("e9eb1dcf-92f6-4d4d-84ae-96222d60f56b"), titles, inputs, outputs)
}

// === Outputs of a definition ===

/// Hands any data to whoever runs the definition, under `name`.
pub(super) fn context_bake(name: &'static str) -> Component {
    let inputs = vec![Port::new("Content", "C", Kind::Data, "What the definition returns").tree().called(name)];
    let titles = ["Context Bake", "Context Bake", "Returns data to the caller of the definition"];
    Component::fixed(uuid!("ae2531b4-bab2-4bb1-b5bf-f2143d10c132"), titles, inputs, Vec::new())
}

/// Hands text to whoever runs the definition, under `name`.
pub(super) fn context_print(name: &'static str) -> Component {
    let inputs = vec![Port::new("Text", "T", Kind::Text, "What the definition says").tree().called(name)];
    let titles = ["Context Print", "Context Print", "Returns text to the caller of the definition"];
    Component::fixed(uuid!("73215ec5-0eb5-4f85-9e07-b09c4590ce2b"), titles, inputs, Vec::new())
}

// === Plug-ins ===

/// A plug-in that exists for these samples only, so that no stand-in can have it.
pub(super) const LADYBUG_X: Plugin = Plugin {
    id: uuid!("6f1c2a4e-0c1d-4b53-9b7e-3d52a8f0c915"),
    name: "LadybugX",
    author: "AppServer samples",
    version: "1.2.0",
    assembly_version: "1.2.0.0",
};

/// Outputs: the share of the floor with enough daylight, and the mean illuminance in lux.
pub(super) fn room_daylight() -> Component {
    let inputs = vec![
        Port::new("Room", "R", Kind::Box, "The room, its glazed wall along the x axis"),
        Port::new("Glazing", "G", Kind::Number, "The glazed area in square metres"),
        Port::new("Latitude", "La", Kind::Number, "Degrees north of the equator"),
        Port::new("Target", "T", Kind::Number, "The illuminance to reach, in lux").default(Literal::Number(300.0)),
    ];
    let outputs = vec![
        Port::new("Daylit share", "S", Kind::Number, "The share of the floor that reaches the target"),
        Port::new("Mean illuminance", "E", Kind::Number, "The mean over the floor, in lux"),
    ];
    let titles = ["LBX Room Daylight", "RoomDay", "Daylight on the floor of a side-lit room"];
    let component = Component::fixed(uuid!("b0a7d3f2-51c4-4e86-8f19-7d2e64c0a35b"), titles, inputs, outputs);
    Component { plugin: Some(LADYBUG_X), ..component }
}
