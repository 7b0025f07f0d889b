//! `appserver key`: a new service key. The key is shown once; the registry holds its digest only.

use contract::digest::Digest;
use serde_json::json;

use super::{Exit, print, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the key is called in logs.
    #[arg(long)]
    id: String,
    /// Bind the key to one app.
    #[arg(long, value_name = "APP_ID")]
    app: Option<String>,
    /// The key of a person's program: its solves go to the preview lane when they name none.
    #[arg(long)]
    user: bool,
    /// The key of the job API and the worker, which act for the tenant that their calls name.
    #[arg(long, conflicts_with_all = ["user", "app"])]
    worker: bool,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    // Two random UUIDs are 244 random bits.
    let key = format!("as_{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let digest = Digest::of(&key);
    let mut entry = json!({ "id": args.id, "sha256": digest });
    if let Some(app) = &args.app {
        entry["app_id"] = json!(app);
    }
    if args.user {
        entry["role"] = json!("user");
    }
    if args.worker {
        entry["role"] = json!("worker");
    }
    if json {
        print(serde_json::to_string_pretty(&json!({ "key": key, "entry": entry }))?);
        return Ok(Exit::Done);
    }
    say("Give this to the caller; it is not stored anywhere:");
    print(&key);
    say("\nPut this into `keys` of the tenant in registry/tenants.json:");
    say(&entry);
    Ok(Exit::Done)
}
