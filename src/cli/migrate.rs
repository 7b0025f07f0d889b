//! `appserver migrate`: brings a job database to this binary's schema, and admits tenants to apps as the registry has them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use jobs::{AppId, Sqlite, Tenant, Tenants, postgres};

use super::{Exit, print};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The database, as a role that may make schemas and roles.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: String,
    /// The schema of the database in Postgres, made where it is missing.
    #[arg(long, env = "DATABASE_SCHEMA", default_value = postgres::SCHEMA)]
    schema: String,
    /// The folder that holds tenants.json, whose tenants are admitted to their apps.
    #[arg(long, value_name = "DIR", default_value = "registry")]
    registry: PathBuf,
}

/// What matters of `tenants.json`.
#[derive(Debug, serde::Deserialize)]
struct File {
    tenants: BTreeMap<String, Entry>,
}

#[derive(Debug, serde::Deserialize)]
struct Entry {
    apps: Vec<String>,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let file = args.registry.join("tenants.json");
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let checked = contract::schema::check_file("tenants", &file, &bytes);
    let checked = checked.map_err(|faults| anyhow::anyhow!("{} has {} faults", file.display(), faults.len()))?;
    let File { tenants } = serde_json::from_value(checked)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut applied = Vec::new();
        let admin: Box<dyn Tenants> = if let Some(path) = args.database.strip_prefix("sqlite:") {
            Box::new(Sqlite::open(std::path::Path::new(path.trim_start_matches("//"))).await?)
        } else {
            let schema = args.schema.clone();
            let settings = postgres::Settings { schema, ..postgres::Settings::new(&args.database) };
            for step in postgres::migrate(&settings).await.context("DATABASE_URL cannot be used")? {
                if !json {
                    print(format_args!("applied {step}"));
                }
                applied.push(step.to_string());
            }
            Box::new(postgres::Admin::connect(&settings).await?)
        };
        for (tenant, Entry { apps }) in &tenants {
            let apps: Vec<AppId> = apps.iter().map(|app| AppId::new(app)).collect::<Result<_, _>>()?;
            admin.admit(&Tenant::new(tenant)?, &apps).await?;
        }
        if json {
            let done = serde_json::json!({ "applied": applied, "tenants": tenants.len() });
            print(serde_json::to_string_pretty(&done)?);
        } else {
            print(format_args!("{} tenants are admitted to their apps", tenants.len()));
        }
        Ok(Exit::Done)
    })
}
