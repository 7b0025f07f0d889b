//! `appserver client`: a client of one version, as one file in the caller's language.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::{Exit, print, settings};
use crate::client::{self, Language};
use crate::config::Flags;
use crate::registry::Registry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to write it in.
    language: Language,
    /// The app, and its version or alias: `sitefit`, `sitefit:1.0.0`. Without one: `stable`.
    #[arg(long, value_name = "APP[:VERSION]")]
    app: String,
    /// The registry's folder; else that of the settings.
    #[arg(long, value_name = "FOLDER")]
    registry: Option<PathBuf>,
}

pub(super) fn run(args: &Args, config: Option<PathBuf>) -> anyhow::Result<Exit> {
    let root = match &args.registry {
        Some(root) => root.clone(),
        None => settings(config, Flags::default())?.config.registry.root,
    };
    let registry = Registry::open(&root).with_context(|| format!("cannot read the registry {}", root.display()))?;
    let snapshot = registry.current();
    let (name, version) = args.app.split_once(':').unwrap_or((&args.app, "stable"));
    // An app whose definition is called otherwise is found by either name.
    let owner = snapshot.owner(name).or_else(|| snapshot.apps.get(name));
    let Some(app) = owner else {
        let similar = snapshot.similar_definition(name, |_| true);
        bail!(
            "no app is named `{name}`{}",
            similar.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
        );
    };
    let definition = if snapshot.owner(name).is_some() {
        name.to_owned()
    } else {
        app.releases.values().next_back().map(|release| release.definition().to_owned()).unwrap_or_default()
    };
    // No node is asked here, so `stable` without a pin is the highest release that loads.
    let release = app.resolve(&definition, version, |_| true);
    let Some(contract) = release.ok().and_then(|release| release.contract()) else {
        bail!("`{definition}` has no version or alias `{version}` that loads");
    };
    print(client::write(contract, args.language).trim_end());
    Ok(Exit::Done)
}
