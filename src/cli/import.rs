//! `appserver import`: a folder of definitions, as another server has it, becomes apps.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::new_app::Making;
use super::{Exit, print};
use crate::admin::health::columns;
use crate::governance::scaffold::{self, Solver};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// The `files` folder of McNeel's Node AppServer: every .gh and .ghx in it becomes an app with version 0.1.0.
    Appserver {
        /// The folder.
        dir: PathBuf,
        #[command(flatten)]
        making: Making,
    },
}

/// Files that are looked at.
const FILES: usize = 2_000;

/// What became of one file.
#[derive(Debug)]
struct Row {
    file: String,
    app_id: Option<String>,
    /// Why it was refused; none where it was adopted.
    refused: Option<String>,
    open: usize,
}

pub(super) fn run(args: &Args, json: bool, config: Option<PathBuf>) -> anyhow::Result<Exit> {
    let From::Appserver { dir, making } = &args.from;
    let files = definitions(dir)?;
    let key = making.key(config)?;
    let rows = tokio::runtime::Runtime::new()?.block_on(async {
        let solver = making.solver(key).await?;
        let mut rows = Vec::new();
        for file in &files {
            rows.push(adopt(file, making, &solver).await);
        }
        solver.stop().await;
        anyhow::Ok(rows)
    })?;
    let refused = rows.iter().filter(|row| row.refused.is_some()).count();
    if json {
        let row =
            |row: &Row| json!({ "file": row.file, "app_id": row.app_id, "refused": row.refused, "open": row.open });
        print(serde_json::to_string_pretty(&rows.iter().map(row).collect::<Vec<_>>())?);
    } else {
        print(table(&rows).trim_end());
        let adopted = rows.len() - refused;
        print(format_args!("\n{} files: {adopted} adopted, {refused} refused; nothing is left of those", rows.len()));
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::Findings })
}

/// The files whose names say that they are definitions, sorted. The Node AppServer lists whatever has `.gh` in its name, so these are told, too.
fn definitions(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        if name.contains(".gh") && !name.starts_with('.') {
            anyhow::ensure!(files.len() < FILES, "{} has more than {FILES} definitions", dir.display());
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

async fn adopt(path: &Path, making: &Making, solver: &Solver) -> Row {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let row = |app_id: Option<String>, refused: Option<String>, open| Row { file: file.clone(), app_id, refused, open };
    let is_definition =
        path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gh") || end.eq_ignore_ascii_case("ghx"));
    if !is_definition {
        return row(None, Some("its name does not end in .gh or .ghx".to_owned()), 0);
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(app_id) = scaffold::app_id(&stem) else {
        return row(None, Some("its name has no letter to make an app id of".to_owned()), 0);
    };
    match making.make(&app_id, Some(path), solver).await {
        Ok(made) => row(Some(app_id), None, made.open.len()),
        Err(error) => row(Some(app_id), Some(error.to_string()), 0),
    }
}

fn table(rows: &[Row]) -> String {
    let heading = ["file", "app", "open", "refused because"].map(str::to_owned);
    let row = |row: &Row| {
        let why = row.refused.as_deref().unwrap_or_default();
        let (first, more) =
            (why.lines().next().unwrap_or_default(), why.lines().filter(|line| line.ends_with(']')).count());
        let more = if more > 1 { format!(" and {} more", more - 1) } else { String::new() };
        let open = if row.refused.is_none() { row.open.to_string() } else { String::new() };
        let app = row.app_id.clone().filter(|_| row.refused.is_none()).unwrap_or_default();
        [row.file.clone(), app, open, format!("{first}{more}")]
    };
    columns(&std::iter::once(heading).chain(rows.iter().map(row)).collect::<Vec<_>>())
}
