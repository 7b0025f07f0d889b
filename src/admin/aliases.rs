//! `/admin/aliases/<app>` on the operators' listener: where aliases lead, and moving one.
//!
//! Invariant: a move names the policy that it was decided on (`If-Match`), and leads to a version that is ready here and now.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::health::Status;
use super::{Admin, respond};
use crate::gateway::{Body, Request, Response};
use crate::governance::aliases::{self, Aliases, Change, Entry, Error, Moved, Wanted};

/// What `GET /admin/aliases/<app>` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    #[serde(flatten)]
    pub aliases: Aliases,
    /// Oldest first.
    pub history: Vec<Entry>,
}

/// What `POST /admin/aliases/<app>/<alias>` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    /// The version to lead to; back to where it led before, if none.
    pub to: Option<Version>,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub by: String,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    #[serde(flatten)]
    pub moved: Moved,
    /// Whether requests go by it already.
    pub in_force: bool,
}

/// Why it does not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable word.
    pub error: String,
    pub message: String,
}

/// An order is one short object.
const BODY_BYTES: usize = 8 << 10;
const BODY_WAIT: Duration = Duration::from_secs(5);
/// How long an answer waits for the registry to take the change, and how often it looks.
const FORCE_WAIT: Duration = Duration::from_secs(5);
const FORCE_LOOK: Duration = Duration::from_millis(50);

/// Answers a request below `/admin/aliases/`; `rest` is what follows.
pub(super) async fn answer(admin: &Admin, request: Request, rest: String) -> Response {
    let words: Vec<&str> = rest.split('/').collect();
    let app_id = words[0];
    // Only what was loaded is looked at, so that no name leads out of the registry.
    if !admin.registry.current().apps.contains_key(app_id) {
        return problem(&Error::NoSuchApp(app_id.chars().take(64).collect()));
    }
    let app = admin.registry.root().join("contracts").join(app_id);
    match (request.method(), &words[1..]) {
        (&Method::GET, []) => view(app).await,
        (&Method::POST, [alias]) => order(admin, request, app, app_id, alias).await,
        (_, [] | [_]) => told(StatusCode::METHOD_NOT_ALLOWED, "method", "GET for an app, POST for one of its aliases"),
        _ => told(StatusCode::NOT_FOUND, "address", "there is nothing at this address"),
    }
}

async fn view(app: PathBuf) -> Response {
    let read = tokio::task::spawn_blocking(move || {
        aliases::read(&app).and_then(|aliases| Ok(View { aliases, history: aliases::history(&app)? }))
    });
    match read.await {
        Ok(Ok(view)) => {
            let mut response = json(StatusCode::OK, &view);
            if let Ok(etag) = format!("\"{}\"", view.aliases.etag).parse() {
                response.headers_mut().insert(header::ETAG, etag);
            }
            response
        }
        Ok(Err(error)) => problem(&error),
        Err(_) => told(StatusCode::INTERNAL_SERVER_ERROR, "io", "the registry could not be read"),
    }
}

async fn order(admin: &Admin, request: Request, app: PathBuf, app_id: &str, alias: &str) -> Response {
    let Some(based_on) = if_match(request.headers()) else {
        return told(
            StatusCode::PRECONDITION_REQUIRED,
            "if_match",
            "If-Match has to name the policy that you decided on: GET tells its ETag",
        );
    };
    let Ok(Some(body)) = tokio::time::timeout(BODY_WAIT, received(request.into_body())).await else {
        return told(StatusCode::BAD_REQUEST, "body", "an order is one short JSON object, sent at once");
    };
    let order: Ordered = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => return told(StatusCode::BAD_REQUEST, "body", &format!("this is no order: {error}")),
    };
    let unready = unready(admin, app_id);
    let (name, folder) = (alias.to_owned(), app);
    // A change that has begun is made, also where whoever asked for it has gone.
    let made = tokio::task::spawn_blocking(move || {
        let wanted = order.to.as_ref().map_or(Wanted::Back, Wanted::To);
        let change = Change { alias: &name, wanted, based_on: Some(&based_on), reason: &order.reason, by: &order.by };
        aliases::change(&folder, change, |version| {
            unready.iter().find(|(other, _)| other == version).map_or(Ok(()), |(_, why)| Err(why.clone()))
        })
    });
    match made.await {
        Ok(Ok(moved)) => {
            tracing::info!(app_id, alias, from = ?moved.from, to = ?moved.to, "alias moved by an operator");
            let in_force = in_force(admin, app_id, &moved).await;
            json(StatusCode::OK, &Answered { moved, in_force })
        }
        Ok(Err(error)) => problem(&error),
        Err(_) => told(StatusCode::INTERNAL_SERVER_ERROR, "io", "the policy could not be changed"),
    }
}

/// A body of a bounded size; none where it is larger, or breaks off.
pub(super) async fn received(mut body: Body) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.ok()?.into_data().unwrap_or_default();
        if bytes.len() + data.len() > BODY_BYTES {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}

/// The digest of the one strong tag that the request names.
fn if_match(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    (!tag.is_empty() && !tag.contains('"')).then(|| tag.to_owned())
}

/// The versions that an alias may not lead to, and why.
fn unready(admin: &Admin, app_id: &str) -> Vec<(Version, String)> {
    let health = admin.health();
    let versions = health.apps.into_iter().filter(|app| app.app_id == app_id).flat_map(|app| app.versions);
    let unready = versions.filter(|version| version.status != Status::Ready);
    let why = |reason: Option<super::health::Reason>| {
        reason.map_or_else(|| "no node can solve it".to_owned(), |reason| reason.message)
    };
    unready.map(|version| (version.version, why(version.reason))).collect()
}

async fn in_force(admin: &Admin, app_id: &str, moved: &Moved) -> bool {
    let begin = tokio::time::Instant::now();
    loop {
        let leads = admin.registry.current().apps.get(app_id).and_then(|app| app.aliases.get(&moved.alias).cloned());
        if leads == moved.to {
            return true;
        }
        if begin.elapsed() > FORCE_WAIT {
            return false;
        }
        tokio::time::sleep(FORCE_LOOK).await;
    }
}

fn problem(error: &Error) -> Response {
    let status = match error {
        Error::NoSuchApp(_) | Error::NoSuchVersion { .. } => StatusCode::NOT_FOUND,
        Error::NotReady { .. } | Error::NothingToUndo(_) | Error::EditedByHand { .. } => StatusCode::CONFLICT,
        Error::Changed { .. } => StatusCode::PRECONDITION_FAILED,
        Error::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Error::Faults(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Unrecorded(_) | Error::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    json(status, &Problem::of(error))
}

pub(super) fn told(status: StatusCode, error: &str, message: &str) -> Response {
    json(status, &Problem { error: error.to_owned(), message: message.to_owned() })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    respond(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

// === impl Problem ===

impl Problem {
    pub fn of(error: &Error) -> Self {
        let word = match error {
            Error::NoSuchApp(_) => "no_such_app",
            Error::NoSuchVersion { .. } => "no_such_version",
            Error::NotReady { .. } => "not_ready",
            Error::Changed { .. } => "changed",
            Error::Busy => "busy",
            Error::NothingToUndo(_) => "nothing_to_undo",
            Error::EditedByHand { .. } => "edited_by_hand",
            Error::Faults(_) => "faults",
            Error::Unrecorded(_) => "unrecorded",
            Error::Io(_) => "io",
        };
        Self { error: word.to_owned(), message: error.to_string() }
    }
}
