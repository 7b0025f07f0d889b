//! Rust: the standard library alone. It speaks plain HTTP by itself; for TLS its request and answer go through any other transport.

use std::fmt::Write as _;

use contract::bindings::{Access, Type};

use super::{Field, Shape};

pub(super) fn write(shape: &Shape) -> String {
    let (definition, version, title) = (&shape.definition, &shape.version, &shape.title);
    let mut text = format!(
        "//! {title}: the client of {definition} {version}. Written by `appserver client rust --app {definition}:{version}`; do not edit.\n"
    );
    text += HEAD;
    let structures = [
        (
            Type::Plane,
            "shape!(Plane { origin: \"origin\" => Triple, x_axis: \"x_axis\" => Triple, y_axis: \"y_axis\" => Triple });\n",
        ),
        (Type::Line, "shape!(Line { from: \"from\" => Triple, to: \"to\" => Triple });\n"),
        (Type::Circle, "shape!(Circle { plane: \"plane\" => Plane, radius: \"radius\" => f64 });\n"),
        (
            Type::Rectangle,
            "shape!(Rectangle { plane: \"plane\" => Plane, x: \"x\" => Interval, y: \"y\" => Interval });\n",
        ),
        (
            Type::Box,
            "shape!(Cuboid { plane: \"plane\" => Plane, x: \"x\" => Interval, y: \"y\" => Interval, z: \"z\" => Interval });\n",
        ),
    ];
    let with_plane = shape.has(&[Type::Plane, Type::Circle, Type::Rectangle, Type::Box]);
    text.push('\n');
    for (kind, structure) in structures {
        if shape.has(&[kind]) || (kind == Type::Plane && with_plane) {
            text += structure;
        }
    }
    inputs(&mut text, &shape.inputs);
    outputs(&mut text, &shape.outputs);
    let _ = write!(text, "\nconst PATH: &str = \"{}\";\n", shape.path());
    text + REST
}

fn inputs(text: &mut String, fields: &[Field]) {
    text.push_str("\n/// What is sent. `None` leaves the contract's default.\n#[derive(Debug, Clone, PartialEq)]\npub struct Inputs {\n");
    for field in fields {
        let one = typed(field);
        let one = if field.required { one } else { format!("Option<{one}>") };
        let _ = writeln!(text, "    /// {}\n    pub {}: {one},", field.docs, named(&field.name));
    }
    text.push_str("}\n\nimpl Inputs {\n    /// What must be given, and defaults for the rest.\n    pub fn new(");
    let required: Vec<String> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| format!("{}: {}", named(&field.name), typed(field)))
        .collect();
    let _ = writeln!(text, "{}) -> Self {{", required.join(", "));
    let members: Vec<String> = fields
        .iter()
        .map(|field| if field.required { named(&field.name) } else { format!("{}: None", named(&field.name)) })
        .collect();
    let _ = write!(
        text,
        "        Self {{ {} }}\n    }}\n\n    fn json(&self) -> Json {{\n        let mut members = Vec::new();\n",
        members.join(", ")
    );
    for field in fields {
        let (name, key) = (named(&field.name), &field.name);
        if field.required {
            let _ = writeln!(text, "        members.push((\"{key}\".to_owned(), self.{name}.json()));");
        } else {
            let _ = writeln!(
                text,
                "        members.extend(self.{name}.as_ref().map(|value| (\"{key}\".to_owned(), value.json())));"
            );
        }
    }
    text.push_str("        Json::Object(members)\n    }\n}\n");
}

fn outputs(text: &mut String, fields: &[Field]) {
    text.push_str("\n/// What comes back.\n#[derive(Debug, Clone, PartialEq)]\npub struct Outputs {\n");
    for field in fields {
        let _ = writeln!(text, "    /// {}\n    pub {}: {},", field.docs, named(&field.name), typed(field));
    }
    text.push_str("}\n\nimpl Outputs {\n    fn read(json: &Json) -> Option<Self> {\n        Some(Self {\n");
    for field in fields {
        let _ = writeln!(text, "            {}: Wire::read(json.get(\"{}\")?)?,", named(&field.name), field.name);
    }
    text.push_str("        })\n    }\n}\n");
}

/// A field's name; a word of the language is marked as one.
fn named(name: &str) -> String {
    const WORDS: [&str; 20] = [
        "as", "box", "const", "do", "enum", "fn", "for", "if", "in", "let", "loop", "match", "mod", "move", "ref",
        "static", "type", "use", "where", "while",
    ];
    if WORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

fn typed(field: &Field) -> String {
    let one = match field.kind {
        Type::Number => "f64",
        Type::Integer => "i64",
        Type::Boolean => "bool",
        Type::Text => "String",
        Type::Point | Type::Vector => "Triple",
        Type::Plane => "Plane",
        Type::Line => "Line",
        Type::Circle => "Circle",
        Type::Rectangle => "Rectangle",
        Type::Box => "Cuboid",
        // Rhino's own JSON, as rhino3dm reads and writes it.
        Type::Curve | Type::Surface | Type::Brep | Type::Mesh | Type::Subd | Type::Geometry => "Json",
    };
    match field.access {
        Access::Item => one.to_owned(),
        Access::List => format!("Vec<{one}>"),
        Access::Tree => format!("BTreeMap<String, Vec<{one}>>"),
    }
}

const HEAD: &str = include_str!("rust/head.rs.txt");
const REST: &str = include_str!("rust/rest.rs.txt");
