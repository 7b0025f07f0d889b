//! What a contract for a definition would promise: each input and output with what the file tells, what was guessed, and what is open.
//!
//! Invariant: a draft has every input that compute sees and at least one output, or there is none: what compute cannot fill or
//! cannot tell apart is refused with what to change in Grasshopper.

use contract::bindings::{Access, Type};
use contract::definition::{Choice, Definition, Input, Output, Problem, Severity};
use serde_json::{Value, json};

use super::names;
use super::shape;
use super::units::{self, Unit};

/// What the person decides who makes the app.
#[derive(Debug, Clone)]
pub struct Options {
    pub app_id: String,
    /// The name of a Rhino unit system; none where nobody said.
    pub model_units: Option<String>,
}

/// A contract in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    pub options: Options,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

/// An input or output in the making.
#[derive(Debug, Clone)]
pub struct Port {
    pub name: String,
    pub gh: String,
    pub title: String,
    pub description: Option<String>,
    pub kind: Type,
    pub access: Access,
    pub step: Option<f64>,
    pub limits: [Option<f64>; 2],
    /// The least and the greatest number of values.
    pub count: [i32; 2],
    pub default: Option<Value>,
    pub choices: Vec<Choice>,
    pub unit: Option<&'static str>,
    pub group: Option<String>,
    /// Which object of the canvas the facts come from.
    pub source: Option<String>,
    /// What a person has to decide about its property in the schema, and about its binding.
    pub open: Vec<String>,
    pub open_binding: Vec<String>,
    /// Whether type and access are guesses that a solve could settle.
    pub guessed: bool,
}

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused(pub Vec<Obstacle>);

/// One thing that has to change in Grasshopper.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstacle {
    pub code: &'static str,
    pub message: String,
    pub fix: String,
}

/// The units that are assumed where nobody said: those of the samples.
const UNITS: &str = "Meters";

// === impl Draft ===

impl Draft {
    /// Drafts the contract of a definition.
    ///
    /// # Errors
    /// All that stands in the way, each with its place on the canvas and what to do about it.
    pub fn of(definition: &Definition, options: Options) -> Result<Self, Refused> {
        let errors = definition.problems.iter().filter(|problem| problem.severity == Severity::Error);
        let mut obstacles: Vec<Obstacle> = errors.map(Obstacle::of).collect();
        if obstacles.iter().any(|obstacle| obstacle.code == "no_outputs") {
            // Whoever has to open the file anyway is told at once what else callers could set.
            let hints = definition.problems.iter().filter(|problem| problem.code == "no_inputs");
            obstacles.extend(hints.map(Obstacle::of));
        }
        let mut draft = Self { options, inputs: Vec::new(), outputs: Vec::new() };
        for input in &definition.inputs {
            match draft.input(input) {
                Ok(port) => draft.inputs.push(port),
                // What is unfilled for a known reason is told by its problem.
                Err(obstacle) if obstacles.iter().any(|known| known.message.contains(&input.name)) => drop(obstacle),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        for output in &definition.outputs {
            match draft.output(output) {
                Ok(port) => draft.outputs.push(port),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        if obstacles.is_empty() { Ok(draft) } else { Err(Refused(obstacles)) }
    }

    /// The units that lengths are in.
    pub fn model_units(&self) -> &str {
        self.options.model_units.as_deref().unwrap_or(UNITS)
    }

    fn input(&self, input: &Input) -> Result<Port, Obstacle> {
        let kind = input_type(input).ok_or_else(|| {
            let message = format!("\"{}\"{} is of type {}, and compute gives it no value", input.name, at(input.position), input.type_name);
            let fix = "use a Get component, or a parameter of a type that has a form in JSON; --from-url asks a node for the \
                       types of plug-ins";
            Obstacle { code: "input_type", message, fix: fix.to_owned() }
        })?;
        let taken: Vec<String> = self.inputs.iter().map(|port| port.name.clone()).collect();
        let mut port = Port::new(names::caller_name(&input.name, "input", &taken), &input.name, kind);
        port.description = input.prompt.clone().filter(|prompt| is_telling(prompt, &input.name));
        port.step = input.step.filter(|_| matches!(kind, Type::Number | Type::Integer));
        port.count = [input.at_least, input.at_most];
        port.group = input.groups.first().cloned();
        port.source = input.source.as_ref().map(ToString::to_string);
        port.choices.clone_from(&input.choices);
        port.limit(input);
        port.access(input);
        port.default(input);
        port.unit(input.prompt.as_deref(), self.model_units());
        if port.description.is_none() {
            port.open.push("description: the definition has none".to_owned());
        }
        Ok(port)
    }

    fn output(&self, output: &Output) -> Result<Port, Obstacle> {
        let (kind, guessed) = output_type(output).ok_or_else(|| {
            let message = format!(
                "the output \"{}\"{} is of type {}, which has no form in JSON",
                output.name,
                at(output.position),
                output.type_name
            );
            let fix = "turn it into numbers, a text or geometry in Grasshopper, and return that";
            Obstacle { code: "output_type", message, fix: fix.to_owned() }
        })?;
        let taken: Vec<String> = self.outputs.iter().map(|port| port.name.clone()).collect();
        let mut port = Port::new(names::caller_name(&output.name, "output", &taken), &output.name, kind);
        port.access = if is_plural(&port.name) { Access::List } else { Access::Item };
        port.guessed = true;
        if guessed {
            port.open_binding.push(format!("type: the file says {}; this is a guess", output.type_name));
        }
        port.open_binding.push("access: the file does not tell how many values there are".to_owned());
        port.unit(None, self.model_units());
        port.open.push("description: the definition has none".to_owned());
        Ok(port)
    }
}

/// A definition's own prompt, or the one that Grasshopper came with.
fn is_telling(prompt: &str, name: &str) -> bool {
    let prompt = prompt.trim().trim_end_matches(':');
    !prompt.is_empty() && !prompt.eq_ignore_ascii_case(name) && !prompt.to_ascii_lowercase().starts_with("get ")
}

fn at(position: Option<[f32; 2]>) -> String {
    position.map(|[x, y]| format!(" at ({x:.0}, {y:.0})")).unwrap_or_default()
}

/// Whether a name stands for several things.
fn is_plural(name: &str) -> bool {
    name.ends_with('s') && !["ss", "us", "is", "radius", "bias"].iter().any(|end| name.ends_with(end))
}

fn input_type(input: &Input) -> Option<Type> {
    let whole = |number: f64| number.fract() == 0.0;
    // A slider that gives whole numbers only asks for a whole number.
    let counts = input.type_name == "Number"
        && input.step.is_some_and(|step| step >= 1.0 && whole(step))
        && [input.minimum, input.maximum].into_iter().flatten().all(whole);
    if counts { Some(Type::Integer) } else { Type::fitting_input(&input.type_name).first().copied() }
}

/// The type of an output, and whether it is a guess.
fn output_type(output: &Output) -> Option<(Type, bool)> {
    let name = names::spoken(&output.name).to_lowercase();
    match output.type_name.as_str() {
        "Generic Data" | "?" => {
            let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
            let kind = if says(&["area", "length", "volume", "count", "height", "width", "ratio", "cost", "number"]) {
                Type::Number
            } else if says(&["text", "label", "name", "json", "report"]) {
                Type::Text
            } else {
                Type::Geometry
            };
            Some((kind, true))
        }
        name => Type::fitting_input(name).first().map(|kind| (*kind, false)),
    }
}

// === impl Port ===

impl Port {
    fn new(name: String, gh: &str, kind: Type) -> Self {
        Self {
            title: names::title(gh),
            name,
            gh: gh.to_owned(),
            description: None,
            kind,
            access: Access::Item,
            step: None,
            limits: [None; 2],
            count: [1, 1],
            default: None,
            choices: Vec::new(),
            unit: None,
            group: None,
            source: None,
            open: Vec::new(),
            open_binding: Vec::new(),
            guessed: false,
        }
    }

    /// Whether its values are numbers.
    pub fn is_numeric(&self) -> bool {
        matches!(self.kind, Type::Number | Type::Integer)
    }

    /// The range that both the getter and its slider allow.
    fn limit(&mut self, input: &Input) {
        let tighter = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        let least = tighter(input.minimum, input.own_minimum, f64::max);
        let most = tighter(input.maximum, input.own_maximum, f64::min);
        if !self.is_numeric() {
            return;
        }
        self.limits = match (least, most) {
            (Some(least), Some(most)) if least > most => {
                self.open.push(format!("range: the getter and its slider allow nothing in common ({least} to {most})"));
                [None; 2]
            }
            limits if self.kind == Type::Integer => [limits.0.map(f64::ceil), limits.1.map(f64::floor)],
            limits => limits.into(),
        };
        if self.limits == [None; 2] && self.choices.is_empty() {
            self.open.push("minimum, maximum: the definition has no limits".to_owned());
        }
    }

    fn access(&mut self, input: &Input) {
        let held = input.default.as_ref().map_or(0, |default| default.branches.values().map(Vec::len).sum::<usize>());
        self.access = if input.tree {
            Access::Tree
        } else if input.at_most == 1 {
            Access::Item
        } else if input.at_least > 1 || held > 1 || (held == 0 && is_plural(&self.name)) {
            Access::List
        } else {
            Access::Item
        };
        if input.at_most != 1 && !input.tree && self.access == Access::Item && held == 0 {
            self.open_binding.push("access: Grasshopper takes a list here, too; this is a guess".to_owned());
        }
    }

    fn default(&mut self, input: &Input) {
        let Some(tree) = &input.default else {
            let why = input.default_note.as_deref().unwrap_or("only a solve can tell");
            self.open.push(format!("default: callers must send it, because {why}"));
            return;
        };
        let found = shape::default(tree, self.kind, self.access);
        let fits = |value: &Value| self.allows(value);
        match found {
            Some(value) if fits(&value) => self.default = Some(value),
            Some(value) => self.open.push(format!(
                "default: the definition's {value} is not among what it allows, so callers must send it"
            )),
            None if tree.is_empty() && self.access == Access::List && self.count[0] <= 0 => {
                self.default = Some(Value::Array(Vec::new()));
            }
            None if tree.is_empty() => {
                self.open.push("default: the definition has none, so callers must send it".to_owned());
            }
            None => self.open.push("default: the definition's has no form in JSON, so callers must send it".to_owned()),
        }
    }

    /// Whether a default is within the limits and choices.
    fn allows(&self, value: &Value) -> bool {
        let alone = std::slice::from_ref(value);
        let values: Vec<&Value> = match value {
            Value::Array(items) if self.access == Access::List => items.iter().collect(),
            Value::Object(branches) if self.access == Access::Tree => {
                branches.values().filter_map(Value::as_array).flatten().collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                alone.iter().collect()
            }
        };
        let counted = i32::try_from(values.len()).unwrap_or(i32::MAX);
        let enough = self.access != Access::List || (self.count[0] <= counted && counted <= self.count[1]);
        enough
            && values.into_iter().all(|value| {
                let within = value.as_f64().is_none_or(|number| {
                    self.limits[0].is_none_or(|least| number >= least)
                        && self.limits[1].is_none_or(|most| number <= most)
                });
                within && (self.choices.is_empty() || self.values().contains(value))
            })
    }

    /// The values of the choices, each once.
    pub fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::new();
        for choice in &self.choices {
            let value = shape::plain(choice.value.clone());
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    fn unit(&mut self, prompt: Option<&str>, model_units: &str) {
        if self.is_numeric() && self.choices.is_empty() {
            let spoken = names::spoken(&self.gh);
            let found = units::of(&spoken, prompt, model_units);
            let found = found.or_else(|| units::of(&self.name.replace('_', " "), None, model_units));
            match found {
                Some(Unit::Written(unit)) => self.unit = Some(unit),
                Some(Unit::Guessed(unit)) => {
                    self.unit = Some(unit);
                    self.open.push(format!("x-unit: guessed {unit} from the name"));
                }
                // Whole numbers mostly count.
                None if self.kind == Type::Integer => {}
                None => self.open.push("x-unit: none found".to_owned()),
            }
        } else if is_spatial(self.kind) {
            self.unit = Some(units::abbreviation(model_units));
        }
    }

    /// What the form of the console shows.
    pub fn widget(&self) -> Option<&'static str> {
        Some(match (self.access, self.kind) {
            (Access::List, _) => "list",
            (Access::Item, _) if !self.choices.is_empty() => "select",
            (Access::Item, Type::Number | Type::Integer) if self.limits.iter().all(Option::is_some) => "slider",
            (Access::Item, Type::Number | Type::Integer) => "number",
            (Access::Item, Type::Boolean) => "toggle",
            (Access::Item, Type::Text) => "text",
            (Access::Item, Type::Point) => "point",
            (Access::Tree | Access::Item, _) => return None,
        })
    }

    /// A value that callers could send: the default, else one within the limits.
    pub fn sample(&self) -> Option<Value> {
        if let Some(default) = &self.default {
            return Some(default.clone());
        }
        let one = match (self.values().first(), self.limits) {
            (Some(value), _) => value.clone(),
            (None, [Some(least), Some(most)]) => {
                let middle = f64::midpoint(least, most);
                shape::plain(json!(if self.kind == Type::Integer { middle.floor() } else { middle }))
            }
            (None, [Some(limit), None] | [None, Some(limit)]) => shape::plain(json!(limit)),
            (None, [None, None]) => shape::sample(self.kind)?,
        };
        let count = usize::try_from(self.count[0]).unwrap_or(1).clamp(1, 1_000);
        Some(match self.access {
            Access::Item => one,
            Access::List => Value::Array(vec![one; count]),
            Access::Tree => json!({ "{0}": vec![one; count] }),
        })
    }
}

/// Whether values of the type lie in model space.
fn is_spatial(kind: Type) -> bool {
    !matches!(kind, Type::Number | Type::Integer | Type::Boolean | Type::Text | Type::Vector)
}

// === impl Obstacle ===

impl Obstacle {
    fn of(problem: &Problem) -> Self {
        let place = problem.spot.as_ref().and_then(|spot| spot.position);
        let told = problem.spot.as_ref().is_some_and(|spot| problem.message.contains(&spot.to_string()));
        let place = if told { String::new() } else { at(place) };
        Self { code: problem.code, message: format!("{}{place}", problem.message), fix: problem.fix.clone() }
    }
}
