//! What is solved: found by asking the gateway what it has ready, and what that version promises.

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::NoRun;
use super::wire::{Answered, Call, Failure, Wire};
use crate::admin::Health;
use crate::admin::health::Status;
use crate::cli::Exit;

/// A version, and the inputs that one of its examples gives it.
#[derive(Debug)]
pub(super) struct Target {
    /// `definition:version`, an alias resolved where the gateway was asked for it.
    pub(super) name: String,
    /// The schema of its inputs.
    pub(super) schema: Value,
    pub(super) example: Map<String, Value>,
}

/// What is needed of a version's description.
#[derive(Debug, Deserialize)]
struct Description {
    inputs: Value,
    examples: Vec<Example>,
}

#[derive(Debug, Deserialize)]
struct Example {
    inputs: Map<String, Value>,
}

/// The version of this name, or the first that is ready, called `stable`, allowed to this caller and has an example.
pub(super) async fn find(wire: &Wire, name: Option<&str>, key: Option<&HeaderValue>) -> anyhow::Result<Target> {
    if let Some(name) = name {
        return describe(wire, name, key).await;
    }
    let answered = get(wire, "/health/registry?format=json", key).await?;
    // 503 still carries the matrix.
    let health: Health = serde_json::from_slice(&answered.body)
        .context("this is no gateway: /health/registry is not JSON of its kind")?;
    for app in &health.apps {
        let Some(stable) = app.aliases.get("stable") else { continue };
        let ready = |version: &&_| version_is_ready(version, stable);
        let Some(version) = app.versions.iter().find(ready) else { continue };
        if let Ok(target) = describe(wire, &format!("{}:{stable}", version.definition), key).await {
            return Ok(target);
        }
    }
    Err(NoRun::new(
        Exit::NotReady,
        "no stable version is ready, open to the first tenant and has an example; --solve names one".to_owned(),
    ))
}

fn version_is_ready(version: &crate::admin::health::VersionHealth, stable: &semver::Version) -> bool {
    version.version == *stable && version.status == Status::Ready
}

async fn describe(wire: &Wire, name: &str, key: Option<&HeaderValue>) -> anyhow::Result<Target> {
    let answered = get(wire, &format!("/gh/{name}"), key).await?;
    if answered.status != 200 {
        let exit = if answered.status == 404 { Exit::NoSuchThing } else { Exit::Failed };
        let problem: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no description");
        return Err(NoRun::new(exit, format!("{name}: {} ({detail})", answered.status)));
    }
    let description: Description =
        serde_json::from_slice(&answered.body).with_context(|| format!("the description of {name}"))?;
    let example = description.examples.into_iter().next();
    let example =
        example.ok_or_else(|| NoRun::new(Exit::Failed, format!("{name} has no example; --inputs gives one")))?;
    Ok(Target { name: name.to_owned(), schema: description.inputs, example: example.inputs })
}

async fn get(wire: &Wire, target: &str, key: Option<&HeaderValue>) -> anyhow::Result<Answered> {
    let call = Call { method: Method::GET, target, authorization: key, body: Bytes::new() };
    let answered = wire.exchange(&call, true).await;
    answered.map_err(|failure| {
        let why = match failure {
            Failure::NoConnection => "no connection",
            Failure::CutOff => "cut off",
            Failure::NoAnswer => "no answer",
        };
        NoRun::new(Exit::Unreachable, format!("{target}: {why}"))
    })
}
