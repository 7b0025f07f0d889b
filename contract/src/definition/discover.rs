//! Which parameters Rhino.Compute finds in a definition, by its own rules.
//!
//! Compute goes over the top-level objects in file order. Contextual parameters are inputs by their nickname. A group
//! whose nickname contains `RH_IN` or `RH_OUT` is an input or output under its whole nickname, bound to the first of its
//! members that exists. Context Bake and Context Print are outputs by the nickname of their first input. A second
//! parameter of the same name is not added. `/io` then sorts by the canvas position, top first. Clusters are not entered,
//! and whether an object is disabled makes no difference.

use super::archive::Chunk;
use super::canvas::{self, Canvas, Object, Origin};
use super::default::{self, Defaults};
use super::guids;
use super::model::{Choice, Input, InputKind, Output, Problem, Severity};
use super::problems;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What discovery found, in the order of `/io`.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<Output>,
    pub(super) problems: Vec<Problem>,
}

struct Discovery<'c, 'a> {
    canvas: &'c Canvas<'a>,
    defaults: Defaults<'c, 'a>,
    found: Found,
    input_names: HashSet<String>,
    output_names: HashSet<String>,
    named_groups: NamedGroups<'a>,
}

/// The groups with a name of their own that each object is a member of, with their number of members.
type NamedGroups<'a> = HashMap<Uuid, Vec<(usize, &'a str)>>;

/// Finds inputs and outputs as compute does.
pub(super) fn discover(canvas: &Canvas<'_>) -> Found {
    let mut discovery = Discovery {
        canvas,
        defaults: Defaults::new(canvas),
        found: Found::default(),
        input_names: HashSet::new(),
        output_names: HashSet::new(),
        named_groups: named_groups(canvas),
    };
    for object in &canvas.objects {
        if object.contextual_type().is_some() {
            discovery.input(object, object.nickname, InputKind::Contextual, object);
        } else if object.component == guids::CONTEXT_BAKE || object.component == guids::CONTEXT_PRINT {
            discovery.context_output(object);
        } else if object.component == guids::GROUP {
            discovery.group(object);
        }
    }
    let mut found = discovery.found;
    found.inputs.sort_by(|a, b| height(a.position).total_cmp(&height(b.position)));
    found.outputs.sort_by(|a, b| height(a.position).total_cmp(&height(b.position)));
    found
}

/// The key of the order of `/io`. A parameter without a position lies at the origin.
fn height(position: Option<[f32; 2]>) -> f32 {
    // Adding zero makes -0 equal to 0 in the total order.
    position.map_or(0.0, |[_, y]| y + 0.0)
}

// === impl Discovery ===

impl<'a> Discovery<'_, 'a> {
    fn group(&mut self, group: &Object<'a>) {
        let first = self.canvas.members(group).next();
        if group.nickname.contains("RH_IN")
            && let Some(parameter) = first.filter(|member| member.is_parameter())
        {
            self.input(parameter, group.nickname, InputKind::Group, group);
        }
        if !group.nickname.contains("RH_OUT") {
            return;
        }
        let Some(first) = first else { return };
        if first.is_parameter() {
            let type_name = guids::type_name(first.component).unwrap_or("?");
            self.output(first.container, group.nickname.to_owned(), type_name, first, group);
            return;
        }
        let outputs = first.outputs();
        for (at, output) in outputs.iter().enumerate() {
            let name = match outputs.len() {
                1 => group.nickname.to_owned(),
                _ => format!("{} ({})", group.nickname, output.text("NickName").unwrap_or_default()),
            };
            self.output(output, name, first.output_type(at), first, group);
        }
    }

    fn context_output(&mut self, component: &Object<'a>) {
        let inputs = component.inputs();
        let Some(input) = inputs.first() else { return };
        let type_name = match (component.component, input.text("Name")) {
            (guids::CONTEXT_PRINT, _) => "Text",
            // Context Bake took geometry only, once, and named its input so.
            (_, Some("Geometry")) => "Geometry",
            _ => "Generic Data",
        };
        let name = input.text("NickName").unwrap_or_default().to_owned();
        self.output(input, name, type_name, component, component);
    }

    /// Adds an input. `named` is the object that has the name: the parameter itself or a group.
    fn input(&mut self, parameter: &Object<'a>, name: &str, kind: InputKind, named: &Object<'a>) {
        if !self.input_names.insert(name.to_owned()) {
            self.found.problems.push(duplicate("input", name, named));
            return;
        }
        let container = parameter.container;
        let contextual = parameter.contextual_type();
        let type_name = contextual.or_else(|| guids::type_name(parameter.component)).unwrap_or("?");
        let own = if contextual.is_some() { own_limits(container, type_name) } else { [None; 2] };
        let slider = self.slider(parameter, contextual.is_some());
        let limit = |name| slider.and_then(|slider| slider.double(name));
        let count = |name| container.int(name).and_then(|count| i32::try_from(count).ok());
        let (default, default_note) = match self.defaults.of(parameter, type_name) {
            Ok(tree) => (Some(tree), None),
            Err(unknown) => (None, Some(unknown)),
        };
        let source = self.source(parameter);
        let input = Input {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            kind,
            component: parameter.component,
            instance: parameter.instance,
            at_least: contextual.and_then(|_| count("AtLeast")).unwrap_or(1),
            at_most: match contextual {
                Some(_) => count("AtMost").unwrap_or(1),
                None if parameter.component == guids::SLIDER => 1,
                None => i32::MAX,
            },
            tree: contextual.is_some() && container.bool("TreeAccess") == Some(true),
            default,
            default_note,
            minimum: own[0].or(limit("Min")),
            maximum: limit("Max"),
            own_minimum: own[0],
            own_maximum: own[1],
            step: slider.and_then(step),
            prompt: contextual.and_then(|_| container.text("Prompt")).map(str::to_owned),
            position: parameter.position(),
            source: source.map(Object::spot),
            choices: choices(source, type_name),
            groups: self.groups([Some(parameter), source, Some(named)]),
        };
        self.found.problems.extend(problems::unfilled(&input, parameter, named));
        self.found.inputs.push(input);
    }

    /// The slider whose limits compute reports: the parameter itself, or the only source of a contextual parameter.
    fn slider(&self, parameter: &Object<'a>, contextual: bool) -> Option<&'a Chunk> {
        let origins = if contextual { self.canvas.origins(parameter.container) } else { Vec::new() };
        let slider = match origins[..] {
            [Origin::Parameter(source)] => source,
            _ => parameter,
        };
        (slider.component == guids::SLIDER).then(|| slider.container.chunk("Slider"))?
    }

    /// The one object that feeds the parameter, if it is a parameter itself; the parameter where nothing feeds it.
    fn source<'o>(&'o self, parameter: &'o Object<'a>) -> Option<&'o Object<'a>> {
        match self.canvas.first_origins(parameter.container, 2)[..] {
            [] => Some(parameter).filter(|own| guids::is_control(own.component)),
            [Origin::Parameter(source)] => Some(source),
            _ => None,
        }
    }

    /// The named groups around the parameter, what feeds it, or the group that makes it an input.
    fn groups(&self, around: [Option<&Object<'a>>; 3]) -> Vec<String> {
        let mut found: Vec<(usize, &str)> = around
            .into_iter()
            .flatten()
            .filter_map(|object| self.named_groups.get(&object.instance))
            .flatten()
            .copied()
            .collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().take(GROUPS).map(|(_, name)| name.to_owned()).collect()
    }

    fn output(&mut self, parameter: &Chunk, name: String, type_name: &str, owner: &Object<'a>, named: &Object<'a>) {
        if !self.output_names.insert(name.clone()) {
            self.found.problems.push(duplicate("output", &name, named));
            return;
        }
        self.found.outputs.push(Output {
            name,
            type_name: type_name.to_owned(),
            parameter: parameter.guid("InstanceGuid").unwrap_or_default(),
            instance: owner.instance,
            position: canvas::position(parameter).or_else(|| owner.position()),
        });
    }
}

/// Groups around one input that are told.
const GROUPS: usize = 8;

fn choices(source: Option<&Object<'_>>, type_name: &str) -> Vec<Choice> {
    let value_list = source.filter(|source| source.component == guids::VALUE_LIST);
    value_list.map(|list| default::choices(list, type_name)).unwrap_or_default()
}

fn named_groups<'a>(canvas: &Canvas<'a>) -> NamedGroups<'a> {
    let mut groups = NamedGroups::new();
    let is_named = |group: &&Object<'_>| {
        let name = group.nickname;
        !name.trim().is_empty() && name != group.name && !name.contains("RH_IN") && !name.contains("RH_OUT")
    };
    for group in canvas.objects.iter().filter(|object| object.component == guids::GROUP).filter(is_named) {
        let members = canvas.members(group).count();
        for member in canvas.members(group) {
            groups.entry(member.instance).or_default().push((members, group.nickname));
        }
    }
    // Many inputs may share what is in many groups; each looks at a few of them only.
    #[expect(clippy::iter_over_hash_type, reason = "each is put in order by itself")]
    for around in groups.values_mut() {
        around.sort_unstable();
        around.truncate(GROUPS);
    }
    groups
}

/// The limits set in a Get Number or Get Integer, where they are not the ends of the type.
fn own_limits(container: &Chunk, type_name: &str) -> [Option<f64>; 2] {
    let (least, most) = match type_name {
        "Integer" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        "Number" => (f64::MIN, f64::MAX),
        _ => return [None; 2],
    };
    let minimum = container.double("Minimum").filter(|limit| *limit > least);
    [minimum, container.double("Maximum").filter(|limit| *limit < most)]
}

/// The step of a slider: `Interval` 0 is a decimal one with `Digits` places, 1 whole, 2 even, 3 odd numbers.
fn step(slider: &Chunk) -> Option<f64> {
    match slider.int("Interval")? {
        0 => {
            let digits = i32::try_from(slider.int("Digits")?).ok().filter(|digits| (0..=12).contains(digits))?;
            Some(10_f64.powi(-digits))
        }
        1 => Some(1.0),
        2 | 3 => Some(2.0),
        _ => None,
    }
}

fn duplicate(what: &str, name: &str, object: &Object<'_>) -> Problem {
    // The sentence is compute's own, so that it can be found in its answers.
    let told = format!("Multiple {what} parameters with the same name were detected. Parameter names must be unique.");
    let fix = if object.nickname == object.name {
        format!("give this {} a nickname of its own; it still has the default one", object.name)
    } else {
        "give each of them a nickname of its own".to_owned()
    };
    Problem {
        code: if what == "input" { "duplicate_input" } else { "duplicate_output" },
        severity: Severity::Error,
        message: format!("a second {what} is called \"{name}\", and compute keeps the first only: {told}"),
        spot: Some(object.spot()),
        fix,
    }
}
