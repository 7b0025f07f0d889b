//! Every component of the table, run on worked-out cases written in a small notation, and the table itself.
//!
//! Items: `1.5` a number, `2i` an integer, `true`, `'text'`, `(1,2,3)` a point, `<1,2,3>` a vector, `[0,1]` a domain,
//! `null`, and shapes by name. `{0;1}` starts a branch; `-` is an input without data of its own.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Access, Budget, Input, Notes, Stop, all, find};
use crate::solve::iterate::{self, Fed, Own};
use crate::solve::{Limits, Settings};
use crate::tree::{Path, Tree};
use crate::value::{Arc3, Circle, Cuboid, Domain, Kind, Line, Mesh, Plane, Rectangle, Value, number_text};

fn numbers(text: &str) -> Vec<f64> {
    text.split(',').map(|number| number.parse().unwrap()).collect()
}

fn xyz(numbers: &[f64]) -> [f64; 3] {
    numbers.try_into().unwrap()
}

fn item(text: &str) -> Option<Value> {
    let inside = |open: &str, close: &str| text.strip_prefix(open)?.strip_suffix(close).map(str::to_owned);
    let shape = |name: &str| inside(&format!("{name}("), ")").map(|inner| numbers(&inner));
    if text == "null" {
        return None;
    }
    let side = |size: f64| Domain::new(0.0, size);
    Some(if let Some(text) = inside("'", "'") {
        Value::Text(text.replace('_', " "))
    } else if let Ok(boolean) = text.parse() {
        Value::Boolean(boolean)
    } else if let Some(inner) = inside("(", ")") {
        Value::Point(xyz(&numbers(&inner)))
    } else if let Some(inner) = inside("<", ">") {
        Value::Vector(xyz(&numbers(&inner)))
    } else if let Some(inner) = inside("[", "]") {
        let ends = numbers(&inner);
        match ends[..] {
            [a, b] => Value::Domain(Domain::new(a, b)),
            _ => Value::Domain2(Domain::new(ends[0], ends[1]), Domain::new(ends[2], ends[3])),
        }
    } else if let Some(n) = shape("line") {
        Value::Line(Line { from: xyz(&n[..3]), to: xyz(&n[3..]) })
    } else if let Some(n) = shape("poly") {
        Value::Polyline(n.chunks(3).map(xyz).collect())
    } else if let Some(n) = shape("circle") {
        Value::Circle(Box::new(Circle { plane: Plane::XY, radius: n[0] }))
    } else if let Some(n) = shape("arc") {
        Value::Arc(Box::new(Arc3 { plane: Plane::XY, radius: n[0], angle: Domain::new(n[1], n[2]) }))
    } else if let Some(n) = shape("rect") {
        Value::Rectangle(Box::new(Rectangle { plane: Plane::XY, x: side(n[0]), y: side(n[1]) }))
    } else if let Some(n) = shape("box") {
        Value::Box(Box::new(Cuboid { plane: Plane::XY, x: side(n[0]), y: side(n[1]), z: side(n[2]) }))
    } else if let Some(n) = shape("plane") {
        Value::Plane(Plane::from_axes(xyz(&n[..3]), xyz(&n[3..6]), xyz(&n[6..])).unwrap())
    } else if let Some(n) = shape("tetrahedron") {
        let vertices = vec![[0.0; 3], [n[0], 0.0, 0.0], [0.0, n[0], 0.0], [0.0, 0.0, n[0]]];
        let faces = vec![[0, 2, 1, 1], [0, 1, 3, 3], [0, 3, 2, 2], [1, 2, 3, 3]];
        Value::Mesh(Arc::new(Mesh { vertices, faces }))
    } else if let Some(inner) = inside("rgb(", ")") {
        Value::Text(inner).cast(Kind::Colour).unwrap()
    } else if let Some(inner) = inside("path(", ")") {
        Value::Path(inner.parse().unwrap())
    } else if let Some(integer) = text.strip_suffix('i') {
        Value::Integer(integer.parse().unwrap())
    } else {
        Value::Number(text.parse().unwrap())
    })
}

pub(super) fn tree(text: &str) -> Tree {
    let mut tree = Tree::new();
    let mut path = Path::root();
    for word in text.split_whitespace() {
        if word.starts_with('{') {
            path = word.parse().unwrap();
            tree.branch_mut(path.clone());
        } else {
            tree.push(path.clone(), item(word));
        }
    }
    tree
}

fn show_numbers(numbers: &[f64]) -> String {
    // What a sine leaves of a zero is shown as zero.
    let clean = numbers.iter().map(|number| if number.abs() < 1e-12 { 0.0 } else { *number });
    clean.map(number_text).collect::<Vec<_>>().join(",")
}

fn show_item(value: &Value) -> String {
    let ends = |domain: &Domain| show_numbers(&[domain.a, domain.b]);
    let plane = |plane: &Plane| show_numbers(&[plane.origin, plane.x_axis, plane.y_axis].concat());
    match value {
        Value::Integer(integer) => format!("{integer}i"),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Text(text) => format!("'{}'", text.replace(' ', "_")),
        Value::Point(p) => format!("({})", show_numbers(p)),
        Value::Vector(v) => format!("<{}>", show_numbers(v)),
        Value::Domain(domain) => format!("[{}]", ends(domain)),
        Value::Domain2(u, v) => format!("[{},{}]", ends(u), ends(v)),
        Value::Plane(own) => format!("plane({})", plane(own)),
        Value::Line(line) => format!("line({},{})", show_numbers(&line.from), show_numbers(&line.to)),
        Value::Polyline(points) => format!("poly({})", show_numbers(&points.concat())),
        Value::Circle(circle) => format!("circle({};{})", number_text(circle.radius), plane(&circle.plane)),
        Value::Arc(arc) => format!("arc({};{};{})", number_text(arc.radius), ends(&arc.angle), plane(&arc.plane)),
        Value::Rectangle(r) => format!("rect({};{};{})", ends(&r.x), ends(&r.y), plane(&r.plane)),
        Value::Box(b) => format!("box({};{};{};{})", ends(&b.x), ends(&b.y), ends(&b.z), plane(&b.plane)),
        Value::Transform(map) => format!("map({})", show_numbers(&map.point([1.0, 2.0, 3.0]))),
        Value::Path(path) => format!("path({})", path.to_string().trim_matches(['{', '}'])),
        Value::Number(_) | Value::Colour(_) | Value::Mesh(_) | Value::Opaque(_) => value.to_text(),
    }
}

fn show(tree: &Tree) -> String {
    let mut words = Vec::new();
    for (path, branch) in tree.branches() {
        words.push(path.to_string());
        words.extend(branch.iter().map(|item| item.as_ref().map_or("null".to_owned(), show_item)));
    }
    words.join(" ")
}

/// Runs a component as the solver does: presets where an input has no data, casts to the kind of each input.
pub(super) fn run(guid: &str, inputs: &[&str], outputs: usize) -> Result<Vec<String>, String> {
    run_within(guid, inputs, outputs, &Settings { absolute_tolerance: 1e-6, ..Settings::default() }, None)
}

fn run_within(
    guid: &str,
    inputs: &[&str],
    outputs: usize,
    settings: &Settings,
    expression: Option<&str>,
) -> Result<Vec<String>, String> {
    let descriptor = find(&guid.parse().unwrap()).unwrap();
    let count = if descriptor.grows { inputs.len() } else { descriptor.inputs.len() };
    assert!(inputs.len() <= count, "{} has only {count} inputs", descriptor.name);
    let fed: Vec<Fed> = (0..count)
        .map(|position| {
            let signature: &Input = descriptor.input(position).unwrap();
            let text = inputs.get(position).copied().unwrap_or("-");
            let data = match signature.preset.value() {
                Some(preset) if text == "-" => Tree::item(preset),
                _ if text == "-" => Tree::new(),
                _ => tree(text),
            };
            let data = data.map(|value| value.cast(signature.kind));
            Fed { access: signature.access, optional: signature.optional, data: Arc::new(data) }
        })
        .collect();
    let accesses: Vec<Access> = (0..outputs).map(|position| descriptor.output(position).unwrap().access).collect();
    let nicks: Vec<String> = ["x", "y", "z", "a", "b"].iter().map(|&nick| nick.to_owned()).collect();
    let own = Own { descriptor, nicks: &nicks, expression, outputs: &accesses };
    let mut notes = Notes::default();
    let results = iterate::run(&own, &fed, settings, &mut Budget::new(settings), &mut notes);
    match (results, notes.errors.into_iter().next()) {
        (Err(Stop::Budget), _) => Err("budget".to_owned()),
        (Err(stop), _) => Err(format!("{stop:?}")),
        (Ok(_), Some(error)) => Err(error),
        (Ok(trees), None) => Ok(trees.iter().map(show).collect()),
    }
}

#[test]
fn each_case_gives_what_was_worked_out() {
    let mut wrong = Vec::new();
    for (name, guid, inputs, expected) in cases::CASES {
        let found = run(guid, inputs, expected.len());
        let expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
        if found.as_ref() != Ok(&expected) {
            wrong.push(format!("{name} {inputs:?}\n  gives   {found:?}\n  but not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_fault_is_an_error_in_its_words() {
    for (name, guid, inputs, expected) in cases::FAULTS {
        assert_eq!(run(guid, inputs, 1), Err((*expected).to_owned()), "{name}");
    }
}

#[test]
fn every_component_of_the_table_has_a_case() {
    let tried: BTreeSet<&str> = cases::CASES.iter().map(|(_, guid, ..)| *guid).collect();
    // Expression keeps its formula in the file; the solver's tests run it.
    let missing = all().filter(|known| !known.guids.iter().any(|guid| tried.contains(guid.to_string().as_str())));
    assert_eq!(missing.map(|known| known.name).collect::<Vec<_>>(), ["Expression"]);
}

#[test]
fn the_table_is_the_list_of_known_components() {
    let listed: BTreeMap<String, String> =
        all().flat_map(|known| known.guids.iter().map(|guid| (guid.to_string(), known.name.to_owned()))).collect();
    let names: Vec<String> = listed.iter().map(|(guid, name)| format!("{guid} {name}")).collect();
    let expected: Vec<&str> = include_str!("tests/known.txt").lines().collect();
    assert_eq!(names, expected);
    assert_eq!(all().map(|known| known.guids.len()).sum::<usize>(), names.len(), "a GUID stands in the table twice");
}

#[test]
fn what_a_case_names_is_the_component_of_its_guid() {
    for (name, guid, ..) in cases::CASES {
        assert_eq!(*name, find(&guid.parse().unwrap()).unwrap().name);
    }
}

#[test]
fn an_expression_component_uses_its_inputs_by_nickname() {
    let found =
        run_within("9df5e896-552d-4c8c-b9ca-4fc147ffa022", &["2 3", "10"], 1, &Settings::default(), Some("x^2 + y"));
    assert_eq!(found, Ok(vec!["{0} 14 19".to_owned()]));
}

#[test]
fn lists_beyond_the_limit_are_refused_before_they_are_made() {
    let limits = Limits { list_items: 100, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let series = "e64c5fb1-845c-4ab1-8911-5f338516ba67";
    let refused = Err("A list of 2000000000 items is longer than this node allows (100)".to_owned());
    assert_eq!(run_within(series, &["0", "1", "2000000000i"], 1, &settings, None), refused);
    let limits = Limits { steps: 50, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    assert_eq!(run_within(series, &["0", "1", "60i"], 1, &settings, None), Err("budget".to_owned()));
}

#[test]
fn the_generator_gives_what_dotnet_gives_for_a_seed() {
    // new Random(0) and new Random(1) of .NET Framework, NextDouble.
    let first = |seed: i32| super::domain::Subtractive::new(seed).next_double();
    assert!((first(0) - 0.726_243_269_967_959_8).abs() < 1e-15);
    assert!((first(1) - 0.248_668_584_157_093_3).abs() < 1e-15);
}
