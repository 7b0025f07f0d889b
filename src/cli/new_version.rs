//! `appserver new-version`: the next version of an app, from its latest and perhaps another definition file.

use std::path::PathBuf;

use contract::compat::Change;
use serde_json::json;

use super::{Exit, print, say};
use crate::governance::scaffold::DefinitionFile;
use crate::governance::versions::{self, Bump, Error, Next};
use crate::governance::{place, todo};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The app.
    app_id: String,
    /// How far the version goes beyond the latest one; left out, as far as what changed needs, as `breaking` tells.
    #[arg(long)]
    bump: Option<Bump>,
    /// The Grasshopper file of the new version; without it the latest one's.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The folder that holds contracts/ and tenants.json.
    #[arg(long, value_name = "DIR", default_value = "registry")]
    registry: PathBuf,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    super::new_app::check_id(&args.app_id)?;
    let app = args.registry.join("contracts").join(&args.app_id);
    let definition = args.from.as_deref().map(|path| DefinitionFile::open(path, &args.app_id)).transpose()?;
    let next = match versions::next(&app, args.bump, definition.as_ref()) {
        Ok(next) => next,
        Err(error @ (Error::NoSuchApp(_) | Error::NoVersion(_))) => {
            say(format_args!("error: {error} in {}", args.registry.display()));
            return Ok(Exit::NoSuchThing);
        }
        Err(Error::Refused(refused)) => {
            let why = crate::governance::scaffold::Error::Refused(refused);
            say(format_args!("the definition cannot be the next version's; nothing was written\n\n{why}"));
            return Ok(Exit::Findings);
        }
        Err(error) => return Err(error.into()),
    };
    let folder = versions::path(&app, &next.to);
    place::folder(&folder, &next.files)?;
    if json {
        let faults = next.contract.as_ref().err();
        print(serde_json::to_string_pretty(&json!({
            "app_id": args.app_id, "from": next.from, "version": next.to, "folder": folder,
            "changes": next.changes, "needed": next.compared.as_ref().and_then(|compared| compared.needed),
            "reasons": next.reasons().map(reason).collect::<Vec<_>>(), "faults": faults, "open": todo::open(&next.files),
        }))?);
    } else {
        tell(args, &next, &folder);
    }
    Ok(if next.contract.is_ok() { Exit::Done } else { Exit::Findings })
}

/// A change that decided on the version.
fn reason(change: &Change) -> serde_json::Value {
    json!({ "rule": change.rule.word, "message": change.message })
}

/// Why the version is what it is, where the command chose it.
fn tell_why(next: &Next) {
    let Some(compared) = &next.compared else {
        print("  the step is a major one: what has faults cannot be compared with the latest version");
        return;
    };
    match compared.needed {
        None => print("  the step is the least: callers see no change"),
        Some(needed) => print(format_args!("  the step is what these changes need, a {needed} one:")),
    }
    for change in next.reasons() {
        print(format_args!("    {}: {}", change.rule.word, change.message));
    }
}

fn tell(args: &Args, next: &Next, folder: &std::path::Path) {
    print(format_args!("{} {} -> {}   {}", args.app_id, next.from, next.to, folder.display()));
    for change in &next.changes {
        print(format_args!("  {change}"));
    }
    if args.bump.is_none() {
        tell_why(next);
    }
    let open = todo::open(&next.files);
    if !open.is_empty() {
        print("\nOpen, marked x-todo in the files:");
    }
    for todo in &open {
        print(format_args!("  {}:{}  {}", todo.file, todo.line, todo.message));
    }
    match &next.contract {
        Ok(_) => print(format_args!(
            "\nNothing points at it yet. Next: appserver alias set {} stable {} --registry {}",
            args.app_id,
            next.to,
            args.registry.display()
        )),
        Err(faults) => {
            say(format_args!("\nThe gateway will refuse it until this is mended:"));
            for fault in faults {
                say(format_args!("  {fault}"));
            }
        }
    }
}
