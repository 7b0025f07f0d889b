//! `check --node`: every valid example of a contract, solved on one node and compared with its golden outputs.
//!
//! Invariant: the node is asked through the gateway's own code: attested, with its slots kept, its answers classified.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Contract;
use contract::examples::Example;
use contract::folder;
use contract::json::spans::{Spans, escape};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::check::Target;
use super::{Finding, Place, Severity, check, fix};
use crate::nodes::warm::difference;
use crate::nodes::{NodeOptions, Nodes, Options, Refusal};
use crate::registry::Registry;
use crate::rhino::client::Key;
use crate::vitals::Vitals;

/// What came of one example.
#[derive(Debug)]
pub struct Tried {
    /// `sitefit:1.0.0 high-street`
    pub name: String,
    pub file: PathBuf,
    /// The outputs, where it was solved.
    pub outputs: Option<Map<String, Value>>,
    pub findings: Vec<Finding>,
}

/// Why no example was tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Check(#[from] check::Error),
    #[error(transparent)]
    Node(#[from] crate::nodes::SetupError),
    #[error("the node at {url} cannot be used: {why}")]
    Unreachable { url: String, why: String },
}

/// How long a node may take to say what it has: it may have to wake a child first.
const PATIENCE: Duration = Duration::from_mins(1);

/// The contracts of a target that load, each with its folder.
pub fn contracts(target: &Target) -> Result<Vec<(PathBuf, Arc<Contract>)>, check::Error> {
    let (root, app_id, version) = match target {
        Target::Folder(path) => {
            let loaded = Contract::load(path).ok().map(|contract| (path.clone(), Arc::new(contract)));
            return Ok(loaded.into_iter().collect());
        }
        Target::Registry(root) => (root, None, None),
        Target::Within { root, app_id, version } => (root, Some(app_id), version.as_ref()),
    };
    let snapshot = Registry::inspect(root)?;
    let releases = snapshot.releases().filter(|release| {
        app_id.is_none_or(|app_id| release.app_id == *app_id)
            && version.is_none_or(|version| release.version == *version)
    });
    let loaded = releases.filter_map(|release| {
        let folder = root.join("contracts").join(&release.app_id).join(release.version.to_string());
        Some((folder, Arc::clone(release.contract()?)))
    });
    Ok(loaded.collect())
}

/// Solves the valid examples of all these contracts on the node, one after the other.
///
/// # Errors
/// When the node cannot be asked at all.
pub async fn solve(contracts: &[(PathBuf, Arc<Contract>)], url: &str, key: Option<Key>) -> Result<Vec<Tried>, Error> {
    let node = NodeOptions { name: url.to_owned(), url: url.to_owned(), key, slots: None, pools: Vec::new() };
    let probe_interval = Duration::from_secs(1);
    let (nodes, driver) = Nodes::new(Options { nodes: vec![node], probe_interval, ..Options::default() })?;
    let stop = CancellationToken::new();
    let driver = {
        let stop = stop.clone();
        tokio::spawn(async move { driver.run(stop, &Vitals::default()).await })
    };
    let mut tried = Vec::new();
    let begun = Instant::now();
    for (folder, contract) in contracts {
        match fitness(&nodes, contract, begun + PATIENCE).await {
            Fitness::Unreachable(why) => {
                stop.cancel();
                let _ = driver.await;
                return Err(Error::Unreachable { url: url.to_owned(), why });
            }
            Fitness::Lacks(missing) => tried.push(unfit(folder, contract, url, &missing)),
            Fitness::Fit => {
                for example in &contract.examples.valid {
                    tried.push(one(&nodes, folder, contract, example).await);
                }
            }
        }
    }
    stop.cancel();
    let _ = driver.await;
    Ok(tried)
}

enum Fitness {
    Fit,
    Lacks(Vec<String>),
    Unreachable(String),
}

/// Waits until the node has said what it has.
async fn fitness(nodes: &Nodes, contract: &Arc<Contract>, until: Instant) -> Fitness {
    loop {
        match nodes.acquire(contract, until).await {
            Ok(_unused) => return Fitness::Fit,
            Err(Refusal::NoneAttested { missing }) if !missing.is_empty() => return Fitness::Lacks(missing),
            Err(refusal) => {
                let view = nodes.view();
                let why = view.first().and_then(|node| node.why.clone()).unwrap_or_else(|| refusal.to_string());
                let down = view.first().is_some_and(|node| node.state == crate::nodes::node::State::Down);
                if down || Instant::now() >= until {
                    return Fitness::Unreachable(why);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn unfit(folder: &Path, contract: &Contract, url: &str, missing: &[String]) -> Tried {
    let file = folder.join("plugins.json");
    let message = format!("the node at {url} lacks {}: no example was solved", missing.join(", "));
    let finding = Finding::new("node_unfit", Severity::Warning, Place::of_file(file.clone()), message);
    let finding = finding.help("try a node that has it: nothing is said of the examples".to_owned());
    Tried { name: name(contract), file, outputs: None, findings: vec![finding] }
}

fn name(contract: &Contract) -> String {
    format!("{}:{}", contract.app_id, contract.version)
}

async fn one(nodes: &Nodes, folder: &Path, contract: &Arc<Contract>, example: &Example) -> Tried {
    let file = folder.join("examples/valid").join(format!("{}.json", example.name));
    let mut tried =
        Tried { name: format!("{} {}", name(contract), example.name), file, outputs: None, findings: Vec::new() };
    let found = |pointer: String, rule, message: String| {
        let bytes = folder::read_file(&tried.file).unwrap_or_default();
        let place = Place::new(tried.file.clone(), Spans::index(&bytes).value(&pointer));
        Finding::new(rule, Severity::Error, place, message).pointer(pointer)
    };
    let deadline = Instant::now() + contract.manifest.timeout();
    // A contract with an example that it refuses does not load.
    let Ok(inputs) = contract.check_inputs(&example.inputs) else { return tried };
    let solved = match nodes.acquire(contract, deadline).await {
        Ok(slot) => slot.solve(contract, &inputs, deadline).await.map_err(|failure| failure.to_string()),
        Err(refusal) => Err(refusal.to_string()),
    };
    let mut findings = Vec::new();
    match solved {
        Err(why) => findings.push(found(
            "/inputs".to_owned(),
            "example_failed",
            format!("a valid example is not solved: {why}"),
        )),
        Ok(solved) => {
            for violation in contract.check_outputs(&solved.outputs).err().unwrap_or_default() {
                let message = format!("the outputs break the contract at {}: {}", violation.pointer, violation.message);
                findings.push(found("/inputs".to_owned(), "example_failed", message));
            }
            for (output, golden) in example.outputs.iter().flatten() {
                let tolerance = example.tolerance_of(output);
                let Some(differs) = difference(&solved.outputs, output, golden, tolerance) else { continue };
                let finding = found(
                    format!("/outputs/{}", escape(output)),
                    "example_drift",
                    format!("the node gives another output: {differs}"),
                );
                let given = solved.outputs.get(output).cloned().unwrap_or_default();
                let help = format!("within {tolerance}; if the node is right, `--accept` writes it");
                findings.push(finding.help(help).data("golden", golden.clone()).data("given", given));
            }
            tried.outputs = Some(solved.outputs);
        }
    }
    tried.findings = findings;
    tried
}

/// Writes what the node gave as the golden outputs: of all outputs where the example states none, else of those that it states.
/// Returns whether anything changed.
///
/// # Errors
/// When the file cannot be read or written.
pub fn accept(tried: &Tried) -> std::io::Result<bool> {
    let Some(outputs) = &tried.outputs else { return Ok(false) };
    let text = std::fs::read_to_string(&tried.file)?;
    let spans = Spans::index(text.as_bytes());
    let (span, wanted, lead) = match (spans.value_span("/outputs"), spans.value_span("/inputs")) {
        (Some(span), _) => {
            let stated = spans.names("/outputs");
            // What has not drifted stays as it was typed.
            if tried.findings.is_empty() {
                return Ok(false);
            }
            let wanted = outputs.iter().filter(|(name, _)| stated.contains(&name.as_str()));
            (span, wanted.map(|(name, value)| (name.clone(), value.clone())).collect(), "")
        }
        (None, Some(inputs)) => (inputs.end..inputs.end, outputs.clone(), ",\n  \"outputs\": "),
        (None, None) => return Ok(false),
    };
    let pretty = serde_json::to_string_pretty(&Value::Object(wanted))?.replace('\n', "\n  ");
    let after = [&text[..span.start], lead, &pretty, &text[span.end..]].concat();
    fix::write(&tried.file, after.as_bytes())?;
    Ok(true)
}
