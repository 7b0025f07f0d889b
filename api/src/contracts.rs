//! What a version takes, as the gateway describes it to the tenant that asks.
//!
//! Invariant: a description is asked for as the tenant and its app, so the gateway alone decides who may use what. One that was had
//! is checked again by its `ETag`, and serves on while the gateway restarts.

use std::sync::Arc;
use std::time::Duration;

use contract::Described;
use http::{StatusCode, header};
use jobs::Scope;
use moka::sync::Cache;
use serde::Deserialize;
use tokio::time::Instant;

use crate::Error;

/// Within this a description is not asked for again: an alias that moved is seen after it.
const FRESH: Duration = Duration::from_secs(5);
/// How long one serves while the gateway is away.
const KEEP: Duration = Duration::from_hours(24);
const TIMEOUT: Duration = Duration::from_secs(5);
const BYTES_MAX: usize = 8 << 20;
/// Names that point at descriptions, and descriptions. A compiled schema takes some 100 KiB: 50 MiB.
const NAMES_MAX: u64 = 50_000;
const DESCRIPTIONS_MAX: u64 = 512;
/// Also the most values of the label `app_id`.
const APPS_MAX: u64 = 1000;

/// The gateway's descriptions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Contracts {
    client: reqwest::Client,
    base: String,
    key: Arc<str>,
    names: Cache<Name, Held>,
    /// By tag: tenants that are told the same share it.
    descriptions: Cache<String, Arc<Described>>,
    /// The apps that the gateway has described something for.
    apps: Cache<String, ()>,
}

/// As whom a description was asked for, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    scope: Scope,
    definition: String,
    version: String,
}

#[derive(Debug, Clone)]
struct Held {
    tag: String,
    described: Arc<Described>,
    seen: Instant,
}

/// What matters of a problem document.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    detail: String,
}

/// What matters of `/health/registry`.
#[derive(Debug, Deserialize)]
struct Matrix {
    apps: Vec<MatrixApp>,
}

#[derive(Debug, Deserialize)]
struct MatrixApp {
    app_id: String,
    versions: Vec<MatrixVersion>,
}

#[derive(Debug, Deserialize)]
struct MatrixVersion {
    definition: String,
}

// === impl Contracts ===

impl Contracts {
    /// Descriptions by the gateway at `base`, which takes `key` as a worker's.
    ///
    /// # Errors
    /// When the system has no certificates to check servers by.
    pub fn new(base: &str, key: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            key: key.into(),
            names: Cache::builder().max_capacity(NAMES_MAX).time_to_live(KEEP).build(),
            apps: Cache::builder().max_capacity(APPS_MAX).build(),
            descriptions: Cache::builder().max_capacity(DESCRIPTIONS_MAX).time_to_idle(KEEP).build(),
        })
    }

    /// What a version takes, for a tenant in its app.
    ///
    /// # Errors
    /// What the gateway refuses, in its words; or that it cannot be asked and nothing is known from before.
    pub async fn describe(&self, scope: &Scope, definition: &str, version: &str) -> Result<Arc<Described>, Error> {
        if !is_name(definition) || !is_name(version) {
            return Err(Error::UnknownDefinition { detail: "no definition has such a name".to_owned() });
        }
        let (definition, version) = (definition.to_owned(), version.to_owned());
        let name = Name { scope: scope.clone(), definition, version };
        let known = self.names.get(&name);
        if let Some(held) = known.as_ref().filter(|held| held.seen.elapsed() < FRESH) {
            return Ok(Arc::clone(&held.described));
        }
        match self.ask(&name, known.as_ref()).await {
            Ok(held) => {
                let described = Arc::clone(&held.described);
                self.apps.insert(name.scope.app.to_string(), ());
                self.names.insert(name, held);
                Ok(described)
            }
            Err(Error::GatewayUnreachable) => known.map(|held| held.described).ok_or(Error::GatewayUnreachable),
            Err(refused) => {
                self.names.invalidate(&name);
                Err(refused)
            }
        }
    }

    /// The apps that are known to be ones, because somebody was let into them.
    pub(crate) fn known_apps(&self) -> Vec<String> {
        self.apps.iter().map(|(app, ())| app.to_string()).collect()
    }

    /// The definitions that belong to an app.
    pub(crate) async fn definitions(&self, app_id: &str) -> Result<Vec<String>, Error> {
        let url = format!("{}/health/registry", self.base);
        let answer = self.client.get(url).send().await.map_err(|error| unreachable(&error))?;
        // 503 says that nothing serves, and still lists what there is.
        let matrix: Matrix = serde_json::from_slice(&read(answer).await?).map_err(unreadable)?;
        let apps = matrix.apps.into_iter().filter(|app| app.app_id == app_id);
        let names: std::collections::BTreeSet<String> =
            apps.flat_map(|app| app.versions).map(|version| version.definition).collect();
        Ok(names.into_iter().collect())
    }

    /// Whether the app is known to be one, and not just a word that somebody sent.
    pub(crate) fn is_app(&self, app_id: &str) -> bool {
        self.apps.contains_key(app_id)
    }

    /// Whether the gateway answers.
    pub(crate) async fn ping(&self) -> bool {
        let answer = self.client.get(format!("{}/livez", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn ask(&self, name: &Name, known: Option<&Held>) -> Result<Held, Error> {
        let url = format!("{}/gh/{}:{}", self.base, name.definition, name.version);
        let mut request = self.client.get(url).header("x-tenant-id", name.scope.tenant.as_str());
        request = request.header("x-app-id", name.scope.app.as_str());
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, &known.tag);
        }
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        match (answer.status(), known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => Ok(Held { seen: Instant::now(), ..known.clone() }),
            (StatusCode::OK, _) => {
                let bytes = read(answer).await?;
                let compile = || Described::read(serde_json::from_slice(&bytes).map_err(|error| error.to_string())?);
                let described = match self.descriptions.get(&tag).filter(|_| !tag.is_empty()) {
                    Some(described) => described,
                    None => Arc::new(compile().map_err(unreadable)?),
                };
                self.descriptions.insert(tag.clone(), Arc::clone(&described));
                Ok(Held { tag, described, seen: Instant::now() })
            }
            (status, _) => {
                let refusal = serde_json::from_slice::<Refusal>(&read(answer).await?);
                Err(refusal.map_or(Error::GatewayUnreachable, |refusal| refused(status, refusal, name)))
            }
        }
    }
}

/// What the gateway refuses a description with, as the API tells it.
fn refused(status: StatusCode, Refusal { code, detail }: Refusal, name: &Name) -> Error {
    match code.as_str() {
        "unknown_definition" => Error::UnknownDefinition { detail },
        "unknown_version" => Error::UnknownVersion { detail },
        "definition_forbidden" => Error::DefinitionForbidden { detail },
        "version_refused" => Error::VersionRefused { detail },
        "app_forbidden" => Error::AppForbidden { app_id: name.scope.app.to_string() },
        _ => {
            tracing::warn!(%status, code, "the gateway does not describe the version");
            Error::GatewayUnreachable
        }
    }
}

/// As the gateway reads names in its addresses.
fn is_name(word: &str) -> bool {
    (1..=128).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err(unreadable("it is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreachable(error: &reqwest::Error) -> Error {
    tracing::warn!(%error, "the gateway cannot be reached");
    Error::GatewayUnreachable
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    tracing::warn!(%error, "the gateway's description cannot be read");
    Error::GatewayUnreachable
}
