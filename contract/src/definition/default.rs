//! What data an input has when nothing is sent, as far as the file itself tells.
//!
//! Compute asks Grasshopper; here sliders, panels, toggles, value lists and stored data are followed through plain
//! parameters. Invariant: nothing is guessed. Where only a solve can tell, the answer is [`Unknown`] with the reason.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::archive::{Chunk, Value};
use super::canvas::{Canvas, Object, Origin};
use super::guids;
use super::model::{Branches, Choice};
use super::number;

/// The default of an input in compute's own shape: path to items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DefaultTree {
    /// The name of the parameter's class, such as "Get Number"; compute writes it here, not the name of the input.
    #[serde(rename = "ParamName")]
    pub name: String,
    /// By path, such as `{0}`.
    #[serde(rename = "InnerTree")]
    pub branches: BTreeMap<String, Vec<DefaultItem>>,
}

/// One item of a [`DefaultTree`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DefaultItem {
    /// The .NET type, such as `System.Double`.
    #[serde(rename = "type")]
    pub type_name: Cow<'static, str>,
    /// The value as JSON text.
    pub data: String,
}

/// Why a default cannot be told from the file.
pub(super) type Unknown = String;

#[derive(Debug, Clone, PartialEq)]
enum Datum {
    Number(f64),
    Integer(i32),
    Boolean(bool),
    Text(String),
    Point([f64; 3]),
    Vector([f64; 3]),
    Plane([f64; 9]),
    Line([f64; 6]),
}

/// Follows wires to data. One of these serves a whole definition, so that its bound holds for all inputs together.
#[derive(Debug)]
pub(super) struct Defaults<'c, 'a> {
    canvas: &'c Canvas<'a>,
    /// Parameters and items that may still be looked at.
    steps: usize,
}

/// Far more than the defaults of a real definition need, and done in well under a second.
const STEPS: usize = 1_000_000;
/// Parameters in a row; a longer chain is a loop.
const DEPTH: usize = 64;

// === impl DefaultTree ===

impl DefaultTree {
    /// The value in plain JSON: itself where it is one, a list where there are several in one branch, else the branches.
    pub fn to_plain(&self) -> Json {
        let plain = |items: &Vec<DefaultItem>| -> Vec<Json> {
            items.iter().map(|item| serde_json::from_str(&item.data).unwrap_or(Json::Null)).collect()
        };
        let mut branches = self.branches.values();
        match (branches.next(), branches.next()) {
            (None, _) => Json::Null,
            (Some(only), None) => match plain(only) {
                items if items.is_empty() => Json::Null,
                mut items if items.len() == 1 => items.remove(0),
                items => Json::Array(items),
            },
            _ => self.branches.iter().map(|(path, items)| (path.clone(), Json::Array(plain(items)))).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.branches.values().all(Vec::is_empty)
    }
}

// === impl Defaults ===

impl<'c, 'a> Defaults<'c, 'a> {
    pub(super) fn new(canvas: &'c Canvas<'a>) -> Self {
        Self { canvas, steps: STEPS }
    }

    pub(super) fn of(&mut self, parameter: &Object<'a>, type_name: &str) -> Result<DefaultTree, Unknown> {
        let data = self.data(parameter, type_name, 0)?;
        let branches = data
            .into_iter()
            .map(|(path, items)| (spell_path(&path), items.iter().map(Datum::item).collect()))
            .collect();
        Ok(DefaultTree { name: parameter.name.to_owned(), branches })
    }

    fn data(&mut self, parameter: &Object<'a>, type_name: &str, depth: usize) -> Result<Branches<Datum>, Unknown> {
        // What a visit costs is what has to be looked at, so that no file makes this more than linear.
        let stored = parameter.container.chunk("PersistentData").map_or(0, |data| data.chunks.len());
        self.spend(1 + parameter.container.items.len() + stored)?;
        if depth > DEPTH {
            return Err("its wires form a loop or a very long chain".to_owned());
        }
        let mut branches = Branches::new();
        let origins = self.canvas.origins(parameter.container);
        if origins.is_empty() {
            branches = own(parameter)?;
        }
        for origin in origins {
            let source = match origin {
                Origin::Parameter(source) => source,
                Origin::Component(source) => {
                    return Err(format!("it comes from {}, so only a solve can tell", source.spot()));
                }
            };
            let source_type = guids::type_name(source.component).unwrap_or("?");
            for (path, items) in self.data(source, source_type, depth + 1)? {
                branches.entry(path).or_default().extend(items);
            }
        }
        self.spend(branches.values().flatten().map(Datum::weight).sum())?;
        for item in branches.values_mut().flatten() {
            *item =
                item.cast(type_name).ok_or_else(|| format!("only Grasshopper can turn its value into {type_name}"))?;
        }
        modify(parameter.container, branches)
    }

    fn spend(&mut self, steps: usize) -> Result<(), Unknown> {
        let left = self.steps.checked_sub(steps);
        self.steps = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| "there is too much data behind it".to_owned())
    }
}

/// What a parameter gives without a wire.
fn own(parameter: &Object<'_>) -> Result<Branches<Datum>, Unknown> {
    let container = parameter.container;
    let items = match parameter.component {
        guids::SLIDER => {
            let slider = container.chunk("Slider");
            if slider.and_then(|slider| slider.text("Expression")).is_some_and(|text| !text.is_empty()) {
                return Err("its slider has an expression".to_owned());
            }
            slider.and_then(|slider| slider.double("Value")).map(Datum::Number).into_iter().collect()
        }
        guids::TOGGLE => container.bool("ToggleValue").map(Datum::Boolean).into_iter().collect(),
        guids::BUTTON => vec![Datum::Boolean(false)],
        guids::PANEL => panel(container),
        guids::VALUE_LIST => value_list(container)?,
        _ => return stored(container),
    };
    Ok(if items.is_empty() { Branches::new() } else { Branches::from([(vec![0], items)]) })
}

fn panel(container: &Chunk) -> Vec<Datum> {
    let text = container.text("UserText").unwrap_or_default();
    let multiline = container.chunk("PanelProperties").and_then(|properties| properties.bool("Multiline"));
    if text.is_empty() {
        Vec::new()
    } else if multiline.unwrap_or(true) {
        vec![Datum::Text(text.to_owned())]
    } else {
        text.lines().map(|line| Datum::Text(line.to_owned())).collect()
    }
}

fn value_list(container: &Chunk) -> Result<Vec<Datum>, Unknown> {
    let selected = container.chunks_named("ListItem").filter(|item| item.bool("Selected") == Some(true));
    selected
        .map(|item| {
            let expression = item.text("Expression").unwrap_or_default();
            literal(expression.trim()).ok_or_else(|| format!("its value list holds the expression {expression}"))
        })
        .collect()
}

/// Items of a value list that are told. Many inputs may share one list, and nobody chooses from a longer one.
const CHOICES: usize = 200;

/// Every item of a value list as data of this type; nothing where one of them is more than a plain value, or there are very many.
pub(super) fn choices(value_list: &Object<'_>, type_name: &str) -> Vec<Choice> {
    let choice = |item: &Chunk| {
        let value = literal(item.text("Expression")?.trim())?.cast(type_name)?.item();
        let value = serde_json::from_str(&value.data).ok()?;
        Some(Choice { name: item.text("Name").unwrap_or_default().to_owned(), value })
    };
    let items = || value_list.container.chunks_named("ListItem").take(CHOICES + 1);
    if items().count() > CHOICES {
        return Vec::new();
    }
    items().map(choice).collect::<Option<_>>().unwrap_or_default()
}

/// An expression that is a value already.
fn literal(expression: &str) -> Option<Datum> {
    if let Some(text) = expression.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return (!text.contains(['"', '\\'])).then(|| Datum::Text(text.to_owned()));
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if expression.bytes().all(is_digit) {
        let integer = expression.parse().ok().map(Datum::Integer);
        return integer.or_else(|| expression.parse().ok().map(Datum::Number));
    }
    let truth = expression.eq_ignore_ascii_case("true");
    (truth || expression.eq_ignore_ascii_case("false")).then_some(Datum::Boolean(truth))
}

/// Data stored in the parameter itself.
fn stored(container: &Chunk) -> Result<Branches<Datum>, Unknown> {
    let mut branches = Branches::new();
    let Some(data) = container.chunk("PersistentData") else { return Ok(branches) };
    for branch in data.chunks_named("Branch") {
        let path = branch.text("Path").and_then(parse_path).ok_or("its stored data has a path that is none")?;
        let items: &mut Vec<Datum> = branches.entry(path).or_default();
        for item in branch.chunks_named("Item") {
            items.extend(stored_item(item)?);
        }
    }
    Ok(branches)
}

/// One stored item; nothing for a null, which compute skips.
fn stored_item(item: &Chunk) -> Result<Option<Datum>, Unknown> {
    let refers =
        item.chunk("ReferenceData").or(Some(item)).and_then(|data| data.guid("RefID").filter(|id| !id.is_nil()));
    if refers.is_some() || item.chunk("ReferenceData").is_some() {
        return Err("it refers to an object of a Rhino document, which compute does not have".to_owned());
    }
    if item.bool("null_string") == Some(true) {
        return Ok(None);
    }
    let values = item.items.iter().filter(|item| !item.name.eq_ignore_ascii_case("TypeName"));
    let mut known = values.filter_map(|item| match (item.name.to_ascii_lowercase().as_str(), &item.value) {
        ("number", Value::Double(number)) => Some(Datum::Number(*number)),
        ("number", Value::Int32(number)) => Some(Datum::Integer(*number)),
        ("boolean", Value::Bool(truth)) => Some(Datum::Boolean(*truth)),
        ("string", Value::Text(text)) => Some(Datum::Text(text.clone())),
        ("coordinate", Value::Point3d(point)) => Some(Datum::Point(*point)),
        ("vector", Value::Point3d(vector)) => Some(Datum::Vector(*vector)),
        ("plane", Value::Plane(plane)) => Some(Datum::Plane(*plane)),
        ("line", Value::Line(line)) => Some(Datum::Line(*line)),
        _ => None,
    });
    match (known.next(), item.items.is_empty() && item.chunks.is_empty()) {
        (Some(datum), _) => Ok(Some(datum)),
        (None, true) => Ok(None),
        (None, false) => Err("it is stored geometry, which only Rhino can spell".to_owned()),
    }
}

/// Flatten, graft and reverse. Whatever else can be set on a parameter needs Grasshopper.
fn modify(container: &Chunk, mut branches: Branches<Datum>) -> Result<Branches<Datum>, Unknown> {
    if container.text("InternalExpression").is_some_and(|text| !text.is_empty()) {
        return Err("the parameter has an expression".to_owned());
    }
    if container.bool("SimplifyData") == Some(true) {
        return Err("the parameter simplifies its paths".to_owned());
    }
    if container.bool("ReverseData") == Some(true) {
        for items in branches.values_mut() {
            items.reverse();
        }
    }
    Ok(match container.int("Mapping") {
        Some(1) if !branches.is_empty() => Branches::from([(vec![0], branches.into_values().flatten().collect())]),
        Some(2) => branches.into_iter().flat_map(|(path, items)| grafted(&path, items)).collect(),
        _ => branches,
    })
}

fn grafted(path: &[i32], items: Vec<Datum>) -> Vec<(Vec<i32>, Vec<Datum>)> {
    (0..).zip(items).map(|(at, item)| ([path, &[at]].concat(), vec![item])).collect()
}

fn parse_path(text: &str) -> Option<Vec<i32>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(';').map(|index| index.trim().parse().ok()).collect()
}

fn spell_path(path: &[i32]) -> String {
    let indices: Vec<String> = path.iter().map(i32::to_string).collect();
    format!("{{{}}}", indices.join(";"))
}

// === impl Datum ===

impl Datum {
    /// In the unit of [`STEPS`].
    fn weight(&self) -> usize {
        if let Self::Text(text) = self { 1 + text.len() / 16 } else { 1 }
    }

    /// The value as data of a parameter of this type, where the rule of Grasshopper is certain.
    fn cast(&self, type_name: &str) -> Option<Self> {
        match (type_name, self) {
            ("Generic Data" | "?", _)
            | ("Number", Self::Number(_))
            | ("Integer", Self::Integer(_))
            | ("Boolean", Self::Boolean(_))
            | ("Text", Self::Text(_))
            | ("Point", Self::Point(_))
            | ("Vector", Self::Vector(_))
            | ("Plane", Self::Plane(_))
            | ("Line", Self::Line(_))
            | ("Geometry", Self::Point(_) | Self::Line(_)) => Some(self.clone()),
            ("Number", Self::Integer(number)) => Some(Self::Number(f64::from(*number))),
            ("Number", Self::Text(text)) => finite(text).map(Self::Number),
            ("Integer", Self::Number(number)) => rounded(*number),
            ("Integer", Self::Text(text)) => rounded(finite(text)?),
            ("Boolean", Self::Number(number)) => Some(Self::Boolean(*number != 0.0)),
            ("Boolean", Self::Integer(number)) => Some(Self::Boolean(*number != 0)),
            ("Boolean", Self::Text(text)) => text.trim().to_ascii_lowercase().parse().ok().map(Self::Boolean),
            ("Text", Self::Integer(number)) => Some(Self::Text(number.to_string())),
            ("Text", Self::Boolean(truth)) => Some(Self::Text(if *truth { "True" } else { "False" }.to_owned())),
            _ => None,
        }
    }

    /// The item as compute serialises it.
    fn item(&self) -> DefaultItem {
        let (type_name, data) = match self {
            Self::Number(number) => ("System.Double", spell(*number)),
            Self::Integer(number) => ("System.Int32", number.to_string()),
            Self::Boolean(truth) => ("System.Boolean", truth.to_string()),
            Self::Text(text) => ("System.String", json!(text).to_string()),
            Self::Point(point) => ("Rhino.Geometry.Point3d", xyz(point)),
            Self::Vector(vector) => ("Rhino.Geometry.Vector3d", xyz(vector)),
            Self::Plane([ox, oy, oz, xx, xy, xz, yx, yy, yz]) => {
                let normal = xyz(&[xy * yz - xz * yy, xz * yx - xx * yz, xx * yy - xy * yx]);
                let (origin, x, y) = (xyz(&[*ox, *oy, *oz]), xyz(&[*xx, *xy, *xz]), xyz(&[*yx, *yy, *yz]));
                let axes = format!(r#""Origin":{origin},"XAxis":{x},"YAxis":{y},"ZAxis":{normal},"Normal":{normal}"#);
                ("Rhino.Geometry.Plane", format!("{{{axes}}}"))
            }
            Self::Line([ax, ay, az, bx, by, bz]) => {
                let (from, to) = (xyz(&[*ax, *ay, *az]), xyz(&[*bx, *by, *bz]));
                ("Rhino.Geometry.Line", format!(r#"{{"From":{from},"To":{to}}}"#))
            }
        };
        DefaultItem { type_name: type_name.into(), data }
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// To the nearest integer, a half to the even one, as .NET converts.
fn rounded(number: f64) -> Option<Datum> {
    let whole = number.round_ties_even();
    if whole < f64::from(i32::MIN) || whole > f64::from(i32::MAX) || whole.is_nan() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the number is whole and within the range of i32")]
    Some(Datum::Integer(whole as i32))
}

fn xyz([x, y, z]: &[f64; 3]) -> String {
    format!(r#"{{"X":{},"Y":{},"Z":{}}}"#, spell(*x), spell(*y), spell(*z))
}

/// A double in JSON as Newtonsoft writes it: always with a point or an exponent.
fn spell(number: f64) -> String {
    let text = number::double(number);
    if !number.is_finite() {
        format!("\"{text}\"")
    } else if text.contains(['.', 'E']) {
        text
    } else {
        text + ".0"
    }
}
