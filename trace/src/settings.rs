//! Where spans go and which are kept, by the names that OpenTelemetry gave the settings.
//!
//! Invariant: without an endpoint nothing is kept or sent; a setting that cannot be read is an error at the start, never a guess; one that is
//! empty is as if it were not there, as OpenTelemetry has it.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use crate::context::Place;

/// The path below an endpoint at which traces are taken.
const PATH: &str = "v1/traces";
/// A collector that needs more than a minute for a batch takes none.
const TIMEOUT_MS_MAX: u64 = 60_000;

/// What a program is told by flags or by the environment, in OpenTelemetry's words.
#[derive(Clone, clap::Args)]
#[group(skip)]
pub struct Flags {
    /// Where an OpenTelemetry collector takes OTLP by HTTP, such as `http://127.0.0.1:4318`; traces go to `/v1/traces` below it. No spans are kept where
    /// it is absent.
    #[arg(long = "otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "", hide_default_value = true)]
    pub endpoint: String,
    /// The whole address at which it takes traces, in place of the one below `--otlp-endpoint`.
    #[arg(
        long = "otlp-traces-endpoint",
        env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        default_value = "",
        hide_default_value = true
    )]
    pub traces_endpoint: String,
    /// Headers for it, as `name=value` with commas between them; most often a key.
    #[arg(
        long = "otlp-headers",
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub headers: String,
    /// The same for traces, in their place.
    #[arg(
        long = "otlp-traces-headers",
        env = "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub traces_headers: String,
    /// How it is spoken to: `http/protobuf` is all that is here.
    #[arg(long = "otlp-protocol", env = "OTEL_EXPORTER_OTLP_PROTOCOL", default_value = Flags::PROTOCOL)]
    pub protocol: String,
    /// The same for traces, in its place.
    #[arg(
        long = "otlp-traces-protocol",
        env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        default_value = "",
        hide_default_value = true
    )]
    pub traces_protocol: String,
    /// For how long one sending may take, in milliseconds.
    #[arg(long = "otlp-timeout", env = "OTEL_EXPORTER_OTLP_TIMEOUT", default_value = Flags::TIMEOUT)]
    pub timeout: String,
    /// The same for traces, in its place.
    #[arg(
        long = "otlp-traces-timeout",
        env = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        default_value = "",
        hide_default_value = true
    )]
    pub traces_timeout: String,
    /// `otlp`, or `none`: then no spans are kept whatever else is said.
    #[arg(long = "otel-traces-exporter", env = "OTEL_TRACES_EXPORTER", default_value = Flags::EXPORTER)]
    pub exporter: String,
    /// `true`: no spans are kept whatever else is said.
    #[arg(long = "otel-sdk-disabled", env = "OTEL_SDK_DISABLED", default_value = "false")]
    pub disabled: String,
    /// What the spans say that this program is; its own name where it is absent.
    #[arg(long = "otel-service-name", env = "OTEL_SERVICE_NAME", default_value = "", hide_default_value = true)]
    pub service_name: String,
    /// What else they say of it, as `name=value` with commas between them.
    #[arg(
        long = "otel-resource-attributes",
        env = "OTEL_RESOURCE_ATTRIBUTES",
        default_value = "",
        hide_default_value = true
    )]
    pub resource_attributes: String,
    /// Which traces are kept: `always_on`, `always_off`, `traceidratio`, or one of them behind `parentbased_`, which takes the caller's word first.
    #[arg(long = "otel-traces-sampler", env = "OTEL_TRACES_SAMPLER", default_value = Sampler::USUAL)]
    pub sampler: String,
    /// Which part of traces `traceidratio` keeps, from 0 to 1.
    #[arg(long = "otel-traces-sampler-arg", env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1", value_parser = part)]
    pub sampler_arg: f64,
}

/// The same, read.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) endpoint: Url,
    pub(crate) headers: HeaderMap,
    /// The service's name first.
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) sampler: Sampler,
    pub bounds: Bounds,
}

/// What the exporter takes and how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Spans that wait to be sent: 2,048 of a kilobyte are 2 MB.
    pub queue_max: usize,
    pub batch_max: usize,
    /// The longest that a span waits for others to be sent with.
    pub linger: Duration,
    /// For one sending.
    pub timeout: Duration,
    /// For all that is left at the end.
    pub flush: Duration,
}

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// The caller's word is taken, where there is one.
    parent_based: bool,
    /// Of traces that have none.
    ratio: f64,
}

/// Why a setting cannot be read. It does not repeat headers, which hold keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is no address of a collector: http:// or https:// and a host")]
    Endpoint(String),
    #[error("the collector's headers are `name=value` with commas between them, of characters that headers may have")]
    Headers,
    #[error("the resource's attributes are `name=value` with commas between them")]
    Attributes,
    #[error(
        "`{0}` is no sampler: always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio"
    )]
    Sampler(String),
    #[error("`{0}` is no part of traces: a number from 0 to 1")]
    Ratio(String),
    #[error("`{0}` is not how spans are told here: http/protobuf is, most often at port 4318 of a collector")]
    Protocol(String),
    #[error("`{0}` is no time for a sending: milliseconds, from 1 to {TIMEOUT_MS_MAX}")]
    Timeout(String),
    #[error("`{0}` is no exporter that is here: otlp or none")]
    Exporter(String),
    #[error("`{0}` is neither true nor false: whether OpenTelemetry is disabled")]
    Disabled(String),
    #[error("no HTTP client for the collector: {0}")]
    Client(String),
}

// === impl Flags ===

impl Flags {
    pub const PROTOCOL: &'static str = "http/protobuf";
    pub const EXPORTER: &'static str = "otlp";
    pub const TIMEOUT: &'static str = "10000";

    /// Whether it is said outright that no spans are to be kept.
    fn is_off(&self) -> Result<bool, Error> {
        let disabled = match self.disabled.as_str() {
            "" => false,
            word if word.eq_ignore_ascii_case("false") => false,
            word if word.eq_ignore_ascii_case("true") => true,
            word => return Err(Error::Disabled(shown(word))),
        };
        match self.exporter.as_str() {
            _ if disabled => Ok(true),
            "" | Self::EXPORTER => Ok(false),
            "none" => Ok(true),
            other => Err(Error::Exporter(shown(other))),
        }
    }

    /// The settings, for a program of this name; none where nothing is to be sent.
    ///
    /// # Errors
    /// The first setting that cannot be read, also where there is no collector; but none where it is said that nothing is to be sent.
    pub fn settings(&self, service: &str) -> Result<Option<Settings>, Error> {
        if self.is_off()? {
            return Ok(None);
        }
        let sampler = Sampler::new(or(&self.sampler, Sampler::USUAL), self.sampler_arg)?;
        let mut resource = pairs(&self.resource_attributes).ok_or(Error::Attributes)?;
        let mut headers = HeaderMap::new();
        for (name, value) in pairs(or(&self.traces_headers, &self.headers)).ok_or(Error::Headers)? {
            let name: HeaderName = name.parse().map_err(|_bad| Error::Headers)?;
            let mut value = HeaderValue::from_str(&value).map_err(|_bad| Error::Headers)?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let timeout = timeout(or(&self.traces_timeout, or(&self.timeout, Self::TIMEOUT)))?;
        let endpoint = match (self.traces_endpoint.as_str(), self.endpoint.as_str()) {
            ("", "") => return Ok(None),
            ("", base) => below(base)?,
            (whole, _) => address(whole)?,
        };
        let protocol = or(&self.traces_protocol, or(&self.protocol, Self::PROTOCOL));
        if protocol != Self::PROTOCOL {
            return Err(Error::Protocol(shown(protocol)));
        }
        let named = resource.iter().position(|(name, _)| name == "service.name").map(|at| resource.remove(at).1);
        let name = Some(self.service_name.clone()).filter(|name| !name.is_empty()).or(named);
        resource.insert(0, ("service.name".to_owned(), name.unwrap_or_else(|| service.to_owned())));
        resource.insert(1, ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        Ok(Some(Settings { endpoint, headers, resource, sampler, bounds: Bounds { timeout, ..Bounds::default() } }))
    }
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            traces_endpoint: String::new(),
            headers: String::new(),
            traces_headers: String::new(),
            protocol: Self::PROTOCOL.to_owned(),
            traces_protocol: String::new(),
            timeout: Self::TIMEOUT.to_owned(),
            traces_timeout: String::new(),
            exporter: Self::EXPORTER.to_owned(),
            disabled: String::new(),
            service_name: String::new(),
            resource_attributes: String::new(),
            sampler: Sampler::USUAL.to_owned(),
            sampler_arg: 1.0,
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags")
            .field("endpoint", &self.endpoint)
            .field("traces_endpoint", &self.traces_endpoint)
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}

// === impl Bounds ===

impl Default for Bounds {
    fn default() -> Self {
        Self {
            queue_max: 2048,
            batch_max: 512,
            linger: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            flush: Duration::from_secs(5),
        }
    }
}

// === impl Sampler ===

impl Sampler {
    /// What OpenTelemetry takes where nothing is said.
    pub const USUAL: &'static str = "parentbased_always_on";

    fn new(name: &str, ratio: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::Ratio(ratio.to_string()));
        }
        let (parent_based, own) = match name.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (false, name),
        };
        let ratio = match own {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio,
            _ => return Err(Error::Sampler(name.chars().take(64).collect())),
        };
        Ok(Self { parent_based, ratio })
    }

    /// Whether a new trace is kept.
    pub(crate) fn begins(self, place: Place) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a part of traces needs no more than 53 bits")]
        let drawn = place.trace_id.draw() as f64 / (1_u64 << 56) as f64;
        // All of them for 1, none for 0.
        drawn < self.ratio
    }

    /// Whether a caller's trace is kept.
    pub(crate) fn continues(self, place: Place) -> bool {
        if self.parent_based { place.is_sampled() } else { self.begins(place) }
    }
}

/// A word, or the one that stands for it where it is empty.
fn or<'w>(word: &'w str, other: &'w str) -> &'w str {
    if word.is_empty() { other } else { word }
}

/// Which part of traces is kept: all where nothing is said.
fn part(text: &str) -> Result<f64, std::num::ParseFloatError> {
    or(text, "1").parse()
}

fn timeout(text: &str) -> Result<Duration, Error> {
    let ms = text.parse().ok().filter(|ms| (1..=TIMEOUT_MS_MAX).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| Error::Timeout(shown(text)))
}

/// The address of a collector as it is.
fn address(text: &str) -> Result<Url, Error> {
    let bad = || Error::Endpoint(shown(text));
    let url: Url = text.parse().map_err(|_bad| bad())?;
    if !matches!(url.scheme(), "http" | "https")
        || url.host().is_none()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err(bad());
    }
    Ok(url)
}

/// Where traces go below the address of a collector.
fn below(base: &str) -> Result<Url, Error> {
    let mut url = address(base)?;
    if !url.path().ends_with(PATH) {
        let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

/// What of an address may be repeated: somebody may have put a password before the host.
fn shown(text: &str) -> String {
    text.rsplit('@').next().unwrap_or_default().chars().take(200).collect()
}

/// `a=1,b=2`, with `%` and two digits for what may not stand there.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let pair = |member: &str| {
        let (name, value) = member.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        Some((Some(name.to_owned()).filter(|name| !name.is_empty())?, decoded(value)?))
    };
    members.map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(endpoint: &str) -> Flags {
        Flags { endpoint: endpoint.to_owned(), ..Flags::default() }
    }

    #[test]
    fn the_endpoint_is_a_base_or_the_whole_address() {
        for (said, meant) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example/one/", "https://otel.example/one/v1/traces"),
            ("https://otel.example/one/v1/traces", "https://otel.example/one/v1/traces"),
        ] {
            assert_eq!(flags(said).settings("s").unwrap().unwrap().endpoint.as_str(), meant);
        }
        assert!(flags("").settings("s").unwrap().is_none(), "off");
        for bad in ["4318", "ftp://x", "unix:/x", "http://"] {
            assert_eq!(flags(bad).settings("s").unwrap_err(), Error::Endpoint(bad.to_owned()));
        }
        assert_eq!(flags("http://u:p4ss@x").settings("s").unwrap_err(), Error::Endpoint("x".to_owned()));
    }

    #[test]
    fn what_is_said_of_traces_stands_before_what_is_said_of_all() {
        let mut flags = flags("http://all.example:4318/base");
        flags.traces_endpoint = "https://traces.example/here".to_owned();
        (flags.headers, flags.traces_headers) = ("key=all".to_owned(), "key=traces".to_owned());
        (flags.protocol, flags.traces_protocol) = ("grpc".to_owned(), "http/protobuf".to_owned());
        (flags.timeout, flags.traces_timeout) = ("1000".to_owned(), "2500".to_owned());
        let settings = flags.settings("s").unwrap().unwrap();
        assert_eq!(settings.endpoint.as_str(), "https://traces.example/here", "as it is");
        assert_eq!(settings.headers.get_all("key").iter().collect::<Vec<_>>(), ["traces"]);
        assert_eq!(settings.bounds.timeout, Duration::from_millis(2500));
        flags.traces_protocol = String::new();
        assert_eq!(flags.settings("s").unwrap_err(), Error::Protocol("grpc".to_owned()));
        (flags.protocol, flags.traces_timeout) = (String::new(), String::new());
        assert_eq!(flags.settings("s").unwrap().unwrap().bounds.timeout, Duration::from_secs(1));
        for bad in ["0", "-1", "60001", "10s"] {
            bad.clone_into(&mut flags.timeout);
            assert_eq!(flags.settings("s").unwrap_err(), Error::Timeout(bad.to_owned()));
        }
    }

    #[test]
    fn nothing_is_sent_where_that_is_said_outright_whatever_else_is() {
        for (disabled, exporter, on) in [
            ("", "", true),
            ("False", "otlp", true),
            ("true", "otlp", false),
            ("TRUE", "console", false),
            ("false", "none", false),
        ] {
            let mut flags = flags("http://x");
            (flags.disabled, flags.exporter) = (disabled.to_owned(), exporter.to_owned());
            assert_eq!(flags.settings("s").unwrap().is_some(), on, "{disabled} {exporter}");
            flags.protocol = "grpc".to_owned();
            assert_eq!(flags.settings("s").is_err(), on, "what is not used is no fault");
        }
        let mut flags = flags("http://x");
        flags.disabled = "yes".to_owned();
        assert_eq!(flags.settings("s").unwrap_err(), Error::Disabled("yes".to_owned()));
        (flags.disabled, flags.exporter) = (String::new(), "console,otlp".to_owned());
        assert_eq!(flags.settings("s").unwrap_err(), Error::Exporter("console,otlp".to_owned()));
    }

    #[test]
    fn empty_words_are_as_if_they_were_not_there() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            trace: Flags,
        }
        let usual = flags("http://x").settings("s").unwrap().unwrap();
        let names = <Line as clap::CommandFactory>::command();
        let names: Vec<String> = names.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
        assert_eq!(names.len(), 14, "{names:?}");
        let words = names.iter().map(|name| match name.as_str() {
            "otlp-endpoint" => format!("--{name}=http://x"),
            _ => format!("--{name}="),
        });
        let line = <Line as clap::Parser>::try_parse_from(std::iter::once("s".to_owned()).chain(words)).unwrap();
        let settings = line.trace.settings("s").unwrap().unwrap();
        assert_eq!(format!("{settings:?}"), format!("{usual:?}"));
    }

    #[test]
    fn headers_and_attributes_are_pairs() {
        let mut flags = flags("http://x");
        (flags.headers, flags.resource_attributes) =
            ("api-key=k%2C1, b=2".to_owned(), "env=dev,service.name=other".to_owned());
        let settings = flags.settings("appserver").unwrap().unwrap();
        assert_eq!(settings.headers["api-key"], "k,1");
        assert!(settings.headers["api-key"].is_sensitive());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let version = pair("service.version", env!("CARGO_PKG_VERSION"));
        assert_eq!(settings.resource, [pair("service.name", "other"), version, pair("env", "dev")]);
        "mine".clone_into(&mut flags.service_name);
        assert_eq!(flags.settings("appserver").unwrap().unwrap().resource[0], pair("service.name", "mine"));
        for bad in ["key", "=v", "k=%zz", "k ä=1"] {
            bad.clone_into(&mut flags.headers);
            assert_eq!(flags.settings("s").unwrap_err(), Error::Headers, "{bad}");
        }
    }

    #[test]
    fn a_sampler_keeps_its_part_of_new_traces_and_takes_the_callers_word() {
        let kept = |sampler: Sampler| (0..4000).filter(|_| sampler.begins(Place::new(false))).count();
        assert_eq!(kept(Sampler::new("always_on", 0.5).unwrap()), 4000);
        assert_eq!(kept(Sampler::new("parentbased_always_off", 1.0).unwrap()), 0);
        assert_eq!(kept(Sampler::new("traceidratio", 0.0).unwrap()), 0);
        assert!((800..1200).contains(&kept(Sampler::new("parentbased_traceidratio", 0.25).unwrap())));
        let (yes, no) = (Place::new(true), Place::new(false));
        let by_parent = Sampler::new("parentbased_always_off", 1.0).unwrap();
        assert!(by_parent.continues(yes) && !by_parent.continues(no));
        let by_itself = Sampler::new("always_on", 1.0).unwrap();
        assert!(by_itself.continues(no));
        assert!(matches!(Sampler::new("sometimes", 1.0), Err(Error::Sampler(_))));
        assert!(matches!(Sampler::new("traceidratio", 1.5), Err(Error::Ratio(_))));
        assert!(matches!(Sampler::new("traceidratio", f64::NAN), Err(Error::Ratio(_))));
    }
}
