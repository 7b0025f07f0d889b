//! Every way a request can fail: one closed enum, one table of what each means on the wire.
//!
//! Invariant: [`Error::meaning`] has no wildcard arm, so a new error cannot be without status, code and origin.

use std::time::Duration;

use contract::Violation;

pub use problem::{Meaning, Origin};

use super::stage::Lane;
use crate::rhino::classify::ComponentError;

/// Why a request was not answered with outputs. Cheap to clone: one failure may answer many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("there is nothing at this address")]
    UnknownRoute,
    #[error("{allowed} is what this address takes")]
    MethodNotAllowed { allowed: &'static str },
    #[error("{message}")]
    BadQuery { message: String },
    #[error("{what} is denied by the policy `{policy}`{help}")]
    PolicyDenied { what: &'static str, policy: &'static str, help: &'static str },
    #[error("this address was closed: {0}")]
    Gone(&'static str),
    #[error("no published definition has this key")]
    StalePointer,
    #[error("Bad inputs")]
    BadInputs { violations: Vec<Violation> },
    #[error("a service key is needed: send it as `Authorization: Bearer <key>` or as `RhinoComputeKey: <key>`")]
    Unauthenticated,
    #[error("this key may not act for another tenant")]
    TenantForbidden,
    #[error("the issuer of user tokens cannot be asked for its keys")]
    IssuerUnreachable { retry_after: Duration },
    #[error("this key may not act for the app `{app_id}`")]
    AppForbidden { app_id: String },
    #[error("the app `{app_id}` may not use the definition `{definition}`")]
    DefinitionForbidden { app_id: String, definition: String },
    #[error("no definition is named `{definition}`{}", did_you_mean(.similar.as_deref()))]
    UnknownDefinition { definition: String, similar: Option<String> },
    #[error("`{definition}` has no version or alias `{version}`{}", did_you_mean(.similar.as_deref()))]
    UnknownVersion { definition: String, version: String, similar: Option<String> },
    #[error("this tenant sends more to the {} lane than its rate limit allows", .lane.name())]
    RateLimited { lane: Lane, retry_after: Duration },
    #[error("this address sends more than one address may")]
    AddressLimited { retry_after: Duration },
    #[error("the address is longer than {limit} bytes")]
    UriTooLong { limit: usize },
    #[error("the protocol of a connection cannot be changed here")]
    UpgradeRefused,
    #[error("the body names the app `{body}`, but the request acts for `{request}`")]
    AppMismatch { body: String, request: String },
    #[error("the body names `{body}`, but the address names `{request}`")]
    DefinitionMismatch { body: String, request: String },
    #[error("the body is larger than the limit of {limit} bytes")]
    BodyTooLarge { limit: u64 },
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body broke off before its end")]
    BodyBroken,
    #[error("bodies are taken as they are: leave `Content-Encoding` out")]
    UnsupportedEncoding,
    #[error("the body is not usable JSON: {message}")]
    BadJson { message: String },
    #[error("the body has members that a solve does not take")]
    UnknownMember { violations: Vec<Violation> },
    #[error("the inputs do not fit the contract of {definition}:{version}")]
    InvalidInputs { definition: String, version: String, violations: Vec<Violation> },
    #[error("the definition cannot solve these inputs: {}", .errors.first().map_or("it gave no reason", |error| &error.message))]
    DefinitionError { errors: Vec<ComponentError> },
    #[error("the gateway is at its limit of request bytes in flight")]
    Overloaded { retry_after: Duration },
    #[error("all seats of the app are taken, and the line for them is full or too long")]
    AppBusy { retry_after: Duration },
    #[error("the app's policy gives this lane no seats")]
    LaneClosed,
    #[error("a newer preview of the same session took the place of this one")]
    Superseded,
    #[error("{definition}:{version} is degraded: no node has what it needs ({})", .missing.join(", "))]
    VersionDegraded { definition: String, version: String, missing: Vec<String> },
    #[error("{definition}:{version} is refused: its contract has faults")]
    VersionRefused { definition: String, version: String },
    #[error("no node is reachable")]
    NoNode { retry_after: Duration },
    #[error("every node that may solve this is busy")]
    NoFreeSlot { retry_after: Duration },
    #[error("too many callers wait for this very solve")]
    TooManyWaiters { retry_after: Duration },
    #[error("the time allowed for this solve is over while it waited for a node")]
    DeadlineExceeded,
    #[error("this takes {} s at least, which is more than the time that is left", .needs.as_secs_f64())]
    DeadlineUnreachable { needs: Duration },
    #[error("the node did not answer within the {} s allowed", .allowed.as_secs_f64())]
    NodeTimeout { allowed: Duration },
    #[error("the node could not be reached or broke the connection")]
    NodeUnreachable,
    #[error("the node gave an answer that is not Rhino.Compute's")]
    NodeInvalidAnswer,
    #[error("the node refuses a request that the contract allows")]
    NodeRefused,
    #[error("the node refuses the gateway's key")]
    NodeRefusedKey,
    #[error("the node refused the request as too large")]
    NodeRefusedSize,
    #[error("the node's answer is larger than the limit of {limit} bytes")]
    AnswerTooLarge { limit: u64 },
    #[error("the definition's outputs do not fit the contract: {message}")]
    OutputMismatch { message: String },
    #[error("the gateway failed; the request id finds the cause in its log")]
    Internal,
}

// === impl Error ===

impl Error {
    pub fn meaning(&self) -> Meaning {
        let [client, gateway, node] = [Origin::Client, Origin::Gateway, Origin::Node];
        match self {
            Self::BadRequest(_) => say(400, "bad_request", client, false, "The request is not well formed"),
            Self::UnknownRoute => say(404, "unknown_route", client, false, "There is nothing here"),
            Self::MethodNotAllowed { .. } => say(405, "method_not_allowed", client, false, "The method does not fit"),
            Self::BadQuery { .. } => say(400, "bad_query", client, false, "The query does not fit"),
            Self::PolicyDenied { .. } => say(403, "policy_denied", client, false, "A policy denies this"),
            Self::Gone(_) => say(410, "gone", client, false, "This is closed"),
            Self::StalePointer => say(500, "stale_pointer", client, false, "The key is not known any more"),
            Self::BadInputs { .. } => say(500, "bad_inputs", client, false, "The sheet is out of date"),
            Self::Unauthenticated => say(401, "unauthenticated", client, false, "A key is needed"),
            Self::AppForbidden { .. } => say(403, "app_forbidden", client, false, "The key does not reach this app"),
            Self::TenantForbidden => {
                say(403, "tenant_forbidden", client, false, "The key acts for its own tenant only")
            }
            Self::IssuerUnreachable { .. } => say(503, "issuer_unreachable", gateway, true, "Tokens cannot be checked"),
            Self::DefinitionForbidden { .. } => {
                say(403, "definition_forbidden", client, false, "The app may not use this definition")
            }
            Self::UnknownDefinition { .. } => say(404, "unknown_definition", client, false, "No such definition"),
            Self::UnknownVersion { .. } => say(404, "unknown_version", client, false, "No such version"),
            Self::RateLimited { .. } => say(429, "rate_limited", client, true, "The rate limit is reached"),
            Self::AddressLimited { .. } => say(429, "address_limited", client, true, "The address sends too much"),
            Self::UriTooLong { .. } => say(414, "uri_too_long", client, false, "The address is too long"),
            Self::UpgradeRefused => say(501, "upgrade_refused", client, false, "Protocols are not changed"),
            Self::AppMismatch { .. } => say(400, "app_mismatch", client, false, "The app is named twice, differently"),
            Self::DefinitionMismatch { .. } => {
                say(400, "definition_mismatch", client, false, "The definition is named twice, differently")
            }
            Self::BodyTooLarge { .. } => say(413, "body_too_large", client, false, "The body is too large"),
            Self::BodyTimeout => say(408, "body_timeout", client, true, "The body came too slowly"),
            Self::BodyBroken => say(400, "body_broken", client, true, "The body broke off"),
            Self::UnsupportedEncoding => say(415, "unsupported_encoding", client, false, "The body is encoded"),
            Self::BadJson { .. } => say(400, "bad_json", client, false, "The body is not usable JSON"),
            Self::UnknownMember { .. } => say(400, "unknown_member", client, false, "The body has unknown members"),
            Self::InvalidInputs { .. } => {
                say(422, "invalid_inputs", client, false, "The inputs do not fit the contract")
            }
            Self::DefinitionError { .. } => {
                say(422, "definition_error", client, false, "The definition cannot solve these inputs")
            }
            Self::Overloaded { .. } => say(503, "overloaded", gateway, true, "The gateway is at its limit"),
            Self::AppBusy { .. } => say(503, "app_busy", gateway, true, "The app's seats are taken"),
            Self::LaneClosed => say(403, "lane_closed", client, false, "The lane is closed"),
            Self::Superseded => say(409, "superseded", client, false, "A newer preview took its place"),
            Self::VersionDegraded { .. } => {
                say(503, "version_degraded", gateway, true, "No node has what this version needs")
            }
            Self::VersionRefused { .. } => say(503, "version_refused", gateway, false, "The contract has faults"),
            Self::NoNode { .. } => say(503, "no_node", gateway, true, "No node is reachable"),
            Self::NoFreeSlot { .. } => say(503, "no_free_slot", gateway, true, "Every node is busy"),
            Self::TooManyWaiters { .. } => {
                say(503, "too_many_waiters", gateway, true, "Too many wait for the same solve")
            }
            Self::DeadlineExceeded => say(504, "deadline_exceeded", gateway, true, "The time is over"),
            Self::DeadlineUnreachable { .. } => {
                say(504, "deadline_unreachable", gateway, false, "The time does not suffice")
            }
            Self::NodeTimeout { .. } => say(504, "node_timeout", node, true, "The node took too long"),
            Self::NodeUnreachable => say(502, "node_unreachable", node, true, "The node is unreachable"),
            Self::NodeInvalidAnswer => say(502, "node_invalid_answer", node, true, "The node answered nonsense"),
            Self::NodeRefused => say(502, "node_refused", gateway, false, "The node refuses the request"),
            Self::NodeRefusedKey => say(502, "node_refused_key", gateway, false, "The node refuses the key"),
            Self::NodeRefusedSize => say(502, "node_refused_size", node, false, "The node refuses the size"),
            Self::AnswerTooLarge { .. } => say(502, "answer_too_large", node, false, "The answer is too large"),
            Self::OutputMismatch { .. } => say(502, "output_mismatch", node, false, "The outputs break the contract"),
            Self::Internal => say(500, "internal", gateway, true, "The gateway failed"),
        }
    }

    /// How long to wait before another try, where the gateway knows better than the caller.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Overloaded { retry_after }
        | Self::AppBusy { retry_after }
        | Self::NoNode { retry_after }
        | Self::NoFreeSlot { retry_after }
        | Self::RateLimited { retry_after, .. }
        | Self::AddressLimited { retry_after }
        | Self::IssuerUnreachable { retry_after }
        | Self::TooManyWaiters { retry_after } = self
        {
            Some(*retry_after)
        } else {
            None
        }
    }

    /// What exactly does not fit, by JSON pointer.
    pub fn violations(&self) -> &[Violation] {
        if let Self::InvalidInputs { violations, .. }
        | Self::UnknownMember { violations }
        | Self::BadInputs { violations } = self
        {
            violations
        } else {
            &[]
        }
    }

    /// What Grasshopper's components said.
    pub fn component_errors(&self) -> &[ComponentError] {
        if let Self::DefinitionError { errors } = self { errors } else { &[] }
    }
}

fn say(status: u16, code: &'static str, origin: Origin, retryable: bool, title: &'static str) -> Meaning {
    Meaning::new(status, code, origin, retryable, title)
}

fn did_you_mean(similar: Option<&str>) -> String {
    similar.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}
