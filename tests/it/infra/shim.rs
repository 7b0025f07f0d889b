//! Units of the live tree, read as Terragrunt reads them, as far as ours use its language: includes, locals of env.hcl, dependencies by
//! their mocks, and the functions below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hcl::eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType};
use hcl::{Block, Body, Expression, Map, Value};

use crate::support::repository;

/// A unit: what its module is given.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) module: PathBuf,
    pub(crate) inputs: Map<String, Value>,
    /// What is taken of other units: by name, the module and the outputs that are mocked.
    pub(crate) dependencies: BTreeMap<String, (PathBuf, Vec<String>)>,
    /// The text of provider.tf.
    pub(crate) provider: String,
}

/// The shims of an environment's apps.
pub(crate) fn apps(live: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(live.join("apps")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

pub(crate) fn unit(folder: &Path) -> Unit {
    unit_of(folder, &fs::read_to_string(folder.join("terragrunt.hcl")).unwrap())
}

/// The unit whose folder holds `terragrunt.hcl` with such a text.
pub(crate) fn unit_of(folder: &Path, text: &str) -> Unit {
    let own = body(text);
    let mut context = context(folder);
    let root = include(folder, "root.hcl");
    let mut bodies = Vec::new();
    for block in blocks(&own, "include") {
        let name = block.labels()[0].as_str();
        let path = attribute(block.body(), "path").to_string();
        assert!(path.contains(&format!("{name}.hcl")), "{path}");
        bodies.push(include(folder, &format!("{name}.hcl")));
    }
    // What the unit itself says holds over what it includes.
    bodies.push(own);
    let (mut dependency, mut dependencies, mut source) = (Map::new(), BTreeMap::new(), None);
    for body in &bodies {
        for block in blocks(body, "dependency") {
            let name = block.labels()[0].as_str().to_owned();
            let Value::Object(mocks) = value(attribute(block.body(), "mock_outputs"), &context) else {
                panic!("{name}")
            };
            let at = text_of(&value(attribute(block.body(), "config_path"), &context));
            let module = source_of(&folder.join(at));
            dependencies.insert(name.clone(), (module, mocks.keys().cloned().collect()));
            dependency.insert(name, Value::Object(Map::from_iter([("outputs".to_owned(), Value::Object(mocks))])));
        }
        source = blocks(body, "terraform").next().map(|block| attribute(block.body(), "source").clone()).or(source);
    }
    context.declare_var("dependency", Value::Object(dependency));
    let mut inputs = Map::new();
    for body in &bodies {
        if let Some(given) = body.attributes().find(|attribute| attribute.key() == "inputs") {
            let Value::Object(given) = value(given.expr(), &context) else { panic!("inputs are no object") };
            inputs.extend(given);
        }
    }
    let provider = blocks(&root, "generate").find(|block| block.labels()[0].as_str() == "provider").unwrap();
    let provider = text_of(&value(attribute(provider.body(), "contents"), &context));
    Unit { module: module_of(&source.expect("a unit has a source")), inputs, dependencies, provider }
}

impl Unit {
    /// What is wrong with what the module is given.
    pub(crate) fn faults(&self) -> Vec<String> {
        let name = self.module.file_name().unwrap().to_str().unwrap();
        let variables = variables(&self.module);
        let mut faults = Vec::new();
        for (key, given) in &self.inputs {
            if let Some((kind, _)) = variables.get(key) {
                faults.extend(misfit(given, kind).map(|wanted| format!("`{key}` is to {wanted}")));
            } else {
                let near =
                    variables.keys().filter(|word| word.starts_with(&key[..key.len() / 2])).min_by_key(|w| w.len());
                let near = near.map(|word| format!("; `{word}` is")).unwrap_or_default();
                faults.push(format!("`{key}` is no variable of {name}{near}"));
            }
        }
        for (key, (_, default)) in &variables {
            if !default && !self.inputs.contains_key(key) {
                faults.push(format!("{name} has no default for `{key}`, and nothing gives it"));
            }
        }
        // A name that is misspelt and has no default is told once.
        if faults.len() == 2 && faults[0].contains("; `") && self.inputs.len() == variables.len() {
            faults.truncate(1);
        }
        faults
    }

    /// The module in a folder of its own, ready to plan: its files, the provider, and its inputs.
    pub(crate) fn lay(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for entry in fs::read_dir(&self.module).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
        fs::write(folder.join("provider.tf"), &self.provider).unwrap();
        let inputs = serde_json::to_string_pretty(&self.inputs).unwrap();
        fs::write(folder.join("inputs.auto.tfvars.json"), inputs).unwrap();
    }
}

/// The names of a module's outputs.
pub(crate) fn outputs(module: &Path) -> BTreeSet<String> {
    let file = body(&fs::read_to_string(module.join("outputs.tf")).unwrap());
    blocks(&file, "output").map(|block| block.labels()[0].as_str().to_owned()).collect()
}

/// A module's variables: the type, and whether there is a default.
fn variables(module: &Path) -> BTreeMap<String, (Expression, bool)> {
    let file = body(&fs::read_to_string(module.join("variables.tf")).unwrap());
    let variable = |block: &Block| {
        let default = block.body().attributes().any(|attribute| attribute.key() == "default");
        (block.labels()[0].as_str().to_owned(), (attribute(block.body(), "type").clone(), default))
    };
    blocks(&file, "variable").map(variable).collect()
}

/// What a value is to be that it is not.
#[expect(clippy::wildcard_enum_match_arm, reason = "types are spelled in two ways; the rest is no type")]
fn misfit(given: &Value, kind: &Expression) -> Option<String> {
    let fits = |good: bool, what: &str| (!good).then(|| format!("be {what}"));
    match kind {
        Expression::Variable(name) => match name.as_str() {
            "string" => fits(given.is_string(), "text"),
            "number" => fits(given.is_number(), "a number"),
            "bool" => fits(given.is_boolean(), "true or false"),
            other => panic!("the type {other} is not known here"),
        },
        Expression::FuncCall(call) => {
            let inner = &call.args[0];
            match (call.name.name.as_str(), given) {
                ("list", Value::Array(values)) => values.iter().find_map(|value| misfit(value, inner)),
                ("map", Value::Object(values)) => values.values().find_map(|value| misfit(value, inner)),
                ("object", Value::Object(values)) => {
                    let Expression::Object(members) = inner else { panic!("{inner:?}") };
                    members.iter().find_map(|(key, kind)| {
                        let key = key.to_string();
                        values.get(&key).map_or_else(|| Some(format!("have `{key}`")), |value| misfit(value, kind))
                    })
                }
                (name, _) => Some(format!("be a {name}")),
            }
        }
        other => panic!("the type {other:?} is not known here"),
    }
}

/// What every unit sees: the locals of its environment, and functions.
fn context(folder: &Path) -> Context<'static> {
    let mut context = Context::new();
    let environment = include(folder, "env.hcl");
    let locals = blocks(&environment, "locals").next().expect("env.hcl has locals");
    let locals = locals.body().attributes().map(|local| (local.key().to_owned(), value(local.expr(), &context)));
    let env = Map::from_iter([("env".to_owned(), Value::Object(locals.collect()))]);
    context.declare_var("local", Value::Object(env));
    let any =
        |func: fn(FuncArgs) -> Result<Value, String>| FuncDef::builder().variadic_param(ParamType::Any).build(func);
    context.declare_func("get_env", any(|_| Ok("given by the runner".into())));
    context.declare_func("get_terragrunt_dir", any(|_| Ok(".".into())));
    context.declare_func("get_repo_root", any(|_| Ok("/repository".into())));
    context.declare_func("basename", any(|args| Ok(args[0].clone())));
    context.declare_func("run_cmd", any(|_| Ok("0123456789abcdef0123456789abcdef01234567".into())));
    context
}

/// The file of that name in the nearest folder above.
fn include(folder: &Path, name: &str) -> Body {
    let found = folder.ancestors().map(|above| above.join(name)).find(|file| file.is_file());
    body(&fs::read_to_string(found.unwrap_or_else(|| panic!("no {name} above {}", folder.display()))).unwrap())
}

/// The module of the unit in a folder.
fn source_of(folder: &Path) -> PathBuf {
    let file = body(&fs::read_to_string(folder.join("terragrunt.hcl")).unwrap());
    module_of(attribute(blocks(&file, "terraform").next().unwrap().body(), "source"))
}

/// Sources end with `/modules//<name>`.
fn module_of(source: &Expression) -> PathBuf {
    let text = source.to_string();
    let (_, name) = text.trim_matches('"').rsplit_once("/modules//").unwrap_or_else(|| panic!("{text}"));
    let module = repository().join("infra/modules").join(name);
    assert!(module.is_dir(), "{text}");
    module
}

fn body(text: &str) -> Body {
    hcl::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn blocks<'a>(body: &'a Body, kind: &'a str) -> impl Iterator<Item = &'a Block> {
    body.blocks().filter(move |block| block.identifier() == kind)
}

fn attribute<'a>(body: &'a Body, name: &str) -> &'a Expression {
    body.attributes().find(|attribute| attribute.key() == name).unwrap_or_else(|| panic!("no {name}: {body:?}")).expr()
}

fn value(expression: &Expression, context: &Context<'_>) -> Value {
    expression.evaluate(context).unwrap_or_else(|error| panic!("{expression:?}: {error}"))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text")).to_owned()
}
