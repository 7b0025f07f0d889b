//! `appserver new-app`: from a Grasshopper file to the whole folder of an app.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::{Exit, print, say};
use crate::governance::deploy::Deploy;
use crate::governance::scaffold::{DefinitionFile, Error, Options, Scaffold, Solver};
use crate::governance::todo::{self, Todo};
use crate::governance::{place, scaffold};
use crate::rhino::client::Key;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The app: a-z, 0-9 and -, beginning with a letter. Its first definition has the same name.
    app_id: String,
    /// The Grasshopper file to make it of.
    #[arg(long, value_name = "FILE", required_unless_present = "blank")]
    from: Option<PathBuf>,
    /// Begin with a small definition of our own.
    #[arg(long, conflicts_with = "from")]
    blank: bool,
    /// Also write what deploys it, into the repository at this folder: the shim for Terragrunt, the workflow, the file of its images.
    #[arg(long, value_name = "DIR")]
    deploy: Option<PathBuf>,
    /// The environment to deploy to: a folder of infra/live.
    #[arg(long, value_name = "NAME", default_value = "dev", requires = "deploy")]
    environment: String,
    #[command(flatten)]
    making: Making,
}

/// How apps are made of files.
#[derive(Debug, clap::Args)]
pub(super) struct Making {
    /// Ask this Rhino.Compute for what the file alone does not tell; the stand-in answers otherwise.
    #[arg(long, value_name = "NODE")]
    from_url: Option<String>,
    /// The units that the definition's lengths are in.
    #[arg(long, value_name = "UNITS", value_parser = PossibleValuesParser::new(UNITS))]
    units: Option<String>,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR", default_value = "registry")]
    pub(super) registry: PathBuf,
}

/// As Rhino names them; `manifest.json` allows no others.
const UNITS: [&str; 12] = [
    "Microns",
    "Millimeters",
    "Centimeters",
    "Decimeters",
    "Meters",
    "Kilometers",
    "Microinches",
    "Mils",
    "Inches",
    "Feet",
    "Yards",
    "Miles",
];

pub(super) fn run(args: &Args, json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    check_id(&args.app_id)?;
    let deploy = args.deploy.as_ref().map(|root| Deploy::of(root, &args.environment, &args.app_id)).transpose()?;
    let node_key = args.making.key(file)?;
    let made = tokio::runtime::Runtime::new()?.block_on(async {
        let solver = args.making.solver(node_key).await?;
        let made = args.making.make(&args.app_id, args.from.as_deref(), &solver).await;
        solver.stop().await;
        anyhow::Ok(made)
    })?;
    let made = match made {
        Ok(made) => made,
        Err(error) => return refused(args, json, error),
    };
    if let Some(deploy) = &deploy {
        deploy.write()?;
    }
    let deploys: Vec<_> = deploy.iter().flat_map(Deploy::paths).collect();
    if json {
        let mut row = made.json();
        row["deploy"] = json!(deploys);
        print(serde_json::to_string_pretty(&row)?);
    } else {
        made.tell(args.from.as_deref());
        for path in deploys {
            print(format_args!("  deployed by {}", path.display()));
        }
        let stays = if args.making.registry == Path::new("registry") {
            String::new()
        } else {
            format!(" --registry {}", args.making.registry.display())
        };
        print(format_args!(
            "\nNext: decide what is open, then appserver matrix --registry {}, and appserver dev{stays}",
            args.making.registry.display()
        ));
    }
    Ok(Exit::Done)
}

/// An app that was written.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) scaffold: Scaffold,
    pub(super) open: Vec<Todo>,
    folder: PathBuf,
}

// === impl Making ===

impl Making {
    /// The key of the nodes, from the environment or the configuration, where a node is asked.
    pub(super) fn key(&self, file: Option<PathBuf>) -> anyhow::Result<Option<Key>> {
        if self.from_url.is_none() {
            return Ok(None);
        }
        let key = super::settings(file, crate::config::Flags::default())?.secrets.node_key;
        let Some(key) = key else { return Ok(None) };
        Key::new(key.expose()).context("RHINO_COMPUTE_KEY has characters that no header can carry").map(Some)
    }

    pub(super) async fn solver(&self, key: Option<Key>) -> anyhow::Result<Solver> {
        match &self.from_url {
            Some(url) => Solver::node(url, key),
            None => Solver::stand_in().await,
        }
    }

    /// Makes and writes one app.
    pub(super) async fn make(&self, app_id: &str, from: Option<&Path>, solver: &Solver) -> Result<Made, Error> {
        let contracts = self.registry.join("contracts");
        let folder = contracts.join(app_id);
        let taken = |message: String| Error::Io(std::io::Error::new(std::io::ErrorKind::AlreadyExists, message));
        if std::fs::symlink_metadata(&folder).is_ok() {
            return Err(taken(format!("{} is there already; new-version adds a version to it", folder.display())));
        }
        if let Some(owner) = scaffold::owner(&contracts, app_id)? {
            return Err(taken(format!(
                "the app {owner} has a definition called {app_id} already, and a name belongs to one app"
            )));
        }
        let mut file = match from {
            Some(path) => DefinitionFile::open(path, app_id)?,
            None => DefinitionFile::blank(app_id)?,
        };
        let units = self.units.clone().or_else(|| from.is_none().then(|| "Meters".to_owned()));
        let options = Options { app_id: app_id.to_owned(), model_units: units };
        let scaffold = Scaffold::of(&mut file, options, solver).await?;
        std::fs::create_dir_all(&contracts)?;
        place::folder(&folder, &scaffold.app())?;
        let open = todo::open(&scaffold.files);
        let folder = folder.join(scaffold.contract.version.to_string());
        Ok(Made { scaffold, open, folder })
    }
}

/// The id's form, before anything is read.
pub(super) fn check_id(app_id: &str) -> anyhow::Result<()> {
    let fits = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    if app_id.starts_with(|first: char| first.is_ascii_lowercase()) && app_id.chars().all(fits) && app_id.len() <= 50 {
        return Ok(());
    }
    let help = scaffold::app_id(app_id).map(|id| format!("; perhaps {id}?")).unwrap_or_default();
    bail!("`{app_id}` is no app id: a-z, 0-9 and -, beginning with a letter, at most 50{help}")
}

fn refused(args: &Args, json: bool, error: Error) -> anyhow::Result<Exit> {
    let Error::Refused(refused) = &error else { return Err(error.into()) };
    if json {
        let row = |obstacle: &scaffold::Obstacle| json!({ "code": obstacle.code, "message": obstacle.message, "help": obstacle.fix });
        let obstacles: Vec<_> = refused.0.iter().map(row).collect();
        print(serde_json::to_string_pretty(&json!({ "app_id": args.app_id, "refused": obstacles }))?);
    } else {
        let file = args.from.as_deref().unwrap_or(Path::new("the definition")).display();
        say(format_args!(
            "{file} cannot become an app as it is; nothing was written\n\n{error}\n\nChange it in Grasshopper, save, and try again."
        ));
    }
    Ok(Exit::Findings)
}

// === impl Made ===

impl Made {
    fn tell(&self, from: Option<&Path>) {
        let contract = &self.scaffold.contract;
        let definition = &contract.definition;
        let name = from.and_then(Path::file_name).map_or("the blank definition".into(), |name| name.to_string_lossy());
        let saved = definition.rhino.as_deref().map(|rhino| format!(", saved by Rhino {rhino}")).unwrap_or_default();
        print(format_args!("Read {name}: {} objects{saved}\n", definition.objects));
        let row = |what: &str, names: Vec<String>| {
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            print(format_args!("  {what:<9} {names}"));
        };
        let port = |binding: &contract::bindings::Binding| {
            let many =
                if binding.access.word() == "item" { String::new() } else { format!(" {}", binding.access.word()) };
            format!("{} ({}{many})", binding.name, binding.kind.word())
        };
        row("inputs", contract.bindings.inputs.iter().map(port).collect());
        row("outputs", contract.bindings.outputs.iter().map(port).collect());
        row(
            "plug-ins",
            contract.plugins.plugins.iter().map(|plugin| format!("{} {}", plugin.name, plugin.version)).collect(),
        );
        if !definition.scripts.is_empty() {
            row(
                "scripts",
                definition.scripts.iter().map(|script| format!("{} ({})", script.spot, script.language)).collect(),
            );
        }
        let examples = &contract.examples;
        row("examples", vec![format!("{} valid", examples.valid.len()), format!("{} invalid", examples.invalid.len())]);
        print(format_args!("\nMade {}", self.folder.display()));
        for file in self.scaffold.files.keys().filter(|file| !file.starts_with("examples/")) {
            print(format_args!("  {file}"));
        }
        for note in &self.scaffold.notes {
            print(format_args!("\nNote: {note}"));
        }
        if !self.open.is_empty() {
            print(format_args!("\nOpen, marked x-todo in the files:"));
        }
        for todo in &self.open {
            print(format_args!("  {}:{}  {}", todo.file, todo.line, todo.message));
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let contract = &self.scaffold.contract;
        json!({
            "app_id": contract.app_id,
            "version": contract.version,
            "folder": self.folder,
            "digest": contract.digest,
            "inputs": contract.bindings.inputs,
            "outputs": contract.bindings.outputs,
            "plugins": contract.plugins.plugins,
            "examples": { "valid": contract.examples.valid.len(), "invalid": contract.examples.invalid.len() },
            "notes": self.scaffold.notes,
            "open": self.open,
        })
    }
}
