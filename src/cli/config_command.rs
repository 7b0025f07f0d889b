//! `appserver config`: each setting, its value, and where that came from.

use std::path::PathBuf;

use serde::Serialize;

use super::{Exit, print};
use crate::admin::health::columns;
use crate::config::{Flags, Settings};

#[derive(Debug, Serialize)]
struct Row {
    key: String,
    value: serde_json::Value,
    source: String,
}

pub(super) fn run(json: bool, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let settings = super::settings(file, Flags::default())?;
    let rows = rows(&settings)?;
    if json {
        print(serde_json::to_string_pretty(&rows)?);
        return Ok(Exit::Done);
    }
    let mut table = vec![["key", "value", "source"].map(str::to_owned)];
    table.extend(rows.into_iter().map(|row| [row.key, row.value.to_string(), row.source]));
    print(columns(&table).trim_end());
    Ok(Exit::Done)
}

fn rows(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let config = serde_json::to_value(&settings.config)?;
    let mut rows: Vec<Row> = settings
        .sources
        .iter()
        .map(|(key, source)| {
            let value = config.pointer(&format!("/{}", key.replace('.', "/"))).cloned().unwrap_or_default();
            Row { key: key.clone(), value, source: source.to_string() }
        })
        .collect();
    let (value, source) = match settings.secrets.node_key {
        Some(_) => ("(set, not shown)".into(), "environment RHINO_COMPUTE_KEY"),
        None => (serde_json::Value::Null, "default"),
    };
    rows.push(Row { key: "node key".to_owned(), value, source: source.to_owned() });
    Ok(rows)
}
