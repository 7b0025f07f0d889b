//! `appserver doctor`: why does it not work here? Looks at this computer, the settings, and all that they lead to.
//!
//! Invariant: it reads the settings as `serve` reads them, changes nothing, and shows no secret. `check --url` asks a gateway how it is;
//! this asks whether one could be well here.

use std::path::{Path, PathBuf};

use super::check::live::{self, Output};
use super::{Exit, say};
use crate::config::{self, AdminListen, AuthMode, Flags, ProcessEnvironment, Settings};
use crate::governance::live::{Category, Check, Outcome, worst};
use crate::registry::{Registry, Snapshot};

mod reach;
mod system;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Where jobs are kept, as the API and the worker are told it; not looked at where it is empty.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, default_value = "")]
    database: String,
    /// The schema of the database in Postgres.
    #[arg(long, env = "DATABASE_SCHEMA", default_value = jobs::postgres::SCHEMA)]
    schema: String,
    #[command(flatten)]
    queue: jobs::program::QueueArgs,
    /// The folder for artifacts, as the API and the worker are told it.
    #[arg(long, env = "ARTIFACTS_DIR", value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// How the checks are written.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t = Output::Table)]
    output: Output,
}

pub(super) fn run(args: &Args, json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let output = if json { Output::Json } else { args.output };
    let mut flags = Flags::default();
    if let Some(root) = &args.registry {
        flags.values.push(("registry.root", "--registry", toml::Value::String(root.display().to_string())));
    }
    let settings = super::settings(file, flags);
    let mut categories = vec![Category { name: "config", checks: settings_checks(&settings) }];
    match settings {
        Ok(settings) => {
            let runtime = tokio::runtime::Runtime::new()?;
            categories.extend(runtime.block_on(examine(args, &settings))?);
        }
        Err(_) => say("the rest depends on the settings: mend them, and ask again"),
    }
    live::show(&categories, output)?;
    Ok(match worst(&categories) {
        Outcome::Error => Exit::Failed,
        Outcome::Warning | Outcome::Success => Exit::Done,
    })
}

fn settings_checks(settings: &Result<Settings, config::Error>) -> Vec<Check> {
    let mut checks = vec![match settings {
        Ok(settings) => {
            let set = settings.sources.values().filter(|source| source.to_string() != "default").count();
            Check::good("config_invalid", format!("{} settings, {set} of them set", settings.sources.len()))
        }
        Err(error) => Check::bad("config_invalid", error.to_string())
            .hint("config/appserver.toml lists every key; `appserver config` shows each value and its source"),
    }];
    for (name, meant) in config::stray_variables(&ProcessEnvironment) {
        let meant = meant.map_or_else(
            || "`appserver config` lists what there is".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        checks.push(Check::poor("variable_unknown", format!("the variable {name} sets nothing")).hint(meant));
    }
    let Ok(Settings { config, .. }) = settings else { return checks };
    if config.auth.mode == AuthMode::Open && !config.server.listen.ip().is_loopback() {
        let message = format!("auth.mode is `open`, and {} can be reached by others", config.server.listen);
        checks.push(
            Check::bad("open_to_all", message).hint(
                "set auth.mode = \"keys\", or listen on 127.0.0.1; `serve` refuses it without --insecure-no-auth",
            ),
        );
    }
    if config.admin.listen == AdminListen::Off {
        checks.push(
            Check::poor("no_operators", "admin.listen is off: no metrics, and no way to drain a node")
                .hint("set admin.listen to a loopback address such as 127.0.0.1:3001"),
        );
    }
    checks
}

async fn examine(args: &Args, settings: &Settings) -> anyhow::Result<Vec<Category>> {
    let config = &settings.config;
    let root = config.registry.root.clone();
    let (registry, snapshot) = tokio::task::spawn_blocking(move || (live::registry(&root), read(&root))).await?;
    let client = reach::client()?;
    let health = reach::running(&client, config.server.listen).await;
    let operators = match config.admin.listen {
        AdminListen::At(address) => reach::running(&client, address).await,
        AdminListen::Off => None,
    };
    let (artifacts, facts_of) = (args.artifacts.clone(), (config.clone(), snapshot.clone()));
    let facts = tokio::task::spawn_blocking(move || {
        system::Facts::gather(&facts_of.0, artifacts.as_deref(), facts_of.1.as_deref())
    });
    let mut system = system::judge(&facts.await?, config, snapshot.as_deref());
    system.extend(system::addresses(config, &|address| {
        if address == config.server.listen { health.is_some() } else { operators.is_some() }
    }));
    let apps: Vec<String> = snapshot.iter().flat_map(|snapshot| snapshot.apps.keys().cloned()).collect();
    let nodes = listed(config);
    let mut categories = vec![
        Category { name: "system", checks: system },
        Category { name: "registry", checks: registry },
        Category { name: "nodes", checks: nodes.1 },
        Category { name: "tokens", checks: reach::issuer(&client, &config.auth).await },
        Category { name: "jobs", checks: jobs(args, &apps).await },
    ];
    let asked = reach::nodes(&client, &nodes.0, settings.secrets.node_key.as_ref(), health.as_ref()).await;
    categories[2].checks.extend(asked);
    categories.retain(|category| !category.checks.is_empty());
    Ok(categories)
}

/// What the API and the worker are told of the database and the queue, as they would read it.
async fn jobs(args: &Args, apps: &[String]) -> Vec<Check> {
    match args.queue.broker() {
        Ok(broker) => {
            let (database, schema) = (args.database.clone(), args.schema.clone());
            reach::database(&jobs::Where { database, schema, broker }, apps).await
        }
        Err(error) => vec![
            Check::bad("queue_unreachable", format!("the queue cannot be used: {error:#}"))
                .hint("docs/jobs.md says what the API and the worker are told of it"),
        ],
    }
}

fn read(root: &Path) -> Option<std::sync::Arc<Snapshot>> {
    Registry::inspect(root).ok()
}

/// The nodes of the settings and of the file beside them, and what is wrong with the file.
fn listed(config: &config::Config) -> (Vec<config::Node>, Vec<Check>) {
    let mut nodes = config.nodes.clone();
    if !config.nodes_file.is_set() {
        return (nodes, Vec::new());
    }
    let path = &config.nodes_file.path;
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
    match read.and_then(|text| config::NodesFile::parse(&text, &nodes)) {
        Ok(more) => {
            nodes.extend(more);
            (nodes, Vec::new())
        }
        Err(why) => {
            let check = Check::bad("nodes_file", format!("{} cannot be used: {why}", path.display()));
            (nodes, vec![check.hint("a gateway keeps the nodes that it has until the file is right again")])
        }
    }
}
