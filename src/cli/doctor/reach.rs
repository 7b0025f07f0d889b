//! What a gateway, an API and a worker need on the network: nodes, the issuer of tokens, the database.
//!
//! Invariant: nothing here wakes a node's child or changes a thing, and no address with a password in it is repeated.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use identity::KeySet;
use jiff::Timestamp;
use jobs::{AppId, Opened};

use crate::admin::Health;
use crate::config::{Auth, Node, Secret};
use crate::governance::live::{Check, clock};

/// What takes longer than this to answer is not well.
const PATIENCE: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 1 << 20;

/// Apps whose queues are looked at.
const QUEUES: usize = 200;

pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?)
}

/// An answer, and when the other side thinks that it was given.
struct Answer {
    status: u16,
    date: Option<Timestamp>,
    bytes: Vec<u8>,
}

async fn get(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let mut answer = request.send().await.map_err(|error| chain(&error.without_url()))?;
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error.without_url()))? {
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(format!("it answers with more than {BODY_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Answer { status, date, bytes })
}

/// An error with what it came of.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// Whether each node answers, takes the key, and has the right time. `health` is what a running gateway says of them.
pub(super) async fn nodes(
    client: &reqwest::Client,
    nodes: &[Node],
    key: Option<&Secret>,
    health: Option<&Health>,
) -> Vec<Check> {
    if nodes.is_empty() {
        return vec![
            Check::bad("no_node", "no node is configured: nothing can be solved")
                .hint("set RHINO_COMPUTE_URL, or list [[node]] in the configuration"),
        ];
    }
    let mut checks = Vec::new();
    for node in nodes {
        checks.extend(self::node(client, node, key).await.into_iter().map(|check| check.about(&node.name)));
    }
    match health {
        Some(health) => checks.extend(attested(health)),
        // Their plug-ins are told by requests that would wake a child, and so be billed.
        None => checks.push(Check::good(
            "version_degraded",
            "whether they have the plug-ins is not asked here: it would wake them; \
             a running gateway knows (`appserver check --url`)",
        )),
    }
    checks
}

async fn node(client: &reqwest::Client, node: &Node, key: Option<&Secret>) -> Vec<Check> {
    let mut request = client.get(format!("{}/healthcheck", node.url.trim_end_matches('/')));
    if let Some(key) = key {
        request = request.header("RhinoComputeKey", key.expose());
    }
    let answer = match get(request).await {
        Ok(answer) => answer,
        Err(why) => {
            let hint = "does Rhino.Compute run there, is the address right, does a firewall stand between?";
            return vec![Check::bad("node_down", format!("does not answer: {why}")).hint(hint)];
        }
    };
    let mut checks = vec![match (answer.status, key) {
        (200, _) => Check::good("node_down", "answers"),
        (401 | 403, None) => {
            Check::bad("node_refused_key", "asks for a key, and none is set").hint("set RHINO_COMPUTE_KEY")
        }
        (401 | 403, Some(_)) => Check::bad("node_refused_key", "refuses the key of RHINO_COMPUTE_KEY")
            .hint("set the same key here and on the node (RHINO_COMPUTE_KEY there, too)"),
        (status, _) => Check::bad("node_down", format!("answers /healthcheck with status {status}"))
            .hint("is this Rhino.Compute? a proxy or IIS answers so where it is not"),
    }];
    checks.extend(answer.date.map(|date| clock("node_clock", date, Timestamp::now())));
    checks
}

/// Which versions no node has the plug-ins for, by a gateway that runs.
fn attested(health: &Health) -> Vec<Check> {
    let mut checks = Vec::new();
    for app in &health.apps {
        for version in app.versions.iter().filter(|version| version.nodes_ready == 0) {
            let missing = version.missing_plugins.join(", ");
            let why = if missing.is_empty() { String::new() } else { format!(": missing {missing}") };
            let check = Check::poor("version_degraded", format!("no node attests it{why}"));
            let check = check.hint("install what is missing on a node; `appserver matrix` shows each node");
            checks.push(check.about(&format!("{}:{}", app.app_id, version.version)));
        }
    }
    if checks.is_empty() {
        checks.push(Check::good("version_degraded", "every version has a node that attests it"));
    }
    checks
}

/// Whether users' tokens could be checked.
pub(super) async fn issuer(client: &reqwest::Client, auth: &Auth) -> Vec<Check> {
    if auth.jwks_url.is_empty() {
        return Vec::new();
    }
    let hint = "is auth.jwks_url right, and can this computer reach it?";
    let answer = match get(client.get(&auth.jwks_url)).await {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            let message = format!("auth.jwks_url answers with status {}", answer.status);
            return vec![Check::bad("issuer_unreachable", message).hint(hint)];
        }
        Err(why) => {
            return vec![Check::bad("issuer_unreachable", format!("auth.jwks_url does not answer: {why}")).hint(hint)];
        }
    };
    let mut checks = vec![match KeySet::read(&answer.bytes) {
        Ok(_keys) => Check::good("issuer_unreachable", "the issuer publishes keys that are of use"),
        Err(why) => Check::bad("issuer_keys", format!("what auth.jwks_url answers is of no use: {why}"))
            .hint("it must be a JWK set with RS256, ES256 or EdDSA keys, each with a `kid`"),
    }];
    checks.extend(answer.date.map(|date| clock("gateway_clock", date, Timestamp::now()).about("issuer")));
    checks
}

/// Whether the job database can be used by the role that is given, and how its queues stand.
pub(super) async fn database(place: &jobs::Where, apps: &[String]) -> Vec<Check> {
    let url = place.database.as_str();
    if url.is_empty() {
        return Vec::new();
    }
    if let Some(file) = url.strip_prefix("sqlite:") {
        let path = Path::new(file.trim_start_matches("//"));
        // Opening would make it.
        if !path.exists() {
            let message = format!("there is no {} yet: the worker or the API makes it", path.display());
            return vec![
                Check::poor("database_unfit", message).hint("start one of them, or see whether DATABASE_URL is right"),
            ];
        }
    }
    if let Err(why) = listens(url).await {
        let hint = "does the database run, is DATABASE_URL right, does a firewall stand between?";
        return vec![
            Check::bad("database_unfit", format!("nothing answers at the database's address: {why}")).hint(hint),
        ];
    }
    let opened = match tokio::time::timeout(2 * PATIENCE, jobs::open(place)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            let hint = if matches!(error, jobs::Error::Unfit(_)) {
                "`appserver migrate` as the owner makes the schema; programs then use a role of their own that owns nothing, \
                     is no superuser and does not bypass row level security (docs/jobs-storage.md)"
            } else {
                "does the database run, is DATABASE_URL right, may this computer and this role connect?"
            };
            return vec![Check::bad("database_unfit", chain(&error)).hint(hint)];
        }
        Err(_elapsed) => {
            return vec![
                Check::bad("database_unfit", "DATABASE_URL does not answer in time")
                    .hint("does the database run, and does a firewall stand between?"),
            ];
        }
    };
    let mut checks = vec![Check::good(
        "database_unfit",
        "the job database answers, with this binary's schema and a role that may no more than it should",
    )];
    checks.extend(queues(&opened, apps).await);
    checks
}

/// Whether anything takes a connection where the address says: a pool would try again for as long as it may, and say less. What no
/// host can be read from is left to who reads it whole.
async fn listens(url: &str) -> Result<(), String> {
    let Some(uri) = url
        .parse::<http::Uri>()
        .ok()
        .filter(|uri| uri.scheme_str().is_some_and(|scheme| scheme.starts_with("postgres")))
    else {
        return Ok(());
    };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return Ok(()) };
    let host = host.trim_matches(['[', ']']);
    let connect = tokio::net::TcpStream::connect((host, uri.port_u16().unwrap_or(POSTGRES)));
    match tokio::time::timeout(PATIENCE, connect).await {
        Ok(Ok(_open)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

const POSTGRES: u16 = 5432;

async fn queues(opened: &Opened, apps: &[String]) -> Vec<Check> {
    let (mut checks, mut waiting) = (Vec::new(), 0);
    for app in apps.iter().take(QUEUES).filter_map(|app| AppId::new(app).ok()) {
        let name = app.queue_name();
        match opened.queue.stats(&app).await {
            Err(error) => checks.push(
                Check::bad("queue_unreachable", chain(&error))
                    .about(&name)
                    .hint("see the database's own log; `appserver job list` shows what is there"),
            ),
            Ok(stats) => {
                waiting += stats.ready;
                if stats.dead > 0 {
                    let check = Check::poor("queue_dead", format!("{} jobs are dead letters", stats.dead)).about(&name);
                    checks.push(check.hint("`appserver job dead` shows them, `appserver job replay` queues one again"));
                }
                if stats.held == 0 && stats.oldest_age.is_some_and(|age| age > STUCK) {
                    let age = stats.oldest_age.unwrap_or_default().as_secs() / 60;
                    let message = format!("{} jobs wait, the oldest for {age} min, and no worker has any", stats.ready);
                    checks.push(
                        Check::bad("queue_stuck", message).about(&name).hint("does a worker run with this APP_ID?"),
                    );
                }
            }
        }
    }
    if checks.is_empty() && !apps.is_empty() {
        checks.push(Check::good(
            "queue_unreachable",
            format!("{} queues answer, {waiting} jobs wait", apps.len().min(QUEUES)),
        ));
    }
    checks
}

/// Where nobody takes a job for so long, nobody takes any.
const STUCK: Duration = Duration::from_mins(5);

/// The health of a gateway that runs at the address where one would listen, if one does.
pub(super) async fn running(client: &reqwest::Client, listen: SocketAddr) -> Option<Health> {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let answer = get(client.get(format!("http://{address}/health/registry?format=json"))).await.ok()?;
    serde_json::from_slice(&answer.bytes).ok()
}
