//! What an answer of a node means, whose fault a failure is, and what may be done about it.
//!
//! Pure: a status, a content type and bytes go in, a closed [`Outcome`] comes out. Status codes alone say little here:
//! a definition with an error answers 500 with its full result, an unknown definition 500 with nothing, and a proxy in
//! between answers in HTML. Two builds of the node are told apart by the answer, never by a version.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::answer::Answer;
use super::protocol::Source;

/// An answer as it came off the wire.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, if there was a readable one.
    pub content_type: Option<&'a str>,
    /// The body, whole.
    pub body: &'a [u8],
}

/// What is known of the request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// How the definition was named.
    pub source: Source,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
    /// After how long the node's own proxy gives up (`RHINO_COMPUTE_TIMEOUT`, 100 s unless set).
    pub proxy_timeout: Duration,
}

/// What an answer to a solve means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result, perhaps with warnings.
    Solved(Answer),
    /// Grasshopper ran and components failed. The same inputs fail again.
    DefinitionError {
        /// At least one.
        errors: Vec<ComponentError>,
        /// Beside the errors.
        warnings: Vec<String>,
    },
    /// The node does not know the key that was sent.
    StalePointer,
    /// The node refused what was sent, and says why.
    Refused {
        /// The node's words; for the log.
        message: String,
    },
    /// The node does not take our key.
    Unauthorised,
    /// The request is more than the node takes.
    TooLarge,
    /// The node's proxy gave up waiting for its own child, which solves on.
    Timeout,
    /// No answer that a node which works would give.
    Nonsense(Nonsense),
}

/// The ways of an answer to mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// A page for people, from a proxy or from IIS.
    #[error("an HTML page with status {0}")]
    Html(u16),
    /// 500 and no body to a request that carries the definition: 0.16 says so to an input that it cannot read and to
    /// a definition without a single output.
    #[error("status 500 without a body, as for a definition without outputs")]
    Empty500,
    /// Text where JSON is due.
    #[error("a text that is no JSON, with status {0}")]
    Text(u16),
    /// JSON that ends before it is complete.
    #[error("JSON that breaks off")]
    Truncated,
    /// JSON that breaks a bound: nested too deep, too many values, a name twice.
    #[error("JSON beyond the bounds of an answer")]
    Bounds,
    /// JSON, but no answer to a solve.
    #[error("JSON of another shape, with status {0}")]
    Shape(u16),
    /// A status that the node's routes do not have.
    #[error("status {0}")]
    Status(u16),
}

/// One component's error, as far as its text can be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ComponentError {
    /// What the component says.
    pub message: String,
    /// Its nickname on the canvas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Its instance on the canvas, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
}

/// Who can mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller: fewer or smaller inputs.
    Client,
    /// The author of the definition, or the inputs that it cannot cope with.
    Definition,
    /// The operator of the gateway: its key, its contract, its request.
    Gateway,
    /// The operator of the node.
    Node,
}

impl Outcome {
    /// Whose fault it is; none for a result, and none for a key that the node has merely forgotten.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Solved(_) | Self::StalePointer => None,
            Self::DefinitionError { .. } => Some(Fault::Definition),
            Self::TooLarge => Some(Fault::Client),
            Self::Refused { .. } | Self::Unauthorised => Some(Fault::Gateway),
            Self::Timeout | Self::Nonsense(_) => Some(Fault::Node),
        }
    }

    /// Whether it speaks against the node. A definition's errors never do: one bad definition would take every node
    /// out of service. A refused key does, because nothing can be solved there until someone mends it.
    pub fn counts_against_node(&self) -> bool {
        match self {
            Self::Solved(_)
            | Self::DefinitionError { .. }
            | Self::StalePointer
            | Self::Refused { .. }
            | Self::TooLarge => false,
            Self::Unauthorised | Self::Timeout | Self::Nonsense(_) => true,
        }
    }

    /// Whether the same solve should be sent once more with the definition itself.
    pub fn resend_with_algo(&self) -> bool {
        match self {
            Self::StalePointer => true,
            Self::Solved(_)
            | Self::DefinitionError { .. }
            | Self::Refused { .. }
            | Self::Unauthorised
            | Self::TooLarge
            | Self::Timeout
            | Self::Nonsense(_) => false,
        }
    }

    /// Whether a child of the node may be solving on, although the answer is here: where a proxy answered for it.
    pub fn may_still_solve(&self) -> bool {
        match self {
            Self::Timeout | Self::Nonsense(Nonsense::Html(502 | 503) | Nonsense::Status(502 | 503)) => true,
            Self::Solved(_)
            | Self::DefinitionError { .. }
            | Self::StalePointer
            | Self::Refused { .. }
            | Self::Unauthorised
            | Self::TooLarge
            | Self::Nonsense(_) => false,
        }
    }

    /// Whether the node has the definition loaded, for all that this answer tells.
    pub fn definition_is_held(&self) -> bool {
        match self {
            Self::Solved(_) | Self::DefinitionError { .. } => true,
            Self::StalePointer
            | Self::Refused { .. }
            | Self::Unauthorised
            | Self::TooLarge
            | Self::Timeout
            | Self::Nonsense(_) => false,
        }
    }
}

/// Classifies the answer to a solve.
pub fn classify(reply: Reply<'_>, sent: Sent) -> Outcome {
    match reply.status {
        200 => ok(reply),
        401 | 403 => Outcome::Unauthorised,
        413 => Outcome::TooLarge,
        // IIS says that a request is too long with a sub-status, in a page.
        404 if contains(reply.body, b"404.13") => Outcome::TooLarge,
        504 => Outcome::Timeout,
        400 | 500 => refused(reply, sent),
        status if is_html(reply) => Outcome::Nonsense(Nonsense::Html(status)),
        status => Outcome::Nonsense(Nonsense::Status(status)),
    }
}

/// 200: a result, unless it lists errors or is no result at all.
fn ok(reply: Reply<'_>) -> Outcome {
    let value = match json(reply) {
        Ok(value) => value,
        Err(nonsense) => return Outcome::Nonsense(nonsense),
    };
    match Answer::read(&value) {
        Ok(answer) if !answer.errors.is_empty() => definition_error(answer),
        Ok(answer) if value.get("values").is_some_and(Value::is_array) => Outcome::Solved(answer),
        Ok(_) | Err(_) => Outcome::Nonsense(Nonsense::Shape(200)),
    }
}

/// 400 and 500: a definition's errors, an unknown key, a refusal, or nothing that means anything.
fn refused(reply: Reply<'_>, sent: Sent) -> Outcome {
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return match (reply.status, sent.source) {
            // A lookup that misses answers at once; an empty 500 as late as the proxy's own timeout is that timeout,
            // and sending the solve again would start it a second time. A second of grace for two clocks.
            (500, _) if sent.elapsed + Duration::from_secs(1) >= sent.proxy_timeout => Outcome::Timeout,
            (500, Source::Algo) => Outcome::Nonsense(Nonsense::Empty500),
            (500, Source::Pointer) => Outcome::StalePointer,
            (status, _) => Outcome::Nonsense(Nonsense::Status(status)),
        };
    }
    let value = match json(reply) {
        Ok(value) => value,
        Err(nonsense) => return Outcome::Nonsense(nonsense),
    };
    match Answer::read(&value) {
        Ok(answer) if !answer.errors.is_empty() => return definition_error(answer),
        Ok(_) | Err(_) => {}
    }
    match (refusal(&value), sent.source) {
        // Newer builds say the same to an unknown key and to an input that they cannot read, in words that change.
        // A request with the definition itself tells the two apart, at the cost of one more call.
        (Some(_), Source::Pointer) => Outcome::StalePointer,
        (Some(message), Source::Algo) => Outcome::Refused { message },
        (None, _) => Outcome::Nonsense(Nonsense::Shape(reply.status)),
    }
}

/// The words of `{error, message}`, where either is enough and neither needs to be a text.
fn refusal(value: &Value) -> Option<String> {
    let object = value.as_object()?;
    let words = ["error", "message"].into_iter().filter_map(|name| {
        object.get(name).filter(|word| !word.is_null()).map(|word| match word.as_str() {
            Some(text) => text.to_owned(),
            None => word.to_string(),
        })
    });
    let words = words.collect::<Vec<_>>();
    if words.is_empty() { None } else { Some(words.join(": ").chars().take(500).collect()) }
}

fn definition_error(answer: Answer) -> Outcome {
    let errors = answer.errors.iter().map(|text| ComponentError::read(text)).collect();
    Outcome::DefinitionError { errors, warnings: answer.warnings }
}

fn json(reply: Reply<'_>) -> Result<Value, Nonsense> {
    super::protocol::parse_answer(reply.body).map_err(|fault| match fault {
        _ if is_html(reply) => Nonsense::Html(reply.status),
        super::protocol::Unreadable::Bounds => Nonsense::Bounds,
        super::protocol::Unreadable::Truncated if starts_json(reply.body) => Nonsense::Truncated,
        super::protocol::Unreadable::Truncated | super::protocol::Unreadable::NotJson => Nonsense::Text(reply.status),
    })
}

fn is_html(reply: Reply<'_>) -> bool {
    let declared = reply.content_type.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    declared || reply.body.trim_ascii_start().starts_with(b"<")
}

/// Whether the body sets out to be an object: a text such as `Unauthorized` is no truncated JSON.
fn starts_json(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

fn contains(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

impl ComponentError {
    /// Takes `message: component "Name" (guid)` apart from its end, since message and name may hold anything. A text
    /// of another form is all message.
    pub fn read(text: &str) -> Self {
        Self::split(text).unwrap_or_else(|| Self { message: text.to_owned(), component: None, guid: None })
    }

    /// The text as Rhino.Compute writes it: what [`Self::read`] takes apart.
    pub fn text(&self) -> String {
        match (&self.component, &self.guid) {
            (Some(component), Some(guid)) => format!("{}: component \"{component}\" ({guid})", self.message),
            _ => self.message.clone(),
        }
    }

    fn split(text: &str) -> Option<Self> {
        let (rest, guid) = text.strip_suffix(')')?.rsplit_once("\" (")?;
        let guid = Uuid::try_parse(guid).ok()?;
        let (message, component) = rest.rsplit_once(": component \"")?;
        Some(Self { message: message.to_owned(), component: Some(component.to_owned()), guid: Some(guid.to_string()) })
    }
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.component {
            Some(component) => write!(f, " (component {component})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
