//! The node that is asked what the file alone does not tell: a real one, or the stand-in in this process.
//!
//! Invariant: what a node says fills gaps; what the file says stays. A node that fails leaves the gaps, and is no error.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use contract::Contract;
use contract::definition::DefaultTree;
use reqwest::Url;
use serde_json::{Map, Value};

use super::DefinitionFile;
use crate::rhino::answer::Answer;
use crate::rhino::classify::{self, Outcome, Sent, classify};
use crate::rhino::client::{Client, Key, Options};
use crate::rhino::describe::{self, Described};
use crate::rhino::protocol::{Prepared, Source};

/// Asks one node.
#[derive(Debug)]
pub struct Solver {
    client: Client,
    whom: String,
    /// The stand-in, where no node was named.
    stand_in: Option<simnode::Running>,
}

/// How long a node may take for one solve of the defaults.
const PATIENCE: Duration = Duration::from_mins(1);
/// The largest answer that is read.
const ANSWER_BYTES: usize = 64 << 20;
/// After how long a node's proxy gives up, unless it is told otherwise.
const PROXY: Duration = Duration::from_secs(100);

// === impl Solver ===

impl Solver {
    /// A node at this address.
    pub fn node(url: &str, key: Option<Key>) -> anyhow::Result<Self> {
        Ok(Self { client: client(url, key)?, whom: url.trim_end_matches('/').to_owned(), stand_in: None })
    }

    /// The stand-in, started in this process.
    pub async fn stand_in() -> anyhow::Result<Self> {
        let node = simnode::Node::start(simnode::Config::default()).await.context("cannot start the stand-in node")?;
        Ok(Self { client: client(&node.url(), None)?, whom: "the stand-in".to_owned(), stand_in: Some(node) })
    }

    /// Ends the stand-in, if there is one.
    pub async fn stop(self) {
        if let Some(node) = self.stand_in {
            node.stop().await;
        }
    }

    /// What it is called in messages.
    pub fn whom(&self) -> &str {
        &self.whom
    }

    /// Fills what the file does not tell with what a real node says; the stand-in reads the same file as we do. Tells what was filled,
    /// and why nothing could be.
    pub(super) async fn describe(&self, file: &mut DefinitionFile) -> Vec<String> {
        if self.stand_in.is_some() {
            return Vec::new();
        }
        let asked = self.client.describe(describe::request(&file.bytes), ANSWER_BYTES);
        let described = match tokio::time::timeout(PATIENCE, asked).await {
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(failure)) => Err(failure.to_string()),
            Ok(Ok(reply)) if reply.status != 200 => Err(format!("status {}", reply.status)),
            Ok(Ok(reply)) => {
                Described::read(&reply.body).ok_or_else(|| "that is no answer of a Rhino.Compute".to_owned())
            }
        };
        match described {
            Ok(described) => fill(file, &described, &self.whom),
            Err(why) => vec![format!("{} could not be asked about the definition: {why}", self.whom)],
        }
    }

    /// Solves a contract with these inputs.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn solve(&self, contract: &Contract, inputs: Map<String, Value>) -> Result<Answer, String> {
        let inputs = contract.check_inputs(&Value::Object(inputs)).map_err(|violations| {
            violations.into_iter().map(|violation| violation.message).collect::<Vec<_>>().join("; ")
        })?;
        let body = Prepared::of(contract).request(&inputs.values, Source::Algo).map_err(|error| error.to_string())?;
        let begin = Instant::now();
        let solved = tokio::time::timeout(PATIENCE, self.client.solve(body, ANSWER_BYTES, None)).await;
        let Ok(reply) = solved else { return Err(format!("no answer within {} s", PATIENCE.as_secs())) };
        let reply = reply.map_err(|failure| failure.to_string())?;
        let reply =
            classify::Reply { status: reply.status, content_type: reply.content_type.as_deref(), body: &reply.body };
        match classify(reply, Sent { source: Source::Algo, elapsed: begin.elapsed(), proxy_timeout: PROXY }) {
            Outcome::Solved(answer) => Ok(answer),
            Outcome::DefinitionError { errors, .. } => Err(first(&errors)),
            Outcome::Refused { message } => Err(message),
            Outcome::Unauthorised => Err("it does not take the key; RHINO_COMPUTE_KEY holds it".to_owned()),
            Outcome::TooLarge => Err("the definition is too large for it".to_owned()),
            Outcome::Timeout | Outcome::StalePointer => Err("it gave up".to_owned()),
            Outcome::Nonsense(nonsense) => Err(format!("it answered with {nonsense}")),
        }
    }
}

/// The first of a definition's errors, and how many there are.
fn first(errors: &[classify::ComponentError]) -> String {
    let told = errors.first().map(|error| match &error.component {
        Some(component) => format!("{component}: {}", error.message),
        None => error.message.clone(),
    });
    let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
    told.unwrap_or_default() + &more
}

fn client(url: &str, key: Option<Key>) -> anyhow::Result<Client> {
    let url: Url = url.parse().with_context(|| format!("`{url}` is no address"))?;
    let options = Options {
        url,
        key,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        idle_connections: 1,
    };
    Ok(Client::new(options)?)
}

/// Takes what a node says into the gaps of what was read.
fn fill(file: &mut DefinitionFile, described: &Described, whom: &str) -> Vec<String> {
    let mut notes: Vec<String> =
        described.errors.iter().take(10).map(|error| format!("{whom} says: {error}")).collect();
    for input in &mut file.definition.inputs {
        let Some(seen) = described.inputs.iter().find(|seen| seen.name == input.name) else {
            notes.push(format!("{whom} does not see the input \"{}\"", input.name));
            continue;
        };
        if input.type_name == "?"
            && let Some(type_name) = &seen.type_name
        {
            input.type_name.clone_from(type_name);
        }
        input.minimum = input.minimum.or(seen.minimum);
        input.maximum = input.maximum.or(seen.maximum);
        if input.default.is_none() {
            input.default = seen.default.clone().filter(|tree: &DefaultTree| !tree.is_empty());
        }
    }
    for output in file.definition.outputs.iter_mut().filter(|output| output.type_name == "?") {
        let seen = described.outputs.iter().find(|seen| seen.name == output.name);
        if let Some(type_name) = seen.and_then(|seen| seen.type_name.as_ref()) {
            output.type_name.clone_from(type_name);
        }
    }
    notes
}
