//! Putting the configuration together: each layer over the one before, and for each value the place it came from.
//!
//! Invariant: only this file reads the environment. Secrets are kept beside the configuration, never in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, Node};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// The overlay that `appserver dev` brings along.
    Dev,
    File(PathBuf),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("dev overlay"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The configuration in force, and where each value came from.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: Config,
    /// By dotted key.
    pub sources: BTreeMap<String, Source>,
    pub secrets: Secrets,
}

/// What is no part of the configuration, so that no dump of it can show it.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// The key that nodes ask for.
    pub node_key: Option<Secret>,
    /// What a collector of spans asks for.
    pub trace_headers: Option<Secret>,
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub file: Option<PathBuf>,
    /// Values by dotted key, with the flag that set them.
    pub values: Vec<(&'static str, &'static str, Value)>,
    /// Start from the overlay for one laptop.
    pub dev: bool,
}

/// What stands in the environment; a function, so that tests bring their own.
pub trait Environment {
    fn var(&self, name: &str) -> Option<String>;

    /// The names of all that is set.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The process's own environment.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error("{place}: {message}")]
    Value { place: String, message: String },
    #[error("the configuration has faults:\n  {}", .0.join("\n  "))]
    Faults(Vec<String>),
}

const DEV_OVERLAY: &str = include_str!("../../config/dev.toml");

/// Puts the configuration together.
///
/// # Errors
/// The first file or value that cannot be read; then every fault of the whole.
pub fn load(flags: &Flags, environment: &dyn Environment) -> Result<Settings, Error> {
    let defaults = Table::try_from(Config::default()).map_err(|error| value_error("defaults", error))?;
    let mut layers = Layers { table: defaults, sources: BTreeMap::new() };
    let mut keys = Vec::new();
    leaves("", &layers.table, &mut keys);
    layers.sources.extend(keys.iter().map(|key| (key.clone(), Source::Default)));
    if flags.dev {
        let overlay = read_table(Path::new("config/dev.toml"), DEV_OVERLAY)?;
        layers.merge(overlay, &Source::Dev);
    }
    let file = flags.file.clone().or_else(|| environment.var("APPSERVER_CONFIG").map(PathBuf::from));
    if let Some(path) = file {
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let table = read_table(&path, &text)?;
        layers.merge(table, &Source::File(path));
    }
    from_environment(&mut layers, &keys, environment)?;
    for (key, flag, value) in &flags.values {
        layers.set(key, value.clone(), Source::Flag(flag));
    }
    let config: Config = layers.table.try_into().map_err(|error| value_error("configuration", error))?;
    let secret = |name: &'static str| {
        let of_file = program::secret::of_file(name, |name| environment.var(name).map(Into::into));
        of_file.map(|secret| environment.var(name).or(secret).map(Secret)).map_err(|why| value_error("secret", why))
    };
    let of_traces = secret("OTEL_EXPORTER_OTLP_TRACES_HEADERS")?.filter(|headers| !headers.expose().is_empty());
    let of_all = secret("OTEL_EXPORTER_OTLP_HEADERS")?;
    let secrets = Secrets { node_key: secret("RHINO_COMPUTE_KEY")?, trace_headers: of_traces.or(of_all) };
    let mut faults = config.check();
    if let Err(error @ trace::settings::Error::Headers) =
        config.trace.flags(secrets.trace_headers.as_ref()).settings("")
    {
        faults.push(format!("OTEL_EXPORTER_OTLP_HEADERS: {error}"));
    }
    if !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    Ok(Settings { config, sources: layers.sources, secrets })
}

/// A file's own table, once it is known that every key in it exists and has the right type.
fn read_table(path: &Path, text: &str) -> Result<Table, Error> {
    let fault = |error: toml::de::Error| Error::File { path: path.to_owned(), message: error.to_string() };
    toml::from_str::<Config>(text).map_err(fault)?;
    toml::from_str(text).map_err(fault)
}

/// `PORT`, `RHINO_COMPUTE_URL`, `RESULT_CACHE_TTL` and `JWT_JWKS_URL`, which existing deployments set, and OpenTelemetry's own names; then `APPSERVER_<SECTION>_<KEY>` for every key.
fn from_environment(layers: &mut Layers, keys: &[String], environment: &dyn Environment) -> Result<(), Error> {
    let var = |name: &str| environment.var(name).map(|value| (value, Source::Environment(name.to_owned())));
    if let Some((port, source)) = var("PORT") {
        let port: u16 = port.parse().map_err(|error| value_error("PORT", error))?;
        let listen = layers.get("server.listen").and_then(Value::as_str).unwrap_or_default();
        let mut listen: SocketAddr = listen.parse().map_err(|error| value_error("server.listen", error))?;
        listen.set_port(port);
        layers.set("server.listen", Value::String(listen.to_string()), source);
    }
    if let Some((url, source)) = var("RHINO_COMPUTE_URL") {
        let node = Node { name: "node-1".to_owned(), url, slots: None, pools: Vec::new() };
        let node = Value::try_from(node).map_err(|error| value_error("RHINO_COMPUTE_URL", error))?;
        layers.set("node", Value::Array(vec![node]), source);
    }
    if let Some((seconds, source)) = var("RESULT_CACHE_TTL") {
        let seconds = seconds.parse().map_err(|error| value_error("RESULT_CACHE_TTL", error))?;
        layers.set("cache.batch_ttl_sec", Value::Integer(seconds), source);
    }
    if let Some((url, source)) = var("JWT_JWKS_URL") {
        layers.set("auth.jwks_url", Value::String(url), source);
    }
    of_opentelemetry(layers, environment)?;
    for key in keys.iter().filter(|key| key.contains('.')) {
        let name = variable(key);
        let Some((text, source)) = var(&name) else { continue };
        let value = match layers.get(key) {
            Some(Value::Integer(_)) => Value::Integer(text.parse().map_err(|error| value_error(&name, error))?),
            Some(Value::Float(_)) => Value::Float(text.parse().map_err(|error| value_error(&name, error))?),
            Some(Value::Boolean(_)) => Value::Boolean(text.parse().map_err(|error| value_error(&name, error))?),
            // A list is written with commas.
            Some(Value::Array(_)) => {
                Value::Array(text.split(',').map(|word| Value::String(word.trim().to_owned())).collect())
            }
            _ => Value::String(text),
        };
        layers.set(key, value, source);
    }
    Ok(())
}

/// OpenTelemetry's own names. What is said of traces stands before what is said of all that is told, and what is empty is not said.
fn of_opentelemetry(layers: &mut Layers, environment: &dyn Environment) -> Result<(), Error> {
    let var = |name: &str| {
        let text = environment.var(name).filter(|text| !text.is_empty())?;
        Some((text, Source::Environment(name.to_owned())))
    };
    let texts = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "trace.endpoint"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "trace.traces_endpoint"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "trace.protocol"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "trace.protocol"),
        ("OTEL_TRACES_EXPORTER", "trace.exporter"),
        ("OTEL_SERVICE_NAME", "trace.service_name"),
        ("OTEL_RESOURCE_ATTRIBUTES", "trace.resource_attributes"),
        ("OTEL_TRACES_SAMPLER", "trace.sampler"),
    ];
    for (name, key) in texts {
        if let Some((text, source)) = var(name) {
            layers.set(key, Value::String(text), source);
        }
    }
    for name in ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"] {
        if let Some((ms, source)) = var(name) {
            layers.set(
                "trace.timeout_ms",
                Value::Integer(ms.parse().map_err(|error| value_error(name, error))?),
                source,
            );
        }
    }
    if let Some((part, source)) = var("OTEL_TRACES_SAMPLER_ARG") {
        let part = part.parse().map_err(|error| value_error("OTEL_TRACES_SAMPLER_ARG", error))?;
        layers.set("trace.sampler_arg", Value::Float(part), source);
    }
    if let Some((word, source)) = var("OTEL_SDK_DISABLED") {
        match word.to_ascii_lowercase().as_str() {
            "true" => layers.set("trace.exporter", Value::String("none".to_owned()), source),
            "false" => {}
            _ => return Err(value_error("OTEL_SDK_DISABLED", "it is `true` or `false`")),
        }
    }
    Ok(())
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("APPSERVER_{}", key.replace('.', "_").to_uppercase())
}

/// Every variable that sets a key.
pub(super) fn variables(config: &super::Config) -> Vec<String> {
    let mut keys = Vec::new();
    if let Ok(table) = Table::try_from(config) {
        leaves("", &table, &mut keys);
    }
    keys.iter().filter(|key| key.contains('.')).map(|key| variable(key)).collect()
}

fn value_error(place: &str, error: impl fmt::Display) -> Error {
    Error::Value { place: place.to_owned(), message: error.to_string() }
}

/// The values so far, as one table.
#[derive(Debug)]
struct Layers {
    table: Table,
    sources: BTreeMap<String, Source>,
}

// === impl Layers ===

impl Layers {
    fn merge(&mut self, overlay: Table, source: &Source) {
        let mut keys = Vec::new();
        leaves("", &overlay, &mut keys);
        let overlay = Self { table: overlay, sources: BTreeMap::new() };
        for key in keys {
            if let Some(value) = overlay.get(&key) {
                self.set(&key, value.clone(), source.clone());
            }
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        match key.split_once('.') {
            Some((section, key)) => self.table.get(section)?.as_table()?.get(key),
            None => self.table.get(key),
        }
    }

    fn set(&mut self, key: &str, value: Value, source: Source) {
        let (table, name) = match key.split_once('.') {
            Some((section, name)) => {
                let section = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                let Some(section) = section.as_table_mut() else { return };
                (section, name)
            }
            None => (&mut self.table, key),
        };
        table.insert(name.to_owned(), value);
        self.sources.insert(key.to_owned(), source);
    }
}

/// The dotted keys of a table; a list of tables counts as one value.
fn leaves(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(section) => leaves(&format!("{prefix}{name}."), section, keys),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => keys.push(format!("{prefix}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [(&'static str, &'static str)]);

    impl Environment for Fixed {
        fn var(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_shipped_file_says_what_the_defaults_are() {
        let text = include_str!("../../config/appserver.toml");
        assert_eq!(toml::from_str::<Config>(text).unwrap(), Config::default());
        let mut keys = Vec::new();
        leaves("", &Table::try_from(Config::default()).unwrap(), &mut keys);
        for key in keys.iter().filter(|key| key.contains('.')) {
            let name = key.split_once('.').unwrap().1;
            assert!(text.lines().any(|line| line.starts_with(&format!("{name} = "))), "{key} is not in the file");
        }
    }

    #[test]
    fn a_later_layer_wins_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[server]\ndrain_sec = 7\nheader_timeout_sec = 9\n").unwrap();
        let environment =
            Fixed(&[("PORT", "3999"), ("APPSERVER_SERVER_DRAIN_SEC", "8"), ("RHINO_COMPUTE_KEY", "s3cret")]);
        let flags = Flags {
            file: Some(file.clone()),
            values: vec![("registry.root", "--registry", Value::String("elsewhere".into()))],
            dev: false,
        };
        let settings = load(&flags, &environment).unwrap();
        assert_eq!(settings.config.server.listen.port(), 3999);
        assert_eq!(settings.config.server.drain_sec, 8);
        assert_eq!(settings.config.server.header_timeout_sec, 9);
        assert_eq!(settings.sources["server.listen"], Source::Environment("PORT".into()));
        assert_eq!(settings.sources["server.header_timeout_sec"], Source::File(file));
        assert_eq!(settings.sources["registry.root"], Source::Flag("--registry"));
        assert_eq!(settings.sources["solve.timeout_sec_max"], Source::Default);
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn opentelemetrys_own_names_are_read_as_it_means_them() {
        let read = |environment: &'static [(&'static str, &'static str)]| load(&Flags::default(), &Fixed(environment));
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all.example:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces.example/here"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "key=all"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "key=traces"),
            ("OTEL_TRACES_SAMPLER", ""),
            ("OTEL_TRACES_SAMPLER_ARG", ""),
            ("OTEL_SDK_DISABLED", "false"),
        ])
        .unwrap();
        let trace = &settings.config.trace;
        assert_eq!((trace.traces_endpoint.as_str(), trace.timeout_ms), ("http://traces.example/here", 500));
        assert_eq!((trace.sampler.as_str(), trace.exporter.as_str()), (trace::Sampler::USUAL, "otlp"));
        assert_eq!(settings.sources["trace.sampler"], Source::Default, "what is empty is not said");
        assert_eq!(settings.secrets.trace_headers.as_ref().unwrap().expose(), "key=traces");
        let off = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_SDK_DISABLED", "TRUE")]).unwrap();
        assert_eq!(off.config.trace.exporter, "none");
        assert_eq!(off.sources["trace.exporter"], Source::Environment("OTEL_SDK_DISABLED".to_owned()));
        for (name, value, why) in [
            ("OTEL_SDK_DISABLED", "yes", "`true` or `false`"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "invalid digit"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "`grpc` is not how spans are told here"),
            ("OTEL_TRACES_EXPORTER", "console", "`console` is no exporter"),
        ] {
            let environment = Box::leak(Box::new([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), (name, value)]));
            let error = read(environment).unwrap_err().to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "[server]\ndrain_secs = 7\n").unwrap();
        let flags = Flags { file: Some(file), ..Flags::default() };
        let error = load(&flags, &Fixed(&[])).unwrap_err().to_string();
        assert!(error.contains("drain_secs") && error.contains("a.toml"), "{error}");
    }

    #[test]
    fn the_compute_url_of_existing_deployments_becomes_the_node() {
        let settings = load(&Flags::default(), &Fixed(&[("RHINO_COMPUTE_URL", "http://win:6500/")])).unwrap();
        assert_eq!(
            settings.config.nodes,
            [Node { name: "node-1".into(), url: "http://win:6500/".into(), slots: None, pools: Vec::new() }]
        );
    }
}
